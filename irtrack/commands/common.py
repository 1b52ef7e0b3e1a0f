"""What several commands share: settings from options, and the last words."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irtrack.config import DEFAULTS, Checked, Settings, TrackerSettings, load_settings
from irtrack.core import IrtrackError, Remarks

if TYPE_CHECKING:
    from irtrack.build import Outputs


def settings_from(args: argparse.Namespace, defaults: Settings = DEFAULTS) -> Settings:
    """`defaults`, overruled by what the settings file says, if there is one, and both by the options given."""
    settings = load_settings(args.config, defaults) if getattr(args, "config", None) else defaults
    sections = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return replace(settings, **{name: replace(s, **given(args, s)) for name, s in sections.items()})


def given(args: argparse.Namespace, section: Checked) -> dict[str, Any]:
    """Those of a section's settings that were given as options."""
    values = {f.name: getattr(args, f.name, None) for f in fields(section)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if value is not None}


READ = (
    "source", "images", "detections", "clips", "truth", "tracks", "points", "first", "second", "poses", "session",
    "data", "split", "config", "credentials", "pose", "reference", "weights", "correction", "beliefs",
)  # fmt: skip
"""Options of all commands that may name files to read."""


def read_by(args: argparse.Namespace) -> list[str | Path]:
    """What the options name that may be files, none of which a command may write."""
    given = [value for name in READ if (value := getattr(args, name, None)) is not None]
    return [one for value in given for one in (value if isinstance(value, list) else [value])]


def outputs_from(args: argparse.Namespace, pretrigger_s: float | None = None, csv: Path | None = None) -> Outputs:
    """The outputs that the options name; `csv`: of another option. Raises IrtrackError where one cannot be written by
    this command.
    """
    from irtrack.build import Outputs
    from irtrack.sinks.kinds import SINKS, kind_named, other_names

    given = {name: getattr(args, name, None) for name in (*(kind.name for kind in SINKS), *other_names())}
    files = {name: path for name, path in (given | {"csv": csv or given["csv"]}).items() if path is not None}
    if args.command == "track":
        for name in files:
            if not kind_named(name).alone:
                raise IrtrackError(f"--{name} needs pictures: write it with irtrack run")
    return Outputs(files, pretrigger_s, args.force, args.online, args.offline)


def remark_rate(name: str, fps: float | None, tracker: TrackerSettings, remarks: Remarks) -> None:
    """Say where frames follow each other so fast that what moves a pixel from one to the next cannot be followed, or so
    slowly that tracks end between them: as a rule the rate is a wrong one."""
    if not fps:
        return
    farthest = 3 * tracker.speed_sigma_px_s / fps
    if 0 < farthest < 1:
        remarks.add(
            f"{name}: at {fps:.6g} frames a second targets are expected to move {farthest:.2g} px a frame at most, and "
            "faster ones are lost: is that its rate? --fps gives another, --speed-sigma-px-s other speeds"
        )
    elif 1 / fps > tracker.coast_s:
        remarks.add(
            f"{name}: frames are {1 / fps:.4g} s apart, and tracks live {tracker.coast_s:g} s unseen, so that what "
            "moves may be another track in each: is that its rate? --fps gives another, --coast-s a longer life"
        )


def conclude(remarks: Remarks, strict: bool) -> int:
    """Say what should be known of what was read; returns the exit code."""
    for line in remarks.lines():
        print(f"irtrack: note: {line}", file=sys.stderr)
    if remarks and strict:
        print("irtrack: --strict: a run with notes counts as failed", file=sys.stderr)
        return 1
    return 0
