"""What libraries in C print on the terminal by themselves (libpng, libjpeg, FFmpeg, OpenCV) is kept off it.

irtrack says in its own words what is wrong with a file; a line such as `libpng warning: iCCP: too short` says nothing
to whoever reads it.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

STDERR = 2

CHATTER = re.compile(
    rb"libpng (warning|error)|Corrupt JPEG|Premature end of JPEG|Unsupported marker|Invalid (SOS|JPEG)"
    rb"|unknown JFIF|JPEG datastream|TIFF\w*: |\[\w[\w:,-]* @ 0x[0-9a-f]+\]"
    rb"|\[ ?(WARN|ERROR|INFO|FATAL):\d|VIDEOIO|V4L2?: |gphoto|libv4l"
)
"""How the libraries' lines begin, or what only they say."""

log = logging.getLogger(__name__)


class Hush:
    """Collects what is written to standard error while anybody is inside, and passes on what is no chatter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._file: BinaryIO | None = None
        self._terminal: int | None = None

    def enter(self) -> None:
        """The first one in turns it aside."""
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process
                terminal = os.dup(STDERR)
            except OSError:  # no standard error, no room: then it is as it is
                return
            os.dup2(self._file.fileno(), STDERR)
            self._terminal = terminal

    def leave(self) -> None:
        """The last one out turns it back."""
        with self._lock:
            self._inside -= 1
            if self._inside or self._terminal is None or self._file is None:
                return
            os.dup2(self._terminal, STDERR)
            os.close(self._terminal)
            self._terminal = None
            said = self._said(self._file)
        for line in said.splitlines(keepends=True):
            if CHATTER.search(line):
                log.debug("%s", line.decode(errors="replace").rstrip())
            else:
                os.write(STDERR, line)

    def _said(self, file: BinaryIO) -> bytes:
        size = os.lseek(file.fileno(), 0, os.SEEK_CUR)
        if not size:
            return b""
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        said = os.read(file.fileno(), min(size, 1 << 20))
        os.ftruncate(file.fileno(), 0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return said


_hush = Hush()


@contextmanager
def hushed() -> Iterator[None]:
    """While a library decodes: its chatter goes to the debug log. What others write to standard error comes later.

    For short calls, in any thread.
    """
    _hush.enter()
    try:
        yield
    finally:
        _hush.leave()
