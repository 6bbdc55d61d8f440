"""What a run has been trained on, kept with it: a resumed run says what has changed since."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data.data_set import Index
from ..errors import ConfigError


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
        ConfigError: other classes.
    """
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        before = {name: dict(kept[name]) for name in record if name != "names"}
        names = [str(name) for name in kept["names"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(f"{file}: not what a run keeps of its data; remove it to go on without") from error
    if names != record["names"]:
        number = next((i for i, (a, b) in enumerate(zip(names, record["names"], strict=False)) if a != b), None)
        differing = (
            f"{len(names)} of them, now {len(record['names'])}"
            if number is None
            else f"class {number} was {names[number][:100]!r}, now {record['names'][number][:100]!r}"
        )
        raise ConfigError(f"resume: the classes of the data have changed ({differing}); start a new run")
    return [
        f"the data have changed since this run was started or resumed: split {name} {what}"
        for name, was in before.items()
        if (what := _difference(was, record[name]))
    ]


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    if (was.get("samples"), was.get("boxes")) != (now["samples"], now["boxes"]):
        return (
            f"had {str(was.get('samples'))[:20]} samples with {str(was.get('boxes'))[:20]} boxes, "
            f"now {now['samples']} with {now['boxes']}"
        )
    if was.get("files") != now["files"]:
        return "has other files"
    return "has other labels or sizes" if was.get("labels") != now["labels"] else ""
