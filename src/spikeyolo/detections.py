"""What is found on an image: boxes, scores and classes; to look at, to choose from, and to hand on.

It stands on the room that draws, so that what was found can be drawn where it is.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checks import changed, check_boxes, check_column
from .optional import optional_module
from .text import class_name

if TYPE_CHECKING:
    import numpy as np

    from .imaging.given import Image

COLUMNS = ("x1", "y1", "x2", "y2", "score", "label", "name")
"""Of `Detections.to_dataframe`."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found on one image, best first.

    `found[0]`, `found[:5]`, `found[found.scores > 0.5]` and `found[order]` are detections again, and so are those that
    iterating gives, one at a time; `len(found)` says how many there are. Two are equal when they hold the same boxes,
    scores and labels; names do not count, nor does the device.

    Attributes:
        boxes: (N, 4) xyxy in pixels of the image.
        scores: (N,) in 0..1.
        labels: (N,) int64 class indices.
        names: a name for each class that there can be, where they are known: `predict` gives them.

    Raises:
        ShapeError: when the first three do not belong together.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_boxes("Detections", self.boxes)
        check_column("Detections", "scores", self.scores, len(self.boxes), integer=False)
        check_column("Detections", "labels", self.labels, len(self.boxes), integer=True)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, which: Any) -> Detections:
        """Return some of them.

        Args:
            which: a number, a slice, a mask (N,) of booleans, or indices (M,): a tensor, an array or a list.

        Raises:
            IndexError: none of that number, or a mask of another length.
        """
        if isinstance(which, int) and not isinstance(which, bool):
            if not -len(self) <= which < len(self):
                raise IndexError(f"Detections: no number {which} among {len(self)}")
            which = slice(which, which + 1 or None)
        elif not isinstance(which, slice):
            which = torch.as_tensor(which, device=self.boxes.device)
            which = which.long() if which.numel() == 0 and which.dtype != torch.bool else which
            if which.ndim != 1 or which.is_floating_point():
                raise IndexError(f"Detections: expected a mask or indices (M,), got {which.dtype} {tuple(which.shape)}")
        return changed(self, boxes=self.boxes[which], scores=self.scores[which], labels=self.labels[which])

    def __iter__(self) -> Iterator[Detections]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        mine, others = ((d.boxes.cpu(), d.scores.cpu(), d.labels.cpu()) for d in (self, other))
        return all(torch.equal(one, two) for one, two in zip(mine, others, strict=True))

    __hash__ = None  # type: ignore[assignment] # as tensors of the same values have different ones

    def __repr__(self) -> str:
        if not len(self):
            return "Detections(0: nothing found)"
        counts = ", ".join(f"{count} {name}" for name, count in Counter(self.class_names).most_common())
        return f"Detections({len(self)}: {counts}; best score {float(self.scores.max()):.2f})"

    @property
    def class_names(self) -> list[str]:
        """The name of the class of each; "class7" where names are not known."""
        names = self.names or ()
        return [names[label] if label < len(names) else f"class{label}" for label in self.labels.tolist()]

    def to(self, device: torch.device | str) -> Detections:
        """Return the same detections on another device."""
        return changed(self, boxes=self.boxes.to(device), scores=self.scores.to(device), labels=self.labels.to(device))

    def with_names(self, names: Sequence[str]) -> Detections:
        """Return the same detections with the names of all classes that there can be, by index."""
        return changed(self, names=tuple(class_name(str(name)) for name in names))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: `{"detections": [{"box", "score", "label", "name"}, ...]}`.

        They are those of an entry in `predictions.json`: the box xyxy to hundredths of a pixel, the score to 5 digits.
        """
        columns = self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), self.class_names
        return {
            "detections": [
                {"box": [round(side, 2) for side in box], "score": round(score, 5), "label": label, "name": name}
                for box, score, label, name in zip(*columns, strict=True)
            ]
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame, a row each, with the columns x1, y1, x2, y2, score, label, name.

        Raises:
            MissingPackage: pandas is not installed.
        """
        pandas = optional_module("pandas", "notebook")
        columns = *self.boxes.cpu().numpy().T, self.scores.cpu().numpy(), self.labels.cpu().numpy(), self.class_names
        return pandas.DataFrame(dict(zip(COLUMNS, columns, strict=True)))

    def to_supervision(self) -> Any:
        """Return a `supervision.Detections`: xyxy, confidence, class_id, and the names as `data["class_name"]`.

        Raises:
            MissingPackage: supervision is not installed.
        """
        import numpy as np

        return optional_module("supervision", "track").Detections(
            xyxy=self.boxes.float().cpu().numpy(),
            confidence=self.scores.float().cpu().numpy(),
            class_id=self.labels.cpu().numpy(),
            data={"class_name": np.array(self.class_names, dtype=str)},
        )

    def plot(self, image: Image) -> np.ndarray:
        """Return the image with what was found on it, (H, W, 3) uint8 RGB: boxes, class names, scores.

        Args:
            image: the one that was looked at: a path, an (H, W, 3) uint8 RGB array, an image of PIL or a tensor; it
                stays as it is.

        Raises:
            DataError: a file that is not a readable image.
            ShapeError: an array or tensor that is no image.
        """
        from .imaging.draw import draw_boxes
        from .imaging.given import as_rgb

        shown, boxes, labels = as_rgb(image), self.boxes.float().cpu(), self.labels.cpu()
        names = self.names or [f"class{label}" for label in range(int(labels.max()) + 1 if len(labels) else 0)]
        return draw_boxes(shown, boxes, labels, names, self.scores.float().cpu())

    def save(self, path: str | os.PathLike[str], image: Image) -> None:
        """Write the image with what was found on it, whole or not at all; an older file is replaced.

        Args:
            path: the file; its ending says the format.
            image: see `plot`.

        Raises:
            WriteError: it cannot be written.
        """
        from .imaging.io import write_rgb

        write_rgb(path, self.plot(image))

    def crop(self, image: Image) -> list[np.ndarray]:
        """Return what each box shows, (h, w, 3) uint8 RGB, all pixels that it touches; h or w is 0 beside the image.

        Args:
            image: see `plot`.
        """
        import numpy as np

        from .imaging.given import as_rgb

        shown = as_rgb(image)
        rows, columns = shown.shape[:2]
        crops = []
        for x1, y1, x2, y2 in self.boxes.tolist():
            left, top = min(max(int(np.floor(x1)), 0), columns), min(max(int(np.floor(y1)), 0), rows)
            right, bottom = min(int(np.ceil(x2)), columns), min(int(np.ceil(y2)), rows)
            crops.append(shown[top : max(bottom, top), left : max(right, left)].copy())
        return crops
