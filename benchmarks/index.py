"""The index of a large data set of images: the scan that makes it, and opening it afterwards in a new process.

    git worktree add ../earlier d436155
    python benchmarks/index.py [--images 100000] [--out runs/index] [--opens 5] [--baseline ../earlier/src]

Images of one colour with a label file each are generated once; they are tiny, so that what is measured is all that is
not decoding. Each row is a process of its own, they run in turn, and medians are told: seconds by the clock, and
seconds of processor time, which other work on the machine changes less. Imports are left out. Beside both stands the
least that they can do: reading every file and decoding the images with all cores; listing all files and asking each for
its size and time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

PARTS = {
    "open": """
from spikeyolo.data.open import open_data
def run():
    return len(open_data(sys.argv[1]).split("train", progress=False))
""",
    "read": """
import cv2, numpy
from concurrent.futures import ThreadPoolExecutor
def one(path):
    open(path.replace("images", "labels").replace(".jpg", ".txt"), "rb").read()
    return cv2.imdecode(numpy.frombuffer(open(path, "rb").read(), numpy.uint8), 1).shape
def run():
    folder = os.path.join(os.path.dirname(sys.argv[1]), "images")
    paths = [entry.path for entry in os.scandir(folder)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return len([shape for part in pool.map(lambda n: list(map(one, paths[n :: 64])), range(64)) for shape in part])
""",
    "stat": """
def run():
    folders = (os.path.join(os.path.dirname(sys.argv[1]), name) for name in ("images", "labels"))
    return len([os.stat(entry.path) for folder in folders for entry in os.scandir(folder)]) // 2
""",
}
AROUND = """
import os, sys, time
{part}
start, used = time.perf_counter(), time.process_time()
found = run()
print(found, time.perf_counter() - start, time.process_time() - used)
"""


def generate(folder: Path, count: int) -> None:
    """Write the images, if they are not there."""
    if (folder / f"{count}.txt").exists():
        return
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    encoded = [cv2.imencode(".jpg", np.full((24, 32, 3), grey, np.uint8))[1].tobytes() for grey in range(0, 256, 16)]
    for number in range(count):
        (folder / f"images/{number:012}.jpg").write_bytes(encoded[number % 16])
        (folder / f"labels/{number:012}.txt").write_text("0 0.5 0.5 0.25 0.25\n" * (number % 5) + "1 0.3 0.5 0.1 0.2\n")
    (folder / f"{count}.txt").touch()


def timed(part: str, file: Path, tree: Path) -> tuple[int, float, float]:
    """Images, seconds and seconds of processor time of a new process."""
    program, env = AROUND.format(part=PARTS[part]), {**os.environ, "PYTHONPATH": str(tree.resolve())}
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], check=True, capture_output=True, text=True, env=env
    )
    images, seconds, used = done.stdout.split()
    return int(images), float(seconds), float(used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("runs/index"))
    parser.add_argument("--opens", type=int, default=5)
    parser.add_argument("--baseline", type=Path, help="the src folder of another commit")
    given = parser.parse_args()
    folder, own = given.out.resolve() / str(given.images), Path(__file__).resolve().parents[1] / "src"
    generate(folder, given.images)
    trees = {"this tree": own} | ({"baseline": given.baseline} if given.baseline else {})
    files = {}
    for name in trees:  # each has an index of its own
        files[name] = folder / f"{name.replace(' ', '_')}.yaml"
        files[name].write_text("train: images\nnames: [cat, dog]\n")
        for kept in (folder / ".spikeyolo_cache").glob(f"{files[name].name}-*"):
            kept.unlink()
    rows: dict[str, list[tuple[int, float, float]]] = {}
    rows["read and decode alone"] = [timed("read", files["this tree"], own)]
    for name, tree in trees.items():
        rows[f"scan, {name}"] = [timed("open", files[name], tree)]
    for _ in range(given.opens):
        rows.setdefault("list and stat alone", []).append(timed("stat", files["this tree"], own))
        for name, tree in trees.items():
            rows.setdefault(f"open, {name}", []).append(timed("open", files[name], tree))
    table = Table("what", "s", "s of processor time", "images/s", title=f"{given.images} images, {os.cpu_count()} CPUs")
    for what, times in rows.items():
        assert {images for images, _, _ in times} == {given.images}
        seconds, used = (statistics.median(values) for values in list(zip(*times, strict=True))[1:])
        table.add_row(what, f"{seconds:.2f}", f"{used:.2f}", f"{given.images / seconds:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
