"""The cases once more, each in a process of its own, for what only that shows: how much memory it takes."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.trust.harness import Case, write_users_folder
from tests.trust.test_cases import CASES

LIMIT_KB = 1_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return write_users_folder(tmp_path_factory.mktemp("template") / "user")


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_memory_of_a_case(case: Case, template, tmp_path, monkeypatch):
    folder = tmp_path / "user"
    shutil.copytree(template, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    case.prepare(folder)
    words = [sys.executable, "-m", "spikeyolo", *shlex.split(case.command)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(words, env=environment, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == case.code, (tmp_path / "said").read_text(errors="replace")[-2000:]
    assert used.ru_maxrss < LIMIT_KB, f"{used.ru_maxrss / 1e6:.2f} GB"
