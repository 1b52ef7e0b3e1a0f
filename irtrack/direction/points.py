"""Known points of a picture: landmarks by place, or stars and surveyed bearings by direction; read from a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irtrack.core import Floats, IrtrackError
from irtrack.direction.geodesy import ecef_of, enu_axes, unit_of
from irtrack.text import meant, read_text

COLUMNS = {
    "x": ("x", "x_px"),
    "y": ("y", "y_px"),
    "latitude": ("latitude", "lat", "latitude_deg"),
    "longitude": ("longitude", "lon", "lng", "longitude_deg"),
    "height": ("height", "height_m", "hae"),
    "azimuth": ("azimuth", "az", "azimuth_deg"),
    "elevation": ("elevation", "el", "elevation_deg"),
    "name": ("name",),
}
"""What the columns of a table of points are called."""

BOUNDS = {
    "x": (-1e5, 1e5), "y": (-1e5, 1e5), "latitude": (-90, 90), "longitude": (-180, 360), "height": (-1e4, 1e6),
    "azimuth": (-360, 360), "elevation": (-90, 90),
}  # fmt: skip
LANDMARK, BEARING = ("latitude", "longitude", "height"), ("azimuth", "elevation")
FEWEST_LETTERS = "x,y and latitude,longitude,height or azimuth,elevation[,name]"


@dataclass(frozen=True)
class Points:
    """N points. `xy_px` (N, 2); `places` (N, 3: deg, deg, m), NaN for bearings; `units` (N, 3), east, north, up, NaN
    for landmarks; `names`."""

    xy_px: Floats
    places: Floats
    units: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def landmarks(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which (N,) are given by place."""
        return np.isfinite(self.places[:, 0])

    def vectors(self, place: Floats) -> Floats:
        """East, north, up (N, 3) of the points from a place (3,): in m to landmarks, of length 1 to bearings."""
        enu = (ecef_of(self.places) - ecef_of(place)) @ enu_axes(place[0], place[1]).T
        return np.where(self.landmarks[:, None], enu, self.units)


def read_points(path: Path) -> Points:
    """A CSV with a header, separated by commas, semicolons or tabs. Raises IrtrackError with the line at fault."""
    try:
        lines = read_text(path, 8 << 20).splitlines()
    except OSError as error:
        raise IrtrackError(f"cannot read the points {path}: {error.strerror}") from error
    except ValueError as error:
        raise IrtrackError(f"cannot read the points {path}: {error}") from error
    at = [i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not at:
        raise IrtrackError(f"{path} is empty: a header {FEWEST_LETTERS}, and a line for each point")
    mark = max(",;\t", key=lines[at[0]].count)
    header = columns_of(path, next(csv.reader([lines[at[0]]], delimiter=mark)))
    rows = [row_of(path, i + 1, next(csv.reader([lines[i]], delimiter=mark)), header, mark) for i in at[1:]]
    return points_of(rows)


def points_of(rows: Sequence[dict[str, float | str]]) -> Points:
    """Rows of the columns' values as points."""

    def column(*names: str) -> Floats:
        return np.array([[row.get(name, np.nan) for name in names] for row in rows], float).reshape(-1, len(names))

    bearings = column(*BEARING)
    names = tuple(str(row.get("name") or f"point {i + 1}") for i, row in enumerate(rows))
    return Points(column("x", "y"), column(*LANDMARK), unit_of(bearings[:, 0], bearings[:, 1]), names)


def columns_of(path: Path, header: Sequence[str]) -> list[str]:
    """What each column is. Raises IrtrackError."""
    by_name = {alias: name for name, aliases in COLUMNS.items() for alias in aliases}
    out = []
    for text in header:
        word = text.strip().lower()
        if word not in by_name:
            raise IrtrackError(f"{path}: the column {text.strip()!r} is not known{meant(word, by_name)}")
        out.append(by_name[word])
    if len(set(out)) < len(out):
        raise IrtrackError(f"{path}: two columns mean the same")
    if not {"x", "y"} <= set(out) or not (set(LANDMARK) <= set(out) or set(BEARING) <= set(out)):
        raise IrtrackError(f"{path}: its header must name {FEWEST_LETTERS}")
    return out


def row_of(path: Path, line: int, cells: Sequence[str], header: Sequence[str], mark: str) -> dict[str, float | str]:
    """A line's values; numbers may have decimal commas where cells are separated otherwise. Raises IrtrackError."""
    if len(cells) > len(header):
        raise IrtrackError(f"{path}, line {line}: {len(cells)} cells under {len(header)} columns")
    row: dict[str, float | str] = {}
    for name, text in zip(header, (cell.strip() for cell in cells), strict=False):
        if name == "name":
            row[name] = text
        elif text:
            try:
                row[name] = value = float(text if mark == "," else text.replace(",", "."))
            except ValueError:
                raise IrtrackError(f"{path}, line {line}: {name} {text[:40]!r} is no number") from None
            low, high = BOUNDS[name]
            if not low <= value <= high:
                raise IrtrackError(f"{path}, line {line}: {name} {value:g} does not lie from {low:g} to {high:g}")
    place, bearing = (sum(name in row for name in names) for names in (LANDMARK, BEARING))
    if not {"x", "y"} <= row.keys() or (place, bearing) not in ((3, 0), (0, 2)):
        raise IrtrackError(
            f"{path}, line {line}: a point has x and y, and either latitude, longitude and height or azimuth and "
            "elevation"
        )
    return row
