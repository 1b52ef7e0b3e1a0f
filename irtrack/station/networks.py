"""One network for all cameras of a station whose detectors differ in limits, regions and stages alone."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from irtrack.build import LIVE_FPS, make_detector, make_loaded, make_view
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Detector, Source
from irtrack.station.contents import hash_now, weights_file

if TYPE_CHECKING:
    from irtrack.detect.shared import SharedDetector

OWN = (
    "threshold", "min_area_px", "max_area_px", "include", "exclude", "levels", "temporal", "live_bands", "refresh_every"
)  # fmt: skip
"""Settings that each camera may have for itself."""

MOST = 16
"""Whole frames that go through a GPU together; on a CPU each goes alone: two take twice the time and the memory."""


class Networks:
    """Makes the cameras' detectors; in any thread. A network is given back when none of its cameras has it any more."""

    def __init__(self) -> None:
        self._shared: WeakValueDictionary[Any, SharedDetector] = WeakValueDictionary()
        self._locks: defaultdict[Any, threading.Lock] = defaultdict(threading.Lock)
        self._control = threading.Lock()
        self._peers: Counter[DetectorSettings] = Counter()

    def expect(self, cameras: Iterable[DetectorSettings]) -> None:
        """These will be asked for: a network that is chosen by a trial has to keep up with all that share it."""
        self._peers = Counter(map(common, cameras))

    def detector(self, settings: Settings, source: Source) -> Detector:
        """For one camera. Raises IrtrackError, WeightsError."""
        from irtrack.detect.shared import SharedDetector

        detector = settings.detector
        if detector.mode == "video":  # what it remembers of frames cannot be taken out of it
            return make_detector(settings, source)
        size, fps = (source.info.height, source.info.width), source.info.fps or LIVE_FPS
        alike = common(detector)
        chosen = (fps, size) if detector.weights == "auto" else None
        key = alike, chosen, hash_now(Path(weights_file(detector.weights)))
        with self._control:
            lock = self._locks[key]
        with lock:  # cameras with another network do not wait while this one is loaded
            shared = self._shared.get(key)
            if shared is None or shared.closed:
                made = make_loaded(alike, fps * max(self._peers[alike], 1) if source.live else None, size)
                shared = SharedDetector(made, 1 if made.device.type == "cpu" else MOST)
                self._shared[key] = shared
        return make_view(shared, settings, source)


@runtime_checkable
class Closable(Protocol):
    """A detector that holds something which others have too."""

    def close(self) -> None:
        """It is needed no more."""
        ...


def let_go(detector: Detector | None) -> None:
    """A camera needs its detector no more: at once, not when all that saw it is forgotten."""
    if isinstance(detector, Closable):
        detector.close()


def common(settings: DetectorSettings) -> DetectorSettings:
    """What cameras that share a network have in common."""
    plain: dict[str, Any] = {f.name: f.default for f in fields(settings) if f.name in OWN}
    return replace(settings, **plain)
