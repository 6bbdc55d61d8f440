"""The layer of I-LIF neurons, and the state it can be given and leaves."""

from __future__ import annotations

from torch import Tensor, nn

from .ilif import check_neuron, ilif, ilif_sequence


class NeuronState(dict[str, Tensor]):
    """Membrane potentials (B, C, H, W) of a network's neurons by name, handed from one call to the next.

    They are float32 at least. An empty one means that every neuron is at rest. A call reads the potentials it starts
    from and leaves those it ends with in the `NeuronState` it was given; `SpikeYOLO.forward` copies it first: a
    caller's is unchanged.
    """

    def detach(self) -> NeuronState:
        """The same potentials without their history of gradients (truncated back-propagation through time)."""
        return NeuronState({name: v.detach() for name, v in self.items()})


class ILIF(nn.Module):
    """A layer of I-LIF neurons; every flavour by its parameters.

    Without a state it starts each call at rest and keeps nothing. `name` is its place in the network and its key in
    a `NeuronState`; the network that holds it sets it.

    Shape:
        x: (T, B, C, H, W) input current -> (T, B, C, H, W) spike counts 0..max_count.
    """

    def __init__(self, decay: float = 0.25, gain: float = 1.0, max_count: int = 4):
        super().__init__()
        check_neuron(decay, gain, max_count)
        self.decay = decay
        self.gain = gain
        self.max_count = max_count
        self.name = ""

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        """Return spike counts; with a `state`, start from it and leave the new potential in it."""
        if state is None:
            return ilif(x, self.decay, self.gain, self.max_count)
        counts, state[self.name] = ilif_sequence(
            x, state.get(self.name), decay=self.decay, gain=self.gain, max_count=self.max_count
        )
        return counts

    def extra_repr(self) -> str:
        """The parameters, for print(model)."""
        return f"decay={self.decay}, gain={self.gain}, max_count={self.max_count}"
