"""Milliseconds of a frame through the network: forms, modes and sizes, in turn in one run.

In each round every form in turn gets three successive frames, as it would of a video; the first finds the caches full
of another form's maps and is not counted. What else the machine does hits all alike; the medians are compared. Ratios
are to the authors' code where its checkout is given, else to the readable form of irtrack, the same operations. That
form runs as it does by itself, in a process with malloc's own settings, and once more with irtrack's, which alone make
it two to four times as fast on Linux.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from irtrack.bench.report import Row, median_ms
from irtrack.config import DetectorSettings, TrackerSettings
from irtrack.core import IrtrackError
from irtrack.detect.backends import available, make_backend, native_form
from irtrack.detect.detector import NetworkDetector, keep_large_blocks
from irtrack.detect.inference import prepare
from irtrack.detect.native.build import multiplies_bfloat16
from irtrack.detect.network import DATransNet
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import load_weights
from irtrack.simulate import Scene, scene_from_text
from irtrack.track.tracker import KalmanTracker

SIZES = ((256, 256), (640, 512))
CPU = torch.device("cpu")
TURN = 3
"""Frames that a form gets at a time: the first is not counted. Odd, so that video mode is timed in all its phases."""

Form = Callable[[Tensor], object]

CHILD = """
import sys, time
from pathlib import Path
import torch
from irtrack.bench.network import base_form
torch.set_num_threads(int(sys.argv[1]))
form = base_form(Path(sys.argv[2]) if sys.argv[2] else None)
with torch.inference_mode():
    for line in sys.stdin:
        x = torch.rand(1, 1, *map(int, line.split()))
        start = time.perf_counter()
        form(x)
        print(time.perf_counter() - start, flush=True)
"""


class Apart:
    """The base of the comparison in a process of its own; calling it gives the seconds that it measured there."""

    def __init__(self, reference: Path | None) -> None:
        command = [
            sys.executable,
            "-c",
            CHILD,
            str(torch.get_num_threads()),
            str(reference.resolve()) if reference else "",
        ]
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  # closed in close()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True
        )

    def __call__(self, x: Tensor) -> float:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{x.shape[2]} {x.shape[3]}\n")
            stdin.flush()
        line = stdout.readline()
        while line and not is_seconds(line):  # what their code prints
            line = stdout.readline()
        if not line:
            self._said.seek(0)
            why = (self._said.read().split("\n\n")[-1].strip().splitlines() or ["it says nothing"])[-1]
            raise IrtrackError(f"the process that times the base of the comparison ended early: {why}")
        return float(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._said.close()


def is_seconds(line: str) -> bool:
    """Whether a line is a time."""
    try:
        return float(line) >= 0
    except ValueError:
        return False


def base_form(reference: Path | None) -> Form:
    """The authors' network from their checkout, or the readable one."""
    network = load_weights("datransnet").network
    if reference is None:
        return network.set_fused(False)
    from irtrack.bench.reference import load_reference

    return load_reference(reference, network)


def frames(width: int, height: int, count: int) -> list[Tensor]:
    """Successive frames of a simulated scene, as the network's input (1, 1, H, W)."""
    scene = Scene(scene_from_text(f"clutter,width={width},height={height},seed=1"))
    return [torch.from_numpy(scene.image(i).astype(np.float32) / 255)[None, None] for i in range(count)]


def forms(full: DATransNet, slim: DATransNet, reference: Path | None) -> dict[tuple[str, str], Form]:
    """What is compared, by (backend, mode)."""
    name, every = "reference" if reference is not None else "readable", DetectorSettings().refresh_every
    base = base_form(reference)  # first here, where what is wrong with it can be said
    out: dict[tuple[str, str], Form] = {
        (name, "own process"): Apart(reference),
        (name, "irtrack's malloc settings"): base,
    }
    out["torch", "exact"] = prepare(full, CPU)
    out["torch", "video"] = VideoNetwork(prepare(full, CPU), every)
    for name in available():
        out[name, "exact"] = make_backend(name, full)
    out["torch", "datransnet-s exact"] = prepare(slim, CPU)
    out["torch", "datransnet-s video"] = VideoNetwork(prepare(slim, CPU), every)
    out["torch", "datransnet-s video bfloat16"] = VideoNetwork(prepare(slim, CPU, torch.bfloat16), every)
    if "native" in available():
        out["native", "video"] = VideoNetwork(native_form(full), every)
        out["native", "datransnet-s exact"] = native_form(slim)
        out["native", "datransnet-s video"] = VideoNetwork(native_form(slim), every)
        if multiplies_bfloat16():
            for model, network in (("", full), ("datransnet-s ", slim)):
                out["native", f"{model}exact bfloat16"] = native_form(network, half=True)
                out["native", f"{model}video bfloat16"] = VideoNetwork(native_form(network, half=True), every)
    return out


def timed(form: Form, x: Tensor) -> float:
    """Seconds of one frame."""
    start = time.perf_counter()
    measured = form(x)
    return measured if isinstance(measured, float) else time.perf_counter() - start


def run(rounds: int = 12, reference: Path | None = None) -> Iterator[Row]:
    """A row for each size and form, then the stages of a frame of the slim network."""
    keep_large_blocks()
    compared = forms(load_weights("datransnet").network, load_weights("datransnet-s").network, reference)
    base, threads = next(iter(compared)), torch.get_num_threads()
    apart = compared[base]
    assert isinstance(apart, Apart)
    for width, height in SIZES:
        taken: dict[tuple[str, str], list[float]] = {key: [] for key in compared}
        with torch.inference_mode():
            shown = frames(width, height, TURN * (rounds + 1))
            for i in range(0, len(shown), TURN):
                for key, form in compared.items():
                    seconds = [timed(form, x) for x in shown[i : i + TURN]]
                    taken[key] += seconds[1:] if i else []
        first = median_ms(taken[base])
        for (backend, mode), times in taken.items():
            value = median_ms(times)
            yield Row("network", backend, mode, f"{width}x{height}", threads, value, first / value)
    apart.close()
    yield from stages(rounds)


def stages(rounds: int) -> Iterator[Row]:
    """What a 640x512 frame takes from pixels to tracks with the slim network, stage by stage."""
    width, height = SIZES[-1]
    scene = Scene(scene_from_text(f"clutter,width={width},height={height},seed=1"))
    weights = load_weights("datransnet-s")
    detector = NetworkDetector(weights, DetectorSettings(mode="exact"), CPU)
    tracker = KalmanTracker(TrackerSettings())
    taken: dict[str, list[float]] = {"scores": [], "extraction": [], "tracker": []}
    for i in range(rounds + 2):
        image = scene.image(i)
        marks = [time.perf_counter()]
        detector.scores(image)
        marks.append(time.perf_counter())
        detections = detector(image)
        marks.append(time.perf_counter())
        tracker(detections, i / 30, image)
        marks.append(time.perf_counter())
        for seconds, a, b in zip(taken.values(), marks, marks[1:], strict=False):
            seconds.append(b - a)
    for stage, seconds in taken.items():
        yield Row(
            stage,
            detector.backend,
            "datransnet-s exact",
            f"{width}x{height}",
            torch.get_num_threads(),
            median_ms(seconds[2:]),
        )
