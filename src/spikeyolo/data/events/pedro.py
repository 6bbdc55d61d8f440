"""PEDRo as it is unpacked: a numpy file a sample of 40 ms, labels of the same name in PASCAL VOC's form and YOLO's.

    numpy/SPLIT/NAME.npy    (N, 4) time in microseconds, column, row, polarity; see `events.npy`
    xml/SPLIT/NAME.xml      corners in pixels and the name of a class
    yolo/SPLIT/NAME.txt     class, centre and sides in shares of the image

Source: https://github.com/SSIGPRO/PEDRo-Event-Based-Dataset, README and the files in its folder `examples`. A sample
has no more than its own events, and labels that belong to it as a whole: they get the time just after its last event.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...events.recording import Recording
from ...reading import entries, read_text
from ..images.labels import Objects, parse_yolo
from ..images.scan_report import Finding
from ..images.voc import parse_voc
from .frame_sources import RecordingSource
from .labels import BOX_DTYPE, Pairing

FORMS = {"xml": ".xml", "yolo": ".txt"}
Parser = Callable[[str, str, Sequence[str], tuple[int, int]], tuple[Objects, list[Finding]]]
PARSERS: dict[str, Parser] = {
    "xml": partial(parse_voc, first=0),
    "yolo": parse_yolo,
}  # PEDRo's corners count from 0, unlike VOC's own
EVENTS = "numpy"
LABEL_BYTES = 10**6  # of one sample


@dataclass(frozen=True)
class PedroSource(RecordingSource):
    """Folders of PEDRo's samples, `numpy/SPLIT`.

    Attributes:
        names: of classes, as the labels in XML write them.
        form: of the labels, a key of FORMS.
    """

    names: tuple[str, ...] = ()
    form: str = "xml"

    @property
    def expected(self) -> str:
        """What a folder must hold."""
        return f"{EVENTS}/SPLIT/NAME.npy with {self.form}/SPLIT/NAME{FORMS[self.form]}"

    @property
    def depends_on(self) -> tuple[Any, ...]:
        """The layout, and the form of its labels."""
        return (*super().depends_on, self.form)

    def pair(self, folder: Path) -> Pairing:
        """See `Source`."""
        labels_folder = self._labels_folder(folder)
        for place in (folder, labels_folder):
            if not os.path.isdir(place):
                raise DataError(f"{place}: no such folder; expected {self.expected}")
        samples = {path.stem: path for path in entries(folder) if path.suffix == ".npy" and os.path.isfile(path)}
        labels = {path.stem: path for path in entries(labels_folder) if path.suffix == FORMS[self.form]}
        return Pairing(
            tuple((path, labels[name]) for name, path in samples.items() if name in labels),
            tuple(path for name, path in samples.items() if name not in labels),
            tuple(path for name, path in labels.items() if name not in samples),
        )

    def pair_of(self, file: Path) -> tuple[Path, Path]:
        """See `RecordingSource`."""
        return file, self._labels_folder(file.parent) / f"{file.stem}{FORMS[self.form]}"

    def boxes(self, labels: Path, recording: Recording) -> np.ndarray:
        """See `RecordingSource`."""
        text = read_text(labels, LABEL_BYTES, kind="labels")
        objects, findings = PARSERS[self.form](text, str(labels), self.names, recording.sensor_size_hw)
        for finding in findings:
            warnings.warn(str(finding), stacklevel=2)  # which a scan collects
        boxes = np.zeros(len(objects.labels), BOX_DTYPE)
        boxes["t"], boxes["class_id"], boxes["class_confidence"] = recording.duration_us, objects.labels, 1
        boxes["x"], boxes["y"] = objects.boxes[:, :2].T
        boxes["w"], boxes["h"] = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
        return boxes

    def _labels_folder(self, folder: Path) -> Path:
        return folder.parent.parent / self.form / folder.name
