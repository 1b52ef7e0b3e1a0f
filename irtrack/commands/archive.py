"""`irtrack archive`: every recording under a folder, on the workers of a Dask cluster."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irtrack.commands.common import settings_from
from irtrack.core import ConfigError, IrtrackError
from irtrack.stopping import Stop
from irtrack.text import one_line

if TYPE_CHECKING:
    from irtrack.archive.run import Archive, Counts

MOST_SAID = 20
"""Failures that are said in the terminal; pages and data set have all of them."""


def archive(args: argparse.Namespace) -> int:
    """`irtrack archive FOLDER --out DIR`."""
    missing = [name for name in ("distributed", "pyarrow") if importlib.util.find_spec(name) is None]
    if missing:
        raise IrtrackError(f"an archive needs {' and '.join(missing)}: pip install 'irtrack[archive]'")
    from tqdm import tqdm

    from irtrack.archive.cluster import LOCAL, check_address, cluster
    from irtrack.archive.found import find_recordings
    from irtrack.archive.job import job_of
    from irtrack.archive.run import Archive
    from irtrack.archive.store import Store

    stop: Stop = args.stop
    stop.polled = True
    check_address(args.cluster)
    if args.workers is not None and (args.workers < 1 or args.cluster != LOCAL):
        raise ConfigError("--workers is how many a local cluster has, 1 or more: others bring their own")
    folder, out = (Path(os.path.abspath(os.path.expanduser(path))) for path in (args.folder, args.out))
    job = job_of(out, settings_from(args), args.fps, 60.0 * args.part)
    found, store = find_recordings(folder, out), Store(out)
    if not found.recordings:
        raise IrtrackError(f"there are no recordings under {folder}")
    store.check()
    begun = time.monotonic()

    def say(line: str) -> None:
        tqdm.write(f"irtrack: {line}", file=sys.stderr)

    try:
        with store.claimed():
            workers = args.workers or usable_cores()
            with (
                cluster(args.cluster, workers, args.debug) as client,
                tqdm(
                    total=len(found.recordings),
                    unit="recording",
                    disable=True if args.quiet else None,
                    dynamic_ncols=True,
                ) as bar,
            ):
                made = Archive(client, store, job, found.recordings, partial(show, bar), say)
                try:
                    made.run(lambda: stop.asked)
                finally:
                    made.publish()
            made.sweep()
    except Exception:
        stop.check()  # whoever asked for the end does not want to hear what broke off: Ctrl-C ends the workers, too
        raise
    return told(made, args.quiet, time.monotonic() - begun, found.remarks.lines(), out)


def show(bar: Any, counts: Counts) -> None:
    """How far it is."""
    bar.update(counts.ended - bar.n)
    if counts.parts:
        bar.set_postfix_str(f"{counts.parts_done} of {counts.parts} parts of long ones")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def told(made: Archive, quiet: bool, seconds: float, remarks: list[str], out: Path) -> int:
    """Say what was done. Raises IrtrackError where recordings failed."""
    counts = made.counts
    for line in remarks:
        print(f"irtrack: note: {line}", file=sys.stderr)
    for text, line in counts.failed[:MOST_SAID]:
        print(f"irtrack: {one_line(line if text in line else f'{text}: {line}')}", file=sys.stderr)
    if not quiet:
        more = f", {counts.before} done before" if counts.before else ""
        more += f", {counts.copies} with the content of others" if counts.copies else ""
        done = f"{counts.done} recording{'s' * (counts.done != 1)}"
        print(f"done: {done} in {seconds:.1f} s{more}\n  wrote {out / 'index.html'}")
    if counts.failed:
        count = f"{len(counts.failed)} recording{'s' * (len(counts.failed) != 1)}"
        raise IrtrackError(f"{count} could not be read, or not to the end: listed in {out / 'index.html'}")
    return 0
