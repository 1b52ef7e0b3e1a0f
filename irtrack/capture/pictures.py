"""The pictures of one image file: one reader for each format, whoever asks (run, detect, train, the window)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import imagecodecs
import numpy as np

from irtrack.capture import flir
from irtrack.capture.beside import NETPBM, beside, highest_of, netpbm_pictures
from irtrack.capture.decoder import refuses_jpeg
from irtrack.capture.grey import IN_COLOURS, are_colours, as_counts, colour_to_grey, oriented
from irtrack.capture.headers import (
    JPEG,
    PNG,
    TIFF,
    ends_early,
    gif,
    is_spoilt,
    is_webp,
    orientation_of,
    pictures_of,
    size_of,
    webp_times,
)  # fmt: skip
from irtrack.capture.reading import check_file, check_size, reading
from irtrack.capture.tiff import TiffPages
from irtrack.core import Image, Remarks, SourceError
from irtrack.hush import hushed
from irtrack.imaging.radiometry import Radiometry

SEVERAL = frozenset({".png", ".apng", ".webp", ".gif", ".tif", ".tiff", ".dng", *NETPBM})
"""Kinds of images that may hold several pictures."""

LARGEST_ANIMATION = 512 << 20
"""Bytes of all pictures of an animated image, which are decoded at once."""


HEAD = 64 << 10
"""Bytes in which every format but GIF says whether more than one picture follows."""


class Pages(Protocol):
    """The pictures of one image file.

    `times`: seconds, where the file has them. `shortfall`: why there should be more pictures, or ''. `coloured`:
    whether a picture that was decoded is in colours.
    """

    count: int
    times: list[float] | None
    shortfall: str
    coloured: bool

    def picture(self, index: int) -> Image:
        """Counts (H, W) uint8 or uint16, as the picture is to be shown. Raises SourceError."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


def open_pages(path: Path, remarks: Remarks) -> Pages:
    """An image file of any kind, by its content. Raises SourceError."""
    check_file(path)
    with reading(path, "cannot be read"), path.open("rb") as f:
        head = f.read(16)
    if head.startswith(TIFF):
        return TiffPages(path, remarks)
    pages = CodedPages(path)
    if pages.beside:
        remarks.add(f"{path.name}: {pages.beside}")
    return pages


@dataclass(frozen=True)
class Contents:
    """How many pictures an image file holds, what is missing of it, and when they were taken."""

    count: int = 1
    shortfall: str = ""
    times: list[float] | None = None


def contents_of(path: Path, remarks: Remarks) -> Contents:
    """Of an image file; as little is read as tells. Raises SourceError."""
    check_file(path)
    with reading(path, "cannot be read"), path.open("rb") as f:
        head = f.read(HEAD)
        if head.startswith(TIFF):
            pages = TiffPages(path, remarks)
            pages.close()
            return Contents(pages.count, pages.shortfall, pages.times)
        if is_webp(head) and head[12:16] == b"VP8X" and head[20] & 2:
            code = head + f.read()
            return Contents(pictures_of(code), times=webp_times(code))
        if path.suffix.lower() in NETPBM:
            return Contents(len(netpbm_pictures(head + f.read())))
        return Contents(pictures_of(head + f.read() if head.startswith(b"GIF") else head))


def moves(path: Path) -> bool:
    """Whether it is an animated GIF or PNG with times, which FFmpeg reads."""
    with reading(path, "cannot be read"), path.open("rb") as f:
        head = f.read(HEAD)
        if head.startswith(PNG):
            return pictures_of(head) > 1
        blocks = gif(head + f.read()) if head.startswith(b"GIF") else None
    return blocks is not None and 1 < blocks.pictures <= blocks.timed


def read_image(path: Path, remarks: Remarks | None = None) -> Image:
    """The (first) picture of an image file as grey counts (H, W) uint8 or uint16, turned as it is to be shown.

    Radiometric JPEGs give their 16-bit counts, palettes and colours their luma, 12-bit files their counts; 1, 2 and 4
    bits are spread over 8. Raises SourceError for what is damaged, too large, or of floats.
    """
    pages = open_pages(path, remarks if remarks is not None else Remarks())
    if pages.count > 1 and remarks is not None:
        remarks.add("images that hold several pictures, of which the first was read")
    try:
        picture = pages.picture(0)
        if pages.coloured and remarks is not None:
            remarks.add(IN_COLOURS)
        return picture
    finally:
        pages.close()


