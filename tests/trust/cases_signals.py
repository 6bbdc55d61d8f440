"""Folders of trainings and sweeps: what lies there is nobody's to replace, and what they keep may lie."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.trust.harness import CLASSES, Case

from spikeyolo.training.settings import TrainSettings

TRAIN = "train --data data.yaml --model t --imgsz 64 --epochs 1 --device cpu --workers 0 --out"
RESUME = "train --resume run"
SWEEP = "sweep --weights model.safetensors --data data.yaml --workers 0 --device cpu --timesteps 1 --max-count 4 --out"
NEW = "name a new or empty folder"

Prepare = Callable[[Path], None]

RECORD = {
    "names": CLASSES,
    "train": {"samples": 3, "boxes": 3, "files": "x", "labels": "x"},
    "val": {"samples": 2, "boxes": 2, "files": "x", "labels": "x"},
}


def put(name: str, content: str = "mine\n") -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return prepare


def link(name: str, to: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(folder / to)

    return prepare


def folder_of_model(folder: Path) -> None:
    (folder / "mine").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "mine" / "best.safetensors")


def run(record: object, text: str | None = None) -> Prepare:
    """A run that has not saved a checkpoint yet, and what it says it was trained on."""

    def prepare(folder: Path) -> None:
        settings = TrainSettings(data=str(folder / "data.yaml"), model="t", imgsz=64, epochs=1, workers=0, device="cpu")
        put("run/config.yaml", settings.to_yaml())(folder)
        put("run/data.json", json.dumps(record) if text is None else text)(folder)

    return prepare


def with_part(split: str, **parts: object) -> Prepare:
    return run({**RECORD, split: {**RECORD[split], **parts}})


def fifo(name: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / name)

    return prepare


def both(first: Prepare, second: Prepare) -> Prepare:
    def prepare(folder: Path) -> None:
        first(folder)
        second(folder)

    return prepare


def swap(folder: Path) -> None:
    (folder / "run/data.json").unlink()
    (folder / "run/data.json").mkdir()


def deep(folder: Path) -> None:
    run(None, "[" * 100_000)(folder)


OTHER = "the classes of the data have changed"
NOT_OURS = ("run/data.json", "not what a run keeps of its data; remove it to go on without")

CASES = [
    *[
        Case(f"train: --out holds {name}", f"{TRAIN} mine", (f"mine holds {name.partition('/')[0]} already", NEW), prep)
        for name, prep in [
            ("best.safetensors", put("mine/best.safetensors")),
            ("last.ckpt", put("mine/last.ckpt")),
            ("results.csv", put("mine/results.csv")),
            ("curves.png", put("mine/curves.png")),
            ("data.json", put("mine/data.json")),
            ("val_predictions.png", put("mine/val_predictions.png")),
            ("tensorboard/events.1", put("mine/tensorboard/events.1")),
            ("notes.txt", put("mine/notes.txt")),
            ("a link", link("mine/a link", "notes.txt")),
        ]
    ],
    Case(
        "train: --out the folder of --model, by another name",
        f"{TRAIN} ./mine --model mine/best.safetensors",
        "mine holds best.safetensors already",
        folder_of_model,
    ),
    Case("train: --out the folder of the data", f"{TRAIN} images", "images holds train already"),
    Case("train: --out where the user is", f"{TRAIN} .", "holds coco.json already"),
    Case("train: --out above the user", f"{TRAIN} ..", "already; name a new or empty folder"),
    Case("train: --out a run", f"{TRAIN} run", ("run already holds a run", "--resume run"), run(RECORD)),
    Case("train: --out a picture", f"{TRAIN} photo.jpg", "photo.jpg"),
    Case("train: --out below a picture", f"{TRAIN} photo.jpg/run", "photo.jpg/run"),
    Case("train: --out a link to a folder of files", f"{TRAIN} there", NEW, link("there", "images")),
    Case("train: --out a link to a file", f"{TRAIN} there", "there", link("there", "notes.txt")),
    Case("train: --out a pipe", f"{TRAIN} pipe", "pipe", fifo("pipe")),
    Case("train: a lock that is a link", f"{TRAIN} mine", "mine", link("mine/.spikeyolo.lock", "notes.txt")),
    Case("train: a lock that is a folder", f"{TRAIN} mine", "mine", put("mine/.spikeyolo.lock/x")),
    Case("resume: no folder", "train --resume nothing", ("nothing is no folder of a run", "config.yaml")),
    Case("resume: a folder without a run", "train --resume images", "images is no folder of a run"),
    Case("resume: a file", "train --resume photo.jpg", "photo.jpg is no folder of a run"),
    Case(
        "resume: a lock that is a link", RESUME, "run", lambda f: (run(RECORD)(f), link("run/.spikeyolo.lock", "x")(f))
    ),
    Case(
        "resume: a class renamed", RESUME, (OTHER, "was 'Katze', now 'cat'"), run({**RECORD, "names": ["Katze", "dog"]})
    ),
    Case("resume: classes in another order", RESUME, (OTHER, "class 0"), run({**RECORD, "names": CLASSES[::-1]})),
    Case("resume: a class more", RESUME, (OTHER, "2 of them, now 3"), run({**RECORD, "names": CLASSES[:2]})),
    Case("resume: a class less", RESUME, (OTHER, "4 of them, now 3"), run({**RECORD, "names": [*CLASSES, "fox"]})),
    Case("resume: a class with a name of 10 MB", RESUME, OTHER, run({**RECORD, "names": ["x" * 10**7]})),
    Case("resume: a class that writes to the terminal", RESUME, OTHER, run({**RECORD, "names": ["\x1b[2J\r\n"]})),
    Case("resume: data.json is text", RESUME, "run/data.json", run(None, "not JSON")),
    Case("resume: data.json is empty", RESUME, "run/data.json", run(None, "")),
    Case("resume: data.json nested 100,000 deep", RESUME, "run/data.json", deep),
    Case("resume: data.json with a number of 10,000 digits", RESUME, "run/data.json", run(None, "9" * 10_000)),
    Case("resume: data.json of 20 MB", RESUME, "run/data.json", run(None, '"' + "x" * 20_000_000 + '"')),
    Case("resume: data.json is a folder", RESUME, "run/data.json", both(run(RECORD), swap)),
    *[
        Case(f"resume: data.json {what}", RESUME, NOT_OURS, prepare)
        for what, prepare in [
            ("is a list", run([])),
            ("is null", run(None)),
            ("without a split", run({"names": CLASSES, "train": RECORD["train"]})),
            ("without classes", run({"train": RECORD["train"], "val": RECORD["val"]})),
            ("with classes in a mapping", run({**RECORD, "names": [{"a": 1}]})),
            ("with a split that is a number", run({**RECORD, "val": 7})),
            ("with samples in words", with_part("train", samples="many")),
            ("with boxes that are none", with_part("val", boxes=None)),
            ("with a hash that is a list", with_part("val", labels=[[]])),
        ]
    ],
    Case("sweep: --out the folder of the data", f"{SWEEP} images", "images holds train already"),
    Case("sweep: --out a folder with results", f"{SWEEP} mine", "mine holds sweep.csv already", put("mine/sweep.csv")),
    Case("sweep: --out a run", f"{SWEEP} run", "run already holds a run", run(RECORD)),
    Case("sweep: --out a picture", f"{SWEEP} photo.jpg", "photo.jpg"),
    Case("sweep: a lock that is a link", f"{SWEEP} mine", "mine", link("mine/.spikeyolo.lock", "notes.txt")),
    *[
        Case(f"sweep: sweep.json {what}", f"{SWEEP} mine", "mine/sweep.json", put("mine/sweep.json", text))
        for what, text in [
            ("is text", "points"),
            ("nested 100,000 deep", "[" * 100_000),
            ("is a list", "[]"),
            ("without points", '{"subject": {}}'),
            ("with points that are none", '{"subject": {}, "points": 7}'),
            ("of something else", '{"subject": {}, "points": []}'),
            ("with an unknown field", '{"subject": {}, "points": [{"evil": 1}]}'),
        ]
    ],
]
