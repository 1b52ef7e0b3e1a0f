"""Keeping up with a camera: when a whole frame does not fit the time of one, part of it is looked at (`scan.py`).

Attention and the other properties of the whole frame are kept from the first frame, seen whole; while the bands pass,
the sums that attention is made of add up, and after each scan one block gets a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from irtrack.config import DetectorSettings
from irtrack.core import Detections, DetectorStatus, Image, Scores, Tracks
from irtrack.detect.cuda import upload
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.inference import FastDATrans, FastGFEM
from irtrack.detect.network import DATransNet
from irtrack.detect.scan import (
    MARGIN_PX,
    OVERLAP_PX,
    Expected,
    Plan,
    Scan,
    cost_px,
    expected,
    kept,
    looked_at,
)
from irtrack.detect.scoring import pad_to_multiple
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import Weights

PASS_S = 0.002
"""Time of a pass through the network however small."""

SHARE = 0.8
"""Part of the time between two frames that is spent."""

WHOLE_SHARE = 0.9
"""The same of whole frames, with attention kept: on the average, as a frame that takes longer is waited for."""

TRIAL_FRAMES = 8
"""Of `frame_s`: with the usual settings, a block renews its attention twice."""

PARTS_UP_TO_S = 0.08
"""Time of a whole frame up to which parts of it are worth their trouble: more results a second follow better. Where a
frame takes longer, tracks move so far between results that they have to be looked for everywhere. Recall on real clips
at 0.1, 0.2, 0.4 and 1 s a frame: with quarters 86, 83, 78 and 50, with whole frames 85, 83, 84 and 87."""

SMOOTH = 0.1
"""Share of a new measurement in what is known of times."""


KEPT: Mapping[type, Sequence[str]] = {
    FastDATrans: ("_kept", "collected", "collect"),
    FastGFEM: ("_pooled", "_spatial", "place", "update"),
}
"""Parts of a network that remember something, and where."""


class Memory:
    """What a network keeps of a camera's frames, while it looks at those of another one."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, Any]] = {}

    def enter(self, network: DATransNet) -> None:
        """Into the network; nothing, where there is none yet."""
        for number, part, names in self._places(network):
            kept = self._parts.get(number)
            for name in names:
                setattr(part, name, kept[name] if kept else None)

    def leave(self, network: DATransNet) -> None:
        """Out of it."""
        self._parts = {number: {n: getattr(part, n) for n in names} for number, part, names in self._places(network)}

    def _places(self, network: DATransNet) -> Iterator[tuple[int, nn.Module, Sequence[str]]]:
        for number, part in enumerate(network.modules()):
            if type(part) in KEPT:
                yield number, part, KEPT[type(part)]


