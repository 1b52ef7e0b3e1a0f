"""From SOURCE text to a source."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from irtrack.capture.schemes import check_scheme
from irtrack.core import Source, SourceError

IMAGE_SUFFIXES = frozenset({".png", ".bmp", ".jpg", ".jpeg", ".pgm", ".tif", ".tiff", ".jp2", ".webp"})
DEFAULT_IMAGE_FPS = 30.0
KINDS = "a video file, a folder of images, a URL, camera:N, genicam:ID, aravis:NAME or sim:NAME"


def redact(text: str) -> str:
    """The text without the user name and password of a URL."""
    return re.sub(r"(\w+://)[^/@\s]*@", r"\1***@", text)


def open_source(text: str, fps: float | None = None, reconnect_s: float = 0.0) -> Source:
    """Open what `text` names: a video, an image folder or glob, a TIFF stack, `sim:NAME`, `simcam:NAME`, a URL,
    `camera:N`, `genicam:ID`, `aravis:NAME`.

    `fps` sets the frame rate of images and stacks, which carry none. A camera or stream that is lost is opened again
    for `reconnect_s`, if that is above 0. Raises SourceError with one clear line.
    """
    source = open_once(text, fps)
    if not source.live or reconnect_s <= 0:
        return source
    from irtrack.capture.reconnect import ReconnectingSource

    return ReconnectingSource(source, lambda: open_once(text, fps), reconnect_s)


def open_once(text: str, fps: float | None) -> Source:
    """`open_source` without reconnecting."""
    if fps is not None and not 0 < fps < 1e6:
        raise SourceError(f"a frame rate of {fps} makes no sense: give frames a second above 0")
    rate = fps or DEFAULT_IMAGE_FPS
    if not text.strip():
        raise SourceError(
            "the source is empty: give a video file, a folder of images, a URL, camera:N, genicam:ID or sim:NAME"
        )
    check_scheme(text)
    if text.startswith("sim:"):
        from irtrack.capture.sim import SimSource

        return SimSource(text.removeprefix("sim:"))
    if text.startswith("simcam:"):
        from irtrack.capture.sim import SimCamera

        return SimCamera(text.removeprefix("simcam:"))
    if text.startswith("camera:") or text.startswith("/dev/video"):
        from irtrack.capture.camera import CameraSource

        return CameraSource(text)
    if text.startswith("genicam:"):
        from irtrack.capture.genicam import GenicamSource

        return GenicamSource(text)
    if text.startswith("aravis:"):
        from irtrack.capture.aravis import AravisSource

        return AravisSource(text)
    if "://" in text:
        from irtrack.capture.stream import StreamSource

        return StreamSource(text)
    path = Path(text).expanduser()
    try:
        return open_path(path, rate)
    except PermissionError as error:
        raise SourceError(f"{path} may not be read: {error.strerror}; check its permissions") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror or error}") from error


def open_path(path: Path, fps: float) -> Source:
    """A file, folder or glob on disk."""
    from irtrack.capture.images import ImagesSource

    if path.is_dir():
        listed = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        if not listed:
            raise SourceError(f"{path} holds no images: expected files like 0001.png or 0001.tif")
        return ImagesSource(str(path), listed, fps)
    if not path.exists():
        matches = [Path(p) for p in glob.glob(str(path))] if glob.has_magic(str(path)) else []
        if matches:
            return ImagesSource(str(path), matches, fps)
        raise SourceError(f"there is no file {path}: check the name")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes): the recording was probably not finished")
    suffix = path.suffix.lower()
    if suffix == ".cptv":
        from irtrack.capture.cptv import CptvSource

        return CptvSource(path)
    if suffix in (".seq", ".csq", ".fff"):
        from irtrack.capture.flir import FlirSource

        return FlirSource(path, fps)
    if suffix in (".jpg", ".jpeg"):
        from irtrack.capture.flir import open_radiometric

        radiometric = open_radiometric(path, fps)
        if radiometric is not None:
            return radiometric
    if suffix in (".tif", ".tiff"):
        from irtrack.capture.tiff import TiffSource

        return TiffSource(path, fps)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImagesSource(str(path), [path], fps)
    from irtrack.capture.video import VideoSource

    return VideoSource(path)
