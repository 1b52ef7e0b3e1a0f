"""The one table of kinds of sources: read by whoever opens one, by the help, the dialogs and the documents.

A new kind is a module with a class (see `irtrack.core.Source`) and a row here; a package of its own declares its row
as an entry point in the group `irtrack.sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from irtrack import plugins
from irtrack.core import Source
from irtrack.paths import IMAGE_SUFFIXES


@dataclass(frozen=True)
class SourceKind:
    """A kind of source. `form`: how it is written on the command line. `open`: from a SOURCE text (of files, their
    path) and the frame rate that the user gives for recordings, to a source; raises SourceError.

    `prefixes`: what its texts begin with. `suffixes`, `marks`: names and first bytes of its files; `fits` overrules
    both. `extra`: what must be installed for it.
    """

    name: str
    form: str
    help: str
    open: Callable[[str, float | None], Source]
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    marks: tuple[bytes, ...] = ()
    fits: Callable[[Path, bytes], bool] | None = None
    live: bool = False
    extra: str = ""

    def takes_text(self, text: str) -> bool:
        """Whether a SOURCE text is one of these."""
        return text.startswith(self.prefixes)

    def takes_file(self, path: Path, head: bytes) -> bool:
        """Whether a file, which begins with `head`, is one of these."""
        if self.fits is not None:
            return self.fits(path, head)
        return path.suffix.lower() in self.suffixes or head.startswith(self.marks)


def open_cptv(text: str, fps: float | None) -> Source:
    from irtrack.capture.cptv import CptvSource

    return CptvSource(Path(text), fps)


def open_flir(text: str, fps: float | None) -> Source:
    from irtrack.capture.flir import FlirSource

    return FlirSource(Path(text), fps)


def are_images(path: Path, head: bytes) -> bool:
    """By name or content; animated ones are videos."""
    from irtrack.capture.headers import TIFF
    from irtrack.capture.images import is_image_name
    from irtrack.capture.pictures import moves

    return (head.startswith(TIFF) or is_image_name(path)) and not moves(path)


def open_images(text: str, fps: float | None) -> Source:
    from irtrack.capture.images import ImagesSource

    return ImagesSource(text, [Path(text)], fps)


def open_video(text: str, fps: float | None) -> Source:
    from irtrack.capture.video import VideoSource

    return VideoSource(Path(text), fps)


def open_stream(text: str, fps: float | None) -> Source:
    from irtrack.capture.stream import StreamSource

    return StreamSource(text)


def open_camera(text: str, fps: float | None) -> Source:
    from irtrack.capture.camera import CameraSource

    return CameraSource(text)


def open_genicam(text: str, fps: float | None) -> Source:
    from irtrack.capture.genicam import GenicamSource

    return GenicamSource(text)


def open_aravis(text: str, fps: float | None) -> Source:
    from irtrack.capture.aravis import AravisSource

    return AravisSource(text)


def open_simulated(text: str, fps: float | None) -> Source:
    from irtrack.capture.sim import SimSource

    return SimSource(text.removeprefix("sim:"))


def open_simulated_camera(text: str, fps: float | None) -> Source:
    from irtrack.capture.sim import SimCamera

    return SimCamera(text.removeprefix("simcam:"))


FILES = (
    SourceKind("cptv", "a CPTV file", "thermal wildlife cameras, raw counts", open_cptv, suffixes=(".cptv",)),
    SourceKind(
        "flir", "a FLIR file", "SEQ, CSQ and FFF, raw counts", open_flir, suffixes=(".seq", ".csq", ".fff"),
        marks=(b"FFF\0",),
    ),
    SourceKind(
        "images", "an image", "PNG, JPEG (radiometric ones as raw counts), TIFF stacks and others; a folder or a glob "
        "of them is a sequence, in natural order", open_images, fits=are_images, suffixes=IMAGE_SUFFIXES,
    ),
    SourceKind(
        "video", "a video file", "whatever FFmpeg reads, 8 to 16 bits, with the file's own times", open_video,
        fits=lambda path, head: True,
        suffixes=(
            ".mp4", ".mkv", ".avi", ".mov", ".ts", ".m2ts", ".mpg", ".mpeg", ".m4v", ".webm", ".nut", ".wmv", ".h264",
            ".y4m",
        ),
    ),
)  # fmt: skip
"""In this order: the last takes what no other does."""

RECORDINGS = frozenset(suffix for kind in FILES if kind.name != "images" for suffix in kind.suffixes)
"""Suffixes of files that are recordings, by their names."""

TEXTS = (
    SourceKind(
        "stream", "a URL", "rtsp://, http:// (MJPEG), udp:// and tcp:// (MPEG-TS; NUT with 16-bit raw video)",
        open_stream, live=True, prefixes=tuple(
            f"{s}://" for s in ("rtsp", "rtsps", "rtmp", "rtp", "srt", "udp", "tcp", "http", "https", "file")
        ),
    ),
    SourceKind(
        "camera", "camera:N", "a camera of this machine; camera:0,format=Y16 for its 16-bit counts",
        open_camera, live=True, prefixes=("camera:", "/dev/video"),
    ),
    SourceKind(
        "genicam", "genicam:ID", "an industrial camera by its maker's GenTL producer", open_genicam, live=True,
        prefixes=("genicam:",), extra="pip install 'irtrack[genicam]'",
    ),
    SourceKind(
        "aravis", "aravis:NAME", "GigE Vision and USB3 Vision by Aravis", open_aravis, live=True, prefixes=("aravis:",),
        extra="Debian: apt install libaravis-0.8-0",
    ),
    SourceKind("sim", "sim:NAME", "a simulated recording", open_simulated, prefixes=("sim:",)),
    SourceKind(
        "simcam", "simcam:NAME", "the same as a camera", open_simulated_camera, prefixes=("simcam:",), live=True
    ),
)  # fmt: skip


def others() -> Iterator[SourceKind]:
    """The kinds that other packages bring; a broken one is said and passed over."""
    return plugins.every(plugins.SOURCES, SourceKind)


def kind_of_text(text: str) -> SourceKind | None:
    """The kind that a SOURCE text, which is no file, names by how it begins. Raises IrtrackError where it is broken."""
    chosen = next((kind for kind in TEXTS if kind.takes_text(text)), None)
    if chosen is None and text.partition(":")[0] in plugins.found(plugins.SOURCES):
        chosen = plugins.load(plugins.SOURCES, text.partition(":")[0], SourceKind)
    chosen = chosen or next((kind for kind in others() if kind.takes_text(text)), None)
    return TEXTS[0] if chosen is None and "://" in text else chosen  # FFmpeg knows many more protocols


def kind_of_file(path: Path, head: bytes) -> SourceKind:
    """The kind of a file that begins with `head`; kinds of other packages come before images and videos."""
    return next(kind for kind in chain(FILES[:2], others(), FILES[2:]) if kind.takes_file(path, head))


def forms() -> str:
    """How every kind is written, in a line for help and errors."""
    texts = [kind.form for kind in TEXTS] + sorted(f"{name}:..." for name in plugins.found(plugins.SOURCES))
    return "a video file, a folder or glob of images, a TIFF stack, a thermal camera's file, " + ", ".join(texts)


def file_kinds() -> list[SourceKind]:
    """The kinds whose files have names of their own, for dialogs."""
    return [kind for kind in (*FILES, *others()) if kind.suffixes]
