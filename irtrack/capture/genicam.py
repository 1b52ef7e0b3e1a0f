"""GenICam cameras (GigE Vision, USB3 Vision, CoaXPress) through a GenTL producer of their maker and `harvesters`.

Producers (.cti files) are those of the folders in GENICAM_GENTL64_PATH, which the makers' installers set. Needs the
extra `genicam`. Tested with the producer that the package `genicam` brings; not yet tested on hardware.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from irtrack.capture.camera import FoundCamera
from irtrack.capture.grey import colour_to_grey
from irtrack.capture.industrial import POLL_S, IndustrialSource, deepest_mono
from irtrack.core import AwayError, Frame, Image, SourceError, frozen

PATHS = "GENICAM_GENTL64_PATH"
BUFFERS = 4


def producers() -> list[Path]:
    """The .cti files of this machine."""
    folders = [Path(f) for f in os.environ.get(PATHS, "").split(os.pathsep) if f]
    return [p for folder in folders if folder.is_dir() for p in sorted(folder.glob("*.cti"))]


def harvester() -> Any:
    """A Harvester that knows the producers. Raises SourceError."""
    if importlib.util.find_spec("harvesters") is None:
        raise SourceError("GenICam cameras need the package harvesters: pip install 'irtrack[genicam]'")
    found = producers()
    if not found:
        raise SourceError(f"there is no GenTL producer: install your camera maker's software, which sets {PATHS}")
    from harvesters.core import Harvester

    logging.getLogger("harvesters").setLevel(logging.CRITICAL)
    made = Harvester()
    for path in found:
        made.add_file(str(path))
    made.update()
    return made


def find_genicam() -> list[FoundCamera]:
    """GenICam cameras that answer; none where the extra or a producer is missing."""
    try:
        h = harvester()
    except SourceError:
        return []
    try:
        return [FoundCamera(f"genicam:{d.id_}", str(d.display_name), ()) for d in h.device_info_list]
    except Exception:  # a producer's own errors have no common base
        return []
    finally:
        h.reset()


class GenicamSource(IndustrialSource):
    """`genicam:ID`: a camera by its GenTL identity, the first one without; the deepest grey format it has."""

    _harvester: Any = None
    _acquirer: Any = None

    def _connect(self) -> None:
        self._harvester = harvester()
        known = [str(d.id_) for d in self._harvester.device_info_list]
        wanted = self._options.name or (known[0] if known else "")
        if wanted not in known:
            raise AwayError(f"there is no GenICam camera {wanted!r}; found: {', '.join(known) or 'none'}")
        try:
            self._acquirer = self._harvester.create({"id_": wanted})
            nodes = self._acquirer.remote_device.node_map
            chosen = self._options.format or deepest_mono(nodes.PixelFormat.symbolics)
            if chosen:
                nodes.PixelFormat.value = chosen
            if self._options.fps is not None:
                nodes.AcquisitionFrameRate.value = self._options.fps
            self._acquirer.num_buffers = BUFFERS
            self._acquirer.start()
        except Exception as error:
            raise SourceError(f"{self._name} cannot be started: {str(error).splitlines()[0]}") from error

    def _rate(self) -> float | None:
        try:
            return float(self._acquirer.remote_device.node_map.AcquisitionFrameRate.value) or None
        except Exception:  # an optional feature
            return None

    def _poll(self) -> Frame | None:
        try:
            buffer = self._acquirer.try_fetch(timeout=POLL_S)
            if buffer is None:
                return None
            try:
                return self._frame_of(buffer)
            finally:
                buffer.queue()
        except Exception as error:
            raise SourceError(f"{self._name} was lost: {str(error).splitlines()[0]}") from error

    def _frame_of(self, buffer: Any) -> Frame | None:
        module = buffer.module
        if not module.is_complete() or not buffer.payload.components:
            self.incomplete += 1
            return None
        index, time_s = self._clock(optional(module, "frame_id"), optional(module, "timestamp_ns"))
        return Frame(index, time_s, frozen(picture(buffer.payload.components[0])))

    def _release(self) -> None:
        if self._acquirer is not None:
            self._acquirer.stop()
            self._acquirer.destroy()
        if self._harvester is not None:
            self._harvester.reset()


def optional(module: Any, name: str) -> int | None:
    """A number that not every camera has."""
    try:
        return int(getattr(module, name))
    except Exception:  # GenTL says "not available" by an exception of its own
        return None


def picture(component: Any) -> Image:
    """Counts (H, W) of a component; colour as grey."""
    shape = (component.height, component.width)
    data: Image = component.data
    if data.size == shape[0] * shape[1]:
        return np.ascontiguousarray(data.reshape(shape)).copy()
    return colour_to_grey(data.reshape(*shape, -1)[:, :, :3]).copy()
