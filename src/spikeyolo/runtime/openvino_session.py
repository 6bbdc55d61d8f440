"""OpenVINO's files: a folder with network.xml, network.bin and spikeyolo.json."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from ..artefact import Artefact, read_artefact
from ..errors import CheckpointError, ConfigError, quote
from ..optional import import_openvino
from ..reading import file_size, naming, read_text, shown
from .session import GraphSession, Port

NETWORK, WEIGHTS, DESCRIPTION = "network.xml", "network.bin", "spikeyolo.json"
LONGEST = 1 << 24
"""Bytes of the description; that of a network with many classes has some thousand."""


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """Return OpenVINO's core, one for the whole process.

    Compiling for processors gives the thread another stack for signals, which vanishes with the last core: a Ctrl-C
    after that would be a segmentation fault.
    """
    return import_openvino().Core()


class OpenVinoSession(GraphSession):
    """A folder of OpenVINO's files; see `Session`.

    Each run takes a request of its own, so that any number of threads may run at once.

    Args:
        network: OpenVINO's own, not yet compiled.
        artefact: what it says of itself.
        source: the folder, for errors.
        device: cpu, or another that OpenVINO finds on this machine.
        threads: that one run takes; None: as many as there are cores.

    Raises:
        CheckpointError: not of `spikeyolo export`, damaged, or edited.
        ConfigError: no such device.
        MissingPackage: openvino is not installed.
    """

    def __init__(
        self, network: Any, artefact: Artefact, source: str, device: str = "cpu", threads: int | None = None
    ) -> None:
        openvino = import_openvino()
        self._compile(openvino_core(), network, source, device, threads)
        self._free: SimpleQueue[Any] = SimpleQueue()
        engine = f"openvino {openvino.__version__.partition('-')[0]}"
        if device != "cpu":
            engine += f" {device}"
        with naming(source, "its inputs and outputs have no names", CheckpointError):
            inputs, outputs = ([_port(given) for given in ports] for ports in (network.inputs, network.outputs))
        self._names = [port.name for port in outputs]
        super().__init__(artefact, source, engine, inputs, outputs)

    @classmethod
    def read(cls, folder: str | Path, device: str = "cpu", threads: int | None = None) -> OpenVinoSession:
        """Return the session of a folder with the three files."""
        folder = Path(folder)
        for name in (NETWORK, WEIGHTS, DESCRIPTION):
            file_size(folder / name, CheckpointError)
        artefact = read_artefact(read_text(folder / DESCRIPTION, LONGEST, CheckpointError), str(folder / DESCRIPTION))
        core = openvino_core()
        with naming(folder, "cannot be run by OpenVINO", CheckpointError):
            network = core.read_model(folder / NETWORK, folder / WEIGHTS)
        return cls(network, artefact, shown(folder), device, threads)

    def _compile(self, core: Any, network: Any, source: str, device: str, threads: int | None) -> None:
        there = [name.lower() for name in core.available_devices]
        if device.lower() not in there:
            raise ConfigError(f"device: {quote(device)} is none that OpenVINO finds here; it finds {', '.join(there)}")
        # On CPUs that have it, bf16 is the default, in which potentials near a threshold fall to its other side.
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None and device.lower() == "cpu":
            config["INFERENCE_NUM_THREADS"] = threads
        with naming(source, "cannot be run by OpenVINO", CheckpointError):
            self._compiled = core.compile_model(network, device.upper(), config)

    def _compute(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            request = self._free.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            found = request.infer(feeds)
            # The request's own memory, which its next run writes into.
            return {name: np.array(found[i]) for i, name in enumerate(self._names)}
        finally:
            self._free.put(request)


def _port(given: Any) -> Port:
    shape = given.partial_shape
    lengths = None
    if shape.rank.is_static:
        lengths = tuple(axis.get_length() if axis.is_static else None for axis in shape)
    return Port(given.any_name, np.dtype(given.element_type.to_dtype()).name, lengths)
