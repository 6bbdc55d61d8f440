"""How fast a training's samples come, images and windows of events, with 0, 1 and 2 workers; another commit's beside.

    git worktree add ../earlier d436155
    python benchmarks/loader.py [--data DATA.yaml ...] [--imgsz 640] [--rounds 5] [--baseline ../earlier/src]

By default on coco128 in the shared data beside the repository (mosaic), and on generated recordings of 304 x 240 pixels
(windows of 50 ms in two timesteps, augmented). Each tree runs in a process of its own. All ways of both run in turn,
round after round, so that a busy machine is unfair to none; workers live on between rounds, of which the first is not
counted; medians are told. With --prepared batches are also brought to the type that the network takes, on the CPU.
For images plain decoding and resizing stands beside them, which is the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from spikeyolo.synthetic.recordings import RecordingsConfig, write_recordings

SHARED = Path(__file__).resolve().parents[1] / "../shared/data"
RECORDINGS = RecordingsConfig(train=40, val=1, test=1, size_hw=(240, 304), label_every_us=100_000)
WORKERS = (0, 1, 2)

EPOCHS = """
import json, sys, time, cv2, torch
from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb
from spikeyolo.imaging.letterbox import letterbox
from spikeyolo.imaging.tensors import as_input
given = json.loads(sys.argv[1])
cv2.setNumThreads(0)  # one thread everywhere: workers have one too
torch.set_num_threads(1)

def samples(file):
    data = open_data(file)
    index = data.split(data.splits[0], progress=False)
    if hasattr(index, "recordings"):
        seen = EventInput(given["representation"], timesteps=2, window_us=50_000)
        return index.dataset(seen, EventAugmentation())
    return index.dataset(ImageInput((given["imgsz"],) * 2), Augmentation(), cache_mb=given["cache_mb"])

def epoch(loader):
    seen = 0
    for batch in loader:
        seen += batch.batch_size
        if given["prepared"]:
            as_input(batch.images, "cpu", torch.float32)
    return seen

def plain(index):
    for path in index.paths:
        letterbox(read_rgb(path), (given["imgsz"],) * 2)
    return len(index)

sets = {file: samples(file) for file in given["data"]}
loaders = {}
for line in sys.stdin:
    file, workers = json.loads(line)
    if workers is not None and (file, workers) not in loaders:
        sampler = EpochBatchSampler(len(sets[file]), given["batch"], shuffle=True)
        loaders[file, workers] = Loader(sets[file], sampler, workers=workers)
    start = time.perf_counter()
    seen = plain(sets[file].index) if workers is None else epoch(loaders[file, workers])
    print(seen / (time.perf_counter() - start), flush=True)
"""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", help="what data.yaml or COCO JSON name, the first split of each")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--representation", default="count_frames")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache-mb", type=float, default=0)
    parser.add_argument("--prepared", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/loader"), help="where generated recordings are kept")
    parser.add_argument("--baseline", type=Path, help="the src folder of another commit")
    return parser.parse_args()


def recordings(folder: Path) -> Path:
    """Generated ones, in a description without how they become frames: an earlier commit may not know that."""
    content = yaml.safe_load(write_recordings(folder, RECORDINGS).read_text(encoding="utf-8"))
    del content["preparation"]
    plain = folder / "plain.yaml"
    plain.write_text(yaml.safe_dump(content), encoding="utf-8")
    return plain


def started(tree: Path, words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    command = [sys.executable, "-c", EPOCHS, words]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rate(process: subprocess.Popen[str], file: str, workers: int | None) -> float:
    """Samples a second of one epoch."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps([file, workers]), file=process.stdin, flush=True)
    return float(process.stdout.readline())


def main() -> None:
    given = options()
    files = given.data or [str(SHARED / "coco128/data.yaml"), str(recordings(given.out))]
    own = Path(__file__).resolve().parents[1] / "src"
    trees = ({"baseline": given.baseline} if given.baseline else {}) | {"this tree": own}
    shown = {name: getattr(given, name) for name in ("imgsz", "representation", "batch", "cache_mb", "prepared")}
    running = {name: started(tree, json.dumps({**shown, "data": files})) for name, tree in trees.items()}
    ways: list[tuple[str, int | None]] = []
    for file in files:
        of_events = "format:" in Path(file).read_text()
        ways += [(file, workers) for workers in (WORKERS if of_events else (None, *WORKERS))]
    rates: dict[tuple[str, int | None, str], list[float]] = {}
    for number in range(given.rounds + 1):
        for file, workers in ways:
            for name, process in running.items():
                found = rate(process, file, workers)
                if number:
                    rates.setdefault((file, workers, name), []).append(found)
    for process in running.values():
        process.communicate()
    table = Table("data", "way", *(f"samples/s, {name}" for name in trees), title=f"{given.rounds} rounds of {shown}")
    if given.baseline:
        table.add_column("of the baseline")
    for file, workers in ways:
        medians = [statistics.median(rates[file, workers, name]) for name in trees]
        way = "plain decode and resize" if workers is None else f"{workers} workers"
        ratio = [f"{medians[-1] / medians[0]:.2f}"] if given.baseline else []
        table.add_row(Path(file).parent.name, way, *(f"{median:.1f}" for median in medians), *ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
