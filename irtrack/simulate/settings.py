"""What a scene can be told, and the scenes that have a name."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from irtrack.config import Checked, option
from irtrack.core import ConfigError
from irtrack.text import meant

MOST_PLACES = 10_000_000
"""Targets times frames: the paths of all targets are made at once."""


@dataclass(frozen=True)
class SceneSettings(Checked):
    """What a scene looks like. Levels are in fractions of full scale unless a unit is given."""

    width: int = option(320, "columns", unit="px", low=16, high=4096)
    height: int = option(256, "rows", unit="px", low=16, high=4096)
    frames: int = option(150, "length", low=1, high=1_000_000)
    fps: float = option(30.0, "frames a second", low=0.1, high=10_000.0)
    bits: int = option(8, "8 or 16: sample size of the camera", low=8, high=16)
    seed: int = option(0, "seed of everything random", low=0)

    targets: int = option(4, "how many", low=0, high=10_000)
    scr: float = option(10.0, "peak contrast of the dimmest target over the local standard deviation", low=0.0)
    psf_sigma_px: float = option(0.9, "standard deviation of the optical blur", unit="px", low=0.2, high=20.0)
    speed_px_s: float = option(30.0, "typical speed", unit="px/s", low=0.0)
    turn_rad_s: float = option(0.3, "typical rate of turn", unit="rad/s", low=0.0)
    dark: float = option(0.0, "share of targets colder than their background", low=0.0, high=1.0)
    hovering: float = option(0.0, "share of targets that stand still in the scene throughout", low=0.0, high=1.0)
    arriving: float = option(
        0.0, "share that arrive, hover for a third of the time or more and leave", low=0.0, high=1.0
    )
    creeping: float = option(0.0, "share that creep at creep_px_s; the others move", low=0.0, high=1.0)
    creep_px_s: float = option(0.6, "typical speed of those that creep", unit="px/s", low=0.0)
    hover_jitter_px: float = option(
        0.3, "how far a target that hovers sways, rms an axis", unit="px", low=0.0, high=10.0
    )
    waver: float = option(0.0, "slow change of the targets' brightness, as a share of it", low=0.0, high=0.9)

    structure: float = option(0.05, "standard deviation of the background's large structure", low=0.0, high=0.5)
    texture: float = option(0.008, "standard deviation of its fine texture", low=0.0, high=0.5)
    city: float = option(0.0, "share of the picture, from below, that buildings with windows fill", low=0.0, high=1.0)
    lamps: int = option(
        0, "fixed warm points in a picture, looking like targets; in the city if there is one", low=0, high=2000
    )
    flicker: float = option(0.4, "share of lamps that flicker with the mains or blink", low=0.0, high=1.0)
    specks: float = option(0.0, "new short-lived bright specks a frame, on average", low=0.0, high=1000.0)

    drift_px_s: float = option(4.0, "drift of the background", unit="px/s", low=0.0)
    swing_px: float = option(0.0, "how far the camera pans, smoothly, from its middle", unit="px", low=0.0, high=2000.0)
    jerks_per_s: float = option(0.0, "sudden turns of the camera a second", low=0.0, high=10.0)
    jerk_px: float = option(
        120.0, "size of the largest of them; the smallest is a sixth", unit="px", low=0.0, high=1000.0
    )
    shake_px: float = option(0.0, "shake of the camera from frame to frame, rms an axis", unit="px", low=0.0, high=20.0)
    zoom: float = option(0.0, "slow zoom in and out by this share", low=0.0, high=1.0)
    roll_deg: float = option(0.0, "slow roll to both sides", unit="deg", low=0.0, high=45.0)
    held_px: float = option(
        0.0, "the camera follows the first target, which strays so far from one place in the picture, rms an axis; "
        "0: it follows none", unit="px", low=0.0, high=100.0,
    )  # fmt: skip
    exposure: float = option(0.0, "share of a frame's time in which a camera that swings blurs", low=0.0, high=1.0)

    netd: float = option(0.006, "temporal noise", low=0.0, high=0.5)
    fixed_pattern: float = option(0.002, "offset of pixels that stays", low=0.0, high=0.5)
    column_pattern: float = option(0.001, "offset of columns that stays", low=0.0, high=0.5)
    bad_pixels: float = option(0.0, "share of dead and hot pixels", low=0.0, high=0.1)
    overlay: int = option(0, "burnt in: 0 nothing, 1 text and a clock, 2 also a reticle and frame lines", low=0, high=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits not in (8, 16):
            raise ConfigError(f"bits = {self.bits}: a camera of a scene has 8 or 16")
        if self.frames * self.targets > MOST_PLACES:
            raise ConfigError(
                f"{self.targets} targets in {self.frames} frames are too many: {MOST_PLACES:,} places at most"
            )
        if self.hovering + self.arriving + self.creeping > 1 + 1e-9:
            raise ConfigError("hovering, arriving and creeping are shares of the targets: together 1 at most")
        if self.held_px and not self.targets:
            raise ConfigError("held_px: the camera follows a target, and there is none")

    @property
    def clutter(self) -> float:
        """Local standard deviation of a picture without targets: what `scr` is measured in."""
        return float(np.hypot(np.hypot(self.netd, self.texture), self.fixed_pattern))


SCENES: dict[str, SceneSettings] = {
    "sky": SceneSettings(),
    "clutter": SceneSettings(structure=0.09, texture=0.02, scr=8.0, drift_px_s=8.0),
    "crossing": SceneSettings(targets=6, turn_rad_s=0.0, speed_px_s=45.0),
    "dim": SceneSettings(scr=4.0, targets=3),
    "dark": SceneSettings(dark=1.0),
    "camera16": SceneSettings(bits=16, bad_pixels=0.0005, fixed_pattern=0.004, column_pattern=0.003),
    "crowd": SceneSettings(width=640, height=512, targets=100, speed_px_s=20.0),
    "empty": SceneSettings(targets=0),
    "hovering": SceneSettings(frames=300, targets=5, hovering=0.6, arriving=0.4, waver=0.25, drift_px_s=0.0),
    "creeping": SceneSettings(frames=600, creeping=1.0, waver=0.15, drift_px_s=0.0),
    "swinging": SceneSettings(
        frames=300, targets=6, structure=0.09, texture=0.015, scr=8.0, drift_px_s=0.0,
        swing_px=50.0, jerks_per_s=0.5, shake_px=0.3, exposure=0.6,
    ),
    "held": SceneSettings(
        frames=300, targets=2, structure=0.09, texture=0.015, scr=8.0, held_px=1.5, shake_px=0.1, overlay=2,
    ),
    "lamps": SceneSettings(frames=300, targets=5, city=0.55, lamps=25, drift_px_s=0.0),
    "city": SceneSettings(
        frames=300, targets=7, hovering=0.3, city=0.5, lamps=25, waver=0.15, drift_px_s=0.0,
        swing_px=25.0, shake_px=0.15, exposure=0.5, overlay=2,
    ),
}  # fmt: skip


def scene_from_text(text: str) -> SceneSettings:
    """`NAME` or `NAME,key=value,...`. Raises ConfigError for an unknown name or key."""
    name, *pairs = text.split(",")
    if name not in SCENES:
        raise ConfigError(f"there is no scene {name!r}{meant(name, SCENES)}")
    known = {f.name: type(getattr(SCENES[name], f.name)) for f in fields(SceneSettings)}
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}{meant(key, known)}: it is one of {', '.join(known)}")
        if key in values:
            raise ConfigError(f"{key} is set twice: leave one of them out")
        try:
            values[key] = known[key](value)
        except ValueError as error:
            raise ConfigError(
                f"{key} needs a number{', a whole one' * (known[key] is int)}, not {value[:40]!r}"
            ) from error
    return replace(SCENES[name], **values)
