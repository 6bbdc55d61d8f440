"""Names of classes and files in every script, with control characters, markup, bytes that are no UTF-8, too long."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.trust.harness import Case

from spikeyolo import SpikeYOLO

NAMES = {
    "Chinese": "细胞",
    "Arabic": "خلية",
    "emoji": "😀🩸",
    "emoji in JSON escapes": "\ud83d\ude00\ud83e\ude78",
    "Devanagari": "कोशिका",
    "half a character": "lone \ud83d",
    "markup": "[/red]",
    "escape sequences": "a\x1b[31mb\x07",
    "a line break and a NUL": "a\nspikeyolo: done\x00",
    "the direction turned": "a\u202eb",
    "300 characters": "n" * 300,
    "a formula": "$x_1$",
    "a path": "../up",
    "a slash": "a/b",
    "a device of Windows": "con",
}
LATIN_1 = "caf\udce9"
"""As Python writes the bytes b"caf\\xe9"."""
SHOWN_LATIN_1 = r"caf\xe9"
BASE = "predict --weights model.safetensors --conf 0.0001 --max-det 2 --out found"


def class_is(name: str) -> Callable[[Path], None]:
    """The first class has this name, in the data.yaml and in the weights."""

    def prepare(folder: Path) -> None:
        names = [name, "dog", "bird"]
        text = f"train: images/train\nval: images/val\nnames: {json.dumps(names)}\n"
        (folder / "data.yaml").write_text(text, encoding="utf-8")
        model = SpikeYOLO.load(folder / "model.safetensors")
        model.names = tuple(names)
        model.save(folder / "model.safetensors")

    return prepare


def photo_is(name: str) -> Callable[[Path], None]:
    """There is a photo, and a copy of it of this name."""
    return lambda folder: shutil.copy(folder / "photo.jpg", folder / name) and None


def model_is(name: str) -> Callable[[Path], None]:
    """The weights are copied to a file of this name."""
    return lambda folder: shutil.copy(folder / "model.safetensors", folder / name) and None


def coco_class_is(name: str) -> Callable[[Path], None]:
    """The first category has this name."""

    def prepare(folder: Path) -> None:
        content = json.loads((folder / "coco.json").read_text())
        content["categories"][0]["name"] = name
        (folder / "coco.json").write_text(json.dumps(content))
        (folder / "both.yaml").write_text("train: images/train\nval_json: coco.json\nnames: [cat, dog, bird]\n")

    return prepare


def data_yaml(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "data.yaml").write_text(text, encoding="utf-8") and None


def image_in_data(name: str) -> Callable[[Path], None]:
    """An image of the data set has this name, and its labels are no numbers."""

    def prepare(folder: Path) -> None:
        (folder / "images/val/val0.jpg").rename(folder / "images/val" / f"{name}.jpg")
        (folder / "labels/val/val0.txt").rename(folder / "labels/val" / f"{name}.txt")
        (folder / "labels/val" / f"{name}.txt").write_text("no label\n")

    return prepare


def into_a_folder(folder: Path) -> None:
    """The image `red` comes to lie in a folder `[`, its labels too, under a name that ends the markup."""
    for kind, ending in (("images", "jpg"), ("labels", "txt")):
        (folder / kind / "val/[").mkdir()
        (folder / kind / f"val/red.{ending}").rename(folder / kind / f"val/[/red].{ending}")


CASES = [
    *(
        Case(f"data check: a class named by {what}", "data check data.yaml", "train.png", class_is(name), code=0)
        for what, name in NAMES.items()
    ),
    *(
        Case(
            f"predict: a class named by {what}",
            f"{BASE} --source photo.jpg --crops --json --text",
            "written to found",
            class_is(name),
            code=0,
        )
        for what, name in NAMES.items()
    ),
    Case("val: a class in Arabic", "val --weights model.safetensors --data data.yaml --workers 0", "خلية",
         class_is(NAMES["Arabic"]), code=0),
    Case("val: a class named by markup", "val --weights model.safetensors --data data.yaml --workers 0", "[/red]",
         class_is("[/red]"), code=0),
    Case("val: a class named by escape sequences", "val --weights model.safetensors --data data.yaml --workers 0",
         r"a\x1b[31mb\x07", class_is(NAMES["escape sequences"]), code=0),
    Case("data check: two classes alike once cut", "data check data.yaml", ("data.yaml", "named twice"),
         data_yaml(f"train: images/train\nval: images/val\nnames: [{'n' * 300}, {'n' * 301}, c]\n")),
    Case("data check: half a character in a path", "data check data.yaml", ("data.yaml", "train", "cannot be a path"),
         data_yaml('train: "images/\\ud83d"\nval: images/val\nnames: [a, b, c]\n')),
    Case("data check: a NUL in a path", "data check data.yaml", ("data.yaml", "val", "cannot be a path"),
         data_yaml('train: images/train\nval: "images/\\0"\nnames: [a, b, c]\n')),
    Case("data check: escape sequences in a path", "data check data.yaml", r"no\x1b[31m",
         data_yaml('train: "no\\e[31m"\nval: images/val\nnames: [a, b, c]\n')),
    Case("data check: a category with escape sequences", "data check both.yaml", ("x1b[31mb'", "both.yaml"),
         coco_class_is("a\x1b[31mb")),
    Case("data check: a category in a data set of its own", "data check coco.json", "val", coco_class_is("[/red]"),
         code=0),
    Case("data check: labels of an image named by markup", "data check data.yaml", "[/red].txt",
         lambda folder: image_in_data("red")(folder) or into_a_folder(folder)),
    Case("data check: labels of an image named by escape sequences", "data check data.yaml", r"a\x1b[31mb.txt",
         image_in_data("a\x1b[31mb")),
    Case("data check: labels of an image in Latin-1", "data check data.yaml", rf"{SHOWN_LATIN_1}.txt",
         image_in_data(LATIN_1)),
    Case("data check: labels of an image in Chinese", "data check data.yaml", "图片.txt", image_in_data("图片")),
    *(
        Case(f"predict: a photo named by {what}", f"{BASE} --source '{name}' --crops --json --text",
             "written to found", photo_is(name), code=0)
        for what, name in {
            "Chinese": "细胞.jpg",
            "Latin-1": f"{LATIN_1}.jpg",
            "emoji of 255 bytes": "😀" * 62 + "abc.jpg",
            "255 letters": "y" * 251 + ".jpg",
            "a line break and escape sequences": "a\nb\x1b[31m.jpg",
            "brackets": "[red].jpg",
            "a field of a format": "{0}%03d.jpg",
        }.items()
    ),
    Case("predict: a source that is not there, with escape sequences", f"{BASE} --source 'a\x1b b\n.jpg'",
         r"a\x1b b .jpg: no such"),
    Case("predict: a source that is not there, in Latin-1", f"{BASE} --source {LATIN_1}.jpg", rf"{SHOWN_LATIN_1}.jpg"),
    Case("predict: a text named as an image, in Latin-1", f"{BASE} --source {LATIN_1}.jpg", rf"{SHOWN_LATIN_1}.jpg: ",
         lambda folder: shutil.copy(folder / "notes.txt", folder / f"{LATIN_1}.jpg") and None),
    Case("predict: weights in Latin-1", f"predict --weights {LATIN_1}.safetensors --source photo.jpg --out found",
         "written to found", model_is(f"{LATIN_1}.safetensors"), code=0),
    Case("predict: weights named by markup that are not there", "predict --weights '[/red]\x1b[0m' --source photo.jpg",
         r"[/red]\x1b[0m"),
    Case("predict: a folder in Latin-1 to write to", f"{BASE.replace('found', LATIN_1)} --source photo.jpg --json",
         f"written to {SHOWN_LATIN_1}", code=0),
    Case("train: a folder in Latin-1 to write to", f"train --model t --data data.yaml --out {LATIN_1}",
         (SHOWN_LATIN_1, "UTF-8")),
    Case("a command with escape sequences", "'tr\x1b[31main'", r"tr\x1b[31main", code=2),
    Case("an option with escape sequences", "val '--w\x1b[31m'", r"--w\x1b[31m", code=2),
]  # fmt: skip
