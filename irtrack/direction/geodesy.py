"""Places on the Earth: latitude, longitude and height of WGS84, Earth-centred x, y, z, and east, north, up of a place.

The closed formulas of every textbook on geodesy; the way back from x, y, z by Bowring's iteration (1976), whose third
step is exact to the last digit anywhere near the ground.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from irtrack.core import Floats

SEMI_MAJOR_M, FLATTENING = 6378137.0, 1 / 298.257223563
"""Of the ellipsoid WGS84."""

E2 = FLATTENING * (2 - FLATTENING)
"""Its first eccentricity, squared."""

SEMI_MINOR_M = SEMI_MAJOR_M * (1 - FLATTENING)
SECOND_E2 = E2 / (1 - E2)
STEPS = 4


def ecef_of(place: ArrayLike) -> Floats:
    """Earth-centred x, y, z (..., 3) in m of latitude, longitude (deg) and height above the ellipsoid (m), (..., 3)."""
    given = np.asarray(place, float)
    latitude, longitude, height = np.radians(given[..., 0]), np.radians(given[..., 1]), given[..., 2]
    normal = SEMI_MAJOR_M / np.sqrt(1 - E2 * np.sin(latitude) ** 2)
    across = (normal + height) * np.cos(latitude)
    z = (normal * (1 - E2) + height) * np.sin(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), z], -1)


def place_of(ecef: ArrayLike) -> Floats:
    """Latitude, longitude (deg) and height (m), (..., 3), of Earth-centred x, y, z in m, (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(ecef, float), -1, 0)
    across = np.hypot(x, y)
    reduced = np.arctan2(z * SEMI_MAJOR_M, across * SEMI_MINOR_M)
    latitude = reduced
    for _ in range(STEPS):
        latitude = np.arctan2(
            z + SECOND_E2 * SEMI_MINOR_M * np.sin(reduced) ** 3, across - E2 * SEMI_MAJOR_M * np.cos(reduced) ** 3
        )
        reduced = np.arctan2((1 - FLATTENING) * np.sin(latitude), np.cos(latitude))
    sine = np.sin(latitude)
    # This form of the height holds at the poles too, where the usual one divides zero by zero.
    height = across * np.cos(latitude) + z * sine - SEMI_MAJOR_M * np.sqrt(1 - E2 * sine**2)
    return np.stack([np.degrees(latitude), np.degrees(np.arctan2(y, x)), height], -1)


def enu_axes(latitude_deg: float, longitude_deg: float) -> Floats:
    """Rows (3, 3): the unit vectors east, north and up of a place, in Earth-centred axes."""
    latitude, longitude = np.radians([latitude_deg, longitude_deg])
    (sin_a, cos_a), (sin_o, cos_o) = (np.sin(latitude), np.cos(latitude)), (np.sin(longitude), np.cos(longitude))
    return np.array(
        [[-sin_o, cos_o, 0.0], [-sin_a * cos_o, -sin_a * sin_o, cos_a], [cos_a * cos_o, cos_a * sin_o, sin_a]]
    )


def enu_of(place: ArrayLike, origin: ArrayLike) -> Floats:
    """East, north, up (..., 3) in m of places (..., 3: deg, deg, m) from an origin (3,)."""
    at = np.asarray(origin, float)
    out: Floats = (ecef_of(place) - ecef_of(at)) @ enu_axes(at[0], at[1]).T
    return out


def place_from_enu(enu: ArrayLike, origin: ArrayLike) -> Floats:
    """The way back: latitude, longitude, height (..., 3) of east, north, up (..., 3) in m from an origin (3,)."""
    at = np.asarray(origin, float)
    return place_of(ecef_of(at) + np.asarray(enu, float) @ enu_axes(at[0], at[1]))


def unit_of(azimuth_deg: ArrayLike, elevation_deg: ArrayLike) -> Floats:
    """Unit vectors (..., 3), east, north, up, of azimuths (from north over east) and elevations."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    level = np.cos(elevation)
    return np.stack([np.sin(azimuth) * level, np.cos(azimuth) * level, np.sin(elevation)], -1)


def azimuth_elevation(enu: ArrayLike) -> tuple[Floats, Floats]:
    """Azimuths, from 0 to 360, and elevations in degrees of vectors (..., 3), east, north, up."""
    east, north, up = np.moveaxis(np.asarray(enu, float), -1, 0)
    azimuth = np.degrees(np.arctan2(east, north)) % 360.0
    return np.where(azimuth >= 360.0, 0.0, azimuth), np.degrees(np.arctan2(up, np.hypot(east, north)))
