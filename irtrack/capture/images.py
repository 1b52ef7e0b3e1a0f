"""Folders and globs of 8- or 16-bit images, in natural order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from irtrack.capture.grey import colour_to_grey
from irtrack.core import Frame, Image, SourceError, SourceInfo, frozen


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sorts `img2` before `img10`."""
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", path.name) if part]


def read_image(path: Path) -> Image:
    """One image as grey counts (H, W) uint8 or uint16. Raises SourceError."""
    try:
        code = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    image = cv2.imdecode(code, cv2.IMREAD_UNCHANGED) if len(code) else None
    if image is None:
        raise SourceError(f"{path} is not an image that can be read: it is empty, damaged or of another kind")
    if image.dtype not in (np.uint8, np.uint16):
        raise SourceError(f"{path} holds {image.dtype} pixels: 8- and 16-bit images are read")
    if image.ndim == 3:
        image = colour_to_grey(image[:, :, [2, 1, 0]] if image.shape[2] >= 3 else image[:, :, :1])
    return image


class ImagesSource:
    """Images as frames; their time is their number over `fps`."""

    live = False

    def __init__(self, name: str, paths: Sequence[Path], fps: float) -> None:
        """Reads the first image for the size. Raises SourceError."""
        self._paths = sorted(paths, key=natural_key)
        self._fps = fps
        first = read_image(self._paths[0])
        bits = 8 * first.dtype.itemsize
        self.info = SourceInfo(Path(name).name, first.shape[1], first.shape[0], bits, fps, len(self._paths))
        self._first: Image | None = first
        self._shape = first.shape
        self._next = 0

    def __iter__(self) -> Iterator[Frame]:
        while self._next < len(self._paths):
            index, self._next = self._next, self._next + 1
            path = self._paths[index]
            image = self._first if index == 0 and self._first is not None else read_image(path)
            self._first = None
            if image.shape != self._shape:
                raise SourceError(
                    f"{path} is {image.shape[1]}x{image.shape[0]}, the first image {self._shape[1]}x{self._shape[0]}: "
                    "the images of a sequence must have one size"
                )
            yield Frame(index, index / self._fps, frozen(image))

    def seek(self, index: int) -> None:
        """Continue at image `index`. Raises SourceError outside the sequence."""
        if not 0 <= index < len(self._paths):
            raise SourceError(f"image {index} is outside the sequence of {len(self._paths)}")
        self._next = index

    def close(self) -> None:
        self._first = None
