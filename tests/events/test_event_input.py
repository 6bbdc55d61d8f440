"""How recordings become frames; the published preparation against the published network's golden input and output."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.golden import GOLDEN
from tests.helpers.recordings import events_of, random_events

import spikeyolo
from spikeyolo.errors import ConfigError
from spikeyolo.events import PREPARATIONS, EventInput, render, write_dat
from spikeyolo.events.recording import open_recording
from spikeyolo.events.render import frames_of
from spikeyolo.imaging.image_input import ImageInput

PUBLISHED = PREPARATIONS["gen1-published"]
END_US = 400_000


@pytest.fixture
def golden():
    return np.load(GOLDEN / "gen1_tiny" / "forward.npz")


def recording_of(frames, path):
    """A recording whose last events before END_US, newest window first, are the grey values of `frames` (T, H, W)."""
    columns = []
    for place, frame in enumerate(frames):
        end = END_US - place * 125_000
        y, x = np.nonzero(frame != 127)
        polarity = (frame[y, x] == 255).astype(int)
        for t, p in ((end - 60_000, 1 - polarity), (end - 1, polarity)):  # the earlier event of a pixel is overwritten
            columns.append(np.stack([np.full(len(x), t), x, y, p]))
    t, x, y, p = np.concatenate(columns, axis=1)[:, ::-1]
    order = np.argsort(t, kind="stable")
    write_dat(path, [events_of(t[order], x[order], y[order], p[order])], frames.shape[1:])
    return open_recording(path)


def test_published_preset_is_what_the_reference_says():
    assert (PUBLISHED.window_us, PUBLISHED.timesteps, PUBLISHED.letterbox) == (250_000, 2, 320)
    assert (PUBLISHED.representation.name, PUBLISHED.order, PUBLISHED.channels) == (
        "last_event_frame",
        "newest-first",
        3,
    )


@pytest.mark.parametrize("sample", [0, 1])
def test_a_recording_through_the_published_preset_gives_golden_frames_and_outputs(golden, tmp_path, sample):
    image = golden["image"][sample]  # (T, 3, 128, 128)
    recording = recording_of(image[:, 0], tmp_path / "a_td.dat")
    frames, placement = render(recording, END_US, replace(PUBLISHED, letterbox=128))
    np.testing.assert_array_equal(frames, image)
    assert placement.scale_xy == (1, 1)
    model = spikeyolo.load_reference(GOLDEN / "gen1_tiny" / "reference.pt").double()
    with torch.no_grad():
        logits = model((torch.from_numpy(frames).unsqueeze(1).float() / 255).double())
    for level, head in enumerate(logits):
        expected = golden[f"head{level}"][sample]
        np.testing.assert_allclose(head[0].numpy(), expected, atol=2e-3 * np.abs(expected).max())


def test_published_letter_box_of_gen1(tmp_path):
    """304 x 240 becomes 320 x 253 (240 * 320 / 304 = 252.6), with 33 grey rows above and 34 below."""
    dark = np.zeros((2, 240, 304), dtype=np.uint8)
    dark[1] = 255
    frames, placement = render(recording_of(dark, tmp_path / "a_td.dat"), END_US, PUBLISHED)
    assert frames.shape == (2, 3, 320, 320)
    assert (frames[:, :, :33] == 114).all()
    assert (frames[:, :, 286:] == 114).all()
    assert (frames[0, :, 33:286] == 0).all()  # the newest
    assert (frames[1, :, 33:286] == 255).all()
    np.testing.assert_allclose(placement.scale_xy, (320 / 304, 253 / 240))
    assert placement.offset_xy == (0, 33)


def test_published_checkpoint_says_how_it_was_prepared():
    model = spikeyolo.load_reference(GOLDEN / "gen1_tiny" / "reference.pt")
    assert model.input == PUBLISHED
    assert spikeyolo.load_reference(GOLDEN / "tiny" / "reference.pt").input == ImageInput.of(640)


def test_preparation_stays_with_the_weights(tmp_path):
    prepared = EventInput("voxel_grid", timesteps=3)
    prepared = replace(prepared, representation={"name": "voxel_grid", "bins": 6})
    model = spikeyolo.SpikeYOLO("t", num_classes=2, in_channels=6, timesteps=3, input=prepared)
    model.save(tmp_path / "m.safetensors")
    assert spikeyolo.load(tmp_path / "m.safetensors").input == prepared
    assert model.fold().input == prepared


def test_orders_are_permutations_of_the_oldest_first():
    frames = np.arange(4)[:, None] * np.ones((1, 2), int)
    rng = np.random.default_rng(0)
    assert EventInput(order="newest-first").in_order(frames, rng)[:, 0].tolist() == [3, 2, 1, 0]
    assert EventInput().in_order(frames, rng)[:, 0].tolist() == [0, 1, 2, 3]
    shuffled = {tuple(EventInput(order="shuffled").in_order(frames, rng)[:, 1].tolist()) for _ in range(200)}
    assert len(shuffled) == 24


def test_shuffled_bins_keep_polarities_together():
    """Each slice of time, a bin of a timestep, moves as a whole: both its polarities."""
    preparation = EventInput({"name": "stacked_histogram", "bins": 3}, order="shuffled")
    time = np.arange(6).reshape(2, 1, 3)
    frames = (time + np.array([0, 100]).reshape(1, 2, 1)).reshape(2, 6, 1, 1) * np.ones((1, 1, 4, 5), int)
    orders = set()
    for seed in range(100):
        got = preparation.in_order(frames, np.random.default_rng(seed))[:, :, 2, 3].reshape(2, 2, 3)
        np.testing.assert_array_equal(got[:, 1], got[:, 0] + 100)
        assert sorted(got[:, 0].ravel().tolist()) == [0, 1, 2, 3, 4, 5]
        orders.add(tuple(got[:, 0].ravel().tolist()))
    assert len(orders) > 80


@pytest.mark.parametrize("name", ["count_frames", "stacked_histogram", "voxel_grid", "time_surface"])
@pytest.mark.parametrize("downscale", [1, 2])
def test_frames_are_float_and_fill_up_to_multiples_of_32_without_events(tmp_path, name, downscale):
    write_dat(tmp_path / "a_td.dat", [random_events(3000, 90_000, (50, 70))], (50, 70))
    preparation = EventInput(name, timesteps=2, window_us=50_000, downscale=downscale)
    frames, _ = render(open_recording(tmp_path / "a_td.dat"), 80_000, preparation)
    rows, columns = -(-50 // downscale), 70 // downscale
    assert frames.dtype == np.float32
    assert frames.shape == (2, preparation.channels, -(-rows // 32) * 32, -(-columns // 32) * 32)
    assert np.abs(frames).sum() > 0
    assert not frames[:, :, rows:].any()
    assert not frames[:, :, :, columns:].any()


def test_downscaling_takes_the_events_of_four_pixels_together():
    events = random_events(2000, 50_000, (8, 10))
    full = frames_of(events, 50_000, (8, 10), EventInput(window_us=50_000))
    half = frames_of(events, 50_000, (8, 10), EventInput(window_us=50_000, downscale=2))
    np.testing.assert_array_equal(half, full.reshape(2, 2, 4, 2, 5, 2).sum((3, 5)))


def test_windows_beyond_the_recording_are_empty_and_whole(tmp_path):
    write_dat(tmp_path / "a_td.dat", [random_events(10, 1000, (32, 32))], (32, 32))
    recording = open_recording(tmp_path / "a_td.dat")
    for end in (-5000, 0, 10_000_000):
        frames, _ = render(recording, end, EventInput())
        assert frames.shape == (2, 2, 32, 32)
        assert not frames.any()
    assert render(recording, 1000, EventInput())[0].sum() == 10


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("published", "preparation: 'published' is not one of counts, gen1-published"),
        (3, "expected a name"),
        ({"windowus": 3}, "windowus: no such setting, did you mean 'window_us'?"),
        ({"representation": "frames"}, "'frames'; choose from count_frames"),
        ({"representation": {"name": "voxel_grid", "bin": 3}}, "bin: no such setting, did you mean 'bins'?"),
        ({"representation": 3}, "expected a name or settings"),
        ({"timesteps": 0}, "timesteps: 0"),
        ({"timesteps": True}, "timesteps: True"),
        ({"window_us": 1}, "cannot be cut into 2 timesteps"),
        ({"order": "random"}, "order: 'random'"),
        ({"letterbox": 320}, "only for last_event_frame"),
        ({"representation": "last_event_frame", "letterbox": 300}, "letterbox: 300"),
    ],
)
def test_bad_preparations_name_the_field(given, said):
    with pytest.raises(ConfigError) as error:
        EventInput.of(given)
    assert said in str(error.value)


def test_a_representation_named_again_keeps_its_settings():
    chosen = EventInput.of({"representation": {"name": "voxel_grid", "bins": 3}}, representation="voxel_grid")
    assert chosen.channels == 3
    assert EventInput.of(chosen, representation="stacked_histogram").channels == 20
