"""What the page for browsers computes in JavaScript, run by Node, beside Python."""

import numpy as np
import pytest
from tests.helpers.node import NODE, run_module

from spikeyolo.detection.thresholds import Thresholds
from spikeyolo.imaging.letterbox import letterbox
from spikeyolo.placement import Placement
from spikeyolo.runtime.decode import found_on

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

SIZES = [(480, 640), (512, 256), (300, 300), (768, 768), (97, 131), (50, 30), (31, 900), (1, 1), (255, 256), (33, 1)]


@needs_node
def test_the_page_scales_images_as_python_does(tmp_path):
    """To the last bit where OpenCV computes as it does here; other processors may round the odd mean otherwise."""
    rng, cases = np.random.default_rng(0), []
    for number, (rows, columns) in enumerate(SIZES):
        image = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        np.dstack([image, np.full((rows, columns), 255, np.uint8)]).tofile(tmp_path / f"{number}.in")
        case = {"number": number, "hw": [rows, columns], "image": image}
        cases += [case | {"canvas": canvas} for canvas in ((256, 256), (96, 160))]
    program = """
        return given.map(({ number, hw, canvas }, i) => {
          const data = new Uint8ClampedArray(files.readFileSync(`${number}.in`));
          const { planes, place } = page.letterbox({ data, height: hw[0], width: hw[1] }, ...canvas, 114);
          files.writeFileSync(`${i}.out`, planes);
          return place;
        });"""
    given = [{key: case[key] for key in ("number", "hw", "canvas")} for case in cases]
    for i, (case, place) in enumerate(zip(cases, run_module(tmp_path, "detect", program, given), strict=True)):
        expected, placement = letterbox(case["image"], case["canvas"])
        ours = np.fromfile(tmp_path / f"{i}.out", np.uint8).reshape(3, *case["canvas"]).transpose(1, 2, 0)
        off = np.abs(ours.astype(int) - expected)
        assert off.max() <= 1, case["hw"]
        assert (off > 0).mean() < 1e-3, case["hw"]
        assert (place["across"], place["down"]) == pytest.approx(placement.scale_xy)
        assert (place["left"], place["top"]) == placement.offset_xy


@needs_node
def test_the_page_drops_overlapping_boxes_as_python_does(tmp_path):
    rng = np.random.default_rng(4)
    corners = rng.uniform(-10, 60, (400, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 40, (400, 2))], 1).astype(np.float32)
    scores = rng.uniform(0, 1, (400, 3)).astype(np.float32)
    scores[7] = scores[8] = 0.25  # no more than the threshold
    scores[20:24] = [0.5, 0.9, 0.9]
    thresholds = Thresholds(0.25, 0.3, 60)
    placement = Placement((48, 64), (0.5, 0.75), (0, 14))
    (expected,) = found_on(boxes[None], scores[None], thresholds, [placement])
    place = {"left": 0, "top": 14, "across": 0.5, "down": 0.75, "width": 64, "height": 48}
    given = {
        "boxes": boxes.ravel().tolist(),
        "scores": scores.ravel().tolist(),
        "thresholds": {"conf": 0.25, "iou": 0.3, "max_det": 60},
        "place": place,
    }
    program = """
        const [boxes, scores] = [given.boxes, given.scores].map((values) => new Float32Array(values));
        return page.detections(boxes, scores, given.thresholds, given.place);"""
    found = run_module(tmp_path, "detect", program, given)
    assert len(found) == len(expected) == 60
    assert [one["label"] for one in found] == expected.labels.tolist()
    assert [one["score"] for one in found] == pytest.approx(expected.scores.tolist(), abs=1e-7)
    assert np.abs(np.array([one["box"] for one in found]) - expected.boxes).max() < 1e-4


@needs_node
def test_the_page_multiplies_and_adds_by_hand(tmp_path):
    """Two layers, two codes: 0.5 + 2 * 10 + 3 * 100 mJ in the first; 6 spikes of 4 * 5 + 8 * 5 slots."""
    energy = {
        "codes": [{"slots": 5, "fixed_mJ": 0.5}, {"slots": 3, "fixed_mJ": 1.0}],
        "layers": [{"neurons": 4, "mJ": [2, 20]}, {"neurons": 8, "mJ": [3, 30]}],
    }
    spikes = [2, 10, 1, 7, 4, 100, 3, 70]  # layer by layer, code by code: spikes, and what they reach
    program = "return page.costs(new Float32Array(given.spikes), given.energy);"
    found = run_module(tmp_path, "detect", program, {"spikes": spikes, "energy": energy})
    assert found["millijoule"] == pytest.approx([320.5, 1 + 20 * 7 + 30 * 70])
    assert found["rates"] == [pytest.approx([2 / 20, 4 / 40]), pytest.approx([1 / 12, 3 / 24])]
    assert found["rate"] == pytest.approx([6 / 60, 4 / 36])


@needs_node
def test_halves_are_rounded_to_the_even_neighbour(tmp_path):
    values = [0.5, 1.5, 2.5, 2.4999, 2.5001, 7.0, 0.0]
    assert run_module(tmp_path, "detect", "return given.map(page.roundHalfEven);", values) == list(map(round, values))