class CodedPages:
    """PNG, JPEG, WebP, GIF, BMP, JPEG 2000 and netpbm files; pictures are decoded when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Counts the pictures. Raises SourceError."""
        self._path = path
        self._decoded: list[Image] = []
        self.times: list[float] | None = None
        self.shortfall = ""
        self.celsius: Radiometry | None = None
        """Of a radiometric JPEG: how its counts become temperatures."""
        self.beside = ""
        """What else stands in the file."""
        self.coloured = False
        with reading(path, "cannot be read"):
            self._code = path.read_bytes()
        if not self._code:
            raise SourceError(f"{path} is empty (0 bytes)")
        with reading(path, "is not an image that can be read"):
            counts = flir.has_counts(self._code)
            self._parts = netpbm_pictures(self._code)
            self.count = 1 if counts else max(len(self._parts), pictures_of(self._code))
            self.beside = "" if counts else beside(self._code)
            self.celsius = flir.celsius_of(self._code) if counts else None
            if self.count > 1 and is_webp(self._code):
                self.times = webp_times(self._code)
            if counts and ends_early(self._code):  # the counts stand before the view
                self.shortfall = "the end of its coloured view is missing"

    def picture(self, index: int) -> Image:
        """Counts (H, W) of one picture. Raises SourceError."""
        with reading(self._path, "is not an image that can be read: it is damaged or of another kind"):
            if len(self._parts) > 1:
                check_size(self._path, *(size_of(self._parts[index]) or (0, 0)))
                return self._grey(decoded(self._parts[index]))
            if not self._decoded:
                self._decoded = self._decode()
        return self._decoded[index]

    def _decode(self) -> list[Image]:
        code = self._code
        if flir.has_counts(code):
            return [oriented(flir.counts_of(code), orientation_of(code))]
        size = size_of(code)
        if size is None:
            raise SourceError(f"{self._path} is not an image that can be read: it is damaged or of another kind")
        check_size(self._path, *size)
        if ends_early(code):
            raise SourceError(f"{self._path} is cut short: its end is missing")
        if is_spoilt(code):
            raise SourceError(f"{self._path} is damaged: its parts do not have the sums that they say")
        if code.startswith(JPEG) and refuses_jpeg(code):
            raise SourceError(f"{self._path} is damaged: its data cannot be what a camera or program wrote")
        if self.count > 1:
            if size[0] * size[1] * 4 * self.count > LARGEST_ANIMATION:
                raise SourceError(f"{self._path} is too long for an animated image: convert it to a video")
            return [self._grey(stored) for stored in self._decode_all()]
        return [oriented(self._grey(decoded(code)), orientation_of(code))]

    def _grey(self, stored: np.ndarray) -> Image:  # type: ignore[type-arg]
        self.coloured |= are_colours(stored)
        return grey_of(stored)

    def _decode_all(self) -> list[np.ndarray]:  # type: ignore[type-arg]
        """Every picture of an animated image, RGB or grey."""
        if is_webp(self._code):
            with hushed():  # pictures may be what changed since the one before: OpenCV lays them over each other
                laid = cv2.imdecodeanimation(np.frombuffer(self._code, np.uint8))[1].frames
            found = [np.ascontiguousarray(picture[:, :, 2::-1]) for picture in laid]
        elif self._code.startswith(PNG):
            found = list(imagecodecs.apng_decode(self._code))
        else:
            found = list(imagecodecs.gif_decode(self._code))
        if len(found) != self.count:
            raise ValueError(f"{len(found)} of {self.count} pictures")
        if len({picture.shape for picture in found}) > 1:
            raise ValueError("its pictures are parts of others: convert it to a video")
        return found

    def close(self) -> None:
        """Let go of the pictures."""
        self._decoded = []


def decoded(code: bytes) -> np.ndarray:  # type: ignore[type-arg]
    """One picture (H, W) or (H, W, 3 or 4) RGB(A). Raises ValueError."""
    if code.startswith(JPEG):
        image = jpeg(code)
        if image is not None:
            return image
    if code.startswith((b"P1", b"P2", b"P3")):  # OpenCV reads no last number in text that nothing follows
        code += b"\n"
    with hushed():
        stored = cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise ValueError("no decoder takes it")
    if (highest := highest_of(code)) and stored.max() > highest:  # some write the bytes of each count as they lie
        stored = stored.byteswap()
        if stored.max() > highest:
            raise ValueError(f"it has counts above {highest}, the highest that it says")
    return stored if stored.ndim == 2 or stored.shape[2] < 3 else stored[:, :, [2, 1, 0, 3][: stored.shape[2]]]


def jpeg(code: bytes) -> np.ndarray | None:  # type: ignore[type-arg]
    """A JPEG of 8 or 12 bits, or a lossless one; None for colours of printing, which OpenCV converts."""
    for decode in (imagecodecs.jpeg8_decode, imagecodecs.ljpeg_decode):
        with suppress(imagecodecs.Jpeg8Error, imagecodecs.LjpegError):
            image = decode(code)
            return image if image.ndim == 2 or image.shape[2] != 4 else None
    return None


def grey_of(stored: np.ndarray) -> Image:  # type: ignore[type-arg]
    """Grey counts of a decoded picture; what is transparent is ignored."""
    return np.ascontiguousarray(
        colour_to_grey(as_counts(stored[:, :, :1] if stored.ndim == 3 and stored.shape[2] == 2 else stored))
    )
