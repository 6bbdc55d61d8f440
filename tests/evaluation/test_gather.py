import json

import torch
import torch.distributed as dist
from tests.helpers.coco_cases import fair_detections, generated_coco

from spikeyolo.evaluation.coco import CocoEvaluator
from spikeyolo.evaluation.ground_truth import GroundTruth


def one_process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    dataset = generated_coco(5, image_count=11)
    found = list(fair_detections(dataset, seed=3).items())
    evaluator = CocoEvaluator(GroundTruth.from_coco(dataset))
    # As DistributedSampler deals: every other image, and the first once more to fill up.
    for image_id, detections in [*found, found[0]][rank::2]:
        evaluator.update([image_id], [detections])
    evaluator.gather()
    with open(f"{folder}/{rank}.json", "w") as file:
        json.dump(evaluator.compute().to_json(), file)
    dist.destroy_process_group()


def test_two_processes_give_the_numbers_of_one_each_image_once(tmp_path):
    torch.multiprocessing.spawn(one_process, (str(tmp_path),), nprocs=2)
    dataset = generated_coco(5, image_count=11)
    evaluator = CocoEvaluator(GroundTruth.from_coco(dataset))
    found = fair_detections(dataset, seed=3)
    evaluator.update(list(found), list(found.values()))
    evaluator.gather()  # alone: nothing to do
    expected = evaluator.compute().to_json()
    assert expected["images"] == 11
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected
