"""RVT's folders as a data set: the same samples as from the recordings that they were made of."""

import numpy as np
import pytest
import torch
from tests.helpers.event_datasets import write_data_set

from spikeyolo.cli.main import main
from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.dataset import EventDataset
from spikeyolo.data.events.rvt import FRAMES, LABELS
from spikeyolo.data.events.rvt_export import RvtFormat, export_split
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.evaluation.validate import ValidationSettings, validate
from spikeyolo.events import EventInput
from spikeyolo.model.detector import load
from spikeyolo.training.run import train
from spikeyolo.training.settings import TrainSettings

pytest.importorskip("hdf5plugin", reason="needs the extra 'events'")


@pytest.fixture(scope="module", params=[1, 2])
def both(request, tmp_path_factory):
    """The data.yaml of recordings, and that of the frames made of them, whole or halved."""
    root = tmp_path_factory.mktemp("sets")
    recordings = write_data_set(root / "recordings")
    for split in ("train", "val", "test"):
        config = RvtFormat(downscale=request.param)
        export_split(open_data(recordings), split, root / "frames", config)
    return recordings, describe(root / "frames")


def describe(folder, more=""):
    file = folder / "data.yaml"
    file.write_text(f"format: rvt\ntrain: train\nval: val\ntest: test\nnames: [car, person]\n{more}")
    return file


def index_of(file, split="train"):
    return open_data(file).split(split, progress=False)


@pytest.mark.parametrize("timesteps", [1, 3, 6])  # of 6 timesteps some begin before the recording
def test_samples_are_those_of_the_recordings(both, timesteps):
    recordings, frames = both
    preparation = open_data(frames).description.choose_input(timesteps=timesteps)
    assert preparation.window_us == timesteps * 50_000
    ours, prepared = index_of(recordings), index_of(frames)
    assert prepared.sensor_size_hw == ours.sensor_size_hw == (64, 96)
    assert prepared.t_us.tolist() == ours.t_us.tolist()
    for augmentation in (None, EventAugmentation(hflip=1.0, zoom=0.0, drop=0.0)):
        expected, found = (EventDataset(index, preparation, augmentation) for index in (ours, prepared))
        for instant in range(len(ours)):
            assert torch.equal(found[instant].frames, expected[instant].frames)
            assert torch.equal(found[instant].boxes, expected[instant].boxes)
            assert torch.equal(found[instant].labels, expected[instant].labels)
            assert found[instant].frames.any()


@pytest.mark.few(1)
def test_trained_on_frames_and_evaluated_on_recordings(both, tmp_path):
    recordings, frames = both
    settings = TrainSettings(
        model="t", data=str(frames), epochs=1, batch=2, device="cpu", workers=0, timesteps=3, optimizer="adamw", lr=1e-3
    )
    model = load(train(settings, tmp_path / "run").best)
    assert model.config.timesteps == 3
    assert model.input.window_us == 150_000
    numbers = [
        validate(model, index_of(file, "test"), ValidationSettings(workers=0)).to_json()
        for file in (frames, recordings)
    ]
    assert numbers[0]["plain_coco"] == numbers[1]["plain_coco"]


def test_another_preparation_than_that_of_the_frames_is_refused(both):
    _, frames = both
    description = open_data(frames).description
    with pytest.raises(ConfigError, match="made with representation stacked_histogram of 10 bins up to 10 for 2"):
        description.choose_input(representation="voxel_grid")
    with pytest.raises(ConfigError, match="made with window_us 100000 for 2 timesteps, not 70000"):
        description.choose_input(window_us=70_000)
    for change in ({"window_events": 600}, {"refractory_us": 5}, {"region": [0, 0, 9, 9]}):
        with pytest.raises(ConfigError, match=r"holds frames of 50 ms, made beforehand; it needs the recordings"):
            description.choose_input(**change)
    with pytest.raises(ConfigError, match="made with representation"):
        EventDataset(index_of(frames), EventInput())


def test_a_changed_sequence_is_noticed(tmp_path):
    recordings = write_data_set(tmp_path / "recordings")
    export_split(open_data(recordings), "train", tmp_path / "frames")
    for split in ("val", "test"):
        (tmp_path / "frames" / split).mkdir()
    frames = describe(tmp_path / "frames")
    assert len(index_of(frames).recordings) == 2
    file = tmp_path / "frames" / "train" / "a" / LABELS / "labels.npz"
    with np.load(file) as content:
        labels = dict(content)
    labels["labels"]["class_id"] = 1
    np.savez(file, **labels)
    index = index_of(frames)
    assert index.objects(0)[1].tolist() == [1, 1]
    file.unlink()
    with pytest.warns(UserWarning, match="a recording without boxes: left out"):
        assert len(index_of(frames).recordings) == 1
    with pytest.raises(DataError, match=f"expected SEQUENCE/{FRAMES}"):
        index_of(frames, "val")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("frames: event_frame_dt=50", "is not stacked_histogram_dt="),
        ("preparation: {window_us: 100}", "only timesteps can be chosen"),
        ("preparation: {timesteps: 0}", "timesteps: 0 is not"),
        ("preparation: {timesteps: two}", "timesteps: 'two' is not"),
        ("sensor_size_hw: [3, 4]", "sensor_size_hw"),
    ],
)
def test_mistakes_in_the_description_name_file_and_field(tmp_path, more, said):
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
    file = describe(tmp_path, more)
    with pytest.raises(ConfigError) as error:
        open_data(file)
    assert str(error.value).startswith(str(file))
    assert said in str(error.value)


def test_info_and_prepare_know_them(both, capsys):
    _, frames = both
    assert main(["events", "info", str(frames)]) == 0
    printed = capsys.readouterr().out
    for expected in ("train", "96 x 64", "4 car, 2 person", "frames of 50 ms"):
        assert expected in printed
    assert main(["events", "prepare", str(frames), "out"]) == 1
    assert "prepared already" in capsys.readouterr().err
