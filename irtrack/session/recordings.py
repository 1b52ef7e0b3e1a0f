"""The recording that a session is of: known by what is in it, found again where it was or beside the session file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from irtrack.capture.images import image_files
from irtrack.capture.kinds import kind_of_text
from irtrack.capture.open import local, matching
from irtrack.core import SourceError
from irtrack.sinks.target import files_of

PART_BYTES = 1 << 20
"""So much of a file's beginning and of its end tells it from others, with its size."""


class MovedError(SourceError):
    """A session's recording is not where it was, nor beside the session."""


class OtherError(SourceError):
    """Another recording is where a session's was."""


@dataclass(frozen=True)
class Recording:
    """`text`: its SOURCE text, with whole paths. `beside`: its path from the session file's folder, if it is a single
    file or folder. `print`: its fingerprint. `frames` and `fps`: as its source said. `dates`: as of `dates_of`."""

    text: str
    beside: str
    print: str
    frames: int | None = None
    fps: float | None = None
    dates: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @property
    def name(self) -> str:
        """What it is called."""
        return Path(self.text.partition("\n")[0]).name

    def rewritten(self, text: str, dates: str) -> bool:
        """Whether it was written anew where it was, which its fingerprint need not show. `dates`: of what is there."""
        return text == self.text and bool(self.dates) and dates != self.dates

    def places(self, session: Path) -> list[str]:
        """SOURCE texts of where it may be."""
        beside = [str(session.absolute().parent / p) for p in (self.beside, self.name) if p and "\n" not in self.text]
        return list(dict.fromkeys([self.text, *beside]))

    def found(self, session: Path) -> str:
        """Its SOURCE text now. Raises MovedError, or SourceError where only other recordings are in its place."""
        there = [text for text in self.places(session) if list(files_of([text])) or not self.beside]
        for text in there:
            if fingerprint(text) == self.print:
                return text
        if there:
            self.check(there[0], session)
        raise MovedError(f"{self.name}, of which {session.name} is, is neither at {self.text} nor beside it: locate it")

    def check(self, text: str, session: Path) -> None:
        """Raises OtherError where a SOURCE is not this recording."""
        if fingerprint(text) != self.print:
            raise OtherError(
                f"{text} is another recording than the one that {session.name} is of: its content differs; locate the "
                "right one, or put it in its place"
            )


def recording_of(text: str, print: str, session: Path, fps: float | None, dates: str) -> Recording:
    """What a session file says of the recording that is open, but for its frames."""
    if "://" in text or not next(files_of([text]), None):
        return Recording(text, "", print, fps=fps)
    text = with_whole_paths(text)
    beside = os.path.relpath(text, session.absolute().parent) if "\n" not in text else text
    return Recording(text, beside, print, fps=fps, dates=dates)


def with_whole_paths(text: str) -> str:
    """A SOURCE text that names the same from every folder; what names no files stays as it is."""
    text = local(text)
    if "://" in text or not (next(files_of([text]), None) or sequence(text)):
        return text
    return "\n".join(os.path.abspath(os.path.expanduser(line)) for line in text.splitlines())


def parts_of(text: str) -> list[Path]:
    """The files that a recording is made of; of a folder the pictures, others come and go. Raises OSError."""
    if os.path.isdir(text):
        return image_files(Path(text))
    return sorted(files_of([text])) or sequence(text)


def files_there(text: str) -> list[Path]:
    """Those of them that can be listed now."""
    try:
        return parts_of(text)
    except OSError:
        return []


def sequence(text: str) -> list[Path]:
    """The images that a pattern names as FFmpeg writes it, such as shot_%04d.png."""
    return sorted(matching(Path(text))) if "%" in text and "\n" not in text and "://" not in text else []


def is_gone(text: str) -> bool:
    """Whether a SOURCE text names files, and none of them is there."""
    named = bool(text.strip()) and "\0" not in text and "://" not in text and kind_of_text(text) is None
    return named and not (os.path.exists(text) or next(files_of([text]), None) or sequence(text))


def is_told(text: str, dates: str) -> bool:
    """Whether its fingerprint tells a recording from every other: that of files (`dates`: theirs), or of a scene."""
    return bool(dates) or text.startswith("sim:")


def dates_of(text: str) -> str:
    """When the files of a recording were written, as a short text; empty where it has none. Raises SourceError."""
    try:
        dates = [path.stat().st_mtime_ns for path in parts_of(text)]
    except OSError as error:
        raise SourceError(f"{text} cannot be read: {error.strerror}") from error
    return hashlib.sha256(repr(dates).encode()).hexdigest()[:16] if dates else ""


def fingerprint(text: str) -> str:
    """Of a recording, by its content: of a file its size, beginning and end; of several their names and sizes, and the
    first and the last like that; of a simulated scene its text. Raises SourceError."""
    digest = hashlib.sha256()
    try:
        files = parts_of(text)
        if not files:
            digest.update(text.encode("utf-8", "surrogateescape"))
        if len(files) > 1:
            for path in files:
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        for path in files[:1] + files[1:][-1:]:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                digest.update(str(size).encode())
                for start in (0, max(0, size - PART_BYTES)):
                    file.seek(start)
                    digest.update(file.read(PART_BYTES))
    except OSError as error:
        raise SourceError(f"{text} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
