"""A scene: its pictures, its truth, and how its camera moved."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image
from irtrack.simulate.camera import Camera, reach_px
from irtrack.simulate.city import Lamps, buildings, specks
from irtrack.simulate.drawing import add_target, coloured_noise, margin, streaked
from irtrack.simulate.overlay import Overlay
from irtrack.simulate.paths import make_paths
from irtrack.simulate.settings import SceneSettings

MASK_LEVEL = 0.35
"""Share of its peak from which a pixel belongs to a target's label."""

LARGEST_SIDE = 4096
"""Of the periodic backdrop: where a camera swings further, it sees the same again."""

WHITE_14 = 16383
"""A 14-bit camera in 16-bit words, as most thermal cores send it."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Targets inside one frame: `id` (N,), `xy_px` (N, 2) exact centres on the sensor, `contrast` (N,) signed peak.

    The contrast is a fraction of full scale, before blur by the camera's motion.
    """

    id: NDArray[np.int64]
    xy_px: Floats
    contrast: Floats


class Scene:
    """A scene with its truth. `image(i)` and `truth(i)` agree for every i, in any order."""

    def __init__(self, settings: SceneSettings) -> None:
        self.settings = s = settings
        rng = np.random.default_rng([s.seed, 1])
        # Periodic textures from filtered noise: drift is a shift, without edges.
        self._side = min(1 << int(np.ceil(np.log2(max(s.width, s.height, 64) + 2 * reach_px(s)))), LARGEST_SIDE)
        self._backdrop = (
            0.4 + s.structure * coloured_noise(self._side, 2.0, rng) + s.texture * coloured_noise(self._side, 0.7, rng)
        ).astype(np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        drift = s.drift_px_s * np.array([np.cos(angle), np.sin(angle)])
        self._offset = s.fixed_pattern * rng.standard_normal((s.height, s.width))
        self._offset = (self._offset + s.column_pattern * rng.standard_normal(s.width)).astype(np.float32)
        self._gain = (1 + s.fixed_pattern * rng.standard_normal((s.height, s.width))).astype(np.float32)
        bad = rng.random((s.height, s.width)) < s.bad_pixels
        self._bad = np.flatnonzero(bad)
        self._bad_level = np.where(rng.random(len(self._bad)) < 0.5, 0.98, 0.02).astype(np.float32)
        self._paths = make_paths(s, drift)
        self._camera = Camera(s, drift, self._paths.xy_px)
        if s.city:
            self._backdrop += buildings(s, self._side)
        self._lamps = Lamps(s, self._side)
        self._overlay = Overlay(s) if s.overlay else None

    def motion(self, start: int, end: int) -> Floats:
        """How the camera moved: (2, 3), takes a point of the scene from its place in frame `start` to that in `end`.

        A similarity, in px on the sensor; the drift of the background is in it.
        """
        return self._camera.motion(start, end)

    def blur(self, index: int) -> Floats:
        """Streak (2,), in px, along which the camera's motion blurs frame `index`; zeros in a slow one."""
        return self._camera.streak(index)

    def lamps(self, index: int) -> Floats:
        """Centres (N, 2) on the sensor of frame `index`, also outside it, of the lamps."""
        axes, corner = np.hsplit(self._camera.to_scene(index), [2])
        middle = np.array([self.settings.width - 1, self.settings.height - 1]) / 2
        near = self._lamps.nearest(axes @ middle + corner[:, 0])
        return np.asarray(np.linalg.solve(axes, (near - corner[:, 0]).T).T, float)

    def _targets(self, index: int) -> tuple[Floats, Floats]:
        """Places (N, 2) on the sensor and contrasts (N,) of all targets, in the frame or not."""
        xy = self._camera.seen(index, self._paths.xy_px[:, index])
        return xy, self._paths.contrasts(index / self.settings.fps, self.settings.waver)

    def truth(self, index: int) -> Truth:
        """Targets whose centre lies inside frame `index`."""
        s = self.settings
        xy, contrast = self._targets(index)
        inside = ((xy > -0.5) & (xy < (s.width - 0.5, s.height - 0.5))).all(1)
        return Truth(np.flatnonzero(inside).astype(np.int64), xy[inside], contrast[inside])

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Pixels of frame `index` (H, W) where a target shows more than `MASK_LEVEL` of its peak: its label."""
        s = self.settings
        mask = np.zeros((s.height, s.width), bool)
        streak = self._camera.streak(index)
        m = margin(streak)
        for x, y in self._targets(index)[0] + m:
            alone = np.zeros((s.height + 2 * m, s.width + 2 * m), np.float32)
            add_target(alone, float(x), float(y), 1.0, s.psf_sigma_px)
            # A streak is fainter than its target; what counts is its own peak.
            shown = streaked(alone, streak)
            mask |= shown > MASK_LEVEL * (shown.max() if m else 1.0)
        return mask if self._overlay is None else mask & ~self._overlay.covered(index)

    def _light(self, index: int) -> NDArray[np.float32]:
        """What the optics bring to the sensor in frame `index` (H, W), in fractions of full scale."""
        s = self.settings
        streak = self._camera.streak(index)
        m = margin(streak)
        view = self._camera.to_scene(index)
        view[:, 2] = (view[:, 2] - view[:, :2] @ (m, m)) % self._side
        flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (s.width + 2 * m, s.height + 2 * m)
        grey = cv2.warpAffine(self._backdrop, view.astype(np.float32), size, flags=flags, borderMode=cv2.BORDER_WRAP)
        points = [(*self._targets(index), np.full(s.targets, s.psf_sigma_px))]
        if s.lamps:
            points.append((self.lamps(index), self._lamps.peaks(index / s.fps), self._lamps.sigma_px))
        if s.specks:
            xy, peak = specks(s, index)
            points.append((xy, peak, np.full(len(peak), s.psf_sigma_px)))
        for xy, peak, sigma in points:
            far = m + 4 * sigma[:, None] + 2
            close = ((xy > -far) & (xy - far < (s.width, s.height))).all(1)
            for (x, y), p, wide in zip(xy[close] + m, peak[close], sigma[close], strict=True):
                add_target(grey, float(x), float(y), float(p), float(wide))
        return streaked(grey, streak)

    def image(self, index: int) -> Image:
        """Frame `index` (H, W) in counts, uint8 or uint16."""
        s = self.settings
        grey = self._light(index) * self._gain + self._offset
        rng = np.random.default_rng([s.seed, 3, index])
        grey += s.netd * rng.standard_normal(grey.shape, dtype=np.float32)
        grey.ravel()[self._bad] = self._bad_level
        if s.bits == 8:
            counts: Image = np.clip(np.round(grey * 255), 0, 255).astype(np.uint8)
        else:
            counts = np.clip(np.round(grey * 4000 + 6000), 0, WHITE_14).astype(np.uint16)
        if self._overlay is not None:
            self._overlay.burn(counts, index, 255 if s.bits == 8 else WHITE_14)
        return counts


def truth_text(scene: Scene) -> str:
    """Truth as CSV: frame,id,x_px,y_px,contrast."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["frame", "id", "x_px", "y_px", "contrast"])
    for index in range(scene.settings.frames):
        truth = scene.truth(index)
        for i, (x, y), c in zip(truth.id.tolist(), truth.xy_px.tolist(), truth.contrast.tolist(), strict=True):
            writer.writerow([index, i, f"{x:.4f}", f"{y:.4f}", f"{c:.5f}"])
    return out.getvalue()
