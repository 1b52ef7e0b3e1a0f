"""`irtrack calibrate` and `irtrack triangulate`: a camera by known points, positions by two stations' logs."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from irtrack.commands.common import conclude, read_by
from irtrack.core import IrtrackError, Remarks

if TYPE_CHECKING:
    from irtrack.direction.calibrate import Calibration, Known
    from irtrack.direction.stations import Station
    from irtrack.direction.triangulate import Fix

COLUMNS = (
    "time_s", "utc", "target", "track_a", "track_b", "latitude_deg", "longitude_deg", "height_m", "sigma_east_m",
    "sigma_north_m", "sigma_up_m", "cov_east_north_m2", "cov_east_up_m2", "cov_north_up_m2", "velocity_east_m_s",
    "velocity_north_m_s", "velocity_up_m_s", "speed_m_s", "miss_m", "angle_deg",
)  # fmt: skip
"""Of the positions' table."""


def calibrate(args: argparse.Namespace) -> int:
    """`irtrack calibrate`: lens and pose of a camera by known points."""
    from irtrack.direction.calibrate import calibrate as run_calibration
    from irtrack.direction.points import read_points
    from irtrack.sinks.target import claimed_all, write_output

    known = known_from(args)
    with claimed_all([args.out], args.force, read_by(args)):
        points = read_points(args.points)
        made = run_calibration(points, known)
        notes = {
            "points": len(points), "used": int(made.used.sum()), "sigma_px": made.sigma_px,
            "rms_px": float(np.sqrt((made.off_px[made.used] ** 2).sum(1).mean())),
            "left_out": [n for n, used in zip(points.names, made.used.tolist(), strict=True) if not used],
        }  # fmt: skip
        camera = replace(made.camera, fixed=args.fixed, notes=notes)
        write_output(args.out, camera.save_text())
    print("\n".join(described(made, known)))
    print(f"  wrote {args.out}")
    return 0


def known_from(args: argparse.Namespace) -> Known:
    """What the options say of the camera. Raises IrtrackError."""
    from irtrack.direction.calibrate import Known
    from irtrack.direction.lens import Lens

    width, height = size_from(args.size)
    focal = args.focal
    if args.hfov is not None:
        focal = Lens.of_view(width, height, args.hfov).focal_px
    if focal is not None and not 1 <= focal < 1e9:
        raise IrtrackError(f"a focal length of {focal:g} px makes no sense: give one above 1")
    place = None if args.position is None else place_from(args.position)
    for name, value in (("--sigma", args.sigma), ("--position-sigma", args.position_sigma)):
        if not 0 < value < 1e6:
            raise IrtrackError(f"{name} {value:g} makes no sense: give a number above 0")
    return Known(width, height, focal, place, args.position_sigma, args.sigma, not args.no_distortion)


