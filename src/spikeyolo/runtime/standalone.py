"""The program beside each exported network: `run.py`, which needs neither torch nor this package."""

from __future__ import annotations

from pathlib import Path

from ..errors import WriteError
from ..files import write_whole
from ..reading import shown
from .openvino_session import NETWORK
from .reference import MANIFEST

PROGRAM = Path(__file__).with_name("run.py")
NAMED = 'with_name("network.onnx")'
"""Where the program says which network it runs."""


def run_py(network: Path) -> str:
    """Return the program for an exported network: a .onnx, a folder of OpenVINO's files, or a package for chips."""
    name = network.name if network.suffix.lower() == ".onnx" else _inside(network)
    return PROGRAM.read_text("utf-8").replace(NAMED, f"with_name({name!a})", 1)


def _inside(folder: Path) -> str:
    return NETWORK if (folder / NETWORK).exists() else MANIFEST


def _replaceable(place: Path, content: str) -> bool:
    """Whether there is the program of the same network, maybe of another version."""
    there = place.read_bytes().decode(errors="replace")
    return content.splitlines()[0] in there and content[content.index("with_name(") :].splitlines()[0] in there


def write_run_py(network: str | Path) -> Path:
    """Write `run.py` beside an exported network, or into its folder, and return where it is.

    Of several .onnx files in one folder the later ones get `run_NAME.py`.

    Args:
        network: a .onnx that is written already, or such a folder.

    Raises:
        WriteError: it cannot be written, or another program has the name.
    """
    network = Path(network)
    content = run_py(network)
    if network.suffix.lower() != ".onnx":
        places = [network / "run.py"]
    else:
        places = [network.with_name("run.py"), network.with_name(f"run_{network.stem}.py")]
    for place in places:
        if not place.exists() or _replaceable(place, content):
            write_whole(place, content.encode())
            return place
    raise WriteError(f"{shown(places[-1])}: is there already, and is another program; move it away")
