from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.helpers.images import write_image

from spikeyolo.data.grids import batch_grid, index_grid
from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.data.images.dataset import ImageDataset, collate
from spikeyolo.data.images.index import ImageIndex
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import read_rgb
from spikeyolo.imaging.letterbox import letterbox
from spikeyolo.structures import Batch

MIXED = Augmentation(mosaic=0.7, mixup=0.5, degrees=10, vflip=0.3)


@pytest.fixture
def index(yolo_set: Path) -> ImageIndex:
    return open_data(yolo_set).split("train")


@pytest.fixture
def larger(tmp_path: Path) -> ImageIndex:
    """Eleven images of several sizes, one box each."""
    for number in range(11):
        image = write_image(tmp_path / "images" / f"{number}.png", 30 + number, 60 - number, 20 * number)
        label = tmp_path / "labels" / image.with_suffix(".txt").name
        label.parent.mkdir(exist_ok=True)
        label.write_text(f"{number % 2} 0.5 0.5 0.6 0.4\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    return open_data(tmp_path / "data.yaml").split("train")


def equal(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.targets.boxes, other.targets.boxes)
        and torch.equal(one.targets.labels, other.targets.labels)
        and torch.equal(one.targets.image_index, other.targets.image_index)
        and one.image_ids == other.image_ids
        and one.placements == other.placements
    )


def test_letterboxed_batch_by_hand(index: ImageIndex) -> None:
    dataset = ImageDataset(index, 120)
    batch = collate([dataset[i] for i in range(3)])
    assert (batch.images.shape, batch.images.dtype) == ((3, 3, 120, 120), torch.uint8)
    # 60 x 40 -> 120 x 80, with 20 rows of grey above and below.
    assert batch.targets.boxes.tolist() == [[30, 40, 90, 80], [24, 52, 36, 68], [84, 52, 96, 68]]
    assert batch.targets.labels.tolist() == [0, 1, 0]
    assert batch.targets.image_index.tolist() == [0, 1, 1]
    assert batch.image_ids == index.paths
    assert (batch.images[:, :, :20] == 114).all()
    expected, placement = letterbox(read_rgb(index.paths[1]), (120, 120))
    assert (batch.images[1].permute(1, 2, 0).numpy() == expected).all()
    assert batch.placements[1] == placement
    assert placement.to_original(batch.targets.boxes[:1]).tolist() == [[15, 10, 45, 30]]


def test_a_batch_without_boxes_keeps_its_shapes(index: ImageIndex) -> None:
    batch = collate([ImageDataset(index, 64)[2]])
    assert batch.targets.boxes.shape == (0, 4)
    assert batch.targets.labels.dtype == torch.int64
    far = Augmentation(min_side=99)
    assert collate([ImageDataset(index, 64, far)[0]]).targets.boxes.shape == (0, 4)


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(mosaic=0), MIXED])
def test_augmented_samples_are_valid_and_repeat(larger: ImageIndex, augmentation: Augmentation) -> None:
    first, again = (ImageDataset(larger, (48, 64), augmentation, seed=7) for _ in range(2))
    for epoch, image in [(0, 0), (0, 1), (5, 0)]:
        batch = collate([first[(epoch, image)]])
        assert batch.images.shape == (1, 3, 48, 64)
        assert equal(batch, collate([again[(epoch, image)]]))
        boxes = batch.targets.boxes
        assert (boxes >= 0).all()
        assert (boxes[:, 2] <= 64).all()
        assert (boxes[:, 3] <= 48).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 2).all()
    assert not torch.equal(first[(0, 0)].image, first[(1, 0)].image)
    other_seed = ImageDataset(larger, (48, 64), augmentation, seed=8)
    assert not torch.equal(first[(0, 0)].image, other_seed[(0, 0)].image)


def batches(index: ImageIndex, workers: int, **options: object) -> list[Batch]:
    dataset = ImageDataset(index, 48, MIXED, epochs=4, seed=3, **options)
    loader = Loader(dataset, EpochBatchSampler(len(dataset), 3, shuffle=True, seed=3), workers=workers)
    return [batch for _ in range(3) for batch in loader]


def test_workers_and_cache_change_nothing(larger: ImageIndex) -> None:
    expected = batches(larger, 0)
    assert len(expected) == 12
    for other in (batches(larger, 2), batches(larger, 0, cache_mb=1), batches(larger, 2, cache_mb=0.02)):
        assert all(equal(a, b) for a, b in zip(expected, other, strict=True))


