"""Unpacking archives of strangers: whole or not at all, and nowhere but into their folder."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import DataError, quote

MOST_FILES = 2_000_000
Member = tuple[str, int, Callable[[], "IO[bytes]"]]


def unpack(archive: Path, folder: Path, largest: int, progress: Callable[[int, int | None], None]) -> None:
    """Unpack a .zip or .tar file into a folder that is there; links and devices in it are left out.

    Args:
        archive: the file.
        folder: where its files go.
        largest: bytes that they may have together.
        progress: called with the number of files that are done.

    Raises:
        DataError: no such archive, a damaged one, a name that leads out of the folder, or more bytes than that.
        WriteError: a file cannot be written.
    """
    left, folder = largest, folder.resolve()
    try:
        with _members(archive) as members:
            for number, (name, size, opened) in enumerate(members):
                left -= size
                if left < 0 or number >= MOST_FILES:
                    raise DataError(f"{archive}: unpacks to more than {largest:,} bytes or {MOST_FILES:,} files")
                target = _inside(archive, folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened() as source, target.open("wb") as file:
                    _copy(source, file, size, archive)
                progress(number + 1, None)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"{archive}: not an archive that can be unpacked ({error})") from error


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as content:
            yield (
                (item.filename, item.file_size, lambda item=item: content.open(item))  # type: ignore[misc]
                for item in content.infolist()
                if not item.is_dir() and (item.external_attr >> 16) & 0o170000 in (0, 0o100000)
            )
    else:
        with tarfile.open(archive) as content:
            yield (
                (item.name, item.size, lambda item=item: content.extractfile(item))  # type: ignore[misc]
                for item in content
                if item.isreg()
            )


def _inside(archive: Path, folder: Path, name: str) -> Path:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name or not path.parts:
        raise DataError(f"{archive}: names a file outside of itself ({quote(name)}); it is not unpacked")
    return folder.joinpath(*path.parts)


def _copy(source: IO[bytes], file: IO[bytes], size: int, archive: Path) -> None:
    """Copy as many bytes as were announced, and no more."""
    while piece := source.read(min(size, 1 << 20)):
        file.write(piece)
        size -= len(piece)
    if size or source.read(1):
        raise DataError(f"{archive}: a file in it has another size than it says")
