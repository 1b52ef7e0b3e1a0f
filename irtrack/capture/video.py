"""Video files through PyAV, with an index of packets for exact seeking and real presentation times."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from irtrack.capture.boxes import header_of
from irtrack.capture.container import (
    check_film,
    check_pixels,
    choose_stream,
    in_colours,
    open_container,
    orientation_of,
    remark_pixels,
    video_stream,
)  # fmt: skip
from irtrack.capture.crop import Crop, crop_of
from irtrack.capture.decoder import STRICT, set_up
from irtrack.capture.edits import edit_list
from irtrack.capture.ends import end_of, lost_places
from irtrack.capture.fields import field_order, fields_of
from irtrack.capture.grey import IN_COLOURS, frame_to_grey, oriented
from irtrack.capture.last import MOST_PACKETS, SILENT, WITHOUT_ENDS, is_unfinished
from irtrack.capture.numbers import MISSING
from irtrack.capture.packets import lacks_before_last, make_index, stamp
from irtrack.capture.raw import RawPictures, raw_pictures
from irtrack.capture.reading import check_size, reading
from irtrack.capture.sums import are_sound, slices
from irtrack.capture.tails import second_recording
from irtrack.capture.times import mended, rate_of
from irtrack.capture.watched import Watched
from irtrack.core import Clock, Frame, Image, Remarks, Source, SourceError, SourceInfo, frozen

DEFAULT_FPS = 30.0
"""Of bare streams that do not say."""

COLOURS_EVERY = 32
"""One picture of so many is looked at for colours that the first did not have."""

JPEG_STREAMS = ("mjpeg", "jpeg_pipe", "image2")
"""Bare streams of JPEGs, however short."""


class VideoSource(Source):
    """A recording. Frame numbers are presentation order; times are the file's own, from 0 at the first frame.

    What cannot be decoded is skipped and said at the end: iteration then raises SourceError after the last good frame.
    """

    live = False

    def __init__(self, path: Path, fps: float | None = None) -> None:
        """Reads the index and the first frame. Raises SourceError for what is not a video."""
        self._path, self._next, self._closed = path, 0, False
        self._remarks = Remarks()
        self._bad: set[int] = set()
        self._problem = ""
        self._strict = True
        """Whether pictures that are not quite as they should be are left out: unless all are so."""
        self._marked = -1
        self._coloured = False
        """Whether it was said that pictures are in colours."""
        self._sums = False
        """Whether packets have sums by which damage can be told that the decoder passes over (FFV1)."""
        self._learned, self._highest = 0, -1
        self._watched = Watched(path.name, self._remarks)
        with reading(path, "is not a video that can be read: it is damaged, unfinished or of another kind"):
            self._end = second_recording(path)
            self._container = open_container(path, self._end)
        try:
            with reading(path):
                self._chosen = choose_stream(self._container, path, self._remarks)
                header = header_of(path)
                self._edits = edit_list(header, self._chosen)
                if self._edits.odd:
                    self._container.close()
                    self._container = open_container(path, self._end, edited=False)
                self._stream = video_stream(self._container, self._chosen)
                self._prepare(fps, header)
        except BaseException:
            self._container.close()
            raise

    def _prepare(self, fps: float | None, header: bytes) -> None:
        name, stream, context = self._path.name, self._stream, self._stream.codec_context
        self._raw: RawPictures | None = None
        self._fitted = False
        if context is None:
            self._raw = raw_pictures(self._path)
        else:
            check_film(self._path, context.name)
            check_size(self._path, context.width, context.height)
            set_up(context)
        kind = self._container.format.name
        (self._cut, self._unended), promised, base = end_of(self._path), stream.frames, stream.time_base
        average = float(stream.average_rate) if stream.average_rate else None
        declared = float(context.framerate) if context is not None and context.framerate else None
        self._index = make_index(
            self._container.demux(stream),
            context.name if context else "",
            kind,
            reorders=bool(context and context.has_b_frames),
            may_reorder=bool(context and context.codec.reorder),
            header=context.extradata if context else None,
        )
        remark_pixels(self._path, stream, self._index.largest, self._remarks)
        if kind in JPEG_STREAMS and b"\xff\xd9" not in self._index.last:
            self._cut = "its last picture is not whole"
        self._endless = context is not None and context.name in SILENT and kind in WITHOUT_ENDS
        self._last_is_broken = bool(self._cut) and kind in (*JPEG_STREAMS, "gif", "dv")
        self._restarts = [(0, self._index.before_key)]
        """Where a bare stream can be read from: the frame that comes out first, and its packet."""
        if not self._index.frames:
            raise SourceError(f"{self._path} holds no frames: the recording was probably not finished")
        self._fields, self._orientation, self._crop = "", 1, Crop(0, 0, 0, 0)
        first = next((picture for _, picture in self._decoded(0)), None)
        if first is None and context is not None and context.name in STRICT:
            self._strict = False
            self._bad.clear()
            self._rewind(None)
            first = next((picture for _, picture in self._decoded(0)), None)
        if first is None:
            raise SourceError(f"{self._path}: no frame can be decoded; the file is damaged or its codec is unknown")
        if isinstance(first, av.VideoFrame):
            self._fields, self._orientation = field_order(first, self._stream), orientation_of(first)
            check_pixels(self._path, first, context.name if context is not None else "", self._remarks)
            if in_colours(first):
                self._coloured = True
                self._remarks.add(f"{self._path.name}: {IN_COLOURS}")
            self._crop = crop_of(self._path, header, self._chosen, first.width, first.height)
            grey, bits = frame_to_grey(first)
            grey = oriented(self._crop.of(grey), self._orientation)
        else:
            grey, bits = first, 16
        self._size = grey.shape
        times, rate, clock = self._clock(fps, average, declared, base)
        if self._fields:
            last = times[-1] + 1 / rate if rate else times[-1] + 1 / DEFAULT_FPS
            halves = np.diff([*times, last]) / 2
            times = np.stack([times, times + halves], 1).ravel().tolist()
            rate = 2 * rate if rate else None
        self._times: list[float] = np.asarray(times, np.float64).tolist()
        self._remark(kind, promised)
        self.info = SourceInfo(name, grey.shape[1], grey.shape[0], bits, rate, len(self._times), clock, self._remarks)

    def _clock(
        self, fps: float | None, average: float | None, declared: float | None, base: Any
    ) -> tuple[Any, float | None, Clock]:
        """Times of all frames, the rate, and where both come from."""
        index, name = self._index, self._path.name
        if index.ticks is None or base is None or fps:
            rate = fps or declared or DEFAULT_FPS
            clock = Clock.GIVEN if fps else Clock.FILE if declared else Clock.ASSUMED
            return np.arange(index.frames) / rate, rate, clock
        times = mended(name, [float(t * base) for t in index.ticks], self._remarks, 1 / (average or DEFAULT_FPS))
        return np.array(times), rate_of(times) or average, Clock.FILE

    def _remark(self, kind: str, promised: int) -> None:
        """Say what is not as it seems, and note how many frames the header promises."""
        name, index, remarks = self._path.name, self._index, self._remarks
        if not self._strict:
            remarks.add(f"{name}: its pictures are damaged or not written as they should be: all are read as they are")
        self._total = index.frames
        if kind.startswith("mov") and self._edits.whole:
            self._total = max(self._total, promised - index.hidden - index.before_key)
        elif kind == "avi" and promised > index.frames and not self._cut:
            remarks.add(f"{name}: chunks without a picture, as of a grabber that missed one", promised - index.frames)
        if index.before_key:
            remarks.add(f"{name}: pictures before the first that can be decoded left out", index.before_key)
        if self._fields:
            remarks.add(f"{name}: interlaced: each field is a picture, at the field rate")
        if self._crop:
            remarks.add(f"{name}: cropped as its header says, to {self._size[1]}x{self._size[0]} pixels")
        if self._orientation != 1:
            remarks.add(f"{name}: turned as its header says")
        context = self._stream.codec_context
        if context is not None and lacks_before_last(index.ticks or [], int(context.has_b_frames)):
            remarks.add(f"{name}: pictures that are shown before its last ones are missing: it was cut")
        if lost := lost_places(self._path):
            remarks.add(f"{name}: packets of its stream are missing: pictures may be lost or damaged there", lost)
        if index.gaps:
            remarks.add(f"{name}: {MISSING}", index.gaps)
        if self._edits.odd:
            remarks.add(f"{name}: its list of edits (pauses, other speeds) is not followed: all its pictures are read")
        elif self._edits.parts > 1:
            remarks.add(f"{name}: {self._edits.parts} parts of its pictures follow each other, as its header says")
        if self._end:
            remarks.add(f"{name}: another recording stands behind the first in this file, and is not read")
        if self._unended:
            remarks.add(f"{name}: its end was never written (killed or streamed): more pictures may be missing")

    def _decoded(self, start: int) -> Iterator[tuple[int, av.VideoFrame | Image]]:
        """Numbered frames from at or before frame `start` on, as they come out of the decoder."""
        if self._index.timed:
            yield from self._from_packet(self._index.key_before(start), start)
            return
        frame, packet = next(r for r in reversed(self._restarts) if r[0] <= start)
        for number, (source_packet, picture) in enumerate(self._from_packet(packet, start), frame):
            self._learn(number, source_packet)
            yield number, picture

    def _learn(self, frame: int, packet: int) -> None:
        """From a picture that came out of the decoder of a bare stream: whether reading may begin there."""
        if frame != self._learned:
            return
        if packet in self._index.key_set and packet > self._highest and frame:
            self._restarts.append((frame, packet))
        self._learned, self._highest = frame + 1, max(self._highest, packet)

    def _from_packet(self, first: int, wanted: int) -> Iterator[tuple[int, av.VideoFrame | Image]]:
        """Pictures from packet `first` on with their frame (bare streams: packet); those that are damaged are counted
        and left out."""
        index, spoilt = self._index, False
        group: list[av.Packet[Any]] = []
        for number, packet in self._packets_from(first):
            known = 0 <= number < len(index.frame_of)
            frame = index.frame_of[number] if known else -1
            # The decoder hands these numbers through to the picture, whatever the order in which pictures come out.
            packet.pts = (frame if index.timed else number) if frame >= 0 else None
            packet.dts = None
            if (palette := index.palette_at(number)) is not None:
                packet.set_sidedata(palette)
            is_last = number == len(index.frame_of) - 1
            if self._endless:
                group = [packet] if number in index.key_set else [*group, packet][-MOST_PACKETS:]
                if is_last and frame >= 0:
                    self._endless = False  # looked at once, however often the end is shown
                    if not self._cut and is_unfinished(self._stream.codec_context, group):
                        self._cut, self._last_is_broken = "its last picture is not whole", True
            broken = bool(self._cut) and is_last and (self._last_is_broken or bool(packet.is_corrupt))
            spoilt = self._is_spoilt(packet, spoilt) or number in index.unended
            try:
                if spoilt:
                    raise ValueError("its sum is another")
                if self._raw is not None:
                    yield frame, self._raw_picture(bytes(packet))
                    continue
                pictures = packet.decode()
            except (av.FFmpegError, ValueError):
                self._count_bad(frame, wanted)
                continue
            if broken:
                self._broken.add(frame if index.timed else number)
            yield from self._good(pictures, wanted)
        if self._raw is None:
            try:
                pictures = self._stream.codec_context.decode(None)
            except (av.FFmpegError, ValueError):
                pictures = []
            yield from self._good(pictures, wanted)

    def _raw_picture(self, code: bytes) -> Image:
        """Raw samples, in the order of bytes that the first picture speaks for."""
        assert self._raw is not None
        if not self._fitted:
            given, self._fitted = self._raw, True
            self._raw = given.fitting(code)
            if self._raw != given:
                self._remarks.add(f"{self._path.name}: its samples have the bytes of each in the other order")
        return self._raw.picture(code)

    def _is_spoilt(self, packet: av.Packet[Any], before: bool) -> bool:
        """Whether a packet of FFV1 with sums is damaged, or refers to one (`before`): its decoder gives it as good."""
        if self._stream.codec_context is None or self._stream.codec_context.name != "ffv1":
            return False
        code = bytes(packet)
        found = slices(code)
        self._sums |= bool(found)
        return self._sums and (not are_sound(code, found) or (before and not packet.is_keyframe))

    def _good(self, pictures: list[av.VideoFrame], wanted: int) -> Iterator[tuple[int, av.VideoFrame]]:
        for picture in pictures:
            number = picture.pts if picture.pts is not None else -1
            if picture.is_corrupt or number in self._broken:
                self._count_bad(number, wanted)
            else:
                yield number, picture

    def _count_bad(self, frame: int, wanted: int) -> None:
        """A picture was lost; those before the wanted one only lacked what they refer to."""
        if frame >= wanted or not self._index.timed:
            self._bad.add(frame)

    def _packets_from(self, first: int) -> Iterator[tuple[int, av.Packet[Any]]]:
        """Numbered packets from `first` on.

        Some demuxers (MPEG-TS) land behind the time asked for; then an earlier time is asked for, and at last the file
        is opened afresh and read from its beginning, which is slow and always right.
        """
        second = int(1 / self._stream.time_base) if self._stream.time_base else 1
        time = self._index.time_of(first)
        targets = [time - back * second for back in (0, 1, 5)] if time is not None else []
        for target in (*targets, None):
            self._rewind(target)
            packets = self._numbered(target is not None)
            found = next(packets, None)
            if target is None or (found is not None and 0 <= found[0] <= first):
                break
        self._broken: set[int] = set()
        last = -1
        for number, packet in chain([found] if found is not None else [], packets):
            last = max(last, number)
            if number >= first:
                yield number, packet
        if last < len(self._index.frame_of) - 1:
            self._problem = self._problem or "it has less in it than when it was opened"

    def _numbered(self, sought: bool) -> Iterator[tuple[int, av.Packet[Any]]]:
        """Packets from the demuxer's position with their numbers."""
        packets, number = self._container.demux(self._stream), -1
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._problem = str(getattr(error, "strerror", None) or error)
                return
            if not packet.size:
                continue
            time = stamp(packet)
            number = self._index.packet_at.get(time, number + 1) if sought and time is not None else number + 1
            yield number, packet

    def _rewind(self, target: int | None) -> None:
        """Ask the demuxer for the key frame at or before a time; None opens the file afresh."""
        if target is not None:
            try:
                self._container.seek(target, stream=self._stream, backward=True)
                if self._stream.codec_context is not None:
                    self._stream.codec_context.flush_buffers()
                return
            except (av.FFmpegError, OSError):
                pass  # a format without an index
        self._container.close()
        with reading(self._path, "cannot be read any more"):
            self._container = open_container(self._path, self._end, not self._edits.odd)
            self._stream = video_stream(self._container, self._chosen)
            if self._stream.codec_context is not None:
                set_up(self._stream.codec_context, self._strict)

    def _pictures(self, start: int) -> Iterator[tuple[int, Image]]:
        """Numbered grey pictures from at or before `start` on."""
        if not self._fields:
            for number, picture in self._decoded(start):
                if isinstance(picture, av.VideoFrame):
                    if picture.interlaced_frame and number > self._marked:
                        self._marked = number
                        self._remarks.add(f"{self._path.name}: interlaced pictures among others, used as they are")
                    yield number, self._grey(number, picture)
                else:
                    yield number, picture
            return
        frames = ((n, p) for n, p in self._decoded(max(0, start // 2 - 1)) if isinstance(p, av.VideoFrame))
        for number, field in fields_of(frames, self._fields):
            yield number, self._grey(number, field)

    def _grey(self, number: int, picture: av.VideoFrame) -> Image:
        """A picture's counts. Raises SourceError where they are of another scale than the first's."""
        grey, bits = frame_to_grey(picture)
        if bits != self.info.bits:
            raise SourceError(
                f"{self._path}: frame {number} has {bits} bits, the first {self.info.bits}; a recording must keep one "
                "depth"
            )
        if number % COLOURS_EVERY == COLOURS_EVERY - 1 and not self._coloured and in_colours(picture):
            self._coloured = True
            self._remarks.add(f"{self._path.name}: about from frame {number} on {IN_COLOURS}")
        return oriented(self._crop.of(grey), self._orientation)

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the current position on; exact, whatever the key frame distance."""
        start = expected = self._next
        seen = 0
        if start >= len(self._times):
            return
        with reading(self._path, "cannot be read on"):
            for found, grey in self._pictures(start):
                if found < start:
                    continue
                number = max(found, expected)
                expected = number + 1
                if grey.shape != self._size:
                    raise SourceError(
                        f"{self._path}: frame {number} is {grey.shape[1]}x{grey.shape[0]}, the first was "
                        f"{self._size[1]}x{self._size[0]}; a recording must keep one size"
                    )
                if number >= len(self._times):  # more than its packets: a decoder that splits one
                    self._times.append(self._times[-1] + 1 / (self.info.fps or DEFAULT_FPS))
                self._next, seen = number + 1, seen + 1
                self._watched(number, grey)
                yield Frame(number, self._times[number], frozen(np.ascontiguousarray(grey)))
            self._watched.end()
            self._report_losses(start, seen)
        self._next = max(self._next, len(self._times))

    def _report_losses(self, start: int, seen: int) -> None:
        read, total = seen + start, self._total * (2 if self._fields else 1)
        self._next = len(self._times)
        problem = self._cut or self._problem or self._index.problem
        if self._bad or total > len(self._times):
            why = f" ({problem})" if problem else ""
            raise SourceError(
                f"{self._path} is damaged or cut short{why}: {read} of {total} frames could be read and were used"
            )
        if problem:
            raise SourceError(f"{self._path} is cut short ({problem}): {read} frames could be read and were used")
        if read < total and not start:
            self._remarks.add(f"{self._path.name}: pictures that its decoder did not give", total - read)

    def seek(self, index: int) -> None:
        """Continue at frame `index`. Raises SourceError outside the recording."""
        if not 0 <= index < len(self._times):
            raise SourceError(
                f"frame {index} is outside {self._path.name}, which has frames 0 to {len(self._times) - 1}"
            )
        self._next = index

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._container.close()
