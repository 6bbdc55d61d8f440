import json
import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from tests.helpers.coco_cases import as_detections, fair_detections, generated_coco, pycocotools_twelve

from spikeyolo.data.events.description import ProtocolName
from spikeyolo.data.events.labels import BOX_DTYPE
from spikeyolo.errors import ConfigError, DataError, ShapeError
from spikeyolo.evaluation.event_evaluator import RULES, protocol_of
from spikeyolo.evaluation.prophesee import GEN1, ONE_MPX, ONE_MPX_HALVED, PropheseeEvaluator, Protocol, nearest_instant

SIZE = (240, 304)
CAR, PEDESTRIAN = 0, 1
WIDE, FAR = (10, 20, 40, 30), (200, 100, 60, 60)  # x, y, w, h


def boxes(*rows):
    """Labels from rows of (t_us, (x, y, w, h), class)."""
    return np.array([(t, *xywh, label, track, 1.0) for track, (t, xywh, label) in enumerate(rows)], BOX_DTYPE)


def found(*rows):
    """Detections from rows of ((x, y, w, h), class) or ((x, y, w, h), class, score)."""
    return as_detections([[x, y, x + w, y + h, *(score or [0.9]), label] for (x, y, w, h), label, *score in rows])


def evaluated(labels, outputs, protocol=GEN1):
    """Metrics of one recording with outputs {t_us: detections}."""
    evaluator = PropheseeEvaluator(protocol)
    evaluator.add_labels("drive", labels, SIZE)
    for t_us, detections in outputs.items():
        evaluator.update("drive", t_us, detections)
    return evaluator.compute(curves=False)


def ap(numbers):
    return numbers.AP


def counts(metrics):
    return metrics.images, metrics.boxes, metrics.detections


@pytest.mark.parametrize(
    ("t_us", "counted"),
    [(0, 0), (499_999, 0), (500_000, 0), (500_001, 1), (2_000_000, 1)],
)
def test_boxes_up_to_half_a_second_do_not_count(t_us, counted):
    metrics = evaluated(boxes((t_us, WIDE, CAR)), {t_us: found((WIDE, CAR))})
    assert counts(metrics.prophesee) == (counted, counted, counted)
    assert counts(metrics.plain_coco) == (1, 1, 1)
    assert ap(metrics.prophesee) == pytest.approx(1.0) if counted else math.isnan(ap(metrics.prophesee))


def test_detection_is_skipped_by_its_own_time_even_where_its_label_is_not():
    metrics = evaluated(boxes((520_000, WIDE, CAR)), {490_000: found((WIDE, CAR))})
    assert counts(metrics.prophesee) == (1, 1, 0)
    assert ap(metrics.prophesee) == 0
    assert ap(metrics.plain_coco) == pytest.approx(1.0)
    assert metrics.instants_without_output == 0


@pytest.mark.parametrize(
    ("w", "h", "reason"),
    [
        (18.0, 24.0, None),  # 18, 24, 30 is a right triangle: the diagonal is just long enough
        (18.0, 23.9, "diagonal 29.9"),
        (28.3, 10.0, None),  # diagonal 30.01, side just long enough
        (60.0, 9.9, "height"),
        (9.9, 60.0, "width"),
    ],
)
def test_small_boxes_do_not_count_among_labels_nor_among_detections(w, h, reason):
    t, box = 1_000_000, (50, 50, w, h)
    metrics = evaluated(boxes((t, WIDE, CAR), (t, box, CAR)), {t: found((WIDE, CAR), (box, CAR))})
    kept = 1 if reason else 2
    assert counts(metrics.prophesee) == (1, kept, kept)
    assert counts(metrics.plain_coco) == (1, 2, 2)
    assert (ap(metrics.prophesee), ap(metrics.plain_coco)) == pytest.approx((1.0, 1.0))


def test_sizes_of_one_mpx_are_twice_those_of_gen1_and_halved_with_the_frames():
    assert (GEN1.min_diagonal, GEN1.min_side) == (30, 10)
    assert (ONE_MPX.min_diagonal, ONE_MPX.min_side) == (60, 20)
    assert (ONE_MPX_HALVED.min_diagonal, ONE_MPX_HALVED.min_side) == (30, 10)
    assert {p.skip_us for p in (GEN1, ONE_MPX, ONE_MPX_HALVED)} == {500_000}
    assert {p.tolerance_us for p in (GEN1, ONE_MPX, ONE_MPX_HALVED)} == {50_000}
    t = 1_000_000
    labels = boxes((t, (0, 0, 36, 47), 2), (t, (100, 0, 36, 48), 2))  # diagonals 59.2 and 60
    assert evaluated(labels, {}, ONE_MPX).prophesee.boxes == 1
    assert evaluated(labels, {}, ONE_MPX_HALVED).prophesee.boxes == 2


