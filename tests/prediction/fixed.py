"""A detector that always finds the same, and how sources go through it."""

import cv2
import numpy as np
import torch

from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.prediction.predictor import predict_sources
from spikeyolo.structures import Detections


class FixedDetector:
    """Finds the same box of class "a/b" in the middle of every image; what it was given is remembered."""

    names = ("a/b", "other")
    input = ImageInput((64, 64))

    def __init__(self):
        self.sizes, self.canvases, self.brightness = [], [], []

    def check_input(self, seen):
        seen.check_fits(3, 1)

    def predict(self, images, conf, iou, max_det, imgsz):
        self.sizes.append(len(images))
        self.canvases.append(imgsz)
        self.brightness += [round(float(image.mean())) for image in images]
        found = []
        for image in images:
            rows, columns = image.shape[:2]
            boxes = torch.tensor([[columns / 4, rows / 4, columns * 3 / 4, rows * 3 / 4]])
            found.append(Detections(boxes, torch.tensor([0.9]), torch.tensor([0])))
        return found


def write_image(path, rows=40, columns=60, value=200):
    cv2.imwrite(str(path), np.full((rows, columns, 3), value, np.uint8))
    return path


def run(sources, settings, model=None):
    model = model or FixedDetector()
    for summary in predict_sources(model, sources, settings):
        last = summary
    return last, model
