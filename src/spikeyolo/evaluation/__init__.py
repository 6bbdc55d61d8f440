"""Measuring detections: COCO's average precision, the Prophesee protocol, confusion matrix, curves, speed."""

from .coco import CocoEvaluator, State
from .confusion import ConfusionMatrix
from .curves import Curves
from .ground_truth import GroundTruth, ImageId
from .metrics import TWELVE, ClassMetrics, Metrics, class_table
from .plots import plot_confusion, plot_f1, plot_precision_recall
from .prophesee import GEN1, ONE_MPX, ONE_MPX_HALVED, EventMetrics, PropheseeEvaluator, Protocol, protocol_tables
from .timer import StageTimer

__all__ = [
    "GEN1",
    "ONE_MPX",
    "ONE_MPX_HALVED",
    "TWELVE",
    "ClassMetrics",
    "CocoEvaluator",
    "ConfusionMatrix",
    "Curves",
    "EventMetrics",
    "GroundTruth",
    "ImageId",
    "Metrics",
    "PropheseeEvaluator",
    "Protocol",
    "StageTimer",
    "State",
    "class_table",
    "plot_confusion",
    "plot_f1",
    "plot_precision_recall",
    "protocol_tables",
]
