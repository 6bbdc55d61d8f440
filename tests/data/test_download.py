"""Large downloads against a server that breaks off and lies; archives of strangers."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from spikeyolo.cli.main import main
from spikeyolo.data import download, known
from spikeyolo.data.archives import unpack
from spikeyolo.data.download import download_file
from spikeyolo.data.open import open_data
from spikeyolo.errors import DataError

CONTENT = bytes(range(256)) * 4000
RIGHT = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def server(monkeypatch):
    """A server of one file; `cut` bytes an answer, whether it knows ranges, and what it says its length is."""

    class Handler(BaseHTTPRequestHandler):
        content, cut, ranges, length, status, starts = CONTENT, len(CONTENT), True, None, None, []

        def log_message(self, *words):
            pass

        def do_GET(self):
            start = 0
            if self.status:
                return self.send_error(self.status)
            if self.ranges and "Range" in self.headers:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                if start >= len(self.content):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
            else:
                self.send_response(200)
            Handler.starts.append(start)
            self.send_header("Content-Length", str(self.length or len(self.content) - start))
            self.end_headers()
            self.wfile.write(self.content[start : start + self.cut])
            return None

    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    Handler.starts = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    Handler.address = f"http://127.0.0.1:{running.server_address[1]}/set.zip"
    yield Handler
    running.shutdown()
    running.server_close()


def get(server, tmp_path, checksum=RIGHT, largest=2_000_000):
    seen = []
    file = tmp_path / "set.zip"
    download_file(server.address, file, checksum, largest, lambda done, of: seen.append((done, of)))
    return file, seen


def test_a_file_arrives_whole_and_is_not_asked_for_again(server, tmp_path):
    file, seen = get(server, tmp_path)
    assert file.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    get(server, tmp_path)
    assert server.starts == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_is_gone_on_with(server, tmp_path, ranges):
    server.cut, server.ranges = 400_000, ranges
    if ranges:
        file, _ = get(server, tmp_path)
        assert file.read_bytes() == CONTENT
        assert server.starts == [0, 400_000, 800_000]
    else:
        with pytest.raises(DataError, match=r"the same command goes on"):
            get(server, tmp_path)
        server.cut = len(CONTENT)
        assert get(server, tmp_path)[0].read_bytes() == CONTENT


def test_what_an_earlier_run_left_is_gone_on_with(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(CONTENT[:1000])
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.starts == [1000]


def test_a_wrong_checksum_keeps_nothing(server, tmp_path):
    with pytest.raises(DataError, match=f"came as {RIGHT}, not md5:00; it is not kept"):
        get(server, tmp_path, checksum="md5:00")
    assert list(tmp_path.iterdir()) == []


def test_part_of_another_file_is_found_by_the_checksum(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="it is not kept, try again"):
        get(server, tmp_path)
    assert get(server, tmp_path)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("length", [None, 10**12])
def test_a_server_that_sends_or_promises_too_much(server, tmp_path, length):
    server.length = length
    with pytest.raises(DataError, match="bytes"):
        get(server, tmp_path, largest=1000)
    assert not (tmp_path / "set.zip").exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_a_server_that_ends_before_it_said_so(server, tmp_path):
    server.length, server.ranges = len(CONTENT) + 1000, False
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*\); 1\.0 MB are kept"):
        get(server, tmp_path)


@pytest.mark.parametrize("status", [404, 403])
def test_what_is_not_there_is_one_line_at_once(server, tmp_path, status):
    server.status = status
    with pytest.raises(DataError, match=rf"cannot be downloaded \({status} .*\); the same command tries again"):
        get(server, tmp_path)


def test_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with pytest.raises(DataError, match="Connection refused"):
        download_file("http://127.0.0.1:9/x", tmp_path / "x", RIGHT, 10, lambda done, of: None)


def zipped(tmp_path, files):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for name, text in files.items():
            content.writestr(name, text)
    return archive


def tarred(tmp_path, members):
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as content:
        for member, text in members:
            content.addfile(member, io.BytesIO(text))
    return archive


def member(name, size=0, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size, kind, link
    return made


def unpacked(archive, tmp_path, largest=10**6):
    folder = tmp_path / "out"
    folder.mkdir()
    unpack(archive, folder, largest, lambda done, of: None)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_archives_are_unpacked(tmp_path):
    files = {"set/images/图.jpg": b"one", "set/labels/a.txt": b""}
    assert unpacked(zipped(tmp_path, files), tmp_path) == files


def test_tar_files_are_unpacked_without_their_links(tmp_path):
    members = [
        (member("set/a.txt", 3), b"one"),
        (member("set/evil", kind=tarfile.SYMTYPE, link="/etc/passwd"), b""),
        (member("set/pipe", kind=tarfile.FIFOTYPE), b""),
    ]
    assert unpacked(tarred(tmp_path, members), tmp_path) == {"set/a.txt": b"one"}


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "C:/out.txt", "..\\out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_are_refused(tmp_path, name, kind):
    archive = zipped(tmp_path, {name: b"x"}) if kind == "zip" else tarred(tmp_path, [(member(name, 1), b"x")])
    with pytest.raises(DataError, match="names a file outside of itself"):
        unpacked(archive, tmp_path)
    assert not (tmp_path / "out.txt").exists()


def test_more_than_is_expected_is_not_unpacked(tmp_path):
    with pytest.raises(DataError, match="unpacks to more than 1,000 bytes"):
        unpacked(zipped(tmp_path, {"zeros": b"\0" * 10**6}), tmp_path, largest=1000)


def test_damaged_archives_are_one_line(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(tmp_path, {"a": b"x" * 5000}).read_bytes()[:-30])
    with pytest.raises(DataError, match="not an archive that can be unpacked"):
        unpacked(archive, tmp_path)


SETS = {
    "about": "three images",
    "address": "there",
    "disk": "little",
    "layout": "VOCdevkit",
    "gigabytes": 0.01,
    "description": {"format": "voc", "train": "kit/ImageSets/Main/train.txt", "names": ["dog"]},
}


@pytest.fixture
def a_set(server, tmp_path, monkeypatch):
    """A set of one archive that the server has, under the name `pets`."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(member("kit/ImageSets/Main/train.txt", 7), io.BytesIO(b"000001\n"))
    server.content = content.getvalue()
    checksum = f"md5:{hashlib.md5(server.content).hexdigest()}"
    monkeypatch.setattr(known, "SETS", tmp_path / "sets")
    (tmp_path / "sets").mkdir()
    downloads = {server.address: checksum}
    (tmp_path / "sets/pets.yaml").write_text(yaml.safe_dump({**SETS, "downloads": downloads}))
    (tmp_path / "sets/secret.yaml").write_text(yaml.safe_dump(SETS))
    monkeypatch.chdir(tmp_path)
    return server


