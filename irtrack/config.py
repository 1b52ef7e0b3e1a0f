"""Settings as frozen dataclasses: the default, the meaning, the unit and the range stand together, once.

Command line options, the TOML files and the window's controls are made from these fields.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

import tomli_w

from irtrack.core import ConfigError

T = TypeVar("T")


def option(default: T, doc: str, *, unit: str = "", low: float | None = None, high: float | None = None) -> T:
    """A dataclass field with its documentation, unit and inclusive range."""
    metadata = {"doc": doc, "unit": unit, "low": low, "high": high}
    return field(default=default, metadata=metadata)


class Checked:
    """Base of the settings classes: checks ranges, reads and writes plain dictionaries."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            value, low, high = getattr(self, f.name), f.metadata.get("low"), f.metadata.get("high")
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if (low is not None and value < low) or (high is not None and value > high) or value != value:
                raise ConfigError(f"{f.name} = {value} is out of range: it must lie between {low} and {high}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a table of a TOML file. Raises ConfigError that names the unknown or wrongly typed key."""
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        built: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise ConfigError(f"unknown setting {key!r}: it is one of {', '.join(known)}")
            default = known[key].default
            if isinstance(default, Checked) and isinstance(value, dict):
                value = type(default).from_dict(value)
            elif isinstance(default, tuple) and isinstance(value, list):
                value = tuple(value)
            elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            elif default is not dataclasses.MISSING and type(value) is not type(default):
                raise ConfigError(f"{key} = {value!r} is not a {type(default).__name__}")
            built[key] = value
        return cls(**built)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for TOML or JSON."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


Polygon = tuple[tuple[float, float], ...]
"""Corners (x, y) in pixels, three or more."""


def polygons(text: str) -> tuple[Polygon, ...]:
    """`X,Y X,Y X,Y; ...` as polygons. Raises ConfigError."""
    out = []
    for part in text.split(";"):
        try:
            outline = tuple((float(x), float(y)) for x, y in (corner.split(",") for corner in part.split()))
        except ValueError:
            raise ConfigError(f"{part.strip()!r} must be corners of a region: X,Y X,Y X,Y") from None
        if len(outline) in (1, 2):
            raise ConfigError(f"{part.strip()!r}: a region needs three corners or more")
        if not all(math.isfinite(v) and abs(v) < 1e6 for corner in outline for v in corner):
            raise ConfigError(f"{part.strip()!r}: the corners of a region lie in the picture")
        if outline:
            out.append(outline)
    return tuple(out)


def polygons_text(outlines: Iterable[Polygon]) -> str:
    """Polygons as `polygons` reads them."""
    return "; ".join(" ".join(f"{x:.1f},{y:.1f}" for x, y in outline) for outline in outlines)


MODES = ("auto", "exact", "video", "live")
BACKENDS = ("auto", "torch", "native", "onnxruntime", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class DetectorSettings(Checked):
    """What the detector does to a frame."""

    weights: str = option("auto", "name in models/manifest.toml or path of a checkpoint; auto picks by device")
    device: str = option("auto", "auto, cpu or cuda")
    threshold: float = option(0.5, "score above which a pixel belongs to a target", low=0.0, high=1.0)
    min_area_px: int = option(1, "components smaller than this are dropped", unit="px", low=1)
    max_area_px: int = option(1500, "components larger than this are no small target", unit="px", low=1)
    mode: str = option(
        "auto",
        "exact: every frame whole; video: its attention kept from the frames before; live: what the camera's rate "
        "leaves time for; auto: live for cameras, exact for recordings",
    )
    refresh_every: int = option(4, "in mode video, frames between renewals of a block's attention", low=1, high=1000)
    live_bands: int = option(0, "in mode live, bands seen in turn; 0 fits them to the time there is", low=0, high=64)
    backend: str = option(
        "auto",
        "engine on a CPU: torch, native (kernels in C, where there is a compiler), for whole frames also onnxruntime "
        "and openvino; auto: the fastest here, by a trial",
    )
    include: str = option("", "X,Y X,Y X,Y ...; ... in pixels: polygons to look in; empty: the whole picture")
    exclude: str = option("", "the same: polygons to leave out")
    levels: str = option("", "LOW,HIGH in counts: fixed scaling of 16-bit frames; empty: it follows the frames")
    precision: str = option(
        "auto",
        "arithmetic of the convolutions: float32, bfloat16 (on CPUs that have it: faster, masks change by 1 to 2 "
        "percent) or float16; auto: float16 on a GPU, else float32",
    )
    threads: int = option(0, "CPU threads of the network; 0 leaves the choice to torch", low=0, high=256)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("mode", MODES), ("backend", BACKENDS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"unknown {name} {getattr(self, name)!r}: it is one of {', '.join(known)}")
        self.fixed_levels()
        polygons(self.include)
        polygons(self.exclude)

    def fixed_levels(self) -> tuple[float, float] | None:
        """`levels` as numbers. Raises ConfigError."""
        if not self.levels:
            return None
        try:
            low, high = (float(v) for v in self.levels.split(","))
        except ValueError:
            raise ConfigError(f"levels = {self.levels!r} must be LOW,HIGH in counts") from None
        if not low < high:
            raise ConfigError(f"levels = {self.levels!r}: the first must be below the second")
        return low, high


@dataclass(frozen=True)
class TrackerSettings(Checked):
    """Life cycle and motion of tracks. Times are in seconds so that they hold at any frame rate."""

    confirm_hits: int = option(4, "M of the M-of-N rule: detections that confirm a track", low=1, high=100)
    confirm_window: int = option(6, "N of the M-of-N rule: frames within which they must fall", low=1, high=100)
    confirm_score: float = option(0.85, "and whose mean score is at least this", low=0.0, high=1.0)
    confirm_snr: float = option(2.5, "and whose mean local SNR is at least this, where it is known", low=0.0)
    min_motion_px: float = option(
        3.0,
        "and that has moved this far against the scene and on the sensor; 0 takes fixed things too",
        unit="px",
        low=0.0,
    )
    coast_s: float = option(
        0.8,
        "a confirmed track without detections is deleted after this, and the time in which each place is seen once",
        unit="s",
        low=0.0,
        high=60.0,
    )
    gate_probability: float = option(0.999, "chance that the true measurement lies in the gate", low=0.5, high=0.999999)
    quiet_px_s2: float = option(40.0, "standard deviation of acceleration in quiet flight", unit="px/s^2", low=0.0)
    acceleration_px_s2: float = option(
        500.0, "standard deviation of acceleration in a manoeuvre", unit="px/s^2", low=0.0
    )
    measurement_sigma_px: float = option(0.7, "standard deviation of a measured position", unit="px", low=0.01)
    speed_sigma_px_s: float = option(
        250.0, "standard deviation of a new track's unknown velocity", unit="px/s", low=0.0
    )
    log_delay_s: float = option(
        2.0, "completed logs hold rows back this long, until confirmation and coasting are decided", unit="s", low=0.0
    )
    camera_motion: str = option("image", "where it is read from: image (detections without one), detections, or off")
    trail_s: float = option(2.0, "length of the trail kept with each track", unit="s", low=0.0, high=600.0)


@dataclass(frozen=True)
class CaptureSettings(Checked):
    """What happens to frames before detection; recordings are made before it."""

    correction: str = option("", "offsets and bad pixels: a file of irtrack flat; camera: the one kept for it")
    destripe: bool = option(False, "take offsets of whole columns off each frame")


AGC_MODES = ("auto", "percentile", "linear", "plateau", "clahe")
PALETTES = ("White hot", "Black hot", "Iron", "Arctic", "Inferno", "Viridis", "Cividis", "Rainbow")


@dataclass(frozen=True)
class DisplaySettings(Checked):
    """How counts become colours on the screen and in annotated video; the detector never sees it."""

    palette: str = option("White hot", "colours; Cividis reads the same to colour-blind eyes")
    agc: str = option(
        "auto",
        "percentile: between two percentiles; linear: level and span in counts; plateau: histogram equalisation, "
        "clipped; clahe: the same by places; auto: 8-bit pictures as they are, others by percentile",
    )
    low_percent: float = option(0.5, "percentile shown black", unit="%", low=0.0, high=50.0)
    high_percent: float = option(99.8, "percentile shown white", unit="%", low=50.0, high=100.0)
    level: float = option(8192.0, "in mode linear, counts shown as middle grey")
    span: float = option(1024.0, "in mode linear, counts from black to white", low=1.0)
    plateau: float = option(4.0, "in mode plateau, the most a level counts for, in even shares", low=1.0, high=1e4)
    clip: float = option(3.0, "in mode clahe, limit of the contrast of a place", low=1.0, high=40.0)
    region: str = option("", "X,Y,W,H in pixels: gain follows this part of the picture alone")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("agc", AGC_MODES), ("palette", PALETTES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"unknown {name} {getattr(self, name)!r}: it is one of {', '.join(known)}")
        self.region_px()

    def region_px(self) -> tuple[int, int, int, int] | None:
        """`region` as left, top, width, height. Raises ConfigError."""
        if not self.region:
            return None
        try:
            x, y, w, h = (int(v) for v in self.region.split(","))
        except ValueError:
            raise ConfigError(f"region = {self.region!r} must be X,Y,W,H in pixels") from None
        if x < 0 or y < 0 or w < 1 or h < 1:
            raise ConfigError(f"region = {self.region!r} must lie in the picture and hold a pixel")
        return x, y, w, h


@dataclass(frozen=True)
class Settings(Checked):
    """Everything that a run can be told."""

    capture: CaptureSettings = field(default=CaptureSettings())
    detector: DetectorSettings = field(default=DetectorSettings())
    tracker: TrackerSettings = field(default=TrackerSettings())
    display: DisplaySettings = field(default=DisplaySettings())


def load_settings(path: Path) -> Settings:
    """Read a TOML file. Raises ConfigError with one clear line."""
    try:
        return Settings.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings {path} are not valid TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"settings {path}: {error}") from error


def save_settings(settings: Settings, path: Path) -> None:
    """Write a TOML file that `load_settings` reads back to an equal value."""
    path.write_text(tomli_w.dumps(settings.to_dict()), encoding="utf-8")
