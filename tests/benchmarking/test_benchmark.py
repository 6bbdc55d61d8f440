"""`spikeyolo benchmark`: a row for each form and runtime, and a reason where there is none."""

import json

import cv2
import pytest
import torch
from tests.helpers.networks import lively
from tests.trust.harness import small_model, write_users_folder

import spikeyolo
from spikeyolo.benchmarking.contenders import CONTENDERS, find_contenders
from spikeyolo.benchmarking.measure import BenchmarkSettings, measure_all
from spikeyolo.benchmarking.report import COLUMNS, Report, Row
from spikeyolo.cli.main import main
from spikeyolo.data.open import open_data
from spikeyolo.errors import ConfigError
from spikeyolo.metering.technology import find_technology


@pytest.fixture
def user(tmp_path, monkeypatch):
    write_users_folder(tmp_path / "user")
    monkeypatch.chdir(tmp_path / "user")
    small = small_model()  # whose neurons are silent
    lively(small.config, dtype=torch.float32, names=small.names, input=small.input).save("model.safetensors")
    return tmp_path / "user"


def test_forms_and_runtimes_side_by_side(user, capsys):
    words = "benchmark --weights model.safetensors --data data.yaml --batch 2 --repeats 3 --threads 1"
    assert main([*words.split(), "--formats", "trained", "dense", "integer", "onnx", "integer-onnx"]) == 0
    said = capsys.readouterr().out
    assert "written to runs/benchmark: benchmark.json" in said
    found = json.loads((user / "runs/benchmark/benchmark.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["trained"]["ap_difference"] == 0
    assert rows["trained"]["same"] == 1
    assert rows["onnx"]["engine"].startswith("onnxruntime")
    assert rows["integer"]["ap"] == rows["integer-onnx"]["ap"]
    assert rows["integer"]["bytes"] < rows["dense"]["bytes"] / 3
    assert 0 < rows["integer"]["firing_rate"] < 1
    assert rows["integer"]["millijoule"] < rows["dense"]["millijoule"]
    for row in rows.values():
        median, slow = row["latency_ms"]
        assert 0 < median <= slow
        assert row["images_per_s"] == pytest.approx(2000 / row["batch_ms"][0])
    assert found["machine"]["threads"] == 1
    text = (user / "runs/benchmark/benchmark.md").read_text().splitlines()
    assert text[0].count("|") == len(COLUMNS) + 1
    assert len(text) == 2 + len(rows) + 2
    assert cv2.imread(str(user / "runs/benchmark/benchmark.png")).std() > 5


def test_what_cannot_be_made_says_why_and_the_others_are_measured(user):
    index = open_data("data.yaml").split("val")
    settings = BenchmarkSettings(batch=1, repeats=3, threads=1)
    report = measure_all(
        small_model(), index, find_contenders(["onnx"]), settings, find_technology("45nm-fp32"), imgsz=7
    )
    assert report.rows[0].status == "imgsz: 7 is not a multiple of 32"
    assert report.rows[0].latency_ms is None
    assert "imgsz: 7 is not a multiple of 32" in report.markdown()


def test_tables_of_rows_that_know_little():
    machine = {"processor": "p", "threads": 1, "system": "s", "python": "3", "spikeyolo": "0", "batch": 1}
    report = Report([Row("a"), Row("b", status="no | such")], {**machine, "technology": "t"})
    assert report.table().row_count == 2
    assert "no \\| such" in report.markdown()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--formats onxx", "formats: no 'onxx', did you mean 'onnx'?"),
        ("--data no.yaml", "no.yaml: no such file"),
        ("--weights no.safetensors", "no.safetensors: no such file"),
        ("--repeats 1", "repeats: 1 is below 3"),
        ("--out images", "holds files already"),
    ],
)
def test_mistakes_are_one_line(user, capsys, words, said):
    assert main(["benchmark", "--weights", "model.safetensors", "--data", "data.yaml", *words.split()]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (user / "runs").exists()


def test_a_folded_model_has_lost_what_the_others_are_made_of():
    index = object()
    with pytest.raises(ConfigError, match="needs the trained model, this file holds its separable form"):
        measure_all(small_model().fold(), index, [], BenchmarkSettings(), find_technology("45nm-fp32"))


def test_all_forms_are_known():
    assert [each.name for each in find_contenders(None)] == list(CONTENDERS)


def test_the_public_functions_take_what_the_commands_take(user):
    report = spikeyolo.benchmark("model.safetensors", "data.yaml", formats=["onnx"], repeats=3, threads=1)
    assert report.rows[0].status == "ok"
    assert spikeyolo.export("model.safetensors", "onnx", "a.onnx").parity.same == 1
