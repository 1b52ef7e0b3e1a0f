"""Cursor on Target: a station, its bearings and positions as events that TAK clients draw on their maps.

By the public schema of the base event (MITRE, version 2.0): seven attributes of the event, five of its point. `ce` and
`le` are one standard deviation in m, across and up; UNKNOWN stands where nobody can say.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from irtrack.core import ConfigError, FrameResult
from irtrack.direction.bearings import Bearing, Bearings
from irtrack.direction.camera import PLACE, Camera
from irtrack.station.clock import utc_of
from irtrack.station.cot_sender import CotSender
from irtrack.text import one_line

UNKNOWN = 9999999.0

KIND = re.compile(r"\w+(-\w+)*(;[^;]*)?")
"""What a type may be, by the schema."""

FLYING, SENSOR, LINE = "a-u-A", "b-m-p-s-p-loc", "u-rb-a"
"""Types: something unknown in the air; a sensor with its field of view; a line of range and bearing."""

SENSED = "m-r"
"""How: by a machine that measures."""

WIDEST_DEG = 360.0


@dataclass(frozen=True)
class CotEvent:
    """An event. `uid`: of the thing, over time. `place`: latitude, longitude (deg), height above the ellipsoid (m).
    `stale_s`: after so long nothing is said of it any more. `details`: elements with their attributes."""

    uid: str
    kind: str
    time: datetime
    stale_s: float
    place: tuple[float, float, float]
    ce_m: float = UNKNOWN
    le_m: float = UNKNOWN
    how: str = SENSED
    details: tuple[tuple[str, dict[str, str]], ...] = ()
    remarks: str = ""

    def xml(self) -> bytes:
        """As it is sent."""
        moment, stale = text_of(self.time), text_of(self.time + timedelta(seconds=self.stale_s))
        event = ET.Element("event", {
            "version": "2.0", "uid": one_line(self.uid), "type": self.kind, "how": self.how,
            "time": moment, "start": moment, "stale": stale,
        })  # fmt: skip
        latitude, longitude, height = self.place
        ET.SubElement(event, "point", {
            "lat": f"{latitude:.7f}", "lon": f"{(longitude + 180) % 360 - 180:.7f}", "hae": f"{height:.2f}",
            "ce": f"{min(self.ce_m, UNKNOWN):.1f}", "le": f"{min(self.le_m, UNKNOWN):.1f}",
        })  # fmt: skip
        detail = ET.SubElement(event, "detail")
        for name, attributes in self.details:
            ET.SubElement(detail, name, {key: one_line(value) for key, value in attributes.items()})
        if self.remarks:
            ET.SubElement(detail, "remarks").text = one_line(self.remarks)
        return bytes(ET.tostring(event, "utf-8", xml_declaration=True)) + b"\n"


def text_of(moment: datetime) -> str:
    """UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def checked_kind(kind: str) -> str:
    """Raises ConfigError for a type that the schema does not allow."""
    if not kind.isascii() or KIND.fullmatch(kind) is None:
        raise ConfigError(f"{kind!r} is no type of a CoT event: it is letters joined by hyphens, such as a-u-A")
    return kind


def station_event(station: str, camera: Camera, time: datetime, stale_s: float, range_m: float = 1000.0) -> CotEvent:
    """A station with its field of view as a wedge of this length."""
    azimuth, elevation, roll = camera.azimuth_elevation_roll_deg
    lens = camera.lens
    vertical = 2 * np.degrees(np.arctan(lens.height / 2 / lens.focal_px))
    sensor = {
        "azimuth": f"{azimuth:.1f}", "elevation": f"{elevation:.1f}", "roll": f"{roll:.1f}",
        "fov": f"{lens.hfov_deg:.1f}", "vfov": f"{vertical:.1f}", "range": f"{range_m:.0f}",
        "displayMagneticReference": "0",
    }  # fmt: skip
    details = (("contact", {"callsign": station}), ("sensor", sensor))
    return CotEvent(station, SENSOR, time, stale_s, camera.place, *errors(camera), details=details)


