"""How the recordings that were opened last look: small pictures in the user's data folder, for the start page."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import platformdirs

from irtrack.core import Image
from irtrack.imaging.agc import Agc

WIDTH_PX, HEIGHT_PX = 224, 160
"""Twice what is shown, for screens of small pixels."""


def thumbnails_folder() -> Path:
    """For the user's eyes alone."""
    return Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "thumbnails"


def thumbnail_path(source: str) -> Path:
    """The picture of a source, whether it is there or not."""
    return thumbnails_folder() / f"{hashlib.sha256(os.fsencode(source)).hexdigest()[:32]}.png"


def keep_thumbnail(source: str, image: Image) -> None:
    """Keep how a picture (H, W) looks; where it cannot be written, there is none."""
    scale = min(WIDTH_PX / image.shape[1], HEIGHT_PX / image.shape[0])
    size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
    small = cv2.resize(Agc()(image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    with contextlib.suppress(OSError):
        thumbnails_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        thumbnail_path(source).write_bytes(cv2.imencode(".png", small)[1].tobytes())


def tidy_thumbnails(sources: Iterable[str]) -> None:
    """Leave those of these sources."""
    kept = {thumbnail_path(source) for source in sources}
    with contextlib.suppress(OSError):
        for path in set(thumbnails_folder().glob("*.png")) - kept:
            path.unlink()
