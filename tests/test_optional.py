import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikeyolo.errors import MissingPackage
from spikeyolo.evaluation import plots
from spikeyolo.evaluation.coco import CocoEvaluator
from spikeyolo.optional import EXTRAS, optional_module
from spikeyolo.prediction.tracking import Tracker


def test_a_package_that_is_there():
    import json

    assert optional_module("json", "train") is json


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "hotcoco", None)  # what blocks an import
    monkeypatch.delitem(sys.modules, "hotcoco.primitives", raising=False)
    with pytest.raises(MissingPackage, match=r'^hotcoco is not installed: pip install "spikeyolo\[train\]"$'):
        optional_module("hotcoco.primitives", "train")


def test_what_a_package_itself_misses_is_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        optional_module("half_there", "train")


def test_the_table_of_extras_is_that_of_the_project():
    tomllib = pytest.importorskip("tomllib", reason="comes with Python 3.11")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for package, extra in EXTRAS.items():
        assert any(line.startswith(package) for line in project["optional-dependencies"][extra]), package
        assert not any(line.startswith(package) for line in project["dependencies"]), package


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("hotcoco", lambda: CocoEvaluator(truth=None)),  # before anything is looked at
        ("matplotlib", lambda: plots._new_figure(1, 1)),
        ("supervision", lambda: Tracker(25)),
    ],
)
def test_what_needs_a_package_names_it_where_it_is_missing(monkeypatch, package, use):
    for name in [module for module in sys.modules if module.partition(".")[0] == package] or [package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=f"^{package} is not installed: pip install"):
        use()


def test_openvino_tells_nobody_that_it_is_imported(tmp_path):
    """Its package of telemetry would write ~/intel and ask a server."""
    pytest.importorskip("openvino")
    program = (
        "import sys\nfrom spikeyolo.optional import import_openvino\nimport_openvino()\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())
