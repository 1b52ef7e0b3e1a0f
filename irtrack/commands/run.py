"""`irtrack run` and `irtrack flat`: sources through the whole chain, headless."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np

from irtrack.commands.common import common_outputs, conclude, settings_from
from irtrack.core import FrameResult, Image, IrtrackError, Remarks, Source, SourceInfo

if TYPE_CHECKING:
    from irtrack.pipeline import Pipeline


def stop_on_terminate() -> None:
    """SIGTERM ends a run as Ctrl-C does, with complete logs."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def run(args: argparse.Namespace) -> int:
    """`irtrack run`: sources through the whole chain, headless."""
    from irtrack.build import Outputs, check_outputs, make_pipeline, make_shared
    from irtrack.capture import open_source

    settings = settings_from(args)
    if args.pretrigger is not None and (args.record is None or not args.pretrigger >= 0):
        raise IrtrackError("--pretrigger needs --record OUT, and seconds from 0 on")
    outputs = Outputs(
        csv=args.csv,
        jsonl=args.jsonl,
        video=args.video,
        record=args.record,
        pretrigger_s=args.pretrigger,
        **common_outputs(args),
    )
    several = len(args.source) > 1
    each = [outputs.numbered(i + 1) if several else outputs for i in range(len(args.source))]
    for one in each:
        check_outputs(one)
    runs: list[Run] = []
    codes: list[int] = []
    shared = make_shared(settings) if several else None
    try:
        for text, one in zip(args.source, each, strict=True):
            made = Run(text, one.paths(), args.frames)
            runs.append(made)
            source = open_source(text, args.fps, args.reconnect)
            made.pipeline = make_pipeline(source, settings, one, made.note, shared.view() if shared else None)
        stop_on_terminate()
        follow(runs, args.quiet)
    finally:
        for made in runs:
            made.close()
            made.summarise(args.quiet, several)
            codes.append(conclude(made.remarks, args.strict))
        if shared is not None:
            shared.close()
    return max(codes)


class Run:
    """A source of `irtrack run` with its pipeline and what came of it."""

    def __init__(self, text: str, written: list[Path], frames: int | None) -> None:
        from irtrack.capture.address import shown

        self.name, self._written, self._frames = shown(text), written, frames
        self.pipeline: Pipeline | None = None
        self.error: BaseException | None = None
        self.over = False
        self._seen: set[int] = set()
        self._start = time.monotonic()

    @property
    def remarks(self) -> Remarks:
        """What is to be said of what was read."""
        return self.pipeline.source.info.remarks if self.pipeline is not None else Remarks()

    def note(self, result: FrameResult) -> None:
        """After each frame."""
        self._seen.update(t.id for t in result.tracks if t.confirmed)
        if self._frames and self.pipeline is not None and self.pipeline.processed >= self._frames:
            self.pipeline.stop()

    def wait(self, seconds: float) -> None:
        """For the end; its error is kept."""
        assert self.pipeline is not None
        try:
            self.pipeline.join(seconds)
            self.over = True
        except TimeoutError:
            pass
        except Exception as error:
            self.over, self.error = True, error

    def close(self) -> None:
        """Stop what still runs."""
        if self.pipeline is not None and not self.over:
            self.pipeline.close()

    def summarise(self, quiet: bool, named: bool) -> None:
        """One line on what was done, one for each file."""
        pipeline = self.pipeline
        if quiet or pipeline is None:
            return
        how = "ended early" if self.error is not None else "done" if self.over else "stopped"
        elapsed = time.monotonic() - self._start
        rate = pipeline.processed / elapsed if elapsed else 0.0
        dropped = f", {pipeline.dropped} dropped" if pipeline.source.live else ""
        incomplete = incomplete_of(pipeline.source)
        dropped += f", {incomplete} came incomplete" if incomplete else ""
        print(f"{self.name}: " * named + f"{how}: {pipeline.processed} frames in {elapsed:.1f} s ", end="")
        print(f"({rate:.1f} a second{dropped}), {len(self._seen)} tracks")
        print(f"  read {described(pipeline.source.info)}")
        scan = getattr(pipeline.detector, "scan_frames", 1)
        if scan > 1:
            print(f"  too slow for whole frames: every place was looked at once in {scan} frames, tracks in each")
        for path in self._written:
            print(f"  wrote {path}")


def described(info: SourceInfo) -> str:
    """Size, depth, rate and where the times come from."""
    rate = f"{info.fps:.4g} a second, " if info.fps else ""
    return f"{info.width}x{info.height} pixels of {info.bits} bits, {rate}{info.clock.value}"


def incomplete_of(source: Source) -> int:
    """Frames that the camera under a source's wrappers lost parts of, since it was connected."""
    inner: Source | None = source
    while inner is not None:
        if hasattr(inner, "incomplete"):
            return int(inner.incomplete)
        inner = getattr(inner, "source", None)
    return 0


def follow(runs: Sequence[Run], quiet: bool) -> None:
    """Start all and wait for all, with a progress bar where there is a terminal.

    One that fails does not end the others; the first error is raised at the end, the others are printed.
    """
    from tqdm import tqdm

    pipelines = [r.pipeline for r in runs if r.pipeline is not None]
    counts = [p.source.info.frames for p in pipelines]
    total = sum(c for c in counts if c is not None) if None not in counts else None
    for pipeline in pipelines:
        pipeline.start()
    with tqdm(total=total, unit="frame", disable=True if quiet else None, dynamic_ncols=True) as bar:
        while waiting := [r for r in runs if not r.over]:
            waiting[0].wait(0.1)
            for r in waiting[1:]:
                r.wait(0.0)
            bar.update(sum(p.processed for p in pipelines) - bar.n)
    failed = [r for r in runs if r.error is not None]
    for r in failed[1:]:
        print(f"irtrack: {r.error}", file=sys.stderr)
    if failed:
        assert failed[0].error is not None
        raise failed[0].error


def flat(args: argparse.Namespace) -> int:
    """`irtrack flat`: offsets and bad pixels of a camera."""
    from irtrack.capture import open_source
    from irtrack.capture.corrected import correction_path
    from irtrack.imaging.correction import correction_from

    source = open_source(args.source)
    frames: list[Image] = []
    try:
        for frame in source:
            frames.append(frame.image)
            if len(frames) >= max(args.frames, 1):
                break
    finally:
        source.close()
    made = correction_from(np.stack(frames))
    path = args.out or correction_path(source.info.key or source.info.name)
    made.save(path)
    print(f"done: {len(frames)} frames, offsets of {made.offset.std():.1f} counts, {int(made.bad.sum())} bad pixels")
    print(f"  wrote {path}")
    return 0
