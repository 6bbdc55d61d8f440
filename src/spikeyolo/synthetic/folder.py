"""A folder of generated data: known again by a record of what it holds, and replaced only as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
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
        again; any other folder that is not empty is left alone. For one process at a time.

        Args:
            root: the folder to make.
            progress: called with samples done and samples in all.

        Returns:
            The path of `data.yaml`.

        Raises:
            DataError: `root` exists and was not made by this generator.
            WriteError: it cannot be written.
        """
        if self.is_complete(root):
            return root / "data.yaml"
        ours = _record_in(root).get("generator") == self.generator
        if root.exists() and not ours and (not root.is_dir() or any(root.iterdir())):
            raise DataError(f"{root}: exists and is not a generated data set; name another folder")
        samples = self._samples()
        with whole_folder(root, replace=True) as folder:
            for done, (split, index) in enumerate(samples, start=1):
                for file in self.files(folder, split, index):
                    file.parent.mkdir(parents=True, exist_ok=True)
                self.write(folder, split, index)
                if progress is not None:
                    progress(done, len(samples))
            (folder / "data.yaml").write_text(self.description)
            (folder / RECORD).write_text(json.dumps(self._record(), indent=1) + "\n")
        return root / "data.yaml"

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
