import numpy as np
import pytest

from spikeyolo.errors import WriteError
from spikeyolo.imaging.io import read_rgb, write_rgb


def test_written_and_read_again(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    write_rgb(tmp_path / "page.png", image)
    assert np.array_equal(read_rgb(tmp_path / "page.png"), image)
    assert [p.name for p in tmp_path.iterdir()] == ["page.png"]


@pytest.mark.parametrize(
    ("name", "shape"), [("none/page.png", (2, 2, 3)), ("page.nonsense", (2, 2, 3)), ("page.png", (0, 2, 3))]
)
def test_what_cannot_be_written(tmp_path, name, shape):
    with pytest.raises(WriteError, match="cannot be written"):
        write_rgb(tmp_path / name, np.zeros(shape, np.uint8))
    assert not list(tmp_path.iterdir())
