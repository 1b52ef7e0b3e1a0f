"""Track logs as text: CSV, MOTChallenge, JSON lines. Each frame's rows reach the operating system at once."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np

from irtrack.core import FrameResult, Sink, SinkError, Track, TrackStatus
from irtrack.direction.bearings import Bearing, Bearings
from irtrack.sinks.columns import CSV_HEADER, csv_row
from irtrack.sinks.target import Target, claimed, reason


class TextSink(ABC):
    """A text file with rows for each confirmed track in each frame, also while it coasts.

    Rows are at the operating system after each call, so a kill loses nothing that was reported.
    """

    def __init__(self, path: Path | Target, force: bool = False) -> None:
        """Raises SinkError."""
        self._target = claimed(path, force)
        self.path = self._target.path
        try:
            self._file: BinaryIO | None = self.path.open("wb", buffering=0)
            self._regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        except OSError as error:
            self._target.abandon()
            raise SinkError(f"cannot write {self.path}: {reason(error)}") from error
        self._end = 0
        """Bytes that stay; what lies behind them is pending, and replaced by the next call."""
        self._put(self.header())

    def header(self) -> str:
        """Text before the first row."""
        return ""

    @abstractmethod
    def rows(self, result: FrameResult) -> str:
        """Text of one frame."""

    def write(self, result: FrameResult) -> None:
        """Append a frame's rows. Raises SinkError (a full disk, for example); what was written stays."""
        self._put(self.rows(result))

    def amend(self, decided: Sequence[FrameResult], pending: Sequence[FrameResult]) -> None:
        """Append the rows of frames, and behind them of those that the next call gives anew. Raises SinkError."""
        self._put("".join(map(self.rows, decided)), "".join(map(self.rows, pending)) if self._regular else "")

    def _put(self, text: str, pending: str = "") -> None:
        if self._file is None:
            return
        kept, rest = text.encode("utf-8", "surrogateescape"), pending.encode("utf-8", "surrogateescape")
        data, written = kept + rest, 0  # written in one, so that a kill finds the old rows or the new ones
        try:
            if self._regular:
                self._file.seek(self._end)
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
            self._end += len(kept)
            if self._regular:
                self._file.truncate(self._end + len(rest))
        except OSError as error:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                if self._regular:  # no half rows
                    file.truncate(self._end + data[:written].rfind(b"\n") + 1)
            with contextlib.suppress(OSError):
                file.close()
            self._target.release()
            raise SinkError(f"cannot write on to {self.path}: {reason(error)}; what was written is kept") from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
                self._target.finish()
            except OSError as error:
                self._target.release()
                raise SinkError(f"cannot finish {self.path}: {reason(error)}; what was written is kept") from error


class CsvSink(TextSink):
    """The track log of irtrack; its header is a contract."""

    def header(self) -> str:
        return CSV_HEADER + "\n"

    def rows(self, result: FrameResult) -> str:
        return "".join(csv_row(result.frame.index, result.frame.time_s, t) for t in result.tracks if t.confirmed)


class MotSink(TextSink):
    """MOTChallenge text: frame (1-based), id, left, top, width, height (1-based pixels), confidence, -1, -1, -1."""

    def rows(self, result: FrameResult) -> str:
        out = []
        for t in result.tracks:
            if t.confirmed:
                w, h = (v if v == v else 1.0 for v in t.size_px)
                x, y = t.xy_px.tolist()
                score = t.score if t.detection is not None and t.score == t.score else 0.0
                box = f"{x - w / 2 + 1:.2f},{y - h / 2 + 1:.2f},{w:.2f},{h:.2f}"
                out.append(f"{result.frame.index + 1},{t.id},{box},{score:.4f},-1,-1,-1\n")
        return "".join(out)


