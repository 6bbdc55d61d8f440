from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.images import write_image


@pytest.fixture(autouse=True)
def own_user_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def yolo_set(tmp_path: Path) -> Path:
    """A data.yaml with three images 60 x 40, of which the last has no objects. The folder has a common name."""
    root = tmp_path / "set"
    for number, rows in enumerate(["0 0.5 0.5 0.5 0.5\n", "1 0.25 0.5 0.1 0.2\n0 0.75 0.5 0.1 0.2\n", ""]):
        write_image(root / "images" / "train" / f"{number}.png", value=60 * number)
        label = root / "labels" / "train" / f"{number}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(rows)
    file = root / "data.yaml"
    file.write_text("train: images/train\nval: images/train\nnames: [cat, dog]\n")
    return file
