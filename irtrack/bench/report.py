"""Rows of a benchmark: kept, printed, written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from irtrack.sinks.figure import new_figure, save_figure
from irtrack.sinks.target import write_output


@dataclass(frozen=True)
class Row:
    """One figure. `ratio`: how many times longer or shorter than what the benchmark compares with, or None.

    Of the network: the reference's time over this one's; of the tracker: another tracker's over irtrack's.
    """

    stage: str
    backend: str
    mode: str
    size: str
    threads: int
    median_ms: float
    ratio: float | None = None


def median_ms(seconds: Sequence[float]) -> float:
    """The middle of the timings, in milliseconds."""
    return 1e3 * float(np.median(seconds)) if len(seconds) else float("nan")


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text."""
    lines = [("stage", "backend", "mode", "size", "threads", "median ms", "ratio")]
    for r in rows:
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        lines.append((r.stage, r.backend, r.mode, r.size, str(r.threads), f"{r.median_ms:.2f}", ratio))
    widths = [max(len(line[i]) for line in lines) for i in range(7)]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Times as bars, one panel for each size; `path` as of `check_figure`. Raises SinkError."""
    sizes = list(dict.fromkeys(r.size for r in rows if r.ratio is not None))
    figure = new_figure(10, 0.6 + 2.6 * len(sizes))
    for i, size in enumerate(sizes):
        shown = [r for r in rows if r.size == size and r.ratio is not None]
        axes = figure.add_subplot(len(sizes), 1, i + 1)
        bars = axes.barh([f"{r.backend}, {r.mode}" for r in shown], [r.median_ms for r in shown], color="#3b6ea5")
        axes.bar_label(bars, [f"{r.median_ms:.0f} ms, {r.ratio:.1f} times" for r in shown], padding=4, fontsize=8)
        axes.set_title(f"{size}, {shown[0].threads} threads", fontsize=10)
        axes.set_xlim(0, 1.25 * max(r.median_ms for r in shown))
        axes.invert_yaxis()
        axes.set_xlabel("ms a frame, median")
    save_figure(figure, path)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """A list of objects with the fields of `Row`."""
    write_output(path, json.dumps([asdict(r) for r in rows], indent=1))
