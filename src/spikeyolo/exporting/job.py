"""What every writer of a format is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..artefact import Artefact
from ..model.detector import SpikeYOLO
from ..model.forms.convert import converted
from ..model.forms.form import Form
from ..model.forms.spike_driven import run_on_slots
from ..model.inputs import Input
from ..model.presets import RELU
from ..spiking import SlotCode
from .configs import GraphConfig
from .describe import describe


@dataclass(frozen=True)
class Job:
    """A network that is to be exported.

    Attributes:
        model: as it was loaded.
        seen: its input.
        size_hw: rows and columns of what it sees.
        samples: (N, C, H, W) images or (T, N, C, H, W) frames, as `forward` takes them.
        files: from which they are; none of those that were generated or given as a tensor.
    """

    model: SpikeYOLO
    seen: Input
    size_hw: tuple[int, int]
    samples: Tensor
    files: tuple[Path, ...] = ()

    def in_form(self, form: Form, slot_code: str | None = None) -> SpikeYOLO:
        """Return the model in a form and a slot code, its own unless given; ConfigError if it cannot be made."""
        if self.model.form is form and slot_code is None:
            return self.model
        return converted(self.model, form, slot_code=None if slot_code is None else SlotCode.of(slot_code))

    def folded(self, config: GraphConfig) -> SpikeYOLO:
        """Return the model as a graph of floating point is written from it.

        A folded one stays as it is. A dense one of float32 has its weights on the grid of the spike-driven form, where
        no runtime rounds a sum.
        """
        if not config.dense and self.model.form not in (Form.DENSE, Form.SPIKE_DRIVEN):
            return self.in_form(Form.SEPARABLE)
        if config.precision != "float32" or self.model.config.neuron == RELU:
            return self.in_form(Form.DENSE)
        exact = converted(self.model, Form.SPIKE_DRIVEN)
        run_on_slots(exact, on_slots=False)
        return exact

    def described(self, model: SpikeYOLO, config: GraphConfig, precision: str) -> Artefact:
        """Return what the graph says of itself."""
        return describe(
            model,
            self.seen,
            size_hw=None if config.dynamic_size else self.size_hw,
            precision=precision,
            outputs=config.outputs,
            batch=None if config.dynamic_batch else config.batch,
            streaming=config.streaming,
        )
