from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from .schedule import Position
from .settings import TrainSettings

WEIGHTS, NORMS, BIASES = "weights", "norms", "biases"


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in three groups: weights of convolutions (these alone decay), of norms, and biases."""
    groups: dict[str, list[nn.Parameter]] = {WEIGHTS: [], NORMS: [], BIASES: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = BIASES if name.endswith("bias") else WEIGHTS if parameter.ndim > 1 else NORMS
            groups[kind].append(parameter)
    return [
        {"name": kind, "params": parameters, "weight_decay": weight_decay if kind == WEIGHTS else 0.0}
        for kind, parameters in groups.items()
        if parameters
    ]


def scaled_decay(settings: TrainSettings) -> float:
    """Weight decay for the pictures a step really has after the warm-up, where whole batches miss `nominal_batch`.

    `weight_decay * batch * accumulate / nominal_batch`: with batch 40 and nominal 64 a step has 2 * 40 pictures and the
    decay is 1.25 times the nominal one.
    """
    accumulate = max(1, round(settings.nominal_batch / settings.batch))
    return settings.weight_decay * settings.batch * accumulate / settings.nominal_batch


def make_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """SGD with Nesterov momentum, or AdamW, over the three groups."""
    groups = parameter_groups(model, scaled_decay(settings))
    # On CPUs one kernel a tensor, not some ten; on GPUs a fused step would unscale gradients of fp16 after the clip.
    fused = all(parameter.device.type == "cpu" for parameter in model.parameters()) or None
    if settings.optimizer == "adamw":
        return AdamW(groups, lr=settings.lr, betas=(settings.momentum, 0.999), fused=fused)
    # Nesterov's form is not defined without momentum.
    return SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=fused)


def move_to(optimizer: Optimizer, position: Position) -> None:
    """Sets learning rates and momentum."""
    for group in optimizer.param_groups:
        group["lr"] = position.bias_lr if group["name"] == BIASES else position.lr
        if "betas" in group:
            group["betas"] = (position.momentum, group["betas"][1])
        else:
            group["momentum"] = position.momentum
