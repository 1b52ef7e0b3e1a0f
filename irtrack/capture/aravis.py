"""GigE Vision and USB3 Vision cameras through the Aravis library of the system, called by ctypes.

Debian: `apt install libaravis-0.8-0`. Tested with Aravis' own simulated camera; not yet tested on hardware.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any

import numpy as np

from irtrack.capture.camera import FoundCamera
from irtrack.capture.industrial import POLL_S, IndustrialSource, deepest_mono
from irtrack.core import AwayError, Frame, Image, SourceError, frozen

LIBRARY = "libaravis-0.8.so.0"
BUFFERS = 8
SUCCESS, CLEARED = 0, 1
"""Of ArvBufferStatus."""

SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "arv_update_device_list": (None, ()),
    "arv_get_n_devices": (c_uint, ()),
    "arv_get_device_id": (c_char_p, (c_uint,)),
    "arv_get_device_model": (c_char_p, (c_uint,)),
    "arv_camera_new": (c_void_p, (c_char_p, c_void_p)),
    "arv_camera_get_payload": (c_uint, (c_void_p, c_void_p)),
    "arv_camera_create_stream": (c_void_p, (c_void_p, c_void_p, c_void_p, c_void_p)),
    "arv_camera_dup_available_pixel_formats_as_strings": (POINTER(c_char_p), (c_void_p, POINTER(c_uint), c_void_p)),
    "arv_camera_set_pixel_format_from_string": (None, (c_void_p, c_char_p, c_void_p)),
    "arv_camera_get_frame_rate": (c_double, (c_void_p, c_void_p)),
    "arv_camera_set_frame_rate": (None, (c_void_p, c_double, c_void_p)),
    "arv_camera_start_acquisition": (None, (c_void_p, c_void_p)),
    "arv_camera_stop_acquisition": (None, (c_void_p, c_void_p)),
    "arv_buffer_new_allocate": (c_void_p, (c_size_t,)),
    "arv_stream_push_buffer": (None, (c_void_p, c_void_p)),
    "arv_stream_timeout_pop_buffer": (c_void_p, (c_void_p, c_uint64)),
    "arv_buffer_get_status": (c_int, (c_void_p,)),
    "arv_buffer_get_data": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "arv_buffer_get_image_width": (c_int, (c_void_p,)),
    "arv_buffer_get_image_height": (c_int, (c_void_p,)),
    "arv_buffer_get_image_pixel_format": (c_uint32, (c_void_p,)),
    "arv_buffer_get_timestamp": (c_uint64, (c_void_p,)),
    "arv_buffer_get_frame_id": (c_uint64, (c_void_p,)),
}


class GError(ctypes.Structure):
    """GLib's error."""

    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


@cache
def libraries() -> tuple[ctypes.CDLL, ctypes.CDLL] | None:
    """Aravis and GObject; None where the system lacks them."""
    try:
        aravis, gobject = ctypes.CDLL(LIBRARY), ctypes.CDLL("libgobject-2.0.so.0")
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(aravis, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    gobject.g_object_unref.argtypes = (c_void_p,)
    gobject.g_object_unref.restype = None
    return aravis, gobject


def find_aravis() -> list[FoundCamera]:
    """Cameras that Aravis sees; none where the library is missing."""
    found = libraries()
    if found is None:
        return []
    aravis = found[0]
    aravis.arv_update_device_list()
    out = []
    for i in range(aravis.arv_get_n_devices()):
        name = (aravis.arv_get_device_id(i) or b"").decode(errors="replace")
        model = (aravis.arv_get_device_model(i) or b"").decode(errors="replace")
        out.append(FoundCamera(f"aravis:{name}", model, ()))
    return out


class AravisSource(IndustrialSource):
    """`aravis:NAME`: a camera by Aravis' name or its address, the first one without; its deepest grey format."""

    _camera: int | None = None
    _stream: int | None = None

    def _call(self, function: str, *arguments: Any) -> Any:
        """A function whose last argument is the place of an error. Raises SourceError with the library's reason."""
        error = POINTER(GError)()
        result = getattr(self._aravis, function)(*arguments, byref(error))
        if error:
            why = (error.contents.message or b"").decode(errors="replace")
            raise SourceError(f"{self._name}: {why or function}; check the camera's name with irtrack cameras")
        return result

    def _connect(self) -> None:
        found = libraries()
        if found is None:
            raise SourceError(f"{self._name} needs the Aravis library: apt install libaravis-0.8-0, or use genicam:ID")
        self._aravis, self._gobject = found
        self._aravis.arv_update_device_list()
        try:
            self._camera = self._call("arv_camera_new", self._options.name.encode() or None)
        except SourceError as error:
            raise AwayError(str(error)) from None
        count = c_uint()
        listed = self._call("arv_camera_dup_available_pixel_formats_as_strings", self._camera, byref(count))
        formats = [listed[i].decode() for i in range(count.value)]
        chosen = self._options.format or deepest_mono(formats)
        if chosen:
            self._call("arv_camera_set_pixel_format_from_string", self._camera, chosen.encode())
        if self._options.fps is not None:
            self._call("arv_camera_set_frame_rate", self._camera, self._options.fps)
        self._stream = self._call("arv_camera_create_stream", self._camera, None, None)
        size = self._call("arv_camera_get_payload", self._camera)
        for _ in range(BUFFERS):
            self._aravis.arv_stream_push_buffer(self._stream, self._aravis.arv_buffer_new_allocate(size))
        self._call("arv_camera_start_acquisition", self._camera)

    def _rate(self) -> float | None:
        try:
            return float(self._call("arv_camera_get_frame_rate", self._camera)) or None
        except SourceError:  # an optional feature
            return None

    def _poll(self) -> Frame | None:
        buffer = self._aravis.arv_stream_timeout_pop_buffer(self._stream, round(1e6 * POLL_S))
        if not buffer:
            return None
        try:
            return self._frame_of(buffer)
        finally:
            self._aravis.arv_stream_push_buffer(self._stream, buffer)

    def _frame_of(self, buffer: int) -> Frame | None:
        a = self._aravis
        status = a.arv_buffer_get_status(buffer)
        if status != SUCCESS:
            self.incomplete += status != CLEARED
            return None
        width, height = a.arv_buffer_get_image_width(buffer), a.arv_buffer_get_image_height(buffer)
        bits = a.arv_buffer_get_image_pixel_format(buffer) >> 16 & 0xFF
        if bits not in (8, 16):
            raise SourceError(f"{self._name} sends pixels of {bits} bits: choose format=Mono8 or format=Mono16")
        size = c_size_t()
        data = a.arv_buffer_get_data(buffer, byref(size))
        needed = width * height * bits // 8
        if not data or size.value < needed:
            self.incomplete += 1
            return None
        raw = np.frombuffer(ctypes.string_at(data, needed), np.uint8 if bits == 8 else np.dtype("<u2"))
        image: Image = raw.reshape(height, width)
        index, time_s = self._clock(a.arv_buffer_get_frame_id(buffer), a.arv_buffer_get_timestamp(buffer))
        return Frame(index, time_s, frozen(image))

    def _release(self) -> None:
        if self._stream:
            error = POINTER(GError)()
            self._aravis.arv_camera_stop_acquisition(self._camera, byref(error))
            self._gobject.g_object_unref(self._stream)
        if self._camera:
            self._gobject.g_object_unref(self._camera)
