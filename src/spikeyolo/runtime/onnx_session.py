"""ONNX files in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..artefact import KEY, read_artefact
from ..errors import CheckpointError, ConfigError, quote
from ..optional import optional_module
from ..reading import naming, read_bytes, shown
from .protobuf import onnx_metadata
from .session import GraphSession, Port

LARGEST = 2 << 30
"""Bytes of an ONNX file without parts beside it, by the format."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}
"""Numpy's names of types; of others ONNX Runtime's name is the same but for the brackets."""


class OnnxSession(GraphSession):
    """An ONNX file in ONNX Runtime, which any number of threads may run at once; see `Session`.

    Args:
        content: of the file.
        source: its name, for errors.
        device: cpu or cuda.
        threads: that one run takes; None: as many as there are cores.
        provider: of ONNX Runtime, by its name, in place of that of the device.

    Raises:
        CheckpointError: not a file of `spikeyolo export`, damaged, or edited.
        ConfigError: no such device or provider.
        MissingPackage: onnxruntime is not installed.
    """

    def __init__(
        self,
        content: bytes,
        source: str,
        device: str = "cpu",
        threads: int | None = None,
        provider: str | None = None,
    ) -> None:
        artefact = read_artefact(onnx_metadata(content, source).get(KEY), source)
        ort = optional_module("onnxruntime", "export")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what is wrong is said in words of ours
        if threads is not None:
            options.intra_op_num_threads = threads
        chosen = _provider(ort, device, provider)
        with naming(source, "cannot be run by ONNX Runtime", CheckpointError):
            self._session: Any = ort.InferenceSession(content, options, providers=[chosen])
        engine = f"onnxruntime {ort.__version__}"
        if chosen != PROVIDERS["cpu"]:
            engine += f" {chosen}"
        inputs, outputs = (
            [_port(given) for given in ports] for ports in (self._session.get_inputs(), self._session.get_outputs())
        )
        super().__init__(artefact, source, engine, inputs, outputs)
        self._names = list(self.outputs)

    @classmethod
    def read(
        cls, path: str | Path, device: str = "cpu", threads: int | None = None, provider: str | None = None
    ) -> OnnxSession:
        """Return the session of a file."""
        return cls(read_bytes(path, LARGEST, CheckpointError), shown(path), device, threads, provider)

    def _compute(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))


def _provider(ort: Any, device: str, provider: str | None) -> str:
    """The name of an execution provider that is there."""
    there = ort.get_available_providers()
    if provider is not None:
        if provider not in there:
            raise ConfigError(f"provider: {quote(provider)} is none of this ONNX Runtime, which has {', '.join(there)}")
        return provider
    if device not in PROVIDERS:
        raise ConfigError(f"device: {quote(device)}; ONNX Runtime takes {' or '.join(PROVIDERS)}")
    if PROVIDERS[device] not in there:
        raise ConfigError(f"device: this ONNX Runtime knows no {device}; install onnxruntime-gpu, or take cpu")
    return PROVIDERS[device]


def _port(given: Any) -> Port:
    dtype = DTYPES.get(given.type, given.type.removeprefix("tensor(").removesuffix(")"))
    shape = tuple(length if isinstance(length, int) else None for length in given.shape)
    return Port(given.name, dtype, shape)
