"""The notebooks: clean as they lie here, and run from start to end in a kernel as readers have it."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
COMMAND = re.compile(r"^%run -m spikeyolo ", flags=re.MULTILINE)

each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def cells(file, kind):
    """The text of the cells of a kind."""
    read = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in read if cell["cell_type"] == kind]


def test_the_three_of_them_are_named_in_the_readme():
    assert [file.stem for file in NOTEBOOKS] == ["events", "from_training_to_chip", "own_images"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(notebooks/{file.name})" in readme for file in NOTEBOOKS)


@each
def test_a_notebook_is_kept_without_outputs_and_with_nothing_of_the_one_who_ran_it(file):
    notebook = json.loads(file.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"] == METADATA
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        assert re.fullmatch(r"[a-z-]+", cell["id"])  # a word, which does not change when the notebook is saved
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@each
def test_a_notebook_is_one_by_the_schema_of_notebooks(file):
    nbformat = pytest.importorskip("nbformat", reason="nbformat comes with the extra dev")
    nbformat.validate(nbformat.read(file, as_version=4))


@each
def test_what_a_notebook_imports_is_there(file):
    pytest.importorskip("pandas", reason="pandas comes with the extra notebook")
    for code in cells(file, "code"):
        if not COMMAND.match(code):
            found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
            exec("\n".join(map(ast.unparse, found)), {})


def test_each_push_runs_them():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]
    assert {"run": "make notebooks"} in jobs["notebooks"]["steps"]
    _, target, rule = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nnotebooks: ")
    assert target
    assert rule.splitlines()[1] == "\t$(BIN)/python -m pytest -m long tests/test_notebooks.py"


@pytest.mark.long
@each
def test_a_notebook_runs(file, tmp_path, monkeypatch):
    """Progress bars move in it, results show themselves, nobody is warned, and nothing is left where it lies."""
    needed = ["nbformat", "nbclient", "ipykernel", "ipywidgets", "onnxruntime"]
    nbformat, nbclient, *_ = [pytest.importorskip(name, reason="comes with the extra dev") for name in needed]
    for name in ("IPYTHONDIR", "TMPDIR", "JUPYTER_CONFIG_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    (here := tmp_path / "here").mkdir()
    notebook = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(here)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/html"} <= shown
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert not list(here.iterdir())
