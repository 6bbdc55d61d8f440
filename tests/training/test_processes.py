"""Two processes on one machine must learn what one process learns."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from spikeyolo.detection.losses import detection_loss
from spikeyolo.structures import STRIDES, Targets
from spikeyolo.training.distributed import SharedNorms, share_loss

CLASSES = 3


class Toy(nn.Module):
    """A convolution and a norm before the logits of three levels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 64 + CLASSES, 1, bias=False), nn.BatchNorm2d(64 + CLASSES, momentum=0.03)

    def forward(self, images):
        features = self.norm(self.conv(images))
        return [nn.functional.avg_pool2d(features, stride) for stride in STRIDES]


def batch() -> tuple[torch.Tensor, Targets]:
    """Six images, of which the last two hold no boxes."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(12, 2, generator=generator) * 30
    boxes = torch.cat([corners, corners + 8 + torch.rand(12, 2, generator=generator) * 20], dim=1)
    labels = torch.randint(0, CLASSES, (12,), generator=generator)
    targets = Targets(torch.arange(4).repeat_interleave(3), labels, boxes, num_images=6)
    return torch.rand(6, 3, 64, 64, generator=generator).double(), targets


def gradients(model: nn.Module, images: torch.Tensor, targets: Targets) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    loss = share_loss(detection_loss(model(images), targets, STRIDES), len(images))
    loss.total.backward()
    return {name: p.grad for name, p in model.named_parameters()}, loss.parts


def one_process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    images, targets = batch()
    rows = slice(0, 4) if rank == 0 else slice(4, 6)  # unequal shares, and one without any box
    own = (targets.image_index >= rows.start) & (targets.image_index < rows.stop)
    share = Targets(
        targets.image_index[own] - rows.start, targets.labels[own], targets.boxes[own], rows.stop - rows.start
    )
    model = SharedNorms().apply(Toy().double())
    found, parts = gradients(model, images[rows], share)
    for gradient in found.values():  # as DistributedDataParallel does
        dist.all_reduce(gradient)
        gradient /= 2
    torch.save(
        {"gradients": found, "parts": parts, "state": SharedNorms().revert(model).state_dict()}, f"{folder}/{rank}"
    )
    dist.destroy_process_group()


def test_gradient_and_statistics_of_two_processes_are_those_of_one(tmp_path):
    torch.multiprocessing.spawn(one_process, (str(tmp_path),), nprocs=2)
    alone = Toy().double()
    expected, parts = gradients(alone, *batch())
    for rank in range(2):
        found = torch.load(tmp_path / str(rank), weights_only=True)
        torch.testing.assert_close(found["parts"], parts)
        torch.testing.assert_close(found["gradients"], expected, rtol=1e-5, atol=1e-5)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(found["state"][name], value)


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from spikeyolo.training import TrainSettings, train

if __name__ == "__main__":
    data, out, resume, processes, workers, neuron = sys.argv[1:]
    settings = TrainSettings(
        data=data, model="t", neuron=neuron, epochs=2, batch=4, nominal_batch=4, imgsz=64, device="cpu",
        lr=0.01 if neuron == "coco" else 1e-6, warmup_epochs=0,
        workers=int(workers), processes=int(processes), save_steps=1,
    )
    settings = TrainSettings(workers=int(workers)) if resume == "1" else settings
    train(settings, None if resume == "1" else Path(out), Path(out) if resume == "1" else None)
"""


def command(folder: Path, shapes: Path, out: Path, *, resume=False, processes=1, workers=0, neuron="coco") -> list[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    options = [str(shapes), str(out), str(int(resume)), str(processes), str(workers), neuron]
    return [sys.executable, str(script), *options]


@pytest.mark.slow
def test_two_processes_write_one_run_whose_losses_are_those_of_one(shapes, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    rows = []
    # Without spikes and with small steps: where neurons round, the last bit of a sum decides between counts, and
    # even the order of the images in a batch changes single losses. That gradients agree is tested above.
    for processes in (1, 2):
        out = tmp_path / f"run{processes}"
        subprocess.run(
            command(tmp_path, shapes, out, processes=processes, neuron="relu"), env=environment, check=True, timeout=300
        )
        rows.append(list(csv.DictReader((out / "results.csv").read_text().splitlines())))
    assert len(rows[0]) == len(rows[1]) == 2  # written once
    for one, two in zip(*rows, strict=True):
        assert one["step"] == two["step"]
        for name in ("box_loss", "class_loss", "distribution_loss"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=0.01)


@pytest.mark.slow
def test_kill_9_within_an_epoch_then_resume_gives_the_same_weights(shapes, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(tmp_path, shapes, whole, workers=1), env=environment, check=True, timeout=300)
    process = subprocess.Popen(command(tmp_path, shapes, cut, workers=1), env=environment, start_new_session=True)
    while not (cut / "last.ckpt").exists():  # written after the first of the three steps of an epoch
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command(tmp_path, shapes, cut, resume=True, workers=1), env=environment, check=True, timeout=300)
    assert (cut / "results.csv").read_text() == (whole / "results.csv").read_text()
    first, second = (torch.load(run / "last.ckpt", weights_only=True) for run in (whole, cut))
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(first[key][name], second[key][name]) for name in first[key])
