"""The status line: rates, latency, drops, device, and the pixel under the cursor."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from PySide6.QtWidgets import QLabel, QStatusBar

from irtrack.core import FrameResult, Remarks
from irtrack.gui.player import Player

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
        self._latency_ms: deque[float] = deque(maxlen=120)
        self._detect_ms: deque[float] = deque(maxlen=120)
        self._said: set[str] = set()
        self._rates.setText("")

    def drew(self, result: FrameResult) -> None:
        """A result was put on screen just now."""
        self._count += 1
        if result.captured_s:
            self._latency_ms.append(1e3 * (time.monotonic() - result.captured_s))
        if "detect" in result.stage_ms:
            self._detect_ms.append(result.stage_ms["detect"])

    def say(self, text: str) -> None:
        """A passing message."""
        self.showMessage(text, 6000)

    def _say_remarks(self, remarks: Remarks) -> None:
        """What became known of a camera, once each: pictures left out, another size."""
        for text in remarks.counts():
            if text not in self._said:
                self._said.add(text)
                self.say(text)

    def point(self, at: tuple[int, int, int] | None) -> None:
        """Position and value under the cursor."""
        self._where.setText("" if at is None else f"x {at[0]}  y {at[1]}  value {at[2]}")

    def refresh(self, player: Player) -> None:
        """Write the figures."""
        pipeline = player.pipeline
        if pipeline is None:
            self._rates.setText("loading the network ..." if player.loading and player.opened else "")
            return
        if player.live:
            self._say_remarks(pipeline.source.info.remarks)
        self._capture.note(pipeline.captured)
        self._infer.note(pipeline.processed)
        self._display.note(self._count)
        detector = pipeline.detector
        weights, device = getattr(detector, "weights", None), getattr(detector, "device", "cpu")
        model = f"{weights.name} on {device}" if weights is not None else ""
        scan = getattr(detector, "scan_frames", 1)
        if scan > 1:
            model += f", all of the picture every {scan} frames"
        latency = ""
        if not player.live and self._detect_ms:  # frames of a recording wait their turn: how long says nothing
            latency = f"   detection {np.median(np.array(self._detect_ms)):.0f} ms"
        elif self._latency_ms:
            p50, p95 = np.percentile(np.array(self._latency_ms), (50, 95))
            latency = f"   latency {p50:.0f} ms (p95 {p95:.0f})"
        state = "review" if player.reviewing else str(pipeline.state)
        if getattr(pipeline.source, "state", None) == "reconnecting":
            state = "CAMERA LOST, connecting again"
        self._rates.setText(
            f"{state}   capture {self._capture.value:.1f}   inference {self._infer.value:.1f}   "
            f"display {self._display.value:.1f} fps{latency}   dropped {pipeline.dropped}   {model}"
        )
