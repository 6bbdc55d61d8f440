"""Outputs that would go where something is: an input, a file of the user's, a link, a device."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.helpers.golden import GOLDEN
from tests.trust.harness import Case
from tests.trust.weights import OLD

PREDICT = "predict --weights model.safetensors --source"
VAL = "val --weights model.safetensors --data data.yaml --workers 0"
ENERGY = "energy --weights model.safetensors --data data.yaml --workers 0 --no-verify"
VIEW = "events view events/train/a_td.dat"
TRAIN = "train --epochs 1 --batch 2 --workers 0 --device cpu"
EXPORT = "export --weights model.safetensors"
SWEEP = "sweep --data data.yaml --timesteps 1 --max-count 4 --workers 0 --device cpu"
THERE, READS, FOLDER = "exists already", "this command reads", "holds files already, such as"


def with_file(*names: str, content: str = "mine") -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)

    return prepare


def with_link(name: str, target: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(folder / target)

    return prepare


def with_pipe(name: str) -> Callable[[Path], None]:
    return lambda folder: os.mkfifo(folder / name)


def with_published(folder: Path) -> None:
    shutil.copy(GOLDEN / "tiny" / "reference.pt", folder / OLD)


def with_texts(folder: Path) -> None:
    """A network that finds something, and images with labels of the same names beside them."""
    for file in (folder / "labels" / "val").iterdir():
        (folder / "images" / "val" / file.name).write_text(file.read_text())


CASES = [
    Case("predict: the folder of the images as --out", f"{PREDICT} images/val --out images/val", READS),
    Case("predict: the same with --overwrite", f"{PREDICT} images/val --out images/val --overwrite", READS),
    Case("predict: a folder above the images", f"{PREDICT} images/val --out images --overwrite", READS),
    Case("predict: the working directory as --out", f"{PREDICT} photo.jpg --out .", READS),
    Case("predict: a folder of notes as --out", f"{PREDICT} photo.jpg --out mine", FOLDER, with_file("mine/notes.txt")),
    Case("predict: a file as --out", f"{PREDICT} photo.jpg --out notes.txt", "notes.txt: is a file, no folder"),
    Case("predict: the weights as --out", f"{PREDICT} photo.jpg --out model.safetensors", "is a file, no folder"),
    Case("predict: a file above --out", f"{PREDICT} photo.jpg --out notes.txt/out", "cannot be made a folder"),
    Case("predict: an empty --out", f"{PREDICT} photo.jpg --out ''", "is empty"),
    Case("predict: labels in the way", f"{PREDICT} photo.jpg --out labels --text", "holds files already"),
    Case("predict: a dangling link as --out", f"{PREDICT} photo.jpg --out l", "l: ", with_link("l", "nowhere/else")),
    Case(
        "predict: a link as OUT/labels",
        f"{PREDICT} photo.jpg --out out --text --overwrite",
        "labels: is a link",
        lambda folder: (with_file("out/x")(folder), with_link("out/labels", "labels")(folder)),
    ),
    Case(
        "predict: a link as OUT/crops",
        f"{PREDICT} photo.jpg --out out --crops --overwrite",
        "crops: is a link",
        lambda folder: (with_file("out/x")(folder), with_link("out/crops", "images")(folder)),
    ),
    Case(
        "predict: links as OUT/predictions.json and OUT/photo.jpg are replaced, not followed",
        f"{PREDICT} images/val/val0.jpg --out out --json --overwrite",
        "written to out",
        lambda folder: (
            with_file("out/x")(folder),
            (folder / "out" / "predictions.json").symlink_to(folder / "elsewhere.json"),
            (folder / "out" / "val0.jpg").symlink_to(folder / "notes.txt"),
        ),
        code=0,
        replaces=("out/predictions.json", "out/val0.jpg"),
    ),
    Case(
        "predict: a folder in the way of predictions.json",
        f"{PREDICT} photo.jpg --out out --json --overwrite",
        "predictions.json: is a folder",
        lambda folder: (folder / "out" / "predictions.json").mkdir(parents=True),
    ),
    Case(
        "predict: runs number themselves",
        f"{PREDICT} photo.jpg",
        "written to runs/predict-2",
        with_file("runs/predict/photo.jpg"),
        code=0,
    ),
    Case(
        "predict: an empty folder is taken",
        f"{PREDICT} photo.jpg --out out --text --json --crops",
        "written to out",
        lambda folder: (folder / "out").mkdir(),
        code=0,
    ),
    *(
        Case(f"{command.split()[0]}: --{option} over {name}", f"{command} --{option} {name}", says)
        for command, option, ending in ((VAL, "json", ".json"), (ENERGY, "json", ".json"), (ENERGY, "html", ".html"))
        for name, says in (
            ("data.yaml", f"must end in {ending}"),
            ("model.safetensors", f"must end in {ending}"),
            ("images/val/val0.jpg", f"must end in {ending}"),
            ("notes.txt", f"must end in {ending}"),
            ("images", f"must end in {ending}"),
            ("''", "is empty"),
        )
    ),
    Case("val: --json over a file of the user's", f"{VAL} --json mine.json", THERE, with_file("mine.json")),
    Case(
        "val: --json over the annotations",
        "val --weights model.safetensors --data coco.json --workers 0 --json coco.json --overwrite",
        READS,
    ),
    Case(
        "val: --json over annotations that the data.yaml names",
        f"{VAL} --json coco.json --overwrite",
        READS,
        with_file("data.yaml", content="val: images/val\nval_json: coco.json\nnames: [cat, dog, bird]\n"),
    ),
    Case("val: --json over a link", f"{VAL} --json l.json --overwrite", "is a link", with_link("l.json", "coco.json")),
    Case("val: --json over a pipe", f"{VAL} --json p.json --overwrite", "is a device", with_pipe("p.json")),
    Case("val: --json over a device", f"{VAL} --json /dev/null --overwrite", "must end in .json"),
    Case("val: --out the folder of the data", f"{VAL} --out .", READS),
    Case("val: --out a folder of notes", f"{VAL} --out mine", FOLDER, with_file("mine/f1.png")),
    Case("val: --out the images", f"{VAL} --out images", FOLDER),
    Case("energy: --html over a page of the user's", f"{ENERGY} --html my.html", THERE, with_file("my.html")),
    Case("energy: --json over a file of the user's", f"{ENERGY} --json mine.json", THERE, with_file("mine.json")),
    Case(
        "energy: --json over a link", f"{ENERGY} --json l.json --overwrite", "is a link", with_link("l.json", "x.json")
    ),
    Case("convert: over weights of the user's", "convert no.pt model.safetensors", THERE),
    Case("convert: over its own input", "convert model.safetensors model.safetensors --overwrite", READS),
    Case("convert: to another ending", "convert no.pt model.pt", "must end in .safetensors"),
    Case("export: over a file of notes", f"{EXPORT} --out notes.txt", "must end in .onnx"),
    Case("export: over its own input", f"{EXPORT} --format nir --out model.safetensors", "must end in .nir"),
    Case("export: over a network of the user's", f"{EXPORT} --out mine.onnx", THERE, with_file("mine.onnx")),
    Case("export: over a link", f"{EXPORT} --out l.onnx --overwrite", "is a link", with_link("l.onnx", "photo.jpg")),
    Case("export: a folder of images", f"{EXPORT} --format openvino --out images", FOLDER),
    Case(
        "export: a folder of notes with --overwrite",
        f"{EXPORT} --format openvino --out mine --overwrite",
        "holds notes.txt; move that elsewhere",
        with_file("mine/notes.txt"),
    ),
    Case("export: a run.py of the user's", f"{EXPORT} --out a.onnx", "run_a.py", with_file("run.py"), code=0),
    Case(
        "benchmark: a folder of images", "benchmark --weights model.safetensors --data data.yaml --out images", FOLDER
    ),
    Case("view: over the recording", f"{VIEW} --out events/train/a_td.dat", "must end in .png"),
    Case("view: over a photo", f"{VIEW} --out photo.jpg", THERE),
    Case("view: numbers itself", VIEW, "events-2.png", with_file("events.png"), code=0),
    Case("view: over a link", f"{VIEW} --out l.png --overwrite", "is a link", with_link("l.png", "photo.jpg")),
    Case("data check: --out the images", "data check data.yaml --out images", FOLDER),
    Case(
        "data check: numbers itself",
        "data check data.yaml",
        "runs/data-check-2/train.png",
        with_file("runs/data-check/train.png"),
        code=0,
    ),
    Case("demo: --out a folder of the user's", "demo --out images", FOLDER),
    Case("demo: --out a file", "demo --out notes.txt", "no folder"),
    Case(
        "data check: a link as the cache of a data set",
        "data check data.yaml",
        "runs/data-check",
        lambda folder: (
            (folder.parent / "elsewhere").mkdir(),
            (folder / ".spikeyolo_cache").symlink_to(folder.parent / "elsewhere"),
        ),
        code=0,
    ),
    Case(
        "sweep: --out a folder of the user's",
        "sweep --weights model.safetensors --data data.yaml --timesteps 1 --max-count 4 --workers 0 --out mine",
        "mine holds sweep.csv already",
        with_file("mine/sweep.csv"),
    ),
    Case(
        "train: --out a folder with weights",
        "train --data data.yaml --model t --imgsz 64 --epochs 1 --out mine",
        "best.safetensors",
        with_file("mine/best.safetensors"),
    ),
    Case(
        "train: --out a folder with results",
        "train --data data.yaml --model t --imgsz 64 --epochs 1 --out mine",
        "results.csv",
        with_file("mine/results.csv"),
    ),
    Case(
        "train: --out the folder of the --model",
        "train --data data.yaml --model mine/best.safetensors --imgsz 64 --epochs 1 --out mine",
        "best.safetensors",
        lambda folder: (
            with_file("mine/x")(folder),
            (folder / "mine" / "best.safetensors").write_bytes((folder / "model.safetensors").read_bytes()),
        ),
    ),
    Case("train: --out a file", "train --data data.yaml --model t --imgsz 64 --epochs 1 --out notes.txt", "notes.txt"),
    Case("train: an empty --out", "train --data data.yaml --model t --imgsz 64 --epochs 1 --out ''", "is empty"),
    Case(
        "a folder full of a user's files: convert",
        f"convert {OLD} new.safetensors",
        "new.safetensors",
        with_published,
        code=0,
    ),
    *(
        Case(f"a folder full of a user's files: {words}", words, says, code=0)
        for words, says in (
            (f"{PREDICT} photo.jpg images/val --json --text --crops", "runs/predict"),
            ("predict --weights model-events.safetensors --source events/val --json", "runs/predict"),
            (f"{VAL} --json n.json --out plots", "plots/"),
            ("val --weights model.safetensors --data coco.json --workers 0 --out plots", "plots/"),
            ("val --weights model-events.safetensors --data events/events.yaml --workers 0 --out plots", "plots/"),
            (f"{ENERGY} --json e.json --html e.html", "additions"),
            ("data check data.yaml", "runs/data-check"),
            ("data check coco.json", "runs/data-check"),
            ("events info events/events.yaml", "96"),
            ("events view events/val/c_td.dat --data events/events.yaml", "events.png"),
            ("events prepare events/events.yaml prepared --workers 1", "written to prepared"),
            (f"{TRAIN} --data data.yaml --model model.safetensors --imgsz 64", "runs/train/best.safetensors"),
            (f"{TRAIN} --data events/events.yaml --model model-events.safetensors", "runs/train/best.safetensors"),
            (EXPORT, "model-onnx.onnx"),
            (f"{EXPORT} --format integer --golden-size 32", "model-integer"),
            (f"{EXPORT} --format openvino --precision int8", "model-openvino"),
            (f"{SWEEP} --weights model.safetensors", "runs/sweep"),
            (f"{SWEEP} --train small --model model.safetensors --epochs 1 --imgsz 64", "runs/sweep"),
        )
    ),
]
