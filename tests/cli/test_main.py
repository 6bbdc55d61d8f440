import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml
from tests.helpers.event_datasets import write_data_set
from tests.helpers.golden import GOLDEN

import spikeyolo
from spikeyolo.cli.main import main, run_script
from spikeyolo.training.run_folder import RunFolder

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
    ("line", "code", "said"),
    [
        ("convrt", 2, "no such command 'convrt', did you mean 'convert'?"),
        ("trian --data x", 2, "no such command 'trian', did you mean 'train'?"),
        ("check data.yaml", 2, "no such command 'check', did you mean 'data check'?"),
        ("events veiw x", 2, "no such command 'events veiw', did you mean 'events view'?"),
        ("--halp", 2, "no such command '--halp'"),
        ("convert", 2, "reference, out"),
        ("convert a.pt b.safetensors --overwrit true", 2, "did you mean '--overwrite'?"),
        ("convert a.pt b.safetensors --overwrite=maybe", 2, "--overwrite: 'maybe' is not true or false"),
        ("convert a.pt b.safetensors c", 2, "'c' belongs to no option"),
        ("convert a.pt b.safetensors", 1, "a.pt: no such file"),
        ("convert a.pt b.pt", 1, "must end in .safetensors"),
        ("val --weights x", 2, "val: --data missing; see spikeyolo val --help"),
        ("val", 2, "val: --weights and --data missing"),
        ("val --weights x --data y --split valid", 2, "--split: 'valid' is not one of train, val, test"),
        ("val --weights x --data y --conf 2", 1, "conf: 2.0 is outside 0..1"),
        (
            "val --weights x --data y --device mps",
            1,
            "device: 'mps' is not supported; name auto, cpu, cuda, or numbers",
        ),
        ("val --weights x --data y --device cuda:9", 1, "no GPU 9 on this machine"),
        ("val --weights x --data y --integer --spike-driven", 1, "name one"),
        ("train --epochs two", 2, "train: --epochs: 'two' is not a whole number"),
        ("train --epochs 0", 1, "epochs: 0 is below 1"),
        ("train data=coco.yaml epochs=2", 2, "write --data coco.yaml"),
        ("train --name exp1", 2, "no such option '--name', did you mean '--out'?"),
        ("train --project a", 2, "no such option '--project', did you mean '--out'?"),
        ("train --img-size 64", 2, "did you mean '--imgsz'?"),
        ("train --weights x", 2, "did you mean '--model'?"),
        ("val --model x", 2, "did you mean '--weights'?"),
        ("train --config smal", 2, "no file 'smal', and no such recipe; did you mean 'small'?"),
        ("train --config nothing", 2, "the recipes are demo, events-demo, published, small"),
        ("train --config=smal", 2, "did you mean 'small'?"),
        ("val --config no.yaml", 2, "no.yaml: cannot be read"),
        ("sweep --data x", 1, "either --weights"),
        ("sweep --data x --weights y --timesteps 1,x", 1, "--timesteps: '1,x' is not a list of whole numbers"),
    ],
)
def test_mistakes_get_one_line_and_no_traceback(capsys, line, code, said):
    got, out, err = run(capsys, *line.split())
    assert got == code
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""


RECIPE = "train --config small --epochs 3 --lr 0.5 --augmentation.mosaic 0.25 --print-config"
LAST = "train --epochs 3 --lr=0.5 --augmentation.mosaic 0.25 --print_config --config=small"


@pytest.mark.parametrize("line", [RECIPE, LAST])
def test_options_come_before_the_recipe_whatever_the_order(capsys, line):
    code, out, err = run(capsys, *line.split())
    assert (code, err) == (0, "")
    printed = yaml.safe_load(out)
    assert {name: printed[name] for name in ("epochs", "lr", "batch", "imgsz")} == {
        "epochs": 3,
        "lr": 0.5,
        "batch": 8,
        "imgsz": 256,
    }
    assert printed["augmentation"]["mosaic"] == 0.25
    assert printed["augmentation"]["close_mosaic"] == 15  # the recipe's


