"""CPTV recordings of the Cacophony Project's thermal cameras, through the package `cptv`. Raw counts, 16 bits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cptv import CPTVReader

from irtrack.capture.reading import check_size, reading, said
from irtrack.capture.times import mended, rate_of
from irtrack.core import Clock, Frame, Image, IrtrackError, Remarks, Source, SourceError, SourceInfo, frozen

LEPTON_FPS = 9.0
"""Rate of the FLIR Lepton, where the file does not say."""

PIECE, LARGEST_READ = 64 << 10, 64 << 20


class Unzipped:
    """What a gzip file holds, as far as it goes: where it is cut or damaged, reading ends and `problem` says so."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._zip = file, zlib.decompressobj(wbits=31)
        self._held, self._at = b"", 0
        self.problem = ""

    def read(self, length: int) -> bytes:
        """As of a file. Raises ValueError for more than any picture has."""
        if length > LARGEST_READ:
            raise ValueError(f"a record of {length} bytes")
        while len(self._held) < length and not self._zip.eof and not self.problem:
            piece = self._zip.unconsumed_tail or self._file.read(PIECE)
            try:
                self._held += self._zip.decompress(piece, LARGEST_READ)
                self.problem = "" if piece else "it is cut short"
            except zlib.error as error:
                self.problem = f"it is damaged: {error}"
        out, self._held = self._held[:length], self._held[length:]
        self._at += len(out)
        if len(out) < length > 1:  # the end of a whole file is met where a single byte is asked for
            self.problem = self.problem or "it is cut short"
        return out

    def tell(self) -> int:
        """Bytes read."""
        return self._at

    def seek(self, place: int) -> None:
        """Only to where it is, as the reader does before its first picture."""
        if place != self._at:
            raise ValueError("cannot go back")


class Reader(CPTVReader):  # type: ignore[misc]
    """The package's reader, on a file that may be cut."""

    def __init__(self, stream: Unzipped) -> None:
        self.s = stream
        self.header = self._read_header(stream)
        self.frame_file_offset = stream.tell()


class CptvSource(Source):
    """A CPTV file. Pictures are differences to the one before, so seeking reads from the beginning.

    Times are the camera's clock, from 0; a background frame, which no camera saw, is left out.
    """

    live = False

    def __init__(self, path: Path, fps: float | None) -> None:
        """Counts the frames. Raises SourceError."""
        self._path, self._next = path, 0
        self._file: BinaryIO | None = None
        self._problem = ""
        clocks: list[timedelta | None] = []
        try:
            with reading(path, "is damaged or no CPTV recording"):
                reader = self._open()
            clocks = [clock for _, clock in self._pictures(reader)]
        finally:
            self.close()
        if not clocks:
            raise SourceError(f"{path} holds no whole frame: it is damaged, or the recording was not finished")
        remarks = Remarks()
        rate = fps or float(reader.fps or LEPTON_FPS)
        clock = Clock.GIVEN if fps else Clock.FILE if reader.fps else Clock.ASSUMED
        times = [c.total_seconds() for c in clocks if c is not None]
        self._times = [i / rate for i in range(len(clocks))]
        if not fps and len(times) == len(clocks) and len(set(times)) > 1:  # version 1 has no times
            self._times, clock = mended(path.name, times, remarks, 1 / rate), Clock.FILE
            rate = rate_of(self._times) or rate
        width, height = reader.x_resolution, reader.y_resolution
        self.info = SourceInfo(path.name, width, height, 16, rate, len(self._times), clock, remarks)

    def _open(self) -> Reader:
        self._file = self._path.open("rb")
        self._stream = Unzipped(self._file)
        reader = Reader(self._stream)
        check_size(self._path, reader.x_resolution, reader.y_resolution)
        return reader

    def _pictures(self, reader: Reader) -> Iterator[tuple[Image, timedelta | None]]:
        """Whole pictures with the camera's clock; what ends them early is kept in `_problem`."""
        try:
            for found in reader:
                if self._stream.problem:
                    break
                if not found.background_frame:
                    yield np.array(found.pix, np.uint16), found.time_on
            self._problem = self._stream.problem
        except IrtrackError:
            raise
        except Exception as error:  # whatever damaged bytes make the package raise
            self._problem = self._stream.problem or f"it is damaged: {said(error)}"

    def __iter__(self) -> Iterator[Frame]:
        start, index = self._next, 0
        try:
            with reading(self._path):
                reader = self._open()
            for image, _ in self._pictures(reader):
                if index >= len(self._times):
                    break
                if index >= start:
                    self._next = index + 1
                    yield Frame(index, self._times[index], frozen(image))
                index += 1
        finally:
            self.close()
        if self._problem and start < len(self._times):
            raise SourceError(f"{self._path}: {self._problem}; {len(self._times)} frames could be read and were used")

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
