"""Measuring detections: COCO's average precision, confusion matrix, curves, speed."""

from .coco import CocoEvaluator, State
from .confusion import ConfusionMatrix
from .curves import Curves
from .ground_truth import GroundTruth, ImageId
from .metrics import TWELVE, ClassMetrics, Metrics, class_table
from .plots import plot_confusion, plot_f1, plot_precision_recall
from .timer import StageTimer

__all__ = [
    "TWELVE",
    "ClassMetrics",
    "CocoEvaluator",
    "ConfusionMatrix",
    "Curves",
    "GroundTruth",
    "ImageId",
    "Metrics",
    "StageTimer",
    "State",
    "class_table",
    "plot_confusion",
    "plot_f1",
    "plot_precision_recall",
]
