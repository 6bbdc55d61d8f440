"""What becomes of bytes on the device: pixels are divided by 255, counts are what they are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeyolo.errors import ShapeError
from spikeyolo.imaging.tensors import as_input

FRAMES = (2, 1, 2, 1, 1)  # (T, B, C, H, W)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("kind", "most"), [(torch.int8, 127), (torch.int16, 32767)])
@given(data=st.data())
def test_whole_numbers_are_what_the_same_frames_in_float32_are(dtype, kind, most, data):
    values = data.draw(st.lists(st.integers(-most - 1, most), min_size=4, max_size=4))
    found = as_input(torch.tensor(values, dtype=kind).reshape(FRAMES), "cpu", dtype)
    expected = torch.tensor([float(value) for value in values]).to(dtype).reshape(FRAMES)
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 1, 3, 2, 2)])
def test_bytes_of_pixels_stand_for_0_to_1(shape):
    values = np.arange(np.prod(shape), dtype=np.uint8) * 10
    found = as_input(torch.from_numpy(values).reshape(shape), "cpu", torch.float32)
    np.testing.assert_array_equal(found.contiguous().numpy().ravel(), values.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 3, 2, 2), torch.int8), ((1, 3, 2, 2), torch.int16), (FRAMES, torch.int32)]
)
def test_images_are_no_counts_and_numbers_beyond_16_bits_are_refused(shape, dtype):
    with pytest.raises(ShapeError, match=str(dtype)):
        as_input(torch.zeros(shape, dtype=dtype), "cpu", torch.float32)
