"""How an archive scales: the same recordings with one worker and with more, once every worker has its network loaded.

python tools/archive_scaling.py FOLDER OUT --workers 1 2 [--part MINUTES]
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from irtrack.archive import tasks
from irtrack.archive.cluster import cluster
from irtrack.archive.found import find_recordings
from irtrack.archive.job import job_of
from irtrack.archive.run import Archive
from irtrack.archive.store import Store
from irtrack.config import DEFAULTS


def measure(folder: Path, out: Path, workers: int, part_s: float) -> tuple[int, float, float]:
    """Frames, seconds from the first task to the last answer, and seconds of CPU time that the workers took."""
    shutil.rmtree(out, ignore_errors=True)
    settings = replace(DEFAULTS, detector=replace(DEFAULTS.detector, weights="datransnet-s", backend="native"))
    job, store = job_of(out, settings, None, part_s), Store(out)
    texts = find_recordings(folder, out).recordings
    with cluster("local", workers, False) as client:
        client.wait_for_workers(workers)
        chosen = next(iter(client.run(tasks.choose, job).values()))  # every worker loads it
        client.run(tasks.choose, chosen)
        before = sum(client.run(time.process_time).values())
        begun = time.monotonic()
        Archive(client, store, job, texts).run(lambda: False)
        took = time.monotonic() - begun
        busy = sum(client.run(time.process_time).values()) - before
    results = store.all_results().values()
    assert len(results) == len(texts)
    return sum(r.frames for r in results), took, busy


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--part", type=float, default=10.0)
    args = parser.parse_args()
    for workers in args.workers:
        frames, took, busy = measure(args.folder.resolve(), args.out.resolve(), workers, 60 * args.part)
        each = f"{1e3 * took / frames:.1f} ms a frame, {1e3 * busy / frames:.1f} of CPU time"
        print(f"{workers} workers: {frames} frames in {took:.1f} s, {each}", flush=True)


if __name__ == "__main__":
    main()