class JsonLinesSink(TextSink):
    """One JSON object a frame: its tracks, its detections and its timing, for scripts.

    `names`: what tracks are called, by number; those that are there get a `name`. `by_hand`: tracks that the operator
    added, which say so. `started`: when the seconds of a camera's frames began to count; each frame then says its
    `utc`. `bearings`: of a camera whose pose is known; tracks then have their direction.
    """

    names: Mapping[int, str] = {}
    by_hand: Set[int] = frozenset()
    started: datetime | None = None
    bearings: Bearings | None = None

    def rows(self, result: FrameResult) -> str:
        d = result.detections
        seen = self.bearings(result) if self.bearings is not None else {}
        moved = {"scene_moved_px": round(self.bearings.moved_px, 1)} if self.bearings and self.bearings.moved_px else {}
        return (
            json.dumps(
                {
                    "frame": result.frame.index,
                    "time_s": round(result.frame.time_s, 6),
                    **self._utc(result.frame.time_s),
                    **moved,
                    "dropped": result.dropped,
                    "stage_ms": {k: round(v, 3) for k, v in result.stage_ms.items()},
                    "detections": [
                        {"xy_px": [round(x, 3), round(y, 3)], "score": round(s, 4), "area_px": a, "snr": known(r)}
                        for (x, y), s, a, r in zip(
                            d.xy_px.tolist(), d.score.tolist(), d.area_px.tolist(), d.snr.tolist(), strict=True
                        )
                    ],
                    "tracks": [
                        json_track(t) | json_bearing(seen.get(t.id)) | self._name(t.id)
                        for t in result.tracks
                        if t.confirmed
                    ],
                    "candidates": [
                        json_candidate(t) for t in result.tracks if not t.confirmed and t.detection is not None
                    ],
                },
                allow_nan=False,
            )
            + "\n"
        )

    def _utc(self, time_s: float) -> dict[str, object]:
        if self.started is None:
            return {}
        return {"utc": (self.started + timedelta(seconds=time_s)).isoformat(timespec="milliseconds")}

    def _name(self, track: int) -> dict[str, object]:
        named: dict[str, object] = {"name": self.names[track]} if track in self.names else {}
        return named | ({"by_hand": True} if track in self.by_hand else {})


def json_track(track: Track) -> dict[str, object]:
    """A confirmed track as plain values; unknown numbers become null."""
    return {
        "id": track.id,
        "status": str(track.status),
        "xy_px": [round(v, 3) for v in track.xy_px.tolist()],
        "velocity_px_s": [round(v, 3) for v in track.velocity_px_s.tolist()],
        "sigma_px": [round(float(track.covariance[i, i]) ** 0.5, 3) for i in (0, 1)],
        "age_s": round(track.age_s, 6),
        "detection": track.detection,
        "snr": known(track.snr),
        **json_belief(track),
    }


def json_bearing(bearing: Bearing | None) -> dict[str, object]:
    """Where a track is seen; nothing where that is not known."""
    return {} if bearing is None else {name: round(v, 5) for name, v in bearing._asdict().items()}


def json_candidate(track: Track) -> dict[str, object]:
    """A track that is not believed yet, and why."""
    return {"id": track.id, "xy_px": [round(v, 3) for v in track.xy_px.tolist()], **json_belief(track)}


def json_belief(track: Track) -> dict[str, object]:
    """Why a track is one or not yet, where somebody weighed it."""
    if track.belief != track.belief:
        return {}
    why = {kind: {part: round(v, 2) for part, v in parts.items()} for kind, parts in track.why().items()}
    return {"belief": round(track.belief, 2)} | ({"reasons": why} if why else {})


def known(value: float) -> float | None:
    """Two digits; null for what is unknown."""
    return round(value, 2) if value == value else None


def light(result: FrameResult) -> FrameResult:
    """A result without picture and mask: neither goes into a log, and holding them would fill the memory."""
    image = result.frame.image
    frame = replace(result.frame, image=np.broadcast_to(np.zeros((), image.dtype), image.shape))
    return replace(result, frame=frame, detections=replace(result.detections, mask=None, scores=None))


TAIL_S = 0.5
"""What is still held is at the operating system after so long: a kill loses no more."""


LEAST_HELD = 6
"""So many frames are held whatever their time: where results are seconds apart, a track is confirmed within these."""


