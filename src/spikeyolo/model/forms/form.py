"""The forms of a network, and which of them can be made of which."""

from __future__ import annotations

from enum import Enum


class Form(str, Enum):
    """How the convolutions of a network are held and run."""

    TRAINABLE = "trainable"
    """As trained, with batch norms."""
    SEPARABLE = "separable"
    """Folded, RepConv kept as 1x1 -> depthwise -> 1x1: fast on CPUs and GPUs."""
    DENSE = "dense"
    """Folded to one convolution a unit, each fed by spike counts."""
    SPIKE_DRIVEN = "spike-driven"
    """The dense form on binary spikes, by additions alone."""
    INTEGER = "integer"
    """The same with int8 weights and fixed-point potentials."""

    def __str__(self) -> str:
        return self.value


CONVERSIONS: dict[Form, frozenset[Form]] = {
    Form.TRAINABLE: frozenset(Form),
    Form.SEPARABLE: frozenset(Form) - {Form.TRAINABLE},
    Form.DENSE: frozenset({Form.DENSE, Form.SPIKE_DRIVEN, Form.INTEGER}),
    Form.SPIKE_DRIVEN: frozenset({Form.SPIKE_DRIVEN}),
    Form.INTEGER: frozenset({Form.INTEGER}),
}
"""For each form those that can be made of it; itself, by a copy."""
