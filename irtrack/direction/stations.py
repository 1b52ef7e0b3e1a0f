"""What a station saw: its camera, and the tracks of its log in JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from irtrack.core import Floats, IrtrackError, Remarks
from irtrack.direction.camera import CAMERA_BESIDE, Camera, load_camera
from irtrack.direction.lens import Lens

MOST_OUTSIDE = 1.1
"""How far from its middle a place may lie in a picture whose border is at 1: tracks go on a little beyond."""


@dataclass(frozen=True)
class Sighting:
    """A track of one station: `time_s` (T,), rising; `xy_px`, `sigma_px` (T, 2)."""

    id: int
    time_s: Floats
    xy_px: Floats
    sigma_px: Floats


@dataclass(frozen=True)
class Station:
    """A camera and what it saw. `began`: when its seconds began to count, UTC; None where the log does not say."""

    name: str
    camera: Camera
    tracks: tuple[Sighting, ...]
    began: datetime | None = None


def read_station(log: Path, camera: Path | None, remarks: Remarks) -> Station:
    """A log of `irtrack run --jsonl`, and its camera: the one named, or the one beside it. Frames in which the picture
    had moved are left out where the camera may have been turned. Raises IrtrackError."""
    beside = log.with_name(log.name + CAMERA_BESIDE)
    if camera is None and not beside.is_file():
        raise IrtrackError(
            f"{log}: there is no {beside.name} beside it, as irtrack run --pose writes: name the cameras with --poses"
        )
    made = load_camera(camera or beside)
    if not beside.is_file():
        remarks.add(f"{log.name} was written without --pose: whether its camera was turned is not known")
    rows: dict[int, list[tuple[float, ...]]] = {}
    began: datetime | None = None
    turned, last_s = 0, -math.inf
    try:
        with log.open("r", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                if (entry := parsed(log, number, line)) is None:
                    remarks.add(f"{log.name} is cut off in its last line, which was left out")
                    break
                time_s, moment = float(entry["time_s"]), entry.get("utc")
                if time_s < last_s:
                    remarks.add(
                        f"{log.name}: its seconds begin anew at line {number}, as where two logs were put together: "
                        "what stands from there on was left out"
                    )
                    break
                last_s = time_s
                if moment is not None:
                    began = began or began_at(moment, time_s)
                if entry.get("scene_moved_px") and not made.fixed:
                    turned += 1
                    continue
                for track in entry["tracks"]:
                    (x, y), (sx, sy) = track["xy_px"], track["sigma_px"]
                    values = tuple(map(float, (time_s, x, y, sx, sy)))
                    rows.setdefault(int(track["id"]), []).append(values)
    except OSError as error:
        raise IrtrackError(f"cannot read {log}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise IrtrackError(f"{log} is no text: a log of irtrack run --jsonl is wanted") from None
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise IrtrackError(f"{log}, line {number}: no frame of irtrack run --jsonl ({error})") from error
    if turned:
        remarks.add(
            f"{log.name}: frames left out, since the picture had moved and the camera may have been turned", turned
        )
    tracks = [sighting(log, name, np.array(found, float)) for name, found in sorted(rows.items())]
    if outside := sum(outside_of(made.lens, track.xy_px) for track in tracks):
        size = f"{made.lens.width}x{made.lens.height}"
        remarks.add(f"{log.name}: places outside of its camera's {size} pixels: is it the log of another?", outside)
    if not tracks:
        raise IrtrackError(f"{log} holds no tracks that could be used")
    return Station(log.name, made, tuple(tracks), began)


def outside_of(lens: Lens, xy_px: Floats) -> int:
    """How many places (N, 2) lie outside of a camera's pictures."""
    shares = 2 * xy_px / (lens.width - 1, lens.height - 1) - 1
    return int((np.abs(shares) > MOST_OUTSIDE).any(1).sum())


def parsed(log: Path, number: int, line: str) -> Mapping[str, Any] | None:
    """A frame of a log; None of a last line that was cut off. Raises IrtrackError for the line at fault."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        if number > 1 and not line.endswith("\n"):
            return None
        raise IrtrackError(f"{log}, line {number}: no JSON; is it a log of irtrack run --jsonl, and whole?") from None
    if not isinstance(entry, dict) or not isinstance(entry.get("tracks"), list) or "time_s" not in entry:
        raise IrtrackError(f"{log}, line {number}: no frame of irtrack run --jsonl")
    return entry


def began_at(moment: str, time_s: float) -> datetime:
    """UTC of second 0, by that of another. Raises ValueError."""
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None:
        raise ValueError("utc without a time zone")
    return at - timedelta(seconds=time_s)


def sighting(log: Path, name: int, rows: Floats) -> Sighting:
    """A track by rows (T, 5) of time, x, y, sigma x, sigma y. Raises IrtrackError."""
    if rows.ndim != 2 or rows.shape[1] != 5 or not np.isfinite(rows).all() or (rows[:, 3:] < 0).any():
        raise IrtrackError(f"{log}: track {name} has places that are none")
    _, first = np.unique(rows[:, 0], return_index=True)
    rows = rows[first]
    return Sighting(name, rows[:, 0], rows[:, 1:3], np.maximum(rows[:, 3:], 1e-3))