def test_one_mpx_evaluates_three_of_its_seven_classes():
    t, truck = 1_000_000, 3
    labels = boxes((t, (0, 0, 70, 70), 0), (t, (300, 0, 70, 70), truck), (2 * t, (0, 0, 90, 90), truck))
    outputs = {t: found(((0, 0, 70, 70), 0), ((300, 0, 70, 70), truck)), 2 * t: found(((0, 0, 90, 90), 2))}
    metrics = evaluated(labels, outputs, ONE_MPX)
    # The instant at which only a truck is labelled does not count, so the car found there is not wrong.
    for numbers in (metrics.prophesee, metrics.plain_coco):
        assert counts(numbers) == (1, 1, 1)
        assert [entry.name for entry in numbers.per_class] == ["pedestrian", "two wheeler", "car"]
        assert numbers.per_class[0].ap == pytest.approx(1.0)


def test_class_ids_need_not_be_in_order():
    protocol = Protocol(("bus", "pedestrian"), (4, 0))
    t = 1_000_000
    metrics = evaluated(boxes((t, WIDE, 4), (t, FAR, 0)), {t: found((WIDE, 4), (WIDE, 0))}, protocol)
    assert [entry.ap for entry in metrics.prophesee.per_class] == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize(
    ("offset", "matched"),
    [(0, True), (-50_000, True), (50_000, True), (-50_001, False), (50_001, False)],
)
def test_detections_within_fifty_milliseconds_are_matched(offset, matched):
    t = 1_000_000
    metrics = evaluated(boxes((t, WIDE, CAR)), {t + offset: found((WIDE, CAR))})
    for numbers in (metrics.prophesee, metrics.plain_coco):
        assert counts(numbers) == (1, 1, int(matched))
        assert ap(numbers) == pytest.approx(float(matched))
    assert metrics.outputs_without_instant == metrics.instants_without_output == int(not matched)


def test_detections_at_unlabelled_instants_are_neither_right_nor_wrong():
    t = 1_000_000
    outputs = {t: found((WIDE, CAR)), 2 * t: found((FAR, CAR), (WIDE, PEDESTRIAN)), 3 * t: found()}
    metrics = evaluated(boxes((t, WIDE, CAR)), outputs)
    assert counts(metrics.prophesee) == (1, 1, 1)
    assert ap(metrics.prophesee) == pytest.approx(1.0)
    assert metrics.outputs_without_instant == 2


def test_two_labels_at_one_time_are_one_instant():
    t = 1_000_000
    labels = boxes((t, WIDE, CAR), (t, FAR, PEDESTRIAN), (2 * t, WIDE, CAR))
    metrics = evaluated(labels, {t: found((WIDE, CAR), (FAR, PEDESTRIAN)), 2 * t: found((WIDE, CAR))})
    assert counts(metrics.prophesee) == (2, 3, 3)
    assert ap(metrics.prophesee) == pytest.approx(1.0)


def test_instant_whose_labels_are_all_too_small_does_not_count_and_keeps_its_detections():
    """They would otherwise go to the next instant, 40 ms later, and be wrong there."""
    t, tiny = 1_000_000, (10, 20, 8, 8)
    labels = boxes((t, tiny, CAR), (t + 40_000, WIDE, CAR))
    metrics = evaluated(labels, {t: found((FAR, CAR, 0.99)), t + 40_000: found((WIDE, CAR))})
    assert counts(metrics.prophesee) == (1, 1, 1)
    assert ap(metrics.prophesee) == pytest.approx(1.0)
    assert counts(metrics.plain_coco) == (2, 2, 2)


def test_instants_closer_than_the_tolerance_get_the_detections_nearest_to_each():
    """As on 1 Mpx, labelled at 60 Hz: the box moves, so a detection taken to a neighbour's instant would be wrong."""
    times = 1_000_000 + 16_667 * np.arange(6)
    places = [(30 * i, 20, 40, 30) for i in range(6)]
    metrics = evaluated(
        boxes(*((t, place, CAR) for t, place in zip(times, places, strict=True))),
        {t + 3000: found((place, CAR)) for t, place in zip(times, places, strict=True)},
    )
    assert counts(metrics.prophesee) == (6, 6, 6)
    assert ap(metrics.prophesee) == pytest.approx(1.0)


def test_nearest_instant_of_two_equally_near_is_the_earlier():
    instants = np.array([100, 200, 1000])
    times = np.array([40, 49, 50, 100, 149, 150, 151, 251, 960, 1051])
    expected = [-1, -1, 0, 0, 0, 0, 1, -1, 2, -1]
    assert nearest_instant(instants, times, 50).tolist() == expected
    assert nearest_instant(np.zeros(0, np.int64), times[:2], 50).tolist() == [-1, -1]


