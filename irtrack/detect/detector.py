"""The detector: raw frame in, detections out."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irtrack.config import DetectorSettings
from irtrack.core import LARGEST_SIDE_PX, Detections, DetectorStatus, Image, IrtrackError, Scores, check_counts
from irtrack.detect.backends import OWN, fastest, make_backend, own_form
from irtrack.detect.cuda import GraphedNetwork, upload
from irtrack.detect.extraction import extract
from irtrack.detect.inference import prepare
from irtrack.detect.native.build import compiler, multiplies_bfloat16
from irtrack.detect.scoring import check_scores, closer_map, score_map
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import Weights
from irtrack.imaging.regions import Regions
from irtrack.imaging.scaling import Scaling
from irtrack.temporal.stage import TemporalStage, sought

SMALLEST_SIDE_PX = 2


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA where it works. Raises IrtrackError for a device that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise IrtrackError(f"unknown device {name!r}: it is auto, cpu or cuda")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise IrtrackError("device cuda is not available here: use --device cpu, or install a CUDA build of torch")
    return torch.device("cuda")


def pick_weights(name: str, device: torch.device) -> str:
    """`auto` is the full network on a GPU and the slim one without."""
    return name if name != "auto" else "datransnet" if device.type == "cuda" else "datransnet-s"


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """Of the convolutions. `auto`: half on a GPU, single on a CPU."""
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def keep_large_blocks() -> None:
    """Have malloc keep the big blocks of feature maps instead of returning them to the system after each frame.

    Otherwise much of a frame's time goes into page faults (3,200 ms against 1,291 for the authors' code at
    640x512). Linux with glibc only; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # glibc's malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)


def check_size(shape: tuple[int, ...]) -> None:
    """Raises IrtrackError for frames that are too large or too small."""
    if max(shape) > LARGEST_SIDE_PX or min(shape) < SMALLEST_SIDE_PX:
        raise IrtrackError(
            f"a frame of {shape[1]}x{shape[0]} pixels is outside {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX} a side: crop "
            "or scale the recording"
        )


def pick_backend(weights: Weights, settings: DetectorSettings, device: torch.device) -> str:
    """The engine's name; where there is only torch, torch."""
    if not weights.is_own:
        check_whole(weights, settings)
        return "torch"
    precision = pick_precision(settings.precision, device)
    if device.type != "cpu":
        return "torch"
    if precision == torch.bfloat16 and settings.backend == "auto":
        return "native" if multiplies_bfloat16() and compiler() is not None else "torch"
    if precision != torch.float32 and settings.backend != "native":
        return "torch"
    whole = settings.mode in ("auto", "exact")
    return fastest(weights, whole) if settings.backend == "auto" else settings.backend


def check_whole(weights: Weights, settings: DetectorSettings) -> None:
    """Raises IrtrackError where a network of another package is asked for what takes DATransNet's parts."""
    asked = {"mode": ("auto", "exact"), "backend": ("auto", "torch"), "precision": ("auto", "float32")}
    for name, possible in asked.items():
        if (value := getattr(settings, name)) not in possible:
            raise IrtrackError(
                f"{name} {value} takes a DATransNet, and {weights.name} is another network: leave it out"
            )


