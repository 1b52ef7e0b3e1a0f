"""TIFF stacks, 8 or 16 bits, page by page; with the times that irtrack's own recordings carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from irtrack.capture.grey import colour_to_grey
from irtrack.core import Frame, Image, SourceError, SourceInfo, frozen


class TiffSource:
    """Pages of a TIFF file as frames. Their time is that in their description, as `sinks/record.py` writes it, or else
    their number over `fps`. A single page is a sequence of one."""

    live = False

    def __init__(self, path: Path, fps: float) -> None:
        """Reads the page list and the first page. Raises SourceError."""
        self._path, self._fps, self._next = path, fps, 0
        try:
            self._file = tifffile.TiffFile(path)
            self._count = len(self._file.pages)
        except (tifffile.TiffFileError, ValueError, IndexError) as error:
            raise SourceError(f"{path} is not a TIFF file that can be read: {error}") from error
        # A stack written as one block (ImageJ, uncompressed) has a single page header for all of its frames.
        series = self._file.series[0] if self._file.series else None
        self._block: np.ndarray | None = None  # type: ignore[type-arg]
        if self._count == 1 and series is not None and len(series.shape) == 3 and series.shape[-1] not in (3, 4):
            self._block = series.asarray(out="memmap")
            self._count = len(self._block)
        first = self._page(0)
        bits = 8 * first.dtype.itemsize
        self._shape = first.shape
        self.info = SourceInfo(path.name, first.shape[1], first.shape[0], bits, fps, self._count)

    def _page(self, index: int) -> Image:
        try:
            image = self._block[index] if self._block is not None else self._file.pages[index].asarray()
        except (tifffile.TiffFileError, ValueError, IndexError, OSError, RuntimeError, KeyError) as error:
            raise SourceError(f"{self._path}: page {index} of {self._count} cannot be read ({error})") from error
        if image.dtype not in (np.uint8, np.uint16):
            raise SourceError(f"{self._path} holds {image.dtype} pixels: 8- and 16-bit stacks are read")
        return np.ascontiguousarray(colour_to_grey(image))

    def _time_s(self, index: int) -> float:
        try:
            return float(json.loads(getattr(self._file.pages[index], "description", ""))["time_s"])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return index / self._fps

    def __iter__(self) -> Iterator[Frame]:
        while self._next < self._count:
            index = self._next
            image = self._page(index)
            if image.shape != self._shape:
                raise SourceError(
                    f"{self._path}: page {index} is {image.shape}, the first {self._shape}; sizes must agree"
                )
            self._next += 1
            yield Frame(index, self._time_s(index), frozen(image))

    def seek(self, index: int) -> None:
        """Continue at page `index`. Raises SourceError outside the stack."""
        if not 0 <= index < self._count:
            raise SourceError(f"page {index} is outside the stack of {self._count}")
        self._next = index

    def close(self) -> None:
        self._file.close()
