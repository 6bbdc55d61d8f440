import cv2
import numpy as np
import pytest

from spikeyolo.errors import ConfigError, DataError
from spikeyolo.synthetic.video import moving_scenes, write_video


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        found, frame = capture.read()
        if not found:
            return frames
        frames.append(frame[..., ::-1])


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_video_reads_back_as_the_scenes(tmp_path, name):
    path = write_video(tmp_path / name, frames=6, size_hw=(64, 96), shapes=3, seed=2)
    frames, scenes = frames_of(path), list(moving_scenes(6, (64, 96), 3, 2))
    assert len(frames) == 6
    assert [p.name for p in tmp_path.iterdir()] == [name]
    for frame, made in zip(frames, scenes, strict=True):
        assert frame.shape == (64, 96, 3)
        assert np.abs(frame.astype(float) - made.image).mean() < 20


def test_shapes_move_inside_the_image():
    scenes = list(moving_scenes(40, (64, 96), 3, seed=1))
    boxes = np.concatenate([made.boxes for made in scenes])
    assert (boxes >= 0).all()
    assert (boxes[:, [0, 2]] <= 96).all()
    assert (boxes[:, [1, 3]] <= 64).all()
    assert np.abs(scenes[0].boxes[0] - scenes[-1].boxes[0]).max() > 3


def test_what_cannot_be_a_video_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="ends in"):
        write_video(tmp_path / "a.gif")
    with pytest.raises(ConfigError, match="even"):
        write_video(tmp_path / "a.mp4", size_hw=(65, 64))
    with pytest.raises(DataError, match="cannot be written"):
        write_video(tmp_path / "missing" / "a.avi", frames=1)
