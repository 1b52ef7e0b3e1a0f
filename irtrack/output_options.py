"""Options that name what a command writes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from irtrack.sinks.kinds import SINKS, other_names


def file_to_write(text: str) -> Path:
    """The name of a file; one that ends in a slash is a folder's. Raises ArgumentTypeError."""
    if text.endswith(("/", "/.", "/..", os.sep)):
        raise argparse.ArgumentTypeError(f"{text!r} names a folder: give the name of a file")
    return Path(text)


def file_or_folder(text: str) -> Path:
    """One with a suffix is a file. Raises ArgumentTypeError."""
    return file_to_write(text) if Path(text).suffix else Path(text)


def log_options(outputs: argparse._ActionsContainer, alone: bool) -> None:
    """Outputs of `irtrack run` and, `alone`, of `irtrack track`, whose --out is the track log."""
    for kind in SINKS:
        if not alone or (kind.alone and kind.name != "csv"):
            outputs.add_argument(f"--{kind.name}", type=file_to_write, metavar=f"OUT{kind.suffixes[0]}", help=kind.help)
    for name in other_names():
        outputs.add_argument(f"--{name}", type=file_to_write, metavar="OUT", help="a kind of output of another package")
    outputs.add_argument("--force", action="store_true", help="overwrite outputs that exist")
    outputs.add_argument(
        "--online",
        action="store_true",
        help="log what was known in each frame; by default a track's first frames are added when it is confirmed, and "
        "coasting is logged once the target was seen again, up to two seconds late",
    )
    outputs.add_argument(
        "--offline",
        action="store_true",
        help="log at the end, with fragments joined across gaps and positions smoothed both ways",
    )
