"""I-LIF as one kernel a pass, for GPUs; what needs triton is imported only where it runs."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from ..equation import Neuron


def has_kernel(x: Tensor, v: Tensor | None, scale: Tensor | None, neuron: Neuron) -> bool:
    """Whether one kernel runs all steps: on GPUs, with the published surrogate, up to float32."""
    published = scale is None and not neuron.surrogate_width
    single = x.dtype != torch.float64 and (v is None or v.dtype == torch.float32)
    if not (x.is_cuda and published and single):
        return False
    if torch.compiler.is_compiling():  # a compiled graph joins a single step with what is before and after it
        return x.shape[0] > 1 and find_spec("triton") is not None
    return kernel_works(x.device)


@cache
def kernel_works(device: torch.device) -> bool:
    """Whether triton is installed and can build the kernels for a device; it needs a C compiler, too."""
    if find_spec("triton") is None:
        return False

    try:
        _run_all(device)
    except Exception as error:  # of triton, its compiler or the driver: whatever it is, plain operators do the same
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"neurons run as plain operators, which is slower: their kernel fails here ({why})", stacklevel=2)
        return False
    return True


def _run_all(device: torch.device) -> None:
    """Run every operator once, forward and backward, so that none fails in the middle of a training."""
    from . import ilif_operator, norm_operator

    x, one = torch.zeros(2, 1, 1, 1, device=device), torch.ones(1, device=device)
    _, _, mask = ilif_operator.ilif(x, None, 0.25, 1.0, 1, True, True)
    ilif_operator.ilif_backward(x, None, mask, 0.25, 1.0, False)
    norm = one, one, one.clone(), one.clone(), 0.5, 1.0
    _, mask, mean, rstd = norm_operator.norm_ilif(x, *norm, 1, 0.25, 1.0, 1)
    norm_operator.norm_ilif_backward(x, mask, x, one, mean, rstd, 1, 0.25, 1.0)
    norm_operator.norm_less_border(x, *norm)
    norm_operator.norm_add(x, x.unsqueeze(0), *norm)