def size_from(text: str) -> tuple[int, int]:
    """WxH. Raises IrtrackError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 2 <= int(width) <= 1 << 16 and 2 <= int(height) <= 1 << 16):
        raise IrtrackError(f"--size {text!r} must be the pictures' WIDTHxHEIGHT in pixels, such as 640x512")
    return int(width), int(height)


def place_from(text: str) -> tuple[float, float, float]:
    """LAT,LON,HEIGHT. Raises IrtrackError."""
    try:
        latitude, longitude, height = (float(v) for v in text.split(","))
    except ValueError:
        raise IrtrackError(f"--position {text!r} must be LAT,LON,HEIGHT in degrees and m") from None
    if not (abs(latitude) <= 90 and -180 <= longitude <= 360 and abs(height) <= 1e5):
        raise IrtrackError(f"--position {text!r} is no place on the Earth: it is LAT,LON,HEIGHT in degrees and m")
    return latitude, longitude, height


def described(made: Calibration, known: Known) -> list[str]:
    """A calibration in lines: each point, then what was found and how well it is known."""
    camera, sigma = made.camera, np.sqrt(np.diag(made.camera.covariance))
    width = max(len(name) for name in made.points.names)
    lines = [f"{'point':{width}}  off x px  off y px   off deg"]
    rows = zip(made.points.names, made.off_px, made.off_deg, made.used.tolist(), strict=True)
    for name, (x, y), degrees, used in rows:
        behind = abs(x) >= 1e4
        pixels = "   behind the camera" if behind else f"{x:10.2f}{y:10.2f}"
        lines.append(f"{name:{width}}{pixels}{degrees:10.4f}" + ("" if used else "  wrong? left out"))
    azimuth, elevation, roll = camera.azimuth_elevation_roll_deg
    spread = camera.spread(np.array([[(known.width - 1) / 2, (known.height - 1) / 2]]))
    pointing = np.degrees(np.sqrt(np.trace(spread[0]) / 2))
    latitude, longitude, height = camera.place
    east, north, up = sigma[11:14]
    lines += [
        f"looks to azimuth {azimuth:.3f}, elevation {elevation:.3f}, roll {roll:.3f} degrees; directions amid the "
        f"picture to {pointing:.3f} degrees (1 sigma)",
        f"stands at {latitude:.7f}, {longitude:.7f}, {height:.1f} m (1 sigma {max(east, north):.1f} m, {up:.1f} m up)",
        f"focal length {camera.lens.focal_px:.1f} px (1 sigma {sigma[3]:.1f}), {camera.lens.hfov_deg:.2f} degrees wide",
    ]
    open_ = {"centre": made.told[4:6].max(), "distortion": made.told[6]}
    silent = [name for name, share in open_.items() if share > 0.7]
    if silent:
        lines.append(f"the points say little of {' and '.join(silent)}: more of them, out to the corners, would")
    return lines


def triangulate(args: argparse.Namespace) -> int:
    """`irtrack triangulate`: positions of the targets that two stations saw."""
    from irtrack.direction.stations import read_station
    from irtrack.direction.triangulate import triangulate as run_triangulation
    from irtrack.sinks.target import claimed_all, write_output

    remarks = Remarks()
    logs = [args.first, args.second]
    with claimed_all([args.out], args.force, read_by(args)):
        a, b = (read_station(log, camera, remarks) for log, camera in zip(logs, args.poses or [None] * 2, strict=True))
        fixes = run_triangulation(a, b, offset_between(a, b, args.offset))
        for fix in fixes:
            note(fix, remarks)
        text = table_of(fixes, a.began)
        write_output(args.out, text)
    for i, fix in enumerate(fixes, 1):
        print(said(i, fix))
    print(f"done: {len(fixes)} targets seen by both, of {len(a.tracks)} and {len(b.tracks)} tracks\n  wrote {args.out}")
    if not fixes:
        print("  no two tracks' rays meet: are the clocks (--offset), the poses and the times right?")
    return conclude(remarks, args.strict)


def offset_between(a: Station, b: Station, given: float | None) -> float:
    """What is added to the seconds of the second log to have those of the first. Raises IrtrackError."""
    if given is not None:
        if not abs(given) < 1e9:
            raise IrtrackError(f"--offset {given:g} makes no sense: give seconds")
        return given
    if a.began is None or b.began is None:
        without = " and ".join(s.name for s in (a, b) if s.began is None)
        raise IrtrackError(f"{without} has no UTC: give --offset S, what is added to {b.name}'s seconds")
    return (b.began - a.began).total_seconds()


def note(fix: Fix, remarks: Remarks) -> None:
    """What should be known of a target's positions."""
    who = f"track {fix.first} and {fix.second}"
    if fix.parallel:
        remarks.add(f"{who}: times without a position, since the rays are nearly parallel there", fix.parallel)
    if fix.rivals:
        others = ", ".join(f"{i} and {j}" for i, j in fix.rivals)
        remarks.add(f"{who}: may be wrongly paired, as {others} would fit, too")


def said(number: int, fix: Fix) -> str:
    """A target in one line."""
    head = f"target {number}: track {fix.first} of A, {fix.second} of B, misses {fix.misses:.1f} sigma"
    if not len(fix.time_s):
        return f"{head}, rays nearly parallel: no position"
    sigma = np.sqrt(np.trace(fix.covariance_m2, axis1=1, axis2=2))
    low, high = fix.place[:, 2].min(), fix.place[:, 2].max()
    speed = np.linalg.norm(fix.velocity_m_s, axis=1)
    fast = f", {np.nanmedian(speed):.1f} m/s" if np.isfinite(speed).any() else ""
    return (
        f"{head}, {fix.time_s[0]:.2f} to {fix.time_s[-1]:.2f} s, {np.median(np.linalg.norm(fix.enu_m, axis=1)):.0f} m "
        f"from A, height {low:.0f} to {high:.0f} m{fast}, known to {np.median(sigma):.1f} m"
    )


def table_of(fixes: Sequence[Fix], began: datetime | None) -> str:
    """The positions as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for target, fix in enumerate(fixes, 1):
        for i, time_s in enumerate(fix.time_s.tolist()):
            P, v = fix.covariance_m2[i], fix.velocity_m_s[i]
            utc = (began + timedelta(seconds=time_s)).isoformat(timespec="milliseconds") if began is not None else ""
            latitude, longitude, height = fix.place[i]
            known = np.isfinite(v).all()
            speed = [f"{x:.3f}" for x in (*v, np.linalg.norm(v))] if known else [""] * 4
            writer.writerow([
                f"{time_s:.6f}", utc, target, fix.first, fix.second, f"{latitude:.8f}", f"{longitude:.8f}",
                f"{height:.3f}", *(f"{x:.3f}" for x in np.sqrt(np.diag(P))), f"{P[0, 1]:.4f}", f"{P[0, 2]:.4f}",
                f"{P[1, 2]:.4f}", *speed, f"{fix.miss_m[i]:.3f}", f"{fix.angle_deg[i]:.3f}",
            ])  # fmt: skip
    return out.getvalue()
