"""COCO's average precision, through hotcoco, of detections collected image by image."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import DataError
from ..files import write_whole
from ..optional import optional_module
from ..structures import Detections
from .confusion import ConfusionMatrix, count_confusions
from .ground_truth import GroundTruth, ImageId
from .metrics import CONFIDENCES, ClassMetrics, Curves, Metrics, Ranking

if TYPE_CHECKING:
    from hotcoco import COCO, COCOeval

State = dict[ImageId, np.ndarray]
"""What an evaluator has collected: for each image (N, 6) float32 of x1, y1, x2, y2, score, label."""

S = TypeVar("S")


class CocoEvaluator:
    """Collects detections, image by image, and gives COCO's average precision.

    Each image counts once: giving one twice to the same evaluator is an error, while evaluators of several processes
    may share images (a distributed sampler fills up the last batch with some), of which the first is kept.

    Args:
        truth: the labelled boxes of all images.

    Raises:
        MissingPackage: hotcoco is not installed.
    """

    def __init__(self, truth: GroundTruth) -> None:
        optional_module("hotcoco", "train")  # before hours of detections are collected
        self.truth = truth
        self._index = {image_id: index for index, image_id in enumerate(truth.image_ids)}
        self._rows: State = {}

    def __len__(self) -> int:
        """Images given so far."""
        return len(self._rows)

    def reset(self) -> None:
        """Forget all detections."""
        self._rows.clear()

    def update(self, image_ids: Sequence[ImageId], detections: Sequence[Detections]) -> None:
        """Take the detections of some images, in pixels of the original images; none is an empty Detections.

        Raises:
            DataError: an image that the ground truth does not know or that was given before, a class out of range, or
                a number that is not finite.
        """
        for image_id, found in zip(image_ids, detections, strict=True):
            rows = detection_rows(found)
            self._check(image_id, rows)
            if image_id in self._rows:
                raise DataError(f"image {image_id!r}: its detections were given before")
            self._rows[image_id] = rows

    def _check(self, image_id: ImageId, rows: np.ndarray) -> None:
        if image_id not in self._index:
            raise DataError(f"image {image_id!r}: not in the ground truth")
        if not np.isfinite(rows).all():
            raise DataError(f"image {image_id!r}: a detection with a number that is not finite")
        classes = len(self.truth.class_names)
        if len(rows) and not 0 <= rows[:, 5].min() <= rows[:, 5].max() < classes:
            raise DataError(f"image {image_id!r}: a detection with a class outside 0..{classes - 1}")

    def state(self) -> State:
        """Return what was collected, to be sent to another process and merged there."""
        return dict(self._rows)

    def merge(self, states: Iterable[Mapping[ImageId, np.ndarray]]) -> None:
        """Take over what others have collected; of an image that several have, the first is kept."""
        for state in states:
            for image_id, rows in state.items():
                self._check(image_id, rows)
                self._rows.setdefault(image_id, rows)

    def gather(self) -> None:
        """Merge the evaluators of all processes into each of them; nothing to do without torch.distributed."""
        # In the order of the ranks, so that all keep the same one of what several have.
        states, self._rows = all_gathered(self._rows), {}
        self.merge(states)

    def compute(self, *, partial: bool = False, curves: bool = True) -> Metrics:
        """Return COCO's numbers over the images given.

        Args:
            partial: allow that images of the ground truth were not given, and leave them out.
            curves: also find the best F1 of each class and the curves (this takes several times as long).

        Raises:
            DataError: images are missing and `partial` is not set.
        """
        missing = len(self._index) - len(self._rows)
        if missing and not partial:
            raise DataError(f"{missing} of {len(self._index)} images were never evaluated")
        chosen = _chosen_ids(self._rows)
        evaluation = _evaluation(self.truth, self._rows, chosen)
        accumulated = evaluation.eval
        assert accumulated is not None
        precision, recall = np.asarray(accumulated["precision"]), np.asarray(accumulated["recall"])
        counts = self._boxes_per_class(chosen)
        best = [(np.nan,) * 4] * len(counts)
        found_curves = None
        if curves:
            rankings = _rankings(evaluation, counts)
            best = [ranking.best() for ranking in rankings]
            found_curves = _curves(self.truth.class_names, precision, rankings)
        per_class = tuple(
            ClassMetrics(
                name,
                int(counts[k]),
                _known_mean(precision[:, :, k, 0, 2]),
                _known_mean(precision[0, :, k, 0, 2]),
                *best[k],
            )
            for k, name in enumerate(self.truth.class_names)
        )
        return Metrics(
            **_twelve(precision, recall),
            images=len(chosen),
            boxes=int(counts.sum()),
            detections=sum(len(self._rows[image_id]) for image_id in chosen),
            per_class=per_class,
            curves=found_curves,
        )

    def _boxes_per_class(self, chosen: Sequence[ImageId]) -> np.ndarray:
        given = np.zeros(len(self._index), dtype=bool)
        given[[self._index[image_id] for image_id in chosen]] = True
        counted = given[self.truth.image_index] & ~self.truth.crowd
        return np.bincount(self.truth.labels[counted], minlength=len(self.truth.class_names))

    def confusion_matrix(self, confidence: float = 0.25, iou: float = 0.5) -> ConfusionMatrix:
        """Return what the boxes of each class on the images given were taken for; see ConfusionMatrix."""
        return count_confusions(self.truth, self._rows, confidence, iou)

    def results(self) -> list[dict[str, Any]]:
        """Return the detections as COCO results, under the original image and category ids.

        Rounded below what can change a match or the order of two scores: the file gives the very same numbers.
        """
        results: list[dict[str, Any]] = []
        for image_id in _chosen_ids(self._rows):
            rows = self._rows[image_id].astype(np.float64)
            boxes = _xywh(rows[:, :4]).round(6).tolist()
            scores, labels = rows[:, 4].round(9).tolist(), rows[:, 5].astype(int).tolist()
            results += [
                {"image_id": image_id, "category_id": self.truth.category_ids[label], "bbox": box, "score": score}
                for box, score, label in zip(boxes, scores, labels, strict=True)
            ]
        return results

    def write_results(self, path: str | os.PathLike[str]) -> None:
        """Write `results` as a file for the COCO server.

        Raises:
            WriteError: the file cannot be written.
        """
        write_whole(Path(path), json.dumps(self.results(), separators=(",", ":")).encode())


def detection_rows(found: Detections) -> np.ndarray:
    """Return (N, 6) float32 of x1, y1, x2, y2, score, label."""
    columns = (found.boxes, found.scores[:, None], found.labels[:, None])
    return np.concatenate([c.detach().cpu().float().numpy() for c in columns], axis=1)


def all_gathered(state: S) -> list[S]:
    """Return the states of all processes in the order of their ranks; without torch.distributed this one alone."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return [state]
    states: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(states, state)
    return states


