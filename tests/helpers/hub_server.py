"""A small server that speaks the Hugging Face Hub's protocol, for a repository or two in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has and how it misbehaves.

    Attributes:
        url: where it listens.
        repos: files of each repository by name.
        token: what sending needs.
        private: whether each repository that was made is private.
        lies: content of a file is another than its checksum says.
        cut: the answer to a GET of a file ends after so many bytes.
        gets: files that were asked for.
    """

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    token: str = "hf_right"
    private: dict[str, bool] = field(default_factory=dict)
    lies: bool = False
    cut: int | None = None
    gets: list[str] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Run one until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def json(self, value: Any, status: int = 200, **headers: str) -> None:
            self.answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
            repo = "/".join(parts[:2])
            if len(parts) < 5 or parts[2] != "resolve":
                return self.answer(404)
            if repo not in hub.repos:  # without a token a repository that is private looks the same
                return self.answer(401, X_Error_Code="RepoNotFound")
            if parts[3] not in ("main", "v1", COMMIT):
                return self.answer(404, X_Error_Code="RevisionNotFound")
            content = hub.repos[repo].get("/".join(parts[4:]))
            if content is None:
                return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            etag = hashlib.sha256(content).hexdigest()
            sent = bytes(reversed(content)) if hub.lies else content
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{etag}"'}
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            for name, value in {**headers, "X-Linked-Size": str(len(content))}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.command == "GET":
                hub.gets.append("/".join(parts[4:]))
                self.wfile.write(sent[start:] if hub.cut is None else sent[start : start + hub.cut])
                self.close_connection = True
            return None

        def do_PUT(self) -> None:
            hub.large[self.path.rpartition("/")[2]] = self.body()
            self.answer(200)

        def do_POST(self) -> None:
            content, parts = self.body(), unquote(self.path.partition("?")[0]).strip("/").split("/")
            if self.headers.get("Authorization") != f"Bearer {hub.token}" and parts[-1] != "verify":
                return self.answer(401)
            if parts == ["api", "repos", "create"]:
                asked = json.loads(content)
                repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
                is_there = repo in hub.repos
                hub.repos.setdefault(repo, {})
                hub.private.setdefault(repo, "private" in (asked.get("visibility"), asked.get("private") and "private"))
                return self.json({"url": f"{hub.url}/{repo}", "name": repo}, 409 if is_there else 200)
            if "preupload" in parts:
                files = json.loads(content)["files"]
                modes = [{**f, "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"} for f in files]
                return self.json({"files": [{**f, "shouldIgnore": False} for f in modes], "commitOid": COMMIT})
            if parts[-3:] == ["lfs", "objects", "batch"]:
                asked = json.loads(content)["objects"]
                objects = [
                    {**one, "actions": {"upload": {"href": f"{hub.url}/large/{one['oid']}", "header": {}}}}
                    for one in asked
                ]
                return self.json({"transfer": "basic", "objects": objects})
            if "commit" in parts:
                repo = "/".join(parts[2:4])
                for line in map(json.loads, content.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        hub.repos[repo][value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        hub.repos[repo][value["path"]] = hub.large[value["oid"]]
                return self.json({"commitUrl": f"{hub.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})
            return self.json({}) if parts[-1] in ("verify", "validate-yaml") else self.answer(404)

    return Handler
