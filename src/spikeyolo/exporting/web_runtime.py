"""ONNX Runtime for browsers: two files of one version that a page needs beside it, fetched once or given. No torch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, DataError
from ..files import cache_home, make_folder
from ..reading import file_kind, shown

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"

ADDRESS = f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/dist/"
"""Where the files of the package of that name are served one by one."""

FOLDER = "onnxruntime"
"""Of a page, for these files."""


@dataclass(frozen=True)
class RuntimeFile:
    """A file of the package.

    Attributes:
        name: in its folder `dist`.
        served: its name beside the page: hosts know .js, and not all of them .mjs, for what it is.
        checksum: as published.
        size: bytes.
    """

    name: str
    served: str
    checksum: str
    size: int


PROGRAM = RuntimeFile(
    "ort.wasm.bundle.min.mjs",
    "ort.wasm.bundle.min.js",
    "sha256:11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    73054,
)
MACHINE = RuntimeFile(
    "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.wasm",
    "sha256:3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    14239897,
)
FILES = (PROGRAM, MACHINE)

BY_HAND = (
    f"npm pack {PACKAGE}@{VERSION}, unpack it, and give its package/dist with --runtime-files, which needs no network"
)


def check_runtime(folder: Path) -> None:
    """Raise ConfigError unless a folder holds the files of the pinned version."""
    from ..data.download import digest_of

    for file in FILES:
        place = folder / file.name
        if file_kind(place, ConfigError) != "file":
            raise ConfigError(f"runtime_files: {shown(folder)} holds no {file.name}; {BY_HAND}")
        if place.stat().st_size != file.size or digest_of(place, file.checksum) != file.checksum:
            raise ConfigError(f"runtime_files: {shown(place)} is not that of {PACKAGE} {VERSION}; {BY_HAND}")


def cache_folder() -> Path:
    """Return where fetched files are kept for the next page."""
    return cache_home() / f"{PACKAGE}-{VERSION}"


def fetched_runtime() -> Path:
    """Return the folder of the files, in which they are after the first time.

    Raises:
        DataError: they cannot be had, or are not those that are expected.
        WriteError: they cannot be kept.
    """
    from ..data.download import download_file
    from ..progress import progress_bar

    folder = make_folder(cache_folder())
    try:
        for file in FILES:
            with progress_bar(f"{file.name}, bytes") as report:
                download_file(ADDRESS + file.name, folder / file.name, file.checksum, file.size, report)
    except DataError as error:
        raise DataError(f"{error}; or {BY_HAND}") from error
    return folder


def write_runtime(given: str | None, page: Path) -> None:
    """Put the files beside a page.

    Args:
        given: a folder that holds them, checked already; None: they are fetched.
        page: its folder.

    Raises:
        DataError: they cannot be had.
        WriteError: they cannot be kept.
    """
    source = fetched_runtime() if given is None else Path(given)
    target = make_folder(page / FOLDER)
    for file in FILES:
        shutil.copyfile(source / file.name, target / file.served)
