"""Names of files, whatever bytes and characters they are made of, and what tells one file's content from another's."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import select
import stat
import time
from collections.abc import Iterator
from pathlib import Path

IMAGE_SUFFIXES = (
    ".png", ".apng", ".bmp", ".jpg", ".jpeg", ".jpe", ".mpo", ".pgm", ".pnm", ".ppm", ".pbm", ".tif", ".tiff", ".dng",
    ".jp2", ".webp", ".gif",
)  # fmt: skip
"""Of files that are meant as images."""

PIPE_S, LOOK_S = 5.0, 0.02
"""Somebody must have begun to write into a pipe by then; so often it is looked at."""

DROPPINGS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
"""Files that systems leave in folders of images, besides hidden ones."""


def ffmpeg_url(path: Path) -> str:
    """The path as FFmpeg cannot misread it: of `12:30.mkv` it would take `12` for a protocol."""
    return f"file:{path}"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside a file to write to; what was written takes the file's place at the end, or goes if that fails.

    Raises OSError, also for a device, whose place no file may take.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "it is no file", str(path))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def is_dropping(path: Path) -> bool:
    """Whether a system left the file there and nobody means it: `._0001.png` of a Mac, `Thumbs.db`, hidden files."""
    return path.name.startswith(".") or path.name.lower() in DROPPINGS


def is_pipe(path: Path) -> bool:
    """Whether it leads to or from another program."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def bytes_of(path: Path, most: int) -> bytes:
    """The first bytes of a file, or of what another program writes into a pipe. Raises OSError, and ValueError for a
    pipe into which nobody writes: its end would be waited for for ever."""
    if is_pipe(path):
        return bytes_of_pipe(path, most)
    with path.open("rb") as file:
        return file.read(most)


def bytes_of_pipe(path: Path, most: int) -> bytes:
    """As `bytes_of`."""
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        code, until = b"", time.monotonic() + PIPE_S
        while not code and not select.select([pipe], [], [], 0)[0]:
            try:
                code = os.read(pipe, 1)
            except BlockingIOError:  # somebody has the other end, and takes his time
                break
            if not code and time.monotonic() > until:
                raise ValueError("it is a pipe, and nobody writes into it")
            time.sleep(LOOK_S)
        os.set_blocking(pipe, True)
        with os.fdopen(pipe, "rb", closefd=False) as file:
            return code + file.read(most - len(code))
    finally:
        os.close(pipe)


def sha256_of(path: Path) -> str:
    """Of all that is in a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
