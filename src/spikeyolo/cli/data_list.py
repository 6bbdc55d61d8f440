"""`spikeyolo data list`: public data sets that can be named in place of a data.yaml."""

from __future__ import annotations


def list() -> None:
    """Print the public data sets that can be named in place of a data.yaml, where each is available, and where it is.

    A set is given as NAME, whose folder is looked for in datasets/NAME, or in the folder that the environment variable
    SPIKEYOLO_DATA names; or as NAME=FOLDER.

    Examples:
        spikeyolo data list
    """
    from ..data.known import known_set, named_set, set_names
    from ..terminal import say

    for name in set_names():
        known, named = known_set(name), named_set(name)
        here = named is not None and named.root.is_dir()
        place = f"in {named.root}" if named and here else f"available from {known.address}; disk: {known.disk}"
        say(f"{name:<9} {known.about}", f"{'':<9} {place}", f"{'':<9} holds {known.layout}")
