import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from spikeyolo.errors import DataError
from spikeyolo.imaging import web
from spikeyolo.imaging.given import as_rgb
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import encode_png
from spikeyolo.prediction.sources import find_sources

IMAGE = np.arange(20 * 30 * 3, dtype=np.uint16).reshape(20, 30, 3).astype(np.uint8)


class Site(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - of the class, for the tests

    def do_GET(self):
        self.asked.append(self.path)
        if self.path.startswith("/slow"):
            time.sleep(1)
        if self.path in ("/to-file", "/to-image"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd" if self.path == "/to-file" else "/a.png")
            self.end_headers()
            return
        if self.path.startswith("/gone"):
            self.send_error(404, "Not Found")
            return
        content = b"<html>" if self.path.startswith("/page") else encode_png(IMAGE)
        content = content[:40] if self.path.startswith("/short") else content
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = False  # so that their end is waited for
    Site.asked.clear()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/a.png", "/a.png"),
        ("/a b.png", "/a%20b.png"),
        ("/a%20b.png?x=1&y=é#part", "/a%20b.png?x=1&y=%C3%A9"),
        ("/größe/猫.png", "/gr%C3%B6%C3%9Fe/%E7%8C%AB.png"),
        ("/to-image", "/to-image"),
    ],
)
def test_an_image_by_its_address(site, path, asked):
    np.testing.assert_array_equal(as_rgb(site + path), IMAGE)
    assert Site.asked[0] == asked
    canvases, _ = ImageInput((32, 32)).load([site + path, IMAGE])
    np.testing.assert_array_equal(canvases[0], canvases[1])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone.png", r"gone\.png: cannot be downloaded \(404 Not Found\)"),
        ("/page.png", r"page\.png: not an image"),
        ("/short.png", r"short\.png: the image is cut short"),
        ("/to-file", "cannot be downloaded"),
    ],
)
def test_what_is_no_image_is_one_clear_error(site, path, said):
    with pytest.raises(DataError, match=said) as caught:
        as_rgb(site + path)
    assert "\n" not in str(caught.value)


def test_no_server_and_no_address(site):
    nobody = "http://127.0.0.1:1/a.png"
    with pytest.raises(DataError, match=r"127\.0\.0\.1:1/a\.png: cannot be downloaded \(.*refused"):
        as_rgb(nobody)
    for odd in ("http://", "http://[::1/a.png", "http://\n/a.png", "https://127.0.0.1:99999/a.png"):
        with pytest.raises(DataError, match="cannot be downloaded"):
            as_rgb(odd)


def test_limits_of_size_and_time(site, monkeypatch):
    monkeypatch.setattr(web, "LARGEST", 100)
    with pytest.raises(DataError, match=r"cannot be downloaded \(more than 0\.0001 MB\)"):
        as_rgb(f"{site}/a.png")
    monkeypatch.setattr(web, "SECONDS", 0.2)
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*timed out"):
        as_rgb(f"{site}/slow.png")


def test_sources_on_the_web(site):
    addresses = [
        f"{site}/a%2F..%2Fb.png",
        f"{site}/größe 1.JPG?size=2",
        f"{site}/a.png",
        "http://cam/live",
        "rtsp://x/y",
    ]
    sources = find_sources([*addresses, f"{site}/a.mp4"])
    assert [source.kind for source in sources] == ["image"] * 3 + ["camera"] * 3
    assert [source.name for source in sources][:3] == ["b", "größe 1", "a"]
    assert not any(source.is_file or source.can_be_read_again for source in sources)
    (frame,) = sources[2].frames()
    np.testing.assert_array_equal(frame.image, IMAGE)
