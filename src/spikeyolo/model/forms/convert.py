"""Turning a network into another form: the one function that does it, in place or on a copy."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from ...errors import ConfigError, quote
from ...spiking import SlotCode
from ..network import SpikingNetwork
from .folding import fold_network
from .form import CONVERSIONS, Form
from .integer import MAX_FRACTION_BITS, MIN_FRACTION_BITS, IntegerConv, fits_in_32_bits, to_integer_
from .spike_driven import LevelConvolution, SpikeDrivenConv, to_spike_driven_

Network = TypeVar("Network", bound=SpikingNetwork)


def convert(
    network: SpikingNetwork, form: Form, fraction_bits: int | None = None, slot_code: SlotCode | None = None
) -> None:
    """Turn a network into another form, in place.

    Args:
        network: to change.
        form: one of `CONVERSIONS[network.form]`.
        fraction_bits: of the integer form.
        slot_code: of the forms that run on slots; None: as it is.

    Raises:
        ConfigError: a form that cannot be made of this one, an ANN twin, which has no spikes, or `fraction_bits` out of
            range.
    """
    if form not in CONVERSIONS[network.form]:
        raise ConfigError(f"the {network.form} form cannot become {form}; start from the trained network")
    if form is not network.form:
        if network.form is not Form.DENSE:
            fold_network(network, dense=form is not Form.SEPARABLE)
        if form is Form.SPIKE_DRIVEN:
            to_spike_driven_(network, network.config.input_levels)
        if form is Form.INTEGER:
            if fraction_bits is None or not MIN_FRACTION_BITS <= fraction_bits <= MAX_FRACTION_BITS:
                raise ConfigError(
                    f"fraction_bits: {quote(fraction_bits)} is not in {MIN_FRACTION_BITS}..{MAX_FRACTION_BITS}"
                )
            to_integer_(network, fraction_bits, network.config.input_levels)
            network.fraction_bits = fraction_bits
    network.form = form
    if slot_code is not None:
        _set_code(network, slot_code)
    network.requires_grad_(form is Form.TRAINABLE)


def _set_code(network: SpikingNetwork, code: SlotCode) -> None:
    units = [unit for unit in network.modules() if isinstance(unit, SpikeDrivenConv | IntegerConv)]
    if not units:
        raise ConfigError(
            f"slot_code: the {network.form} form has no slots; the spike-driven and the integer form have"
        )
    for unit in units:
        unit.code = code
    network.slot_code = code


def converted(
    network: Network, form: Form, fraction_bits: int | None = None, slot_code: SlotCode | None = None
) -> Network:
    """Return a copy of a network in another form, ready to predict; see `convert`."""
    if form is Form.INTEGER and fraction_bits is None and network.form is not Form.INTEGER:
        copied = _integer(network)
    else:
        copied = copy.deepcopy(network).eval()
    convert(copied, form, fraction_bits, slot_code)
    return copied


def as_dense(network: SpikingNetwork) -> SpikingNetwork:
    """Return the dense network with the weights of a spike-driven one: the same numbers, without slots."""
    with torch.device("meta"):
        dense = SpikingNetwork(network.config).eval()
        convert(dense, Form.DENSE)
    weights = {key.replace("synapses.", "conv."): value for key, value in network.state_dict().items()}
    known = dense.state_dict()
    named = {key if key in known else key.replace(".bias", ".conv.bias"): value for key, value in weights.items()}
    first = dense.backbone.stem.conv
    assert isinstance(first, nn.Conv2d)
    dense.backbone.stem.conv = LevelConvolution(first, network.config.input_levels)
    dense.load_state_dict(named, assign=True)
    return dense


def _integer(network: Network) -> Network:
    """The integer form with as many fraction bits as leave every sum inside 32 bits, by proof."""
    # Folded once and not for every number of bits.
    dense = converted(network, Form.DENSE) if Form.DENSE in CONVERSIONS[network.form] else network
    for bits in range(MAX_FRACTION_BITS, MIN_FRACTION_BITS - 1, -1):
        integer = converted(dense, Form.INTEGER, bits)
        if fits_in_32_bits(integer, network.config.in_channels):
            return integer
    raise ConfigError(f"to_integer: these weights need more than 32 bits even with {MIN_FRACTION_BITS} fraction bits")