def test_a_set_is_fetched_by_its_name_and_opened(a_set, tmp_path, capsys):
    assert main(["data", "get", "pets"]) == 0
    said = capsys.readouterr().out
    assert "terms: see there" in said
    assert "next: spikeyolo data check pets" in said
    assert sorted(path.name for path in (tmp_path / "datasets").iterdir()) == ["pets"]
    assert open_data("pets").splits == ("train",)
    assert main(["data", "get", "pets"]) == 1
    assert "exists and holds kit" in capsys.readouterr().err


def test_an_interrupted_fetch_leaves_no_half_set_and_goes_on(a_set, tmp_path, capsys):
    a_set.cut, a_set.ranges = 1000, False
    assert main(["data", "get", "pets"]) == 1
    assert "the same command goes on" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["pets.archives"]
    a_set.cut, a_set.ranges = 10**6, True
    assert main(["data", "get", "pets"]) == 0
    assert a_set.starts[-1] == 1000


@pytest.mark.parametrize(
    ("name", "said"),
    [("secret", "cannot be fetched by a program; it is had from there"), ("pet", "did you mean 'pets'")],
)
def test_sets_that_cannot_be_fetched_are_one_line(a_set, capsys, name, said):
    assert main(["data", "get", name]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", known.set_names())
def test_what_ships_can_be_read(name):
    found = known.known_set(name)
    assert all(checksum.startswith("md5:") and len(checksum) == 36 for checksum in found.downloads.values())
    assert bool(found.downloads) == (found.gigabytes > 0)