def test_all_detections_around_an_instant_belong_to_it():
    """Given at two times 20 ms apart, the same box is found twice: the second, as sure as the first, is wrong."""
    t = 1_000_000
    labels = boxes((t, WIDE, CAR), (3 * t, FAR, CAR))
    outputs = {t: found((WIDE, CAR, 0.9)), t + 20_000: found((WIDE, CAR, 0.8)), 3 * t: found((FAR, CAR, 0.7))}
    metrics = evaluated(labels, outputs)
    assert counts(metrics.prophesee) == (2, 2, 3)
    # Precision 1 up to recall 0.5, then 2/3: see test_average_precision_by_hand.
    assert ap(metrics.prophesee) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_empty_detections_and_missing_outputs_are_misses_and_told_apart():
    t = 1_000_000
    labels = boxes((t, WIDE, CAR), (2 * t, WIDE, CAR), (3 * t, WIDE, CAR))
    metrics = evaluated(labels, {t: found(), 2 * t: found((WIDE, CAR))})
    assert counts(metrics.prophesee) == (3, 3, 1)
    assert metrics.prophesee.twelve()["AR100"] == pytest.approx(1 / 3)
    assert metrics.instants_without_output == 1


def test_recording_without_boxes_changes_nothing_and_alone_gives_no_number():
    t = 1_000_000
    none = boxes()
    alone = evaluated(none, {t: found((WIDE, CAR))})
    assert counts(alone.prophesee) == counts(alone.plain_coco) == (0, 0, 0)
    assert math.isnan(ap(alone.prophesee))
    evaluator = PropheseeEvaluator(GEN1)
    evaluator.add_labels("empty", none, SIZE)
    evaluator.add_labels("drive", boxes((t, WIDE, CAR)), SIZE)
    evaluator.update("empty", t, found((FAR, CAR)))
    evaluator.update("drive", t, found((WIDE, CAR)))
    metrics = evaluator.compute()
    assert counts(metrics.prophesee) == (1, 1, 1)
    assert ap(metrics.prophesee) == pytest.approx(1.0)


def test_recordings_are_kept_apart_though_their_times_are_equal():
    t = 1_000_000
    evaluator = PropheseeEvaluator(GEN1)
    evaluator.add_labels("b", boxes((t, WIDE, CAR)), SIZE)
    evaluator.add_labels("a", boxes((t, FAR, CAR)), (480, 640))
    evaluator.update("a", t, found((WIDE, CAR)))
    evaluator.update("b", t, found((FAR, CAR)))
    assert evaluator.compute().prophesee.AP == 0


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_on_the_filtered_set(seed):
    """Generated images dealt out as instants of three recordings; pycocotools gets what the rules leave."""
    protocol = Protocol(tuple("abcd"), tuple(range(4)), min_diagonal=40.0, min_side=15.0)
    dataset = generated_coco(seed, image_count=24)
    dataset["annotations"] = [{**a, "iscrowd": 0} for a in dataset["annotations"]]
    detections = fair_detections(dataset, seed + 10)
    classes = {c["id"]: k for k, c in enumerate(dataset["categories"])}
    ids = sorted(image["id"] for image in dataset["images"])
    when = {image_id: (f"r{place // 8}", 100_000 + 150_000 * (place % 8)) for place, image_id in enumerate(ids)}

    evaluator = PropheseeEvaluator(protocol)
    for recording in ("r0", "r1", "r2"):
        rows = [a for a in dataset["annotations"] if when[a["image_id"]][0] == recording]
        labels = boxes(*((when[a["image_id"]][1], a["bbox"], classes[a["category_id"]]) for a in rows))
        evaluator.add_labels(recording, np.random.default_rng(seed).permutation(labels), (240, 320))
    for image_id, rows in detections.items():
        recording, t_us = when[image_id]
        evaluator.update(recording, t_us + 30_000, rows)
    metrics = evaluator.compute()

    def counts_as_large(w, h):
        return w * w + h * h >= 40**2 and w >= 15 and h >= 15

    left = [
        {**a, "area": a["bbox"][2] * a["bbox"][3]}
        for a in dataset["annotations"]
        if when[a["image_id"]][1] > 500_000 and counts_as_large(*a["bbox"][2:])
    ]
    instants = {a["image_id"] for a in left}
    kept = {}
    for image_id in sorted(instants):
        d = detections[image_id]
        sides = (d.boxes[:, 2:] - d.boxes[:, :2]).double()
        large = torch.tensor([counts_as_large(w, h) for w, h in sides.tolist()], dtype=torch.bool)
        kept[image_id] = type(d)(d.boxes[large], d.scores[large], d.labels[large])
    images = [image for image in dataset["images"] if image["id"] in instants]
    reference = pycocotools_twelve({**dataset, "images": images, "annotations": left}, kept)
    ours = np.nan_to_num(list(metrics.prophesee.twelve().values()), nan=-1)
    np.testing.assert_allclose(ours, reference.stats, atol=1e-6)
    assert 0.2 < ap(metrics.prophesee) < 1
    assert 0 < len(instants) < 24
    assert sum(len(d) for d in kept.values()) == metrics.prophesee.detections

    every = [{**a, "area": a["bbox"][2] * a["bbox"][3]} for a in dataset["annotations"]]
    labelled = {a["image_id"] for a in every}
    images = [image for image in dataset["images"] if image["id"] in labelled]
    plain = {image_id: detections[image_id] for image_id in sorted(labelled)}
    reference = pycocotools_twelve({**dataset, "images": images, "annotations": every}, plain)
    ours = np.nan_to_num(list(metrics.plain_coco.twelve().values()), nan=-1)
    np.testing.assert_allclose(ours, reference.stats, atol=1e-6)


