"""CPTV recordings of the Cacophony Project's thermal cameras, through the package `cptv`. Raw counts, 16 bits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cptv import CPTVReader

from irtrack.core import Frame, SourceError, SourceInfo, frozen

LEPTON_FPS = 9.0
"""Rate of the FLIR Lepton, where the file does not say."""

BROKEN = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zlib.error)
"""What the reader raises on damaged files."""


class CptvSource:
    """A CPTV file. Pictures are differences to the one before, so seeking reads from the beginning.

    Times are the camera's clock, from 0; a background frame, which no camera saw, is left out.
    """

    live = False

    def __init__(self, path: Path) -> None:
        """Counts the frames. Raises SourceError."""
        self._path, self._next = path, 0
        self._file: BinaryIO | None = None
        try:
            reader = self._open()
            times = [seconds(f.time_on) for f in reader if not f.background_frame]
        except BROKEN as error:
            self.close()
            raise SourceError(f"{path} is damaged or no CPTV recording: {error or type(error).__name__}") from error
        self.close()
        if not times:
            raise SourceError(f"{path} holds no frames: the recording was probably not finished")
        rate = float(reader.fps or LEPTON_FPS)
        rising = bool((np.diff(times) > 0).all())  # version 1 has no times
        self._times = [t - times[0] if rising else i / rate for i, t in enumerate(times)]
        self.info = SourceInfo(path.name, reader.x_resolution, reader.y_resolution, 16, rate, len(self._times))

    def _open(self) -> CPTVReader:
        self._file = self._path.open("rb")
        return CPTVReader(self._file)

    def __iter__(self) -> Iterator[Frame]:
        start = self._next
        try:
            index = 0
            for found in self._open():
                if found.background_frame:
                    continue
                if index >= start:
                    self._next = index + 1
                    yield Frame(index, self._times[index], frozen(np.array(found.pix, np.uint16)))
                index += 1
        except BROKEN as error:
            raise SourceError(f"{self._path} is damaged behind frame {self._next - 1}: {error}") from error
        finally:
            self.close()

    def seek(self, index: int) -> None:
        """Continue at frame `index`. Raises SourceError outside the recording."""
        if not 0 <= index < len(self._times):
            raise SourceError(f"frame {index} is outside {self._path.name}, which has {len(self._times)}")
        self._next = index

    def close(self) -> None:
        """Give back the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def seconds(time_on: timedelta | None) -> float:
    """Time since the camera was switched on; files of version 1 have none."""
    return time_on.total_seconds() if time_on is not None else 0.0
