"""--compile of val and predict: with a stand-in for torch.compile, which is tested in tests/model/test_compiling.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.helpers.compilers import Compiler
from tests.helpers.networks import lively

from spikeyolo.cli.main import main
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.imaging.io import write_rgb
from spikeyolo.synthetic.scene import CLASS_NAMES

SAYS = "compiling the network for evaluation: its first batch can take minutes"


@pytest.fixture
def compiler(monkeypatch):
    stands_in = Compiler()
    monkeypatch.setattr(torch, "compile", stands_in)
    return stands_in


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    lively(dtype=torch.float32, names=CLASS_NAMES, input=ImageInput.of(64)).save(file)
    return str(file)


@pytest.mark.parametrize("fold", [[], ["--no-fold"]])
def test_val(weights, shapes, tmp_path, capsys, compiler, fold):
    command = ["val", "--weights", weights, "--data", str(shapes), "--workers", "0", "--device", "cpu", "--batch", "3"]
    numbers = []
    for name, options in (("eager", ["--engine", "torch"]), ("compiled", ["--compile"])):
        file = tmp_path / f"{name}.json"
        assert main([*command, *fold, *options, "--json", str(file)]) == 0
        numbers.append(json.loads(file.read_text()))
    assert compiler.calls == ["SpikingNetwork.features", "DetectHead.forward"]  # of four images the first three
    assert capsys.readouterr().out.splitlines().count(SAYS) == 1
    eager, compiled = numbers
    assert compiled["engine"] == f"{eager['engine']}, compiled"
    assert {**compiled, "engine": "", "speed_ms": 0} == {**eager, "engine": "", "speed_ms": 0}


@pytest.mark.parametrize("fold", [[], ["--no-fold"]])
def test_predict(weights, tmp_path, capsys, compiler, fold):
    rng = np.random.default_rng(0)
    for number in range(4):
        write_rgb(tmp_path / f"{number}.png", rng.integers(0, 256, (50, 64, 3), dtype=np.uint8))
    words = ["predict", "--weights", weights, "--source", str(tmp_path / "*.png"), "--device", "cpu", "--conf", "0.001"]
    found = []
    for name, options in (("eager", ["--engine", "torch"]), ("compiled", ["--compile"])):
        out = tmp_path / name
        assert main([*words, *fold, *options, "--out", str(out), "--json", "--no-draw", "--batch", "2"]) == 0
        found.append(json.loads((out / "predictions.json").read_text()))
    assert found[0] == found[1]
    assert compiler.calls == ["SpikingNetwork.features", "DetectHead.forward"] * 2
    assert capsys.readouterr().out.splitlines().count(SAYS) == 1


@pytest.mark.parametrize("command", ["val", "predict"])
def test_where_it_fails_one_line_says_so_and_the_command_ends_well(
    weights, shapes, tmp_path, capsys, compiler, command
):
    compiler.fails = "small"
    write_rgb(tmp_path / "a.png", np.zeros((50, 64, 3), np.uint8))
    rest = {"val": ["--data", str(shapes), "--workers", "0"], "predict": ["--source", str(tmp_path / "a.png")]}[command]
    out = ["--out", str(tmp_path / "out")]
    assert main([command, "--weights", weights, *rest, *out, "--device", "cpu", "--compile"]) == 0
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if "compil" in line and "computed by" not in line] == [
        "torch.compile fails here, so the network runs as it is, uncompiled: RuntimeError: no luck and more"
    ]
    assert said.err == ""


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("val", ["--engine", "onnxruntime"], "compile: for PyTorch; leave it out, or --engine onnxruntime"),
        ("val", ["--spike-driven"], "compile: not with --spike-driven and --integer"),
        ("val", ["--integer"], "compile: not with --spike-driven and --integer"),
        ("predict", ["--engine", "openvino"], "compile: for PyTorch; leave it out, or --engine openvino"),
    ],
)
def test_what_does_not_go_with_it_is_refused(weights, shapes, capsys, compiler, command, options, said):
    rest = {"val": ["--data", str(shapes)], "predict": ["--source", str(shapes.parent / "images")]}[command]
    assert main([command, "--weights", weights, *rest, "--device", "cpu", "--compile", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert compiler.calls == []
