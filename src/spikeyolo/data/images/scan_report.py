"""What a scan found: kinds of problems, how often, where, and what was done about each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import DataError
from ...text import visible

if TYPE_CHECKING:
    from rich.table import Table

ERROR, REPAIRED, NOTE = "error", "repaired", "note"

# kind: (severity, what is done about it). An error stops always, something repaired only when strict, a note never.
KINDS: dict[str, tuple[str, str]] = {
    "class out of range": (ERROR, "correct the label or the names"),
    "malformed row": (ERROR, "a row is: class x-centre y-centre width height, in shares of the image"),
    "malformed annotation": (ERROR, "correct the annotation, as COCO or VOC describes it"),
    "unknown category": (ERROR, "correct the annotation or the categories"),
    "unknown image id": (ERROR, "correct the annotation or the images"),
    "size differs": (ERROR, "the JSON's width and height must be those of the upright image"),
    "image missing": (REPAIRED, "left out"),
    "image unreadable": (REPAIRED, "left out"),
    "image twice": (REPAIRED, "used once"),
    "label file missing": (REPAIRED, "an image without objects"),
    "not finite": (REPAIRED, "box dropped"),
    "outside the image": (REPAIRED, "box clipped, or dropped when nothing is left"),
    "zero size": (REPAIRED, "box dropped"),
    "duplicate": (REPAIRED, "box kept once"),
    "grey": (REPAIRED, "three equal channels"),
    "CMYK": (REPAIRED, "converted to RGB"),
    "16-bit": (REPAIRED, "scaled to 8 bits"),
    "transparency": (REPAIRED, "dropped"),
    "EXIF-rotated": (REPAIRED, "turned upright; labels refer to the upright image"),
    "polygon": (NOTE, "its bounding box"),
    "no objects": (NOTE, "an image without objects"),
    "crowd": (NOTE, "ignored in training, kept for evaluation"),
}
EXAMPLES_PER_KIND = 20


@dataclass(frozen=True)
class Finding:
    """One thing worth saying about one file.

    Attributes:
        kind: a key of `KINDS`.
        file: the image or label file.
        detail: where in the file, and what.
    """

    kind: str
    file: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.detail or self.kind}"


@dataclass
class ScanReport:
    """Counts and examples of everything that a scan found.

    Attributes:
        source: the description and split that were scanned.
        images: usable images.
        boxes: usable boxes, crowds not counted.
        counts: findings by kind.
        examples: the first findings of each kind.
    """

    source: str
    images: int = 0
    boxes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, findings: Iterable[Finding]) -> None:
        """Count findings and keep the first of each kind."""
        for finding in findings:
            self.counts[finding.kind] += 1
            examples = self.examples.setdefault(finding.kind, [])
            if len(examples) < EXAMPLES_PER_KIND:
                examples.append(finding)

    def problems(self, strict: bool = False) -> list[str]:
        """Return the kinds found that make the data unusable."""
        bad = (ERROR, REPAIRED) if strict else (ERROR,)
        return [kind for kind in KINDS if self.counts[kind] and KINDS[kind][0] in bad]

    def raise_if_unusable(self, strict: bool = False) -> None:
        """Refuse data with errors, and data without images or boxes.

        Args:
            strict: also refuse what was repaired.

        Raises:
            DataError: one line that names the first file concerned and counts the rest.
        """
        problems = self.problems(strict)
        if problems:
            counts = ", ".join(f"{self.counts[kind]} x {kind}" for kind in problems)
            raise DataError(f"{self.examples[problems[0]][0]}; {KINDS[problems[0]][1]} ({self.source}: {counts})")
        lost = next((e[0] for kind, e in self.examples.items() if kind.startswith("image")), None)
        if not self.images:
            raise DataError(f"{self.source}: no usable image" + (f"; first: {lost}" if lost else ""))
        if not self.boxes:
            missing = self.examples.get("label file missing")
            where = f"; first: {missing[0]}" if missing else ""
            raise DataError(f"{self.source}: no boxes on {self.images} images{where}")

    def table(self) -> Table:
        """Return the report as a rich table."""
        from rich.table import Table
        from rich.text import Text

        title = Text(visible(f"{self.source}: {self.images} images, {self.boxes} boxes"))
        table = Table("found", "times", "severity", "what is done", title=title)
        table.add_column("for example", overflow="fold")
        for kind, (severity, rule) in KINDS.items():
            if self.counts[kind]:
                style = {ERROR: "red", REPAIRED: "yellow", NOTE: ""}[severity]
                example = Text(visible(str(self.examples[kind][0])))
                table.add_row(kind, str(self.counts[kind]), severity, rule, example, style=style)
        if not self.counts:
            table.add_row("no problems", "", "", "", "")
        return table
