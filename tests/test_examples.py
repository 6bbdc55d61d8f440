"""The examples: their settings are those of `train`, and the job for SLURM starts what it says."""

import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.helpers.event_datasets import write_data_set
from tests.helpers.runs import ENVIRONMENT, rows_of

from spikeyolo.cli.arguments import arguments_of, options_of, read_file, read_words
from spikeyolo.cli.main import COMMANDS, POSITIONAL, main
from spikeyolo.cli.train import train as train_command
from spikeyolo.data.known import known_set, named_set
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes
from spikeyolo.training.settings import TrainSettings, read_settings, recipe_path
from spikeyolo.training.transfer import is_preset
from spikeyolo.weights.shipped import shipped_models

EXAMPLES = Path(__file__).parents[1] / "examples"
CONFIGS = sorted(EXAMPLES.glob("*.yaml"))
JOB = EXAMPLES / "coco.sbatch"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = [line.partition(" #")[0] for block in BLOCKS for line in block.splitlines()]
SRUN = f"""#!{sys.executable}
import os, signal, subprocess, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words.pop(0)
told = [{{"SLURM_PROCID": str(n), "SLURM_LOCALID": str(n), "SLURM_NODEID": "0"}} for n in range(2)]
tasks = [subprocess.Popen(words, env={{**os.environ, **one}}) for one in told]
signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in tasks])
sys.exit(max(task.wait() for task in tasks))
"""


def differing(one, other):
    """The names of settings that two have not in common."""
    first, second = one.to_dict(), other.to_dict()
    return {name for name in first if first[name] != second[name]}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_a_file_holds_settings_of_train(file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", str(file), "--print-config"]) == 0
    printed, written = yaml.safe_load(capsys.readouterr().out), yaml.safe_load(file.read_text(encoding="utf-8"))
    settings = TrainSettings.from_dict({name: printed[name] for name in TrainSettings().to_dict()})
    assert not differing(settings, read_settings(file))
    assert printed["data"] == file.stem
    assert named_set(file.stem) is not None
    assert is_preset(settings.model)
    assert {"model", "epochs", "batch", "lr"} <= set(written)
    assert f"[{file.name}]({file.name})" in PAGE


def test_coco_is_the_published_recipe_on_four_gpus():
    settings = read_settings(EXAMPLES / "coco.yaml")
    added = {"data", "device", "precision", "workers"}
    assert differing(settings, read_settings(recipe_path("published"))) == added
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", JOB.read_text(encoding="utf-8"), flags=re.MULTILINE))
    gpus = len(settings.device.split(","))
    assert (asked["ntasks-per-node"], asked["gres"]) == (str(gpus), f"gpu:{gpus}")
    assert settings.batch_size % (2 * gpus) == 0  # on two computers, as the page says
    assert int(asked["cpus-per-task"]) > settings.workers


def test_bccd_is_how_the_shipped_model_was_trained():
    program, command, *words = shlex.split(shipped_models()["t-bccd"].recipe)
    assert (program, command) == ("spikeyolo", "train")
    options = options_of(train_command)
    given = read_words(options, words)
    values = read_file(options, recipe_path(given.pop("config"))) | given
    recipe = arguments_of(train_command, values, given)["settings"]
    assert differing(read_settings(EXAMPLES / "bccd.yaml"), recipe) == {"data"}


@pytest.mark.parametrize("line", [line for line in LINES if "spikeyolo " in line])
def test_a_command_of_the_page_is_understood(line):
    words = shlex.split(line[line.index("spikeyolo ") :])[1:]
    name = next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)
    function = getattr(importlib.import_module(f"spikeyolo.cli.{name.replace(' ', '_')}"), name.split()[-1])
    given = read_words(options_of(function, positional=name in POSITIONAL), words[len(name.split()) :])
    assert given
    if "config" in given:
        assert EXAMPLES / str(given["config"]) in CONFIGS


def test_the_page_says_how_the_folder_of_bccd_lies():
    for part in re.findall(r"BCCD/[\w/]+", known_set("bccd").layout):
        assert f"datasets/bccd/{part}" in PAGE


def test_the_job_is_a_script_that_bash_takes():
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    subprocess.run(["bash", "-n", JOB], check=True)


@pytest.mark.long
@pytest.mark.parametrize("name", ["bccd", "gen1"])
def test_a_training_by_a_file_runs(name, tmp_path):
    if name == "gen1":
        data, small = write_data_set(tmp_path / "data"), "--model t-gen1 --batch 4"
    else:
        data = write_shapes(tmp_path / "data", ShapesConfig(seed=3, train=10, val=4, size=64))
        small = "--imgsz 64 --batch 4"
    words = f"{small} --epochs 1 --workers 0 --device cpu".split()
    config = ["--config", str(EXAMPLES / f"{name}.yaml"), "--data", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", *config, *words]) == 0
    assert len(rows_of(tmp_path / "run")) == 1


@pytest.fixture
def cluster(tmp_path):
    """A folder with the job and its data, and the environment that SLURM would give it: one computer, two tasks."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    for file in (JOB, EXAMPLES / "coco.yaml"):
        shutil.copy(file, tmp_path)
    write_shapes(tmp_path / "data", ShapesConfig(seed=3, train=24, val=4, size=64))
    (tmp_path / "bin").mkdir()
    for name, script in {"srun": SRUN, "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'}.items():
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    asked = {"NTASKS": "2", "NTASKS_PER_NODE": "2", "CPUS_PER_TASK": "1", "JOB_NUM_NODES": "1", "JOB_NAME": "coco"}
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return tmp_path, ENVIRONMENT | {f"SLURM_{name}": value for name, value in asked.items()} | {"PATH": path}


SMALL = "--data data/data.yaml --model t --imgsz 64 --batch 8 --workers 0 --device cpu --processes 2 --val-every 30"


@pytest.mark.long
def test_the_job_trains_in_several_tasks_and_goes_on_when_it_is_submitted_again(cluster):
    folder, environment = cluster
    run, command = folder / "runs" / "coco", ["bash", JOB.name]
    with subprocess.Popen([*command, *SMALL.split(), "--epochs", "6"], cwd=folder, env=environment) as job:
        while not (run / "results.csv").exists() or not rows_of(run):
            assert job.poll() is None
            time.sleep(0.1)
        job.send_signal(signal.SIGTERM)
        assert job.wait(120) == 128 + signal.SIGTERM
    assert len(rows_of(run)) < 6
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=300)
    assert len(rows_of(run)) == 6
    assert (run / "best.safetensors").exists()


@pytest.mark.long
def test_torchrun_within_a_job_of_slurm_starts_the_processes(cluster):
    folder, environment = cluster
    told = {"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "spikeyolo"]
    words = ["train", *SMALL.split(), "--epochs", "1", "--out", "run"]
    subprocess.run([*launch, *words], cwd=folder, env=environment | told, check=True, timeout=300)
    assert len(rows_of(folder / "run")) == 1
