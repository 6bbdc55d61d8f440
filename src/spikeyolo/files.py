"""Writing files and folders: whole or not at all, and never over what somebody else wrote.

A target holds its old content or the new, never a part, whatever happens in between: it is written beside its place
first, then renamed. Commands ask `new_file`, `new_folder` or `numbered` first where their output may go.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import WriteError

PathLike = str | os.PathLike[str]

MARK = ".spikeyolo-unfinished"
"""A file in each folder that is being made, locked as long as the process lives that makes it."""


def new_file(
    path: PathLike, endings: Iterable[str], *, reads: Iterable[PathLike] = (), overwrite: bool = False
) -> Path:
    """Return where a command may write a file; its folder is made.

    Args:
        path: as the user named it.
        endings: of the file, such as ".json".
        reads: files that the command reads, which it never replaces.
        overwrite: another file may be replaced, which is never done else.

    Raises:
        WriteError: nothing may be written there.
    """
    path, endings = _given(path), list(endings)
    if path.suffix.lower() not in endings:
        raise WriteError(f"{path}: the file to write must end in {' or '.join(endings)}")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise WriteError(f"{path}: is {_kind(path)}, which is never replaced; name another file")
    if path.exists() and any(_same(path, other) for other in reads):
        raise WriteError(f"{path}: this command reads it and cannot write it; name another file")
    if path.exists() and not overwrite:
        raise WriteError(f"{path}: exists already; name another file, or give --overwrite to replace it")
    make_folder(path.parent)
    return path


def new_folder(path: PathLike, *, reads: Iterable[PathLike] = (), overwrite: bool = False) -> Path:
    """Return a folder that a command may write into, which is made.

    Args:
        path: as the user named it; it must hold nothing but hidden files.
        reads: files that the command reads, of which the folder may hold none.
        overwrite: other files may be there, and are replaced where the command's have the same names.

    Raises:
        WriteError: nothing may be written there.
    """
    path = _given(path)
    if there := occupant(path):
        inside = path.resolve()
        if read := next((file for file in reads if Path(file).resolve().is_relative_to(inside)), None):
            raise WriteError(f"{path}: holds {Path(read).name}, which this command reads; name another folder")
        if not overwrite:
            raise WriteError(
                f"{path}: holds files already, such as {there}; name a new or empty folder, "
                "or give --overwrite to replace those of the same names"
            )
    return make_folder(path)


def occupant(path: PathLike) -> str | None:
    """Return the name of something in a folder; None of one that is new or holds nothing but hidden files.

    Raises:
        WriteError: it is no folder, or cannot be looked into.
    """
    path = _given(path)
    if (path.is_symlink() and not path.exists()) or (path.exists() and not path.is_dir()):
        raise WriteError(f"{path}: is {_kind(path)}, no folder; name another")
    return min((entry.name for entry in _entries(path) if not entry.name.startswith(".")), default=None)


def numbered(path: PathLike) -> Path:
    """Make the first of NAME, NAME-2, NAME-3, ... that is free, for this process alone; return it.

    Raises:
        WriteError: it cannot be made.
    """
    path, number = Path(path), 1
    make_folder(path.parent)
    while True:
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _write_error(folder, error) from error


@contextmanager
def gone_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder, made for what is to be written, if the block fails before anything is in it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()  # which only an empty one can be
        raise


def numbered_file(path: PathLike) -> Path:
    """Return the first of NAME.END, NAME-2.END, ... that is free."""
    path, number = Path(path), 1
    while (file := path if number == 1 else path.with_stem(f"{path.stem}-{number}")).is_symlink() or file.exists():
        number += 1
    return file


def make_folder(path: Path) -> Path:
    """Make a folder unless it is there, with its parents; return it.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{path}: cannot be made a folder ({error.strerror})") from error
    return path


def own_folder(parent: Path, name: str) -> Path:
    """Make a folder within an output folder unless it is there; return it. A link to elsewhere is refused.

    Raises:
        WriteError: it is a link or a file, or cannot be made.
    """
    if (parent / name).is_symlink():
        raise WriteError(f"{parent / name}: is a link, which is not followed; name another folder")
    return make_folder(parent / name)


