"""TIFF files: every page that is a picture of its own, 8 or 16 bits, with the times that the file has of them."""

from __future__ import annotations

import json
import logging
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from irtrack.capture.grey import are_colours, as_counts, colour_to_grey, oriented
from irtrack.capture.ifd import COMPRESSION, DESCRIPTION, METAMORPH, ORIENTATION, SUB_IFDS, Directories, Directory
from irtrack.capture.reading import check_size, reading
from irtrack.core import Image, Remarks, SourceError

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it warns of is an error here, said in one line

SECONDS = {
    unit: seconds
    for seconds, units in (
        (1.0, "s sec second seconds"), (1e-3, "ms msec millisecond milliseconds"),
        (1e-6, "µs μs us usec microsecond microseconds"), (1e-9, "ns nanosecond nanoseconds"),
        (60.0, "min minute minutes"), (3600.0, "h hr hour hours"), (86400.0, "d day days"),
    )
    for unit in units.split()
}  # fmt: skip
"""Units of time in descriptions."""


@dataclass(frozen=True)
class Block:
    """Pictures one behind the other, without directories of their own."""

    start: int
    count: int
    dtype: np.dtype[Any]


class TiffPages:
    """Pages of a TIFF file that are pictures of their own: no thumbnails, previews, masks or smaller copies.

    A stack that was written as one block (ImageJ, tifffile's truncated series) has one directory for all its pictures.
    """

    def __init__(self, path: Path, remarks: Remarks) -> None:
        """Reads the directories. Raises SourceError."""
        self._path, self._remarks = path, remarks
        self._block: Block | None = None
        self._tiff: tifffile.TiffFile | None = None
        self.times: list[float] | None = None
        self.shortfall = ""
        self.coloured = False
        with reading(path, "is not a TIFF file that can be read"):
            self._file = path.open("rb")
        try:
            with reading(path, "is not a TIFF file that can be read"):
                self._directories = Directories(self._file)
                chain, self.shortfall = self._directories.chain()
                if not chain:
                    raise ValueError(self.shortfall or "it has no pages")
                self._pages = self._pictures_of(chain)
                self._read_about(self._directories.text(self._pages[0], DESCRIPTION))
        except BaseException:
            self.close()
            raise

    def _pictures_of(self, chain: list[Directory]) -> list[Directory]:
        """Directories of pictures, those within others included where the outer one is a preview of it."""
        look, out, left_out = self._directories, [], 0
        for directory in chain:
            if not look.reduced(directory):
                out.append(directory)
                continue
            left_out += 1
            inside = [look.at(place) for place in look.numbers(directory, SUB_IFDS)]
            out += [d for d in inside if not look.reduced(d)]
        if out and left_out:
            self._remarks.add(f"{self._path.name}: previews, smaller copies or masks left out", left_out)
        return out or chain

    def _read_about(self, text: str) -> None:
        """How many pictures there are, and when they were taken, as far as the description says."""
        said, interval = 1, None
        if text.startswith("ImageJ="):
            about = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
            said = whole(about.get("images", "1"))
            for axis, what, most in (("channels", "channels", said), ("slices", "planes of depth", said - 1)):
                if 1 < whole(about.get(axis, "1")) <= most:  # where all are planes of depth, time is meant
                    self._remarks.add(f"{self._path.name}: its {about[axis]} {what} are read as pictures in turn")
            unit = SECONDS.get(about.get("tunit", "sec").strip().lower())
            interval = number(about.get("finterval", "").replace(",", ".")) * unit if unit else None
            if not interval and (fps := number(about.get("fps"))) > 0:
                interval = 1 / fps
                self._remarks.add(f"{self._path.name}: its times are those of its playback, {fps:g} a second")
        elif text.lstrip().startswith(("<?xml", "<OME", "<ome")) and "OME" in text[:4000]:
            said, interval, self.times = ome(text, len(self._pages), self._path.name, self._remarks)
        elif text.startswith("{"):
            about = from_json(text)
            if isinstance(shape := about.get("shape"), list) and about.get("truncated"):
                said = int(np.prod([whole(n) for n in shape])) // max(1, self._pixels_of_page())
            elif "time_s" in about:
                self.times = self._times_of_pages()
        if len(self._pages) == 1 and (planes := self._directories.rationals(self._pages[0], METAMORPH)):
            said, self.times = len(planes) // 3, clock_of(planes)
        if len(self._pages) == 1 < said:
            self._open_block(said)
        elif len(self._pages) < said and not self.shortfall:
            self.shortfall = f"it says that it has {said} pictures"
        self.count = self._block.count if self._block is not None else len(self._pages)
        if self.times is None and interval is not None and 0 < interval < 1e9:
            self.times = [i * interval for i in range(self.count)]
        if self.times is not None and len(self.times) != self.count:
            self.times = None

    def _pixels_of_page(self) -> int:
        page = self._page(0)
        return int(page.imagewidth * page.imagelength * page.samplesperpixel)

    def _times_of_pages(self) -> list[float] | None:
        """As `sinks/record.py` writes them; None where a page has none."""
        out = []
        for page in self._pages:
            found = from_json(self._directories.text(page, DESCRIPTION)).get("time_s")
            if not isinstance(found, (int, float)):
                self._remarks.add(f"{self._path.name}: not every page has a time: none is used")
                return None
            out.append(float(found))
        return out

    def _open_block(self, said: int) -> None:
        """Pictures one behind the other, from where the only page begins: as many of `said` as the file holds."""
        page = self._page(0)
        if self._directories.number(self._pages[0], COMPRESSION, 1) != 1 or page.dtype is None:
            self.shortfall = self.shortfall or f"it says that it has {said} pictures"
            return
        check_size(self._path, page.imagewidth, page.imagelength)
        pixels = page.imagewidth * page.imagelength * page.samplesperpixel
        dtype = page.dtype.newbyteorder(page.parent.byteorder)
        start = page.dataoffsets[0]
        there = min(said, (self._directories.size - start) // (pixels * dtype.itemsize))
        if there < 1 or page.bitspersample not in (8, 16, 32) or self._directories.size < start:
            raise ValueError("the first picture is cut off")
        if there < said:
            self.shortfall = f"it says that it has {said} pictures"
        self._block = Block(start, there, dtype)

    def _page(self, index: int) -> tifffile.TiffPage:
        if self._tiff is None:  # not before a page is wanted: counting those of a thousand files must be quick
            self._file.seek(0)
            self._tiff = tifffile.TiffFile(self._file)
        self._tiff.filehandle.seek(self._pages[index].at)
        return tifffile.TiffPage(self._tiff, index=index)

    def picture(self, index: int) -> Image:
        """Counts (H, W) of one page, as it is to be shown. Raises SourceError."""
        with reading(self._path, f"cannot be read at page {index}"):
            page = self._page(0 if self._block is not None else index)
            check_size(self._path, page.imagewidth, page.imagelength)
            if page.samplesperpixel > 4 or page.imagedepth > 1:
                raise ValueError(f"{page.samplesperpixel} values a pixel in {page.imagedepth} layers")
            if page.dtype is None or page.dtype.kind in "fc":
                raise SourceError(
                    f"{self._path} holds {page.dtype or 'unknown'} pixels, which may mean anything (degrees, "
                    "reflectance): export it as 16-bit counts"
                )
            if self._block is not None:
                stored = self._from_block(page, index)
            else:
                spans = zip(page.dataoffsets, page.databytecounts, strict=False)
                if any(at + length > self._directories.size for at, length in spans):
                    raise ValueError("its data is cut off")
                stored = page.asarray()
            if index == 0:
                self._remark_samples(page)
            self.coloured |= are_colours(colours_of(page, stored))
            grey = grey_of(page, stored)
            return oriented(grey, self._directories.number(self._pages[0 if self._block else index], ORIENTATION, 1))

    def _remark_samples(self, page: tifffile.TiffPage) -> None:
        """Say what of each pixel is not looked at."""
        samples, extra = page.samplesperpixel, tuple(int(e) for e in page.extrasamples)
        opacity = samples == 2 and extra and extra[0] in (1, 2)
        if samples > 1 and int(page.photometric) <= 1 and not opacity:
            self._remarks.add(f"{self._path.name}: the first of {samples} values of each pixel is read")
        if int(page.photometric) == tifffile.PHOTOMETRIC.CFA:
            self._remarks.add(f"{self._path.name}: a mosaic of colours is read as grey")

    def _from_block(self, page: tifffile.TiffPage, index: int) -> NDArray[Any]:
        assert self._block is not None
        kind, pixels = self._block.dtype, page.imagewidth * page.imagelength * page.samplesperpixel
        self._file.seek(self._block.start + index * pixels * kind.itemsize)
        code = self._file.read(pixels * kind.itemsize)
        return np.frombuffer(code, kind, pixels).astype(kind.newbyteorder("=")).reshape(page.shape)

    def close(self) -> None:
        """Give back the file."""
        if not self._file.closed:
            self._file.close()


def colours_of(page: tifffile.TiffPage, stored: NDArray[Any]) -> NDArray[Any]:
    """Samples of a page (H, W) or (H, W, samples), of a palette its colours."""
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"axes {page.axes}")
    image = np.moveaxis(stored, 0, -1) if page.axes == "SYX" else stored  # each colour in a plane of its own
    if int(page.photometric) != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return image
    colours = (page.colormap >> 8).astype(np.uint8)
    return np.moveaxis(colours[:, np.minimum(image, colours.shape[1] - 1)], 0, -1)


