import copy

import pytest
import torch
from tests.helpers.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from tests.helpers.golden import GOLDEN, NETWORKS, golden_arrays, golden_input, golden_json
from tests.helpers.networks import lively
from torch import nn

import spikeyolo
from spikeyolo.detection.anchors import decode
from spikeyolo.detection.losses import detection_loss
from spikeyolo.detection.nms import non_maximum_suppression
from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.interop.names import published_name
from spikeyolo.model.blocks import RepConv, SepRepConv, SpikingBlock
from spikeyolo.model.forms.form import Form
from spikeyolo.model.network import running_statistics
from spikeyolo.spiking import ILIF, NeuronState
from spikeyolo.spiking.monitor import watch_counts
from spikeyolo.structures import STRIDES, Targets

FORMS = {
    "trainable": lambda model: model,
    Form.SEPARABLE: lambda model: model.fold(),
    Form.DENSE: lambda model: model.fold(dense=True),
    "dense from separable": lambda model: model.fold().fold(dense=True),
}


def mean_counts(model, image):
    """Logits, and each neuron's counts, under their published names."""
    counts = {}

    def remember(name):
        return lambda module, inputs, output: counts.__setitem__(published_name(name, model.config), output)

    hooks = [
        module.register_forward_hook(remember(name))
        for name, module in model.named_modules()
        if isinstance(module, ILIF)
    ]
    with torch.no_grad():
        logits = model(image)
    for hook in hooks:
        hook.remove()
    return logits, counts


@pytest.mark.few(3)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_in_float64(name, form):
    model = FORMS[form](spikeyolo.load_reference(GOLDEN / name / "reference.pt").double())
    expected, meta = golden_arrays(f"{name}/forward.npz"), golden_json(f"{name}/meta.json")
    logits, counts = mean_counts(model, golden_input(name, torch.float64))
    assert counts.keys() == meta["lif"].keys()
    for neuron, count in counts.items():
        assert count.mean().item() == pytest.approx(meta["lif"][neuron]["mean"], abs=1e-9), neuron
        assert (count > 0).double().mean().item() == pytest.approx(meta["lif"][neuron]["nonzero"], abs=1e-7), neuron
        assert list(count.shape) == meta["lif"][neuron]["shape"]
    for i, level in enumerate(logits):
        torch.testing.assert_close(level, torch.tensor(expected[f"head{i}"]).double(), rtol=0, atol=1e-5)
    boxes, scores = decode(logits, STRIDES)
    decoded = torch.cat([xyxy_to_cxcywh(boxes), scores], dim=2).transpose(1, 2)
    torch.testing.assert_close(decoded, torch.tensor(expected["decoded"]).double(), rtol=0, atol=1e-3)
    if "nms" in meta:
        limits = meta["nms"]
        found = non_maximum_suppression(boxes, scores, limits["conf"], limits["iou"], limits["max_det"])
        for i, detections in enumerate(found):
            rows = torch.tensor(expected[f"nms_{i}"]).double()
            torch.testing.assert_close(detections.boxes, rows[:, :4], rtol=0, atol=1e-3)
            torch.testing.assert_close(detections.scores, rows[:, 4], rtol=0, atol=1e-6)
            assert torch.equal(detections.labels, rows[:, 5].long())