def test_a_printed_recipe_can_be_changed_and_given(capsys, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(run(capsys, "train", "--print-config")[1].replace("epochs: 300", "epochs: 2"))
    _, out, err = run(capsys, "train", "--config", str(file), "--print-config")
    assert (out, err) == (file.read_text(), "")


class Stopped(spikeyolo.SpikeYOLOError):
    pass


def test_training_is_told_what_was_given(capsys, monkeypatch, tmp_path):
    seen = {}

    def stop(settings, out=None, resume=None, given=None):
        seen.update(settings=settings, out=out, resume=resume, given=given)
        raise Stopped("enough")

    monkeypatch.setitem(sys.modules, "spikeyolo.training.run", SimpleNamespace(train=stop))
    assert run(capsys, "train", "--resume", str(tmp_path), "--workers=2", "--gains.box", "7", "--no-strict")[0] == 1
    assert seen["given"] == {"workers", "gains", "strict"}  # whether they differ from the defaults or not
    assert (seen["resume"], seen["out"], seen["settings"].gains.box) == (tmp_path, None, 7.0)


def test_the_measurement_after_a_training_is_printed_and_written(capsys, monkeypatch, tmp_path, shapes):
    folder, seen = RunFolder(tmp_path), {}

    def validate_best(measured):
        seen.update(folder=measured)
        metrics = SimpleNamespace(AP50=0.5)
        return SimpleNamespace(
            write=lambda where: seen.update(written=where), tables=lambda: ["a table"], metrics=metrics
        )

    both = SimpleNamespace(train=lambda *_: folder, validate_best=validate_best)
    monkeypatch.setitem(sys.modules, "spikeyolo.training.run", both)
    code, out, _ = run(capsys, "train", "--data", str(shapes))
    assert (code, seen) == (0, {"folder": folder, "written": tmp_path})
    assert "a table" in out
    assert f"next: spikeyolo predict --weights {folder.best}" in " ".join(out.split("\n"))
    assert "hardly anything" not in out


def test_a_run_is_resumed_by_its_own_settings(capsys, tmp_path):
    code, _, err = run(capsys, "train", "--resume", str(tmp_path), "--config", "small")
    assert code == 2
    assert "--resume takes the settings of the run; leave --config out" in err


BLOCKED = "import sys; sys.modules[{0!r}] = None; from spikeyolo.cli.main import main; sys.exit(main({1!r}))"


@pytest.mark.parametrize(
    ("package", "line", "extra"),
    [
        ("lightning", "train --data x.yaml", "train"),
        ("hotcoco", "train --data x.yaml", "train"),
        ("matplotlib", "demo", "train"),
    ],
)
def test_a_missing_package_is_one_line_that_names_its_extra(tmp_path, package, line, extra):
    program = BLOCKED.format(package, line.split())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'spikeyolo: {package} is not installed: pip install "spikeyolo[{extra}]"\n'
    assert not list(tmp_path.iterdir())


HEAVY = ("torch", "lightning", "cv2", "rich")


@pytest.mark.parametrize(
    "line",
    ["--help", "--version", "events", "train --help", "val --help", "predict --help", "events view --help", "models"],
)
def test_help_imports_nothing_heavy(line):
    shown = f"print([m for m in {HEAVY!r} if m in sys.modules])"
    program = f"import sys; from spikeyolo.cli.main import main; main({line.split()!r}); {shown}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_debug_shows_the_traceback(capsys):
    assert "Traceback" in run(capsys, "--debug", "convert", "a.pt", "b.safetensors")[2]


def test_convert(capsys, tmp_path):
    out = tmp_path / "m.safetensors"
    code, said, _ = run(capsys, "convert", GOOD, str(out))
    assert code == 0
    assert "1.75 M parameters, 10 classes, T = 1, D = 4, decay 0.25, gain 1" in said
    loaded, reference = spikeyolo.load(out), spikeyolo.load_reference(GOOD)
    assert loaded.config == reference.config
    found = loaded.state_dict()
    assert all(v.equal(found[k]) for k, v in reference.state_dict().items())
    before = out.read_bytes()
    code, _, err = run(capsys, "convert", GOOD, str(out))
    assert (code, out.read_bytes()) == (1, before)
    assert "exists already" in err
    assert run(capsys, "convert", "--overwrite", GOOD, str(out))[0] == 0
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


def test_a_script_has_the_same_command_line(capsys, monkeypatch):
    """The benchmarks are called so."""
    monkeypatch.setattr("sys.argv", ["measure.py"])

    def measure(size: int = 640, fast: bool = False) -> None:
        """Measure something.

        Args:
            size: side of the images
            fast: leave out what takes long
        """
        print(size, fast)

    assert run_script(measure, ["--size", "64", "--fast"]) == 0
    assert run_script(measure, ["--help"]) == 0
    assert run_script(measure, ["--sise", "64"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("64 True\nusage: measure.py")
    assert "side of the images" in said.out
    assert said.err == "measure.py: no such option '--sise', did you mean '--size'?\n"
