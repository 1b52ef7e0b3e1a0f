"""The status line: rates, latency, drops, device, and the pixel under the cursor."""

from __future__ import annotations

import math
import time
from collections import deque

import numpy as np
from PySide6.QtWidgets import QLabel, QStatusBar

from irtrack.core import Detector, DetectorStatus, Frame, Remarks, Reporting
from irtrack.session.picture import Picture
from irtrack.session.session import Session

WINDOW_S = 2.0


class Rate:
    """Events a second over the last WINDOW_S."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, count: int) -> None:
        """Tell the running total."""
        now = time.monotonic()
        self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW_S:
            self._marks.popleft()

    @property
    def value(self) -> float:
        if len(self._marks) < 2:
            return 0.0
        (t0, n0), (t1, n1) = self._marks[0], self._marks[-1]
        return max(0.0, (n1 - n0) / (t1 - t0)) if t1 > t0 else 0.0


class StatusLine(QStatusBar):
    """Honest figures: what was captured, inferred and drawn, and how late the picture is."""

    def __init__(self) -> None:
        super().__init__()
        self._rates, self._where = QLabel(), QLabel()
        self._rates.setAccessibleName("Rates and latency")
        self._where.setAccessibleName("Pixel under the cursor")
        self.addWidget(self._rates, 1)
        self.addPermanentWidget(self._where)
        self.reset()

    def reset(self) -> None:
        """Forget the figures of the last source."""
        self._capture, self._infer, self._display = Rate(), Rate(), Rate()
        self._count = 0
        self._frame: Frame | None = None
        self._said: set[str] = set()
        self._rates.setText("")

    def drew(self, picture: Picture) -> None:
        """A picture was put on screen just now."""
        if picture.result.frame is not self._frame:
            self._frame = picture.result.frame
            self._count += 1

    def say(self, text: str) -> None:
        """A passing message."""
        self.showMessage(text, 6000)

    def _say_remarks(self, remarks: Remarks) -> None:
        """What became known of a camera, once each: pictures left out, another size."""
        for text in remarks.counts():
            if text not in self._said:
                self._said.add(text)
                self.say(text)

    def point(self, x: int, y: int, frame: Frame | None) -> None:
        """Position and value under the cursor, in degrees too where the picture says how; nothing outside of it."""
        if frame is None or x < 0:
            self._where.setText("")
            return
        count = int(frame.image[y, x])
        degrees = float(frame.celsius(count)) if frame.celsius is not None else math.nan
        warm = f"  {degrees:.1f} °C" if degrees == degrees else ""
        self._where.setText(f"x {x}  y {y}  value {count}{warm}")

    def refresh(self, session: Session) -> None:
        """Write the figures."""
        analysis = session.analysis
        if session.view is None:
            self._rates.setText("")
            return
        if analysis is None:  # nothing is being analysed: what is shown was made before, or waits for the network
            self._display.note(self._count)
            waits = "" if session.store.whole else "loading the network ..."
            self._rates.setText(f"{self._state(session)}   display {self._display.value:.1f} fps   {waits}".rstrip())
            return
        pipeline = analysis.pipeline
        self._capture.note(pipeline.captured)
        self._infer.note(pipeline.processed)
        self._display.note(self._count)
        parts = [self._state(session), f"display {self._display.value:.1f} fps"]
        if session.live:
            self._say_remarks(pipeline.source.info.remarks)
            rate, tracked = self._capture.value, self._infer.value
            parts.append(f"camera {rate:.1f} fps, tracking {tracked:.0f} of {rate:.0f} pictures a second")
            if analysis.latency_ms:
                p50, p95 = np.percentile(np.array(tuple(analysis.latency_ms)), (50, 95))
                parts.append(f"latency {p50:.0f} ms (p95 {p95:.0f})")
            parts.append(f"dropped {pipeline.dropped}")
        elif analysis.over:
            parts.append(f"analysed {analysis.done} frames")
        else:
            parts.append(f"analysis {self._infer.value:.1f} fps")
        if not session.live and analysis.detect_ms:
            parts.append(f"detection {np.median(np.array(tuple(analysis.detect_ms))):.0f} ms")
        self._rates.setText("   ".join([*parts, self._model(pipeline.detector)]))
        status = status_of(pipeline.detector)
        self._rates.setToolTip("\n".join(text for text in (status.choice, status.without) if text))

    def _state(self, session: Session) -> str:
        if session.live:
            lost = session.camera_state == "reconnecting"
            return "CAMERA LOST, connecting again" if lost else "live" if session.playing else "held"
        return "playing" if session.playing else "paused"

    def _model(self, detector: Detector | None) -> str:
        if detector is None:
            return "loading the network ..."
        now = status_of(detector)
        scan = f", all of the picture every {now.scan_frames} frames" if now.scan_frames > 1 else ""
        return (f"{now.model} on {now.device}" if now.model else "") + scan


def status_of(detector: Detector | None) -> DetectorStatus:
    """How a detector stands; one that does not say is whole and has no name."""
    return detector.status() if isinstance(detector, Reporting) else DetectorStatus()
