"""Generated scenes for an event camera: textured objects that move over a textured background that sways.

Three kinds of classes: `square`, `star`, `triangle` and `bar` differ in shape; the two wheels, and the two disks,
differ only in the order of time. For these a recording played backwards with light and dark exchanged is one of the
other class, and both have the same events, at the same pixels with the same polarity, in the opposite order (but for
what a pixel remembers). Light and dark objects are equally frequent and nothing has a preferred direction, so without
the order nothing tells the two apart. A wheel drifts slowly, so only its class depends on the order; a fast disk is
found at one end of its trail of events or at the other, so its box does too.

Images are built as logarithms of the intensity, 0 being the mean, so that exchanging light and dark is a change of
sign. Lengths are in pixels, a pixel covers column x to x + 1, speeds are a second, and angles turn clockwise as seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from ..data.events.labels import BOX_DTYPE
from .scene import regular_polygon

EVENT_CLASSES = (
    "square",
    "star",
    "wheel clockwise",
    "wheel counterclockwise",
    "disk leftward",
    "disk rightward",
    "triangle",
    "bar",
)
CLUTTER = "clutter"
MIN_VISIBLE = 0.35
"""Objects of which less is seen, behind others and beyond the border, have no label."""

_FINE = 8  # templates are drawn so many times larger, and then averaged
_NOTHING = np.zeros((0, 0), dtype=np.float32)
_SPOKES = 3  # pairs of a light and a dark sector
_STAR = np.stack([regular_polygon(1.0, 10)[::2], regular_polygon(0.45, 10)[1::2]], axis=1).reshape(10, 2)
_OUTLINES = {
    "square": regular_polygon(1.0, 4),
    "star": _STAR,
    "wheel": regular_polygon(0.95),
    "disk": regular_polygon(0.9),
    "triangle": regular_polygon(1.0, 3),
    "bar": np.array([[-0.96, -0.28], [0.96, -0.28], [0.96, 0.28], [-0.96, 0.28]]),
}


@dataclass(frozen=True)
class EventDifficulty:
    """How hard the recordings are; lengths are shares of the shorter side, contrasts are of log intensity.

    Attributes:
        objects: objects of a recording: 1 to this many, each number as often as the others.
        radius: smallest and largest radius of an object's circumscribed circle.
        contrast: smallest and largest distance of an object's level from the background's mean.
        texture: standard deviation of the texture on squares, stars and disks.
        ground_texture: standard deviation of the background's texture.
        ground_speed: how fast the background sways, a second.
        speed: slowest and fastest way of an object in a second; wheels go at a third of it.
        spin: slowest and fastest turn of a wheel, radians a second. A wheel looks the same after 2/3 pi; its sense is
            seen best when it turns a quarter of that, 0.52, from one frame of events to the next.
        clutter: things of no class that move behind the objects, at most; each number as often as the others.
        ego_speed: how fast the camera itself turns at most, and with it all that is seen, a second.
    """

    objects: int = 3
    radius: tuple[float, float] = (0.11, 0.18)
    contrast: tuple[float, float] = (0.5, 1.0)
    texture: float = 0.2
    ground_texture: float = 0.12
    ground_speed: float = 0.12
    speed: tuple[float, float] = (0.3, 0.8)
    spin: tuple[float, float] = (7.0, 11.0)
    clutter: int = 0
    ego_speed: float = 0.0


@dataclass(frozen=True)
class Actor:
    """One object. It goes straight on; having left the sensor on one side it comes back on the opposite one.

    Attributes:
        label: index of its class.
        outline: (P, 2) xy of its corners around its centre.
        start_xy: its centre at time 0.
        velocity_xy: pixels a second.
        angle: at time 0.
        spin: radians a second.
        pattern: (S, S) float32 log intensities of an upright square around the centre.
        alpha: (S, S) float32, the share of each pixel of it that the object covers.
    """

    label: int
    outline: np.ndarray
    start_xy: tuple[float, float]
    velocity_xy: tuple[float, float]
    angle: float
    spin: float
    pattern: np.ndarray
    alpha: np.ndarray

    def place(self, t: float, size_hw: tuple[int, int]) -> tuple[float, float, float, tuple[int, int]]:
        """Centre x and y, angle, and how often it has come back along x and along y."""
        margin = len(self.alpha) / 2
        centre, laps = [], []
        for start, speed, side in zip(self.start_xy, self.velocity_xy, size_hw[::-1], strict=True):
            lap, along = divmod(start + speed * t + margin, side + 2 * margin)
            centre.append(along - margin)
            laps.append(int(lap))
        return centre[0], centre[1], self.angle + self.spin * t, (laps[0], laps[1])

    def corners(self, x: float, y: float, angle: float) -> np.ndarray:
        """(P, 2) xy of the outline with its centre at x, y."""
        c, s = math.cos(angle), math.sin(angle)
        return self.outline @ np.array([[c, s], [-s, c]]) + (x, y)


@dataclass(frozen=True)
class EventScene:
    """What the camera looks at.

    Attributes:
        size_hw: rows and columns.
        ground: float32 log intensities, larger than the sensor by twice the radius of the sway and a pixel around.
        sway_radius: the background goes around in a circle.
        sway_angle: at time 0.
        sway_spin: radians a second.
        actors: later ones are nearer.
        clutter: things of no class, behind them.
        ego_radius: the camera swings by so much to each side, rows and columns in rhythms of their own.
        ego_phase: of columns and rows at time 0.
        ego_spin: radians a second.
    """

    size_hw: tuple[int, int]
    ground: np.ndarray
    sway_radius: float
    sway_angle: float
    sway_spin: float
    actors: tuple[Actor, ...]
    clutter: tuple[Actor, ...] = ()
    ego_radius: float = 0.0
    ego_phase: tuple[float, float] = (0.0, 0.0)
    ego_spin: tuple[float, float] = (0.0, 0.0)

    def ego(self, t: float) -> tuple[float, float]:
        """Return how far the camera has turned from its middle, in columns and rows."""
        swings = [self.ego_radius * math.sin(p + w * t) for p, w in zip(self.ego_phase, self.ego_spin, strict=True)]
        return swings[0], swings[1]

    def place(self, actor: Actor, t: float) -> tuple[float, float, float, tuple[int, int]]:
        """Return where the camera sees an actor; see `Actor.place`."""
        x, y, angle, laps = actor.place(t, self.size_hw)
        right, down = self.ego(t)
        return x - right, y - down, angle, laps

    def image(self, t_us: float) -> np.ndarray:
        """(H, W) float32 linear intensities, 1 being the mean of the background."""
        import cv2

        t, (rows, columns) = t_us * 1e-6, self.size_hw
        turn = self.sway_angle + self.sway_spin * t
        middle = [(side - 1) / 2 + turned for side, turned in zip(self.ground.shape[::-1], self.ego(t), strict=True)]
        centre = (middle[0] + self.sway_radius * math.cos(turn), middle[1] + self.sway_radius * math.sin(turn))
        image: np.ndarray = cv2.getRectSubPix(self.ground, (columns, rows), centre)
        for actor in (*self.clutter, *self.actors):
            window, alpha, pattern = self._view(actor, t)
            image[window] += alpha * (pattern - image[window])
        return np.exp(image)

    def _view(self, actor: Actor, t: float) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """The part of the sensor around an actor, which may be empty, and there its cover (h, w) and pattern (h, w)."""
        import cv2

        x, y, angle, _ = self.place(actor, t)
        half = len(actor.alpha) / 2
        left, top = max(math.floor(x - half), 0), max(math.floor(y - half), 0)
        right, bottom = min(math.ceil(x + half), self.size_hw[1]), min(math.ceil(y + half), self.size_hw[0])
        if right <= left or bottom <= top:
            return (slice(0), slice(0)), _NOTHING, _NOTHING
        # From pixels of the window back to pixels of the pattern; the centre of pixel 0 lies at 0.5.
        c, s = math.cos(angle), math.sin(angle)
        turn = np.array([[c, s], [-s, c]])
        shift = (half - 0.5, half - 0.5) + turn @ (left + 0.5 - x, top + 0.5 - y)
        back = np.column_stack([turn, shift])
        flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (right - left, bottom - top)
        alpha = cv2.warpAffine(actor.alpha, back, size, flags=flags)
        pattern = cv2.warpAffine(actor.pattern, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return (slice(top, bottom), slice(left, right)), alpha, pattern

    def boxes(self, times_us: Iterable[int]) -> np.ndarray:
        """Return labels at some times: BOX_DTYPE (N,), of the objects of which enough is seen.

        A box is the extent of the whole object, hidden parts included, clipped to the sensor. An object that leaves
        and comes back is another track.
        """
        rows, tracks = [], []
        for t_us in times_us:
            for index, share in enumerate(self._visible_shares(t_us * 1e-6)):
                if share < MIN_VISIBLE:
                    continue
                actor = self.actors[index]
                x, y, angle, laps = self.place(actor, t_us * 1e-6)
                rows.append((t_us, *clipped_xywh(actor.corners(x, y, angle), self.size_hw), actor.label, 0, 1.0))
                tracks.append((index, *laps))
        boxes = np.array(rows, dtype=BOX_DTYPE)
        if tracks:
            boxes["track_id"] = np.unique(np.array(tracks), axis=0, return_inverse=True)[1].ravel()
        return boxes

    def _visible_shares(self, t: float) -> list[float]:
        covers = np.zeros((len(self.actors), *self.size_hw), dtype=np.float32)
        for index, actor in enumerate(self.actors):
            window, alpha, _ = self._view(actor, t)
            covers[index][window] = alpha
            covers[:index] *= 1 - covers[index]
        return [float(c.sum() / a.alpha.sum()) for c, a in zip(covers, self.actors, strict=True)]


def clipped_xywh(points: np.ndarray, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, width and height of the extent of (P, 2) points, clipped to the sensor.

    The corners are clipped, and width and height are what is left between them: clipping x and y alone would move the
    far side of the box.
    """
    limits = (size_hw[1], size_hw[0])
    low, high = points.min(axis=0).clip(0, limits), points.max(axis=0).clip(0, limits)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def texture(rng: Generator, size_hw: tuple[int, int], deviation: float) -> np.ndarray:
    """(H, W) float32 blotches of mean 0, about 3 and 8 pixels wide, of that standard deviation each pixel."""
    import cv2

    rows, columns = size_hw
    sheet = np.zeros(size_hw, dtype=np.float32)
    for width in (3, 8):
        coarse = rng.standard_normal((rows // width + 3, columns // width + 3), dtype=np.float32)
        sheet += cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return sheet * np.float32(deviation / max(float(sheet.std()), 1e-6))


def _averaged(fine: np.ndarray) -> np.ndarray:
    side = len(fine) // _FINE
    return fine.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3), dtype=np.float32)


