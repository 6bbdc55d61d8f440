"""Chromium without a window, driven by its DevTools protocol over a pipe: no package is needed for it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PATIENCE = 120.0


class Page:
    """A tab.

    Attributes:
        requests: addresses that it has asked for.
        troubles: what its console says of errors.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing, self._numbers = reading, writing, itertools.count(1)
        self._rest, self._session = b"", None
        self.requests: list[str] = []
        self.troubles: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._reading], [], [], PATIENCE)[0], "the browser does not answer"
            piece = os.read(self._reading, 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        said = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            case "Runtime.exceptionThrown":
                self.troubles.append(str(said["exceptionDetails"]))
            case "Log.entryAdded" if said["entry"]["level"] == "error":
                self.troubles.append(said["entry"]["text"])

    def open(self, address: str, before: str = "") -> None:
        """Open an address; `before` is run before anything of it."""
        if before:
            self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.call("Page.navigate", url=address)

    def run(self, program: str) -> Any:
        """Return the value of an expression in the page, which may be a promise."""
        found = self.call("Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, program: str) -> Any:
        """Return the first value of an expression that is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := self.run(program):
                return value
            time.sleep(0.05)
        raise AssertionError(f"{program} stays false; {self.troubles}")

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files, as a person does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """Have a screen of so many pixels, light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, file: Path) -> None:
        """Write what is seen, the whole length of the page, as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser(*flags: str) -> Iterator[Page]:
    """Start Chromium with a profile of its own, and end it."""
    assert CHROMIUM
    ours, theirs = os.pipe(), os.pipe()  # to the browser, and from it
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"),
            *(f"--user-data-dir={profile}", "--disable-dev-shm-usage", "--hide-scrollbars", *flags),
        ]

        def place() -> None:  # the pipes where the browser looks for them
            reading, writing = (fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (ours[0], theirs[1]))
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        process = subprocess.Popen(
            words, preexec_fn=place, pass_fds=(3, 4), stdout=-3, stderr=-3, start_new_session=True
        )
        os.close(ours[0])
        os.close(theirs[1])
        try:
            yield Page(theirs[0], ours[1])
        finally:
            process.terminate()
            process.wait(20)
            os.close(ours[1])
            os.close(theirs[0])


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder as `python -m http.server` does; the address of its page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
