"""What an operation costs on some hardware: the shipped table and tables of your own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, one_line, quote
from ..reading import file_kind, is_path
from ..text_files import read_yaml

TECHNOLOGIES_FILE = Path(__file__).with_name("technologies.yaml")
DEFAULT = "45nm-fp32"
LARGEST = 1e12  # pJ, bits or bytes: beyond it is no hardware


@dataclass(frozen=True)
class Technology:
    """What an operation costs on some hardware, in pJ; see technologies.yaml for the fields and their sources.

    Raises:
        ConfigError: a number that is missing, negative or not a number.
    """

    name: str
    label: str
    mac_pj: float | None
    ac_pj: float
    weight_bits: int
    potential_bits: int
    sram_pj: dict[int, float] | None
    source: str

    def __post_init__(self) -> None:
        for name in ("label", "source"):
            if not isinstance(getattr(self, name), str):
                what = f"{name} is {quote(getattr(self, name))}, not text"
                raise ConfigError(f"technology {one_line(self.name)}: {what}")
        for name in ("mac_pj", "ac_pj", "weight_bits", "potential_bits"):
            value = getattr(self, name)
            if value is None and name == "mac_pj":
                continue
            if not _is_positive(value):
                raise ConfigError(f"technology {one_line(self.name)}: {name} is {quote(value)}, not a positive number")
        table = self.sram_pj
        if table is not None and not (isinstance(table, dict) and len(table) > 1 and all(map(_is_positive, table))):
            raise ConfigError(f"technology {one_line(self.name)}: sram_pj is not a mapping of at least two sizes to pJ")
        for size, cost in (table or {}).items():
            if not _is_positive(cost):
                what = f"sram_pj of {size:g} bytes is {quote(cost)}, not a positive number"
                raise ConfigError(f"technology {one_line(self.name)}: {what}")

    def access_pj(self, bits: int, memory_bytes: float) -> float:
        """What reading or writing a word of so many bits costs, in pJ, in a memory of so many bytes.

        Between the sizes of the table, and beyond its ends, along straight lines, as Lemaire et al. do
        (An analytical estimation of spiking neural networks energy efficiency, ICONIP 2022); never below zero.

        Raises:
            ConfigError: no memory figures for this technology.
        """
        if self.sram_pj is None:
            raise ConfigError(f"technology {self.name}: no memory figures")
        sizes, costs = (np.array(side, dtype=float) for side in zip(*sorted(self.sram_pj.items()), strict=True))
        if memory_bytes <= sizes[0]:
            cost = costs[0]  # smaller arrays are not published; a line through zero would make registers free
        else:
            last = min(int(np.searchsorted(sizes, memory_bytes)), len(sizes) - 1)
            slope = (costs[last] - costs[last - 1]) / (sizes[last] - sizes[last - 1])
            cost = costs[last - 1] + slope * (memory_bytes - sizes[last - 1])
        return float(cost) * bits / 64


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value <= LARGEST  # type: ignore[operator]


def read_technologies(file: Path = TECHNOLOGIES_FILE) -> dict[str, Technology]:
    """The technologies of a file, by name.

    Raises:
        ConfigError: the file cannot be read, or a field is missing, unknown or out of range.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or not all(isinstance(values, dict) for values in content.values()):
        raise ConfigError(f"{file}: expected a mapping of names to technologies")
    return {str(name): _technology(file, str(name), values) for name, values in content.items()}


def _technology(file: Path, name: str, values: dict[str, Any]) -> Technology:
    known = {f.name for f in fields(Technology)} - {"name"}
    for wrong, keys in (("missing", known - values.keys()), ("unknown", values.keys() - known)):
        if keys:
            raise ConfigError(f"{file}: {one_line(name)}: {wrong}: {one_line(', '.join(sorted(map(str, keys))))}")
    try:
        return Technology(name, **values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def find_technology(name: str) -> Technology:
    """A technology of the package by its name, or the first one of a YAML file.

    Raises:
        ConfigError: neither.
    """
    shipped = read_technologies()
    if name in shipped:
        return shipped[name]
    if not is_path(name) or file_kind(name, ConfigError) != "file":
        raise ConfigError(f"technology: {quote(name)} is neither a file nor one of {', '.join(shipped)}")
    own = read_technologies(Path(name))
    if not own:
        raise ConfigError(f"{name}: holds no technology")
    return next(iter(own.values()))
