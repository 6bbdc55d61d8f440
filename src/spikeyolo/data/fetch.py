"""Fetching a public data set: its archives, whole and right, then its folder, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError
from ..files import make_folder, whole_folder
from ..progress import progress_bar
from .archives import unpack
from .download import download_file
from .known import Named
from .open import open_data


def fetch_set(named: Named, log: Callable[[str], None]) -> Path:
    """Download the archives of a set and unpack them into its folder; what was interrupted goes on.

    Archives lie in `NAME.archives` beside the folder until it is there.

    Args:
        named: the set, and where it goes.
        log: is told each step.

    Returns:
        The folder.

    Raises:
        DataError: the set is not to be had by anyone, or its archives cannot be had or unpacked.
        WriteError: something is there already, or it cannot be written.
    """
    known, folder = named.known, named.root
    if not known.downloads:
        raise DataError(
            f"{named.name}: cannot be fetched by a program; it is had from {known.address}, and {folder} must hold "
            f"{known.layout}"
        )
    largest = int(known.gigabytes * 1e9)
    with whole_folder(folder) as making:  # refuses what is there before anything is downloaded
        archives = make_folder(folder.with_name(f"{folder.name}.archives"))
        for address, checksum in known.downloads.items():
            file = archives / address.rpartition("/")[2]
            log(f"{address}")
            with progress_bar(f"{file.name}, bytes") as report:
                download_file(address, file, checksum, largest, report)
        for address in known.downloads:
            file = archives / address.rpartition("/")[2]
            log(f"unpacking {file.name}")
            with progress_bar(f"{file.name}, files") as report:
                unpack(file, making, largest, report)
    open_data(named.word)  # it is what its description says
    shutil.rmtree(archives, ignore_errors=True)
    return folder
