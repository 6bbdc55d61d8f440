"""Training on recordings from start to end, potentials carried from stretch to stretch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.helpers.event_datasets import boxes_of, write_data_set, write_recording
from tests.helpers.networks import lively
from tests.helpers.runs import ENVIRONMENT, assert_same_run, command, rows_of, train_until

from spikeyolo.data.events.augmentation import EventAugmentation
from spikeyolo.data.events.stretches import RecordingSampler, Stretches, StretchKey
from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.detection.losses import detection_loss
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.events import EventInput
from spikeyolo.model.detector import SpikeYOLO
from spikeyolo.model.lanes import Lanes
from spikeyolo.structures import STRIDES
from spikeyolo.training.loss import batch_loss
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.optimization import Position
from spikeyolo.training.run import train, validate_best
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings

SEEN = EventInput(timesteps=2, window_us=80_000)
SETTINGS = TrainSettings(
    model="t-gen1",
    epochs=2,
    batch=2,
    nominal_batch=2,
    warmup_epochs=1,
    workers=0,
    device="cpu",
    window_us=20_000,
    sequence=4,
    save_steps=1,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training recordings of 0.2 and 0.28 s: 5 and 7 stretches of 40 ms, some without labels; two to validate on."""
    root = tmp_path_factory.mktemp("set")
    file = write_data_set(root)
    rows = [(t, 10 + t // 10_000, 8, 30, 24, t // 40_000 % 2) for t in (33_000, 113_000, 280_000)]
    write_recording(root / "train", "b", boxes_of(*rows), seed=1)
    rows = [(t, 10, 8, 30, 24, 0) for t in (70_000, 121_000, 125_000, 290_000)]
    write_recording(root / "val", "e", boxes_of(*rows), seed=7)
    return file


@pytest.fixture(scope="module")
def settings(data):
    return replace(SETTINGS, data=str(data))


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    torch.set_num_threads(1)
    return train(settings, tmp_path_factory.mktemp("runs") / "run")


def dataset_keys(dataset):
    s = dataset.stretches
    return [
        StretchKey(0, int(r), int(e), n, True, n) for n, (r, e) in enumerate(zip(s.recording, s.end_us, strict=True))
    ]


def test_the_loss_of_a_sequence_has_the_gradients_of_the_whole_sequence_at_once(data):
    """Nothing is cut: one stretch holds the recording. In float64, against timesteps one by one."""
    network = lively("t-gen1", num_classes=2, in_channels=2, timesteps=2)
    index = open_data(data).split("train", progress=False)
    dataset = index.stretches(SEEN, 7, EventAugmentation(hflip=1, zoom=0, drop=0))
    batch = dataset.collate([dataset[key] for key in dataset_keys(dataset)])
    assert batch.image_ids == (0, 1, 2, 3, 4)
    images, position = batch.images.double(), Position(0.01, 0.01, 0.9, 1)
    look = partial(Lanes().look, network, batch=batch)
    loss = batch_loss(network, [], images, batch.targets, position, SETTINGS, look=look)
    found = torch.autograd.grad(loss.total, list(network.parameters()))

    state, steps = {}, []
    for frames in images:
        logits, state = network(frames.unsqueeze(0), state)
        steps.append(logits)
    pairs = list(zip(batch.rows.tolist(), batch.steps.tolist(), strict=True))
    assert 0 in batch.steps  # a label at the first timestep, before which there is none
    last = [[steps[t] for t in range(max(0, step - 1), step + 1)] for _, step in pairs]
    means = [
        torch.stack([sum(one[n][r] for one in own) / len(own) for (r, _), own in zip(pairs, last, strict=True)])
        for n in range(3)
    ]
    whole = detection_loss(means, batch.targets, STRIDES, SETTINGS.gains)
    expected = torch.autograd.grad(whole.total, list(network.parameters()))
    torch.testing.assert_close(loss.total, whole.total, rtol=1e-10, atol=1e-10)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10)


@pytest.mark.long
def test_a_stretch_without_labels_has_no_loss_and_one_with_nothing_in_it_has(settings, data, tmp_path, monkeypatch):
    seen = []
    step = DetectorModule.training_step

    def watching(self, batch, batch_idx):
        step(self, batch, batch_idx)
        seen.append((len(batch.image_ids), [float(v) for v in self.shown.values()][:3]))

    monkeypatch.setattr(DetectorModule, "training_step", watching)
    run = train(replace(settings, batch=1, nominal_batch=1, epochs=1), tmp_path / "run")
    assert len(seen) == 12
    assert {count for count, _ in seen} == {0, 1}
    assert all(any(losses) == bool(count) for count, losses in seen)
    labelled = [losses[1] for count, losses in seen if count]
    assert float(rows_of(run.path)[0]["class_loss"]) == pytest.approx(sum(labelled) / len(labelled), rel=1e-5)


@pytest.mark.long
@pytest.mark.few(1)
@pytest.mark.parametrize("batches", [3, 8], ids=["within the first epoch", "within the second"])
def test_a_run_that_is_killed_within_recordings_goes_on_to_the_same_weights(run, settings, tmp_path, batches):
    cut = RunFolder(tmp_path / "run")
    train_until(batches, settings, cut.path)
    carried = torch.load(cut.last, weights_only=True)["carried"]
    assert carried["lanes"] == [0, 1]
    assert any(v.any() for v in carried["state"].values())
    assert_same_run(run, train(TrainSettings(), resume=cut.path))


@pytest.mark.long
def test_without_what_was_carried_the_weights_would_be_others(run, settings, tmp_path):
    cut = RunFolder(tmp_path / "run")
    train_until(3, settings, cut.path)
    kept = torch.load(cut.last, weights_only=True)
    kept["carried"]["state"] = {name: torch.zeros_like(v) for name, v in kept["carried"]["state"].items()}
    torch.save(kept, cut.last)
    with pytest.raises(AssertionError):
        assert_same_run(run, train(TrainSettings(), resume=cut.path))


def test_a_finished_epoch_carries_nothing(run):
    assert "carried" not in torch.load(run.last, weights_only=True)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda c: c.update(lanes=[0, 0]), "carried lanes"),
        (lambda c: c.update(lanes=[0]), "carried seen"),
        (lambda c: c["recent"].pop(), "carried recent"),
        (lambda c: c["recent"].__setitem__(0, c["recent"][0][:, :1]), "carried recent"),
        (lambda c: c["state"].update(other=torch.zeros(2, 1, 1, 1)), "no neuron of the network"),
        (lambda c: next(iter(c["state"].values())).fill_(torch.nan), "NaN"),
        (lambda c: c.pop("state"), "no 'state'"),
    ],
)
def test_damage_to_what_is_carried_is_named_before_it_is_used(settings, tmp_path, damage, said, killed):
    kept = torch.load(killed.last, weights_only=True)
    damage(kept["carried"])
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.config.write_text(killed.config.read_text())
    torch.save(kept, folder.last)
    with pytest.raises(CheckpointError, match=said):
        train(TrainSettings(), resume=folder.path)


