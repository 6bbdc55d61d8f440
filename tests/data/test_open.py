"""Opening data sets: each kind of file, one protocol for all, and what is said about anything else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.helpers.event_datasets import write_data_set
from tests.helpers.images import write_image
from tests.helpers.index_caches import kept_index

from spikeyolo.data import index_cache
from spikeyolo.data.data_set import DataSet
from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.event_data import EventData
from spikeyolo.data.events.rvt_export import export_split
from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.data.images.image_data import ImageData
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.errors import ConfigError, DataError, SpikeYOLOError
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput


def coco_json(folder: Path) -> Path:
    """Two images beside the JSON."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in (1, 2)]
    for image in images:
        write_image(folder / image["file_name"])
    boxes = [{"id": 1, "image_id": 2, "category_id": 5, "bbox": [1, 2, 10, 20], "area": 200, "iscrowd": 0}]
    file = folder / "instances_val.json"
    file.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 5, "name": "cat"}]}))
    return file


def yolo(folder: Path) -> Path:
    for number in range(2):
        write_image(folder / "images" / f"{number}.png")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [cat]\n")
    return folder / "data.yaml"


def coco(folder: Path) -> Path:
    coco_json(folder)
    file = folder / "data.yaml"
    file.write_text("train: .\ntrain_json: instances_val.json\nval: .\nval_json: instances_val.json\nnames: [cat]\n")
    return file


def rvt(folder: Path) -> Path:
    pytest.importorskip("hdf5plugin", reason="needs the extra 'events'")
    recordings = open_data(write_data_set(folder / "recordings"))
    for split in recordings.splits:
        export_split(recordings, split, folder)
    file = folder / "data.yaml"
    file.write_text("format: rvt\ntrain: train\nval: val\ntest: test\nnames: [car, person]\n")
    return file


KINDS = {"yolo": yolo, "coco": coco, "coco json": coco_json, "prophesee": write_data_set, "rvt": rvt}
NOTHING_GIVEN = SimpleNamespace(imgsz=None, preparation=None, representation=None, window_us=None, timesteps=None)


@dataclass(frozen=True)
class Settings:
    """As those of a training."""

    augmentation: Augmentation = field(default_factory=Augmentation)
    event_augmentation: EventAugmentation = field(default_factory=EventAugmentation)
    preparation: str | None = None
    representation: str | None = None
    window_us: int | None = None
    cache_mb: float = 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_used_in_the_same_way(kind: str, tmp_path: Path) -> None:
    data: DataSet = open_data(KINDS[kind](tmp_path))
    assert data.file.is_file()
    assert set(data.splits) <= {"train", "val", "test"}
    seen = data.training_input(NOTHING_GIVEN)
    data.check_settings(Settings())
    index = data.split("val", progress=False)
    assert index.names == data.names
    augmentation = index.train_augmentation(Settings())
    for dataset in (index.dataset(seen), index.dataset(seen, augmentation, seed=1, epochs=2, cache_mb=0)):
        assert len(dataset) == len(index) == 2
        (batch,) = Loader(dataset, EpochBatchSampler(len(dataset), 2, shuffle=False))
        assert batch.batch_size == 2
        assert batch.images.shape[-2] % 32 == 0
    assert torch.isfinite(batch.images.float()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_comes_from_the_cache_without_a_file_being_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KINDS[kind](tmp_path)
    first = open_data(file).split("val", progress=False)
    kept = kept_index(file, "val")
    assert kept is not None
    assert kept.parent == file.parent / ".spikeyolo_cache"
    for reader in (
        "images.scan.inspect_image",
        "events.frame_sources.open_recording",
        "events.frame_sources.RvtSource.read",
    ):
        monkeypatch.setattr(f"spikeyolo.data.{reader}", lambda *_: pytest.fail("read again"))
    again = open_data(file).split("val", progress=False)
    assert [again.objects(i)[0].tolist() for i in range(2)] == [first.objects(i)[0].tolist() for i in range(2)]


@pytest.mark.parametrize("kind", ["yolo", "prophesee"])
def test_a_folder_that_cannot_be_written_keeps_its_index_in_the_users_cache(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KINDS[kind](tmp_path / "set") if kind == "prophesee" else yolo(_made(tmp_path / "set"))
    before = sorted(file.parent.iterdir())
    file.parent.chmod(0o555)  # the superuser, whom this does not stop, goes by the mode too
    try:
        open_data(file).split("val", progress=False)
        assert sorted(file.parent.iterdir()) == before
        kept = kept_index(file, "val")
        assert kept is not None
        assert kept.is_relative_to(index_cache.os.environ["XDG_CACHE_HOME"])
        for reader in ("images.scan.inspect_image", "events.frame_sources.open_recording"):
            monkeypatch.setattr(f"spikeyolo.data.{reader}", lambda *_: pytest.fail("read again"))
        assert len(open_data(file).split("val", progress=False)) == 2
    finally:
        file.parent.chmod(0o755)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_where_nothing_can_be_kept_a_split_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    file = yolo(_made(tmp_path / "set"))
    (file.parent / ".spikeyolo_cache").write_text("in the way")
    assert len(open_data(file).split("val", progress=False)) == 2
    assert kept_index(file, "val") is None


def test_a_bare_coco_json_is_for_evaluation_alone(tmp_path: Path) -> None:
    data = open_data(coco_json(tmp_path))
    assert data.splits == ("val",)
    assert len(data.split("test", progress=False)) == len(data.split("val", progress=False)) == 2
    with pytest.raises(ConfigError, match=r"instances_val\.json: names no split to train on.*train_json and val_json"):
        data.split("train")
    with pytest.raises(ConfigError, match="did you mean 'val'"):
        data.split("vall")


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("yolo", {"preparation": "counts"}, "preparation: for recordings"),
        ("yolo", {"representation": "voxel_grid"}, "representation: for recordings"),
        ("yolo", {"window_us": 1000}, "window_us: for recordings"),
        ("yolo", {"imgsz": 100}, "imgsz: 100"),
        ("prophesee", {"imgsz": 640}, "imgsz: for images"),
        ("prophesee", {"representation": "frames"}, "'frames'"),
        ("rvt", {"representation": "voxel_grid"}, "the frames on disk were made with representation"),
    ],
)
def test_options_that_do_not_apply_are_refused(kind: str, given: dict[str, object], says: str, tmp_path: Path) -> None:
    data = open_data(KINDS[kind](tmp_path))
    with pytest.raises(ConfigError, match=says):
        data.training_input(SimpleNamespace(**given))


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ("yolo", Settings(event_augmentation=EventAugmentation(zoom=0.1)), "event_augmentation.zoom: for recordings"),
        ("yolo", Settings(window_us=5), "window_us: for recordings"),
        ("prophesee", Settings(augmentation=Augmentation(mosaic=0.5)), "augmentation.mosaic: for images"),
        ("prophesee", Settings(cache_mb=5), "cache_mb: for images"),
    ],
)
def test_settings_that_do_not_apply_are_refused(kind: str, settings: Settings, says: str, tmp_path: Path) -> None:
    data = open_data(KINDS[kind](tmp_path))
    with pytest.raises(ConfigError, match=f"^{says}"):
        data.check_settings(settings)


