"""Annotations in COCO's layout, detections as a fair detector would make them, and pycocotools' verdict on them."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeyolo.structures import Detections

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def coco_tiny():
    path = SHARED_DATA / "coco_tiny" / "annotations" / "instances_val2017.json"
    if not path.is_file():
        pytest.skip("shared/data/coco_tiny is not beside the repository")
    return json.loads(path.read_text())


def generated_coco(seed, image_count=12, classes=4):
    """Images with 0 to 8 boxes of all sizes, areas smaller than the boxes as masks have, one box in six a crowd."""
    rng = np.random.default_rng(seed)
    categories = [{"id": 3 * k + 2, "name": f"class {k}"} for k in range(classes)]
    # Ids that neither start at one nor rise evenly nor come in order.
    ids = (rng.permutation(image_count) * 7 + 40).tolist()
    images = [{"id": i, "width": 320, "height": 240, "file_name": f"{i}.jpg"} for i in ids]
    annotations = []
    for image_id in ids:
        for _ in range(int(rng.integers(9))):
            w, h = np.exp(rng.uniform(np.log(8), np.log(200), size=2))
            x, y = rng.uniform(0, 320 - w), rng.uniform(0, max(240 - h, 1))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 3 * int(rng.integers(classes)) + 2,
                    "bbox": [round(float(v), 2) for v in (x, y, w, h)],
                    "area": round(float(w * h * rng.uniform(0.4, 1)), 2),
                    "iscrowd": int(rng.random() < 1 / 6),
                }
            )
    return {"images": images, "categories": categories, "annotations": annotations}


def fair_detections(dataset, seed):
    """For each image id: most boxes found, shifted and rescaled, some twice, some as another class; some invented."""
    rng = np.random.default_rng(seed)
    labels = {category: k for k, category in enumerate(sorted(c["id"] for c in dataset["categories"]))}
    rows = {image["id"]: [] for image in dataset["images"]}
    for a in dataset["annotations"]:
        for _ in range(int(rng.choice(4, p=[0.15, 0.6, 0.15, 0.1]))):
            x, y, w, h = np.array(a["bbox"]) + rng.normal(0, 0.06, 4) * np.tile(a["bbox"][2:], 2)
            label = labels[a["category_id"]] if rng.random() < 0.9 else int(rng.integers(len(labels)))
            # Two digits: some scores are equal, and their order must not differ.
            rows[a["image_id"]].append([x, y, x + abs(w) + 1, y + abs(h) + 1, round(rng.beta(4, 2), 2), label])
    for image in dataset["images"]:
        for _ in range(int(rng.integers(5))):
            x, y, w, h = rng.uniform(0, 150, size=4)
            rows[image["id"]].append([x, y, x + w + 4, y + h + 4, round(rng.beta(2, 4), 2), rng.integers(len(labels))])
    return {image_id: as_detections(found) for image_id, found in rows.items()}


def as_detections(rows):
    table = torch.tensor(np.array(rows, dtype=np.float32).reshape(-1, 6))
    return Detections(table[:, :4], table[:, 4], table[:, 5].long())


def pycocotools_twelve(dataset, detections):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    categories = sorted(c["id"] for c in dataset["categories"])
    results = []
    for image_id, found in detections.items():
        boxes = found.boxes.double().numpy()
        boxes[:, 2:] -= boxes[:, :2]
        for box, score, label in zip(boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True):
            results.append({"image_id": image_id, "category_id": categories[label], "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, **dataset}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
