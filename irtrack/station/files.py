"""News in files, one for each camera and day (UTC): CSV with a row for each event that ended, JSON lines of all."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

from irtrack.sinks.target import reason
from irtrack.station.events import Change
from irtrack.station.news import SAID, News, OutputError

COLUMNS = ("event", "camera", *SAID)


class FileOutput:
    """An output: each piece of news is at the operating system before the next one is taken."""

    def __init__(self, kind: str, folder: Path) -> None:
        """`kind`: csv or jsonl. `folder`: files are FOLDER/CAMERA/DAY.csv."""
        self._kind, self._folder = kind, folder
        self.name = kind

    def open(self) -> None:
        """Nothing is held open."""

    def send(self, news: News) -> None:
        """Add it to its file. Raises OutputError; what was written stays."""
        if self._kind == "csv" and news.change is not Change.ENDED:
            return
        values = news.to_dict()
        day = str(values.get("first_utc") or "")[:10] or "undated"
        path = self._folder / news.camera / f"{day}.{self._kind}"
        text = json.dumps(values, allow_nan=False) + "\n" if self._kind == "jsonl" else row_of(values)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            append(path, text, row_of(dict(zip(COLUMNS, COLUMNS, strict=True))) if self._kind == "csv" else "")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {reason(error)}") from error

    def close(self) -> None:
        """Nothing is open."""


def row_of(values: dict[str, object]) -> str:
    """A line of the table."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if (v := values.get(c)) is None else v for c in COLUMNS])
    return text.getvalue()


def append(path: Path, text: str, header: str) -> None:
    """Add lines, whole or not at all; half a line that a kill left is taken away first. Raises OSError."""
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        file.truncate(end)
        data, written = ((text if end else header + text).encode()), 0
        try:
            while written < len(data):
                written += file.write(data[written:])
        except OSError:
            file.truncate(end)
            raise
