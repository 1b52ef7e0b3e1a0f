"""Writing what the window has seen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import cv2

from irtrack.config import Settings
from irtrack.core import FrameResult, SinkError
from irtrack.sinks.draw import annotate
from irtrack.sinks.text import CompletedLog, CsvSink, JsonLinesSink, MotSink, TextSink, check_target, reason

SUFFIXES = ("Track log (*.csv)", "MOTChallenge (*.txt)", "JSON lines (*.jsonl)")
KINDS: dict[str, type[TextSink]] = {".csv": CsvSink, ".txt": MotSink, ".jsonl": JsonLinesSink}


def export_tracks(results: Iterable[FrameResult], path: Path, settings: Settings) -> int:
    """Write results as the suffix says; returns the number of frames. Raises SinkError, also for an existing file."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise SinkError(f"{path.name}: tracks are exported as {', '.join(KINDS)}")
    log = CompletedLog(kind(path), settings.tracker.log_delay_s)
    count = 0
    try:
        for result in results:
            log.write(result)
            count += 1
    finally:
        log.close()
    return count


def save_snapshot(result: FrameResult, path: Path) -> None:
    """The annotated picture as PNG. Raises SinkError."""
    check_target(path, force=False)
    picture = annotate(result, scale=max(1, 720 // result.frame.image.shape[0]))
    try:
        path.write_bytes(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
    except OSError as error:
        raise SinkError(f"cannot write {path}: {reason(error)}") from error


def new_name(folder: Path, stem: str, suffix: str) -> Path:
    """A file name with date and time that is not taken yet."""
    name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = folder / f"{name}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{suffix}"
    return path
