"""Large files from the web: gone on with after a break, compared with their checksum, and never half there."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataError, WriteError
from ..imaging.web import SECONDS, opener, plain, reason_of
from ..version import __version__

PIECE = 1 << 20
ATTEMPTS = 5
"""In a row that bring nothing; each that brings something is counted as the first again."""

Progress = Callable[[int, "int | None"], None]


def download_file(address: str, file: Path, checksum: str, largest: int, progress: Progress) -> None:
    """Download a file; what an interrupted try has left beside it (`NAME.part`) is gone on with.

    Args:
        address: http or https.
        file: where it goes, in a folder that is there. One that is there already and has the checksum stays.
        checksum: `md5:` or `sha256:` with its digits.
        largest: bytes that it may have.
        progress: called with bytes that are there, and bytes in all where the server says how many.

    Raises:
        DataError: it cannot be had, is too large, or is not what the checksum says; then nothing of it is kept.
        WriteError: it cannot be written.
    """
    if file.is_file() and digest_of(file, checksum) == checksum:
        return
    part = file.with_name(f"{file.name}.part")
    failed = 0
    while True:
        size = part.stat().st_size if part.is_file() else 0
        try:
            if _go_on(address, part, size, largest, progress):
                break
            said = "the connection was cut"
        except (DataError, WriteError):
            raise
        except Exception as error:  # urllib's own, the system's, and those of http.client
            said = reason_of(error)
        failed = 1 if part.is_file() and part.stat().st_size > size else failed + 1
        if failed >= ATTEMPTS or said[:3] in ("401", "403", "404", "410"):
            raise DataError(f"{address}: cannot be downloaded ({said}); {_kept(part)}")
        time.sleep(2 ** (failed - 1))
    found = digest_of(part, checksum)
    if found != checksum:
        part.unlink()
        raise DataError(f"{address}: came as {found}, not {checksum}; it is not kept, try again, or ask its owner")
    os.replace(part, file)


def digest_of(file: Path, like: str) -> str:
    """Return the checksum of a file, of the same kind as another one."""
    kind = like.partition(":")[0]
    digest = hashlib.new(kind, usedforsecurity=False)
    with file.open("rb") as content:
        while piece := content.read(PIECE):
            digest.update(piece)
    return f"{kind}:{digest.hexdigest()}"


def _go_on(address: str, part: Path, size: int, largest: int, progress: Progress) -> bool:
    """Append what is missing to a part of a file; whether that was all."""
    headers = {"User-Agent": f"spikeyolo/{__version__}", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    try:
        answer: Any = opener().open(urllib.request.Request(plain(address), headers=headers), timeout=SECONDS)
    except urllib.request.HTTPError as error:
        if error.code != 416:  # nothing lies beyond what is there
            raise
        error.close()
        return True
    with answer:
        if size and answer.status != 206:  # it cannot go on: from the beginning
            size = 0
        if size and not answer.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
            raise DataError(f"{address}: the server sends another part than it was asked for; delete {part}")
        length = answer.headers.get("Content-Length", "")
        whole = size + int(length) if length.isdecimal() else None
        if whole is not None and whole > largest:
            raise DataError(f"{address}: has {whole:,} bytes, and at most {largest:,} are expected; nothing is kept")
        with _writing(part), part.open("ab" if size else "wb") as target:
            while piece := _read(answer):
                size += len(piece)
                if size > largest:
                    target.truncate(0)
                    raise DataError(f"{address}: does not end after {largest:,} bytes; nothing is kept")
                target.write(piece)
                progress(size, whole)
    return whole is None or size >= whole


class _CutError(Exception):
    """The connection ended."""


def _read(answer: Any) -> bytes:
    try:
        piece: bytes = answer.read(PIECE)
    except OSError as error:
        raise _CutError(reason_of(error)) from error
    return piece


@contextmanager
def _writing(part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"{part}: cannot be written ({error.strerror}); what is there is gone on with") from error


def _kept(part: Path) -> str:
    there = part.stat().st_size if part.is_file() else 0
    return f"{there / 1e6:,.1f} MB are kept, the same command goes on" if there else "the same command tries again"
