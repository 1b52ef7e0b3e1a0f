"""Outputs: claimed at the start, never the input, never of two runs at once; one that fails, the others survive."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from conftest import ROOT

from irtrack.build import Outputs, claim, make_pipeline, make_sinks
from irtrack.capture import open_source
from irtrack.cli import main
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Detections, Frame, FrameResult, Sink, SinkError
from irtrack.sinks import annotation, record, text, video
from irtrack.sinks.record import Recorder, RecordSwitch
from irtrack.sinks.target import Target, check_target, write_whole

EVERY = ("csv", "mot", "jsonl", "trackmate", "cvat", "coco", "video", "record")
ENDINGS = {"csv": "csv", "mot": "txt", "jsonl": "jsonl", "trackmate": "spots.csv", "cvat": "xml", "coco": "json",
           "video": "mp4", "record": "mkv"}  # fmt: skip


def outputs_in(folder: Path, kinds: tuple[str, ...] = EVERY) -> dict[str, Path]:
    return {k: folder / f"{k}.{ENDINGS[k]}" for k in kinds}


# -- claiming -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["itself", "hard link", "symbolic link", "one of a folder"])
def test_an_input_is_never_an_output(clip: Path, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "in"
    given.mkdir()
    source, out = given / "a.mkv", tmp_path / "b.mkv"
    source.write_bytes(before := clip.read_bytes())
    if how == "hard link":
        os.link(source, out)
    elif how == "symbolic link":
        out.symlink_to(source)
    else:
        out = source
    read = given if how == "one of a folder" else source
    for option in ("--record", "--video"):
        assert main(["run", str(read), option, str(out), "--force"]) == 1
        assert "is read by this run" in capsys.readouterr().err
        assert source.read_bytes() == before


def test_an_input_of_track_is_never_its_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.csv"
    path.write_text("frame,x,y\n0,1,2\n")
    assert main(["track", str(path), "--out", str(path), "--force"]) == 1
    assert "is read by this run" in capsys.readouterr().err
    assert path.read_text() == "frame,x,y\n0,1,2\n"


def test_two_names_of_one_file_are_one_output(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    os.link(tmp_path / "a.csv", tmp_path / "b.txt")
    with pytest.raises(SinkError, match="named for two outputs"):
        claim(Outputs({"csv": tmp_path / "a.csv", "mot": tmp_path / "b.txt"}, force=True))
    with pytest.raises(SinkError, match="named for two outputs"):
        claim(Outputs({"csv": tmp_path / "c.csv", "mot": tmp_path / "c.csv"}))
    assert not (tmp_path / "c.csv").exists()  # all or none


@pytest.mark.parametrize("force", [False, True])
def test_a_file_has_one_writer_at_a_time(tmp_path: Path, force: bool) -> None:
    """Twenty threads want one file: one gets it, whether it is there or not."""
    path = tmp_path / "t.csv"
    if force:
        path.write_text("before")
    got: list[Target] = []
    refused: list[str] = []
    ready = threading.Barrier(20)

    def take() -> None:
        ready.wait()
        try:
            got.append(Target(path, force))
        except SinkError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 19)
    assert path.read_text() == ("before" if force else "")  # nothing is lost before something is written
    got[0].finish()
    Target(path, force=True).finish()  # the next one may


def test_what_is_there_is_overwritten_on_demand_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("mine")
    with pytest.raises(SinkError, match="exists: choose another name"):
        Target(path)
    assert path.read_text() == "mine"
    text.CsvSink(path, force=True).close()
    assert path.read_text() == (
        "frame,time_s,track_id,status,x_px,y_px,vx_px_s,vy_px_s,sigma_x_px,sigma_y_px,w_px,h_px,area_px,score,snr,"
        "measured\n"  # as every log has had it
    )


def test_two_processes_with_one_output(tmp_path: Path) -> None:
    """The second is refused with a line, and the first one's file is whole."""
    out = tmp_path / "t.csv"
    command = [sys.executable, str(ROOT / "main.py"), "run", "sim:sky,width=64,height=48,frames=40,targets=1,scr=20"]
    held = Target(out, force=True)
    done = subprocess.run([*command, "--csv", out, "--force"], capture_output=True, text=True, timeout=120)
    held.release()
    assert done.returncode == 1
    assert done.stderr == f"irtrack: {out} is being written by another run of irtrack: choose another name\n"


