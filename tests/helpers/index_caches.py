"""Where the index of a data set is kept."""

from pathlib import Path

from spikeyolo.data.index_cache import IndexCache


def kept_index(file: Path, split: str = "train") -> Path | None:
    return IndexCache.of(file, split, (), ()).file