def grey_of(page: tifffile.TiffPage, stored: NDArray[Any]) -> Image:
    """Counts of a page (H, W) from its samples: palettes and colours to grey, white as the highest value."""
    image = colours_of(page, stored)
    photometric, bits = int(page.photometric), int(page.bitspersample)
    if photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        return colour_to_grey(image)
    if image.ndim == 3 and image.shape[2] == 2:  # grey and how opaque it is
        image = image[:, :, 0]
    if image.ndim == 3 and photometric not in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR):
        if photometric > 1:
            raise ValueError(f"colours of kind {photometric}: convert it to grey")
        image = image[:, :, 0]
    counts = colour_to_grey(as_counts(image))
    top = 255 if image.dtype == np.bool_ else (1 << bits) - 1
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        counts = (top - counts).astype(counts.dtype)
    if bits < 8 and image.dtype != np.bool_:  # full scale, as other readers do
        counts = (counts * (255 // top)).astype(np.uint8)
    return counts


def clock_of(planes: list[tuple[int, int]]) -> list[float]:
    """Seconds of the planes of a MetaMorph stack: of each its distance, then day and millisecond of its making, and
    those of its last change."""
    return [86400.0 * day + ms / 1000 for day, ms in planes[1::3]]


def from_json(text: str) -> dict[str, Any]:
    """An object, {} for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def number(text: object) -> float:
    """A number, 0 for anything else."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0


def whole(text: object) -> int:
    """A whole number from 1 to a million, 1 for anything else."""
    value = number(text)
    return int(value) if 1 <= value <= 1e6 else 1


def ome(text: str, pages: int, name: str, remarks: Remarks) -> tuple[int, float | None, list[float] | None]:
    """Of an OME-XML description: pictures that this file should hold, seconds between them, and times of each."""
    try:
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE.*?>", "", text, flags=re.DOTALL))
    except (ElementTree.ParseError, ValueError):
        return 1, None, None
    pixels = next((e for e in root.iter() if e.tag.endswith("Pixels")), None)
    if pixels is None:
        return 1, None, None
    get = pixels.attrib.get
    for axis, what in (("C", "channels"), ("Z", "planes of depth")):
        many = whole(get(f"Size{axis}", "1"))
        if 1 < many < pages:  # all pages, one behind the other in depth, are time for those who do not know better
            remarks.add(f"{name}: its {many} {what} are read as pictures in turn")
    said = int(np.prod([whole(get(f"Size{axis}", "1")) for axis in "TCZ"]))
    if any(e.tag.endswith("UUID") and e.attrib.get("FileName") for e in pixels.iter()):
        said = 1  # a part of a set of files
    unit = SECONDS.get(get("TimeIncrementUnit", "s").strip())
    interval = number(get("TimeIncrement")) * unit if unit else None
    planes = [e.attrib for e in pixels if e.tag.endswith("Plane")]
    units = [SECONDS.get(p.get("DeltaTUnit", "s").strip(), 0.0) for p in planes]
    times = [number(p.get("DeltaT")) * u for p, u in zip(planes, units, strict=True)]
    known = len(planes) == pages and all("DeltaT" in p for p in planes) and all(units) and len(set(times)) > 1
    order = get("DimensionOrder", "XYCZT")[2:]
    sizes = [whole(get(f"Size{axis}", "1")) for axis in order]
    if known:  # planes may be listed in any order
        steps = np.cumprod([1, *sizes[:-1]])
        at = [
            sum(int(number(p.get(f"The{axis}"))) * int(s) for axis, s in zip(order, steps, strict=True)) for p in planes
        ]
        times = [t for _, t in sorted(zip(at, times, strict=True))]
    return said, interval, times if known else None
