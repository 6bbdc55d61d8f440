"""One network at several timesteps T and largest counts D, in either slot code: average precision against energy."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data.known import from_anywhere
from .data.open import open_data
from .errors import ConfigError
from .evaluation.plots import save_figure
from .evaluation.validate import ValidationSettings, validate
from .files import write_whole
from .interop.reference import load_any
from .interruption import advice
from .locks import locked
from .metering.cost import ann_millijoule, snn_millijoule
from .metering.layer_count import in_code
from .metering.measure import measure
from .metering.report import weighted_rate
from .metering.technology import Technology
from .model.detector import SpikeYOLO
from .model.forms.form import Form
from .model.inputs import chosen_input, to_metadata
from .optional import optional_module
from .spiking import SlotCode
from .text_files import read_json
from .training.run_folder import RunFolder, check_free
from .training.settings import MACHINE, TrainSettings
from .weights.shipped import weights_file

if TYPE_CHECKING:
    from rich.table import Table

    from .data.data_set import Index


@dataclass(frozen=True)
class SweepPoint:
    """What a network reaches, and what an image, or window of a recording, costs it.

    Attributes:
        timesteps: T.
        max_count: D.
        AP: mean over overlaps of 0.50 to 0.95, 0..1.
        AP50: at an overlap of 0.50, 0..1.
        snn_mJ: with spikes, additions as counted.
        ann_mJ: the same network as an ANN, dense, once an image; none where the technology has no product.
        firing_rate: share of the binary slots that hold a spike.
        synaptic_ops: additions.
        slot_code: unary or binary, in which these are counted; the network finds the same in both.
        doublings: which the binary code adds; charged as additions.

    Raises:
        ConfigError: an unknown code.
    """

    timesteps: int
    max_count: int
    AP: float
    AP50: float
    snn_mJ: float  # noqa: N815 - the unit
    ann_mJ: float | None  # noqa: N815
    firing_rate: float
    synaptic_ops: float
    slot_code: str = str(SlotCode.UNARY)  # of sweeps before there were others
    doublings: float = 0.0

    def __post_init__(self) -> None:
        SlotCode.of(self.slot_code)

    @property
    def slots(self) -> int:
        """Of an image: how long it takes on hardware that works slot by slot."""
        return self.timesteps * len(SlotCode.of(self.slot_code).weights(self.max_count))


def at(model: SpikeYOLO, timesteps: int, max_count: int) -> SpikeYOLO:
    """Return the same weights with another T and D; windows of recordings are cut into T parts.

    Raises:
        ConfigError: the model is not in its trained form, or T or D is out of range.
    """
    if model.form != Form.TRAINABLE:
        raise ConfigError(f"sweep: needs the trained model, this file holds its {model.form} form")
    config = replace(model.config, timesteps=timesteps, max_count=max_count)
    changed = SpikeYOLO(config, names=model.names, input=model.input and model.input.with_timesteps(timesteps))
    changed.load_state_dict(model.state_dict())
    return changed.to(model.device).eval()


def evaluate_at(
    model: SpikeYOLO,
    index: Index,
    settings: ValidationSettings,
    technology: Technology,
    codes: Sequence[SlotCode] = (SlotCode.UNARY,),
) -> list[SweepPoint]:
    """Return average precision and energy of a model in its trained form, as it is, in each slot code."""
    metrics = validate(model.fold(), index, settings).metrics
    found = measure(model, index, settings.imgsz, batch=settings.batch, workers=settings.workers, examples=1)
    points = []
    for code in codes:
        layers = in_code(found.layers, code)
        points.append(
            SweepPoint(
                model.config.timesteps,
                model.config.max_count,
                metrics.AP,
                metrics.AP50,
                snn_millijoule(layers, technology),
                ann_millijoule(found.macs["dense"], technology),
                weighted_rate(layers),
                sum(layer.ac for layer in layers),
                str(code),
                sum(layer.doublings for layer in layers),
            )
        )
    return points


class Sweep:
    """The points of a grid, each kept in the folder as soon as it is known, so that an interrupted sweep can go on.

    Args:
        folder: where sweep.json, sweep.csv and sweep.png go; runs of trainings in folders of their own, T1_D4.
        data: a data.yaml of images or recordings, or a COCO annotation file.
        split: on which to evaluate.
        settings: how.
        technology: what an operation costs.
        codes: slot codes in which spikes are counted, at each T and D.

    Raises:
        ConfigError: the folder holds a sweep of something else.
    """

    def __init__(
        self,
        folder: Path,
        data: str,
        split: str,
        settings: ValidationSettings,
        technology: Technology,
        codes: Sequence[SlotCode] = (SlotCode.UNARY,),
    ):
        self.folder, self.data, self.split = folder, data, split
        self.settings, self.technology, self.codes = settings, technology, codes
        self.points: dict[tuple[int, int, str], SweepPoint] = {}
        self.index = open_data(data).split(split)

    def evaluate(
        self,
        weights: str,
        grid: Iterable[tuple[int, int]],
        device: str,
        on_point: Callable[[SweepPoint], None],
        neuron: str | None = None,
    ) -> None:
        """Evaluate the same weights, trained once, at each T and D.

        Args:
            weights: a saved model in its trained form, a published checkpoint, or the name of a model.
            grid: pairs of T and D.
            device: where to compute.
            on_point: called with each point, also with those that the folder holds already.
            neuron: of weights whose neuron is from outside the package, see `SpikeYOLO.load`.
        """
        model = load_any(weights, neuron).to(device)
        seen = to_metadata(chosen_input(model, self.settings.imgsz))
        with self._at_work({"weights": hashlib.sha256(weights_file(weights).read_bytes()).hexdigest(), "input": seen}):
            for cell in grid:
                if missing := self._missing(cell):
                    self._add(evaluate_at(at(model, *cell), self.index, self.settings, self.technology, missing))
                for point in self.at(cell):
                    on_point(point)

    def train(
        self,
        recipe: TrainSettings,
        grid: Iterable[tuple[int, int]],
        device: str,
        on_point: Callable[[SweepPoint], None],
    ) -> None:
        """Train and evaluate at each T and D; an interrupted training goes on.

        Args:
            recipe: of every training.
            grid: pairs of T and D.
            device: where to evaluate.
            on_point: called with each point, also with those that the folder holds already.

        Raises:
            ConfigError: a recipe of several processes, devices or computers.
        """
        from .training.run import train

        check_single(recipe)
        kept = {name: value for name, value in recipe.to_dict().items() if name not in MACHINE}
        with self._at_work({"recipe": kept}):
            for timesteps, max_count in grid:
                if missing := self._missing((timesteps, max_count)):
                    run = RunFolder(self.folder / f"T{timesteps}_D{max_count}")
                    changed = replace(recipe, timesteps=timesteps, max_count=max_count)
                    # What says where it computes may have changed since it began, the rest has not: it is in the file.
                    best = train(changed, run.path, run.path if run.config.exists() else None, given=MACHINE).best
                    trained = load_any(best).to(device)
                    self._add(evaluate_at(trained, self.index, self.settings, self.technology, missing))
                for point in self.at((timesteps, max_count)):
                    on_point(point)

    def at(self, cell: tuple[int, int]) -> list[SweepPoint]:
        """Return what was found at a T and D, a point for each slot code."""
        timesteps, max_count = cell
        return [self.points[timesteps, max_count, str(code)] for code in self.codes]

    def _missing(self, cell: tuple[int, int]) -> list[SlotCode]:
        return [code for code in self.codes if (*cell, str(code)) not in self.points]

    @contextmanager
    def _at_work(self, subject: dict[str, Any]) -> Iterator[None]:
        """Begin a sweep of something, or go on with it, for this process alone."""
        technology = asdict(self.technology)
        subject |= {"data": from_anywhere(str(self.data)), "split": self.split}
        # As JSON gives it back, for the comparison: a key of sram_pj is a number here and a text there.
        self.subject = json.loads(json.dumps(subject | {"technology": technology}))
        file = self.folder / "sweep.json"
        if not file.exists():
            check_free(self.folder)
        with locked(self.folder), advice("the same command goes on with it"):
            if file.exists():
                self._read(file)
            else:
                self._write()
            yield

    def _read(self, file: Path) -> None:
        older = read_json(file, error=ConfigError)
        try:
            points = [SweepPoint(**point) for point in older["points"]]
            same = older["subject"] == self.subject
        except (TypeError, KeyError, ConfigError) as error:
            raise ConfigError(f"{file}: not the file of a sweep; give another folder with --out") from error
        if not same:
            raise ConfigError(f"{file}: a sweep of other weights, data or settings; give another folder with --out")
        self.points = {_place(point): point for point in points}

    def _write(self) -> None:
        content = {"subject": self.subject, "points": [asdict(p) for p in self._sorted()]}
        write_whole(self.folder / "sweep.json", json.dumps(content, indent=1).encode())

    def _sorted(self) -> list[SweepPoint]:
        return sorted(self.points.values(), key=_in_order)

    def _add(self, found: Sequence[SweepPoint]) -> None:
        self.points |= {_place(point): point for point in found}
        points = self._sorted()
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(SweepPoint)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, points))
        write_whole(self.folder / "sweep.csv", text.getvalue().encode())
        self._write()
        plot_sweep(points, self.folder / "sweep.png")


def _place(point: SweepPoint) -> tuple[int, int, str]:
    return point.timesteps, point.max_count, point.slot_code


def _in_order(point: SweepPoint) -> tuple[int, int, int]:
    return point.timesteps, point.max_count, list(SlotCode).index(SlotCode.of(point.slot_code))


def check_single(recipe: TrainSettings) -> None:
    """Raise ConfigError for a training of several processes: each would run the whole sweep."""
    if recipe.processes > 1 or recipe.nodes > 1 or "," in recipe.device:
        given = f"processes {recipe.processes}, nodes {recipe.nodes}, device {recipe.device}"
        raise ConfigError(f"sweep: --train needs one process on one device, the recipe has {given}; give --device 0")


def sweep_table(points: Sequence[SweepPoint]) -> Table:
    """Return one row a point, for `rich.print`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title="Average precision against energy", box=SIMPLE_HEAD)  # narrow: its words fit into 80 columns
    for column in (
        *("T", "D", "slot code", "slots", "AP50", "AP"),
        *("firing rate", "M additions", "mJ with spikes", "times less than ANN"),
    ):
        table.add_column(column, justify="right")
    for point in sorted(points, key=_in_order):
        table.add_row(
            str(point.timesteps),
            str(point.max_count),
            point.slot_code,
            str(point.slots),
            f"{point.AP50:.3f}",
            f"{point.AP:.3f}",
            f"{point.firing_rate:.1%}",
            f"{point.synaptic_ops / 1e6:.1f}",
            f"{point.snn_mJ:.3f}",
            "-" if point.ann_mJ is None else f"{point.ann_mJ / point.snn_mJ:.1f}",
        )
    return table