def bearing_event(
    station: str, track: int, camera: Camera, bearing: Bearing, time: datetime, stale_s: float, range_m: float
) -> CotEvent:
    """A track of which the direction alone is known: a line from the camera, `range_m` long, which says nothing of how
    far away it is."""
    name = f"{station} {track}"
    details = (
        ("contact", {"callsign": name}),
        ("range", {"value": f"{range_m:.1f}"}),
        ("bearing", {"value": f"{bearing.azimuth_deg:.3f}"}),
        ("inclination", {"value": f"{bearing.elevation_deg:.3f}"}),
        ("rangeUnits", {"value": "1"}),  # metric, degrees, true north
        ("bearingUnits", {"value": "0"}),
        ("northRef", {"value": "0"}),
        ("link", {"uid": station, "relation": "p-p", "type": SENSOR}),
    )
    remarks = (
        f"direction only: azimuth {bearing.azimuth_deg:.2f} (1 sigma {bearing.sigma_azimuth_deg:.2f}), elevation "
        f"{bearing.elevation_deg:.2f} (1 sigma {bearing.sigma_elevation_deg:.2f}) degrees; the range is not known"
    )
    return CotEvent(
        f"{station}.{track}", LINE, time, stale_s, camera.place, *errors(camera), details=details, remarks=remarks
    )


def position_event(
    uid: str,
    place: tuple[float, float, float],
    covariance_m2: ArrayLike,
    time: datetime,
    stale_s: float,
    kind: str = FLYING,
    velocity_m_s: ArrayLike | None = None,
    callsign: str = "",
) -> CotEvent:
    """A target whose position is known, with its covariance (3, 3) and velocity (3,), east, north, up."""
    P = np.asarray(covariance_m2, float)
    across = float(np.sqrt(np.linalg.eigvalsh(P[:2, :2])[-1]))
    details = [("contact", {"callsign": callsign or uid})]
    if velocity_m_s is not None:
        east, north, _ = np.asarray(velocity_m_s, float).tolist()
        course = np.degrees(np.arctan2(east, north)) % 360
        details.append(("track", {"course": f"{course:.1f}", "speed": f"{np.hypot(east, north):.2f}"}))
    return CotEvent(
        uid, checked_kind(kind), time, stale_s, place, across, float(np.sqrt(P[2, 2])), details=tuple(details)
    )


def errors(camera: Camera) -> tuple[float, float]:
    """`ce` and `le` of where a camera stands."""
    P = camera.covariance[PLACE, PLACE]
    return float(np.sqrt(max(np.linalg.eigvalsh(P[:2, :2])[-1], 0.0))), float(np.sqrt(P[2, 2]))


class CotSink:
    """An output of a run: the station itself, and a line for each confirmed track whose direction is known.

    Each is sent every `period_s` while it is seen, and once more, stale at once, when it ends. Never waits.
    """

    def __init__(
        self,
        sender: CotSender,
        station: str,
        camera: Camera,
        period_s: float = 1.0,
        range_m: float = 5000.0,
        station_period_s: float = 20.0,
        utc: Callable[[float], datetime] = utc_of,
    ) -> None:
        """`station`: its name and the beginning of each uid; it closes `sender` when it is closed."""
        self.sender, self._station, self._camera = sender, station, camera
        self._period_s, self._range_m, self._station_period_s, self._utc = period_s, range_m, station_period_s, utc
        self._bearings = Bearings(camera)
        self._sent: dict[int, tuple[float, CotEvent]] = {}
        self._said_s = float("-inf")

    def write(self, result: FrameResult) -> None:
        """Send what is due by the frame's time."""
        now_s, seen = result.frame.time_s, self._bearings(result)
        time = self._utc(result.captured_s)
        if now_s < self._said_s:  # the camera was opened anew
            self._said_s, self._sent = float("-inf"), {t: (float("-inf"), e) for t, (_, e) in self._sent.items()}
        if now_s - self._said_s >= self._station_period_s:
            self._said_s = now_s
            self._send(station_event(self._station, self._camera, time, 3 * self._station_period_s))
        for track, bearing in seen.items():
            if now_s - self._sent.get(track, (float("-inf"),))[0] >= self._period_s:
                event = bearing_event(
                    self._station, track, self._camera, bearing, time, 5 * self._period_s, self._range_m
                )
                self._sent[track] = now_s, event
                self._send(event)
        for track in self._sent.keys() - {t.id for t in result.tracks if t.confirmed}:
            self._end(track, time)

    def _end(self, track: int, time: datetime) -> None:
        _, event = self._sent.pop(track)
        self._send(CotEvent(**(event.__dict__ | {"time": time, "stale_s": 0.0})))

    def _send(self, event: CotEvent) -> None:
        self.sender.send(event.xml(), max(event.stale_s, 10.0))

    def close(self) -> None:
        """Tracks that were followed end here; may be called twice."""
        for track in list(self._sent):
            self._end(track, self._sent[track][1].time)
        self.sender.close()
