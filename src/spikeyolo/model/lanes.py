"""Several recordings side by side in one batch, their potentials carried from one stretch of timesteps to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ShapeError
from ..spiking import NeuronState, SpikingNeuron
from ..spiking.equation import widen
from ..structures import StretchBatch
from .network import SpikingNetwork


@dataclass(frozen=True)
class Carried:
    """What rows of a batch leave to the next one, without history of gradients.

    Attributes:
        lanes: (B) the numbers of the rows.
        seen: (B,) int64, timesteps since the row was at rest.
        recent: logits of the last T - 1 timesteps, three levels (T - 1, B, C, H, W); 0 where there were none.
        state: membrane potentials by neuron, rows at the fourth axis from the end.
    """

    lanes: tuple[int, ...]
    seen: Tensor
    recent: tuple[Tensor, ...]
    state: NeuronState

    def rows(self, lanes: Sequence[int]) -> Carried:
        """Return those of these lanes, in their order."""
        if tuple(lanes) == self.lanes:
            return self
        place = torch.tensor([self.lanes.index(lane) for lane in lanes], device=self.seen.device)
        return Carried(
            tuple(lanes),
            self.seen[place],
            tuple(level[:, place] for level in self.recent),
            NeuronState({name: v.index_select(-4, place) for name, v in self.state.items()}),
        )

    def moved(self, device: torch.device) -> Carried:
        """Return the same on another device."""
        state = NeuronState({name: v.to(device) for name, v in self.state.items()})
        return Carried(self.lanes, self.seen.to(device), tuple(level.to(device) for level in self.recent), state)

    def to_dict(self) -> dict[str, Any]:
        """Return tensors and plain values."""
        return {
            "lanes": list(self.lanes),
            "seen": self.seen,
            "recent": list(self.recent),
            "state": dict(self.state),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Carried:
        """Return what `to_dict` gave."""
        state = NeuronState(values["state"])
        return cls(tuple(values["lanes"]), values["seen"], tuple(values["recent"]), state)

    @classmethod
    def joined(cls, parts: Sequence[Carried]) -> Carried:
        """Return the rows of several processes as one."""
        first = parts[0]
        return cls(
            tuple(lane for part in parts for lane in part.lanes),
            torch.cat([part.seen for part in parts]),
            tuple(torch.cat(levels, dim=1) for levels in zip(*(part.recent for part in parts), strict=True)),
            NeuronState({name: torch.cat([part.state[name] for part in parts], dim=-4) for name in first.state}),
        )


class Lanes:
    """Runs a network on batch after batch of stretches, each row from where the row of its number ended before.

    Boxes are read off the mean logits of the last T timesteps, those of the stretch before included, as `predict
    --carry` does; of a row that was at rest less than T timesteps ago, of those since. Gradients go back to the
    beginning of the stretch and not beyond: potentials and logits from before are detached.

    Attributes:
        carried: to the next batch; None at the beginning, and where no row goes on.
    """

    def __init__(self) -> None:
        self.carried: Carried | None = None

    def look(self, network: SpikingNetwork, frames: Tensor, batch: StretchBatch) -> tuple[Tensor, ...]:
        """Return the logits of the labelled timesteps, three levels (M, C, H, W).

        Args:
            network: whose potentials are carried.
            frames: the batch's images (L, B, C, H, W) as the network takes them.
            batch: which rows these are, and which of their timesteps are labelled; on the frames' device.

        Raises:
            ShapeError: a row that goes on, and was not in the batch before.
        """
        timesteps = network.config.timesteps
        before = self._before(network, batch, frames.device)
        steps, state = network.by_timestep(frames, NeuronState() if before is None else before.state)
        if before is None:
            seen = torch.zeros(batch.batch_size, dtype=torch.int64, device=frames.device)
            recent = tuple(level.new_zeros((timesteps - 1, *level.shape[1:])) for level in steps)
        else:
            seen, recent = before.seen, before.recent
        joined = [torch.cat([old.to(new.dtype), new]) for old, new in zip(recent, steps, strict=True)]
        new_recent = tuple(level[len(frames) :].detach() for level in joined)
        followed = [lane for lane in batch.lanes if lane >= 0]
        carried = Carried(batch.lanes, seen + len(frames), new_recent, state.detach())
        self.carried = carried.rows(followed) if followed else None
        there = (seen[batch.rows] + batch.steps + 1).clamp(max=timesteps).view(-1, 1, 1, 1)
        last = [widen(level[batch.steps + t, batch.rows]) for level in joined for t in range(timesteps)]
        return tuple(sum(last[n + 1 : n + timesteps], last[n]) / there for n in range(0, len(last), timesteps))

    def _before(self, network: SpikingNetwork, batch: StretchBatch, device: torch.device) -> Carried | None:
        """What the rows go on from, those that begin anew at rest; None: all do."""
        if all(batch.fresh):
            return None
        known = () if self.carried is None else self.carried.lanes
        lost = [lane for lane, new in zip(batch.lanes, batch.fresh, strict=True) if not new and lane not in known]
        if self.carried is None or lost:
            raise ShapeError(f"lanes {lost} go on from the batch before, which had {list(known)}")
        kept = self.carried.rows([lane if lane in known else known[0] for lane in batch.lanes]).moved(device)
        fresh = torch.tensor(batch.fresh, device=device)
        mask = fresh.view(-1, 1, 1, 1)
        neurons = {part.name: part for part in network.modules() if isinstance(part, SpikingNeuron)}
        state = NeuronState()
        for name, v in kept.state.items():
            rest = neurons[name].rest(v.new_zeros(v.shape[-4:])) if name in neurons else v.new_zeros(())
            state[name] = torch.where(mask, rest, v)
        return Carried(
            batch.lanes,
            seen=torch.where(fresh, 0, kept.seen),
            recent=tuple(torch.where(mask, 0, level) for level in kept.recent),
            state=state,
        )
