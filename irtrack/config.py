"""Settings as frozen dataclasses: the default, the meaning, the unit and the range stand together, once.

Command line options, the TOML files and the window's controls are made from these fields.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import tomli_w

from irtrack import plugins
from irtrack.core import ConfigError
from irtrack.text import meant, read_toml

T = TypeVar("T")


def option(
    default: T,
    doc: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    others: str = "",
    form: str = "",
) -> T:
    """A dataclass field with its documentation, unit and inclusive range, or the values that it may have.

    `others`: entry points of other packages that add to these values. `form`: what stands for it in help: LOW,HIGH.
    """
    metadata = {
        "doc": doc, "unit": unit, "low": low, "high": high, "choices": tuple(choices), "others": others, "form": form
    }  # fmt: skip
    return field(default=default, metadata=metadata)


MOST = 1e15
"""No number among the settings is larger than this."""

KINDS = {str: "text in quotes", float: "number", int: "whole number", bool: "true or false"}


def brief(value: object) -> str:
    """A wrong value, as much of it as fits into a line."""
    shown = repr(value) if not isinstance(value, int) or abs(value) <= MOST else "a number without end"
    return shown if len(shown) <= 80 else shown[:77] + "..."


def allowed(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that a setting may have, by its metadata; empty: any."""
    return (*about["choices"], *(plugins.found(about["others"]) if about["others"] else ()))


def gone(name: str, instead: str) -> str:
    """What is said of a setting of earlier versions."""
    return f"{name} is no setting any more: {instead}"


class Checked:
    """Base of the settings classes: checks ranges, reads and writes plain dictionaries."""

    GONE: ClassVar[Mapping[str, str]] = {}
    """Settings of earlier versions, and what replaces them."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            value, low, high = getattr(self, f.name), f.metadata.get("low"), f.metadata.get("high")
            if f.metadata.get("choices") and value not in f.metadata["choices"]:
                self.choose({f.name: allowed(f.metadata)})
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if not (low is None or value >= low) or not (high is None or value <= high) or not abs(value) <= MOST:
                raise ConfigError(
                    f"{f.name} = {brief(value)} is out of range: it must lie between "
                    f"{-MOST if low is None else low:g} and {MOST if high is None else high:g}"
                )

    def choose(self, choices: Mapping[str, Sequence[str]]) -> None:
        """Raises ConfigError where one of these settings has none of its values."""
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(
                    f"unknown {name} {brief(value)}{meant(str(value), known)}: it is one of {', '.join(known)}"
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a table of a TOML file. Raises ConfigError that names the unknown or wrongly typed key."""
        return cls().updated(values)

    def updated(self, values: Mapping[str, Any]) -> Self:
        """The same with what a table of a TOML file says. Raises ConfigError as `from_dict`."""
        known = [f.name for f in fields(self)]  # type: ignore[arg-type]
        built: dict[str, Any] = {}
        for key, value in values.items():
            if key in self.GONE:
                raise ConfigError(gone(key, self.GONE[key]))
            if key not in known:
                raise ConfigError(f"unknown setting {brief(key)}{meant(key, known)}: it is one of {', '.join(known)}")
            now = getattr(self, key)
            if isinstance(now, Checked):
                if not isinstance(value, dict):
                    raise ConfigError(f"{key} must be a table of settings, [{key}], not {brief(value)}")
                value = now.updated(value)
            elif isinstance(now, tuple) and isinstance(value, list):
                value = tuple(value)
            elif isinstance(now, float) and type(value) is int and abs(value) <= MOST:
                value = float(value)
            elif type(value) is not type(now):
                raise ConfigError(f"{key} = {brief(value)} is not a {KINDS.get(type(now), type(now).__name__)}")
            built[key] = value
        return replace(self, **built)  # type: ignore[type-var]

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
        if outline and not area(outline):
            raise ConfigError(f"{part.strip()!r}: a region whose corners lie on one line holds nothing")
        if outline:
            out.append(outline)
    return tuple(out)


def check_pixels(outlines: Iterable[Polygon]) -> None:
    """Raises ConfigError where a region lies in a single pixel, from 0 to 1: it was given in shares of the picture."""
    for outline in outlines:
        if all(0 <= v <= 1 for corner in outline for v in corner):
            raise ConfigError(
                f"the region {polygons_text([outline])!r} lies from 0 to 1, as shares of the picture: give its "
                "corners in pixels"
            )


def area(outline: Polygon) -> float:
    """Of a polygon, by the shoelace formula."""
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(outline, (*outline[1:], outline[0]), strict=True))) / 2