def test_options_that_apply_are_taken(tmp_path: Path) -> None:
    images, recordings = open_data(yolo(_made(tmp_path / "a"))), open_data(write_data_set(tmp_path / "b"))
    assert images.training_input(SimpleNamespace(imgsz=256, timesteps=4)) == ImageInput((256, 256))
    assert recordings.training_input(SimpleNamespace(timesteps=4, window_us=40_000)) == EventInput(
        timesteps=4, window_us=40_000
    )


def test_a_network_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    images = open_data(yolo(_made(tmp_path / "a"))).split("val", progress=False)
    recordings = open_data(write_data_set(tmp_path / "b")).split("val", progress=False)
    with pytest.raises(ConfigError, match="the model sees recordings, the data are images"):
        images.dataset(EventInput())
    with pytest.raises(ConfigError, match="the model sees images, the data are recordings"):
        recordings.dataset(ImageInput())


def broken(folder: Path, name: str, content: str | bytes | None) -> Path:
    file = folder / name
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.yaml", None, "no such file; give a data.yaml or a COCO JSON"),
        ("a.yaml", "train: [x", "line"),
        ("a.yaml", b"\xff\xfe\x00", "cannot be read as YAML"),
        ("a.yaml", "- 1", "got no keys at all"),
        ("a.yaml", "format: coco\ntrain: x\nnames: [a]", "format: 'coco' is not one of prophesee, dsec, pedro, rvt"),
        ("a.json", "{}", "no list 'images'"),
        ("a.json", "{", "cannot be read as JSON"),
        ("a.jpg", b"\xff\xd8", "is a single image; give a data.yaml"),
        ("a_td.dat", b"% x", "is a single recording; give a data.yaml"),
    ],
)
def test_what_is_no_data_set_is_one_clear_line(
    name: str, content: str | bytes | None, says: str, tmp_path: Path
) -> None:
    file = broken(tmp_path, name, content)
    with pytest.raises(SpikeYOLOError) as caught:
        open_data(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (("data.yaml", "a.jpg"), "is a folder; give {folder}/data.yaml"),
        (("coco.yml", "other.yaml"), "is a folder; give {folder}/coco.yml"),
        (("a.jpg", "b.png"), "is a folder of images; write a data.yaml with train, val and names"),
        (("a_td.dat", "a_bbox.npy"), "is a folder of recordings; write a data.yaml with 'format: prophesee'"),
        ((), "is a folder without a data.yaml"),
    ],
)
def test_a_folder_says_what_to_give_in_its_place(files: tuple[str, ...], says: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert says.format(folder=tmp_path) in str(caught.value)


def test_only_the_kind_of_file_decides(tmp_path: Path) -> None:
    assert isinstance(open_data(yolo(_made(tmp_path / "a"))), ImageData)
    assert isinstance(open_data(str(write_data_set(tmp_path / "b"))), EventData)
