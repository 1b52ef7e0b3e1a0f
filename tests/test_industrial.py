"""GenICam cameras by a real GenTL producer, GigE Vision by Aravis' simulated camera over loopback sockets."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pytest

from irtrack import cli
from irtrack.capture import open_source
from irtrack.capture.aravis import find_aravis, libraries
from irtrack.capture.genicam import PATHS, find_genicam
from irtrack.capture.industrial import CameraClock, deepest_mono, parse
from irtrack.core import Frame, Source, SourceError

FAKE = shutil.which("arv-fake-gv-camera-0.8")
needs_aravis = pytest.mark.skipif(
    FAKE is None or libraries() is None, reason="the system lacks Aravis (aravis-tools, libaravis-0.8-0)"
)
PRODUCERS = importlib.util.find_spec("genicam")
needs_genicam = pytest.mark.skipif(
    PRODUCERS is None or importlib.util.find_spec("harvesters") is None, reason="the extra genicam is not installed"
)


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PRODUCERS is not None
    assert PRODUCERS.origin is not None
    monkeypatch.setenv(PATHS, os.path.dirname(PRODUCERS.origin))


def fake_camera(serial: str, lost_of_1000: int = 0) -> subprocess.Popen[bytes]:
    assert FAKE is not None
    return subprocess.Popen([FAKE, "-i", "127.0.0.1", "-s", serial, "-r", str(lost_of_1000)])


@pytest.fixture
def gige() -> Iterator[subprocess.Popen[bytes]]:
    process = fake_camera("IR07")
    try:
        deadline = time.monotonic() + 10
        while not any("IR07" in c.source for c in find_aravis()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def take(source: Source, count: int) -> list[Frame]:
    out = []
    for frame in source:
        out.append(frame)
        if len(out) == count:
            break
    return out


@needs_aravis
def test_gige_vision_in_16_bits(gige: subprocess.Popen[bytes]) -> None:
    source = open_source("aravis:Aravis-Fake-IR07,fps=30")
    frames = take(source, 60)
    source.close()
    assert source.live
    assert (source.info.width, source.info.height, source.info.bits) == (512, 512, 16)
    assert {f.image.dtype for f in frames} == {np.dtype(np.uint16)}
    assert [f.index for f in frames] == list(range(60))
    steps = np.diff([f.time_s for f in frames])
    assert (steps > 0).all()
    assert frames[-1].image.max() > 60000
    # The simulated camera moves its gradient by a fixed step each frame: no row of a picture is of another frame.
    first = frames[10].image.astype(int)
    assert (np.diff(first, axis=1) % 65536 == np.diff(first, axis=1)[0, 0] % 65536).mean() > 0.98


@needs_aravis
def test_8_bits_on_demand_and_what_is_not_there(gige: subprocess.Popen[bytes]) -> None:
    source = open_source("aravis:,format=Mono8")
    assert source.info.bits == 8
    assert take(source, 3)[2].image.dtype == np.uint8
    source.close()
    for text in ("aravis:Nothing", "aravis:,format=Purple", "aravis:,colour=yes", "aravis:,fps=soon"):
        with pytest.raises(SourceError):
            open_source(text)


@needs_aravis
def test_incomplete_pictures_are_counted_and_never_shown() -> None:
    """Three packets of a thousand are lost: pictures with holes are left out, whole ones arrive."""
    process = fake_camera("LOSSY", 3)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                source = open_source("aravis:Aravis-Fake-LOSSY,fps=30")
                break
            except SourceError:
                assert time.monotonic() < deadline
        frames = take(source, 40)
        source.close()
    finally:
        process.kill()
        process.wait()
    assert source.status().incomplete > 0
    assert frames[-1].index > 39  # those left out leave gaps in the numbers
    for f in frames:
        assert (f.image == 0).mean() < 0.05


@needs_aravis
def test_a_pulled_cable_and_the_return(gige: subprocess.Popen[bytes]) -> None:
    source = open_source("aravis:Aravis-Fake-IR07", reconnect_s=40)
    frames = iter(source)
    last = [next(frames) for _ in range(10)][-1]
    gige.kill()
    gige.wait()
    lost_s = time.monotonic()
    again = fake_camera("IR07")
    try:
        while True:
            frame = next(frames)
            if frame.time_s > lost_s - source._start_s + 1:  # type: ignore[attr-defined]
                break
        assert source.lost >= 1  # type: ignore[attr-defined]
        assert frame.index > last.index + 1
    finally:
        source.close()
        again.kill()
        again.wait()


@needs_genicam
@pytest.mark.usefixtures("producer")
def test_genicam_by_a_producer() -> None:
    found = find_genicam()
    assert len(found) == 3
    source = open_source(found[1].source)
    frames = take(source, 30)
    source.close()
    assert (source.info.width, source.info.height, source.info.bits) == (400, 400, 8)
    assert source.info.fps == pytest.approx(20)
    assert [f.index for f in frames] == list(range(30))
    assert (np.diff([f.time_s for f in frames]) > 0).all()
    assert len({f.image.tobytes() for f in frames}) > 20


@needs_genicam
@pytest.mark.usefixtures("producer")
def test_genicam_colour_becomes_grey_and_bad_names_one_line() -> None:
    source = open_source("genicam:,format=RGBa8")
    assert take(source, 2)[1].image.shape == (400, 400)
    source.close()
    with pytest.raises(SourceError, match=r"no GenICam camera 'X'; found: .*VikyTL_DEV_red"):
        open_source("genicam:X")
    with pytest.raises(SourceError, match="cannot be started"):
        open_source("genicam:,format=Mono99")


@needs_genicam
def test_genicam_without_a_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATHS, raising=False)
    assert find_genicam() == []
    with pytest.raises(SourceError, match="no GenTL producer"):
        open_source("genicam:")


@needs_genicam
@pytest.mark.usefixtures("producer")
def test_cameras_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cameras"]) == 0
    assert "genicam:VikyTL_DEV_green" in capsys.readouterr().out


def test_options_and_formats() -> None:
    assert parse("genicam:ABC,format=Mono16,fps=9.5") == parse("aravis:ABC,fps=9.5,format=Mono16")
    assert parse("genicam:").name == ""
    assert deepest_mono(["Mono8", "Mono12Packed", "Mono16", "BayerRG8", "Mono12"]) == "Mono16"
    assert deepest_mono(["RGB8"]) == ""


def test_the_cameras_clock() -> None:
    """Lost frames leave gaps in the numbers; times keep the camera's spacing and never lie ahead."""
    clock = CameraClock()
    start = time.monotonic()
    first = clock(100, 5_000_000_000)
    time.sleep(0.1)
    assert clock(103, 5_050_000_000) == (3, pytest.approx(first[1] + 0.05))
    assert clock(103, 5_060_000_000)[0] == 4  # a number that stands still
    restarted = clock(0, 1_000_000)
    assert restarted[0] == 5
    assert restarted[1] >= start + 0.1
    before = time.monotonic()
    assert before <= clock(None, None)[1] <= time.monotonic()
    assert clock(None, 10**15)[1] <= time.monotonic()