@pytest.fixture(scope="module")
def killed(settings, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("killed") / "run")
    train_until(2, settings, folder.path)
    return folder


def test_validation_is_one_pass_and_the_batch_does_not_matter(data):
    """Each labelled instant once, off the timesteps or two at one, and the same logits however many lanes there are."""
    network = lively("t-gen1", num_classes=2, in_channels=2, timesteps=2)
    index = open_data(data).split("val", progress=False)
    passes = []
    for batch_size, length in ((1, 2), (2, 2)):
        dataset, lanes, found = index.stretches(SEEN, length), Lanes(), {}
        for batch in Loader(dataset, RecordingSampler(dataset.stretches, batch_size)):
            with torch.no_grad():
                logits = lanes.look(network, batch.images.double(), batch)
            for number, instant in enumerate(batch.image_ids):
                assert instant not in found
                found[instant] = [level[number] for level in logits]
        assert sorted(found) == list(range(len(index)))
        passes.append(found)
    for instant, levels in passes[0].items():
        for one, two in zip(levels, passes[1][instant], strict=True):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.long
def test_rows_that_follow_and_rows_that_do_not_are_mixed_and_resumed(settings, tmp_path):
    mixed = replace(settings, batch=3, nominal_batch=6, sequence_share=0.4, save_steps=1)
    whole, cut = train(mixed, tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train_until(16, mixed, cut.path)
    assert torch.load(cut.last, weights_only=True)["carried"]["lanes"] == [0]  # what follows alone
    assert_same_run(whole, train(TrainSettings(), resume=cut.path))


@pytest.mark.long
def test_two_processes_have_the_loss_curve_of_one(settings, tmp_path):
    norms = [name for name, part in SpikeYOLO("t-gen1").named_modules() if isinstance(part, torch.nn.BatchNorm2d)]
    small = replace(settings, lr=1e-6, freeze=norms)
    one = train(small, tmp_path / "one")
    done = command(tmp_path, replace(small, processes=2), tmp_path / "two")
    subprocess.run(done, env=ENVIRONMENT, check=True, timeout=300, capture_output=True)
    for a, b in zip(rows_of(one.path), rows_of(tmp_path / "two"), strict=True):
        assert a["step"] == b["step"]
        for name in ("box_loss", "class_loss", "distribution_loss"):
            assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_kill_9_within_recordings_then_resume_gives_the_same_weights(settings, tmp_path, processes):
    settings = replace(settings, epochs=1, workers=1, processes=processes)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    subprocess.run(command(tmp_path, settings, whole.path), env=ENVIRONMENT, check=True, timeout=300)
    process = subprocess.Popen(command(tmp_path, settings, cut.path), env=ENVIRONMENT, start_new_session=True)
    while not cut.last.exists():  # written after the first of the steps of an epoch
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert torch.load(cut.last, weights_only=True)["carried"]["lanes"] == [0, 1]  # of all processes
    again = [sys.executable, "-m", "spikeyolo", "train", "--resume", str(cut.path)]
    subprocess.run(again, env=ENVIRONMENT, check=True, timeout=300)
    assert_same_run(whole, cut)


def test_the_best_weights_are_measured_in_the_same_way(run, monkeypatch):
    lengths, of = [], Stretches.of
    monkeypatch.setattr(
        Stretches, "of", lambda index, step_us, length: lengths.append(length) or of(index, step_us, length)
    )
    assert validate_best(run).metrics.images == 6
    assert lengths == [4]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teacher": "x.safetensors"}, "sequence: not with teacher"),
        ({"energy_weight": 1.0}, "sequence: not with energy_weight"),
        ({"compile": True}, "sequence: not with compile"),
        ({"recompute": True}, "sequence: not with recompute"),
        ({"batch": "auto"}, "sequence: not with batch auto"),
        ({"sequence": 0}, "sequence: 0 is below 1"),
        ({"sequence": None, "sequence_share": 0.5}, "sequence_share: .*give that, too"),
        ({"sequence_share": 1.5}, "sequence_share: 1.5 is outside 0..1"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(given, said):
    with pytest.raises(ConfigError, match=said):
        replace(SETTINGS, **given)


def test_images_have_no_sequences_and_turned_windows_no_order(shapes, settings, tmp_path):
    with pytest.raises(ConfigError, match="sequence: for recordings of event cameras"):
        train(TrainSettings(data=str(shapes), model="t", sequence=4), tmp_path / "run")
    with pytest.raises(ConfigError, match="sequence: the network sees the timesteps of a window newest-first"):
        train(replace(settings, preparation="gen1-published"), tmp_path / "run")
