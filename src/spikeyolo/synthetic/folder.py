"""A folder of generated data: known again by a record of what it holds, and replaced only as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..data.index_cache import FOLDER
from ..files import whole_folder

RECORD = "generated.json"


@dataclass(frozen=True)
class GeneratedData:
    """A data set that is generated sample by sample; its settings have a field for each split, the number of samples.

    Attributes:
        generator: who makes it.
        version: raised by a change that changes samples, so that an older folder is made again.
        config: the settings, a dataclass.
        splits: their names.
        files: the files of a sample, from the folder, the split and the sample's number.
        write: writes these files, from the same.
        description: the text of data.yaml.
    """

    generator: str
    version: int
    config: Any
    splits: tuple[str, ...]
    files: Callable[[Path, str, int], tuple[Path, ...]]
    write: Callable[[Path, str, int], None]
    description: str

    def is_complete(self, root: Path) -> bool:
        """Return whether a folder holds this very data set, no file missing and none too many."""
        files = {file for split, index in self._samples() for file in self.files(root, split, index)}
        kinds = {(file.parent, file.suffix) for file in files}
        there = {file for folder, suffix in kinds for file in folder.glob(f"*{suffix}")}
        return _record_in(root) == self._record() and there == files and (root / "data.yaml").is_file()

    def write_all(self, root: Path, progress: Callable[[int, int], None] | None = None) -> Path:
        """Write the data set, unless the folder already holds it whole.

        `root` is never seen half-written. A folder of this generator with other settings or with files missing is made
        again, unless something else lies in it; any other folder that is not empty is left alone.

        Args:
            root: the folder to make.
            progress: called with samples done and samples in all.

        Returns:
            The path of `data.yaml`.

        Raises:
            WriteError: `root` holds what this generator did not make, or cannot be written.
        """
        if self.is_complete(root):
            return root / "data.yaml"
        samples = self._samples()
        with whole_folder(root, replaces=self._made_by(_record_in(root), root)) as folder:
            for done, (split, index) in enumerate(samples, start=1):
                for file in self.files(folder, split, index):
                    file.parent.mkdir(parents=True, exist_ok=True)
                self.write(folder, split, index)
                if progress is not None:
                    progress(done, len(samples))
            (folder / "data.yaml").write_text(self.description)
            (folder / RECORD).write_text(json.dumps(self._record(), indent=1) + "\n")
        return root / "data.yaml"

    def _made_by(self, record: dict[str, Any], root: Path) -> Callable[[Path], bool] | None:
        """Return what tells the files of an older data set in a folder from those that somebody put there."""
        if record.pop("generator", None) != self.generator:
            return None
        try:
            older = replace(self, config=type(self.config)(**{k: v for k, v in record.items() if k != "version"}))
        except Exception:  # somebody has changed the record
            return None
        made = {file for split, index in older._samples() for file in self.files(root, split, index)}
        made |= {root / "data.yaml", root / RECORD}
        return lambda file: file in made or file.parent.name == FOLDER

    def _samples(self) -> list[tuple[str, int]]:
        return [(split, index) for split in self.splits for index in range(getattr(self.config, split))]

    def _record(self) -> dict[str, Any]:
        """What tells one generated folder from another; through JSON, for tuples to become lists as in the file."""
        record = {"generator": self.generator, "version": self.version, **asdict(self.config)}
        return json.loads(json.dumps(record))


def _record_in(root: Path) -> dict[str, Any]:
    """The record of a folder; empty where there is none."""
    try:
        found = json.loads((root / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
