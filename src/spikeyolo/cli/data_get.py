"""`spikeyolo data get`: a public data set, fetched from where its owners offer it."""

from __future__ import annotations


def get(name: str) -> None:
    """Download a public data set and unpack it into datasets/NAME, or into the folder SPIKEYOLO_DATA names.

    Interrupted, the same command goes on. Archives are compared with their checksums, and the folder is there whole or
    not at all. Sets that only their owners give out say where they are had.

    Args:
        name: of the set, see `spikeyolo data list`; or NAME=FOLDER

    Examples:
        spikeyolo data get coco
        spikeyolo data get voc=/data/voc
    """
    from ..data.fetch import fetch_set
    from ..data.known import named_set, set_names
    from ..errors import DataError, quote
    from ..strict import closest
    from ..terminal import say

    named = named_set(name)
    if named is None:
        raise DataError(f"{quote(name)}: no such data set; {closest(name.partition('=')[0], set_names())}")
    known = named.known
    say(f"{named.name}: {known.about}", f"from {known.address}; terms: {known.terms}; disk: {known.disk}")
    folder = fetch_set(named, say)
    say(f"it is in {folder}; next: spikeyolo data check {name}")
