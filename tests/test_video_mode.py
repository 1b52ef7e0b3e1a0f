"""Frames in sequence: attention kept between them, and parts of frames where there is no time for all of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from irtrack import build
from irtrack.build import load_detector, make_tracker
from irtrack.config import DetectorSettings, Settings
from irtrack.core import ConfigError, Floats, Frame, Image, Tracks
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.inference import FastDATrans, prepare
from irtrack.detect.live import LiveDetector
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import load_weights
from irtrack.pipeline import process_frame
from irtrack.simulate import Scene, scene_from_text

CPU = torch.device("cpu")
LIMIT = 5e-5
FULL_IF_IT_KEEPS_UP = build.full_if_it_keeps_up
"""The real one, which `conftest.py` keeps other tests from."""


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(scene_from_text("sky,width=320,height=256,targets=3,scr=15,seed=4"))


def frames(scene: Scene, numbers: range) -> list[Image]:
    return [scene.image(i) for i in numbers]


def as_input(image: Image) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32) / 255)[None, None]


def test_a_frame_that_stays_comes_out_as_if_alone(scene: Scene) -> None:
    network, x = load_weights("datransnet-s").network, as_input(scene.image(0))
    video = VideoNetwork(prepare(network, CPU))
    with torch.inference_mode():
        alone = prepare(network, CPU)(x).sigmoid()
        for _ in range(6):
            assert (video(x).sigmoid() - alone).abs().max() < LIMIT


def test_another_scene_is_seen_afresh(scene: Scene) -> None:
    network, x = load_weights("datransnet-s").network, as_input(scene.image(0))
    other = 1 - x
    video = VideoNetwork(prepare(network, CPU))
    with torch.inference_mode():
        video(x)
        expected = prepare(network, CPU)(other).sigmoid()
        assert (video(other).sigmoid() - expected).abs().max() < LIMIT
        assert video(x[..., :128, :128]).shape == (1, 1, 128, 128)


def test_blocks_are_renewed_in_turn(scene: Scene) -> None:
    """After a slow change of gain every block has the attention of the new gain within eight frames."""
    network = load_weights("datransnet-s").network
    kept = prepare(network, CPU)
    video = VideoNetwork(kept, every=2)
    x = as_input(scene.image(0))
    made = []
    with torch.inference_mode():
        for _ in range(17):
            video(x)
            # The objects, not their ids, which are used again once an object is gone.
            made.append([m._kept for m in kept.modules() if isinstance(m, FastDATrans)])
    changes = np.array([[a is not b for a, b in zip(*pair, strict=True)] for pair in pairwise(made)])
    assert changes.sum(1).max() == 1
    assert (changes.sum(0) == 2).all()


def test_attention_of_parts_is_that_of_the_whole() -> None:
    torch.manual_seed(1)
    network = prepare(load_weights("datransnet-s").network, CPU)
    block = next(m for m in network.modules() if isinstance(m, FastDATrans))
    x = torch.rand(1, 8, 64, 48).contiguous(memory_format=torch.channels_last)
    block.keep = True
    with torch.inference_mode():
        whole = block(x)
        kernels = block._kept
        for top, bottom, first, last in ((0, 32, 0, 40), (32, 64, 24, 64)):
            block.collect = slice(top - first, bottom - first)
            block(x[:, :, first:last])
        block.renew()
        assert block._kept is not kernels
        assert (block(x) - whole).abs().max() < LIMIT
    assert block.collect is None


def live_detector(bands: int) -> LiveDetector:
    settings = DetectorSettings(weights="datransnet-s", device="cpu", mode="live", live_bands=bands)
    detector = load_detector(settings)
    assert isinstance(detector, LiveDetector)
    return detector


def test_parts_of_frames_find_and_follow_every_target(scene: Scene) -> None:
    """Four bands in turn: every target is confirmed, and then found in every frame, in a tile or a band."""
    detector, tracker = live_detector(4), make_tracker(Settings())
    whole = NetworkDetector(load_weights("datransnet-s"), DetectorSettings(device="cpu"), CPU)
    expected = hit = 0
    for i, image in enumerate(frames(scene, range(40))):
        result = process_frame(Frame(i, i / 30, image), detector, tracker)
        there = [xy for xy in whole(image).xy_px if np.linalg.norm(scene.truth(i).xy_px - xy, axis=1).min() < 3]
        expected += len(there)
        hit += sum(len(result.detections.xy_px) and np.linalg.norm(result.detections.xy_px - xy, axis=1).min() < 1.5
                   for xy in there)  # fmt: skip
    assert detector.scan_frames == 4
    assert expected > 60
    assert hit > 0.95 * expected


def test_without_tracks_each_place_is_seen_once_a_scan(scene: Scene) -> None:
    """Scores of a still picture, taken band by band, against those of the whole picture."""
    image = scene.image(0)
    whole = NetworkDetector(load_weights("datransnet-s"), DetectorSettings(device="cpu"), CPU).scores(image)
    detector = live_detector(4)
    detector.scores(image.copy())
    best = np.zeros_like(whole)
    for _ in range(4):
        part = detector.scores(image.copy())
        assert (part == 0).mean() > 0.5
        best = np.maximum(best, part)
    assert ((best > 0.5) & (whole > 0.5)).sum() > 0.95 * ((best > 0.5) | (whole > 0.5)).sum()
    for _ in range(16):  # every block has new attention now, made of sums over bands
        detector.scores(image.copy())
    again = np.max([detector.scores(image.copy()) for _ in range(4)], axis=0)
    assert ((again > 0.5) & (whole > 0.5)).sum() > 0.95 * ((again > 0.5) | (whole > 0.5)).sum()


def test_frames_that_fit_the_time_are_seen_whole(scene: Scene) -> None:
    settings = DetectorSettings(weights="datransnet-s", device="cpu")
    detector = LiveDetector(load_weights("datransnet-s"), settings, CPU, interval_s=60.0)
    for image in frames(scene, range(3)):
        assert (detector.scores(image) > 0).all()
    assert detector.scan_frames == 1


class Steady:
    """A clock by which each frame takes as long: asked twice a frame."""

    def __init__(self, frame_s: float) -> None:
        self.frame_s, self.now = frame_s, 0.0

    def __call__(self) -> float:
        self.now += self.frame_s
        return self.now


@pytest.mark.parametrize(
    ("frame_s", "spent_s", "whole"), [(0.025, 0.001, True), (0.025, 0.05, False), (0.031, 0.0, False)]
)
def test_whole_frames_are_taken_where_they_fit(scene: Scene, frame_s: float, spent_s: float, whole: bool) -> None:
    """25 ms fit into the 33 of a camera, if not much else is to be done; 31 do not."""
    settings = DetectorSettings(weights="datransnet-s", device="cpu", backend="torch")
    detector = LiveDetector(load_weights("datransnet-s"), settings, CPU, 1 / 30, clock=Steady(frame_s))
    for image in frames(scene, range(6)):
        detector(image)
        for _ in range(30):
            detector.look_at(tracks_at(np.zeros((0, 4))), spent_s)
    assert (detector.scan_frames == 1) == whole


def full_by_trial(frame_s: float, monkeypatch: pytest.MonkeyPatch) -> NetworkDetector:
    """What weights `auto` give for a camera of 30 frames a second, if the full network took so long."""
    monkeypatch.setattr(build, "full_if_it_keeps_up", FULL_IF_IT_KEEPS_UP)
    monkeypatch.setattr(LiveDetector, "frame_s", lambda *_: frame_s)
    return load_detector(DetectorSettings(device="cpu", backend="torch"), 30.0, (64, 96))


def test_auto_takes_the_full_network_where_it_keeps_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    full, slim = full_by_trial(0.020, monkeypatch), full_by_trial(0.060, monkeypatch)
    assert full.status().model == "datransnet"
    assert full.status().choice == "the full network keeps up: 20 ms a frame, and there are 30"
    assert slim.status().model == "datransnet-s"
    assert slim.status().choice == "the full network is too slow: 60 ms a frame, and there are 30"
    assert isinstance(full, LiveDetector)
    assert isinstance(slim, LiveDetector)
    for settings, fps in ((DetectorSettings(device="cpu"), None), (DetectorSettings(device="cpu", mode="video"), 30.0)):
        status = load_detector(settings, fps, (64, 96)).status()
        assert (status.model, status.choice) == ("datransnet-s", "")


def test_the_trial_times_frames_with_attention_kept_and_ends_early_where_they_are_slow(scene: Scene) -> None:
    for frame_s, asked in ((0.02, 9), (0.09, 3)):
        clock = Steady(frame_s)
        settings = DetectorSettings(weights="datransnet-s", device="cpu", backend="torch")
        detector = LiveDetector(load_weights("datransnet-s"), settings, CPU, 1 / 30, clock=clock)
        assert detector.frame_s(70, 96) == pytest.approx(frame_s)
        assert clock.now == pytest.approx(asked * frame_s)
        assert detector._video._thumbnail is None  # what comes next begins a scene


def test_many_tracks_have_the_frame_seen_whole(scene: Scene) -> None:
    """Where tiles would cost more than the frame, the frame is looked at."""
    detector = LiveDetector(load_weights("datransnet-s"), DetectorSettings(), CPU, interval_s=1e-3)
    detector.scores(scene.image(0))
    detector.scores(scene.image(1))
    y, x = np.mgrid[16:256:24, 16:320:24]
    many = np.column_stack([x.ravel(), y.ravel(), np.zeros((x.size, 2))]).astype(float)
    detector.look_at(tracks_at(many), 0.0)
    assert (detector.scores(scene.image(2)) > 0).all()


def tracks_at(x: Floats, sure: bool = True) -> Tracks:
    """Tracks with these states (N, 4), well known."""
    n = len(x)
    P = np.tile(np.diag([0.5, 0.5, 1.0, 1.0]), (n, 1, 1))
    return Tracks(np.arange(n), np.full(n, sure), x, np.eye(2, 3), lambda i: pytest.fail("not asked for"), P)


def test_a_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown mode 'fast': it is one of auto, exact, video, live"):
        DetectorSettings(mode="fast")


def test_parts_after_whole_frames_use_attention_of_whole_frames(scene: Scene) -> None:
    """Whichever block's turn it was when time ran short, none is left to make its attention of a band."""
    for whole_frames in range(1, 10):
        detector = LiveDetector(load_weights("datransnet-s"), DetectorSettings(), CPU, interval_s=60.0)
        for image in frames(scene, range(whole_frames)):
            detector.scores(image)
        kept = [b._kept for b in detector._video.blocks]
        detector._scan.bands = 4
        detector.scores(scene.image(whole_frames))
        assert all(k is not None for k in kept)
        assert all(b._kept is k for b, k in zip(detector._video.blocks, kept, strict=True))


def test_a_camera_of_another_size_is_seen_afresh(scene: Scene) -> None:
    detector = live_detector(4)
    for image in frames(scene, range(3)):
        detector.scores(image)
    assert (detector.scores(np.ascontiguousarray(scene.image(3)[:192])) > 0).all()


def test_no_engine_for_whole_frames_is_tried_for_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting for one takes a minute, and it could not be used."""
    monkeypatch.setattr("irtrack.detect.backends.available", lambda: ["onnxruntime", "openvino"])
    monkeypatch.setattr("irtrack.detect.backends.export_onnx", None)
    live_detector(4)