def _chosen_ids(rows: Mapping[ImageId, np.ndarray]) -> list[ImageId]:
    # COCO's tools go through the images by rising id, which decides between detections of equal score.
    return sorted(rows, key=lambda image_id: (isinstance(image_id, str), image_id))


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _hotcoco() -> Any:
    return optional_module("hotcoco", "train")


def _load(truth: GroundTruth, rows: Mapping[ImageId, np.ndarray], chosen: Sequence[ImageId]) -> tuple[COCO, COCO]:
    """Ground truth and detections of the chosen images, under image and category ids 1, 2, 3, ..."""
    place = {image_id: number for number, image_id in enumerate(chosen, start=1)}
    numbers = np.array([place.get(image_id, 0) for image_id in truth.image_ids], dtype=np.int64)
    images = [
        {"id": place[image_id], "height": int(height), "width": int(width)}
        for image_id, (height, width) in zip(truth.image_ids, truth.sizes_hw, strict=True)
        if image_id in place
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate(truth.class_names, start=1)]
    of_box = numbers[truth.image_index]
    kept = np.flatnonzero(of_box > 0)
    labelled = _hotcoco().COCO.from_arrays(
        images,
        categories,
        of_box[kept],
        truth.labels[kept] + 1,
        _xywh(truth.boxes[kept]),
        area=truth.areas[kept],
        iscrowd=truth.crowd[kept],
    )
    table = [np.zeros((0, 7))]
    for image_id in chosen:
        found = rows[image_id].astype(np.float64)
        number = np.full((len(found), 1), float(place[image_id]))
        table.append(np.concatenate([number, _xywh(found[:, :4]), found[:, 4:5], found[:, 5:6] + 1], axis=1))
    return labelled, labelled.load_res(np.concatenate(table))


