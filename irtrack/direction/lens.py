"""The lens: from pixels to rays in the camera's axes and back, with what each number of it changes.

Pinhole with radial and tangential distortion as OpenCV's (Brown 1971). Axes of the camera: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from irtrack.core import Floats, IrtrackError

PARAMETERS = ("focal_px", "centre_x_px", "centre_y_px", "k1", "k2", "p1", "p2", "k3")
"""What makes a lens; the distortion in OpenCV's order."""

STEPS, CLOSE = 30, 1e-12
"""Of Newton's method for the way back through the distortion, and how close it must come, of the focal length."""


@dataclass(frozen=True)
class Lens:
    """Of pictures of `width` by `height` pixels. `centre_px`: where the optical axis meets the picture, (0, 0) being
    the centre of the top-left pixel. `distortion`: k1, k2, p1, p2, k3."""

    width: int
    height: int
    focal_px: float
    centre_px: tuple[float, float]
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        values = (self.focal_px, *self.centre_px, *self.distortion)
        if not (self.width >= 2 and self.height >= 2 and self.focal_px > 0 and np.isfinite(values).all()):
            raise IrtrackError("a lens has a picture of 2x2 pixels or more, a focal length above 0 and finite numbers")

    @staticmethod
    def of_view(width: int, height: int, hfov_deg: float) -> Lens:
        """Without distortion, by the angle from the left edge of the picture to the right one. Raises IrtrackError."""
        if not 0 < hfov_deg < 180:
            raise IrtrackError(f"a horizontal field of view of {hfov_deg:g} degrees: it lies between 0 and 180")
        return Lens.plain(width, height, width / 2 / np.tan(np.radians(hfov_deg) / 2))

    @staticmethod
    def plain(width: int, height: int, focal_px: float) -> Lens:
        """Without distortion, centred."""
        return Lens(width, height, float(focal_px), ((width - 1) / 2, (height - 1) / 2))

    @staticmethod
    def from_vector(width: int, height: int, values: Floats) -> Lens:
        """By its `PARAMETERS`."""
        focal, x, y, k1, k2, p1, p2, k3 = values.tolist()
        return Lens(width, height, focal, (x, y), (k1, k2, p1, p2, k3))

    @property
    def vector(self) -> Floats:
        """Its `PARAMETERS`."""
        return np.array([self.focal_px, *self.centre_px, *self.distortion])

    @property
    def hfov_deg(self) -> float:
        """Horizontal field of view, between the rays of the picture's left and right edge through its centre's row."""
        y = self.centre_px[1]
        left, right = self.rays(np.array([[-0.5, y], [self.width - 0.5, y]]))
        return float(np.degrees(np.arccos(np.clip(left @ right, -1.0, 1.0))))

    def project(self, rays: ArrayLike) -> Floats:
        """Pixels (N, 2) of rays (N, 3) of any length; NaN for those behind the camera or beyond what the lens shows."""
        v = np.asarray(rays, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            flat = np.where(v[:, 2:] > 0, v[:, :2] / v[:, 2:], np.nan)
        far = (flat**2).sum(1, keepdims=True) > self._reach2
        return np.where(far, np.nan, self.focal_px * self._distorted(flat) + self.centre_px)

    def flat(self, xy_px: ArrayLike) -> Floats:
        """x / z and y / z (N, 2) of the rays of pixels (N, 2); NaN where the distortion shows nothing there."""
        wanted = (np.asarray(xy_px, float) - self.centre_px) / self.focal_px
        at = wanted.copy()
        if not any(self.distortion):
            return at
        bound = (1 - 1e-7) * np.sqrt(min(self._reach2, 1e6))  # at the bound itself the slope is none
        for _ in range(STEPS):
            step = np.linalg.solve(self._slope(at), (wanted - self._distorted(at))[..., None])[..., 0]
            at = at + step
            length = np.linalg.norm(at, axis=1, keepdims=True)
            at = np.where(length > bound, at * (bound / np.maximum(length, 1e-300)), at)
            if not np.abs(step).max(initial=0.0) > CLOSE:
                break
        off = np.abs(self._distorted(at) - wanted).max(1, keepdims=True)
        return np.where(off < CLOSE, at, np.nan)

    def rays(self, xy_px: ArrayLike) -> Floats:
        """Unit rays (N, 3) of pixels (N, 2)."""
        return unit(self.flat(xy_px))

    def slopes(self, flat: Floats) -> tuple[Floats, Floats]:
        """What unit rays, given as `flat` (N, 2), change by with pixels, (N, 3, 2), and with the lens' `PARAMETERS`,
        (N, 3, 8)."""
        length = np.sqrt((flat**2).sum(1) + 1)
        d = unit(flat)
        of_flat = ((np.eye(3) - d[:, :, None] * d[:, None, :]) / length[:, None, None])[:, :, :2]
        slope = self.focal_px * self._slope(np.where(np.isnan(flat), 0.0, flat))
        to_pixel = np.linalg.inv(slope)
        of_lens = -to_pixel @ self.pixel_slopes(flat)
        return of_flat @ to_pixel, of_flat @ of_lens

    def pixel_slopes(self, flat: Floats) -> Floats:
        """What pixels of x / z and y / z (N, 2) change by with the lens' `PARAMETERS`, (N, 2, 8)."""
        x, y = flat.T
        r2 = x * x + y * y
        out = np.zeros((len(flat), 2, 8))
        out[:, :, 0] = self._distorted(flat)
        out[:, 0, 1] = out[:, 1, 2] = 1.0
        for column, power in ((3, 1), (4, 2), (7, 3)):
            out[:, :, column] = self.focal_px * flat * (r2**power)[:, None]
        out[:, :, 5] = self.focal_px * np.column_stack([2 * x * y, r2 + 2 * y * y])
        out[:, :, 6] = self.focal_px * np.column_stack([r2 + 2 * x * x, 2 * x * y])
        return out

    def _distorted(self, flat: Floats) -> Floats:
        k1, k2, p1, p2, k3 = self.distortion
        x, y = flat.T
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.column_stack([
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        ])  # fmt: skip

    def _slope(self, flat: Floats) -> Floats:
        """Of `_distorted`, (N, 2, 2)."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = flat.T
        r2 = x * x + y * y
        radial, bend = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 2 * (k1 + r2 * (2 * k2 + 3 * r2 * k3))
        mixed = x * y * bend + 2 * p1 * x + 2 * p2 * y
        out = np.empty((len(flat), 2, 2))
        out[:, 0, 0] = radial + x * x * bend + 2 * p1 * y + 6 * p2 * x
        out[:, 1, 1] = radial + y * y * bend + 6 * p1 * y + 2 * p2 * x
        out[:, 0, 1] = out[:, 1, 0] = mixed
        return out

    @cached_property
    def _reach2(self) -> float:
        """Square of the x / z up to which the radial distortion still grows: beyond, it folds back into the picture."""
        k1, k2, _, _, k3 = self.distortion
        if min(k1, k2, k3) >= 0:
            return float("inf")
        roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0])
        real = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)].real
        return float(real.min()) if len(real) else float("inf")


def unit(flat: Floats) -> Floats:
    """Unit rays (N, 3) of x / z and y / z (N, 2)."""
    v = np.column_stack([flat, np.ones(len(flat))])
    out: Floats = v / np.linalg.norm(v, axis=1, keepdims=True)
    return out
