"""Two processes and one folder, data that change under a run, and workers that are killed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from tests.helpers.runs import tiny_settings, train_until

from spikeyolo.data.loader import Loader
from spikeyolo.data.open import open_data
from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.errors import ConfigError, DataError, TrainingError
from spikeyolo.files import numbered
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.locks import NAME, locked
from spikeyolo.training.module import DetectorModule
from spikeyolo.training.run import train
from spikeyolo.training.run_folder import RunFolder, new_folder
from spikeyolo.training.settings import TrainSettings

HOLDER = """
import sys
from pathlib import Path
from spikeyolo.locks import locked
with locked(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that is at work in the folder `run`."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_is_at_work_and_where(holder, tmp_path):
    who = f"run: process {holder.pid} on {platform.node()} is at work there"
    with pytest.raises(ConfigError, match=who), new_folder(tmp_path / "run"):
        pass
    (tmp_path / "run" / "config.yaml").write_text(TrainSettings(data="x.yaml").to_yaml())
    with pytest.raises(ConfigError, match=who), new_folder(tmp_path / "run"):
        pass
    with pytest.raises(ConfigError, match=who):
        train(TrainSettings(), resume=tmp_path / "run")


def test_a_lock_ends_with_its_process(holder, tmp_path):
    holder.kill()
    holder.wait()
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / NAME).read_text().startswith(f"process {os.getpid()} on ")


FORKER = """
import os, time
from pathlib import Path
from spikeyolo.locks import locked
with locked(Path("run")):
    child = os.fork()
    if child == 0:
        os.close(1)
        time.sleep(60)
    print(child, flush=True)
    os._exit(0)
"""


def test_a_lock_is_not_inherited_by_workers(tmp_path):
    """Else a run whose first process was killed could not be resumed while its workers end."""
    done = subprocess.run([sys.executable, "-c", FORKER], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=50)
    try:
        with locked(tmp_path / "run"):
            pass
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


def test_numbers_are_given_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: numbered(tmp_path / "train"), range(40)))
    assert len(set(folders)) == 40


def test_a_folder_of_hidden_files_is_free_and_one_of_others_is_not(tmp_path):
    (tmp_path / ".gitkeep").write_text("")
    with new_folder(tmp_path) as folder:
        assert folder == RunFolder(tmp_path)
    (tmp_path / "best.safetensors").write_text("somebody's")
    with (
        pytest.raises(ConfigError, match=r"holds best.safetensors already; .* nothing was changed"),
        new_folder(tmp_path),
    ):
        pass
    assert (tmp_path / "best.safetensors").read_text() == "somebody's"


@pytest.fixture
def begun(shapes, tmp_path):
    """A run that was killed after its first epoch, on data of its own."""
    shutil.copytree(shapes.parent, tmp_path / "data")
    settings = tiny_settings(tmp_path / "data" / shapes.name)
    train_until(4, settings, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nothing", None),
        ("an image vanished", r"split train had 10 samples with \d+ boxes, now 9 with \d+"),
        ("a label changed", "split train has other labels or sizes"),
        ("an image renamed", "split train has other files"),
    ],
)
def test_a_resumed_run_says_what_has_changed_in_its_data(begun, monkeypatch, caplog, change, said):
    data = begun.path.parent / "data"
    label = next(file for file in sorted((data / "labels" / "train").iterdir()) if file.read_text().strip())
    image = next((data / "images" / "train").glob(f"{label.stem}.*"))
    if change == "an image vanished":
        image.unlink()
    elif change == "a label changed":
        kind, rest = label.read_text().split(maxsplit=1)
        label.write_text(f"{(int(kind) + 1) % 4} {rest}")
    elif change == "an image renamed":
        image.rename(image.with_stem("another"))
        label.rename(label.with_stem("another"))
    monkeypatch.setattr("spikeyolo.training.run._fit", lambda *_, **__: None)
    for expected in (said, None):  # said once, when it goes on
        caplog.clear()
        train(TrainSettings(), resume=begun.path, given=set())
        found = [record.getMessage() for record in caplog.records if "data have changed" in record.getMessage()]
        assert len(found) == (expected is not None)
        assert expected is None or re.search(expected, found[0])


def test_other_classes_are_an_error(begun):
    file = begun.path.parent / "data" / "data.yaml"
    file.write_text(file.read_text().replace("disk", "plate"))
    before = {path: path.read_bytes() for path in begun.path.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="class 0 was 'disk', now 'plate'"):
        train(TrainSettings(), resume=begun.path, given=set())
    assert {path: path.read_bytes() for path in before} == before


class Dies(torch.utils.data.Dataset):
    """Whose third sample ends the process that makes it."""

    def __init__(self, end) -> None:
        self.end = end

    def __len__(self) -> int:
        return 6

    def __getitem__(self, key):
        if key[1] == 2:
            self.end()
        return key[1]

    @staticmethod
    def collate(samples):
        return samples


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def wrong():
    raise DataError("a.jpg: cannot be read (DataError: truncated)")


def full():
    raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")


@pytest.mark.long
@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("end", "said"),
    [
        (killed, "^a worker process was killed, maybe for want of memory; give fewer --workers or a smaller --batch$"),
        (wrong, r"^a\.jpg: cannot be read \(DataError: truncated\)$"),
        (full, r"^shared memory \(/dev/shm\) is full; give fewer --workers or a smaller --batch$"),
    ],
    ids=["killed", "an error of its own", "shared memory full"],
)
def test_a_worker_that_ends_is_one_line(end, said):
    loader = Loader(Dies(end), EpochBatchSampler(6, 1, shuffle=False), workers=2)
    with pytest.raises(DataError, match=said):
        list(loader)


@pytest.mark.long
def test_workers_heed_the_process_that_started_them_alone(shapes):
    dataset = open_data(shapes).split("train").dataset(ImageInput.of(64))
    loader = Loader(dataset, EpochBatchSampler(10, 1, shuffle=False), workers=1)
    batches = iter(loader)
    next(batches)
    (worker,) = loader._iterator._workers
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        subprocess.run(["kill", f"-{number.value}", str(worker.pid)], check=True)  # a scheduler's
    assert len(list(batches)) == 9
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


@pytest.mark.long
def test_a_training_whose_worker_was_killed_says_how_to_go_on(tiny, tmp_path, monkeypatch):
    step = DetectorModule.training_step

    def killing(self, batch, batch_idx):
        if batch_idx == 0:
            for worker in self.trainer.train_dataloader._iterator._workers:
                os.kill(worker.pid, signal.SIGKILL)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(DetectorModule, "training_step", killing)
    with pytest.raises(TrainingError, match=r"was killed.*fewer --workers.*spikeyolo train --resume "):
        train(replace(tiny, workers=1, batch=2), tmp_path / "run")


@pytest.mark.long
def test_weights_that_are_not_finite_are_not_saved(tiny, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    step = DetectorModule.training_step

    def poisoning(self, batch, batch_idx):
        step(self, batch, batch_idx)
        if self.trainer.current_epoch == 1 and batch_idx == 2:
            with torch.no_grad():
                next(self.network.parameters()).fill_(float("inf"))

    monkeypatch.setattr(DetectorModule, "training_step", poisoning)
    with pytest.raises(TrainingError, match="the weights are not finite; the batch is kept in"):
        train(tiny, run.path)
    kept = torch.load(run.last, weights_only=True)
    assert kept["epoch"] == 0
    assert all(bool(value.isfinite().all()) for value in kept["current_model_state"].values())
