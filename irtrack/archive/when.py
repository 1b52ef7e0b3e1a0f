"""When a recording was made: as its file says, or else by the time at which its file was last changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av

from irtrack.archive.found import files_in
from irtrack.paths import ffmpeg_url

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""What claims to be older has no clock."""


def started(text: str, duration_s: float) -> tuple[datetime, str]:
    """Start of a recording in UTC, and what says so: `recording` or `file`. Raises OSError."""
    files = files_in(text)
    said = creation_time(files[0]) if len(files) == 1 else None
    if said is not None:
        return said, "recording"
    return changed(files) - timedelta(seconds=duration_s), "file"


def changed(files: Sequence[Path]) -> datetime:
    """When the last of these files was changed, UTC. Raises OSError."""
    return datetime.fromtimestamp(max((path.stat().st_mtime for path in files), default=0.0), UTC)


def creation_time(path: Path) -> datetime | None:
    """As FFmpeg reads it from the file's header; None where there is none that can be."""
    try:
        with av.open(ffmpeg_url(path), "r", metadata_errors="ignore") as container:
            texts = [
                container.metadata.get("creation_time"),
                *(s.metadata.get("creation_time") for s in container.streams),
            ]
        moment = datetime.fromisoformat(next(filter(None, texts)))
    except (OSError, av.FFmpegError, ValueError, StopIteration):
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return moment if EARLIEST <= moment <= datetime.now(UTC) + timedelta(days=1) else None
