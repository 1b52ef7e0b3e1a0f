"""Cameras that share a network: each finds what it finds alone, and the death of one is nobody else's."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stations import Cameras, Script, died, rows, settings_for, wait_for

from irtrack.build import TEMPORAL_FPS, at_rate, load_detector, make_shared, make_view
from irtrack.cli import main
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Clock, Detections, Image, IrtrackError, Source, SourceInfo
from irtrack.detect import shared as shared_module
from irtrack.detect.inference import FastDATrans
from irtrack.detect.live import LiveDetector
from irtrack.detect.shared import SharedDetector, View
from irtrack.simulate import Scene, scene_from_text
from irtrack.station.networks import Networks, let_go
from irtrack.station.settings import CameraSettings
from irtrack.station.station import Station
from irtrack.track.tracker import KalmanTracker

PLAIN = DetectorSettings(weights="datransnet-s", device="cpu", backend="torch", temporal=False, threads=1)
SCENES = [Scene(scene_from_text(f"sky,width=160,height=160,targets=3,scr=15,frames=30,seed={s}")) for s in (1, 2)]


def live(bands: int) -> LiveDetector:
    made = load_detector(replace(PLAIN, mode="live", live_bands=bands), 1 / 60.0)
    assert isinstance(made, LiveDetector)
    return made


def equal(one: Detections, other: Detections) -> bool:
    return all(
        np.allclose(a, b, atol=1e-3) and len(a) == len(b)
        for a, b in ((one.xy_px, other.xy_px), (one.score, other.score), (one.snr, other.snr))
    )


@pytest.mark.parametrize(("bands", "lanes"), [(0, 1), (4, 1), (4, 2)])
def test_each_camera_of_a_live_network_sees_what_it_sees_alone(
    bands: int, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole frames with attention kept, and bands round tracks: frames of both go through one network in turn, or
    through either of two threads."""
    monkeypatch.setattr(shared_module, "usable_cores", lambda: lanes)
    alone = [live(bands) for _ in SCENES]
    shared = SharedDetector(live(bands), most=1)
    views = [shared.view(interval_s=60.0) for _ in SCENES]
    assert views[0]._network is views[1]._network
    assert len(shared._threads) == lanes
    trackers = [KalmanTracker(), KalmanTracker()]
    found = 0
    for i in range(14):
        for scene, one, view, tracker in zip(SCENES, alone, views, trackers, strict=True):
            if i % 3 == 2 and scene is SCENES[1]:
                continue  # it is the slower camera
            image = scene.image(i)
            assert isinstance(view, LiveDetector)
            for detector in (one, view):
                detector.expect(i / 30)
            expected, seen = one(image), view(image)
            assert equal(seen, expected)
            assert one.scan_frames == view.scan_frames
            tracks = tracker(expected, i / 30, image)
            for detector in (one, view):
                detector.look_at(tracks, 0.0)
            found += len(seen)
    assert found > 15
    assert (views[0].status().scan_frames > 1) is bool(bands)
    shared.close()


def test_a_network_beside_another_has_the_same_weights_and_its_own_memory() -> None:
    one = live(0)
    other = one.beside()
    assert all(a is b for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True))
    assert not set(map(id, one.network.modules())) & set(map(id, other.network.modules()))
    one(SCENES[0].image(0))
    assert all(part._kept is None for part in other.network.modules() if isinstance(part, FastDATrans))


def test_each_camera_has_its_own_limits_and_regions() -> None:
    both = [replace(PLAIN, mode="exact", threshold=0.2), replace(PLAIN, mode="exact", exclude="0,0 160,0 160,90 0,90")]
    alone = [load_detector(one) for one in both]
    shared = SharedDetector(load_detector(replace(PLAIN, mode="exact")))
    views = [shared.view(one) for one in both]
    for i in range(10):
        results = [[detector(SCENES[0].image(i)) for detector in two] for two in (alone, views)]
        assert all(equal(a, b) for a, b in zip(*results, strict=True))
        assert (results[1][1].xy_px[:, 1] > 85).all()
    views[0].threshold = 0.99
    assert views[1].threshold == 0.5
    shared.close()


def test_a_picture_that_cannot_be_looked_at_is_one_cameras_matter() -> None:
    shared = SharedDetector(live(0))
    one, other = shared.view(), shared.view()
    with pytest.raises(IrtrackError, match="outside 2 to 4096"):
        one(np.zeros((1, 50), np.uint8))
    assert len(other(SCENES[0].image(0))) > 0

    def broken(image: Image, network: object) -> None:
        raise ZeroDivisionError

    one.pass_through = broken  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError):
        one(SCENES[0].image(0))
    assert len(other(SCENES[0].image(1))) > 0
    shared.close()


