"""The batch that fits: the search without a GPU, and what a training makes of it."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.networks import lively

from spikeyolo.errors import ConfigError
from spikeyolo.training import batch_size, run
from spikeyolo.training.batch_size import BOXES, Trial, largest_batch, many_boxes, noise, runs, with_batch
from spikeyolo.training.devices import Devices, choose_devices
from spikeyolo.training.optimization import accumulation
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings, read_settings


@given(most=st.integers(1, 5000), fitting=st.integers(1, 6000))
def test_the_largest_that_fits_is_found_with_few_questions(most, fitting):
    asked = []

    def fits(images):
        asked.append(images)
        return images <= fitting

    assert largest_batch(fits, most) == min(fitting, most)
    assert len(set(asked)) == len(asked) <= 2 * math.log2(most) + 2
    assert max(asked) <= min(most, 2 * fitting)


@given(fitting=st.integers(1, 1000), nominal=st.integers(1, 256))
def test_a_step_has_about_as_many_images_as_the_learning_rate_is_for(fitting, nominal):
    batch = largest_batch(lambda images: images <= fitting, nominal)
    settings = TrainSettings(batch=batch, nominal_batch=nominal)
    assert 2 / 3 <= batch * accumulation(settings) / nominal <= 4 / 3


def test_where_not_one_image_fits_the_mend_is_named():
    with pytest.raises(ConfigError, match=r"not even one image fits into the GPU's memory; take a smaller --imgsz or "):
        largest_batch(lambda images: False, 64)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.float32])
def test_generated_images_travel_as_those_of_the_data_do(dtype):
    sample = torch.zeros(3, 1, 2, 32, 64, dtype=dtype)  # event frames
    made = noise(sample, 5, torch.device("cpu"))
    assert (made.shape, made.dtype) == ((3, 5, 2, 32, 64), dtype)
    assert len(made.unique()) > 100


def test_on_a_cpu_it_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match=r"batch: auto looks for what fits into a GPU's memory.* such as --batch 16"):
        run.train(TrainSettings(data=str(tmp_path / "no such.yaml"), batch="auto", device="cpu"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [{"batch": "many"}, {"batch": 0}, {"batch": 2.5}])
def test_other_words_and_numbers_are_refused(given):
    with pytest.raises(ConfigError, match="batch: "):
        TrainSettings(**given)
    with pytest.raises(ConfigError, match="batch: 'many' is not a whole number"):
        TrainSettings.from_dict({"batch": "many"})


def test_from_the_command_line_and_from_yaml(tmp_path):
    assert TrainSettings.from_dict({"batch": "auto"}).batch == "auto"
    assert TrainSettings.from_dict({"batch": "16"}).batch_size == 16
    (tmp_path / "config.yaml").write_text(TrainSettings(batch="auto").to_yaml())
    assert read_settings(tmp_path / "config.yaml").batch == "auto"


@pytest.mark.parametrize("started", [{"TORCHELASTIC_RUN_ID": "1"}, {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train"}])
def test_processes_that_are_there_already_are_refused(monkeypatch, started):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    several = TrainSettings(batch="auto", device="0,1")
    assert choose_devices(several).processes == 2
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="batch: auto is found before the processes of a training start"):
        choose_devices(several)


class Samples:
    """Of a training: so many, and one to look at."""

    def __init__(self, images):
        self.train_index, self.settings = range(images), None

    def first_batches(self, number, size):
        yield type("Batch", (), {"images": torch.zeros(1, 3, 64, 64, dtype=torch.uint8)})


@pytest.fixture
def room(monkeypatch):
    """What fits on each GPU, and which numbers of images were tried where."""
    fitting, tried = {}, []
    monkeypatch.setenv(batch_size.FOUND, "none yet")  # what it becomes is gone afterwards

    def fits(self, images):
        tried.append((self.device.index, images))
        return images <= fitting[self.device.index]

    monkeypatch.setattr(Trial, "fits", fits)
    return fitting, tried


@pytest.mark.parametrize(
    ("fitting", "nominal", "images", "batch", "said"),
    [
        ({0: 11}, 64, 1000, 11, "batch auto: 11 images, as many as fit into 90% of the GPU's free memory"),
        (
            {0: 99},
            64,
            1000,
            64,
            "64 images, which fit; no more are tried, as --nominal-batch, the images of a step, is",
        ),
        ({0: 99}, 64, 10, 10, "10 images, which fit; no more are tried, as there are 10"),
        ({0: 11, 1: 7}, 64, 1000, 14, r"14 images \(7 on each of 2 GPUs\), as many as fit into 90%"),
        ({0: 7, 1: 11}, 64, 1000, 14, r"14 images \(7 on each of 2 GPUs\)"),
    ],
)
def test_all_processes_get_what_the_gpu_with_the_least_room_takes(
    monkeypatch, capsys, room, fitting, nominal, images, batch, said
):
    room[0].update(fitting)
    devices, samples = Devices("cuda", list(fitting)), Samples(images)
    settings = TrainSettings(batch="auto", nominal_batch=nominal)
    found = with_batch(settings, devices, None, [], samples)
    assert found == samples.settings == replace(settings, batch=batch)
    (line,) = capsys.readouterr().out.splitlines()
    assert re.search(said, line)
    # The second GPU is not asked for more than the first takes; another process asks nobody.
    assert all(images <= fitting[0] for gpu, images in room[1] if gpu == 1)
    room[1].clear()
    monkeypatch.setattr(batch_size, "is_first_process", lambda: False)
    assert with_batch(settings, devices, None, [], samples) == found
    assert room[1] == []
    assert capsys.readouterr().out == ""


def test_a_number_stays_as_it_is(room, capsys):
    settings = TrainSettings(batch=24)
    assert with_batch(settings, Devices("cuda", [0]), None, [], None) is settings
    assert capsys.readouterr().out == ""


@pytest.mark.long
def test_the_run_keeps_the_number_and_goes_on_with_it(tiny, tmp_path, monkeypatch, room):
    """The search says 6; all else is a training on the CPU."""
    room[0][0] = 6
    search = batch_size._search
    on_gpu = Devices("cuda", [0])
    monkeypatch.setattr(batch_size, "_search", lambda settings, devices, *rest: search(settings, on_gpu, *rest))
    monkeypatch.setattr("spikeyolo.training.devices._check_auto", lambda devices: None)
    folder = run.train(replace(tiny, epochs=1, batch="auto", nominal_batch=12), tmp_path / "run")
    assert read_settings(folder.config).batch == 6
    (row,) = folder.results.read_text().splitlines()[1:]
    assert row.startswith("1,2,")  # two batches of ten images, a step each during the warm-up
    tried = len(room[1])
    run.train(TrainSettings(epochs=2), resume=folder.path)
    assert read_settings(RunFolder(folder.path).config).batch == 6
    assert len(room[1]) == tried


@pytest.mark.parametrize("changes", [{}, {"neuron": "gen1", "timesteps": 2, "in_channels": 2}])
def test_a_trial_takes_steps_of_copies(changes):
    """The same on a CPU, where only the memory is not counted."""
    network = lively(num_classes=3, dtype=torch.float32, **changes)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sample = torch.zeros(2, 1, 2, 64, 64) if changes else torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    settings = TrainSettings(batch="auto", optimizer="adamw")
    Trial(settings, network, [], sample, torch.device("cpu"), several=True).steps(2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert not network.training


def test_only_memory_counts_as_not_fitting():
    def failing(error):
        def work():
            raise error

        return work

    assert runs(lambda: None)
    assert not runs(failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")))
    assert not runs(failing(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")))
    with pytest.raises(RuntimeError, match="sizes"):
        runs(failing(RuntimeError("sizes do not match")))


def test_generated_boxes_lie_on_their_images():
    targets = many_boxes(torch.zeros(2, 3, 4, 96, 64), 5)
    assert len(targets) == 3 * BOXES
    assert (targets.boxes >= 0).all()
    assert (targets.boxes <= torch.tensor([64, 96, 64, 96])).all()
    assert targets.labels.max() == 4
    assert targets.image_index.bincount().tolist() == [BOXES] * 3
