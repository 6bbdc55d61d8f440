"""What a data.yaml (or a bare COCO JSON) says: class names, and for each split its images and annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, DataError, quote
from ...reading import file_kind, shown
from ..data_yaml import SPLITS, as_path, check_keys, check_split, class_names
from .coco_json import category_names, read_coco_json

VOC = "voc"
KEYS = ("path", "names", "nc", *SPLITS, *(f"{split}_json" for split in SPLITS))
VOC_KEYS = ("format", "path", "names", *SPLITS)
IGNORED_KEYS = ("download", "roboflow")  # written by other tools; nothing in them is needed, and nothing is run


@dataclass(frozen=True)
class Split:
    """Where the images of one split are.

    Attributes:
        name: "train", "val" or "test".
        sources: folders, text files that list images, or single images.
        annotation_file: a COCO JSON; without one, labels are files beside the images, YOLO's or VOC's.
        voc: sources are VOC's lists of names, and labels its XML.
    """

    name: str
    sources: tuple[Path, ...]
    annotation_file: Path | None = None
    voc: bool = False


@dataclass(frozen=True)
class ImageDescription:
    """A data set of images as its file describes it.

    Attributes:
        file: the data.yaml or COCO JSON.
        root: the folder that the file's paths are relative to.
        names: class names by class index.
        splits: by name; those the file does not mention are absent.
        base: the file beside which the index is kept: `file`, unless that ships with the package.
    """

    file: Path
    root: Path
    names: tuple[str, ...]
    splits: Mapping[str, Split]
    base: Path | None = None

    def split(self, name: str) -> Split:
        """Return the split of that name; a bare COCO JSON is any split but the one to train on.

        Raises:
            ConfigError: the file describes none.
        """
        if self.file.suffix.lower() == ".json" and name in SPLITS:
            if name == "train":
                raise ConfigError(
                    f"{self.file}: names no split to train on (a bare COCO JSON is for evaluation); "
                    "write a data.yaml with train_json and val_json"
                )
            return next(iter(self.splits.values()))
        check_split(self.file, name, self.splits, "a folder of images")
        return self.splits[name]


def describe_images(file: Path, content: dict[str, Any], base: Path | None = None) -> ImageDescription:
    """Return the data set of a YOLO data.yaml, with or without `train_json`, `val_json`, `test_json`; or `format: voc`.

    `path` is relative to the YAML's folder, everything else to `path`. With large JSON files, name the folder and the
    names in the YAML: then the JSON is read only when it has changed.

    Args:
        file: the data.yaml.
        content: what it holds.
        base: the file to which paths are relative, where it is another one.

    Raises:
        ConfigError: an unknown or missing key, or a wrong value.
        DataError: a file or folder that does not exist.
    """
    voc = content.get("format") == VOC
    check_keys(file, content, VOC_KEYS if voc else KEYS, IGNORED_KEYS)
    root = (base or file).parent / as_path(file, "path", content.get("path") or ".")
    if file_kind(root) != "folder":
        raise DataError(f"{file}: path: no such folder {shown(root)} (a relative path starts at the YAML's folder)")
    splits = {name: split for name in SPLITS if (split := _split(file, content, root, name, voc))}
    if not splits:
        raise ConfigError(f"{file}: no images named; add 'train:' and 'val:' with folders of images")
    names = _names(file, content, splits)
    if content.get("nc") not in (None, len(names)):
        raise ConfigError(f"{file}: nc: {quote(content['nc'])} beside {len(names)} names; correct one or leave nc out")
    return ImageDescription(file, root, names, splits, base)


def _split(file: Path, content: dict[str, Any], root: Path, name: str, voc: bool) -> Split | None:
    value, annotation = content.get(name), content.get(f"{name}_json")
    if value is None and annotation is None:
        return None
    annotation_file = root / as_path(file, f"{name}_json", annotation) if annotation is not None else None
    if annotation_file and not file_kind(annotation_file):
        raise DataError(f"{file}: {name}_json: no such file {shown(annotation_file)}")
    if value is None:
        assert annotation_file is not None
        folder = _find_images(annotation_file, read_coco_json(annotation_file))
        return Split(name, (folder,), annotation_file)
    values = value if isinstance(value, list) else [value]
    sources = tuple(root / as_path(file, name, v) for v in values)
    if not sources:
        raise ConfigError(f"{file}: {name}: an empty list; name a folder of images")
    for source in sources:
        if source.suffix.lower() == ".json":
            raise ConfigError(f"{file}: {name}: {source.name} is no folder of images; name it as '{name}_json:'")
        if not file_kind(source):
            raise DataError(
                f"{file}: {name}: no such folder or file {shown(source)} (a relative path starts at {shown(root)})"
            )
        if voc and file_kind(source) != "file":
            raise ConfigError(f"{file}: {name}: {shown(source)} is no list of names, such as ImageSets/Main/{name}.txt")
    return Split(name, sources, annotation_file, voc)


def _names(file: Path, content: dict[str, Any], splits: Mapping[str, Split]) -> tuple[str, ...]:
    names = content.get("names")
    if names is None:
        for split in splits.values():
            if split.annotation_file:
                return category_names(split.annotation_file, read_coco_json(split.annotation_file))
        raise ConfigError(f"{file}: no 'names'; list the class names in the order of their indices")
    return class_names(file, names)


def describe_json(file: Path) -> ImageDescription:
    """Return the data set that a bare COCO JSON describes: one split, its images near the file.

    They are looked for beside it and in the usual places: beside `annotations/..._val2017.json` is often `val2017`.

    Raises:
        DataError: not such a file, or no image near it.
        ConfigError: a class named twice.
    """
    content = read_coco_json(file)
    names = category_names(file, content)
    sources = (_find_images(file, content),)
    return ImageDescription(file, file.parent, names, {"val": Split("val", sources, file)})


def _find_images(annotation_file: Path, content: dict[str, Any]) -> Path:
    """The folder that holds the first image of a COCO file; guessed only among a few, and always by that image."""
    images = content["images"]
    if not images:
        raise DataError(f"{annotation_file}: images: the list is empty")
    first = images[0]["file_name"]
    parent, split = annotation_file.parent, annotation_file.stem.rsplit("_", 1)[-1]
    for folder in _likely_folders(parent, split):
        if file_kind(folder / first) == "file":
            return folder
    mend = "name their folder in a data.yaml"
    raise DataError(f"{annotation_file}: its images ({quote(first)}, ...) are not near it; {mend}")


def _likely_folders(parent: Path, split: str) -> Iterable[Path]:
    for base in (parent, parent.parent):
        yield from (base, base / "images", base / split, base / "images" / split)
