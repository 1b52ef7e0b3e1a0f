"""The folder of an archive. Whatever is in it was put there whole: written beside, brought to the disk, renamed.

archive.json            what is done to every recording here
results/KEY.json        a recording is done once this is there
tracks/day=D/KEY.parquet, logs/NAME-KEY.csv, thumbnails/KEY.jpg
parts/KEY/              what the network found in parts of a recording that is not done yet
work/                   what is being written
files.json              which file had which content when it was last looked at
recordings/day=D/       made from the results and files.json, as are index.html and days/
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from irtrack.archive.job import Job, difference, settled
from irtrack.core import IrtrackError, SinkError
from irtrack.sinks.target import claimed_folder, reason, write_whole

SHORT = 12
"""Letters of a key in names that people read."""

KEYED = re.compile(r"(?:^|-)([0-9a-f]{12})[0-9a-f]*(?:\.part\d+)?$")
"""The end of names that have one, without suffix."""


@dataclass(frozen=True)
class Known:
    """A recording that was looked at. `stamp` changes when its files do; `content` is its SHA-256.

    `started`: UTC in ISO 8601; `started_by`: `recording`, or `file` where the time of its file had to do.
    `error`: why nothing came of it. `present`: whether it was there when the last run began.
    """

    stamp: str
    content: str = ""
    frames: int | None = None
    fps: float | None = None
    started: str = ""
    started_by: str = ""
    error: str = ""
    present: bool = True

    @property
    def day(self) -> str:
        """YYYY-MM-DD of its start, UTC."""
        return self.started[:10] or "unknown"


@dataclass(frozen=True)
class Result:
    """What came of a recording. `error`: why it could not be read to its end, if so; its tracks reach as far.

    `again`: frames whose picture came otherwise out of its decoder in a part than in one pass, looked at again.
    """

    key: str
    content: str
    name: str
    day: str
    started: str
    started_by: str
    frames: int
    duration_s: float
    width: int
    height: int
    bits: int
    fps: float | None
    clock: str
    tracks: int
    rows: int
    parts: int
    again: int
    logs: tuple[str, ...]
    thumbnail: str
    remarks: tuple[str, ...]
    model: str
    irtrack: str
    analysed: str
    error: str = ""

    @property
    def tracks_file(self) -> str:
        """Its part of the data set of tracks."""
        return f"tracks/day={self.day}/{self.key}.parquet"

    @staticmethod
    def of(values: Mapping[str, Any]) -> Result:
        """Of plain values. Raises TypeError or KeyError for others."""
        lists = {name: tuple(values[name]) for name in ("logs", "remarks")}
        return Result(**{f.name: values[f.name] for f in fields(Result)} | lists)


class Store:
    """Paths in an archive's folder, and what is kept there; used by the client and by workers."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.results, self.parts, self.work = out / "results", out / "parts", out / "work"

    # -- one client at a time ---------------------------------------------------------------------------------------

    def claimed(self) -> contextlib.AbstractContextManager[None]:
        """While no other client writes here. Raises SinkError."""
        return claimed_folder(self.out)

    def check(self) -> None:
        """Raises IrtrackError where the folder holds something else than an archive."""
        if self.out.is_dir() and any(self.out.iterdir()) and not (self.out / "archive.json").exists():
            left = [p.name for p in self.out.iterdir() if p.name != ".lock"]
            if left:
                raise IrtrackError(f"{self.out} holds other files ({left[0]}): give --out a folder of its own")

    def _before(self) -> dict[str, Any] | None:
        """What was done here in earlier runs, if there were any. Raises IrtrackError."""
        path = self.out / "archive.json"
        found = read_json(path) if path.exists() else None
        return found if isinstance(found, dict | None) else {}

    def as_before(self, job: Job) -> Job:
        """The job, and what it leaves open as it was done before: nothing hangs on which worker answers first."""
        before = self._before()
        return job if before is None else settled(job, before)

    def take_job(self, job: Job) -> None:
        """Note what is done here. Raises IrtrackError where that was something else before."""
        before = self._before()
        if before is not None:
            changed = difference(job, before)
            if changed:
                raise IrtrackError(
                    f"{self.out} holds results made otherwise ({changed}): give another --out, or the same options"
                )
        else:
            self.put_text(self.out / "archive.json", json.dumps(job.to_dict(), indent=1))

    # -- files ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def workplace(self) -> Iterator[Path]:
        """A folder to write in, of nobody else; it goes in the end. Raises SinkError."""
        place = self.work / uuid4().hex
        with writing(place):
            place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def put(self, made: Path, place: Path) -> None:
        """Put a file that is whole in its place. Raises SinkError."""
        with writing(place):
            with made.open("rb+") as file:
                os.fsync(file.fileno())
            place.parent.mkdir(parents=True, exist_ok=True)
            made.replace(place)

    def put_text(self, place: Path, text: str) -> None:
        """The same with a text. Raises SinkError."""
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, text)

    def part(self, key: str, first: int, end: int) -> Path:
        """Of what the network found in frames `first` to `end` (exclusive)."""
        return self.parts / key / f"{first:09d}-{end:09d}.npz"

    # -- what is known ----------------------------------------------------------------------------------------------

    def finish(self, result: Result) -> None:
        """A recording is done: the last step, once all its files are in their places. Raises SinkError."""
        self.put_text(self.results / f"{result.key}.json", json.dumps(asdict(result)))
        shutil.rmtree(self.parts / result.key, ignore_errors=True)

    def result(self, key: str) -> Result | None:
        """Of a recording that is done, if all its files are there."""
        path = self.results / f"{key}.json"
        try:
            found = Result.of(read_json(path))
        except (IrtrackError, TypeError, KeyError, AttributeError):
            return None
        whole = all((self.out / name).exists() for name in (found.tracks_file, *found.logs))
        return found if whole else None

    def all_results(self) -> dict[str, Result]:
        """By key."""
        keys = sorted(p.stem for p in self.results.glob("*.json"))
        return {key: found for key in keys if (found := self.result(key)) is not None}

    def known(self) -> dict[str, Known]:
        """Recordings by their SOURCE text; empty where that cannot be read: they are looked at again."""
        try:
            values = read_json(self.out / "files.json")
            return {text: Known(**each) for text, each in values.items()}
        except (IrtrackError, TypeError, AttributeError):
            return {}

    def remember(self, known: Mapping[str, Known]) -> None:
        """Raises SinkError."""
        self.put_text(self.out / "files.json", json.dumps({text: asdict(each) for text, each in known.items()}))

    def sweep(self, results: Mapping[str, Result]) -> None:
        """Remove what kills left behind; nothing may be under way."""
        shutil.rmtree(self.work, ignore_errors=True)
        wanted = {name for r in results.values() for name in (r.tracks_file, r.thumbnail, *r.logs)}
        short = {key[:SHORT] for key in results}
        for pattern in ("tracks/day=*/*.parquet", "logs/*.csv", "thumbnails/*.jpg"):
            for path in self.out.glob(pattern):
                key = KEYED.search(path.stem)
                if key is not None and key[1] in short and path.relative_to(self.out).as_posix() not in wanted:
                    with contextlib.suppress(OSError):
                        path.unlink()
        for folder in self.parts.glob("*"):
            if folder.name in results:
                shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.parts.rmdir()


def refreshed(known: Mapping[str, Known]) -> dict[str, Known]:
    """What is known, with those marked that are not there any more; of these, what failed is forgotten."""
    now = {text: replace(each, present=os.path.exists(text)) for text, each in known.items()}
    return {text: each for text, each in now.items() if each.present or not each.error}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses becomes a SinkError that names the file."""
    try:
        yield
    except OSError as error:
        raise SinkError(f"cannot write {path}: {reason(error)}") from error


def read_json(path: Path) -> Any:
    """Raises IrtrackError where it is not there or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IrtrackError(f"{path} cannot be read: {reason(error)}") from error
