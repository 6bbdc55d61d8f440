"""Where each part of our network stands in the published one."""

from __future__ import annotations

import re

from ..model.presets import NetworkConfig

STAGES = {"backbone.stage1": 2, "backbone.stage2": 4, "backbone.stage3": 6, "backbone.stage4": 8}

LAYERS = {
    "backbone.stem": 1,
    "backbone.down2": 3,
    "backbone.down3": 5,
    "backbone.down4": 7,
    "backbone.sppf": 9,
    "neck.reduce5": 10,
    "neck.top_down4": 12,
    "neck.reduce4": 14,
    "neck.top_down3": 16,
    "neck.reduce3": 18,
    "neck.out3": 19,
    "neck.down3": 20,
    "neck.out4": 22,
    "neck.down4": 23,
    "neck.out5": 25,
    "head": 26,
}

DISTRIBUTION_BINS = "model.26.dfl.conv.weight"
"""The numbers 0..15, which the published network holds as a weight and ours as an equation."""

REP_LAYERS = (6, 8, 12, 22, 25)
"""Layers whose channel mixers are RepConv."""

REP_CONV = {"expand": "0", "inner_norm": "1.bn", "depthwise": "2.0", "project": "2.1", "norm": "2.2"}
SEP_REP_CONV = {"inner_norm": "0.bn", "pointwise": "1.0", "depthwise": "1.1"}
TOKEN_MIXER = ("pwconv1", "dwconv2", "pwconv3")


def published_name(name: str, config: NetworkConfig) -> str:
    """The published name of one of our modules, parameters or buffers.

    Args:
        name: as `named_modules`, `named_parameters` or `state_dict` of a trainable SpikeYOLO give it.
        config: of the network; a stage of one block has no block index in the published network.
    """
    head, _, rest = name.partition(".")
    part, _, rest = rest.partition(".")
    place = f"{head}.{part}"
    if place in STAGES:
        layer = STAGES[place]
        block, _, rest = rest.partition(".")
        several = config.repeats[list(STAGES).index(place)] > 1
        return f"model.{layer}{f'.{block}' if several else ''}.{_in_block(rest, layer)}"
    if head == "head":
        branch = {"box": "cv2", "classes": "cv3"}[part]
        return f"model.26.{branch}.{_in_unit(rest)}"
    layer = LAYERS[place]
    if "mixer" in rest:
        return f"model.{layer}.{_in_block(rest, layer)}"
    if place == "backbone.sppf":
        return f"model.9.{_in_unit(rest).replace('reduce', 'cv1').replace('merge', 'cv2')}"
    if place.startswith(("backbone.down", "backbone.stem")):
        return f"model.{layer}.encode_{_in_unit(rest)}"
    return f"model.{layer}.{_in_unit(rest)}"


def _in_unit(rest: str) -> str:
    return re.sub(r"\bneuron\b", "lif", re.sub(r"\bnorm\b", "bn", rest))


def _in_block(rest: str, layer: int) -> str:
    """'token_mixer.2.conv.depthwise.weight' and the like, as named inside the published blocks."""
    mixer, index, part, *leaf = rest.split(".")
    number = int(index) + 1
    if mixer == "token_mixer":
        published = {"neuron": f"lif{number}", "norm": f"bn{number}", "conv": TOKEN_MIXER[int(index)]}[part]
        if part == "conv" and number == 3 and leaf:
            published += f".body.{SEP_REP_CONV[leaf.pop(0)]}"
        return ".".join(["Conv", published, *leaf])
    if layer not in REP_LAYERS:
        return ".".join([f"conv{number}", _in_unit(part), *leaf])
    published = {"neuron": f"lif{number}", "norm": f"bn{number}", "conv": f"conv{number}"}[part]
    if part == "conv" and leaf:
        published += f".body.{REP_CONV[leaf.pop(0)]}"
    return ".".join([published, *leaf])
