"""Weights in few bits: by hand, within half a step of any, and files of them that load, fold and train."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import load_file, save_file
from tests.helpers.networks import lively

import spikeyolo
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.model.packing import SCALE, pack, unpack


def test_three_bits_by_hand():
    weight = torch.tensor([[[[3.0, -1.4]]], [[[0.0, 0.0]]], [[[-0.5, 0.25]]]])
    packed = pack({"w": weight}, 3)
    assert packed["w"].dtype == torch.int8
    assert packed["w"].flatten().tolist() == [3, -1, 0, 0, -3, 2]  # 0.25 is 1.5 steps of 1/6: half to even
    assert packed["w" + SCALE].tolist() == pytest.approx([1.0, 0.0, 0.5 / 3], rel=1e-3)
    back = unpack(packed)
    assert back.keys() == {"w"}
    assert back["w"].flatten().tolist() == pytest.approx([3, -1, 0, 0, -0.5, 1 / 3], rel=1e-3)


def no_subnormal(value):
    return value == 0 or abs(value) > 1e-30


SIZES = st.floats(-(2.0**20), 2.0**20, width=32).filter(no_subnormal)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=SIZES),
    st.integers(2, 8),
)
def test_a_weight_is_off_by_half_a_step_at_most(weight, bits):
    back = unpack(pack({"w": torch.from_numpy(weight)}, bits))["w"].numpy()
    largest = np.abs(weight).max(1, keepdims=True)
    step = largest / (2 ** (bits - 1) - 1)
    assert np.all(np.abs(back - weight) <= step * 0.5 + largest * 1e-3)  # the scale is one of float16


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float32, 5, elements=st.floats(-(2.0**100), 2.0**100, width=32).filter(no_subnormal)))
def test_the_rest_is_kept_to_a_thousandth_whatever_its_size(values):
    back = unpack(pack({"norm.bias": torch.from_numpy(values)}, 8))["norm.bias"]
    assert back.dtype == torch.float32
    np.testing.assert_allclose(back.numpy(), values, rtol=1e-3)


def test_counters_and_whole_numbers_stay():
    counter, whole = torch.tensor(7), torch.ones(2, 2, dtype=torch.int32)
    packed = pack({"counter": counter, "whole": whole}, 4)
    assert packed.keys() == {"counter", "whole"}
    assert torch.equal(unpack(packed)["whole"], whole)


@pytest.mark.long
def test_a_file_is_a_quarter_loads_as_float32_and_finds_the_same(tmp_path):
    model = lively(num_classes=2, dtype=torch.float32)
    model.save(tmp_path / "whole.safetensors")
    model.save(tmp_path / "packed.safetensors", bits=8)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("packed", "whole")]
    assert sizes[0] < 0.3 * sizes[1]
    loaded = spikeyolo.load(tmp_path / "packed.safetensors")
    assert loaded.dtype == torch.float32
    assert (loaded.config, loaded.names, loaded.form) == (model.config, model.names, model.form)
    for key, value in model.state_dict().items():
        largest = float(value.abs().max())
        assert float((loaded.state_dict()[key] - value).abs().max()) <= max(largest / 127 * 0.51, 1e-3 * largest), key
    loaded.fold(dense=True)
    loaded.save(tmp_path / "again.safetensors", bits=8)  # rounds to the same steps
    again = spikeyolo.load(tmp_path / "again.safetensors")
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=2e-3, atol=1e-6)


def test_bits_out_of_range_write_nothing(tmp_path):
    for bits in (1, 9):
        with pytest.raises(ConfigError, match="bits"):
            spikeyolo.SpikeYOLO("t").save(tmp_path / "m.safetensors", bits=bits)
    assert not list(tmp_path.iterdir())


STEM = "backbone.stem.conv.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop(STEM), f"{STEM}: scales without weights"),
        (lambda t: t.update({STEM: t[STEM].float()}), f"{STEM}: scales without weights of int8"),
        (lambda t: t.update({STEM + SCALE: torch.ones(3)}), r"scales \(3,\) for weights"),
        (lambda t: t.update({STEM + SCALE: torch.ones(16, dtype=torch.int64)}), "no floating point"),
        (lambda t: t.pop(STEM + SCALE), "int8"),
        (lambda t: t.update({STEM + SCALE: torch.full((16,), float("nan"))}), "NaN"),
    ],
)
def test_damaged_files_are_refused_in_a_line(tmp_path, change, says):
    spikeyolo.SpikeYOLO("t", num_classes=1).save(tmp_path / "m.safetensors", bits=8)
    tensors = load_file(tmp_path / "m.safetensors")
    from safetensors import safe_open

    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        metadata = file.metadata()
    change(tensors)
    save_file(tensors, tmp_path / "m.safetensors", metadata)
    with pytest.raises(CheckpointError, match=says) as caught:
        spikeyolo.load(tmp_path / "m.safetensors")
    assert str(caught.value).startswith(str(tmp_path / "m.safetensors"))
