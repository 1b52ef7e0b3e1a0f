"""Sequences of images, in the order that their names tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from irtrack.capture.grey import IN_COLOURS
from irtrack.capture.pictures import SEVERAL, CodedPages, Contents, Pages, contents_of, open_pages
from irtrack.capture.times import mended, rate_of
from irtrack.capture.watched import Watched
from irtrack.core import Clock, Frame, Image, Remarks, Source, SourceError, SourceInfo, frozen
from irtrack.paths import IMAGE_SUFFIXES, is_dropping
from irtrack.sequences import check_names, in_order

DEFAULT_IMAGE_FPS = 30.0


def is_image_name(path: Path) -> bool:
    """Whether a file is meant as an image, by its name alone: no leavings of systems such as `._0001.png`."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_dropping(path)


def image_files(folder: Path) -> list[Path]:
    """The images in a folder, in natural order."""
    return in_order(p for p in folder.iterdir() if is_image_name(p) and not p.is_dir())


def joined(parts: Sequence[list[float] | None]) -> list[float] | None:
    """Times of files that follow each other, in one count: each that begins anew goes on a step behind the one before.
    None where a file has none."""
    if not parts or any(part is None for part in parts):
        return None
    steps = [b - a for part in parts if part for a, b in pairwise(part) if b > a]
    step = sorted(steps)[len(steps) // 2] if steps else 1 / DEFAULT_IMAGE_FPS
    out: list[float] = []
    for part in parts:
        shift = out[-1] + step - part[0] if out and part and not part[0] > out[-1] else 0.0
        out += [t + shift for t in part or []]
    return out


class ImagesSource(Source):
    """Pictures of image files as frames, in natural order of the names, all pages of each.

    Times are those of the files, where all have them, else number over `fps`. What cannot be read is
    skipped and said at the end: iteration then raises SourceError after the last good picture.
    """

    live = False

    def __init__(self, name: str, paths: Sequence[Path], fps: float | None) -> None:
        """Counts the pictures and reads the first. Raises SourceError."""
        self._name, self._next = Path(name).name or name, 0
        self._paths = in_order(paths)
        self._at = -1
        self._pages: Pages | None = None
        remarks = Remarks()
        check_names(self._name, self._paths, remarks)
        self._frames: list[tuple[int, int]] = []
        self._shortfall = ""
        times: list[list[float] | None] = []
        for number, path in enumerate(self._paths):
            found = Contents()
            if len(self._paths) == 1:
                pages = self._open(number, remarks)
                found = Contents(pages.count, pages.shortfall, pages.times)
            elif path.suffix.lower() in SEVERAL:
                with suppress(SourceError):  # it is said when its turn comes
                    found = contents_of(path, remarks)
            self._note(number, found.shortfall)
            self._frames += [(number, page) for page in range(found.count)]
            times.append(found.times)
        try:
            first = self._first()
        except BaseException:
            self.close()
            raise
        self._shape, self._dtype = first.shape, first.dtype
        self._watched = Watched(self._name, remarks)
        if len(self._paths) > 1 and isinstance(self._pages, CodedPages) and self._pages.beside:
            remarks.add(f"{self._name}: {self._pages.beside}")
        self._coloured = self._pages is not None and self._pages.coloured
        if self._coloured:
            remarks.add(f"{self._name}: {IN_COLOURS}")
        taken = None if fps else joined(times)
        clock = Clock.GIVEN if fps else Clock.ASSUMED if taken is None else Clock.FILE
        rate = fps or DEFAULT_IMAGE_FPS
        self._times = [i / rate for i in range(len(self._frames))]
        if taken is not None:
            self._times = mended(self._name, taken, remarks, 1 / rate)
            rate = rate_of(self._times) or rate
        height, width = first.shape
        bits = 8 * first.dtype.itemsize
        self.info = SourceInfo(self._name, width, height, bits, rate, len(self._frames), clock, remarks)

    def _open(self, number: int, remarks: Remarks) -> Pages:
        if self._at != number or self._pages is None:
            self.close()
            self._pages, self._at = open_pages(self._paths[number], remarks), number
        return self._pages

    def _first(self) -> Image:
        """The first picture that can be read, which tells size and depth."""
        problem: SourceError | None = None
        for i in range(min(len(self._frames), 100)):
            try:
                return self._picture(i)
            except SourceError as error:
                problem = problem or error
        raise problem or SourceError(f"{self._name} holds no pictures")

    def _picture(self, index: int) -> Image:
        number, page = self._frames[index]
        pages = self._open(number, Remarks())
        self._note(number, pages.shortfall)
        return pages.picture(page)

    def _note(self, number: int, shortfall: str) -> None:
        if shortfall and not self._shortfall:
            self._shortfall = f"{self._paths[number]} is cut short or damaged ({shortfall})"

    def __iter__(self) -> Iterator[Frame]:
        bad, problem = 0, ""
        while self._next < len(self._frames):
            index, self._next = self._next, self._next + 1
            try:
                image = self._picture(index)
            except SourceError as error:
                bad, problem = bad + 1, problem or str(error)
                continue
            if image.shape != self._shape or image.dtype != self._dtype:
                raise SourceError(self._differs(index, image))
            self._watched(index, image)
            if not self._coloured and self._pages is not None and self._pages.coloured:
                self._coloured = True
                where = self._paths[self._frames[index][0]].name
                self.info.remarks.add(f"{self._name}: from {where} on {IN_COLOURS}")
            celsius = self._pages.celsius if isinstance(self._pages, CodedPages) else None
            yield Frame(index, self._times[index], frozen(image), celsius=celsius)
        self._watched.end()
        total = len(self._frames)
        if bad:
            raise SourceError(f"{problem}; {bad} of {total} pictures could not be read" if total > 1 else problem)
        if self._shortfall:
            raise SourceError(f"{self._shortfall}: {total} pictures could be read and were used")

    def _differs(self, index: int, image: Image) -> str:
        number, page = self._frames[index]
        where = f"{self._paths[number]}" + (f", page {page}," if page or len(self._paths) == 1 else "")
        if image.shape == self._shape:
            return (
                f"{where} has {8 * image.dtype.itemsize} bits, the first picture {8 * self._dtype.itemsize}: the "
                "pictures of a sequence must be of one kind"
            )
        return (
            f"{where} is {image.shape[1]}x{image.shape[0]}, the first picture {self._shape[1]}x{self._shape[0]}: "
            "the pictures of a sequence must have one size"
        )

    def seek(self, index: int) -> None:
        """Continue at picture `index`. Raises SourceError outside the sequence."""
        if not 0 <= index < len(self._frames):
            raise SourceError(f"picture {index} is outside {self._name}, which has {len(self._frames)}")
        self._next = index

    def close(self) -> None:
        """Give back the file that is open."""
        if self._pages is not None:
            self._pages.close()
            self._pages, self._at = None, -1
