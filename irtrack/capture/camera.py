"""Cameras of this machine through OpenCV: 8 bits, and 16-bit counts of thermal cameras that speak UVC.

Written from the documentation of OpenCV, V4L2 and the cameras, tested with a stand-in for the device; not yet tested on
hardware.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.capture.grey import colour_to_grey
from irtrack.core import AwayError, Clock, Frame, Image, Source, SourceError, SourceInfo, frozen
from irtrack.hush import hushed

HELP = "write camera:N or a device path, then ,format=Y16 ,format=P2PRO ,size=160x120 ,fps=9 as needed"

TELEMETRY: dict[tuple[int, int], int] = {(160, 122): 120, (160, 124): 120, (80, 63): 60, (80, 62): 60}
"""Rows of picture of cameras that send rows of telemetry below it (FLIR Lepton), by (width, rows sent)."""

P2PRO_SIZE = (256, 384)
"""InfiRay and Topdon P2 Pro class: a picture for the eye above, 16-bit counts below, as one YUYV frame."""


@dataclass(frozen=True)
class CameraOptions:
    """What `camera:N,key=value` asks for."""

    device: int | str
    format: str = ""
    size: tuple[int, int] | None = None
    fps: float | None = None

    @property
    def raw(self) -> bool:
        """Whether counts are wanted as the camera sends them."""
        return self.format in ("Y16", "P2PRO")


def parse(text: str) -> CameraOptions:
    """`camera:0,format=Y16,size=160x120,fps=9` or `/dev/video0,...`. Raises SourceError."""
    where, *pairs = text.removeprefix("camera:").split(",")
    if not where.isdecimal() and not Path(where).exists():
        raise SourceError(f"there is no camera {where!r}: {HELP}")
    given: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            if key == "format" and value:
                given[key] = value.upper()
            elif key == "size":
                width, height = value.split("x")
                given[key] = (int(width), int(height))
            elif key == "fps":
                given[key] = float(value)
            else:
                raise ValueError
        except ValueError:
            raise SourceError(f"{pair!r} is no option of a camera: {HELP}") from None
    return CameraOptions(int(where) if where.isdecimal() else where, **given)


def counts(buffer: NDArray[Any], width: int, height: int) -> Image:
    """16-bit counts (H, W) of a raw buffer, in whatever shape OpenCV gives it. Raises ValueError."""
    if buffer.dtype == np.uint16 and buffer.ndim == 2:
        image: Image = buffer
    else:
        flat = np.ascontiguousarray(buffer).reshape(-1).view(np.uint8)
        if flat.size % (2 * width):
            raise ValueError(f"{flat.size} bytes are no rows of {width} samples of 16 bits")
        image = flat.view("<u2").reshape(-1, width)
    return image[: TELEMETRY.get((image.shape[1], image.shape[0]), height)]


class CameraSource(Source):
    """A camera by number (`camera:0`) or device path (`/dev/video0`); times are those of arrival."""

    live = True

    def __init__(self, text: str) -> None:
        """Opens the device and reads a frame. Raises SourceError."""
        self._name, self._options = text, parse(text)
        with hushed():
            self._capture = cv2.VideoCapture(self._options.device)
        try:
            if not self._capture.isOpened():
                raise AwayError(
                    f"camera {self._options.device} is not there or in use: check that it is plugged in and free"
                )
            self._set()
            first = self._read()
            if first is None:
                raise AwayError(f"camera {self._options.device} sends no picture: check that it is plugged in and free")
        except BaseException:
            self._capture.release()
            raise
        rate = self._capture.get(cv2.CAP_PROP_FPS) or None
        self.info = SourceInfo(
            text, first.shape[1], first.shape[0], 8 * first.dtype.itemsize, rate, None, Clock.ARRIVAL
        )

    def _set(self) -> None:
        """Format first: OpenCV's V4L2 part forgets that it should not convert when the format changes."""
        o, size = self._options, self._options.size
        if o.format:
            code = {"Y16": "Y16 ", "P2PRO": "YUYV"}.get(o.format, o.format.ljust(4))
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code[:4]))
        if o.raw:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        if o.format == "P2PRO":
            size = P2PRO_SIZE
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if o.fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, o.fps)

    def _read(self) -> Image | None:
        """The next picture; None where the camera gives none. Raises SourceError for what is not what was asked for."""
        if not self._capture.grab():
            return None
        with hushed():
            ok, picture = self._capture.retrieve()
        if not ok or picture is None:
            return None
        if not self._options.raw:
            return colour_to_grey(picture[:, :, ::-1] if picture.ndim == 3 else picture)
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if picture.ndim == 3 and picture.shape[2] == 3:
            raise SourceError(
                f"{self._name}: the camera does not give {self._options.format}, only colour; leave it out"
            )
        try:
            image = counts(picture, width, height)
        except ValueError as error:
            raise SourceError(f"{self._name}: {error}; give its size=WIDTHxHEIGHT") from error
        return image[len(image) // 2 :] if self._options.format == "P2PRO" else image

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while self._capture.isOpened():
            image = self._read()
            if image is None:
                raise SourceError(f"{self._name} was lost after {index} frames: check its cable")
            yield Frame(index, time.monotonic(), frozen(np.ascontiguousarray(image)))
            index += 1

    def seek(self, index: int) -> None:
        """A camera cannot."""
        raise SourceError("a live camera cannot be sought")

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera of this machine, and the SOURCE text that opens it."""

    source: str
    name: str
    formats: tuple[str, ...]


def find_cameras(devices: Path = Path("/sys/class/video4linux"), probe: int = 4) -> list[FoundCamera]:
    """Cameras of this machine: by the kernel's list on Linux, elsewhere by trying the first numbers."""
    if devices.is_dir():
        return [c for c in (of_kernel(d) for d in sorted(devices.glob("video*"))) if c is not None]
    found = []
    for number in range(probe if not Path("/sys").is_dir() else 0):
        with hushed():
            capture = cv2.VideoCapture(number)
        if capture.isOpened():
            found.append(FoundCamera(f"camera:{number}", f"camera {number}", ()))
        capture.release()
    return found


def of_kernel(device: Path) -> FoundCamera | None:
    """A capture device of the kernel's list; None for a device's further nodes, which carry its metadata."""
    number = device.name.removeprefix("video")
    try:
        name = (device / "name").read_text(encoding="utf-8").strip()
        if (device / "index").exists() and (device / "index").read_text().strip() != "0":
            return None
    except OSError:
        return None
    return FoundCamera(f"camera:{number}", name, tuple(formats_of(Path("/dev") / device.name)))


ENUM_FMT, CAPTURE = 0xC0405602, 1
"""VIDIOC_ENUM_FMT and V4L2_BUF_TYPE_VIDEO_CAPTURE of linux/videodev2.h."""


def formats_of(node: Path) -> list[str]:
    """Pixel formats that a V4L2 device offers, as four letters; nothing where it may not be asked."""
    import fcntl
    import struct

    out: list[str] = []
    try:
        with node.open("rb", buffering=0) as device:
            while len(out) < 64:
                request = bytearray(struct.pack("<II", len(out), CAPTURE).ljust(64, b"\0"))
                fcntl.ioctl(device, ENUM_FMT, request)
                out.append(bytes(request[44:48]).decode("ascii", "replace").strip())
    except OSError:
        pass
    return out