def test_order_of_labels_and_of_outputs_does_not_matter():
    t = 1_000_000
    labels = boxes((2 * t, FAR, CAR), (t, WIDE, CAR))
    outputs = {2 * t: found((FAR, CAR)), t: found((WIDE, CAR))}
    assert ap(evaluated(labels, outputs).prophesee) == pytest.approx(1.0)


def test_merged_evaluators_count_a_moment_once():
    t = 1_000_000
    parts = [PropheseeEvaluator(GEN1) for _ in range(2)]
    for part in parts:
        part.add_labels("drive", boxes((t, WIDE, CAR), (2 * t, FAR, CAR)), SIZE)
        part.update("drive", t, found((WIDE, CAR)))
    parts[1].update("drive", 2 * t, found((FAR, CAR)))
    parts[0].merge([parts[1].state()])
    parts[0].gather()  # alone: nothing to do
    metrics = parts[0].compute()
    assert counts(metrics.prophesee) == (2, 2, 2)
    assert ap(metrics.prophesee) == pytest.approx(1.0)


def test_json_names_both_numbers_and_the_constants():
    t = 1_000_000
    metrics = evaluated(boxes((t, WIDE, CAR), (t, (0, 0, 9, 9), CAR)), {t: found((WIDE, CAR))})
    values = json.loads(json.dumps(metrics.to_json()))
    assert values["prophesee"]["AP"] == pytest.approx(1.0)
    assert values["plain_coco"]["AP"] < 0.6
    assert values["prophesee"]["protocol"]["min_diagonal"] == 30
    assert "AP" not in values


def test_bad_input_is_refused():
    t = 1_000_000
    evaluator = PropheseeEvaluator(GEN1)
    with pytest.raises(ShapeError, match="BOX_DTYPE"):
        evaluator.add_labels("drive", np.zeros((2, 5)), SIZE)
    broken = boxes((t, (10, 20, math.nan, 30), CAR))
    with pytest.raises(DataError, match="finite"):
        evaluator.add_labels("drive", broken, SIZE)
    evaluator.add_labels("drive", boxes((t, WIDE, CAR)), SIZE)
    with pytest.raises(DataError, match="given before"):
        evaluator.add_labels("drive", boxes(), SIZE)
    evaluator.update("drive", t, found((WIDE, CAR)))
    with pytest.raises(DataError, match="given before"):
        evaluator.update("drive", t, found())
    with pytest.raises(DataError, match="finite"):
        evaluator.update("drive", 2 * t, found(((0, 0, math.inf, 5), CAR)))
    evaluator.update("night", t, found())
    with pytest.raises(DataError, match=r"'night'.*add_labels"):
        evaluator.compute()
    for wrong in ({"class_ids": (0, 0)}, {"class_ids": (0,)}, {"skip_us": -1}, {"min_side": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            replace(GEN1, **wrong)


def test_every_protocol_that_a_data_yaml_may_name_has_its_rule():
    assert tuple(RULES) == get_args(ProtocolName)
    gen1 = protocol_of("gen1", ("a", "b", "c"))
    assert gen1 == replace(GEN1, class_names=("a", "b", "c"), class_ids=(0, 1, 2))
    unfiltered = protocol_of("none", ("a",))
    assert (unfiltered.skip_us, unfiltered.min_diagonal, unfiltered.min_side) == (0, 0, 0)
    with pytest.raises(ConfigError, match="no such rule 'gen2'; did you mean 'gen1'"):
        protocol_of("gen2", ("a",))
