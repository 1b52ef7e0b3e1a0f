"""The recordings under a folder: files by their names, folders of images as sequences."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from irtrack.capture.images import image_files, is_image_name
from irtrack.capture.kinds import file_kinds
from irtrack.capture.pictures import contents_of
from irtrack.core import IrtrackError, Remarks, SourceError
from irtrack.paths import is_dropping, is_pipe
from irtrack.sequences import natural_key

STACKS = frozenset({".tif", ".tiff", ".gif", ".webp", ".apng"})
"""Images that may hold a whole recording."""

PIECE = 1 << 20


@dataclass
class Found:
    """SOURCE texts of recordings, in order, and what should be said of the search."""

    recordings: list[str] = field(default_factory=list)
    remarks: Remarks = field(default_factory=Remarks)


def find_recordings(folder: Path, leave_out: Path) -> Found:
    """Every recording under a folder but for what lies in `leave_out`. Links to folders are not followed, hidden files
    and folders and other archives passed over. Raises IrtrackError where the folder cannot be read.
    """
    if not folder.is_dir():
        raise IrtrackError(f"{folder} is no folder: give the one that the recordings are in")
    out, found, suffixes = leave_out.resolve(), Found(), recording_suffixes()

    def unreadable(error: OSError) -> None:
        if error.filename == str(folder):
            raise IrtrackError(f"{folder} cannot be read: {error.strerror}")
        found.remarks.add(f"{error.filename} cannot be read: {error.strerror}")

    for place, inner, names in os.walk(folder, onerror=unreadable):
        here = Path(place)
        if "archive.json" in names:  # pictures of another archive are none of ours
            inner.clear()
            continue
        inner[:] = sorted(n for n in inner if not n.startswith(".") and (here / n).resolve() != out)
        files = sorted((here / n for n in names if not is_dropping(Path(n))), key=natural_key)
        if pipes := [path for path in files if is_pipe(path)]:
            found.remarks.add("pipes, which no recording is read from, were left out", len(pipes))
            files = [path for path in files if path not in set(pipes)]
        found.recordings += in_folder(here, files, suffixes, found.remarks)
    return found


def recording_suffixes() -> frozenset[str]:
    """Of files that are no images, by the table of kinds of sources."""
    return frozenset(suffix for kind in file_kinds() if kind.name != "images" for suffix in kind.suffixes)


def in_folder(folder: Path, files: Sequence[Path], suffixes: frozenset[str], remarks: Remarks) -> list[str]:
    """The recordings among the files of one folder. Its images are a sequence where it holds nothing else; the first
    stack tells whether each of its kind is a recording of its own."""
    out = [str(path) for path in files if path.suffix.lower() in suffixes]
    images = [path for path in files if is_image_name(path)]
    stacks = [path for path in images if path.suffix.lower() in STACKS]
    if holds_several(stacks):
        out += map(str, stacks)
        images = [path for path in images if path not in set(stacks)]
    if len(images) > 1 and not out:
        return [str(folder)]
    if images:
        remarks.add("images beside recordings, or single ones, were left out", len(images))
    return out


def holds_several(paths: Sequence[Path]) -> bool:
    """Whether the first of these image files that can be read has several pictures."""
    for path in paths[:3]:
        with suppress(SourceError):
            return contents_of(path, Remarks()).count > 1
    return False


def files_in(text: str) -> list[Path]:
    """The files of a recording, whatever its name is made of."""
    return image_files(Path(text)) if os.path.isdir(text) else [Path(text)]


def stamp_of(text: str) -> str:
    """Changes when a file of the recording does: names, sizes and times of change. Raises OSError."""
    digest = hashlib.sha256()
    for path in files_in(text):
        about = path.stat()
        digest.update(f"{path.name}\0{about.st_size}\0{about.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def content_of(text: str) -> str:
    """SHA-256 of all that is in a recording; of several files, of their names too. Raises OSError."""
    files, digest = files_in(text), hashlib.sha256()
    for path in files:
        if len(files) > 1:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    return digest.hexdigest()
