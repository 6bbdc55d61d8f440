"""The archive that `torch.save` writes: its one pickle, and runs of numbers, read within bounds."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

MOST_AT_ONCE = 4 << 20
"""Bytes read in one go. The list of the archive's entries is read in one: a published one has 0.1 MB."""

MOST_PROGRAM = 16 << 20
"""Bytes of the pickle; a published one has 0.3 MB."""


class _InParts(io.FileIO):
    """A file of which nobody reads much at once, `zipfile` included, which believes the sizes that a file claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_AT_ONCE:
            raise zipfile.BadZipFile(f"a list of its parts of {size} bytes")
        return super().read(size)


class Archive:
    """A `torch.save` file, open for reading; a context manager.

    All that is read of it together is no more than the file, so that nothing can be made of little.

    Raises:
        zipfile.BadZipFile: no such archive, or cut short.
        pickle.UnpicklingError: an archive that torch.save would not write.
    """

    def __init__(self, path: Path) -> None:
        self._file = _InParts(path)
        try:
            with _as_damage():
                self._zip = zipfile.ZipFile(self._file)
            self._left = path.stat().st_size
            self._infos = {info.filename: info for info in self._zip.infolist()}
            for info in self._infos.values():
                if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                    raise pickle.UnpicklingError("the archive is compressed, which torch.save never does")
            self._prefix = self._find_prefix()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def _find_prefix(self) -> str:
        found = [name for name in self._infos if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise pickle.UnpicklingError(f"the archive holds {len(found)} pickles, expected one")
        return found[0].removesuffix("data.pkl")

    def program(self) -> bytes:
        """Return the pickle."""
        name = f"{self._prefix}data.pkl"
        if self._infos[name].file_size > MOST_PROGRAM:
            raise pickle.UnpicklingError(f"its pickle has more than {MOST_PROGRAM >> 20} MB")
        return bytes(self._read(name))

    def size_of(self, key: str) -> int:
        """Return the bytes of a run of numbers, which are not read."""
        name = f"{self._prefix}data/{key}"
        if name not in self._infos:
            raise pickle.UnpicklingError(f"the archive has no data/{key[:100]}")
        return self._infos[name].file_size

    def numbers(self, key: str) -> bytearray:
        """Read a run of numbers."""
        self.size_of(key)
        return self._read(f"{self._prefix}data/{key}")

    def _read(self, name: str) -> bytearray:
        size, done = self._infos[name].file_size, 0
        self._left -= size
        if self._left < 0:
            raise pickle.UnpicklingError("its parts together are larger than the file: they share their numbers")
        content = bytearray(size)
        with _as_damage(), self._zip.open(self._infos[name]) as stream:
            while part := stream.read(MOST_AT_ONCE):
                content[done : done + len(part)] = part
                done += len(part)
        if done != size:
            raise zipfile.BadZipFile(f"{name[-100:]} has {done} of {size} bytes")
        return content


@contextmanager
def _as_damage() -> Iterator[None]:
    """All that `zipfile` raises for archives that lie, as the one error that says so."""
    try:
        yield
    except (ValueError, RuntimeError, EOFError, OverflowError, struct.error) as error:  # RuntimeError: encrypted
        raise zipfile.BadZipFile(str(error)) from error