def _jagged(rng: Generator) -> np.ndarray:
    """(9, 2) xy of an outline that is like no other, on a circle of 1 at most."""
    angles = np.sort(rng.uniform(0, 2 * math.pi, 9))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.3, 1.0, (9, 1))


def random_actor(rng: Generator, label: int, name: str, size_hw: tuple[int, int], difficulty: EventDifficulty) -> Actor:
    """An object of the class `name` of EVENT_CLASSES, or CLUTTER, its centre somewhere on the sensor at time 0."""
    import cv2

    kind, _, sense = name.partition(" ")
    shorter = min(size_hw)
    radius = rng.uniform(*difficulty.radius) * shorter
    outline = (_jagged(rng) if name == CLUTTER else _OUTLINES[kind]) * radius
    side = 2 * math.ceil(radius) + 4
    fine = np.zeros((side * _FINE, side * _FINE), dtype=np.uint8)
    cv2.fillPoly(fine, [np.round((outline + side / 2) * _FINE - 0.5).astype(np.int32)], 1)
    level = rng.uniform(*difficulty.contrast) * rng.choice((-1.0, 1.0))
    if kind == "wheel":
        across = np.arange(side * _FINE) + 0.5 - side * _FINE / 2
        sectors = np.cos(_SPOKES * np.arctan2(across[:, None], across))
        pattern = np.float32(level) * _averaged(np.sign(sectors))
    else:
        pattern = np.float32(level) + texture(rng, (side, side), difficulty.texture)
    speed = rng.uniform(*difficulty.speed) * shorter * (1 / 3 if kind == "wheel" else 1)
    heading, spin = rng.uniform(0, 2 * math.pi), rng.uniform(-1.5, 1.5)
    if kind == "wheel":
        spin = rng.uniform(*difficulty.spin) * (1 if sense == "clockwise" else -1)
    elif kind == "disk":
        heading = rng.uniform(-0.25, 0.25) + (math.pi if sense == "leftward" else 0)
        spin = 0.0
    return Actor(
        label=label,
        outline=outline,
        start_xy=(rng.uniform(0, size_hw[1]), rng.uniform(0, size_hw[0])),
        velocity_xy=(speed * math.cos(heading), speed * math.sin(heading)),
        angle=rng.uniform(0, 2 * math.pi),
        spin=spin,
        pattern=pattern,
        alpha=_averaged(fine),
    )


