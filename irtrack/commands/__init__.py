"""What each command does. Every function takes the parsed arguments and returns an exit code."""

from irtrack.commands.archive import archive
from irtrack.commands.detect import detect
from irtrack.commands.direction import calibrate, triangulate
from irtrack.commands.logs import score, track
from irtrack.commands.others import bench, cameras, doctor, evaluate, export, simulate, teach, train, window
from irtrack.commands.run import flat, run
from irtrack.commands.selftest import selftest
from irtrack.commands.serve import serve
from irtrack.commands.tune import tune

__all__ = [
    "archive",
    "bench",
    "calibrate",
    "cameras",
    "detect",
    "doctor",
    "evaluate",
    "export",
    "flat",
    "run",
    "score",
    "selftest",
    "serve",
    "simulate",
    "teach",
    "track",
    "train",
    "triangulate",
    "tune",
    "window",
]
