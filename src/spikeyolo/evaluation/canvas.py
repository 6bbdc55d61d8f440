"""What matplotlib draws plots on: text is taken as it is, and of any script, as on images."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg

from ..imaging.lettering import Lettering, letter


class _Renderer(RendererAgg):
    """Draws what is beyond ASCII as images do, with the fonts of the system, and takes no `$` for a formula."""

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        if s.isascii():
            return super().get_text_width_height_descent(s, prop, False)
        drawn = self._lettering(s, prop, (0, 0, 0))
        return drawn.image.width, drawn.image.height, drawn.image.height - drawn.baseline

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        if s.isascii():
            super().draw_text(gc, x, y, s, prop, angle, False, mtext)
            return
        red, green, blue = (round(255 * part) for part in gc.get_rgb()[:3])
        drawn = self._lettering(s, prop, (red, green, blue))
        quarters = round(angle / 90) % 4  # names stand upright or on their side
        pixels = np.rot90(np.asarray(drawn.image), quarters)
        width, above, below = drawn.image.width, drawn.baseline, drawn.image.height - drawn.baseline
        # How far the lower left corner is from where the baseline begins, which x and y say; y counts downwards.
        left, bottom = ((0, below), (above, 0), (width, above), (below, width))[quarters]
        self.draw_image(gc, round(x) - left, round(self.height - y) - bottom, np.ascontiguousarray(pixels[::-1]))

    def _lettering(self, s: str, prop: Any, ink: tuple[int, int, int]) -> Lettering:
        return letter([s], max(round(self.points_to_pixels(prop.get_size_in_points())), 1), ink)


class PlainCanvas(FigureCanvasAgg):
    """A canvas whose text is drawn by `_Renderer`."""

    def get_renderer(self) -> _Renderer:
        """Return what draws on the figure in its present size."""
        size = (*self.get_width_height(physical=True), self.figure.dpi)
        if getattr(self, "_size", None) != size:
            self._size, self.renderer = size, _Renderer(*size)
        return self.renderer