def random_event_scene(
    rng: Generator, size_hw: tuple[int, int], difficulty: EventDifficulty, names: Sequence[str]
) -> EventScene:
    """Return a scene with objects of the classes `names`, some of EVENT_CLASSES; a label is an index into `names`.

    The same generator state gives the same scene.
    """
    shorter = min(size_hw)
    sway, swing = 0.08 * shorter, 0.12 * shorter if difficulty.ego_speed else 0.0
    border = math.ceil(sway + swing) + 2
    ground = texture(rng, (size_hw[0] + 2 * border, size_hw[1] + 2 * border), difficulty.ground_texture)
    labels = rng.integers(len(names), size=int(rng.integers(1, difficulty.objects + 1))).tolist()
    scene = EventScene(
        size_hw=size_hw,
        ground=ground,
        sway_radius=sway,
        sway_angle=rng.uniform(0, 2 * math.pi),
        sway_spin=difficulty.ground_speed * shorter / sway * float(rng.choice((-1.0, 1.0))),
        actors=tuple(random_actor(rng, label, names[label], size_hw, difficulty) for label in labels),
    )
    if difficulty.clutter:
        count = int(rng.integers(difficulty.clutter + 1))
        things = tuple(random_actor(rng, -1, CLUTTER, size_hw, difficulty) for _ in range(count))
        scene = replace(scene, clutter=things)
    if difficulty.ego_speed:
        phase = rng.uniform(0, 2 * math.pi, 2).tolist()
        spin = (rng.uniform(0.5, 1.0, 2) * difficulty.ego_speed * shorter / swing).tolist()
        scene = replace(scene, ego_radius=swing, ego_phase=tuple(phase), ego_spin=tuple(spin))
    return scene
