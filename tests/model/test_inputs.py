"""What a network sees is part of it: saved with the weights, used by everything that shows it something."""

from __future__ import annotations

import copy
import json
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.model.inputs import chosen_input
from spikeyolo.model.network import evaluating

GREY = np.full((40, 60, 3), 90, dtype=np.uint8)
PUBLISHED = EventInput.of("gen1-published")


def of_events(**changes):
    return spikeyolo.SpikeYOLO("t-gen1", input=PUBLISHED, **changes)


@pytest.mark.long
@pytest.mark.few(1)
@pytest.mark.parametrize("input", [ImageInput.of(256), ImageInput((96, 160))], ids=str)
def test_the_input_is_saved_and_kept_by_every_form(tmp_path, input):
    model = lively(num_classes=2)
    model.input = input
    model.save(tmp_path / "moved.safetensors")
    assert spikeyolo.load(tmp_path / "moved.safetensors").input == input
    for form in (model.fold(), model.fold(dense=True), model.to_spike_driven(), model.to_integer()):
        form.save(tmp_path / "form.safetensors")
        assert spikeyolo.load(tmp_path / "form.safetensors").input == input


def test_predict_takes_the_size_of_the_training():
    model = lively(num_classes=2)
    model.input = ImageInput.of(96)
    seen = []
    folded = model._predictor()
    folded.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    model.predict(GREY)
    model.predict(GREY, imgsz=(64, 128))
    assert seen == [(1, 3, 96, 96), (1, 3, 64, 128)]


def test_format_1_is_read(tmp_path):
    def written(name, **metadata):
        tensors = {key: value.contiguous() for key, value in models[name].state_dict().items()}
        header = {"format": "spikeyolo", "version": "1", "form": "trainable", "names": json.dumps(models[name].names)}
        header |= {"config": json.dumps(models[name].config.to_dict()), **metadata}
        save_file(tensors, tmp_path / f"{name}.safetensors", header)
        return tmp_path / f"{name}.safetensors"

    models = {"images": lively(num_classes=2), "events": of_events()}
    with pytest.warns(UserWarning, match="did not keep the size of images; taken as images of 640 x 640 pixels"):
        assert spikeyolo.load(written("images")).input == ImageInput.of(640)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = spikeyolo.load(written("events", preparation=json.dumps(PUBLISHED.to_dict())))
    assert loaded.input == PUBLISHED


@pytest.mark.parametrize(
    ("make", "changes", "says"),
    [
        (lively, {"window_us": 1000}, "window_us: for recordings"),
        (
            lively,
            {"kind": "recordings"},
            "the model sees images, the data are recordings; give a model of recordings, or name the prep",
        ),
        (lively, {"imgsz": 100}, "imgsz: 100 is not a multiple of 32"),
        (of_events, {"imgsz": 64}, "imgsz: for images"),
        (of_events, {"kind": "images"}, "the model sees recordings, the data are images"),
        (lively, {"kind": "images", "preparation": "counts"}, "preparation: for recordings"),
        (of_events, {"preparation": "counts"}, "gives T, C = 2, 2; the network takes 2, 3"),
        (lambda: spikeyolo.SpikeYOLO("t", in_channels=2), {}, "does not say how recordings become frames"),
    ],
)
def test_what_does_not_apply_is_refused(make, changes, says):
    with pytest.raises(ConfigError, match=says):
        chosen_input(make(), **changes)


def test_changes_that_apply():
    assert chosen_input(lively(), imgsz=96) == ImageInput.of(96)
    assert chosen_input(of_events(), window_us=50_000).window_us == 50_000
    assert chosen_input(spikeyolo.SpikeYOLO("t-gen1"), preparation="gen1-published") == PUBLISHED
    bare = spikeyolo.SpikeYOLO("t", in_channels=2, timesteps=2)
    assert chosen_input(bare, preparation="counts", window_us=100_000).window_us == 100_000