def test_what_cannot_be_written_is_found_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name too long can be written by nobody, not even by root; the weights that are not there come later."""
    bad = tmp_path / ("x" * 300)
    for option in ("csv", "mot", "jsonl", "trackmate", "cvat", "coco"):
        assert main(["run", "sim:sky", f"--{option}", str(bad), "--weights", str(tmp_path / "none.pt")]) == 1
        assert f"cannot write {bad}" in capsys.readouterr().err
    assert main(["export", "--out", str(bad), "--weights", str(tmp_path / "none.pt")]) == 1
    assert f"cannot write {bad}" in capsys.readouterr().err
    assert main(["score", "none.csv", "none.csv", "--json", str(bad)]) == 1
    assert f"cannot write {bad}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_begin_leaves_no_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("old")
    paths = [str(a) for k, p in outputs_in(tmp_path, EVERY[1:]).items() for a in (f"--{k}", p)]
    assert main(["run", str(tmp_path / "none.mkv"), *paths, "--csv", str(kept), "--force"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["kept.csv"]
    assert kept.read_text() == "old"


def test_a_trial_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    assert check_target(tmp_path / "a", force=False) == tmp_path / "a"
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").write_text("b")
    check_target(tmp_path / "b", force=True)
    assert (tmp_path / "b").read_text() == "b"
    (tmp_path / "c").touch()
    check_target(tmp_path / "c", force=True)
    assert (tmp_path / "c").exists()
    check_target(Path("/dev/null"), force=True)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.toml"
    write_whole(path, "one", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


# -- failing ------------------------------------------------------------------------------------------------------


def results(count: int, size: tuple[int, int] = (48, 64), start: int = 0) -> Iterator[FrameResult]:
    """Frames with one target that flies, as a tracker would see it."""
    from irtrack.build import make_tracker

    tracker = make_tracker(Settings())
    for i in range(start, start + count):
        xy = np.array([[5 + 1.0 * (i - start), 20.0]])
        found = Detections(
            xy, np.ones(1), np.full(1, 4.0), np.column_stack([xy - 1, np.full((1, 2), 2.0)]), np.full(1, 9.0)
        )
        yield FrameResult(Frame(i, i / 30, np.full(size, i % 200, np.uint8)), found, tracker(found, i / 30), {})


def failing(call: Callable[..., object], at: int, error: Exception) -> Callable[..., object]:
    """The same, but for its `at`th call and all after it."""
    left = iter(range(at))

    def either(*args: object) -> object:
        if next(left, None) is None:
            raise error
        return call(*args)

    return either


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["csv", "mot", "jsonl", "trackmate", "cvat", "coco", "video"])
def test_each_log_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, seed: int) -> None:
    """At a random moment: its file is closed, one line names it, and it may be written anew."""
    at = random.Random(seed).randrange(1, 30)
    paths = outputs_in(tmp_path, (kind,))
    targets = claim(Outputs(paths))
    (sink,) = make_sinks(Outputs(paths), Settings(), 30.0, targets)
    monkeypatch.setattr(text, "TAIL_S", 0.0)
    if kind == "video":
        monkeypatch.setattr(video, "annotate", failing(video.annotate, at, full()))
    elif kind in ("csv", "mot", "jsonl"):
        inner = sink._sink._sink  # type: ignore[attr-defined]
        monkeypatch.setattr(type(inner), "rows", failing(type(inner).rows, at, full()))
    else:
        monkeypatch.setattr(annotation, "write_whole", failing(write_whole, 0, full()))

    def run() -> None:
        for result in results(40):
            sink.write(result)
        sink.close()

    with pytest.raises((SinkError, OSError), match="No space left"):
        run()
    with contextlib.suppress(SinkError, OSError):
        sink.close()
    for target in targets.all:
        target.abandon()
    assert targets.finished == [] or kind in ("csv", "mot", "jsonl")
    if kind in ("trackmate", "cvat", "coco"):
        assert list(tmp_path.iterdir()) == []  # complete or not at all


@pytest.mark.parametrize("error", [full(), OverflowError("int too large"), ValueError("odd"), MemoryError()])
@pytest.mark.parametrize("wait", [False, True])
def test_a_recorder_that_fails_ends_its_thread_and_wakes_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, wait: bool
) -> None:
    monkeypatch.setattr(record, "WAITING", 2)
    monkeypatch.setattr(record.MatroskaWriter, "write", failing(record.MatroskaWriter.write, 3, error))
    recorder = Recorder(tmp_path / "r.mkv", wait=wait)

    def run() -> None:
        for i in range(10_000):
            recorder(Frame(i, i / 30, np.zeros((8, 8), np.uint8)))
            if not wait:
                recorder._ended.wait(0.01)

    with pytest.raises(SinkError, match=r"cannot write .*r\.mkv"):
        run()
    assert recorder._ended.wait(30)
    with pytest.raises(SinkError):
        recorder.close()
    Target(tmp_path / "r.mkv", force=True).finish()  # it is not locked any more


def test_times_far_off_do_not_hang_a_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.mkv", wait=True)

    def run() -> None:
        for i, time_s in enumerate((0.0, 1e30, float("inf"), 1.0)):
            recorder(Frame(i, time_s, np.zeros((8, 8), np.uint8)))
            recorder._ended.wait(0.2)
        recorder.close()

    with pytest.raises(SinkError):
        run()
    assert recorder._ended.wait(30)


def test_a_window_that_records_onto_a_full_disk_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record.MatroskaWriter, "write", failing(record.MatroskaWriter.write, 5, full()))
    switch = RecordSwitch(0.0)
    switch.start(tmp_path / "r.mkv")
    recorder = switch._recorder
    assert recorder is not None
    for i in range(200):
        switch(Frame(i, i / 30, np.zeros((8, 8), np.uint8)))
        if i == 100:
            assert recorder._ended.wait(30)
    assert switch.error is not None
    assert "No space left" in str(switch.error)
    assert not switch.on
    switch.close()


def fail_at(size: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("size", [1500, 6000, 20_000])
def test_a_disk_that_fills_costs_what_does_not_fit_and_nothing_else(clip: Path, tmp_path: Path, size: int) -> None:
    """No file may grow beyond a limit: those that do fail, are said and closed; the others are whole."""
    paths = outputs_in(tmp_path)
    options = [str(a) for k, p in paths.items() for a in (f"--{k}", p)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "run", str(clip), *options],
        capture_output=True, text=True, timeout=200, preexec_fn=fail_at(size),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    wrote = {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("  wrote ")}
    failed = {k for k, p in paths.items() if str(p) not in wrote}
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert failed
    assert all(str(paths[k]) in done.stderr for k in failed), done.stderr
    assert all(p.stat().st_size <= size for p in paths.values() if p.exists())
    for kind in set(EVERY) - failed:
        check_whole(kind, paths[kind])
    assert size < 20_000 or {"csv", "mot", "trackmate"} <= set(EVERY) - failed
    for kind in {"csv", "mot", "jsonl"} & failed:
        assert paths[kind].read_text().endswith("\n")  # no half rows


def check_whole(kind: str, path: Path) -> None:
    if kind in ("video", "record"):
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 20
    elif kind == "coco":
        assert json.loads(path.read_text())["annotations"]
    elif kind == "cvat":
        assert ElementTree.parse(path).getroot().findall("track")
    else:
        assert len(path.read_text().splitlines()) >= 20


def test_what_was_encoded_is_in_the_file_though_it_is_never_closed(tmp_path: Path) -> None:
    """The video's flush: a process that ends without a word leaves all frames but the newest in the file."""
    code = """
import os, sys
from pathlib import Path
from test_outputs import results
from irtrack.sinks.video import VideoSink
sink = VideoSink(Path(sys.argv[1]), fps=30)
for result in results(60):
    sink.write(result)
os._exit(0)
"""
    for name in ("a.mkv", "a.mp4"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)],
            check=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(ROOT)))},
        )
        with av.open(str(tmp_path / name)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 40


# -- parts --------------------------------------------------------------------------------------------------------


def test_pictures_of_another_size_go_into_another_file(tmp_path: Path) -> None:
    paths = outputs_in(tmp_path)
    outputs = Outputs(paths)
    targets = claim(outputs)
    recorder = Recorder(targets.of(paths["record"]), wait=True, following=targets.next_part)
    sinks: list[Sink] = make_sinks(outputs, Settings(), 30.0, targets)
    for result in (*results(30), *results(20, (96, 128), 30), *results(25, (48, 64), 50)):
        recorder(result.frame)
        for sink in sinks:
            sink.write(result)
    recorder.close()
    for sink in sinks:
        sink.close()
    for kind, path in paths.items():
        stem, suffix = path.stem, path.suffix
        files = [path, path.with_name(f"{stem}.part2{suffix}"), path.with_name(f"{stem}.part3{suffix}")]
        assert all(f in targets.finished for f in files)
        if kind == "record":
            for file, count, shape in zip(files, (30, 20, 25), ((48, 64), (96, 128), (48, 64)), strict=True):
                back = list(open_source(str(file)))
                assert [f.image.shape for f in back] == [shape] * count
        if kind == "csv":
            frames = [{int(line.split(",")[0]) for line in f.read_text().splitlines()[1:]} for f in files]
            assert frames[0] <= set(range(30))
            assert frames[1] <= set(range(30, 50))
            assert frames[2] <= set(range(50, 75))
            assert all(frames)
    assert len(targets.finished) == 3 * len(EVERY)


def test_a_part_never_overwrites_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "t.part2.csv").write_text("mine")
    first = Target(tmp_path / "t.csv")
    second = first.next_part()
    assert second.path.name == "t.part3.csv"
    assert second.next_part().path.name == "t.part4.csv"
    assert (tmp_path / "t.part2.csv").read_text() == "mine"