@pytest.mark.few(2)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_folded_counts_are_the_trained_ones_at_every_position(name, dense):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt").double()
    image = golden_input(name, torch.float64)
    logits, counts = mean_counts(model, image)
    folded_logits, folded_counts = mean_counts(model.fold(dense), image)
    assert counts.keys() == folded_counts.keys()
    assert all(torch.equal(folded_counts[neuron], count) for neuron, count in counts.items())
    for ours, theirs in zip(folded_logits, logits, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.few(2)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_in_float32_stays_within_one_percent(name, form):
    model = FORMS[form](spikeyolo.load_reference(GOLDEN / name / "reference.pt"))
    meta = golden_json(f"{name}/meta.json")
    _, counts = mean_counts(model, golden_input(name, torch.float32))
    for neuron, count in counts.items():
        assert count.double().mean().item() == pytest.approx(meta["lif"][neuron]["mean"], rel=0.01), neuron


@pytest.mark.parametrize("name", ["tiny", "tiny_t4"])
def test_golden_training_step(name):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt").double().train()
    arrays, expected = golden_arrays(f"{name}/train_step.npz"), golden_json(f"{name}/train_step.json")
    image = golden_input(name, torch.float64)
    targets = Targets(
        torch.tensor(arrays["batch_idx"]).long(),
        torch.tensor(arrays["cls"]).long().flatten(),
        cxcywh_to_xyxy(torch.tensor(arrays["bboxes"])) * image.shape[-1],
        image.shape[0],
    )
    loss = detection_loss(model(image), targets, STRIDES)
    loss.total.backward()
    assert loss.total.item() == pytest.approx(arrays["loss"].item(), rel=1e-5)
    items = torch.stack([loss.box, loss.classes, loss.distribution])
    torch.testing.assert_close(items, torch.tensor(arrays["items"]).double(), rtol=1e-5, atol=0)
    norms = {published_name(key, model.config): p.grad.norm().item() for key, p in model.named_parameters()}
    assert norms.keys() == expected["grad_norms"].keys()
    for key, norm in norms.items():
        # A bias before a norm has no gradient but rounding: 1e-9 stands for zero.
        assert norm == pytest.approx(expected["grad_norms"][key], rel=1e-3, abs=1e-9), key


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("preset", "changes", "shape"),
    [
        ("t", {"num_classes": 1, "timesteps": 1, "max_count": 1}, (1, 3, 32, 32)),
        ("t", {"num_classes": 200, "timesteps": 3, "in_channels": 1}, (2, 1, 32, 96)),
        ("t-gen1", {"in_channels": 2, "max_count": 8}, (2, 3, 2, 64, 32)),
        ("t", {"neuron": "relu", "timesteps": 2}, (2, 3, 64, 64)),
    ],
)
def test_any_size_classes_channels_and_timesteps(preset, changes, shape):
    model = lively(preset, **changes)
    image = torch.rand(shape, dtype=torch.float64)
    expected = mean_counts(model, image)[0]
    for level, stride in zip(expected, STRIDES, strict=True):
        assert level.shape == (shape[-4], 64 + model.config.num_classes, shape[-2] // stride, shape[-1] // stride)
    for dense in (False, True):
        for ours, theirs in zip(model.fold(dense)(image), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_first_convolution_of_a_still_image_is_done_once():
    model = lively(timesteps=4, num_classes=2)
    seen = []
    model.backbone.stem.conv.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    image = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    by_image = model(image)
    by_frames = model(image.expand(4, 2, 3, 32, 32))
    assert [tuple(shape) for shape in seen] == [(2, 3, 32, 32), (8, 3, 32, 32)]
    for ours, theirs in zip(by_image, by_frames, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_stream_in_parts_equals_one_pass(cut):
    model = lively("t-gen1", timesteps=3)
    frames = torch.rand(3, 2, 3, 64, 64, dtype=torch.float64)
    whole = model(frames)
    state: NeuronState = NeuronState()
    parts = []
    for chunk in (frames[:cut], frames[cut:]):
        before = dict(state)
        logits, state = model(chunk, state)
        parts.append([level * len(chunk) for level in logits])  # logits are means over T
        assert before.keys() <= state.keys()
    for i, level in enumerate(whole):
        torch.testing.assert_close((parts[0][i] + parts[1][i]) / 3, level, rtol=1e-9, atol=1e-9)


def test_a_given_state_is_not_changed_and_none_is_kept():
    model = lively("t-gen1", timesteps=1)
    frame = torch.rand(1, 1, 3, 32, 32, dtype=torch.float64)
    first, state = model(frame, {})
    kept = {name: v.clone() for name, v in state.items()}
    second, _ = model(frame, state)
    assert all(torch.equal(state[name], v) for name, v in kept.items())
    assert len(state) == sum(isinstance(m, ILIF) for m in model.modules())
    assert not torch.equal(first[0], second[0])  # the potentials that were carried over matter
    for again, expected in zip(model(frame), first, strict=True):
        assert torch.equal(again, expected)


def test_the_relu_twin_has_the_same_weights_and_no_spikes():
    spiking = lively(num_classes=3)
    twin = spikeyolo.SpikeYOLO("t", num_classes=3, neuron="relu").double().eval()
    twin.load_state_dict(spiking.state_dict())
    outputs = []
    twin.backbone.stage1[0].token_mixer[0].neuron.register_forward_hook(lambda m, i, o: outputs.append(o))
    twin(torch.rand(1, 3, 64, 64, dtype=torch.float64))
    assert not [m for m in twin.modules() if isinstance(m, ILIF)]
    assert 0 <= outputs[0].min() < outputs[0].max() <= 4
    assert not torch.equal(outputs[0], outputs[0].round())


def test_folding_leaves_the_original_alone():
    model = lively(num_classes=2).train()
    before = copy.deepcopy(model.state_dict())
    folded = model.fold(dense=True)
    assert model.training
    assert model.form == "trainable"
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d | RepConv | SepRepConv)]
    assert not any(p.requires_grad for p in folded.parameters())
    with pytest.raises(ConfigError, match="the dense form cannot become separable"):
        folded.fold()


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ((3, 32, 32), "expected floating point"),
        ((1, 4, 32, 32), "in_channels=3"),
        ((1, 3, 48, 32), "multiples of 32"),
        ((0, 3, 32, 32), "multiples of 32|0 x|got"),
        ((5, 1, 3, 32, 32), r"timesteps=1; axes are \(T, B, C, H, W\)"),
    ],
)
def test_wrong_inputs(shape, word):
    with pytest.raises(ShapeError, match=word):
        spikeyolo.SpikeYOLO("t", num_classes=2)(torch.zeros(shape))
    with pytest.raises(ShapeError, match="uint8"):
        spikeyolo.SpikeYOLO("t", num_classes=2)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


