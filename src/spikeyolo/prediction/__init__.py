"""Running a detector over pictures, folders, videos, cameras and recordings of events, and writing what it finds."""

from .predictor import PredictionSettings, Summary, predict_sources
from .recordings import EventStream, Step, StreamSummary, find_recordings, predict_recordings, window_picture
from .sources import Clip, Frame, find_clips
from .writers import Found

__all__ = [
    "Clip",
    "EventStream",
    "Found",
    "Frame",
    "PredictionSettings",
    "Step",
    "StreamSummary",
    "Summary",
    "find_clips",
    "find_recordings",
    "predict_recordings",
    "predict_sources",
    "window_picture",
]
