"""`irtrack archive` on real workers: they, the client and the scheduler are killed, and nothing is lost or twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'irtrack[archive]'")
pytest.importorskip("distributed", reason="Dask is not installed: pip install 'irtrack[archive]'")
psutil = pytest.importorskip("psutil")

import pyarrow.dataset as ds  # noqa: E402

from irtrack.archive import tasks  # noqa: E402
from irtrack.archive.cluster import cluster  # noqa: E402
from irtrack.archive.job import job_of  # noqa: E402
from irtrack.archive.run import Archive, answer_of  # noqa: E402
from irtrack.archive.store import Known, Result, Store  # noqa: E402
from irtrack.cli import main  # noqa: E402
from irtrack.config import DetectorSettings, Settings  # noqa: E402
from irtrack.detect.native.build import compiler  # noqa: E402
from irtrack.simulate import Scene, scene_from_text  # noqa: E402
from irtrack.sinks.lossless import write_video  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
ENGINE = "native" if compiler() is not None else "torch"
OPTIONS = ["--weights", "datransnet-s", "--backend", ENGINE, "--no-temporal"]  # or long recordings are not cut
pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no signals to kill with")

LONGEST_S = 600
"""Of a step on the slowest machine: nothing is timed here."""


def record(path: Path, seed: int, frames: int = 14) -> None:
    """A small recording with targets that are bright enough to be believed at once."""
    scene = Scene(scene_from_text(f"sky,width=48,height=40,frames={frames},targets=2,scr=25,speed_px_s=40,seed={seed}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (scene.image(i) for i in range(frames)), scene.settings.fps)


def start(folder: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """The program, as a process of its own."""
    words = [sys.executable, "-m", "irtrack", "archive", str(folder), "--out", str(out), *OPTIONS, *more]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + LONGEST_S
    while not what():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def done_in(out: Path) -> int:
    """Recordings that are done."""
    return len(list((out / "results").glob("*.json")))


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Processes that do the work of a local cluster."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "spawn_main" in words:
            found.append(child)
    return sorted(found, key=lambda p: p.pid)


def kill_one(process: subprocess.Popen[str], chance: random.Random) -> None:
    """One of its workers, whichever; the cluster starts another in its place."""
    wait_for(lambda: bool(workers_of(process)), process)
    victim = chance.choice(workers_of(process))
    victim.send_signal(signal.SIGKILL)


def truth_of(paths: list[Path], out: Path) -> dict[str, tuple[str, int]]:
    """Log and number of rows that each recording has when it is done alone, by its name."""
    settings = Settings(detector=DetectorSettings(weights="datransnet-s", backend=ENGINE, temporal=False))
    job = tasks.choose(job_of(out, settings, None, 600.0))
    assert not isinstance(job, tasks.Failed)
    found = {}
    for path in paths:
        known = tasks.look(str(path), job)
        assert isinstance(known, Known)
        result = tasks.track(str(path), known, job.key(known.content), [], job)
        assert isinstance(result, Result)
        found[path.name] = ((out / result.logs[0]).read_text(), result.rows)
    return found


def results_by_name(out: Path) -> dict[str, Result]:
    found = {r.name: r for r in Store(out).all_results().values()}
    assert len(found) == done_in(out)
    return found


def check_whole(out: Path, truth: dict[str, tuple[str, int]]) -> None:
    """Everything is there, once, and as it is without kills."""
    results = results_by_name(out)
    assert set(truth) <= set(results)
    for name, (log, rows) in truth.items():
        assert (out / results[name].logs[0]).read_text() == log
        assert results[name].rows == rows
    rows = sum(r.rows for r in results.values())
    table = ds.dataset(out / "tracks", partitioning="hive").to_table().to_pandas()
    assert len(table) == rows
    assert not table.duplicated(["recording", "frame", "track_id"]).any()
    assert set(table["recording"]) <= {r.key for r in results.values()}
    recordings = ds.dataset(out / "recordings", partitioning="hive").to_table().to_pandas()
    ok = recordings[recordings["status"] == "done"]
    assert sorted(ok["recording"]) == sorted(r.key for r in results.values() if not r.error)
    assert len(list((out / "logs").iterdir())) == len(list((out / "tracks").glob("*/*"))) == len(results)
    assert not (out / "work").exists()
    assert not (out / "parts").exists()


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ended with all that they started, whatever becomes of the test."""
    all_of_them: list[subprocess.Popen[str]] = []
    yield all_of_them
    for process in all_of_them:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_eighty_recordings_while_workers_and_the_client_are_killed(
    tmp_path: Path, started: list[subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Kills come by count and seed. Corrupt recordings among them are one line each, and one long recording is cut."""
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = [folder / f"night{i // 20}" / f"r{i:03d}.mkv" for i in range(80)]
    for i, path in enumerate(paths):
        record(path, seed=i)
    long = folder / "long.mkv"
    record(long, seed=1000, frames=150)
    rng = np.random.default_rng(0)
    (folder / "noise.mkv").write_bytes(rng.bytes(9000))
    (folder / "none.mp4").touch()
    spoilt = bytearray(paths[7].read_bytes())
    spoilt[len(spoilt) // 2 :] = b""
    (folder / "cut.mkv").write_bytes(spoilt)
    (folder / "again.mkv").write_bytes(paths[3].read_bytes())
    options = ["--workers", "2", "--part", "0.04", "--quiet"]

    client = start(folder, out, *options)
    started.append(client)
    chance = random.Random(23)
    for count in sorted(chance.sample(range(8, 40), 3)):
        wait_for(lambda count=count: done_in(out) >= count, client)
        kill_one(client, chance)
    wait_for(lambda: done_in(out) >= 45, client)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    before = {name: r.analysed for name, r in results_by_name(out).items()}
    assert 45 <= len(before) < 80

    client = start(folder, out, *options)
    started.append(client)
    _, said = client.communicate(timeout=LONGEST_S)
    lines = said.splitlines()
    assert client.returncode == 1
    assert [any(name in line for line in lines) for name in ("noise.mkv", "none.mp4", "cut.mkv")] == [True] * 3
    assert lines[-1].startswith("irtrack: 3 recordings could not be read, or not to the end")
    assert len(lines) == 4

    truth = truth_of([*paths[::10], long], tmp_path / "alone")
    check_whole(out, truth)
    after = results_by_name(out)
    assert {name: after[name].analysed for name in before} == before, "something was done twice"
    assert len(after) == 82  # with the long one, and the one that is cut short; the copy is none of its own
    assert after["long.mkv"].parts > 1
    assert after["long.mkv"].again == 0

    recordings = ds.dataset(out / "recordings", partitioning="hive").to_table().to_pandas().set_index("path")
    assert recordings["status"].value_counts().to_dict() == {"done": 81, "damaged": 1, "failed": 2}
    assert recordings.loc[str(folder / "cut.mkv"), "status"] == "damaged"
    assert sum(map(len, recordings["copies"])) == 1
    assert "noise.mkv" in (out / "index.html").read_text()
    capsys.readouterr()


def scheduler(started: list[subprocess.Popen[str]], tmp_path: Path) -> tuple[str, subprocess.Popen[str]]:
    """A Dask scheduler with a worker, as somebody else starts them; the scheduler's address and process."""
    about = tmp_path / f"scheduler{len(started)}.json"
    common = ["--scheduler-file", str(about)]
    quiet = {"env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True}
    words = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
    ]
    made = subprocess.Popen([*words, *common], cwd=tmp_path, start_new_session=True, **quiet)  # type: ignore[call-overload]
    started.append(made)
    wait_for(lambda: about.exists() and about.read_text().endswith("}"), made)
    words = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    worker = subprocess.Popen([*words, *common], cwd=tmp_path, start_new_session=True, **quiet)  # type: ignore[call-overload]
    started.append(worker)
    return json.loads(about.read_text())["address"], made


def test_any_cluster_by_its_address_and_what_follows_when_its_scheduler_dies(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = [folder / f"r{i:02d}.mkv" for i in range(40)]
    for i, path in enumerate(paths):
        record(path, seed=500 + i)
    address, process = scheduler(started, tmp_path)
    client = start(folder, out, "--cluster", address, "--quiet")
    started.append(client)
    wait_for(lambda: done_in(out) >= 8, client)
    process.send_signal(signal.SIGKILL)
    _, said = client.communicate(timeout=LONGEST_S)
    assert client.returncode == 1
    assert said.splitlines() == [
        "irtrack: the cluster is gone: what is done is kept, and the same command goes on once it is there again"
    ]
    before = {name: r.analysed for name, r in results_by_name(out).items()}
    assert 8 <= len(before) < 40
    assert "recordings" in (out / "index.html").read_text()

    address, _ = scheduler(started, tmp_path)
    client = start(folder, out, "--cluster", address)
    started.append(client)
    wait_for(lambda: done_in(out) >= len(before) + 5, client)
    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=LONGEST_S)
    assert client.returncode == 130
    assert said.splitlines()[-1] == "irtrack: stopped"

    client = start(folder, out, "--cluster", address)
    started.append(client)
    told, said = client.communicate(timeout=LONGEST_S)
    assert client.returncode == 0, said
    assert told.startswith("done: ")
    after = results_by_name(out)
    assert {name: after[name].analysed for name in before} == before
    check_whole(out, truth_of(paths[::5], tmp_path / "alone"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--cluster", "tcp://127.0.0.1:9"], "no Dask scheduler answers at tcp://127.0.0.1:9"),
        (["--cluster", "here"], "it is local, or the address of a Dask scheduler"),
        (["--cluster", "tcp://127.0.0.1:9", "--workers", "2"], "--workers is how many a local cluster has"),
        (["--workers", "0"], "1 or more"),
        (["--part", "0"], "--part 0 makes no sense"),
        (["--mode", "live"], "is for cameras"),
        (["--correct"], "--correct needs a FILE"),
        (["--beliefs", "none.toml"], "none.toml cannot be read"),
    ],
)
def test_wrong_words_get_one_line(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irtrack.archive.cluster.REACH_S", 1)
    record(tmp_path / "in" / "a.mkv", 1)
    assert main(["archive", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *words]) == 1
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "distributed" else object())
    assert main(["archive", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "irtrack: an archive needs distributed: pip install 'irtrack[archive]'\n"


def test_nothing_to_do_is_said_before_anything_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert main(["archive", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 1
    assert "there are no recordings under" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["archive", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "is no folder" in capsys.readouterr().err


def test_a_cluster_without_workers_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr("irtrack.archive.run.ALONE_S", 0.01)
    job, said = job_of(tmp_path / "out", Settings(), None, 600.0), list[str]()
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += bool(said)
        return asked > 3

    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as made,
        Client(made, set_as_default=False) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        Archive(client, Store(tmp_path / "out"), job, ["a.mkv"], say=said.append).run(stop)
    assert said == ["the cluster has no workers yet: waiting for them"]


def test_what_ends_every_worker_that_takes_it_is_given_up(tmp_path: Path) -> None:
    with cluster("local", 1, heard=False) as client:
        future = client.submit(os._exit, 1, key="irtrack-deadly")
        wait_for(lambda: future.status != "pending")
        answer = answer_of(future)
        assert isinstance(answer, tasks.Failed)
        assert "four in a row" in answer.line
        assert not answer.general
        assert client.submit(sum, [1, 2], key="irtrack-next").result(timeout=LONGEST_S) == 3


def test_of_slow_recordings_what_moves_is_not_sought_over_time(tmp_path: Path) -> None:
    """Decided for each recording, and said of it; a slow one that is long is cut into parts."""
    for name, fps in (("slow", 5.0), ("fast", 20.0)):
        scene = Scene(scene_from_text(f"sky,width=48,height=40,frames=14,targets=2,scr=25,seed=1,fps={fps:g}"))
        write_video(tmp_path / f"{name}.mkv", (scene.image(i) for i in range(14)), fps)
    settings = Settings(detector=DetectorSettings(weights="datransnet-s", backend=ENGINE, temporal=True))
    job = tasks.choose(job_of(tmp_path / "out", settings, None, 600.0))
    assert not isinstance(job, tasks.Failed)
    remarks = {}
    for name in ("slow", "fast", "slow"):
        path = str(tmp_path / f"{name}.mkv")
        known = tasks.look(path, job)
        assert isinstance(known, Known)
        key = job.key(known.content)
        with contextlib.suppress(FileNotFoundError):
            (Store(job.out).results / f"{key}.json").unlink()
        result = tasks.track(path, known, key, [], job)
        assert isinstance(result, Result)
        assert result.remarks == remarks.setdefault(name, result.remarks)
    without = "what moves is not sought over time: that takes 8 frames a second or more"
    assert [without in remarks[name] for name in ("slow", "fast")] == [True, False]
    archive = Archive.__new__(Archive)
    archive._job = job_of(tmp_path / "out", settings, None, 60.0)
    recording = Known("", frames=5 * 600, fps=5.0)
    assert len(archive._parts(recording)) == 10
    assert archive._parts(Known("", frames=20 * 600, fps=20.0)) == []
