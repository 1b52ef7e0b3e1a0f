"""Rows of a benchmark: kept, printed, written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


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


def write_json(rows: Sequence[Row], path: Path) -> None:
    """A list of objects with the fields of `Row`."""
    path.write_text(json.dumps([asdict(r) for r in rows], indent=1), encoding="utf-8")