def _evaluation(truth: GroundTruth, rows: Mapping[ImageId, np.ndarray], chosen: Sequence[ImageId]) -> COCOeval:
    evaluation = _hotcoco().COCOeval(*_load(truth, rows, chosen), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _known_mean(values: np.ndarray) -> float:
    """The mean of what COCO's tools could measure; they mark the rest with -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else np.nan


def _twelve(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """The twelve numbers from precision (IoU, recall, class, area, max_det) and recall (IoU, class, area, max_det)."""
    # Areas are all, small, medium, large; max_det is 1, 10, 100; the IoU thresholds start at 0.5 in steps of 0.05.
    numbers = {
        "AP": precision[..., 0, 2],
        "AP50": precision[0, ..., 0, 2],
        "AP75": precision[5, ..., 0, 2],
        "APs": precision[..., 1, 2],
        "APm": precision[..., 2, 2],
        "APl": precision[..., 3, 2],
        "AR1": recall[..., 0, 0],
        "AR10": recall[..., 0, 1],
        "AR100": recall[..., 0, 2],
        "ARs": recall[..., 1, 2],
        "ARm": recall[..., 2, 2],
        "ARl": recall[..., 3, 2],
    }
    return {name: _known_mean(values) for name, values in numbers.items()}


def _rankings(evaluation: COCOeval, counts: np.ndarray) -> list[Ranking]:
    """The detections of each class in falling order, matched at IoU 0.5 by COCO's rules."""
    params = _hotcoco().Params("bbox")
    params.img_ids, params.cat_ids = evaluation.params.img_ids, evaluation.params.cat_ids
    params.iou_thrs, params.max_dets = [0.5], [100]
    params.area_rng, params.area_rng_lbl = [[0.0, 1e10]], ["all"]
    single = _hotcoco().COCOeval(evaluation.coco_gt, evaluation.coco_dt, "bbox")
    single.params = params
    single.evaluate()
    scores: list[list[float]] = [[] for _ in counts]
    matched: list[list[bool]] = [[] for _ in counts]
    for entry in single.eval_imgs:
        if entry is None:
            continue
        k = entry["category_id"] - 1
        for score, match, ignored in zip(entry["dtScores"], entry["dtMatched"][0], entry["dtIgnore"][0], strict=True):
            if not ignored:
                scores[k].append(score)
                matched[k].append(match)
    rankings = []
    for k, boxes in enumerate(counts):
        order = np.argsort(-np.asarray(scores[k]), kind="stable")
        rankings.append(Ranking(np.asarray(scores[k])[order], np.asarray(matched[k], dtype=bool)[order], int(boxes)))
    return rankings


def _curves(names: tuple[str, ...], precision: np.ndarray, rankings: Sequence[Ranking]) -> Curves:
    interpolated = precision[0, :, :, 0, 2].T
    over = [ranking.over_confidence() for ranking in rankings]
    p, r, f1 = (np.stack([entry[i] for entry in over]) for i in range(3))
    known = np.where(interpolated > -1, interpolated, np.nan)
    return Curves(names, np.linspace(0.0, 1.0, known.shape[1]), known, CONFIDENCES, p, r, f1)
