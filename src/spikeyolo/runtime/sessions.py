"""What an exported network is, by its path, and the engine that runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from ..errors import CheckpointError, ConfigError
from ..reading import file_kind, shown
from .openvino_session import NETWORK
from .reference import MANIFEST
from .session import Session

Kind = Literal["onnx", "openvino", "integer"]

PAGE_NETWORK = "network.onnx"
"""In the folder of a page for browsers."""


def exported_kind(path: str | os.PathLike[str]) -> Kind | None:
    """Return what a path is of the things that `spikeyolo export` writes and that can be run; None if nothing of it."""
    path = Path(path)
    if path.suffix.lower() == ".onnx" or os.path.isfile(path / PAGE_NETWORK):
        return "onnx"
    if os.path.isfile(path / NETWORK):
        return "openvino"
    return "integer" if os.path.isfile(path / MANIFEST) else None


def open_session(
    path: str | os.PathLike[str], device: str = "cpu", threads: int | None = None, provider: str | None = None
) -> Session:
    """Return an exported network, ready to run.

    Args:
        path: model.onnx, a folder with network.xml (OpenVINO), one with manifest.json (a package for chips), or one
            with network.onnx (a page for browsers).
        device: what computes: cpu; cuda for ONNX files; another that OpenVINO finds.
        threads: that one run takes; None: as many as there are cores.
        provider: of ONNX Runtime, by name, in place of that of the device.

    Raises:
        CheckpointError: nothing of the kind, damaged, edited, or of another program.
        ConfigError: an option that does not apply, or no such device.
        MissingPackage: the engine is not installed.
    """
    path, kind = Path(path), exported_kind(path)
    if provider is not None and kind in ("openvino", "integer"):
        raise ConfigError(f"provider: of ONNX Runtime; {shown(path)} is a folder of another engine")
    match kind:
        case "onnx":
            from .onnx_session import OnnxSession

            inside = path / PAGE_NETWORK
            return OnnxSession.read(inside if os.path.isfile(inside) else path, device, threads, provider)
        case "openvino":
            from .openvino_session import OpenVinoSession

            return OpenVinoSession.read(path, device, threads)
        case "integer":
            from .integer_session import IntegerSession

            return IntegerSession(path, device, threads)
    what = file_kind(path, CheckpointError)
    if not what:
        raise CheckpointError(f"{shown(path)}: no such file or folder")
    instead = f"; give the folder {shown(path.parent)}" if path.name == NETWORK else ""
    raise CheckpointError(
        f"{shown(path)}: no network of spikeyolo export (a .onnx, or a folder with {NETWORK} or {MANIFEST}){instead}"
    )
