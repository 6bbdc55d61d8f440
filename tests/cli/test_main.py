import os
import subprocess
import sys

import pytest
from tests.helpers.event_datasets import write_data_set
from tests.helpers.golden import GOLDEN

import spikeyolo
from spikeyolo.cli.main import main

GOOD = str(GOLDEN / "tiny" / "reference.pt")


def run(capsys, *words):
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert "usage: spikeyolo COMMAND" in out
    assert "convert" in out


@pytest.mark.parametrize("words", [("events",), ("events", "--help"), ("events", "-h")])
def test_help_of_a_group_lists_its_commands(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    for command in ("events info", "events view", "events prepare"):
        assert command in out
    assert "convert" not in out


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"spikeyolo {spikeyolo.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("convrt",), 2, "no such command 'convrt', did you mean 'convert'?"),
        (("convert",), 2, "reference, out"),
        (("convert", "a.pt", "b.safetensors", "--overwrit", "true"), 2, "did you mean '--overwrite'?"),
        (("convert", "a.pt", "b.safetensors", "--overwrite", "maybe"), 2, "overwrite"),
        (("convert", "a.pt", "b.safetensors"), 1, "a.pt: no such file"),
        (("convert", "a.pt", "b.pt"), 1, "must end in .safetensors"),
    ],
)
def test_mistakes_get_one_line_and_no_traceback(capsys, words, code, said):
    got, out, err = run(capsys, *words)
    assert got == code
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""


def test_debug_shows_the_traceback(capsys):
    assert "Traceback" in run(capsys, "--debug", "convert", "a.pt", "b.safetensors")[2]


def test_convert(capsys, tmp_path):
    out = tmp_path / "m.safetensors"
    code, said, _ = run(capsys, "convert", GOOD, str(out))
    assert code == 0
    assert "1.75 M parameters, 10 classes, T = 1, D = 4, decay 0.25, gain 1" in said
    loaded, reference = spikeyolo.load(out), spikeyolo.load_reference(GOOD)
    assert loaded.config == reference.config
    assert all(v.equal(loaded.state_dict()[k]) for k, v in reference.state_dict().items())
    before = out.read_bytes()
    code, _, err = run(capsys, "convert", GOOD, str(out))
    assert (code, out.read_bytes()) == (1, before)
    assert "already there" in err
    assert run(capsys, "convert", GOOD, str(out), "--overwrite", "true")[0] == 0


def test_a_wrong_file_writes_nothing(capsys, tmp_path):
    (tmp_path / "bad.pt").write_text("no")
    code, _, err = run(capsys, "convert", str(tmp_path / "bad.pt"), str(tmp_path / "m.safetensors"))
    assert code == 1
    assert "bad.pt: not a PyTorch checkpoint" in err
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pt"]


def test_a_closed_output_is_no_traceback():
    program = "import sys; from spikeyolo.cli.main import main; sys.exit(main(['--help']))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as closed:
        done = subprocess.run([sys.executable, "-c", program], stdout=closed, stderr=subprocess.PIPE, env=buffered)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_module_is_the_program():
    done = subprocess.run([sys.executable, "-m", "spikeyolo", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("spikeyolo ")
    assert done.stderr == ""


def test_a_warning_is_one_line(tmp_path):
    write_data_set(tmp_path)
    file = tmp_path / "train" / "a_td.dat"
    file.write_bytes(file.read_bytes()[:-3])
    done = subprocess.run(
        [sys.executable, "-m", "spikeyolo", "events", "view", str(file), "--out", str(tmp_path / "v.png")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"spikeyolo: warning: {file}: 5 cut short (bytes after the last whole event: left out)"
    ]
