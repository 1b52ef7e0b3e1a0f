"""Lossless pictures: FFV1 in Matroska, or a folder of PNG files."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from irtrack.core import Image, SinkError
from irtrack.paths import ffmpeg_url, replacing
from irtrack.sinks.target import reason


def write_video(path: Path, images: Iterable[Image], fps: float) -> None:
    """FFV1, 8- or 16-bit grey, bit-exact on reading back; whole or not at all. Raises SinkError."""
    try:
        with replacing(path.resolve()) as part, av.open(ffmpeg_url(part), "w", format="matroska") as container:
            stream: av.VideoStream | None = None
            for image in images:
                pix_fmt = "gray" if image.dtype == np.uint8 else "gray16le"
                if stream is None:
                    stream = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1000))
                    stream.height, stream.width = image.shape
                    stream.pix_fmt = pix_fmt
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=pix_fmt)
                container.mux(stream.encode(frame))
            if stream is not None:
                container.mux(stream.encode(None))
    except (OSError, av.FFmpegError) as error:
        raise SinkError(f"cannot write {path}: {reason(error)}") from error


@contextlib.contextmanager
def new_folder(path: Path, force: bool) -> Iterator[Path]:
    """A folder to write to, which is there once all has been written; with `force` one that is there, as it is.

    Raises SinkError.
    """
    if path.exists() and not (force and path.is_dir()):
        what = "exists: choose another name, or write into it with --force" if path.is_dir() else "is a file"
        raise SinkError(f"{path} {what}")
    if path.exists():
        yield path
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.rename(path)
    except OSError as error:
        raise SinkError(f"cannot write to {path}: {reason(error)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_images(folder: Path, images: Iterable[Image], force: bool) -> None:
    """PNG files 000000.png and on; with `force` in place of all that were written so before. Raises SinkError."""
    if folder.exists() and not force:
        raise SinkError(f"{folder} exists: choose another name, or write into it with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = set()
        for i, image in enumerate(images):
            path = folder / f"{i:06d}.png"
            written.add(path)
            with replacing(path) as part:
                part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        for former in set(folder.glob("[0-9]" * 6 + ".png")) - written:
            former.unlink()  # a longer scene's: what is left of it would follow this one's
    except OSError as error:
        raise SinkError(f"cannot write to {folder}: {reason(error)}") from error
