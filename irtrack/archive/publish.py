"""What people and other programs read of an archive: the data set of recordings, and pages. Made anew from what is
known, as often as wanted."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from irtrack.archive.job import Job
from irtrack.archive.page import day_page, index_page
from irtrack.archive.store import Known, Result, Store, writing
from irtrack.archive.tables import text, write_recordings

Row = dict[str, Any]


def publish(store: Store, job: Job, known: Mapping[str, Known]) -> None:
    """Write the data set and the pages. Raises SinkError."""
    results = store.all_results()
    days = by_day(rows_of(known, results))
    with store.workplace() as place:
        for number, (day, rows) in enumerate(days.items()):
            made = place / f"{number}.parquet"
            with writing(made):
                write_recordings([{k: v for k, v in row.items() if k != "thumbnail"} for row in rows], made)
            store.put(made, store.out / f"recordings/day={day}/recordings.parquet")
    for day, rows in days.items():
        store.put_text(store.out / f"days/{day}.html", day_page(day, rows))
    store.put_text(store.out / "index.html", index_page(store.out.name, days, job))
    for stale in (*store.out.glob("recordings/day=*"), *store.out.glob("days/*.html")):
        if stale.name.removeprefix("day=").removesuffix(".html") not in days:
            remove(stale)


def remove(path: Path) -> None:
    """A page, or a folder of the data set, of a day that has no recordings any more."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            (path / "recordings.parquet").unlink(missing_ok=True)
            path.rmdir()
        else:
            path.unlink()


def by_day(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each day, in order of days and starts."""
    days = defaultdict[str, list[Row]](list)
    for row in sorted(rows, key=lambda r: (str(r["started"] or ""), r["path"])):
        started = row["started"]
        days[f"{started:%Y-%m-%d}" if started is not None else "unknown"].append(row)
    return dict(sorted(days.items()))


def rows_of(known: Mapping[str, Known], results: Mapping[str, Result]) -> list[Row]:
    """A row for each content: of what is done, and of what failed. Where several files have it, the first that is
    there stands for it."""
    paths = defaultdict[str, list[str]](list)
    for path, each in sorted(known.items(), key=lambda item: (not item[1].present, item[0])):
        if each.content:
            paths[each.content].append(path)
    rows = [done_row(r, paths[r.content], any(known[p].present for p in paths[r.content])) for r in results.values()]
    done = {r.content for r in results.values()}
    return rows + [failed_row(path, each) for path, each in known.items() if each.error and each.content not in done]


def done_row(r: Result, paths: list[str], present: bool) -> Row:
    """Of a recording that is done."""
    first, *copies = paths or [r.name]
    return {
        "recording": r.key, "path": text(first), "copies": list(map(text, copies)), "present": present,
        "status": "damaged" if r.error else "done", "error": text(r.error) or None,
        "started": datetime.fromisoformat(r.started), "started_by": r.started_by, "frames": r.frames,
        "duration_s": r.duration_s, "width": r.width, "height": r.height, "bits": r.bits, "fps": r.fps,
        "clock": r.clock, "tracks": r.tracks, "rows": r.rows, "log": list(map(text, r.logs)),
        "remarks": list(map(text, r.remarks)), "sha256": r.content, "model": r.model, "irtrack": r.irtrack,
        "analysed": datetime.fromisoformat(r.analysed), "thumbnail": r.thumbnail,
    }  # fmt: skip


def failed_row(path: str, known: Known) -> Row:
    """Of one that could not be done."""
    started = datetime.fromisoformat(known.started) if known.started else None
    return {
        "recording": None, "path": text(path), "copies": [], "present": known.present, "status": "failed",
        "error": text(known.error), "started": started, "started_by": known.started_by or None,
        "sha256": known.content or None, "thumbnail": "",
    }  # fmt: skip
