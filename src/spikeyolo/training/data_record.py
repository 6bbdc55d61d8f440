"""What a run has been trained on, kept with it: a resumed run says what has changed since."""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data.data_set import Index
from ..errors import ConfigError, quote
from ..strict import value_of
from ..text_files import read_json

PARTS: dict[str, type] = {"samples": int, "boxes": int, "files": str, "labels": str}
"""Of each split."""

LARGEST = 2**24


def record_of(splits: dict[str, Index]) -> dict[str, Any]:
    """Return plain values that tell whether a data set is still the same: classes, numbers, and hashes of both splits.

    Args:
        splits: by their names.
    """
    first = next(iter(splits.values()))
    return {"names": list(first.names), **{name: _split(index) for name, index in splits.items()}}


def _split(index: Index) -> dict[str, Any]:
    """Files by their names, without their folders; sizes, times and labels by what the index holds of them."""
    names, labels = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    for field in fields(index):  # type: ignore[arg-type] # both kinds of index are dataclasses
        value = getattr(index, field.name)
        if isinstance(value, np.ndarray):
            labels.update(np.ascontiguousarray(value).tobytes())
        elif field.name in ("paths", "recordings"):
            names.update("\n".join(Path(path).name for path in value).encode(errors="surrogateescape"))
    return {
        "samples": len(index),
        "boxes": len(index.boxes),
        "files": names.hexdigest(),
        "labels": labels.hexdigest(),
    }


def changes(file: Path, record: dict[str, Any]) -> list[str]:
    """Return a line for each split that is not what the run was trained on so far.

    Args:
        file: what was kept; of a run of an earlier version it is not there, and nothing is said.
        record: of the data set now.

    Raises:
        ConfigError: other classes, or a file of something else.
    """
    splits = [name for name in record if name != "names"]
    if not os.path.lexists(file):
        return []
    kept = read_json(file, LARGEST, ConfigError)
    try:
        before = {name: {key: value_of(kept[name][key], kind, key) for key, kind in PARTS.items()} for name in splits}
        names = value_of(kept["names"], list[str], "names")
    except (TypeError, KeyError, ConfigError) as error:
        raise ConfigError(f"{file}: not what a run keeps of its data; remove it to go on without") from error
    if names != record["names"]:
        number = next((i for i, (a, b) in enumerate(zip(names, record["names"], strict=False)) if a != b), None)
        differing = (
            f"{len(names)} of them, now {len(record['names'])}"
            if number is None
            else f"class {number} was {quote(names[number])}, now {quote(record['names'][number])}"
        )
        raise ConfigError(f"resume: the classes of the data have changed ({differing}); start a new run")
    return [
        f"the data have changed since this run was started or resumed: split {name} {what}"
        for name, was in before.items()
        if (what := _difference(was, record[name]))
    ]


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    if (was["samples"], was["boxes"]) != (now["samples"], now["boxes"]):
        before = f"{quote(was['samples'])} samples with {quote(was['boxes'])} boxes"
        return f"had {before}, now {now['samples']} with {now['boxes']}"
    if was["files"] != now["files"]:
        return "has other files"
    return "" if was["labels"] == now["labels"] else "has other labels or sizes"
