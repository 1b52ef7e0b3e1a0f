"""Options of the commands that are about where a camera stands and what it sees there."""

from __future__ import annotations

import argparse
from pathlib import Path

from irtrack.capture.kinds import forms
from irtrack.output_options import file_to_write
from irtrack.setting_options import detector_options, tracker_options
from irtrack.training_options import strict_option


def site_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `irtrack calibrate`, `irtrack triangulate` and `irtrack selftest`."""
    options_of_calibrate(
        commands.add_parser(
            "calibrate",
            help="lens and pose of a camera from a few known points",
            description="POINTS.csv has a header and a line for each point of the picture: x,y in pixels, and "
            "latitude,longitude,height of a landmark or azimuth,elevation of a star or a surveyed bearing; a name if "
            "you like. From two points on the attitude is found, from three on the focal length, and with more of them "
            "the centre and the distortion; each point's residual is told, and points that are wrong are named.",
        )
    )
    options_of_triangulate(
        commands.add_parser(
            "triangulate",
            help="positions of targets that two stations saw",
            description="A.jsonl and B.jsonl are logs of irtrack run --pose CAMERA.toml --jsonl. Tracks whose rays "
            "meet all the while are paired; POSITIONS.csv has latitude, longitude and height with covariance, and "
            "velocity.",
        )
    )
    options_of_selftest(
        commands.add_parser(
            "selftest",
            help="what could be seen in a recording or by a camera: faint targets put into its pictures",
            description="Puts known faint, moving targets into seconds of SOURCE and tells how many of them the model "
            "and the tracker find, by SCR (peak over local deviation), with 95 % intervals, and what is found that is "
            "not there. With the JSON of an earlier test as reference, targets are as bright as they were then: so "
            "dew, rime, lost focus and clutter show.",
        )
    )


def credentials_option(parser: argparse.ArgumentParser) -> None:
    """Of every command that opens a camera."""
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="a file that only you can read, with USER:PASSWORD for URLs that have none (or set IRTRACK_CREDENTIALS): "
        "a password in SOURCE can be seen in the list of processes",
    )


def pose_option(run: argparse.ArgumentParser) -> None:
    """Of `irtrack run`."""
    run.add_argument(
        "--pose",
        type=Path,
        action="append",
        metavar="CAMERA.toml",
        help="lens and pose of the camera, as irtrack calibrate writes them: tracks in the JSON lines then have "
        "azimuth and elevation; of several sources one for each, in their order",
    )


def options_of_calibrate(parser: argparse.ArgumentParser) -> None:
    """Of `irtrack calibrate`."""
    parser.add_argument("points", type=Path, metavar="POINTS.csv")
    parser.add_argument("--size", required=True, metavar="WxH", help="of the camera's pictures, in pixels")
    parser.add_argument("--out", type=file_to_write, required=True, metavar="CAMERA.toml")
    parser.add_argument(
        "--position",
        metavar="LAT,LON,HEIGHT",
        help="where the camera stands, degrees and m above the ellipsoid; where it is not given, 4 to 6 landmarks tell "
        "it; south or west as --position=-33.8,151.2,40",
    )
    parser.add_argument(
        "--position-sigma", type=float, default=3.0, metavar="M", help="how well that is known (3, of a GPS receiver)"
    )
    lens = parser.add_mutually_exclusive_group()
    lens.add_argument("--hfov", type=float, metavar="DEG", help="horizontal field of view, about; else it is found")
    lens.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels, about")
    parser.add_argument("--no-distortion", action="store_true", help="the lens draws straight lines straight")
    parser.add_argument(
        "--sigma", type=float, default=1.0, metavar="PX", help="how well the points' pixels are known (1)"
    )
    parser.add_argument(
        "--fixed",
        action="store_true",
        help="the camera is mounted and does not move: directions are given even while the picture moves, as clouds do",
    )
    parser.add_argument("--force", action="store_true", help="overwrite CAMERA.toml")


def options_of_triangulate(parser: argparse.ArgumentParser) -> None:
    """Of `irtrack triangulate`."""
    parser.add_argument("first", type=Path, metavar="A.jsonl")
    parser.add_argument("second", type=Path, metavar="B.jsonl")
    parser.add_argument("--out", type=file_to_write, required=True, metavar="POSITIONS.csv")
    parser.add_argument(
        "--poses", type=Path, nargs=2, metavar=("A.toml", "B.toml"), help="the cameras, if not those beside the logs"
    )
    parser.add_argument(
        "--offset", type=float, metavar="S", help="added to B's seconds to have A's; without it both logs need UTC"
    )
    strict_option(parser)
    parser.add_argument("--force", action="store_true", help="overwrite POSITIONS.csv")


def options_of_selftest(parser: argparse.ArgumentParser) -> None:
    """Of `irtrack selftest`."""
    parser.add_argument("source", metavar="SOURCE", help=forms())
    parser.add_argument("--batches", type=int, default=8, metavar="N", help="seconds that are looked at (8)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="length of each of them (1)")
    parser.add_argument("--targets", type=int, default=8, metavar="N", help="targets in each, where there is room (8)")
    parser.add_argument("--scr", default="2,3,5,8", metavar="R,R,...", help="how faint they are (2,3,5,8)")
    parser.add_argument("--psf", type=float, default=0.9, metavar="PX", help="the optics' point spread, sigma (0.9)")
    parser.add_argument("--speed", type=float, default=30.0, metavar="PX_S", help="usual speed of targets (30)")
    parser.add_argument("--fps", type=float, metavar="F", help="frame rate of a recording, whatever times it has")
    parser.add_argument("--reference", type=Path, metavar="JSON", help="of an earlier test, when all was well")
    parser.add_argument("--json", type=file_to_write, metavar="OUT")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")
    credentials_option(parser)
    strict_option(parser)
    detector_options(parser)
    tracker_options(parser)
