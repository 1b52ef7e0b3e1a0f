"""`irtrack run SESSION`: what a session file holds, as edited, into logs and video; nothing is analysed again."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from irtrack.commands.common import conclude, given, outputs_from
from irtrack.config import DEFAULTS
from irtrack.core import FrameResult, IrtrackError, Sink

if TYPE_CHECKING:
    from irtrack.build import Outputs
    from irtrack.session.reading import Kept

NOT_HERE = ("record", "pretrigger", "fps", "alarm", "events", "pose")
"""Options of a run that have no meaning for results that are there already."""


def run_session(args: argparse.Namespace) -> int:
    """Write the outputs that are asked for. Raises IrtrackError, among others where settings are given."""
    from irtrack.build import claim, make_sinks
    from irtrack.session.reading import read_session

    if len(args.source) > 1:
        raise IrtrackError("a session is exported alone: give one session file and nothing else")
    path = Path(args.source[0])
    refuse(args, path)
    kept = read_session(path)
    outputs = outputs_from(args)
    display = replace(kept.settings.display, **given(args, DEFAULTS.display))
    settings = replace(kept.settings, display=display)
    recording = kept.recording.places(path) if kept.recording is not None else []
    targets = claim(outputs, [path, *recording])
    frames, tracks, sinks = 0, set[int](), []
    try:
        results = results_of(kept, outputs)
        fps = kept.recording.fps if kept.recording is not None else None
        sinks = make_sinks(outputs, settings, fps, targets, kept.started, kept.edits.names, kept.edits.by_hand)
        for result in results:
            for sink in sinks:
                sink.write(result)
            frames += 1
            tracks |= {t.id for t in result.tracks if t.confirmed}
            if frames == args.frames:
                break
    finally:
        close(sinks)
        targets.abandon()
    if not args.quiet:
        total = kept.recording.frames if kept.recording is not None else None
        of = f" of {total}" if total not in (None, frames) else ""
        print(f"done: {frames}{of} frames from {path.name}, {len(tracks)} tracks, as edited")
        for written in targets.finished:
            print(f"  wrote {written}")
    return conclude(kept.store.remarks, args.strict)


def refuse(args: argparse.Namespace, path: Path) -> None:
    """Raises IrtrackError where an option asks for another analysis."""
    sections = {f.name: getattr(DEFAULTS, f.name) for f in fields(DEFAULTS)}
    names = [name for section in ("capture", "detector", "tracker") for name in given(args, sections[section])]
    names += [name for name in NOT_HERE if getattr(args, name, None) is not None]
    names += ["config"] if getattr(args, "config", None) else []
    if names:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        raise IrtrackError(
            f"{path.name} holds results, which {options} cannot change: run the recording itself instead"
        )


def results_of(kept: Kept, outputs: Outputs) -> Iterator[FrameResult]:
    """Every result as edited; with its picture where an output shows it. Raises IrtrackError."""
    from irtrack.capture import open_source
    from irtrack.capture.corrected import corrected
    from irtrack.session.edited import as_edited
    from irtrack.session.picture import with_trails

    if "video" not in outputs.files:
        return map(kept.edits.apply, kept.store.results())
    if kept.recording is None:
        raise IrtrackError(
            f"{kept.path.name} holds tracks of a camera, without its pictures: there is no video of them"
        )
    source = corrected(open_source(kept.recording.found(kept.path)), kept.settings.capture)

    def drawn() -> Iterator[FrameResult]:
        trail_s = kept.settings.tracker.trail_s
        try:
            for frame in source:
                if frame.index in kept.store:
                    result = with_trails(kept.store.get(frame), kept.store, trail_s)
                    yield as_edited(result, kept.store, kept.edits, trail_s)
        finally:
            source.close()

    return drawn()


def close(sinks: list[Sink]) -> None:
    """All of them, whatever one of them says first."""
    errors: list[BaseException] = []
    for sink in sinks:
        try:
            sink.close()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