def cache_home() -> Path:
    """Return the folder for what can be had again, which may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikeyolo"


@contextmanager
def whole_path(path: PathLike) -> Iterator[Path]:
    """Yield the name of a new file beside `path`, which takes its place when the block ends without an exception.

    It is hidden and has a random word until then; only a killed process leaves one behind (see `remains`).

    Raises:
        WriteError: it cannot be written (no such folder, no permission, disk full), or what is there is no plain file.
    """
    path = Path(path)
    # Cut, because names have at most 255 bytes; the word is random, because several processes may write the same file.
    partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{path.suffix[:20]}")
    try:
        if path.exists() and not path.is_file():
            raise WriteError(f"{path}: is {_kind(path)}, which is never replaced")
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_file(path: PathLike) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends without an exception; see `whole_path`.

    Raises:
        WriteError: it cannot be written.
    """
    with whole_path(path) as partial, partial.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: PathLike, content: bytes) -> None:
    """Write a file, or leave the old one as it is.

    Raises:
        WriteError: it cannot be written.
    """
    with whole_file(path) as file:
        file.write(content)


def remains(path: Path) -> list[Path]:
    """Return the unfinished files that killed processes left beside a file; another's may still be at work."""
    name, suffix = re.escape(path.name[:40]), re.escape(path.suffix[:20])
    return [entry for entry in _entries(path.parent) if re.fullmatch(rf"\.{name}\.[0-9a-f]{{8}}{suffix}", entry.name)]


@contextmanager
def whole_folder(path: PathLike, *, replaces: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Make a new folder beside `path`, which takes its place when the block ends without an exception.

    What killed processes left beside it is cleared.

    Args:
        path: the folder to make; missing parents are made too.
        replaces: says of each file in an existing folder whether it may be lost; without it a folder that is not empty
            is refused.

    Raises:
        WriteError: it exists, holds a file that may not be lost, or cannot be written.
    """
    path = Path(path)
    partial, former = (path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}") for _ in range(2))
    try:
        _check_replaceable(path, replaces)
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_remains(path)
        partial.mkdir()
        with _locked(partial / MARK):
            yield partial
            _check_replaceable(path, replaces)
            if path.exists():
                # Renamed, not deleted in place: a process killed half-way would leave a part of it.
                path.rename(former)
            (partial / MARK).unlink()
        try:
            partial.rename(path)
        except OSError:
            if former.exists():
                former.rename(path)
            raise
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_replaceable(path: Path, replaces: Callable[[Path], bool] | None) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise WriteError(f"{path}: exists; remove it or name another folder")
    for file in sorted(path.rglob("*")):
        if replaces is None or (not replaces(file) and (file.is_symlink() or not file.is_dir())):
            raise WriteError(
                f"{path}: exists and holds {file.relative_to(path)}; move that elsewhere or name another folder"
            )


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Make a file that the system keeps locked until the block ends or the process dies."""
    with file.open("xb") as opened:
        with suppress(ImportError):  # Windows has no such lock; there nothing is cleared
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def _clear_remains(path: Path) -> None:
    """Remove unfinished folders of dead processes that were to become `path`: those with our mark, and unlocked."""
    with suppress(ImportError):
        import fcntl

        for entry in remains(path):
            with suppress(OSError), (entry / MARK).open("rb") as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise WriteError(f"{folder}: cannot be looked into ({error.strerror})") from error


def _same(path: Path, other: PathLike) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _kind(path: Path) -> str:
    if path.is_symlink():
        return "a link"
    return "a folder" if path.is_dir() else "a file" if path.is_file() else "a device"


def _given(path: PathLike) -> Path:
    if not os.fspath(path):
        raise WriteError("the name of what to write is empty; give one")
    return Path(path)


def _write_error(path: Path, error: OSError) -> WriteError:
    reason = os.strerror(error.errno) if error.errno else error  # libraries say more, and less clearly
    return WriteError(f"{path}: cannot be written ({reason}); nothing was changed")