def test_the_cache_serves_what_fits(larger: ImageIndex) -> None:
    sizes = larger.sizes_hw.prod(axis=1) * 3
    dataset = ImageDataset(larger, 64, Augmentation(mosaic=0), cache_mb=float(sizes[:4].sum()) / 1e6)
    for image in range(len(larger)):
        dataset[image]
    assert dataset.cache is not None
    assert [dataset.cache.get(i) is not None for i in range(11)] == [True] * 4 + [False] * 7
    assert (dataset.cache.get(2) == read_rgb(larger.paths[2])).all()
    with pytest.raises(ConfigError, match="cache_mb"):
        ImageDataset(larger, 64, cache_mb=-1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_continues_where_it_was_left(larger: ImageIndex, workers: int) -> None:
    def loader() -> Loader:
        dataset = ImageDataset(larger, 32, MIXED, epochs=5)
        return Loader(dataset, EpochBatchSampler(len(dataset), 2, shuffle=True), workers=workers)

    whole = loader()
    epochs = [list(whole) for _ in range(3)]  # each pass is the next epoch
    assert not equal(epochs[0][0], epochs[1][0])
    cut = loader()
    list(cut)
    running = iter(cut)
    for _ in range(2):
        next(running)
    state = cut.state_dict()
    assert state == {"epoch": 1, "start": 2}
    continued = loader()
    continued.load_state_dict(state)
    assert continued.state_dict() == state
    assert len(continued) == 6
    rest = list(continued)
    assert len(rest) == 4
    assert all(equal(a, b) for a, b in zip(rest, epochs[1][2:], strict=True))
    assert all(equal(a, b) for a, b in zip(continued, epochs[2], strict=True))


def test_a_pass_given_up_begins_anew(larger: ImageIndex) -> None:
    dataset = ImageDataset(larger, 32)
    loader = Loader(dataset, EpochBatchSampler(len(dataset), 2, shuffle=True))
    loader.load_state_dict({"epoch": 1, "start": 4})
    for _ in loader:
        break
    assert loader.state_dict() == {"epoch": 1, "start": 5}
    assert len(list(loader)) == 6
    assert loader.state_dict() == {"epoch": 2, "start": 0}


def test_mosaic_closes_for_the_last_epochs(larger: ImageIndex) -> None:
    """With mosaic, samples show other images' boxes too; without, only their own single one."""
    augmentation = Augmentation(close_mosaic=2, scale=0, translate=0)
    dataset = ImageDataset(larger, 64, augmentation, epochs=5)
    most = [max(len(dataset[(epoch, image)].boxes) for image in range(11)) for epoch in range(5)]
    assert min(most[:3]) > 1
    assert most[3:] == [1, 1]


def test_large_images_are_decoded_smaller_and_boxes_stay(tmp_path: Path) -> None:
    """A white rectangle in 803 x 601, trained at 100: decoded at a eighth, the box still around it."""
    image = np.zeros((601, 803, 3), dtype=np.uint8)
    image[120:480, 160:640] = 255
    for suffix in (".jpg", ".png"):
        folder = tmp_path / suffix[1:]
        (folder / "images").mkdir(parents=True)
        (folder / "labels").mkdir()
        cv2.imwrite(str(folder / "images" / f"a{suffix}"), image)
        row = [0, 400 / 803, 300 / 601, 480 / 803, 360 / 601]
        (folder / "labels" / "a.txt").write_text(" ".join(map(str, row)))
        (folder / "data.yaml").write_text("train: images\nnames: [white]\n")
        index = open_data(folder / "data.yaml").split("train")
        dataset = ImageDataset(index, 100, Augmentation(mosaic=0, hue=0, saturation=0, value=0, scale=0.3))
        assert dataset.reductions.tolist() == [8]
        for epoch in range(20):
            sample = dataset[(epoch, 0)]
            rows, columns = np.nonzero(sample.image[0].numpy() > 185)
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert sample.boxes[0].tolist() == pytest.approx(around, abs=1.0)


def test_a_image_that_vanished_is_named(index: ImageIndex) -> None:
    Path(index.paths[0]).unlink()
    dataset = ImageDataset(index, 64)
    with pytest.raises(DataError, match=r"0\.png: cannot be read"):
        dataset[0]
    loader = Loader(dataset, EpochBatchSampler(3, 2, shuffle=False), workers=1)
    with pytest.raises(DataError) as caught:
        list(loader)
    assert str(caught.value) == f"{index.paths[0]}: cannot be read (no such file)"


def test_loading_leaves_the_randomness_of_the_network_alone(larger: ImageIndex) -> None:
    dataset = ImageDataset(larger, 32, MIXED)
    before = torch.random.get_rng_state()
    for workers in (0, 1):
        list(Loader(dataset, EpochBatchSampler(len(dataset), 4, shuffle=True), workers=workers))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "wrong", [{"mosaic": 1.5}, {"hflip": -0.1}, {"scale": 1}, {"degrees": 200}, {"mixup": float("nan")}]
)
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"augmentation.{next(iter(wrong))}"):
        Augmentation(**wrong)


def test_grids_show_images_and_boxes(index: ImageIndex) -> None:
    page = index_grid(index, ImageInput.of(64), count=3)
    assert page.shape == (2 * 64 + 4, 2 * 64 + 4, 3)
    assert (page[64:68] == 255).all()
    plain = collate([ImageDataset(index, 60)[2]])
    assert (batch_grid(plain, index.names) == plain.images[0].permute(1, 2, 0).numpy()).all()
    boxed = collate([ImageDataset(index, 60)[0]])
    changed = (batch_grid(boxed, index.names) != boxed.images[0].permute(1, 2, 0).numpy()).any(axis=2)
    assert changed[39:41, 16:44].any(axis=0).all()  # the lower edge


@pytest.mark.long
def test_real_images_train_ready(shared_data: Path) -> None:
    index = open_data(shared_data / "coco128/data.yaml").split("train")
    dataset = ImageDataset(index, 96, Augmentation())
    loader = Loader(dataset, EpochBatchSampler(32, 8, shuffle=True), workers=0)
    assert sum(len(batch.targets) for batch in loader) > 100
