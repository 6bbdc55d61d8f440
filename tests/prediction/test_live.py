"""Recordings that are piped in or grow: what is found is what the whole file gives, and it is out at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.helpers.networks import lively
from tests.helpers.recordings import random_events

import spikeyolo
from spikeyolo.cli.main import main
from spikeyolo.errors import ConfigError, DataError
from spikeyolo.events import EventInput, write_dat
from spikeyolo.prediction import events
from spikeyolo.prediction.events import EventStream

SEEN = EventInput("count_frames", timesteps=2, window_us=40_000)


@pytest.fixture(scope="module")
def model():
    network = lively("t", num_classes=2, timesteps=2, in_channels=2, input=SEEN)
    return network


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "a_td.dat"
    write_dat(path, [random_events(4000, 199_000, (30, 60), seed=1)], (30, 60))
    return path


@pytest.fixture
def piped(monkeypatch, recording):
    """Give bytes on standard input."""
    opened = []

    def give(content):
        out, into = os.pipe()
        os.write(into, content[:60_000])
        os.close(into)
        file = os.fdopen(out, "rb")
        opened.append(file)
        monkeypatch.setattr(sys, "stdin", file)

    yield give
    for file in opened:
        file.close()


def test_what_is_piped_in_gives_what_the_file_does(model, recording, piped):
    for carry in (False, True):
        piped(recording.read_bytes())
        ours = list(spikeyolo.predict(model, "-", carry=carry, conf=0.0, max_det=9))
        theirs = list(spikeyolo.predict(model, recording, carry=carry, conf=0.0, max_det=9))
        assert len(ours) == len(theirs) == (10 if carry else 5)
        assert sum(map(len, theirs)) > 0
        for our, their in zip(ours, theirs, strict=True):
            assert our.frame.t_us == their.frame.t_us
            assert torch.equal(our.detections.boxes, their.detections.boxes)
            assert torch.equal(our.detections.scores, their.detections.scores)
        assert all(result.latency_ms > 0 for result in ours)
        assert ours[0].source == "-"


def test_json_lines_hold_what_json_does_and_each_is_there_at_once(model, recording, tmp_path):
    lines = tmp_path / "found.jsonl"
    results = spikeyolo.predict(
        model, recording, out=tmp_path / "out", json=True, json_lines=lines, draw=False, conf=0.0, max_det=5
    )
    for number, _ in enumerate(results, start=1):
        assert len(lines.read_text().splitlines()) == number
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line.pop("latency_ms") > 0 for line in written] == [True] * 5
    assert written == json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert sum(len(line["detections"]) for line in written) > 0


def test_lines_alone_are_written_without_a_folder(model, recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    next(spikeyolo.predict(model, recording, json_lines="a.jsonl"))
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_run_that_is_ended_leaves_what_it_has_found(model, recording, tmp_path):
    results = spikeyolo.predict(model, recording, out=tmp_path / "o", json=True, json_lines=tmp_path / "a.ndjson")
    next(results)
    next(results)
    results.close()
    assert len((tmp_path / "a.ndjson").read_text().splitlines()) == 2
    assert len(json.loads((tmp_path / "o" / "predictions.json").read_text())) == 2
    assert (tmp_path / "o" / "a_td.mp4").stat().st_size > 0


def test_an_error_while_reading_ahead_reaches_who_asks(model, recording, tmp_path, capsys):
    short, weights = tmp_path / "short_td.dat", tmp_path / "m.safetensors"
    model.float().save(weights)
    model.double()
    write_dat(short, [random_events(40_000, 199_000, (30, 60), seed=1)], (30, 60))
    stream = EventStream(model, events.open_recording(short), SEEN)
    os.truncate(short, 1000)  # after it was opened
    with pytest.raises(DataError, match=r"short_td\.dat: was cut short while it was read"):
        list(stream)
    text = tmp_path / "text_td.dat"
    text.write_bytes(b"hello")
    assert main(["predict", "--weights", str(weights), "--source", str(text), "--follow", "1", "--no-draw"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "text_td.dat: not a Prophesee .dat file" in line


def test_a_file_is_followed_to_its_end(model, recording):
    followed = list(spikeyolo.predict(model, recording, follow=0.2, conf=0.0, max_det=5))
    whole = list(spikeyolo.predict(model, recording, conf=0.0, max_det=5))
    assert [r.to_dict() for r in followed] == [r.to_dict() for r in whole]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "standard input: nothing came"), (b"\x89HDF\r\n\x1a\n0000", "standard input: HDF5; only .dat")],
)
def test_what_cannot_be_piped_in(model, piped, content, said):
    piped(content)
    with pytest.raises(DataError, match=said):
        next(spikeyolo.predict(model, "-"))


def test_options_that_do_not_apply(model, recording):
    of_images = spikeyolo.SpikeYOLO("t", num_classes=2)
    with pytest.raises(ConfigError, match="the model sees images, the data are recordings"):
        spikeyolo.predict(of_images, "-")
    with pytest.raises(ConfigError, match="follow: 0"):
        next(spikeyolo.predict(model, recording, follow=0))


@pytest.mark.long
def test_the_command_reads_a_pipe_and_writes_lines(model, recording, tmp_path):
    weights = tmp_path / "m.safetensors"
    model.float().save(weights)
    model.double()
    words = ["predict", "--weights", str(weights), "--no-draw", "--conf", "0", "--max-det", "5", "--engine", "torch"]
    words = [sys.executable, "-m", "spikeyolo", *words, "--source", "-", "--json-lines", "-"]
    content = Path(recording).read_bytes()
    with subprocess.Popen(words, stdin=-1, stdout=-1, stderr=-1, cwd=tmp_path) as process:
        process.stdin.write(content[: len(content) // 2])
        process.stdin.flush()
        first = json.loads(process.stdout.readline())  # while the pipe is open
        process.stdin.write(content[len(content) // 2 : -3])
        rest, said = process.communicate()
    lines = [first, *map(json.loads, rest.splitlines())]
    assert process.returncode == 0
    assert [line["t_us"] for line in lines] == [40_000, 80_000, 120_000, 160_000, 200_000]
    assert b"standard input: 5 cut short" in said
    assert b"real-time factor" in said
    assert os.listdir(tmp_path) in (["m.safetensors"], ["m.safetensors", "runs"], ["runs", "m.safetensors"])
