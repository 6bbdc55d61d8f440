"""The optimiser, and its learning rate, momentum and accumulation as a function of the position alone.

So there is nothing to save and nothing to resume but the optimiser's own state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from ..model.head import DetectHead
from ..spiking.scales import keep_scales_positive, scaled_layers
from .muon import MATRICES, Muon
from .settings import TrainSettings


@dataclass(frozen=True)
class Position:
    """What the optimiser is set to for one batch.

    Attributes:
        lr: learning rate of weights and norms.
        bias_lr: learning rate of biases.
        momentum: of SGD and Muon, or AdamW's first beta.
        accumulate: batches whose gradients are summed before a step.
        warming: whether the warm-up is still on.
        calibrating: whether convolutions stay as they are.
    """

    lr: float
    bias_lr: float
    momentum: float
    accumulate: int
    warming: bool = False
    calibrating: bool = False


@dataclass(frozen=True)
class Schedule:
    """The recipe's course over a training.

    The learning rate falls epoch by epoch, as published, or batch by batch. In the first `warmup_epochs` epochs, batch
    by batch, that of weights rises from 0, that of biases goes from `warmup_bias_lr` (SGD alone), the momentum rises
    from `warmup_momentum` and the batches a step from 1.

    Args:
        settings: the recipe.
        batches: batches of an epoch.
    """

    settings: TrainSettings
    batches: int

    def factor(self, epoch: int, batch: int = 0) -> float:
        """Share of the learning rate at a batch, without warm-up: 1 at the first, towards `final_lr` at the end."""
        s = self.settings
        within = batch / self.batches if s.schedule_interval == "batch" else 0
        done = (epoch + within) / s.epochs
        left = 1 - done if s.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return s.final_lr + (1 - s.final_lr) * left

    def at(self, epoch: int, batch: int) -> Position:
        """Return the values for a batch of an epoch, both from 0."""
        s = self.settings
        lr = s.lr * self.factor(epoch, batch)
        warmup = round(s.warmup_epochs * self.batches)
        warm = min((epoch * self.batches + batch) / warmup, 1.0) if warmup else 1.0
        first_bias_lr = s.warmup_bias_lr if s.optimizer == "sgd" else 0.0
        return Position(
            lr=lr * warm,
            bias_lr=_between(first_bias_lr, lr, warm),
            momentum=_between(s.warmup_momentum, s.momentum, warm),
            accumulate=accumulation(s, warm),
            warming=warm < 1,
            calibrating=epoch >= s.epochs - s.calibration_epochs,
        )


def accumulation(settings: TrainSettings, warm: float = 1.0) -> int:
    """Return the batches of a step, as near to `nominal_batch` images as whole ones allow; `warm` of 0..1 after 1."""
    return max(1, round(_between(1.0, settings.nominal_batch / settings.batch_size, warm)))


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


WEIGHTS, NORMS, BIASES = "weights", "norms", "biases"


def parameter_groups(model: nn.Module, weight_decay: float, matrices: bool = False) -> list[dict[str, Any]]:
    """Return the trainable parameters in three groups: weights of convolutions (only these decay), of norms, biases.

    Learned scales of neurons, and what others of one's own learn, are among the norms. With `matrices` the weights of
    convolutions are two groups: those over several channels, but for the last, which give logits; and the others.
    """
    heads = [module for module in model.modules() if isinstance(module, DetectHead)] if matrices else []
    last = {id(branch[-1].conv.weight) for head in heads for branch in (*head.box, *head.classes)}
    groups: dict[str, list[nn.Parameter]] = {MATRICES: [], WEIGHTS: [], NORMS: [], BIASES: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            weight = parameter.ndim > 1 and ".neuron." not in f".{name}"
            kind = BIASES if name.endswith("bias") else WEIGHTS if weight else NORMS
            matrix = matrices and weight and parameter.shape[1] > 1 and id(parameter) not in last
            groups[MATRICES if matrix else kind].append(parameter)
    return [
        {"name": kind, "params": parameters, "weight_decay": weight_decay if kind in (MATRICES, WEIGHTS) else 0.0}
        for kind, parameters in groups.items()
        if parameters
    ]


def scaled_decay(settings: TrainSettings) -> float:
    """Return the weight decay for the images that a step really has after the warm-up.

    `weight_decay * batch * accumulate / nominal_batch`: with batch 40 and nominal 64 a step has 2 * 40 images and the
    decay is 1.25 times the nominal one.
    """
    return settings.weight_decay * settings.batch_size * accumulation(settings) / settings.nominal_batch


def make_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """Return SGD with Nesterov momentum, AdamW or Muon over the groups."""
    groups = parameter_groups(model, scaled_decay(settings), matrices=settings.optimizer == "muon")
    # On CPUs one kernel a tensor, not some ten; on GPUs a fused step would unscale gradients of fp16 after the clip.
    fused = all(parameter.device.type == "cpu" for parameter in model.parameters()) or None
    lr, momentum = settings.lr, settings.momentum
    optimizer: Optimizer
    if settings.optimizer != "sgd":
        kind = Muon if settings.optimizer == "muon" else AdamW
        optimizer = kind(groups, lr=lr, betas=(momentum, 0.999), fused=fused)
    else:  # Nesterov's form is not defined without momentum.
        optimizer = SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=fused)
    optimizer.register_step_pre_hook(lambda *_: lay_out_gradients(model.parameters()))
    if scaled_layers(model):
        optimizer.register_step_post_hook(lambda *_: keep_scales_positive(model))
    return optimizer


def state_names(settings: TrainSettings, group: str) -> tuple[str, ...]:
    """Return what the optimiser keeps of each parameter of a group."""
    if settings.optimizer == "sgd":
        return ("momentum_buffer",)
    return ("step", "exp_avg") if group == MATRICES else ("step", "exp_avg", "exp_avg_sq")


def move_to(optimizer: Optimizer, position: Position) -> None:
    """Set learning rates and momentum."""
    for group in optimizer.param_groups:
        group["lr"] = position.bias_lr if group["name"] == BIASES else position.lr
        if "betas" in group:
            group["betas"] = (position.momentum, group["betas"][1])
        else:
            group["momentum"] = position.momentum


def hold_convolutions(network: nn.Module) -> None:
    """Take the gradients of convolutions away, so that a step changes norms and the neurons' parameters alone.

    Without a gradient there is no weight decay and no momentum either.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            for parameter in module.parameters():
                parameter.grad = None


def lay_out_gradients(parameters: Iterable[Tensor]) -> None:
    """Give each gradient the strides of its parameter.

    torch's fused steps on CPUs go through both as if they lay in memory alike, and update the wrong weights where one
    is channels-last and the other is not.
    """
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None and gradient.stride() != parameter.stride():
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