def test_an_input_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="images have 3 channels, the network has in_channels=2"):
        spikeyolo.SpikeYOLO("t", in_channels=2, input=ImageInput())
    with pytest.raises(ConfigError, match="the network takes 1, 3"):
        spikeyolo.SpikeYOLO("t", input=PUBLISHED)


@pytest.mark.parametrize("tensor", [torch.full((1, 3, 64, 64), 128, dtype=torch.uint8), torch.rand(1, 3, 64, 64)])
def test_uint8_and_unit_tensors_are_one_thing(tensor):
    model = lively(num_classes=2)
    unit = tensor.double() / 255 if tensor.dtype == torch.uint8 else tensor
    (a,), (b,) = model.predict(tensor, conf=0.001), model.predict(unit, conf=0.001)
    assert len(a)
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.scores, b.scores)


@pytest.mark.parametrize("factor", [255.0, -1.0])
def test_tensors_outside_the_unit_range_are_refused(factor):
    with pytest.raises(ShapeError, match=r"must lie in 0\.\.1, got .*divide by 255"):
        lively().predict(torch.rand(1, 3, 64, 64) * factor)


def test_predict_folds_once_and_again_when_weights_change(monkeypatch):
    model = lively(num_classes=2)
    folds, fold = [], type(model).fold

    def counted(self, dense=False):
        folds.append(1)
        return fold(self, dense)

    monkeypatch.setattr(type(model), "fold", counted)
    before = model.predict(GREY, conf=0.001, imgsz=64)[0]
    model.predict(GREY, conf=0.001, imgsz=64)
    assert len(folds) == 1
    assert len(before) >= 5
    with torch.no_grad():
        for branch in model.head.classes:
            branch[2].conv.bias.add_(2.0)
    after = model.predict(GREY, conf=0.001, imgsz=64)[0]
    assert len(folds) == 2
    assert not torch.equal(before.scores[:5], after.scores[:5])
    model.load_state_dict(model.state_dict())
    model.predict(GREY, imgsz=64)
    assert len(folds) == 3


def test_predict_is_what_the_folded_network_predicts():
    model = lively(num_classes=2)
    (a,), (b,) = model.predict(GREY, conf=0.001, imgsz=64), model.fold().predict(GREY, conf=0.001, imgsz=64)
    assert len(a)
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.scores, b.scores)


def test_the_folded_network_is_no_part_of_the_model(tmp_path):
    model = lively(num_classes=2)
    keys = set(model.state_dict())
    model.predict(GREY, imgsz=64)
    assert set(model.state_dict()) == keys
    assert copy.deepcopy(model)._folded is None


def test_modes_of_all_parts_come_back():
    model = lively().train()
    model.backbone.eval()
    modes = [part.training for part in model.modules()]

    def fails():
        with evaluating(model):
            assert not any(part.training for part in model.modules())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert [part.training for part in model.modules()] == modes


def test_names_say_how_many_classes_there_are():
    assert spikeyolo.SpikeYOLO("t", names=["a", "b"]).config.num_classes == 2
    with pytest.raises(ConfigError, match="2 class names for num_classes=3; leave num_classes out"):
        spikeyolo.SpikeYOLO("t", names=["a", "b"], num_classes=3)


def test_misplaced_arguments_name_what_to_call():
    with pytest.raises(ConfigError, match=r"best\.safetensors: has weights, and is loaded by spikeyolo\.load"):
        spikeyolo.SpikeYOLO("best.safetensors")
    with pytest.raises(ShapeError, match="expected a tensor, got str; files and arrays: call predict"):
        lively()("image.jpg")


def test_device_and_dtype_cost_no_state_dict(monkeypatch):
    model, integer = lively(), lively(num_classes=2).to_integer()
    monkeypatch.setattr(torch.nn.Module, "state_dict", lambda *_, **__: pytest.fail("a whole state dict"))
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float64)
    assert integer.dtype == torch.float32  # its weights are integers