def test_gradients_reach_every_parameter():
    model = spikeyolo.SpikeYOLO("t", num_classes=2, timesteps=2)
    sum(level.square().sum() for level in model(torch.rand(2, 3, 64, 64))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_what_holds_nothing_is_learnt_from_by_running_statistics():
    """By its own, of variance 0, gradients grow beyond float32."""
    model, nothing = spikeyolo.SpikeYOLO("t-gen1", num_classes=2, in_channels=2), torch.zeros(2, 1, 2, 64, 64)
    model.backbone.stage1.eval()  # as parts that are frozen
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with running_statistics(model):
        sum(level.square().sum() for level in model(nothing)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert {name for name, part in model.named_modules() if not part.training} == {
        name for name, _ in model.named_modules() if name.startswith("backbone.stage1")
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype):
    model = spikeyolo.SpikeYOLO("t", num_classes=2)
    with torch.autocast("cpu", dtype=dtype):
        logits = model(torch.rand(1, 3, 64, 64))
    targets = Targets(torch.tensor([0]), torch.tensor([1]), torch.tensor([[10.0, 10.0, 50.0, 60.0]]), 1)
    loss = detection_loss(logits, targets, STRIDES).total
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch.compile's own
def test_compiled_training_equals_eager():
    block = SpikingBlock(8, 2, lambda _: ILIF(), rep=True)
    twin = copy.deepcopy(block)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 1, 8, 16, 16)
    for network in (block, compiled):
        network(x).square().sum().backward()
    for ours, theirs in zip(twin.parameters(), block.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for name, buffer in twin.named_buffers():
        torch.testing.assert_close(buffer, block.get_buffer(name))


@pytest.mark.long
def test_exported_equals_eager():
    model = lively(num_classes=2, timesteps=2).fold()
    image = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    batch = torch.export.Dim("batch", min=1, max=16)
    exported = torch.export.export(model, (image,), dynamic_shapes={"images": {0: batch}}).module()
    for ours, theirs in zip(exported(image[:1]), model(image[:1]), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("changes", [{}, {"neuron": "gen1", "timesteps": 3}, {"learned_scale": "channel"}])
def test_blocks_that_are_run_once_more_give_the_same_gradients_from_less(changes):
    kept, found = [], []
    images = torch.rand(2, 3, 64, 64)
    for recompute in (False, True):
        torch.manual_seed(0)
        model = spikeyolo.SpikeYOLO("t", num_classes=2, **changes).train()
        for part in model.modules():
            if isinstance(part, SpikingBlock):
                part.recompute = recompute
        held = 0

        def keep(tensor):
            nonlocal held
            held += tensor.numel() * tensor.element_size()
            return tensor

        with watch_counts(model) as mean, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = sum(level.square().mean() for level in model(images))
        kept.append(held)
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        found.append({**gradients, **dict(model.named_buffers()), "loss": loss, "count": torch.tensor(mean.value())})
    assert kept[1] < 0.5 * kept[0]
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("timesteps", [1, 2])
def test_what_flows_through_a_training_network_lies_channels_last_everywhere(timesteps):
    model = lively(dtype=torch.float32, num_classes=3, timesteps=timesteps).train()
    rows_first = []

    def look(name):
        def hook(module, inputs, output):
            images = (x[0] if x.ndim == 5 else x for x in (inputs[0], output))
            rows_first.extend(name for x in images if not x.is_contiguous(memory_format=torch.channels_last))

        return hook

    for name, module in model.named_modules():
        if isinstance(module, ILIF | nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(look(name))
    logits = model(torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last))
    assert rows_first == []
    assert all(level.is_contiguous(memory_format=torch.channels_last) for level in logits)
