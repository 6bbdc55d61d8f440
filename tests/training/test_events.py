"""Training on recordings, and from there to detections."""

from dataclasses import replace

import pytest
import torch
from tests.helpers.event_datasets import SIZE_HW, boxes_of, write_data_set
from tests.helpers.recordings import random_events
from tests.helpers.runs import assert_same_run, rows_of, train_until

from spikeyolo import load
from spikeyolo.cli.main import main
from spikeyolo.data.events.labels import write_boxes
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput, write_dat
from spikeyolo.training.run import train, validate_best
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings, read_settings
from spikeyolo.training.transfer import starting_model

SETTINGS = TrainSettings(
    model="t",
    epochs=2,
    batch=2,
    nominal_batch=2,
    warmup_epochs=1,
    workers=0,
    device="cpu",
    window_us=40_000,
    event_augmentation={"hflip": 0.5, "zoom": 0.5},
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(replace(SETTINGS, data=str(data)), tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.long
def test_a_run_keeps_how_recordings_become_frames(run, data):
    model = load(run.best)
    assert model.input == EventInput.of({"window_us": 40_000, "timesteps": 2})
    assert (model.config.in_channels, model.config.timesteps, model.config.input_levels) == (2, 2, 1)
    assert model.names == ("car", "person")
    for name in ("results.csv", "train_batch0.png", "val_predictions.png", "curves.png"):
        assert (run.path / name).is_file(), name


@pytest.mark.long
def test_a_run_of_an_earlier_version_is_resumed_to_the_same_weights(run, data, tmp_path):
    """Of recordings it noted a size of images, too, which is not asked for any more."""
    cut = RunFolder(tmp_path / "run")
    train_until(3, replace(SETTINGS, data=str(data)), cut.path)  # an epoch has two batches
    cut.config.write_text(replace(read_settings(cut.config), imgsz=640).to_yaml())
    assert_same_run(run, train(TrainSettings(), resume=cut.path))
    assert validate_best(cut).metrics.images == validate_best(run).metrics.images == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"preparation": "gen1-published"}, (3, 2, 255)),
        ({"representation": "voxel_grid", "timesteps": 3}, (10, 3, 16)),
        ({"representation": "leaky_sums"}, (20, 2, 16)),
    ],
)
def test_preparation_and_representation_decide_the_network(data, given, expected):
    settings = TrainSettings(data=str(data), model="t", **given)
    opened = open_data(data)
    model, _ = starting_model(settings, opened.names, opened.training_input(settings))
    assert (model.config.in_channels, model.config.timesteps, model.config.input_levels) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"imgsz": 640}, "imgsz: for images"),
        ({"cache_mb": 1.0}, "cache_mb: for images"),
        ({"augmentation": {"mosaic": 0.5}}, r"augmentation\.mosaic: for images"),
    ],
)
def test_settings_of_images_are_refused(data, tmp_path, given, said):
    with pytest.raises(ConfigError, match=said):
        train(replace(SETTINGS, data=str(data), **given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_commands_from_recordings_to_detections(run, data, tmp_path, capsys):
    weights = str(run.best)
    assert main(["val", "--weights", weights, "--data", str(data), "--split", "test", "--workers", "0"]) == 0
    assert "plain COCO, nothing filtered: 3 boxes at 2" in " ".join(capsys.readouterr().out.split())
    recording = str(data.parent / "test" / "d_td.dat")
    out = tmp_path / "out"
    assert main(["predict", "--weights", weights, "--source", recording, "--out", str(out), "--carry", "--json"]) == 0
    said = capsys.readouterr().out
    assert "15 frames" in said
    assert "real-time factor" in said
    assert (out / "d_td.mp4").stat().st_size > 1000
    for words in (["--source", "p.jpg", "--carry"], ["--source", recording, "--window-us", "0"]):
        assert main(["predict", "--weights", weights, *words]) == 1
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.long
@pytest.mark.parametrize("sequence", [None, 2])
def test_windows_without_events_are_learnt_from(sequence, tmp_path):
    """A scene that stands still before a camera without noise; what norms know comes from other batches."""
    for split in ("train", "val"):
        folder = tmp_path / split
        folder.mkdir()
        write_dat(folder / "still_td.dat", [random_events(100, 300_000, SIZE_HW, start_us=200_000)], SIZE_HW)
        write_boxes(folder / "still_bbox.npy", boxes_of((80_000, 10, 8, 30, 24, 0), (160_000, 10, 8, 30, 24, 0)))
    data = tmp_path / "data.yaml"
    data.write_text("format: prophesee\ntrain: train\nval: val\nnames: [car]\n")
    run = train(replace(SETTINGS, data=str(data), warmup_epochs=0, sequence=sequence), tmp_path / "run")
    before, _ = starting_model(SETTINGS, ("car",), EventInput(window_us=40_000))
    after = load(run.best).state_dict()
    learnt = [name for name, value in before.state_dict().items() if not torch.equal(value, after[name])]
    assert any("bias" in name for name in learnt)
    assert not any("running" in name for name in learnt)
    assert all(float(row["class_loss"]) > 0 for row in rows_of(run.path))
