"""A data set of images: what its file names, and what of a run's options and settings applies to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...events.event_input import CHANGES
from ...imaging.image_input import ImageInput
from ..data_set import refuse_changed, refuse_given
from .description import ImageDescription
from .index import ImageIndex
from .scan import scan
from .scan_report import ScanReport


@dataclass(frozen=True)
class ImageData:
    """A data set of images, in YOLO's or COCO's layout; made by `open_data`.

    Attributes:
        description: what its file says.
    """

    description: ImageDescription

    @property
    def file(self) -> Path:
        """The data.yaml or COCO JSON."""
        return self.description.file

    @property
    def files(self) -> tuple[Path, ...]:
        """The description, and the annotation files and lists of images that it names."""
        splits = self.description.splits.values()
        named = [path for split in splits for path in (*split.sources, split.annotation_file) if path is not None]
        return (self.file, *(path for path in named if path.is_file()))

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class index."""
        return self.description.names

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the file describes; a bare COCO JSON has one."""
        return tuple(self.description.splits)

    def scan(self, name: str, *, cache: bool = True, progress: bool = True) -> tuple[ImageIndex, ScanReport]:
        """Return the images of a split and what was found on the way, usable or not; see `scan`."""
        return scan(self.description, name, cache=cache, progress=progress)

    def split(self, name: str, *, strict: bool = False, progress: bool = True) -> ImageIndex:
        """Return the images and boxes of a split, scanned or from an earlier scan.

        Args:
            name: "train", "val" or "test".
            strict: refuse data in which anything had to be repaired.
            progress: show a progress bar on standard error.

        Raises:
            ConfigError: no such split; "train" of a bare COCO JSON.
            DataError: no images, no boxes, or labels that no rule can repair; names the first file concerned.
        """
        index, report = self.scan(name, progress=progress)
        report.raise_if_unusable(strict)
        return index

    def training_input(self, options: Any) -> ImageInput:
        """Return what a network that is trained on this data set sees.

        Args:
            options: may have the attributes `imgsz`, `preparation`, `representation` and of `event_input.CHANGES`;
                None: not given.

        Raises:
            ConfigError: an option for recordings, or a size out of range.
        """
        refuse_given(options, ("preparation", "representation", *CHANGES), self._reason)
        imgsz = getattr(options, "imgsz", None)
        return ImageInput() if imgsz is None else ImageInput.of(imgsz)

    def check_settings(self, settings: Any) -> None:
        """Raise ConfigError for a training setting that was changed and does not apply to images."""
        names = ("event_augmentation", "preparation", "representation", *CHANGES, "sequence", "sequence_share")
        refuse_changed(settings, names, self._reason)

    @property
    def _reason(self) -> str:
        return f"for recordings of event cameras; {self.file} describes images"