def test_the_network_goes_with_its_last_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    def going() -> int:
        return sum(t.name == "irtrack-detect" for t in threading.enumerate())

    monkeypatch.setattr(shared_module, "usable_cores", lambda: 2)
    before = going()
    networks, source = Networks(), At(30.0)
    one, other = (networks.detector(Settings(detector=PLAIN), source) for _ in range(2))
    third = networks.detector(Settings(detector=PLAIN), source)
    assert going() == before + 2, "as many as there are cores"
    assert len(third(SCENES[0].image(0))) > 0
    del third
    one(SCENES[0].image(0))
    del one
    gc.collect()
    assert len(other(SCENES[0].image(0))) > 0
    del other
    gc.collect()
    wait_for(lambda: going() == before)
    assert not networks._shared
    two = [networks.detector(Settings(detector=PLAIN), source) for _ in range(2)]
    two[0].close()  # type: ignore[attr-defined]
    assert len(two[1](SCENES[0].image(0))) > 0
    two[1].close()  # type: ignore[attr-defined]
    assert going() == before, "they were waited for"
    with pytest.raises(IrtrackError, match="the detector was closed"):
        two[1](SCENES[0].image(0))
    again = networks.detector(Settings(detector=PLAIN), source)
    assert len(again(SCENES[0].image(0))) > 0
    again.close()  # type: ignore[attr-defined]


class At(Source):
    """A camera of some rate."""

    def __init__(self, fps: float | None, live: bool = True) -> None:
        self.info, self.live = SourceInfo("at", 160, 160, 8, fps, None, Clock.ARRIVAL), live


def test_who_shares_and_who_does_not(tmp_path: Path) -> None:
    networks = Networks()

    def network_of(fps: float = 30.0, **more: object) -> object:
        made = networks.detector(Settings(detector=replace(PLAIN, **more)), At(fps))  # type: ignore[arg-type]
        kept.append(made)
        return made._network  # type: ignore[attr-defined]

    kept: list[object] = []
    first = network_of()
    assert network_of(threshold=0.2) is first
    assert network_of(exclude="0,0 9,0 9,9", fps=5.0) is first
    assert network_of(mode="exact") is not first
    assert network_of(mode="exact") is kept[-2]._network  # type: ignore[attr-defined]
    assert network_of(mode="video") is not network_of(mode="video"), "it remembers frames"
    weights = tmp_path / "own.safetensors"
    from irtrack.detect.manifest import models_folder

    weights.write_bytes((models_folder() / "datransnet-s.safetensors").read_bytes())
    own = network_of(weights=str(weights))
    assert own is not first
    assert network_of(weights=str(weights)) is own
    weights.write_bytes((models_folder() / "datransnet-s-still.safetensors").read_bytes())
    assert network_of(weights=str(weights)) is not own, "another network under the same name"
    for view in kept:
        let_go(view)  # type: ignore[arg-type]


def test_below_eight_frames_a_second_wherever_frames_come_from() -> None:
    settings = Settings(detector=replace(PLAIN, temporal=True))
    assert at_rate(settings.detector, TEMPORAL_FPS) == (settings.detector, "")
    assert at_rate(settings.detector, None) == (settings.detector, "")
    shared, networks = make_shared(settings), Networks()
    made: list[View] = []
    for source in (At(5.0, live=False), At(5.0)):
        made += [make_view(shared, settings, source), networks.detector(settings, source)]  # type: ignore[list-item]
    assert all(view._temporal is None for view in made)
    assert {view.status().without for view in made} == {
        "what moves is not sought over time: that takes 8 frames a second or more"
    }
    fast = [make_view(shared, settings, At(10.0)), networks.detector(settings, At(10.0))]
    assert all(view._temporal is not None for view in fast)  # type: ignore[attr-defined]
    assert all(view.status().without == "" for view in fast)  # type: ignore[attr-defined]
    shared.close()
    for view in (*made, *fast):
        let_go(view)


def test_several_recordings_say_which_of_them_is_too_slow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = (f"sim:sky,width=64,height=48,frames=8,fps={fps}" for fps in (4, 20))
    assert main(["run", slow, fast, "--weights", "datransnet-s", "--csv", str(tmp_path / "t.csv")]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "not sought over time" in line]
    assert said == [f"{slow}: what moves is not sought over time: that takes 8 frames a second or more"]


def test_a_station_with_one_network_and_a_camera_that_dies(tmp_path: Path, cameras: Cameras) -> None:
    """The real network: one camera goes on while the other dies again and again, and is another one each time."""

    class Freely(Script):
        """The next frame comes by itself."""

        def __iter__(self):  # type: ignore[no-untyped-def]
            for frame in super().__iter__():
                self.seen.release()
                yield frame

    cameras.makers["well"] = lambda turn: Freely(lambda i: True, None)
    cameras.makers["dying"] = lambda turn: Freely(lambda i: True, 3, died())
    settings = Settings(detector=replace(PLAIN, mode="live"))
    two = tuple(CameraSettings(name=name, source=name, settings=settings) for name in ("well", "dying"))
    station = Station(settings_for(tmp_path, cameras=two))
    try:
        station.start()
        wait_for(lambda: station.cameras["dying"].counts.deaths >= 4)
        before = station.cameras["well"].counts.frames
        wait_for(lambda: station.cameras["well"].counts.frames > before + 20)
        assert len(station._networks._shared) == 1
        assert station.cameras["well"].counts.deaths == 0
        wait_for(lambda: rows(tmp_path, "SELECT count(*) AS n FROM runs")[0]["n"] >= 5)
    finally:
        station.close()
