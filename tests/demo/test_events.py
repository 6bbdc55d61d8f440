"""The demo of event cameras with a few recordings and one epoch: everything is there, and told."""

from spikeyolo import load
from spikeyolo.demo.events import tell_events
from spikeyolo.imaging.io import read_rgb
from spikeyolo.synthetic.recordings import PREPARATION, RecordingsConfig

SMALL = RecordingsConfig(train=2, val=1, test=2, size_hw=(64, 64), duration_us=400_000, label_every_us=200_000)


def test_the_story_from_nothing_to_numbers_and_images(tmp_path):
    said = []
    story = tell_events(tmp_path / "demo", epochs=1, say=said.append, config=SMALL)
    assert said[0].startswith("1. 2 recordings to train on, 1 to choose by, 2 to report")
    assert len(said) == 3
    assert load(story.weights).input == PREPARATION
    assert story.validation.event_metrics.plain_coco.images > 0
    assert read_rgb(str(story.predictions)).shape == (2 * 192 + 4, 6 * 192 + 5 * 4, 3)
    assert story.recording.is_file()
    assert (story.weights.parent / "precision_recall.png").is_file()