def test_the_fresh_start_of_a_camera_resets_tracker_and_detector(tmp_path: Path) -> None:
    from test_pipeline import FakeDetector, FakeSource, FakeTracker

    from irtrack.pipeline import Pipeline

    class Remembering(FakeDetector):
        forgot = 0

        def forget(self) -> None:
            self.forgot += 1

    class Twice(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            for i in range(30):
                yield Frame(i, i / 30, np.zeros((8, 8), np.uint8), connection=i // 10)

    tracker, detector = FakeTracker(), Remembering()
    Pipeline(Twice(), detector, tracker).start().join(30)
    assert (tracker.resets, detector.forgot) == (2, 2)


def test_a_tee_that_fails_leaves_the_run_to_its_other_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record.MatroskaWriter, "write", failing(record.MatroskaWriter.write, 3, full()))
    outputs = Outputs({"csv": tmp_path / "t.csv", "record": tmp_path / "r.mkv"})
    settings = Settings(detector=DetectorSettings(weights="datransnet-s", backend="torch"))
    source = open_source("sim:sky,width=96,height=80,frames=20,targets=3,scr=14,seed=5,speed_px_s=45")
    pipeline = make_pipeline(source, settings, outputs).start()
    with pytest.raises(SinkError, match=r"r\.mkv"):
        pipeline.join(60)
    assert pipeline.processed == 20
    assert (tmp_path / "t.csv").read_text().splitlines()[-1].startswith("19,")


def test_a_cameras_log_can_be_placed_in_time(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    log = tmp_path / "t.csv"
    scene = "simcam:sky,width=64,height=48,targets=1"
    written = ["--csv", str(log), "--jsonl", str(tmp_path / "t.jsonl")]
    assert main(["run", scene, *written, "--frames", "5", "--weights", "datransnet-s", "--quiet"]) == 0
    moment = json.loads((tmp_path / "t.csv.utc.json").read_text())
    assert moment["time_s"] == 0
    begun = datetime.fromisoformat(moment["utc"])
    assert before <= begun <= datetime.now(UTC)
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    for line in lines:  # the seconds since, and the time of day with them
        assert 0 <= line["time_s"] < 60
        utc = datetime.fromisoformat(line["utc"])
        assert (utc - begun).total_seconds() == pytest.approx(line["time_s"], abs=2e-3)
        assert before <= utc <= datetime.now(UTC)
    assert main(["run", "sim:sky,frames=3", "--csv", str(tmp_path / "f.csv"), "--quiet"]) == 0
    assert not (tmp_path / "f.csv.utc.json").exists()


@pytest.mark.parametrize("where", ["missing", "a file"])
def test_a_home_that_cannot_be_written_costs_a_line(clip: Path, tmp_path: Path, where: str) -> None:
    """Home, cache and folder for temporary files at once."""
    home = tmp_path / "home"
    if where == "a file":
        home.touch()
    bad = str(home if where == "a file" else "/proc/none")
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR")
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "run", str(clip), "--csv", str(tmp_path / "t.csv")],
        capture_output=True, text=True, timeout=300, env=os.environ | dict.fromkeys(names, bad),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "kept" in done.stderr
    assert (tmp_path / "t.csv").read_text().count("\n") > 20


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_of_a_camera_has_the_times_of_its_frames(tmp_path: Path, suffix: str, rng: np.random.Generator) -> None:
    """They come as they come: two within a frame's usual time, then none for long."""
    times = np.concatenate([[0.0], np.cumsum(rng.choice([0.003, 0.04, 0.1, 0.3], 80))])
    sink = video.VideoSink(tmp_path / f"v.{suffix}", fps=10.0)
    for i, time_s in enumerate(times.tolist()):
        sink.write(FrameResult(Frame(i, time_s, np.full((48, 64), i, np.uint8)), Detections.empty(), (), {}))
    sink.close()
    with av.open(str(sink.path)) as file:
        read = [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]
    assert np.allclose(read, times, atol=1e-3)
