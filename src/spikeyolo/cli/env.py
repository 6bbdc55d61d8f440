"""`spikeyolo env`: the versions that a report of a fault should have."""

from __future__ import annotations

from collections.abc import Iterator

ALWAYS = ("torch", "numpy", "safetensors", "opencv-python-headless", "pillow", "rich", "pyyaml", "jinja2", "triton")

INSTRUCTIONS = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "bf16")
"""Of processors, as Linux names them: what int8 and bfloat16 are fast with."""


def env() -> None:
    """Print the versions of this program, of Python, of every package it can use, and what computes: for reports.

    Nothing in it names a user, a folder or a computer.

    Examples:
        spikeyolo env
    """
    import platform

    from ..optional import EXTRAS
    from ..terminal import say
    from ..version import __version__

    say(f"spikeyolo {__version__}, Python {platform.python_version()}, {platform.platform()}")
    say(*_what_computes())
    say("packages:", *(f"  {name} {_version(name)}" for name in ALWAYS))
    for name, extra in EXTRAS.items():
        say(f"  {name} {_version(name)} [{extra}]")


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def _what_computes() -> Iterator[str]:
    """The processor and the GPUs."""
    import platform

    import torch

    from ..processes import cores

    name, flags = _processor()
    found = ", ".join(flag for flag in INSTRUCTIONS if flag in flags)
    yield f"processor {name or platform.machine()}, {cores()} cores{f', with {found}' if found else ''}"
    yield f"torch computes with {torch.get_num_threads()} threads; CUDA {torch.version.cuda or 'is not in this build'}"
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        yield f"GPU {number}: {gpu.name}, {gpu.total_memory / 2**30:.0f} GB, compute capability {gpu.major}.{gpu.minor}"


def _processor() -> tuple[str, frozenset[str]]:
    """Its name and instructions, where Linux says them."""
    from contextlib import suppress

    fields: dict[str, str] = {}
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            fields.setdefault(name.strip().lower(), value.strip())
    flags = fields.get("flags", "") or fields.get("features", "")
    return fields.get("model name", ""), frozenset(flags.split())
