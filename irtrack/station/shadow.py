"""The self-test of one camera, over all its lives: what it could see now, beside what it saw when all was well."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from irtrack.build import make_tracker
from irtrack.config import Settings
from irtrack.core import Detector, FrameResult, IrtrackError, Source
from irtrack.sinks.target import reason, write_whole
from irtrack.station.faint import Sight, read_sight
from irtrack.station.networks import let_go
from irtrack.station.selftest import Report, SelfTest, SelfTestSettings
from irtrack.station.settings import CameraSettings, ShadowSettings

log = logging.getLogger(__name__)


class Shadow:
    """Part of a camera's pipeline that keeps nothing of it. Its faults are its own."""

    def __init__(
        self,
        settings: ShadowSettings,
        camera: CameraSettings,
        folder: Path,
        make: Callable[[Settings, Source], Detector],
    ) -> None:
        """`folder`: of the station; how the camera sees in good sight is kept in `selftest/CAMERA.json`."""
        exact = replace(camera.settings.detector, mode="exact")
        self._settings, self._make, self._camera = replace(camera.settings, detector=exact), make, camera.name
        self._path = folder / "selftest" / f"{camera.name}.json"
        self._detector: Detector | None = None
        wanted = SelfTestSettings(
            period_s=settings.period_s, targets=settings.targets, pause_s=settings.pause_s,
            memory_s=3600 * settings.memory_h,
        )  # fmt: skip
        self._kept = self._read()
        self._test = SelfTest(self._shadow, lambda: make_tracker(self._settings), wanted, self._kept)

    def _shadow(self) -> Detector:
        assert self._detector is not None
        return self._detector

    def prepare(self, source: Source) -> None:
        """Load its detector, in the calling thread. Raises IrtrackError."""
        if self._detector is None:
            self._detector = self._make(self._settings, source)

    def write(self, result: FrameResult) -> None:
        """Take a frame; never raises."""
        self._test.write(result)

    @property
    def trouble(self) -> str:
        """Why the last test failed; empty while all is well."""
        return self._test.trouble

    def close(self) -> None:
        """What it found stays."""
        self._test.close()

    def end(self) -> None:
        """It is needed no more."""
        let_go(self._detector)
        self._detector = None

    def report(self) -> Report | None:
        """What was found in the last hours; None before the first test is done."""
        return self._test.report()

    def keep(self) -> None:
        """Write down how the camera sees, where that is new."""
        reference = self._test.reference
        if reference is self._kept or reference is None:
            return
        self._kept = reference
        try:
            self._path.parent.mkdir(exist_ok=True)
            write_whole(self._path, json.dumps({"reference": reference.to_dict()}) + "\n")
        except OSError as error:
            log.warning("cannot write %s: %s", self._path, reason(error))

    def _read(self) -> Sight | None:
        """Of before; None where there is none that can be read."""
        try:
            return read_sight(self._path)
        except FileNotFoundError:
            return None
        except IrtrackError as error:
            log.warning("camera %s: %s; the next self-test begins anew", self._camera, error)
            return None