def plot_sweep(points: Sequence[SweepPoint], file: Path) -> None:
    """Draw AP against energy as a PNG: a line for each D, broken in the binary code, and a point for each T.

    Raises:
        WriteError: the file cannot be written.
    """
    figure = optional_module("matplotlib.figure", "train").Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    counts = sorted({point.max_count for point in points})
    lines = sorted(points, key=lambda p: (p.max_count, p.slot_code != SlotCode.UNARY, p.timesteps))
    for (max_count, code), group in itertools.groupby(lines, lambda p: (p.max_count, p.slot_code)):
        line, binary = list(group), code == SlotCode.BINARY
        label = f"D = {max_count}" + (", binary" if binary else "")
        style, colour = ("s--" if binary else "o-"), f"C{counts.index(max_count)}"
        axes.plot([p.snn_mJ for p in line], [p.AP for p in line], style, color=colour, label=label)
        for point in line:
            place = (point.snn_mJ, point.AP)
            beside = (-28, 5) if binary else (4, 5)  # of less energy: on the left
            axes.annotate(f"T = {point.timesteps}", place, beside, textcoords="offset points", fontsize=8)
    axes.set(xlabel="energy of operations with spikes, mJ", ylabel="AP", ylim=(0, None))
    axes.set_title("Average precision against energy")
    axes.grid(alpha=0.3)
    axes.margins(x=0.12)
    figure.legend(loc="outside right upper")
    save_figure(figure, file)