class NetworkDetector:
    """Runs DATransNet on frames of any size. `threshold`, area limits and `regions` may be changed between
    frames.
    """

    def __init__(self, weights: Weights, settings: DetectorSettings, device: torch.device) -> None:
        self.weights, self.device = weights, device
        keep_large_blocks()
        if settings.threads and device.type == "cpu":
            torch.set_num_threads(settings.threads)
        self.backend = pick_backend(weights, settings, device)
        """The engine that runs whole frames."""
        self.choice = ""
        """Why this network, where that was found by a trial."""
        self.without = ""
        """What it was asked for and does not do, and why."""
        precision = pick_precision(settings.precision, device)
        if not weights.is_own:
            self._network = weights.network.to(device)
        elif self.backend == "native":
            half = precision == torch.bfloat16
            self.backend, self._network = own_form(weights.network, settings.backend == "native", half)
        else:
            self._network = prepare(weights.network, device, precision)
        self._run: Callable[[Tensor], Tensor] = self._network
        if settings.mode == "video":
            self._run = VideoNetwork(self._network, settings.refresh_every)
        elif device.type == "cuda":
            self._run = GraphedNetwork(self._network)
        elif settings.mode != "live" and self.backend not in OWN:
            self._run = make_backend(self.backend, weights.network)
        # What keeps attention between frames keeps that of one size.
        self._map = closer_map if settings.closer and settings.mode in ("auto", "exact") else score_map
        self.settle(settings)

    def settle(self, settings: DetectorSettings, without: str | None = None) -> None:
        """What belongs to one camera or recording: limits, regions, levels and stages of these settings, and nothing
        is remembered of frames. `without`: what they leave out, and why; None: as it was said before."""
        self.settings = settings
        self.threshold = settings.threshold
        self.min_area_px, self.max_area_px = settings.min_area_px, settings.max_area_px
        self.regions = Regions.of(settings)
        self._allowed: tuple[Regions, tuple[int, ...], NDArray[np.bool_] | None] | None = None
        self.fixed_levels = settings.fixed_levels()
        self._scaling = Scaling(self.fixed_levels)
        self._scored: tuple[Image, Scores] | None = None
        self.seek_over_time(settings.temporal)
        if isinstance(self._run, VideoNetwork):
            self._run.forget()
        self.without = self.without if without is None else without

    def seek_over_time(self, on: bool) -> None:
        """Whether what moves is sought over time from now on."""
        self.temporal = on
        """A session asks, since it does the same from stored scores."""
        self._temporal = TemporalStage() if on else None

    @property
    def can_be_twice(self) -> bool:
        """Whether `beside` makes sense: on a CPU, of engines that are ours."""
        return self.device.type == "cpu" and self._run is self._network

    def beside(self) -> Self:
        """Another one for another thread: its weights are these, what it keeps of frames is its own."""
        shared: list[object] = [*self._network.parameters(), *self._network.buffers()]
        shared += [part.kernels for part in self._network.modules() if hasattr(part, "kernels")]
        made = copy.copy(self)
        made._network = made._run = copy.deepcopy(self._network, {id(one): one for one in shared})
        return made

    def scores(self, image: Image) -> Scores:
        """Score map (H, W) float32 in [0, 1] of a frame (H, W); kept, so that asking again costs nothing."""
        if self._scored is not None and self._scored[0] is image:
            return self._scored[1]
        check_counts(image)
        check_size(image.shape)
        with torch.inference_mode():
            scores = self._score(image)
        check_scores(scores)
        self._scored = (image, np.ascontiguousarray(scores))
        return self._scored[1]

    def recall(self, image: Image, scores: Scores) -> None:
        """The score map (H, W) of the frame that comes next, where it is known: the network need not say it again."""
        self._scaling.follow(image)
        self._scored = (image, scores)

    def status(self) -> DetectorStatus:
        """Model, device, and why this model."""
        return DetectorStatus(self.weights.name, str(self.device), choice=self.choice, without=self.without)

    def forget(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._scaling = Scaling(self.fixed_levels)
        if self._temporal is not None:
            self._temporal.forget()
        if isinstance(self._run, VideoNetwork):
            self._run.forget()

    def batch(self, inputs: Sequence[Scores]) -> Sequence[Scores]:
        """Score maps of network inputs of one size, in one pass."""
        check_size(inputs[0].shape)
        x = upload(torch.from_numpy(np.stack(inputs))[:, None], self.device)
        with torch.inference_mode():
            run = self._run if len(inputs) == 1 else self._network
            scores: Scores = self._map(run, x)[:, 0].float().cpu().numpy()
        check_scores(scores)
        return list(scores)

    def _score(self, image: Image) -> Scores:
        x = upload(torch.from_numpy(self._scaling(image))[None, None], self.device)
        scores: Scores = self._map(self._run, x)[0, 0].float().cpu().numpy()
        return scores

    def __call__(self, image: Image) -> Detections:
        scores = self.scores(image)
        if self._temporal is None:
            return self.extracted(scores, image)
        return sought(self._temporal, scores, image, self.threshold, self.extracted)

    def extracted(self, scores: Scores, image: Image) -> Detections:
        """Detections of a frame (H, W) from its score map, with the detector's threshold, limits and regions."""
        kept = self._allowed
        if kept is None or kept[0] is not self.regions or kept[1] != image.shape:
            kept = self._allowed = (self.regions, image.shape, self.regions.allowed(image.shape))
        return extract(scores, image, self.threshold, self.min_area_px, self.max_area_px, kept[2])
