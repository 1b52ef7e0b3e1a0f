"""From SOURCE text to a source."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from irtrack.capture.address import like_a_url, redact
from irtrack.capture.kinds import RECORDINGS, forms, kind_of_file, kind_of_text
from irtrack.capture.schemes import STREAMS, check_scheme
from irtrack.core import Clock, Source, SourceError
from irtrack.text import instead_of

NUMBERS = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".raw", ".bin", ".dat", ".yuv", ".gray", ".y16")
"""Of files that hold bare numbers."""


def open_source(
    text: str,
    fps: float | None = None,
    reconnect_s: float = 0.0,
    wait_s: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
    silence_s: float | None = None,
) -> Source:
    """Open what `text` names: a file, an image folder or glob, several images (a name in each line), or what another
    row of the table in `irtrack.capture.kinds` says. What exists as a file is that file.

    `fps` sets the frame rate of any recording, whatever times it has. A camera or stream that is lost is opened again
    for `reconnect_s`, if that is above 0; one that is away at the start is waited for `wait_s`. `cancelled` is asked
    while a camera is connected. One that sends nothing for `silence_s` is lost. Raises SourceError with one clear line.
    """
    text = local(text)
    if is_file(text) or not is_live(text):
        source = open_once(text, fps)
    else:
        from irtrack.capture.reconnect import ReconnectingSource

        name = redact(text)
        source = ReconnectingSource(lambda: open_once(text, fps), name, reconnect_s, wait_s, cancelled, silence_s)
    if fps is not None and source.info.clock in (Clock.ARRIVAL, Clock.SCENE):
        source.info.remarks.add(
            f"a rate of {fps:g} frames a second does nothing here: it has {source.info.clock.value}"
        )
    return source


def local(text: str) -> str:
    """The path of a file:// URL, as file managers and browsers give it; other URLs with their scheme in small letters,
    any other text as it is."""
    scheme, slashes, rest = text.partition("://")
    if slashes and scheme.lower() in STREAMS and not is_file(text):
        text = f"{scheme.lower()}://{rest}"
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file" or host not in ("", "localhost"):
        return text
    return unquote(slash + path)


def is_live(text: str) -> bool:
    """Whether a text names a camera or stream."""
    kind = kind_of_text(text)
    return kind is not None and kind.live


SLOWEST_HZ, FASTEST_HZ = 1e-4, 1e6
"""A frame in three hours, and more than any camera has."""


def check_rate(fps: float | None) -> None:
    """Raises SourceError for frames a second that nothing can have."""
    if fps is not None and not SLOWEST_HZ <= fps < FASTEST_HZ:
        raise SourceError(
            f"a frame rate of {fps} makes no sense: give frames a second above 0, from {SLOWEST_HZ:g} to {FASTEST_HZ:g}"
        )


def open_once(text: str, fps: float | None) -> Source:
    """`open_source` without reconnecting."""
    check_rate(fps)
    if not text.strip():
        raise SourceError(f"the source is empty: give {forms()}")
    if is_file(text):
        return open_file(Path(text), fps)
    check_scheme(text)
    kind = kind_of_text(text)
    if kind is not None:
        return kind.open(text, fps)
    if like_a_url(text) and not is_file(text):
        raise SourceError("that is no file, and as a URL it lacks scheme://: write rtsp://, http://, udp:// or tcp://")
    try:
        return open_path(text, fps)
    except PermissionError as error:
        raise SourceError(f"{text} may not be read: {error.strerror}; check its permissions") from error
    except (OSError, ValueError) as error:  # names that no file can have, among others
        raise SourceError(f"{text} cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def is_file(text: str) -> bool:
    """Whether a file (no device) of this very name is there."""
    try:
        return os.path.isfile(text)
    except (OSError, ValueError):
        return False


def open_path(text: str, fps: float | None) -> Source:
    """A file, folder, glob or list of images on disk."""
    from irtrack.capture.images import ImagesSource, image_files, is_image_name

    path = Path(os.path.expanduser(text))
    if "\n" in text and not path.exists():
        listed = [Path(line) for line in text.splitlines()]
        return ImagesSource(listed[0].parent.name, listed, fps)
    if path.is_dir():
        listed = image_files(path)
        if not listed:
            raise SourceError(
                f"{path} holds no images: expected files like 0001.png or 0001.tif{instead_of_images(path)}"
            )
        return ImagesSource(str(path), listed, fps)
    if path.exists():
        return open_file(path, fps)
    found = matching(path)
    matches = [p for p in found if is_image_name(p)] or found
    if not matches:
        raise SourceError(f"there is no file {path}: check the name")
    if len(matches) == 1:
        return open_file(matches[0], fps)
    return ImagesSource(str(path), matches, fps)


def instead_of_images(folder: Path) -> str:
    """What to name instead of a folder without images, where that can be seen."""
    from irtrack.capture.images import image_files

    for inside in sorted(folder.iterdir()):
        if inside.suffix.lower() in RECORDINGS and inside.is_file():
            return f"; it holds recordings, each of which is a source of its own, such as {inside}"
        if inside.is_dir() and image_files(inside):
            return f"; images lie in the folder {inside}"
    return ""


def matching(pattern: Path) -> list[Path]:
    """Files that a glob names; a folder in it that exists by that very name is that folder."""
    from irtrack.paths import is_dropping

    literal = next((p for p in pattern.parents if p.exists()), Path())
    rest = str(pattern.relative_to(literal)) if literal != Path() else str(pattern)
    rest = re.sub(r"%(0\d+)?d", "[0-9]*", rest)  # as FFmpeg names a sequence
    if not glob.has_magic(rest):
        return []
    named = glob.escape(str(literal)) + os.sep + rest if literal != Path() else rest
    return [p for p in map(Path, glob.glob(named)) if not is_dropping(p) and p.is_file()]


def open_file(path: Path, fps: float | None) -> Source:
    """One file, by its content and, where that says nothing, its name."""
    from irtrack.capture.reading import check_file, reading

    check_file(path)
    with reading(path, "cannot be read"), path.open("rb") as f:
        head, more = f.read(16), f.read(64)
    if stand_in := instead_of(head + more):
        raise SourceError(f"{path} is {stand_in}")
    if not head:
        raise SourceError(f"{path} is empty (0 bytes): the recording was probably not finished")
    try:
        return kind_of_file(path, head).open(str(path), fps)
    except SourceError as error:
        if path.suffix.lower() not in NUMBERS:
            raise
        raise SourceError(
            f"{error}; numbers without a header are best written as a TIFF stack of 16-bit counts"
        ) from error


def grouped(texts: Sequence[str]) -> list[str]:
    """SOURCE texts of a command line, in order, with images of one folder (a glob that the shell expanded) as one."""
    folders: dict[Path, list[Path]] = {}
    out: list[str | Path] = []
    for text in map(local, texts):
        path = Path(text)
        if not is_image_file(path):
            out.append(text)
        elif path.parent in folders:
            folders[path.parent].append(path)
        else:
            folders[path.parent] = [path]
            out.append(path.parent)
    return [entry if isinstance(entry, str) else as_text(folders[entry]) for entry in out]


def is_image_file(path: Path) -> bool:
    """Whether it is there and its name is an image's."""
    from irtrack.paths import IMAGE_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES and is_file(str(path))


def as_text(paths: Sequence[Path]) -> str:
    """SOURCE text of images of one folder: their name, a glob of just these, or a name in each line."""
    from irtrack.paths import is_dropping

    if len(paths) == 1:
        return str(paths[0])
    kept = {p for p in paths if not is_dropping(p)} or set(paths)
    names = [p.name for p in kept]
    start, end = common_start(names), common_start([n[::-1] for n in names])[::-1]
    end = end[max(0, len(start) + len(end) - min(map(len, names))) :]
    for pattern in (f"*{Path(names[0]).suffix}", f"{glob.escape(start)}*{glob.escape(end)}"):
        if set(matching(paths[0].parent / pattern)) == kept:
            return str(paths[0].parent / pattern)
    return "\n".join(str(p) for p in dict.fromkeys(paths) if p in kept)


def common_start(names: Sequence[str]) -> str:
    """What all names begin with."""
    low, high = min(names), max(names)
    return next((low[:i] for i, letter in enumerate(low) if letter != high[i : i + 1]), low)
