"""Training on recordings, and from there to detections."""

from dataclasses import replace

import pytest
from tests.helpers.event_datasets import write_data_set
from tests.helpers.runs import assert_same_run, train_until

from spikeyolo import load
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.events import EventInput
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