def polygons_text(outlines: Iterable[Polygon]) -> str:
    """Polygons as `polygons` reads them."""
    return "; ".join(" ".join(f"{x:.1f},{y:.1f}" for x, y in outline) for outline in outlines)


MODES = ("auto", "exact", "video", "live")
BACKENDS = ("auto", "torch", "native", "onnxruntime", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda")
MOTIONS = ("image", "detections", "off")


@dataclass(frozen=True)
class DetectorSettings(Checked):
    """What the detector does to a frame."""

    weights: str = option(
        "auto",
        "a model by name, or a checkpoint file; auto takes datransnet on a GPU or where it keeps up with a camera, "
        "else the slim datransnet-s",
        form="NAME/PATH",
    )
    device: str = option("auto", "where the network runs; auto: on a GPU where there is one", choices=DEVICES)
    threshold: float = option(0.5, "score above which a pixel belongs to a target", low=0.0, high=1.0)
    min_area_px: int = option(1, "components smaller than this are dropped", unit="px", low=1, high=1 << 24)
    max_area_px: int = option(1500, "components larger than this are no small target", unit="px", low=1, high=1 << 24)
    mode: str = option(
        "auto",
        "exact: every frame whole; video: its attention kept from the frames before; live: what the camera's rate "
        "leaves time for; auto: live for cameras, exact for recordings",
        choices=MODES,
    )
    refresh_every: int = option(4, "in mode video, frames between renewals of a block's attention", low=1, high=1000)
    live_bands: int = option(0, "in mode live, bands seen in turn; 0 fits them to the time there is", low=0, high=64)
    backend: str = option(
        "auto",
        "engine on a CPU: torch, native (kernels in C, where there is a compiler), for whole frames also onnxruntime "
        "and openvino; auto: the fastest here, by a trial",
        choices=BACKENDS,
        others=plugins.BACKENDS,
    )
    include: str = option(
        "", "X,Y X,Y X,Y ...; ... in pixels: polygons to look in; empty: the whole picture", form="POLYGONS"
    )
    exclude: str = option("", "the same: polygons to leave out", form="POLYGONS")
    levels: str = option(
        "", "LOW,HIGH in counts: fixed scaling of 16-bit frames; empty: it follows the frames", form="LOW,HIGH"
    )
    precision: str = option(
        "auto",
        "arithmetic of the convolutions: float32, bfloat16 (on CPUs that have it: faster, masks change by about "
        "half a percent, in torch by 1 to 2) or float16; auto: float16 on a GPU, else float32",
        choices=PRECISIONS,
    )
    threads: int = option(0, "CPU threads of the network; 0 leaves the choice to torch", low=0, high=256)
    temporal: bool = option(
        True,
        "also find moving targets that the network does not see in single frames, by what changes over time in the "
        "scene; off by itself below 8 frames a second",
    )

    closer: bool = option(
        True,
        "in mode exact, small frames (to 384x288) are looked at a second time, enlarged: finds dim targets of a pixel "
        "or two, and takes three times as long",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_area_px > self.max_area_px:
            raise ConfigError(f"min_area_px = {self.min_area_px} is above max_area_px = {self.max_area_px}")
        self.check_engine()
        self.fixed_levels()
        look_in = polygons(self.include)
        if look_in and set(look_in) <= set(polygons(self.exclude)):
            raise ConfigError("include and exclude name the same regions: nothing is left to look in")

    def check_engine(self) -> None:
        """Raises ConfigError where the engine cannot do what else is set."""
        if self.backend in ("auto", "torch"):
            return
        able = ("auto", "float32", "bfloat16") if self.backend == "native" else ("auto", "float32")
        if self.precision not in able:
            raise ConfigError(f"backend = {self.backend!r} has no precision {self.precision!r}: leave one of them out")
        if self.backend != "native" and self.mode in ("video", "live"):
            raise ConfigError(f"backend = {self.backend!r} runs whole frames only, not mode {self.mode!r}")

    def fixed_levels(self) -> tuple[float, float] | None:
        """`levels` as numbers. Raises ConfigError."""
        if not self.levels:
            return None
        try:
            low, high = (float(v) for v in self.levels.split(","))
        except ValueError:
            raise ConfigError(f"levels = {self.levels!r} must be LOW,HIGH in counts") from None
        if not -math.inf < low < high < math.inf:
            raise ConfigError(f"levels = {self.levels!r}: the first must be below the second")
        return low, high


@dataclass(frozen=True)
class TrackerSettings(Checked):
    """Life cycle and motion of tracks. Times are in seconds so that they hold at any frame rate."""

    GONE: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("confirm_hits", "confirm_window", "confirm_score", "confirm_snr", "min_motion_px"),
        "a track is believed on all evidence; caution, the false tracks an hour that are accepted, makes that strict",
    )

    caution: float = option(
        20.0,
        "false tracks an hour that are accepted, about: fewer means that a track is believed later, and some never",
        unit="1/h",
        low=1e-3,
        high=1e9,
    )
    beliefs: str = option(
        "", "tables of irtrack tune that tell targets from clutter; empty: those of irtrack", form="TOML"
    )
    coast_s: float = option(
        0.8,
        "a track without detections ends after this, and the time in which each place is seen once",
        unit="s",
        low=0.0,
        high=60.0,
    )
    gate_probability: float = option(0.999, "chance that the true measurement lies in the gate", low=0.5, high=0.999999)
    quiet_px_s2: float = option(
        40.0, "standard deviation of acceleration in quiet flight", unit="px/s^2", low=0.0, high=1e5
    )
    acceleration_px_s2: float = option(
        500.0, "standard deviation of acceleration in a manoeuvre", unit="px/s^2", low=0.0, high=1e6
    )
    measurement_sigma_px: float = option(0.7, "standard deviation of a measured position", unit="px", low=0.01)
    speed_sigma_px_s: float = option(
        250.0, "standard deviation of a new track's unknown velocity", unit="px/s", low=0.0, high=3e4
    )
    log_delay_s: float = option(
        2.0,
        "completed logs hold rows back this long, until confirmation and coasting are decided",
        unit="s",
        low=0.0,
        high=86_400.0,
    )
    camera_motion: str = option(
        "image", "where it is read from: image (detections without one), detections, or off", choices=MOTIONS
    )
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

    palette: str = option("White hot", "colours; Cividis reads the same to colour-blind eyes", choices=PALETTES)
    agc: str = option(
        "auto",
        "percentile: between two percentiles; linear: level and span in counts; plateau: histogram equalisation, "
        "clipped; clahe: the same by places; auto: 8-bit pictures as they are, others by percentile",
        choices=AGC_MODES,
    )
    low_percent: float = option(0.5, "percentile shown black", unit="%", low=0.0, high=50.0)
    high_percent: float = option(99.8, "percentile shown white", unit="%", low=50.0, high=100.0)
    level: float = option(8192.0, "in mode linear, counts shown as middle grey")
    span: float = option(1024.0, "in mode linear, counts from black to white", low=1.0)
    plateau: float = option(4.0, "in mode plateau, the most a level counts for, in even shares", low=1.0, high=1e4)
    clip: float = option(3.0, "in mode clahe, limit of the contrast of a place", low=1.0, high=40.0)
    region: str = option("", "X,Y,W,H in pixels: gain follows this part of the picture alone", form="X,Y,W,H")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_percent >= self.high_percent:
            raise ConfigError(f"low_percent = {self.low_percent} must be below high_percent = {self.high_percent}")
        self.region_px()

    def region_px(self) -> tuple[int, int, int, int] | None:
        """`region` as left, top, width, height. Raises ConfigError."""
        if not self.region:
            return None
        try:
            x, y, w, h = (int(v) for v in self.region.split(","))
        except ValueError:
            raise ConfigError(f"region = {self.region!r} must be X,Y,W,H in pixels") from None
        if x < 0 or y < 0 or w < 1 or h < 1 or max(x, y, w, h) > 1 << 16:
            raise ConfigError(f"region = {self.region!r} must lie in the picture and hold a pixel")
        return x, y, w, h


@dataclass(frozen=True)
class Settings(Checked):
    """Everything that a run can be told."""

    capture: CaptureSettings = field(default=CaptureSettings())
    detector: DetectorSettings = field(default=DetectorSettings())
    tracker: TrackerSettings = field(default=TrackerSettings())
    display: DisplaySettings = field(default=DisplaySettings())


DEFAULTS = Settings()

OTHERS = Settings(tracker=TrackerSettings(log_delay_s=60.0))
"""Defaults for detections of others, whose logs nobody waits for."""


def load_settings(path: Path, defaults: Settings = DEFAULTS) -> Settings:
    """`defaults` with what a TOML file says. Raises ConfigError with one clear line."""
    try:
        return defaults.updated(read_toml(path))
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"settings {path} are not valid TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"settings {path}: {error}") from error


def save_settings(settings: Settings, path: Path) -> None:
    """Write a TOML file that `load_settings` reads back to an equal value."""
    path.write_text(tomli_w.dumps(settings.to_dict()), encoding="utf-8")
