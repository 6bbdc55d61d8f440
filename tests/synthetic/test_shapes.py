import numpy as np
import pytest

from spikeyolo.errors import ConfigError, WriteError
from spikeyolo.imaging.io import read_rgb
from spikeyolo.synthetic.scene import CLASS_NAMES
from spikeyolo.synthetic.shapes import ShapesConfig, shapes_complete, shapes_scene, write_shapes

CONFIG = ShapesConfig(seed=5, train=4, val=2, size=64)


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_layout_and_labels_match_the_scenes(tmp_path):
    yaml = write_shapes(tmp_path / "shapes", CONFIG)
    text = yaml.read_text()
    assert all(f"  {index}: {name}\n" in text for index, name in enumerate(CLASS_NAMES))
    for split, count in (("train", 4), ("val", 2)):
        assert len(list((yaml.parent / "images" / split).iterdir())) == count
        for index in range(count):
            made = shapes_scene(CONFIG, split, index)
            lines = (yaml.parent / "labels" / split / f"{index:06d}.txt").read_text().split("\n")[:-1]
            rows = np.array([line.split() for line in lines], dtype=float).reshape(-1, 5)
            centres, spans = rows[:, 1:3] * 64, rows[:, 3:] * 64
            boxes = np.concatenate([centres - spans / 2, centres + spans / 2], axis=1)
            np.testing.assert_array_equal(rows[:, 0], made.labels)
            np.testing.assert_allclose(boxes, made.boxes, atol=1e-3)
            image = read_rgb(yaml.parent / "images" / split / f"{index:06d}.jpg")
            # JPEG keeps the image, so red and blue were not swapped.
            assert np.abs(image.mean(axis=(0, 1)) - made.image.mean(axis=(0, 1))).max() < 4


def test_same_seed_gives_the_same_bytes_and_counts_do_not_matter(tmp_path):
    write_shapes(tmp_path / "a", CONFIG)
    write_shapes(tmp_path / "b", CONFIG)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    write_shapes(tmp_path / "c", ShapesConfig(seed=5, train=2, val=1, size=64))
    first, fewer = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert all(fewer[name] == first[name] for name in fewer if name != "generated.json")
    write_shapes(tmp_path / "d", ShapesConfig(seed=6, train=4, val=2, size=64))
    assert contents(tmp_path / "d")["images/train/000000.jpg"] != first["images/train/000000.jpg"]


def test_whole_folder_is_kept_and_a_damaged_one_is_made_again(tmp_path):
    root = tmp_path / "shapes"
    write_shapes(root, CONFIG)
    before, stamp = contents(root), (root / "data.yaml").stat().st_mtime_ns
    write_shapes(root, CONFIG)
    assert (root / "data.yaml").stat().st_mtime_ns == stamp
    (root / "labels" / "train" / "000001.txt").unlink()
    assert not shapes_complete(root, CONFIG)
    write_shapes(root, CONFIG)
    assert contents(root) == before
    assert shapes_complete(root, CONFIG)


def test_other_settings_make_the_folder_again(tmp_path):
    root = tmp_path / "shapes"
    write_shapes(root, CONFIG)
    fewer = ShapesConfig(seed=5, train=3, val=2, size=64)
    assert not shapes_complete(root, fewer)
    write_shapes(root, fewer)
    assert shapes_complete(root, fewer)


def test_interrupted_writing_leaves_no_folder_and_the_next_run_succeeds(tmp_path):
    root = tmp_path / "shapes"

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shapes(root, CONFIG, interrupt)
    assert not root.exists()
    seen = []
    write_shapes(root, CONFIG, lambda done, total: seen.append((done, total)))
    assert shapes_complete(root, CONFIG)
    assert seen == [(done, 6) for done in range(1, 7)]
    assert [p.name for p in tmp_path.iterdir()] == ["shapes"]


def test_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not delete")
    with pytest.raises(WriteError, match=r"exists and holds thesis\.txt"):
        write_shapes(tmp_path / "mine", CONFIG)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not delete"
    (tmp_path / "empty").mkdir()
    write_shapes(tmp_path / "empty", CONFIG)
    assert shapes_complete(tmp_path / "empty", CONFIG)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train": 0}, {"val": 0}, {"size": 8}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ShapesConfig(**wrong)
