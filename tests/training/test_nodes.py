"""Two computers: two network namespaces of this one, joined by a virtual cable, each with a torchrun of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests.helpers.runs import ENVIRONMENT, assert_same_run, rows_of

from spikeyolo.errors import ConfigError
from spikeyolo.synthetic.shapes import ShapesConfig, write_shapes
from spikeyolo.training.devices import choose_devices
from spikeyolo.training.run_folder import RunFolder
from spikeyolo.training.settings import TrainSettings

NAMES = ("spikeyolo-a", "spikeyolo-b")
SETTINGS = "--model t --data set/data.yaml --imgsz 64 --epochs 4 --batch 8 --nominal-batch 8 --workers 0 --save-steps 1"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def nodes():
    """The namespaces, by name."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux, root and iproute2")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "node0", "netns", NAMES[0], "type", "veth", "peer", "name", "node1", "netns", NAMES[1])
        for number, name in enumerate(NAMES):
            ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", f"node{number}")
            ip("-n", name, "link", "set", f"node{number}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield NAMES
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def start(folder, words, nodes):
    """On each of them, as its user would; what the first one says goes to a file."""
    started = []
    for number, name in enumerate(nodes):
        launch = f"torch.distributed.run --nnodes 2 --node-rank {number} --nproc-per-node 1"
        launch += " --master-addr 10.77.0.1 --master-port 29511 -m spikeyolo train --nodes 2"
        command = ["ip", "netns", "exec", name, sys.executable, "-m", *launch.split(), *words.split()]
        with open(folder / f"said{number}.txt", "w") as said:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": f"node{number}"},
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    return started


def ended(started):
    return [process.wait(300) for process in started]


def on_one(folder, words):
    return subprocess.run(
        [sys.executable, "-m", "spikeyolo", "train", *words.split()], cwd=folder, env=ENVIRONMENT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_two_nodes_train_one_network_and_outlive_one_of_them(nodes, tmp_path):
    write_shapes(tmp_path / "set", ShapesConfig(seed=3, train=24, val=8, size=64))
    assert ended(start(tmp_path, f"{SETTINGS} --out two", nodes)) == [0, 0]
    two = RunFolder(tmp_path / "two")
    assert on_one(tmp_path, f"{SETTINGS} --processes 2 --out beside").returncode == 0
    assert_same_run(two, RunFolder(tmp_path / "beside"))  # where the processes run makes no difference

    cut = RunFolder(tmp_path / "cut")
    started = start(tmp_path, f"{SETTINGS} --out cut", nodes)
    while not cut.last.exists():
        assert started[0].poll() is None
        time.sleep(0.05)
    there = subprocess.run(["ip", "netns", "pids", nodes[1]], check=True, capture_output=True, text=True).stdout
    for process in map(int, there.split()):  # torchrun and what it has started, as when a computer fails
        os.kill(process, signal.SIGKILL)
    assert ended(started) == [1, -9]
    (line,) = [one for one in (tmp_path / "said0.txt").read_text().splitlines() if one.startswith("spikeyolo: ")]
    assert line.startswith(
        "spikeyolo: another process of this training ended, or its computer cannot be reached; go on"
    )
    assert "Traceback" not in (tmp_path / "said0.txt").read_text().split("torch/distributed/elastic")[0]
    shutil.copytree(cut.path, tmp_path / "cut-too")

    assert ended(start(tmp_path, "--resume cut", nodes)) == [0, 0]
    assert_same_run(two, cut)
    alone = on_one(tmp_path, "--resume cut-too")
    assert alone.returncode == 1
    assert "nodes: 2, but this process was not told of the others" in alone.stderr
    assert on_one(tmp_path, "--resume cut-too --nodes 1").returncode == 0
    rows = rows_of(tmp_path / "cut-too")  # each batch whole in one process, which has other statistics
    for row, expected in zip(rows, rows_of(two.path), strict=True):
        assert [row[name] for name in ("epoch", "step", "lr")] == [expected[n] for n in ("epoch", "step", "lr")]


def test_nodes_that_nobody_has_told_of_each_other_are_refused(monkeypatch):
    for name in ("MASTER_ADDR", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert choose_devices(TrainSettings(device="cpu")).nodes == 1
    with pytest.raises(ConfigError, match="torchrun --nnodes 2"):
        choose_devices(TrainSettings(device="cpu", nodes=2))
