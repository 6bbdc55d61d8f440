import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from spikeyolo.errors import ConfigError, ShapeError
from spikeyolo.spiking import SlotCode, counts_to_slots, ilif, slots_to_counts


@given(max_count=st.integers(1, 63), timesteps=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_slots_are_binary_and_sum_to_the_counts(max_count, timesteps, seed):
    x = torch.randn(timesteps, 2, 3, generator=torch.Generator().manual_seed(seed)) * max_count
    counts = ilif(x, max_count=max_count)
    slots = counts_to_slots(counts, max_count)
    assert slots.shape == (timesteps, max_count, 2, 3)
    assert set(slots.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(slots_to_counts(slots), counts)


@given(max_count=st.integers(1, 63), seed=st.integers(0, 2**16))
def test_binary_slots_are_the_digits(max_count, seed):
    counts = torch.randint(0, max_count + 1, (2, 40), generator=torch.Generator().manual_seed(seed))
    for dtype in (torch.uint8, torch.int64, torch.float32):
        slots = counts_to_slots(counts.to(dtype), max_count, "binary")
        assert slots.shape == (2, len(bin(max_count)) - 2, 40)
        assert slots.dtype == dtype
        for t, i in ((0, 0), (1, 7), (1, 39)):
            digits = "".join(str(int(slot)) for slot in slots[t, :, i])
            assert int(digits, 2) == counts[t, i]
        assert torch.equal(slots_to_counts(slots, "binary"), counts.to(dtype))


@given(max_count=st.integers(1, 63), code=st.sampled_from(SlotCode))
def test_spikes_of_a_count_are_those_of_its_slots(max_count, code):
    slots = counts_to_slots(torch.arange(max_count + 1).unsqueeze(0), max_count, code)
    assert code.spikes(max_count) == tuple(slots.sum(1)[0].tolist())


def test_four_needs_three_slots_by_hand():
    slots = counts_to_slots(torch.tensor([[0, 1, 2, 3, 4]]), 4, "binary")
    assert slots.tolist() == [[[0, 0, 0, 0, 1], [0, 0, 1, 1, 0], [0, 1, 0, 1, 0]]]
    assert SlotCode.BINARY.weights(4) == (4, 2, 1)
    assert SlotCode.UNARY.weights(4) == (1, 1, 1, 1)
    assert SlotCode.BINARY.spikes(4) == (0, 1, 1, 2, 1)
    assert SlotCode.UNARY.spikes(4) == (0, 1, 2, 3, 4)


def test_an_unknown_code():
    with pytest.raises(ConfigError, match="slot_code: 'gray' is not one of unary, binary"):
        counts_to_slots(torch.zeros(1, 2), 4, "gray")


def test_spikes_come_first():
    assert counts_to_slots(torch.tensor([[0, 1, 3]]), 3).tolist() == [[[0, 1, 1], [0, 0, 1], [0, 0, 1]]]


def test_a_convolution_of_the_slots_sums_to_that_of_the_counts():
    counts = torch.randint(0, 5, (1, 2, 3, 6, 6)).double()
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    slots = counts_to_slots(counts, 4)
    by_slots = sum(F.conv2d(slots[0, d], weight, padding=1) for d in range(4))
    torch.testing.assert_close(by_slots, F.conv2d(counts[0], weight, padding=1), rtol=1e-12, atol=1e-12)


def test_no_slot_axis():
    with pytest.raises(ShapeError, match="slots"):
        slots_to_counts(torch.zeros(3))
