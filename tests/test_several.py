"""Several sources at once: one network, batches, a tracker and a log each; and corrections on the command line."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

import numpy as np
import pytest

from irtrack.build import load_detector
from irtrack.capture.corrected import correction_path
from irtrack.cli import main
from irtrack.config import DetectorSettings
from irtrack.core import IrtrackError
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.shared import SharedDetector
from irtrack.imaging.correction import load_correction
from irtrack.imaging.scaling import HIGH, LOW, Scaling, network_input
from irtrack.simulate import Scene, scene_from_text

SKY = "sky,width=160,height=128,targets=3,scr=15,frames=30,seed="


@pytest.fixture(scope="module")
def detector() -> NetworkDetector:
    return load_detector(DetectorSettings(weights="datransnet-s", backend="torch"))


def rows(path: Path) -> list[list[str]]:
    with path.open() as f:
        return list(csv.reader(f))


def test_each_source_gets_the_log_that_it_gets_alone(tmp_path: Path) -> None:
    out, alone = tmp_path / "tracks.csv", tmp_path / "alone.csv"
    small = "sim:camera16,frames=20,width=128,height=96"
    assert main(["run", f"sim:{SKY}1", f"sim:{SKY}2", small, "--csv", str(out), "--quiet"]) == 0
    assert not out.exists()
    for i, source in enumerate((f"sim:{SKY}1", f"sim:{SKY}2", small), 1):
        assert main(["run", source, "--csv", str(alone), "--mode", "exact", "--quiet", "--force"]) == 0
        together, single = rows(tmp_path / f"tracks-{i}.csv"), rows(alone)
        assert len(together) == len(single)
        assert [r[:3] for r in together] == [r[:3] for r in single]
        for a, b in zip(together[1:], single[1:], strict=True):
            assert [float(v) for v in a[4:6]] == pytest.approx([float(v) for v in b[4:6]], abs=0.02)
    assert len(rows(tmp_path / "tracks-1.csv")) > 30


def test_one_that_fails_does_not_end_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.mkv"
    assert main(["simulate", f"{SKY}3", "--out", str(broken)]) == 0
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))
    out = tmp_path / "t.csv"
    main(["run", str(broken), f"sim:{SKY}1", "--csv", str(out)])
    assert "sim:" in capsys.readouterr().out
    assert {r[0] for r in rows(tmp_path / "t-2.csv")[1:]} >= {"20", "25"}
    assert main(["run", str(tmp_path / "none.mkv"), f"sim:{SKY}1", "--quiet"]) == 1
    assert main(["run", f"sim:{SKY}1", f"sim:{SKY}1", "--mode", "live"]) == 1


def test_frames_that_wait_go_together(detector: NetworkDetector) -> None:
    """Eight cameras at a gate: batches form, and each gets its own picture's detections."""
    shared, scenes = SharedDetector(detector), [Scene(scene_from_text(f"{SKY}{s}")) for s in range(8)]
    gate, answers = threading.Barrier(8), {}

    def camera(i: int) -> None:
        view = shared.view()
        gate.wait()
        answers[i] = [view(scenes[i].image(k)) for k in range(6)]

    threads = [threading.Thread(target=camera, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    shared.close()
    assert sum(shared.batches) == 48
    assert max(shared.batches) >= 4
    for i in range(8):
        for k in range(6):
            alone = detector(scenes[i].image(k))
            assert np.allclose(answers[i][k].xy_px, alone.xy_px, atol=0.02)
    with pytest.raises(IrtrackError, match="closed"):
        shared.view()(scenes[0].image(0))


def test_an_error_reaches_the_one_who_asked(detector: NetworkDetector) -> None:
    shared = SharedDetector(detector)
    with pytest.raises(IrtrackError, match="outside 2 to 4096"):
        shared.view()(np.zeros((1, 50), np.uint8))
    assert len(shared.view()(np.zeros((64, 64), np.uint8))) == 0
    shared.close()


def test_levels_follow_smoothly_jump_with_the_scene_and_can_be_fixed() -> None:
    rng = np.random.default_rng(1)

    def frame(level: float, spread: float = 60) -> np.ndarray:  # type: ignore[type-arg]
        return rng.normal(level, spread, (96, 128)).round().astype(np.uint16)

    scaling = Scaling()
    smooth = [scaling(frame(7000)).mean() for _ in range(60)]
    single = [network_input(frame(7000)).mean() for _ in range(60)]
    assert np.std(smooth[20:]) < 0.9 * np.std(single)
    other = frame(9000, 200)
    assert np.allclose(scaling(other), network_input(other))
    fixed = Scaling((6000.0, 8000.0))
    assert fixed(np.full((8, 8), 6000, np.uint16))[0, 0] == pytest.approx(LOW)
    assert fixed(np.full((8, 8), 8000, np.uint16))[0, 0] == pytest.approx(HIGH)
    eight = rng.integers(0, 255, (20, 20)).astype(np.uint8)
    assert np.array_equal(fixed(eight), network_input(eight))


def test_bad_levels_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("9", "5,1", "a,b"):
        assert main(["run", f"sim:{SKY}1", "--levels", text]) == 1
        assert "levels" in capsys.readouterr().err


def test_a_flat_scene_is_kept_for_its_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """irtrack flat on a recording of a wall, then run --correct; the recording has raw frames."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    rng = np.random.default_rng(2)
    offset = rng.normal(0, 30, (96, 128))
    import tifffile

    wall = np.stack([rng.normal(8000, 4, (96, 128)) + offset for _ in range(20)]).round().astype(np.uint16)
    tifffile.imwrite(tmp_path / "camera.tif", wall)
    assert main(["flat", str(tmp_path / "camera.tif")]) == 0
    kept = correction_path("camera.tif")
    assert kept.exists()
    assert str(tmp_path) in str(kept)
    assert load_correction(kept).offset == pytest.approx(offset - offset.mean(), abs=12)
    assert f"wrote {kept}" in capsys.readouterr().out
    raw = tmp_path / "raw.mkv"
    source = str(tmp_path / "camera.tif")
    assert main(["run", source, "--correct", "--destripe", "--record", str(raw), "--quiet"]) == 0
    from irtrack.capture import open_source

    assert np.array_equal(next(iter(open_source(str(raw)))).image, wall[0])
    assert main(["run", f"sim:{SKY}1", "--correct", str(kept), "--quiet"]) == 1
    assert "irtrack flat" in capsys.readouterr().err
    assert main(["run", f"sim:{SKY}1", "--correct", str(tmp_path / "none.npz"), "--quiet"]) == 1


def test_corrections_are_kept_by_camera_without_credentials() -> None:
    path = correction_path("rtsp://me:secret@10.0.0.9/ir,format=x")
    assert "secret" not in str(path)
    assert path.name == "rtsp_10.0.0.9_ir.npz"
    two = [correction_path(f"http://10.0.0.9/mjpg?user=me&password=secret&channel={n}") for n in (1, 2)]
    assert [p.name for p in two] == ["http_10.0.0.9_mjpg_channel1.npz", "http_10.0.0.9_mjpg_channel2.npz"]
