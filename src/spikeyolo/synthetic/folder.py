"""A folder of generated data: known again by a record of what it holds, and replaced only as a whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DataError

_RECORD = "generated.json"


def record_of(generator: str, version: int, config: Any) -> dict[str, Any]:
    """What tells one generated folder from another: who made it, and from which settings (a dataclass)."""
    # Through JSON, for tuples to become the lists that reading the file gives.
    return json.loads(json.dumps({"generator": generator, "version": version, **asdict(config)}))


def is_generated(root: Path, record: dict[str, Any], *, same_settings: bool) -> bool:
    """Whether the folder was made by this generator, and, if so asked, from the same settings."""
    try:
        found = json.loads((root / _RECORD).read_text())
        return found == record if same_settings else found.get("generator") == record["generator"]
    except (OSError, ValueError, AttributeError):
        return False


def replace_folder(root: Path, record: dict[str, Any], write: Callable[[Path], None]) -> None:
    """Makes a folder through `write`, which is given another one beside `root` that is renamed at the end.

    So `root` is never seen half-written; what a killed run has left is cleared. For one process at a time.

    Raises:
        DataError: `root` exists, is not empty and was not made by this generator, or it cannot be written.
    """
    ours = is_generated(root, record, same_settings=False)
    if root.exists() and not ours and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root}: exists and is not a generated data set; name another folder")
    partial, former = (root.with_name(f".{root.name}.{state}") for state in ("partial", "former"))
    try:
        for left_over in (partial, former):
            shutil.rmtree(left_over, ignore_errors=True)
        partial.mkdir(parents=True)
        write(partial)
        (partial / _RECORD).write_text(json.dumps(record, indent=1) + "\n")
        if root.exists():
            # Renamed, not deleted in place: a kill half-way would leave remains that nobody knows to be ours.
            root.rename(former)
        partial.rename(root)
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{root}: cannot be written ({error.strerror})") from error