class LiveDetector(NetworkDetector):
    """A detector that spends at most most of `interval_s` on a frame, where it can.

    `expect` tells it when a frame is from, `look_at` where the tracks are.
    """

    def __init__(
        self,
        weights: Weights,
        settings: DetectorSettings,
        device: torch.device,
        interval_s: float,
        bands: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`bands`: look at that many bands in turn whatever the time; 0 fits them to the time there is."""
        super().__init__(weights, replace(settings, mode="live", live_bands=bands), device)
        self._clock = clock
        self._gfem = next(m for m in self._network.modules() if isinstance(m, FastGFEM))
        self.begin(interval_s, self.settings)

    def begin(self, interval_s: float, settings: DetectorSettings) -> None:
        """What belongs to one camera: nothing is known yet of its times and its scene."""
        self.interval_s = interval_s
        self.scan_frames = 1
        """Frames in which every place is looked at once; 1: every frame is seen whole."""
        self._scan = Scan(settings.live_bands)
        self._video = VideoNetwork(self._network, settings.refresh_every)
        self._plan: Plan | None = None
        self._tracks: Tracks | None = None
        self._expected = Expected()
        self._time_s: float | None = None
        self._step_s = interval_s  # between the frames that are looked at
        self._elsewhere_s = 0.0
        self._s_per_px: float | None = None

    @property
    def network(self) -> DATransNet:
        """In whose parts attention is kept."""
        return self._network

    def use(self, network: DATransNet) -> None:
        """Look by this one, of the same weights."""
        if network is not self._network:
            self._network = network
            self._gfem = next(m for m in network.modules() if isinstance(m, FastGFEM))
            self._video.network = network
            self._video.blocks = [m for m in network.modules() if isinstance(m, FastDATrans)]

    def expect(self, time_s: float) -> None:
        """The next frame is from this time."""
        step_s = self.interval_s if self._time_s is None else max(time_s - self._time_s, 0.0)
        self._time_s = time_s
        self._step_s += SMOOTH * (step_s - self._step_s)
        if self._tracks is not None:
            self._expected = expected(self._tracks, step_s)

    def look_at(self, tracks: Tracks, spent_s: float) -> None:
        """The tracks of the last frame; `spent_s` went into other things than detecting."""
        self._tracks = tracks.unmade()
        self._expected = expected(tracks, self._step_s)
        self._elsewhere_s += SMOOTH * (spent_s - self._elsewhere_s)

    def status(self) -> DetectorStatus:
        """Model and device, and the frames of a scan."""
        return replace(super().status(), scan_frames=self.scan_frames, keeps_up=True)

    def forget(self) -> None:
        """The next frame has nothing to do with the last one."""
        super().forget()
        self._video.forget()
        self._scan.restart()
        self._tracks, self._expected, self._time_s = None, Expected(), None

    def keeps_up(self, height: int, width: int) -> bool:
        """Whether whole frames of this size fit the time between two, by a short trial; `choice` says what it found."""
        taken, most = self.frame_s(height, width), WHOLE_SHARE * self.interval_s
        found = "keeps up" if taken <= most else "is too slow"
        self.choice = f"the full network {found}: {1e3 * taken:.0f} ms a frame, and there are {1e3 * most:.0f}"
        return taken <= most

    def frame_s(self, height: int, width: int) -> float:
        """Seconds of a whole frame with attention kept, the mean of a few; the first two of a slow network's."""
        x = self._input(np.full((height, width), 128, np.uint8))
        with torch.inference_mode():
            self._video(x)
            start = self._clock()
            for i in range(1, TRIAL_FRAMES + 1):
                self._video(x)
                taken = (self._clock() - start) / i
                if i == 2 and taken > 2 * self.interval_s:
                    break
        self.forget()
        return taken

    def _input(self, image: Image) -> Tensor:
        return upload(pad_to_multiple(torch.from_numpy(self._scaling(image))[None, None]), self.device)

    def _score(self, image: Image) -> Scores:
        start = self._clock()
        x = self._input(image)
        height, width = x.shape[-2:]
        if self._video.begins_scene(x):
            self._plan, self.scan_frames = Plan(0, height), 1
            return self._whole(x)[: image.shape[0], : image.shape[1]]
        plan = self._scan.plan(height, width, self._expected, self._budget_px(height * width))
        if plan.bottom - plan.top >= height:
            self._video.renew_next()
            scores, passes = self._whole(x), 1
        else:
            scores, passes = np.zeros((height, width), np.float32), 1 + bool(plan.tiles)
            self._look_along(x, plan, scores)
            if plan.tiles:
                self._look_closely(x, plan, scores)
        self._plan, self.scan_frames = plan, self._scan.frames(height, plan)
        taken = (self._clock() - start - PASS_S * passes) / cost_px(plan, height, width)
        self._s_per_px = taken if self._s_per_px is None else self._s_per_px + SMOOTH * (taken - self._s_per_px)
        return scores[: image.shape[0], : image.shape[1]]

    def _budget_px(self, whole_px: int) -> float:
        """Pixels that there is time for, at a pass for a band and one for tiles; no bound where parts do not pay, or
        whole frames fit."""
        whole_s = float("inf") if self._s_per_px is None else whole_px * self._s_per_px
        fits = whole_s + PASS_S + self._elsewhere_s <= WHOLE_SHARE * self.interval_s
        if self._s_per_px is None or fits or whole_s > PARTS_UP_TO_S:
            return float("inf")
        return (SHARE * self.interval_s - self._elsewhere_s - 2 * PASS_S) / max(self._s_per_px, 1e-12)

    def __call__(self, image: Image) -> Detections:
        found, plan = super().__call__(image), self._plan
        if plan is None or self.scan_frames <= 1:
            return found
        looked = looked_at(plan, image.shape[0], image.shape[1])
        return replace(found, looked=looked, scan_s=self.scan_frames * self._step_s)

    def _whole(self, x: Tensor) -> Scores:
        """All of the frame; a scan that was under way begins anew behind it."""
        self._gfem.place = None
        self._scan.restart()
        out: Scores = self._network(x)[0, 0].sigmoid().cpu().numpy()
        return out

    def _look_along(self, x: Tensor, plan: Plan, scores: Scores) -> None:
        """The band of the plan."""
        height, top, bottom = x.shape[2], plan.top, plan.bottom
        first, last = max(0, top - MARGIN_PX), min(height, bottom + MARGIN_PX)
        level = self._scan.turn % len(self._video.blocks)
        block, step = self._video.blocks[level], 2**level
        if top == 0:
            block.collected = None
        block.collect = slice((top - first) // step, (bottom - first) // step)
        self._gfem.place, self._gfem.update = first // 16, slice((top - first) // 16, (bottom - first) // 16)
        out = self._network(x[:, :, first:last])[0, 0].sigmoid().cpu().numpy()
        block.collect = self._gfem.update = None
        upper, lower = max(first, top - OVERLAP_PX), min(last, bottom + OVERLAP_PX)
        scores[upper:lower] = out[upper - first : lower - first]
        if self._scan.advance(height, plan):
            block.renew()

    def _look_closely(self, x: Tensor, plan: Plan, scores: Scores) -> None:
        """The tiles of the plan, all in one pass."""
        cut = torch.cat([x[:, :, r : r + plan.side, c : c + plan.side] for r, c in plan.tiles])
        self._gfem.place = 0
        out = self._network(cut.contiguous(memory_format=torch.channels_last))[:, 0].sigmoid().cpu().numpy()
        height, width = scores.shape
        for (r, c), tile in zip(plan.tiles, out, strict=True):
            rows, columns = kept(r, plan.side, height), kept(c, plan.side, width)
            scores[r + rows.start : r + rows.stop, c + columns.start : c + columns.stop] = tile[rows, columns]
