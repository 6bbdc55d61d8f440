"""What only a GPU can show: `pytest -m gpu` is the whole first run on one."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.helpers.networks import lively
from torch import nn

from spikeyolo.detection.losses import detection_loss
from spikeyolo.detection.nms import non_maximum_suppression
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.tensors import as_input
from spikeyolo.metering.counting import on_counts, tally
from spikeyolo.model.blocks import border_value
from spikeyolo.model.forms.verify import verify_spike_driven
from spikeyolo.spiking import ilif, ilif_sequence, kernels
from spikeyolo.spiking.equation import Neuron
from spikeyolo.spiking.normed import norm_and_add, norm_and_fire, norm_less_border
from spikeyolo.structures import STRIDES, Targets

pytestmark = pytest.mark.gpu


@pytest.fixture
def model():
    return lively(num_classes=3).float().eval()


@pytest.fixture(autouse=True)
def everything_allowed():
    """The precision that a user may have switched on for the training's sake."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_neuron(dtype):
    x = torch.randn(4, 2, 8, 16, 16, generator=torch.Generator().manual_seed(0)).mul(3).to(dtype)
    assert torch.equal(ilif(x.cuda()).cpu(), ilif(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("decay", "gain"), [(0.25, 1.0), (0.5, 0.5), (0.3, 0.7)])
@pytest.mark.parametrize("timesteps", [1, 2, 4, 8])
def test_kernels_equal_the_eager_equation_bit_for_bit(monkeypatch, timesteps, decay, gain, dtype):
    generator = torch.Generator().manual_seed(0)

    def currents(*shape):
        return (torch.randn(*shape, generator=generator) * 3).cuda()

    flat = currents(timesteps * 2, 24, 15, 17).contiguous(memory_format=torch.channels_last)
    x, v = flat.unflatten(0, (timesteps, 2)).to(dtype), currents(2, 24, 15, 17)
    upstream, upstream_v = currents(*x.shape).to(dtype), currents(*v.shape)

    def run():
        inputs = x.clone().requires_grad_(), v.clone().requires_grad_()
        outputs = ilif_sequence(*inputs, decay=decay, gain=gain, max_count=15)
        return [*outputs, *torch.autograd.grad(outputs, inputs, (upstream, upstream_v))]

    by_kernel = run()
    assert by_kernel[0].stride() == x.stride()
    monkeypatch.setattr(kernels, "has_kernel", lambda *_: False)
    for ours, theirs in zip(by_kernel, run(), strict=True):
        assert torch.equal(ours, theirs)


def normed(norm, x):
    return norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def less_border_after(norm, x):
    y = normed(norm, x)
    return y - border_value(norm).view(-1, 1, 1)


JOINED = {
    "neurons": (lambda norm, x: norm_and_fire(norm, x, Neuron()), lambda norm, x: ilif(normed(norm, x))),
    "shortcut": (lambda norm, x: norm_and_add(norm, x, x.detach()), lambda norm, x: normed(norm, x) + x.detach()),
    "padding": (
        lambda norm, x: norm_less_border(norm, x.flatten(0, 1))[0].unflatten(0, x.shape[:2]),
        less_border_after,
    ),
}
"""By what a norm is joined with: that, and the same of modules."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("timesteps", [1, 2, 4])
@pytest.mark.parametrize("after", JOINED)
def test_joined_norms_are_those_of_modules_in_float64(after, timesteps, dtype):
    generator = torch.Generator().manual_seed(0)
    flat, upstream = (torch.randn(timesteps * 2, 24, 45, 47, generator=generator).to(dtype) for _ in range(2))
    exact = nn.BatchNorm2d(24, 1e-3, 0.03)
    with torch.no_grad():
        exact.weight.copy_(torch.rand(24, generator=generator) + 0.5)
        exact.bias.copy_(torch.randn(24, generator=generator))
    norm, exact = copy.deepcopy(exact).cuda(), exact.double()
    found = []
    for own, run, x in zip((norm, exact), JOINED[after], (flat.cuda(), flat.double()), strict=True):
        x = x.contiguous(memory_format=torch.channels_last).unflatten(0, (timesteps, 2)).requires_grad_()
        y = run(own, x)
        grads = torch.autograd.grad(y, [x, own.weight, own.bias], upstream.view(x.shape).to(y))
        found.append([y, *grads, own.running_mean, own.running_var])
    assert found[0][0].dtype == dtype
    for ours, theirs in zip(*found, strict=True):
        difference = ours.cpu().double() - theirs
        assert difference.norm() <= (1e-3 if dtype == torch.float32 else 1e-2) * theirs.norm()


def test_a_steady_step_waits_for_nothing(tiny, tmp_path, monkeypatch):
    from dataclasses import replace

    from spikeyolo.training.module import DetectorModule
    from spikeyolo.training.run import train

    step, silent = DetectorModule.training_step, []

    def watched(self, batch, batch_idx):
        steady = batch_idx in (4, 5, 6)
        torch.cuda.set_sync_debug_mode("error" if steady else "default")
        try:
            step(self, batch, batch_idx)
            silent.extend([batch_idx] * steady)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(DetectorModule, "training_step", watched)
    train(replace(tiny, device="0", epochs=1, batch=1, nominal_batch=1), tmp_path / "run")
    assert silent == [4, 5, 6]


def test_nms():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(1, 3000, 2, generator=generator) * 600 - 50
    boxes = torch.cat([corners, corners + torch.rand(1, 3000, 2, generator=generator) * 200], dim=2)
    scores = torch.rand(1, 3000, 5, generator=generator)
    (cpu,), (gpu,) = (
        non_maximum_suppression(boxes.to(d), scores.to(d), conf=0.5, iou=0.5, max_det=300) for d in ("cpu", "cuda")
    )
    assert torch.equal(gpu.boxes.cpu(), cpu.boxes)
    assert torch.equal(gpu.labels.cpu(), cpu.labels)


def test_slots_equal_counts_bit_for_bit_with_tf32_allowed(model):
    spiking = model.to_spike_driven().cuda()
    counted = on_counts(model).cuda()
    x = torch.rand(2, 3, 128, 128, device="cuda")
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(spiking(x), counted(x), strict=True))
    verify_spike_driven(spiking)


def test_spikes_of_an_image_are_those_of_the_cpu_bit_for_bit(model):
    network, images = on_counts(model), torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8)
    x, there = as_input(images, "cpu", torch.float32), as_input(images.cuda(), "cuda", torch.float32)
    assert torch.equal(there.cpu(), x)
    with torch.no_grad():
        cpu = network(x)
        counted = tally(network, [x])
        assert all(torch.equal(a.cpu(), b) for a, b in zip(network.cuda()(there), cpu, strict=True))
    assert tally(network, [there]).layers() == counted.layers()


def test_integers_are_those_of_the_cpu(model):
    integer = model.to_integer()
    x = torch.randint(0, 256, (2, 3, 64, 64)).float() / 255
    with torch.no_grad():
        cpu = integer(x)
        gpu = integer.cuda()(x.cuda())
    assert all(torch.equal(a, b.cpu()) for a, b in zip(cpu, gpu, strict=True))


def test_integer_form_is_made_on_the_gpu(model):
    assert model.cuda().to_integer().device.type == "cuda"


def test_predict(model):
    model.input = ImageInput.of(128)
    image = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
    (cpu,) = model.double().predict(image, conf=0.005)
    (gpu,) = model.cuda().predict(image, conf=0.005)
    assert len(cpu) == len(gpu)
    torch.testing.assert_close(gpu.boxes.cpu(), cpu.boxes, atol=1e-6, rtol=0)


def test_loss():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(2, 67, 128 // s, 128 // s, generator=generator, dtype=torch.float64) for s in STRIDES]
    boxes = torch.tensor([[10.0, 10, 60, 70], [30, 40, 100, 90], [5, 60, 50, 120]], dtype=torch.float64)
    targets = Targets(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]), boxes, 2)
    cpu = detection_loss(logits, targets, STRIDES)
    gpu = detection_loss([x.cuda() for x in logits], targets.to("cuda"), STRIDES)
    torch.testing.assert_close(gpu.total.cpu(), cpu.total)


@pytest.mark.parametrize("precision", ["32", "bf16", "fp16"])
def test_training_and_its_validation(tiny, tmp_path, precision):
    from dataclasses import replace

    from spikeyolo.training.run import train, validate_best

    folder = train(replace(tiny, device="0", precision=precision, patience=1, imgsz=64), tmp_path / "run")
    assert folder.best.is_file()
    assert validate_best(folder).metrics.images == 4


def test_nccl_with_one_process_reaches_the_end_of_a_validation(tiny, tmp_path, monkeypatch):
    """Every training on several GPUs logs its fitness so; NCCL takes no tensor of a CPU."""
    from dataclasses import replace

    import lightning.pytorch as pl

    from spikeyolo.training import run

    trainer = pl.Trainer
    monkeypatch.setattr(run.pl, "Trainer", lambda **given: trainer(**{**given, "strategy": "ddp", "devices": 1}))
    folder = run.train(replace(tiny, device="0", patience=1, imgsz=64), tmp_path / "run")
    assert folder.best.is_file()


def test_training_compiled_and_its_validation(tiny, tmp_path, capsys):
    """By triton, with counts measured and a smaller last batch between compiled ones."""
    from dataclasses import replace

    from spikeyolo.training.run import train

    for timesteps, precision in ((1, "bf16"), (2, "32")):
        out = tmp_path / precision
        settings = replace(tiny, device="0", precision=precision, timesteps=timesteps, compile=True)
        assert train(settings, out).best.is_file()
        said = capsys.readouterr().out
        assert "compiling the network for training" in said
        assert "uncompiled" not in said


def test_compiled_inference_equals_eager(model):
    """To 1e-9 in double precision, where no spike count hangs on rounding."""
    from spikeyolo.model.compiling import compile_network

    network, images = model.double().fold().cuda(), torch.rand(2, 3, 128, 128, dtype=torch.float64, device="cuda")
    with torch.inference_mode():
        expected = network(images)
        found = compile_network(network)(images)
    assert network.compiled.reason is None
    torch.testing.assert_close(list(found), list(expected), rtol=1e-9, atol=1e-9)


def test_the_batch_that_fits_leaves_its_margin_and_half_as_much_again_does_not_fit():
    from spikeyolo.training.batch_size import MARGIN, Trial, largest_batch
    from spikeyolo.training.settings import TrainSettings

    network, device = lively(num_classes=3).float(), torch.device("cuda", 0)
    sample = torch.zeros(1, 3, 640, 640, dtype=torch.uint8)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    limit = min(1.0, 4e9 / total)  # so that it does not take minutes on a large one
    hold = torch.empty(int(torch.cuda.mem_get_info(device)[0] * (1 - limit)), dtype=torch.uint8, device=device)
    free, _ = torch.cuda.mem_get_info(device)
    trial = Trial(TrainSettings(batch="auto", precision="bf16"), network, [], sample, device)
    found = largest_batch(trial.fits, 4096)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_reserved(device)
    trial.steps(found)
    assert torch.cuda.max_memory_reserved(device) - before <= (1 - MARGIN) * free
    assert not trial.fits(found + found // 2 + 1)
    del hold


def test_a_training_whose_batch_is_found(tiny, tmp_path, capsys):
    from dataclasses import replace

    from spikeyolo.training.run import train
    from spikeyolo.training.settings import read_settings

    folder = train(replace(tiny, device="0", batch="auto", epochs=1), tmp_path / "run")
    assert read_settings(folder.config).batch == 8  # the images of a step; ten are there
    assert "batch auto: 8 images, which fit" in capsys.readouterr().out
