"""Tables of numbers in text files as spreadsheets, R, MATLAB and trackers write them."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irtrack.core import Floats, IrtrackError
from irtrack.text import decoded, read_bytes

BOOKS = {
    b"PK\x03\x04": "a workbook or an archive", b"\xd0\xcf\x11\xe0": "a workbook", b"PAR1": "Parquet",
    b"SQLi": "a database (SQLite)", b"\x1f\x8b": "compressed (gzip)", b"\x93NUM": "an array of NumPy",
    b"{": "JSON", b"[": "JSON", b"<": "XML or a web page",
}  # fmt: skip
"""First bytes of what other programs keep tables in."""

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})
"""What stands in a cell whose value is not known."""

LARGEST_BYTES, MOST_ROWS = 128 << 20, 3_000_000
"""Of a table: more are not held in memory."""

SURE_ROWS = 3
"""After so many rows whose last cell has as many digits behind the point each, one with fewer was cut off."""

DELIMITERS = (";", "\t", ",")


FRAMES = ("frame", "frame_id", "frame_number", "frame_no", "frame_index", "frame_idx")
"""What columns of frame numbers are called."""

UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
TIMES = {f"{name}_{unit}": of_s for name in ("time", "timestamp", "t", "ts") for unit, of_s in UNITS.items()}
"""What columns of times are called, and their units in seconds."""

UNITLESS = ("t", "ts", "seconds", "sec", "ms", "us", "ns", "utc")
WORDS_OF_TIMES = ("time", "stamp", "date")
"""Columns of times whose unit or beginning nobody knows: called so, or with these words."""


@dataclass(frozen=True)
class Clock:
    """Frames (N,) of a table, and the seconds (N,) at which they were taken; both rise."""

    frames: Floats
    times: Floats

    @property
    def rate(self) -> float:
        """Frames a second."""
        steps = np.diff(self.frames), np.diff(self.times)
        usual, mean = float(np.median(steps[0] / steps[1])), float(steps[0].sum() / steps[1].sum())
        return mean if abs(mean / usual - 1) < 0.02 else usual  # the mean is surer, where times have few digits

    @property
    def even(self) -> bool:
        """Whether one rate tells the time of every frame, within a fifth of a step."""
        fitted = np.polynomial.Polynomial.fit(self.frames, self.times, 1)(self.frames)
        return bool(np.abs(fitted - self.times).max() < 0.2 / self.rate)

    def at(self, frame: float) -> float:
        """The time of a frame, also of those between and beyond those of the table."""
        first, last = self.frames[[0, -1]]
        beyond = min(frame - first, 0.0) + max(frame - last, 0.0)
        return float(np.interp(frame, self.frames, self.times)) + beyond / self.rate


class DetectionFileError(IrtrackError):
    """A file of detections or tracks cannot be read."""


class Table:
    """A table's `header` (names in small letters; empty where there is none) and its rows, read one after the other.

    Cells are separated by commas, semicolons, tabs or spaces, whichever the first line has; where it is not the comma,
    numbers may have decimal commas. Lines that are empty or begin with # are passed over.
    """

    def __init__(self, path: Path) -> None:
        """Raises DetectionFileError."""
        self.path = path
        try:
            data = read_bytes(path, LARGEST_BYTES)
            if book := next((kind for mark, kind in BOOKS.items() if data.startswith(mark)), ""):
                raise DetectionFileError(f"{path} is {book}: save its table as CSV")
            text = decoded(data).replace("\r\n", "\n").replace("\r", "\n")
        except OSError as error:
            raise DetectionFileError(f"{path} cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            why = "it is no text" if isinstance(error, UnicodeError) else error
            raise DetectionFileError(f"{path} cannot be read as text: {why}") from error
        self._text, self._skipped = text, 0
        lines = (line.strip() for line in lines_of(text))
        first = ""
        for line in lines:
            self._skipped += 1
            if line.lower().startswith("sep="):  # a note of Excel's to itself
                continue
            first = line.lstrip("#").strip() if "frame" in line.lower() else line
            if first and not first.startswith("#"):
                break
        else:
            first = ""
        self.first = first
        self.delimiter = next((d for d in DELIMITERS if d in first), " ")
        cells = self._cells([first]) if first else []
        self._width = len(cells)
        names = [c.strip().lower() for c in cells]
        self.header = names if names and not any(is_number(n) for n in names) else []
        if not self.header:
            self._skipped = 0
        self._trackmate = "position_x" in self.header  # whose header has four lines
        self.cut = False
        """Whether the last row was cut off while it was written, and left out."""
        self.short = 0
        """Rows with fewer cells than the header, before the last: what they lack reads as blank."""

    def _cells(self, lines: Sequence[str]) -> list[str]:
        return next(csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True), [])

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line numbers and cells. Raises DetectionFileError, also where cells are more than columns."""
        lines = lines_of(self._text)
        unended = 0 if self._text.endswith("\n") else self._text.count("\n") + 1
        for _ in range(self._skipped):
            next(lines, "")
        plain = ("" if line.startswith("#") or line.lower().startswith("sep=") else line for line in lines)
        if self.delimiter == " ":
            plain = (" ".join(line.split()) for line in plain)
        reader = csv.reader(plain, delimiter=self.delimiter, skipinitialspace=True)
        self.short = 0
        digits, rows = set[int](), 0
        try:
            for cells in reader:
                line = self._skipped + reader.line_num
                if not any(c.strip() for c in cells) or (self._trackmate and not any(map(is_number, cells))):
                    continue
                if self.header and any(c.strip() for c in cells[self._width :]):
                    raise DetectionFileError(
                        f"{self.path} line {line} has {len(cells)} cells, the header {self._width}: with decimal "
                        "commas, cells must be separated by semicolons"
                    )
                last = decimals(cells[-1])
                shorter = rows >= SURE_ROWS and len(digits) == 1 and last < min(digits)
                if line == unended and (len(cells) < self._width or shorter):
                    self.cut = True
                    return
                digits.add(last)
                rows += 1
                self.short += bool(self.header) and len(cells) < self._width
                yield line, cells
        except csv.Error as error:
            raise DetectionFileError(f"{self.path} line {self._skipped + reader.line_num}: {error}") from error

    def numbers(self, columns: Sequence[int | None], otherwise: str = "") -> Floats:
        """Rows (N, 1 + columns): the number of the line, then these columns; NaN where there is none or it is blank.

        Raises DetectionFileError with the line at fault, which is `otherwise` instead of a row.
        """
        table = array("d")
        for line, cells in self.rows():
            try:
                row = [math.nan if c is None or c >= len(cells) else self._number(cells[c]) for c in columns]
            except ValueError as error:
                shown = self.delimiter.join(cells)[:60]
                why = f"is {otherwise}: {shown!r}" if otherwise else f"has {error}"
                raise DetectionFileError(f"{self.path} line {line} {why}") from error
            table.extend((line, *row))
            if len(table) > MOST_ROWS * (1 + len(columns)):
                raise DetectionFileError(f"{self.path} has more than {MOST_ROWS:,} rows: split it")
        return np.frombuffer(table, np.float64).reshape(-1, 1 + len(columns))

    def _number(self, cell: str) -> float:
        return number(cell, self.delimiter)

    def texts(self, column: int) -> list[str]:
        """One column as it stands, a text for each row."""
        return [cells[column].strip() if column < len(cells) else "" for _, cells in self.rows()]

    @property
    def timed(self) -> bool:
        """Whether it has a column of times."""
        return any(name in self.header for name in TIMES)

    @property
    def timed_somehow(self) -> str:
        """A column of times that is not read, '' where there is none."""
        return next((n for n in self.header if n in UNITLESS or any(word in n for word in WORDS_OF_TIMES)), "")

    def clock(self) -> Clock | None:
        """When frames were taken, by the columns frame and a time; None where they are not there, or do not tell."""
        frame = self.column(FRAMES)
        name, unit = next(((n, unit) for n, unit in TIMES.items() if n in self.header), ("", 0.0))
        if frame is None or not name:
            return None
        rows = np.unique(self.numbers([frame, self.column([name])])[:, 1:] * [1.0, unit], axis=0)
        rows = rows[np.isfinite(rows).all(1)]
        rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
        return Clock(rows[:, 0], rows[:, 1]) if len(rows) > 1 and (np.diff(rows[:, 1]) > 0).all() else None

    def column(self, names: Sequence[str]) -> int | None:
        """Where the first of these names stands in the header. Raises DetectionFileError where it stands twice."""
        name = next((n for n in names if n in self.header), None)
        if name is None:
            return None
        if self.header.count(name) > 1:
            raise DetectionFileError(f"{self.path}: two columns are called {name!r}: rename the one that is not meant")
        return self.header.index(name)


def lines_of(text: str) -> Iterator[str]:
    """Lines with their ends, one after the other: a list of all takes several times the memory."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def decimals(cell: str) -> int:
    """How many digits a cell has behind the point."""
    return len(cell.strip().replace(",", ".").partition(".")[2])


def number(cell: str, delimiter: str) -> float:
    """A cell's number, NaN where it is not known. Raises ValueError."""
    text = cell.strip()
    if text.lower() in MISSING:
        return math.nan
    if text.lower() in ("true", "false"):  # of whether a row counts
        return float(text.lower() == "true")
    if delimiter != "," and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        if "_" in text:  # Python's own way to group digits
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} instead of a number") from None


def is_number(text: str) -> bool:
    """Whether a cell of the first line is one of data."""
    try:
        number(text, ";")
    except ValueError:
        return False
    return text.strip() not in ("", "-")
