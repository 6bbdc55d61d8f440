"""A network that is streamed by OpenVINO, which keeps the membrane potentials between runs itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..artefact import IMAGES, NEW_STATE, STATE
from ..errors import ShapeError
from .openvino_session import OpenVinoSession
from .session import State, Values

PLACE = "run"


def _leak_first(before: Any, after: Any) -> None:
    """Have a state hold decay * V in place of V, if all that is asked of V is decay * V; the values are the same.

    What a convolution adds up is then the state itself. OpenVINO else multiplies it in another order of axes, and
    turns it round before and after: a third of a step.
    """
    from openvino import opset13 as operators  # type: ignore[import-untyped]

    asked = [port.get_node() for port in before.get_target_inputs()]
    if len(asked) != 1 or asked[0].get_type_name() != "Multiply":
        return
    (product,) = asked
    factors = [port.get_source_output() for port in product.inputs()]
    decay = [factor for factor in factors if factor.get_node().get_type_name() == "Constant"]
    if len(decay) != 1:
        return
    for port in product.output(0).get_target_inputs():
        port.replace_source_output(before)
    last = after.get_node().input(0)
    last.replace_source_output(operators.multiply(last.get_source_output(), decay[0]).output(0))


class OpenVinoStream(OpenVinoSession):
    """One stream through a network written for streaming.

    Potentials that come in and go out are copied four times in a step, and turned round between the two orders of axes;
    here they stay where they are computed. The state that a run returns says only which run it was, and only the last
    one's can be gone on from.
    """

    def _compile(self, core: Any, network: Any, source: str, device: str, threads: int | None) -> None:
        from openvino.passes import MakeStateful, Manager  # type: ignore[import-untyped]

        inside = network.clone()
        names = [port.any_name for port in inside.inputs if port.any_name.startswith(STATE)]
        states = {name: NEW_STATE + name.removeprefix(STATE) for name in names}
        for name, after in states.items():
            _leak_first(inside.input(name), inside.output(after))
        passes = Manager()
        passes.register_pass(MakeStateful(states))
        passes.run_passes(inside)
        super()._compile(core, inside, source, device, threads)
        self._request = self._compiled.create_infer_request()
        self._runs = 0

    def run(self, images: np.ndarray, state: State | None = None) -> tuple[Values, Values]:
        """See `Session`; from one thread at a time."""
        if not state:
            self._request.reset_state()
        elif int(state.get(PLACE, np.zeros(0, np.int64)).sum()) != self._runs:
            raise ShapeError(f"state: not that of the last run of {self.source}; start a new stream")
        self._runs += 1
        return self._compute({IMAGES: np.ascontiguousarray(images)}), {PLACE: np.array(self._runs)}

    def _compute(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self._request.infer(feeds)
        names = (name for name in self._names if not name.startswith(NEW_STATE))  # those left, in their order
        return {name: np.array(found[i]) for i, name in enumerate(names)}
