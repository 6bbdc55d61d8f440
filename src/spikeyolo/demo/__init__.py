"""Generated data for the demo and the tests."""

from .event_camera import CameraConfig, EventCamera, film
from .scene import CLASS_NAMES, MIN_VISIBLE, Difficulty, Scene, random_scene
from .shapes import ShapesConfig, is_complete, shapes_scene, write_shapes
from .video import moving_scenes, write_video

__all__ = [
    "CLASS_NAMES",
    "MIN_VISIBLE",
    "CameraConfig",
    "Difficulty",
    "EventCamera",
    "Scene",
    "ShapesConfig",
    "film",
    "is_complete",
    "moving_scenes",
    "random_scene",
    "shapes_scene",
    "write_shapes",
    "write_video",
]
