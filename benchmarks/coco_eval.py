"""COCO evaluation: `spikeyolo.evaluation` beside pycocotools, on generated boxes of COCO's density.

    python benchmarks/coco_eval.py --images 500 --detections 100 --rounds 5

Both start from detections in memory and end with the twelve numbers. The two take turns; medians are reported. Exits
with 1 when the numbers differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from spikeyolo.evaluation.coco import CocoEvaluator
from spikeyolo.evaluation.ground_truth import GroundTruth
from spikeyolo.structures import Detections

CLASSES = 80
BOXES_A_IMAGE = 7.3  # of COCO val2017


def generated(image_count: int, detections: int, seed: int) -> tuple[dict[str, Any], list[Detections]]:
    """A COCO dataset of boxes and, for each image, so many detections: half of them shifted boxes, half invented."""
    rng = np.random.default_rng(seed)
    annotations, found = [], []
    for image_id in range(1, image_count + 1):
        count = int(rng.poisson(BOXES_A_IMAGE))
        sides = np.exp(rng.uniform(np.log(8), np.log(300), size=(count, 2)))
        xywh = np.concatenate([rng.uniform(0, 300, size=(count, 2)), sides], axis=1)
        labels = rng.integers(CLASSES, size=count)
        for box, label in zip(xywh.tolist(), labels.tolist(), strict=True):
            crowd = int(rng.random() < 0.012)
            row = {"image_id": image_id, "category_id": label + 1, "bbox": box, "area": box[2] * box[3]}
            annotations.append({"id": len(annotations) + 1, "iscrowd": crowd, **row})
        invented = np.concatenate([rng.uniform(0, 300, (detections, 2)), rng.uniform(8, 300, (detections, 2))], axis=1)
        guessed = rng.integers(CLASSES, size=detections)
        if count:
            source = rng.integers(count, size=detections // 2)
            invented[: detections // 2] = (
                xywh[source] + rng.normal(0, 0.1, (detections // 2, 4)) * sides[source][:, [0, 1] * 2]
            )
            guessed[: detections // 2] = labels[source]
        boxes = np.concatenate([invented[:, :2], invented[:, :2] + np.abs(invented[:, 2:])], axis=1)
        scores = torch.tensor(rng.beta(1, 4, size=detections), dtype=torch.float32)
        found.append(Detections(torch.tensor(boxes, dtype=torch.float32), scores, torch.tensor(guessed)))
    images = [{"id": image_id, "width": 640, "height": 640} for image_id in range(1, image_count + 1)]
    categories = [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)]
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}, found


def ours(dataset: dict[str, Any], found: list[Detections], curves: bool) -> np.ndarray:
    evaluator = CocoEvaluator(GroundTruth.from_coco(dataset))
    evaluator.update([image["id"] for image in dataset["images"]], found)
    return np.array(list(evaluator.compute(curves=curves).twelve().values()))


def pycocotools(dataset: dict[str, Any], found: list[Detections]) -> np.ndarray:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = []
    for image, detections in zip(dataset["images"], found, strict=True):
        boxes = detections.boxes.double().numpy().copy()
        boxes[:, 2:] -= boxes[:, :2]
        number = np.full((len(boxes), 1), image["id"])
        scores, labels = detections.scores.double().numpy()[:, None], detections.labels.numpy()[:, None] + 1
        rows.append(np.concatenate([number, boxes, scores, labels], axis=1))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(np.concatenate(rows)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def main() -> int:
    parser = argparse.ArgumentParser(description="COCO evaluation beside pycocotools")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--detections", type=int, default=100, help="an image")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset, found = generated(options.images, options.detections, options.seed)
    contestants = {
        "pycocotools": lambda: pycocotools(dataset, found),
        "spikeyolo, with curves and best F1": lambda: ours(dataset, found, curves=True),
        "spikeyolo, numbers only": lambda: ours(dataset, found, curves=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    numbers = {}
    for _ in range(options.rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            numbers[name] = run()
            seconds[name].append(time.perf_counter() - start)
    table = Table(title=f"{options.images} images, {options.detections} detections each, median of {options.rounds}")
    for column in ("", "s", "min .. max", "times faster", "largest difference"):
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    base = statistics.median(seconds["pycocotools"])
    worst = 0.0
    for name, taken in seconds.items():
        difference = float(np.abs(numbers[name] - numbers["pycocotools"]).max())
        worst = max(worst, difference)
        middle = statistics.median(taken)
        spread = f"{min(taken):.2f} .. {max(taken):.2f}"
        table.add_row(name, f"{middle:.3f}", spread, f"{base / middle:.1f}", f"{difference:.1e}")
    Console().print(table)
    return int(worst > 1e-6)


if __name__ == "__main__":
    raise SystemExit(main())
