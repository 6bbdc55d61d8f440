"""Files beside the code that other programs read: they are well-formed, and one version is in all of them."""

import re
from pathlib import Path

import pytest
import yaml

from spikeyolo.version import __version__

ROOT = Path(__file__).parents[1]
READ_BY_OTHERS = [
    *sorted(ROOT.glob(".github/**/*.yml")),
    ROOT / ".pre-commit-config.yaml",
    ROOT / "CITATION.cff",
]


@pytest.mark.parametrize("file", READ_BY_OTHERS, ids=lambda file: file.name)
def test_it_is_well_formed(file):
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    if file.parent.name == "workflows":
        assert content[True]  # YAML takes `on` for that
        assert all(job["runs-on"] and job["steps"] for job in content["jobs"].values())
    if file.parent.name == "ISSUE_TEMPLATE":
        assert {"name", "description", "body"} <= set(content)
        questions = [part for part in content["body"] if part["type"] != "markdown"]
        assert len({part["id"] for part in questions}) == len(questions) > 0


def test_workflows_run_the_test_command_of_the_readme():
    commands = [
        step.get("run", "")
        for job in yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"].values()
        for step in job["steps"]
    ]
    assert "make test" in commands
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_one_version_is_everywhere():
    stated = {
        "pyproject.toml": re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE),
        "CITATION.cff": re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE),
        "CHANGELOG.md": re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE),
    }
    assert {name: found and found[1] for name, found in stated.items()} == dict.fromkeys(stated, __version__)
