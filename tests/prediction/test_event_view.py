"""The page and the video of a recording: what they show, and that the page asks nothing of a network."""

import base64
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from tests.helpers.event_datasets import boxes_of
from tests.helpers.recordings import events_of

from spikeyolo.cli.main import main
from spikeyolo.data.events.labels import write_boxes
from spikeyolo.events import write_dat
from spikeyolo.imaging.draw import class_colour

EVIL = "</script><b>car&"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture
def recording(tmp_path):
    """Windows of 100 us: two brighter and a darker event, none, one; a box in the first, by its last label."""
    events = events_of([0, 50, 99, 250], [3, 4, 5, 6], [2, 2, 3, 3], [1, 0, 1, 1])
    (tmp_path / "set").mkdir()
    write_dat(tmp_path / "set" / "a_td.dat", [events], (32, 64))
    write_boxes(tmp_path / "set" / "a_bbox.npy", boxes_of((40, 1, 1, 5, 5, 0), (90, 10, 20, 30, 8, 1)))
    (tmp_path / "data.yaml").write_text(f"format: prophesee\ntrain: set\nnames: [bus, '{EVIL}']\n")
    return tmp_path / "set" / "a_td.dat"


def view(recording, out, *more):
    words = ["events", "view", recording, "--out", out, "--window-us", 100, *more]
    return main([*map(str, words), "--data", str(recording.parents[1] / "data.yaml")])


def test_the_page_holds_what_it_shows(recording, tmp_path, capsys):
    assert view(recording, tmp_path / "v.html") == 0
    assert "3 windows of 0.1 ms" in capsys.readouterr().out
    text = (tmp_path / "v.html").read_text()
    assert not re.search(r"https?:(?!//www.w3.org/2000/svg)|url\(|@import|<script[^>]*src", text)
    assert text.count("</script>") == 2  # the name of a class ends none
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    shots = data["shots"]
    assert [(s["start_us"], s["brighter"], s["darker"]) for s in shots] == [(0, 2, 1), (100, 0, 0), (200, 1, 0)]
    assert data["most"] == 3
    assert [s["boxes"] for s in shots] == [[[10, 20, 40, 28, EVIL, 1]], [], []]
    assert data["colours"]["1"][0] == f"rgb{class_colour(1)}"
    kind, _, content = shots[0]["image"].partition("base64,")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), 1)
    assert kind == "data:image/png;"
    assert image.shape == (32, 64, 3)
    assert (image[2, 3] != 255).any()
    assert (image[20:28] == 255).all()  # boxes lie over the image, not in it


def test_the_video_has_a_frame_a_window_with_its_boxes_and_a_line_below(recording, tmp_path):
    assert view(recording, tmp_path / "v.mp4") == 0
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (3, 1000)
    frame = video.read()[1]
    assert frame.shape[1] == 640
    assert frame.shape[0] > 320
    below = frame[320:].astype(int)
    assert (below.min(axis=2) < 128).any()  # letters
    edge = frame[200:280, 100].astype(int).mean(axis=0)[::-1]  # the left side of the box at x = 10
    assert np.abs(edge - class_colour(1)).max() < 90


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "must end in"), (("--windows", 0), "must be at least 1")],
)
def test_what_cannot_be_shown(recording, tmp_path, capsys, words, said):
    assert view(recording, tmp_path / ("v.gif" if not words else "v.html"), *words) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("v.*"))


def test_windows_that_follow_are_named(recording, tmp_path, capsys):
    assert view(recording, tmp_path / "v.html", "--windows", 1) == 0
    assert "1 windows of" in capsys.readouterr().out


@pytest.mark.long
def test_the_page_runs_in_a_browser(recording, tmp_path):
    """At window 1 its box has the name as it is written, and the numbers are those of the window."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium here")
    assert view(recording, tmp_path / "v.html") == 0
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000", "--dump-dom"]
    page = f"file://{tmp_path / 'v.html'}#1"
    ran = subprocess.run([browser, *options, page], capture_output=True, text=True, timeout=120, check=True)
    shown = ran.stdout
    assert '<b id="bright" class="bright">2</b>' in shown
    assert '<b id="number">1 of 3</b>' in shown
    assert re.search(r'<rect x="10" y="20" width="30" height="8"', shown)
    assert "&lt;/script&gt;&lt;b&gt;car&amp;</span>" in shown
    assert len(re.findall(r'<rect class="b"', shown)) == 3
