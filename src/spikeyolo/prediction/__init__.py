"""Running a detector over pictures, folders, videos and cameras, and writing what it finds."""

from .predictor import PredictionSettings, Summary, predict_sources
from .sources import Clip, Frame, find_clips
from .writers import Found

__all__ = ["Clip", "Found", "Frame", "PredictionSettings", "Summary", "find_clips", "predict_sources"]
