"""Packages that not everybody needs: imported where they are used, named with their extra where they are missing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from .errors import MissingPackage

EXTRAS = {
    "lightning": "train",
    "tensorboard": "train",
    "hotcoco": "train",
    "matplotlib": "train",
    "h5py": "events",
    "hdf5plugin": "events",
    "faery": "events",
    "supervision": "track",
    "onnx": "export",
    "onnxruntime": "export",
    "openvino": "export",
    "nir": "export",
    "huggingface_hub": "hub",
    "pandas": "notebook",
    "ipywidgets": "notebook",
}
"""The extra of each package, as in pyproject.toml."""


TELEMETRY = "openvino_telemetry"


def missing_package(name: str, extra: str | None = None) -> MissingPackage:
    """Return the error that says how to install a package or module that is not there."""
    package = name.partition(".")[0]
    extra = extra or EXTRAS.get(package)
    return MissingPackage(
        f'{package} is not installed: pip install "spikeyolo[{extra}]"' if extra else f"{package} is not installed"
    )


def optional_module(name: str, extra: str) -> Any:
    """Import a module of a package that an extra of this one brings.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name.partition(".")[0]:
            raise  # the package is there, and something that it needs itself is not
        raise missing_package(name, extra) from error


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which tells a server of every import and writes into the home folder.

    Raises:
        MissingPackage: it is not installed.
    """
    silenced = "openvino" not in sys.modules and TELEMETRY not in sys.modules
    if silenced:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment] # so OpenVINO takes it for not installed
    try:
        return optional_module("openvino", "export")
    finally:
        if silenced:
            del sys.modules[TELEMETRY]


def require_extra(extra: str) -> None:
    """Look for every package of an extra, without importing any: before work is begun that needs them at its end.

    Raises:
        MissingPackage: one is not installed.
    """
    require_packages([package for package, own in EXTRAS.items() if own == extra], extra)


def require_packages(packages: Iterable[str], extra: str) -> None:
    """Look for packages of an extra, without importing any.

    Raises:
        MissingPackage: one is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_package(package, extra)