class CompletedLog:
    """Delays results, so that each row is written when it is known whether it belongs in the log.

    Rows from before a track's confirmation enter it, from the first that is held and in which it was seen. Rows of a
    track that coasts are written once it was seen again: a coast that nothing ended is a guess about a target that had
    gone. `delay_s`: what is still undecided after this long is written as it was at the time, but for coasts that go
    on. A text log has what is held at its end all the while, as it would be written if the run ended now; `tail` False
    leaves that out.
    """

    def __init__(self, sink: Sink, delay_s: float, tail: bool = True) -> None:
        self._sink, self._delay_s = sink, delay_s
        self._text = sink if tail and isinstance(sink, TextSink) else None
        self._held: deque[FrameResult] = deque()
        self._decided: list[FrameResult] = []
        self._promoted: set[int] = set()
        self._begun: set[int] = set()  # tracks of which a row was decided
        self._sure_at: dict[int, int] = {}  # track -> last frame in which it was surely seen
        self._due = 0.0

    def write(self, result: FrameResult) -> None:
        """Take a frame. Raises SinkError."""
        self._promoted |= {t.id for t in result.tracks if t.confirmed}
        seen = (t for t in result.tracks if t.detection is not None and t.status is not TrackStatus.COASTING)
        self._sure_at |= {t.id: result.frame.index for t in seen}
        self._held.append(light(result))
        late_s = result.frame.time_s - self._delay_s
        while len(self._held) > LEAST_HELD and self._held[0].frame.time_s < late_s:
            self._decided.append(self._decision(self._held.popleft(), self._begun))
        if self._text is None or time.monotonic() >= self._due:
            self._pass_on()
        if len(self._sure_at) > 10_000:
            alive = {t.id for r in self._held for t in r.tracks}
            self._promoted &= alive
            self._begun &= alive
            self._sure_at = {k: v for k, v in self._sure_at.items() if k in alive}

    def _decision(self, result: FrameResult, begun: set[int]) -> FrameResult:
        """A frame as it is written by what is known now. `begun`: tracks seen before; takes in the frame's."""
        tracks = tuple(promoted(t) if t.id in self._promoted else t for t in result.tracks)
        begun |= {t.id for t in tracks if t.status is TrackStatus.CONFIRMED}
        kept = (t for t in tracks if self._sure_at.get(t.id, -1) >= result.frame.index)
        kept = (t for t in kept if t.status is not TrackStatus.COASTING or t.id in begun)
        return replace(result, tracks=tuple(kept))

    def _decisions(self, begun: set[int]) -> list[FrameResult]:
        """The same of all frames that are held."""
        return [self._decision(r, begun) for r in self._held]

    def _pass_on(self) -> None:
        decided, self._decided = self._decided, []
        if self._text is not None:
            start = time.monotonic()
            self._text.amend(decided, self._decisions(set(self._begun)))
            took = time.monotonic() - start
            self._due = start + max(TAIL_S, min(20 * took, 2 * TAIL_S - took))  # many tracks: not all of the time
        else:
            for result in decided:
                self._sink.write(result)

    def close(self) -> None:
        """Write what is held, and close. Raises SinkError."""
        try:
            self._decided += self._decisions(self._begun)
            self._held.clear()
            self._pass_on()
        finally:
            self._sink.close()


class OfflineLog:
    """Holds a recording's results and writes them when it is closed, with the tracks as `rewrite` knows them then."""

    def __init__(self, sink: Sink, rewrite: Callable[[Sequence[FrameResult]], Sequence[FrameResult]]) -> None:
        self._sink, self._rewrite = sink, rewrite
        self._held: list[FrameResult] = []

    def write(self, result: FrameResult) -> None:
        self._held.append(light(result))

    def close(self) -> None:
        held, self._held = self._held, []
        try:
            for result in self._rewrite(held):
                self._sink.write(result)
        finally:
            self._sink.close()


def promoted(track: Track) -> Track:
    """A tentative snapshot of a track that was confirmed later, reported as it would have been then."""
    if track.confirmed:
        return track
    return replace(track, status=TrackStatus.CONFIRMED if track.detection is not None else TrackStatus.COASTING)
