"""Every hostile or broken input of the tables, each by a command as a user gives it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from tests.trust.harness import Case, run, write_users_folder

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))
CASES: list[Case] = [case for name in MODULES for case in importlib.import_module(f"tests.trust.{name}").CASES]


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    return write_users_folder(tmp_path_factory.mktemp("template") / "user")


def test_names_are_unique_and_there_are_enough():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.few(160)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case, template, tmp_path, monkeypatch, capfd):
    run(case, template, tmp_path / "user", monkeypatch, capfd)


@pytest.mark.long
@pytest.mark.parametrize("words", ["demo --epochs 1", "demo --events --epochs 1"])
def test_a_demo_in_a_folder_full_of_a_users_files(words, template, tmp_path, monkeypatch, capfd):
    run(Case(words, words, "look at", code=0), template, tmp_path / "user", monkeypatch, capfd)
