"""Spikes and operations of a network that follows recordings with its potentials carried, and those of each timestep.

A place in time is how many timesteps a network has seen since it was at rest: 0, 1, ..., and one for all that come
later, by when what it remembers no longer depends on how it began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..data.events.index import EventIndex
from ..data.events.stretches import RecordingSampler
from ..data.loader import Loader
from ..errors import ConfigError
from ..events.event_input import EventInput
from ..imaging.tensors import as_input
from ..model.detector import SpikeYOLO
from ..model.inputs import Input
from ..model.lanes import Lanes
from .counting import Tally, UnitTally, sums_of, sums_watched, unit_of, watched
from .layer_count import LayerCount
from .technology import Technology

PLACES = 8
"""Timesteps since rest that are counted one by one, at least; two windows of more."""


@dataclass(frozen=True)
class TimestepCount:
    """What a network does in a timestep, on average.

    Attributes:
        timestep: 1 for the first after rest.
        later: all from that one on.
        samples: timesteps that were counted.
        neurons: in front of all convolutions that spikes feed.
        spikes: unary.
        synaptic_ops: additions that they cause.
        macs: multiply-accumulates of the first convolution.
    """

    timestep: int
    later: bool
    samples: int
    neurons: int
    spikes: float
    synaptic_ops: float
    macs: int

    def to_json(self, max_count: int, technology: Technology) -> dict[str, Any]:
        """Return plain values, with the energy of operations."""
        picojoule = self.synaptic_ops * technology.ac_pj + self.macs * (technology.mac_pj or 0.0)
        return {
            "timestep": self.timestep,
            "later": self.later,
            "samples": self.samples,
            "spikes": self.spikes,
            "firing_rate": self.spikes / (self.neurons * max_count),
            "synaptic_ops": self.synaptic_ops,
            "snn_mJ": picojoule * 1e-9,
        }


def by_timestep(tally: Tally) -> list[TimestepCount]:
    """Return what each timestep of an image or window, or each place in time, comes to."""
    spiking = [unit for unit in tally.units.values() if unit.histogram is not None]
    fed = [unit for unit in tally.units.values() if unit.histogram is None]
    count = max(len(unit.histogram) for unit in spiking if unit.histogram is not None)
    samples = [tally.images] * count if tally.followed is None else tally.followed.tolist()
    found = []
    for place, there in enumerate(samples):
        if not there:
            continue
        spikes = sum(_spikes_at(unit, place) for unit in spiking)
        additions = sum(_additions_at(unit, place) for unit in tally.units.values())
        seen = [unit.macs for unit in fed if tally.followed is not None or place < unit.timesteps]
        found.append(
            TimestepCount(
                timestep=place + 1,
                later=tally.followed is not None and place == count - 1,
                samples=there,
                neurons=sum(unit.inputs for unit in spiking),
                spikes=spikes / there,
                synaptic_ops=additions / there,
                macs=sum(seen),
            )
        )
    return found


def _spikes_at(unit: UnitTally, place: int) -> int:
    assert unit.histogram is not None
    row = unit.histogram[place]
    return int((row * torch.arange(len(row))).sum())


def _additions_at(unit: UnitTally, place: int) -> int:
    done = unit.synaptic_ops
    return 0 if done is None or place >= len(done) else int(done[place])


@torch.no_grad()
def follow(
    network: SpikeYOLO,
    index: Any,
    seen: Input,
    batch: int,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Tally:
    """Count the spikes and operations of a network on recordings from their start to their last label.

    Args:
        network: in its spike-driven form, on counts.
        index: of recordings.
        seen: its input.
        batch: recordings side by side; does not change the result.
        workers: processes that prepare timesteps.
        progress: called with the timesteps done, and those in all.

    Raises:
        ConfigError: no recordings, or an input that cannot be streamed.
    """
    if not isinstance(index, EventIndex) or not isinstance(seen, EventInput):
        raise ConfigError("carry: for recordings of event cameras; the data are images")
    dataset, lanes, total = index.stretches(seen, 1), Lanes(), Tally()
    places = max(PLACES, 2 * network.config.timesteps) + 1
    for loaded in Loader(dataset, RecordingSampler(dataset.stretches, batch), workers=workers):
        since = _since_rest(lanes, loaded.lanes, loaded.fresh).clamp(max=places - 1)
        here = Tally(followed=torch.bincount(since, minlength=places))

        def see(name: str, conv: nn.Conv2d, x: Tensor, y: Tensor, here: Tally = here, since: Tensor = since) -> None:
            first = name == "backbone.stem"
            here.units[name] = _padded(unit_of(conv, x, y, network.config.max_count, first, since), places)

        def see_sums(x: Tensor, y: Tensor, here: Tally = here, since: Tensor = since) -> None:
            here.units["backbone.leaks"] = _padded(sums_of(x, y, network.config.max_count, since), places)

        with watched(network, see), sums_watched(network, see_sums):
            images = as_input(loaded.images, network.device, network.dtype)
            lanes.look(network, images, loaded.to(network.device))
        total.add(here)
        if progress is not None:
            progress(_sum(total), len(dataset.stretches))
    return total


def _sum(tally: Tally) -> int:
    return 0 if tally.followed is None else int(tally.followed.sum())


def _since_rest(lanes: Lanes, rows: Sequence[int], fresh: Sequence[bool]) -> Tensor:
    """(B) timesteps that each row has seen since it was at rest."""
    before = lanes.carried
    seen = {} if before is None else dict(zip(before.lanes, before.seen.tolist(), strict=True))
    return torch.tensor([0 if new else seen[lane] for lane, new in zip(rows, fresh, strict=True)])


def _padded(unit: UnitTally, places: int) -> UnitTally:
    """The same with a row for each place in time."""
    for name in ("histogram", "synaptic_ops", "digit_ops"):
        if (value := getattr(unit, name)) is not None:
            more = value.new_zeros((places - len(value), *value.shape[1:]))
            setattr(unit, name, torch.cat([value, more]))
    return unit


def followed_layers(tally: Tally, timesteps: int) -> list[LayerCount]:
    """Return the figures of T timesteps, the mean of all that were counted: none of them begins at rest."""
    counted = _sum(tally)
    return [_layer(name, unit, counted, timesteps) for name, unit in tally.units.items()]


def _layer(name: str, unit: UnitTally, counted: int, timesteps: int) -> LayerCount:
    known: dict[str, Any] = {"inputs": unit.inputs, "outputs": unit.outputs, "weights": unit.weights}
    if unit.synaptic_ops is None or unit.digit_ops is None:
        return LayerCount(name, unit.macs, None, timesteps, unit.max_count, **known)
    known["synaptic_ops"] = timesteps * int(unit.synaptic_ops.sum()) / counted
    known["digit_ops"] = timesteps * int(unit.digit_ops.sum()) / counted
    if unit.histogram is None:
        return LayerCount(name, unit.macs, None, timesteps, unit.max_count, **known)
    counts = unit.histogram.sum(0)
    shares = tuple(int(n) / (unit.inputs * counted) for n in counts)
    return LayerCount(
        name,
        unit.macs,
        int((counts * torch.arange(len(counts))).sum()) / (unit.inputs * counted),
        timesteps,
        unit.max_count,
        histogram=(shares,) * timesteps,
        **known,
    )
