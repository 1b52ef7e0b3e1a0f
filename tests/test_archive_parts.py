"""Recordings of an archive, without a cluster: parts give the tracks of one pass, files are whole."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'irtrack[archive]'")
pytest.importorskip("distributed", reason="Dask is not installed: pip install 'irtrack[archive]'")

from irtrack.archive import parts, tasks  # noqa: E402
from irtrack.archive.found import content_of, find_recordings, stamp_of  # noqa: E402
from irtrack.archive.job import Job, job_of  # noqa: E402
from irtrack.archive.page import length  # noqa: E402
from irtrack.archive.parts import Findings, ends_of  # noqa: E402
from irtrack.archive.publish import publish  # noqa: E402
from irtrack.archive.store import Known, Result, Store, refreshed  # noqa: E402
from irtrack.archive.tasks import Failed  # noqa: E402
from irtrack.cli import main  # noqa: E402
from irtrack.config import DEFAULTS  # noqa: E402
from irtrack.core import ConfigError, IrtrackError, SinkError  # noqa: E402
from irtrack.detect.native.build import compiler  # noqa: E402
from irtrack.simulate import Scene, scene_from_text  # noqa: E402
from irtrack.sinks.lossless import write_images, write_video  # noqa: E402
from irtrack.sinks.target import Target  # noqa: E402

ENGINE = "native" if compiler() is not None else "torch"
SETTINGS = replace(
    DEFAULTS, detector=replace(DEFAULTS.detector, weights="datransnet-s", backend=ENGINE, temporal=False)
)

SCENES = {
    "sky": "sky,width=96,height=80,frames=180,targets=4,scr=12,seed=3,specks=1,swing_px=8",
    "counts": "camera16,width=96,height=96,frames=440,targets=4,scr=25,seed=4",
}
PARTS = {"sky": 3, "counts": 2}
"""The second part of the counts begins its lead at frame 20, long after the levels of one pass began."""


def job_in(out: Path, **detector: object) -> Job:
    """A job in a folder, chosen as the first worker would."""
    settings = replace(SETTINGS, detector=replace(SETTINGS.detector, **detector))
    chosen = tasks.choose(job_of(out, settings, None, 600.0))
    assert isinstance(chosen, Job)
    return chosen


def saved(scene: str, path: Path) -> Path:
    made = Scene(scene_from_text(scene))
    write_video(path, (made.image(i) for i in range(made.settings.frames)), made.settings.fps)
    return path


def looked(path: Path, job: Job) -> Known:
    known = tasks.look(str(path), job)
    assert isinstance(known, Known)
    return known


def done(path: Path, job: Job, count: int = 1) -> Result:
    """A recording as workers do it, in `count` parts."""
    known = looked(path, job)
    assert known.frames
    key, pieces = job.key(known.content), []
    if count > 1:
        pieces = ends_of(known.frames, -(-known.frames // count))
        assert len(pieces) == count
    for first, end in reversed(pieces):  # in whatever order
        assert tasks.find(str(path), key, first, end, job) is None
    result = tasks.track(str(path), known, key, pieces, job)
    assert isinstance(result, Result), result
    return result


def log_of(out: Path, result: Result) -> str:
    return (out / result.logs[0]).read_text()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Recordings, and what one pass writes of each."""
    folder = tmp_path_factory.mktemp("scenes")
    paths = {name: saved(scene, folder / f"{name}.mkv") for name, scene in SCENES.items()}
    return {name: (path, one_pass(path)) for name, path in paths.items()}


def one_pass(path: Path) -> str:
    """What `irtrack run` writes, with as many threads as a worker has."""
    csv = path.with_suffix(".csv")
    words = ["run", str(path), "--csv", str(csv), "--weights", "datransnet-s", "--backend", ENGINE, "--threads", "1"]
    assert main([*words, "--no-temporal", "--quiet", "--force"]) == 0
    return csv.read_text()


@pytest.mark.parametrize("name", SCENES)
def test_parts_give_the_log_of_one_pass_to_the_letter(
    name: str, scenes: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    """Also with levels that follow the frames, a camera that swings, and tracks across every seam."""
    path, truth = scenes[name]
    job = job_in(tmp_path / "cut")
    result = done(path, job, PARTS[name])
    assert log_of(job.out, result) == truth
    assert result.again == 0, "a part's scaling had not settled, or a picture came otherwise out of its decoder"
    assert result.parts == PARTS[name]
    across = [row.split(",") for row in truth.splitlines()[1:]]
    for seam in [end for _, end in ends_of(result.frames, result.frames // PARTS[name])][:-1]:
        before = {r[2] for r in across if int(r[0]) == seam - 1}
        assert before & {r[2] for r in across if int(r[0]) == seam}, "no track crosses the seam: the test is too easy"
    assert (result.tracks, result.rows) == (len({r[2] for r in across}), len(across))
    assert not (job.out / "parts" / result.key).exists(), "what was found in parts is of no use any more"


def test_without_its_lead_a_part_counts_only_where_it_saw_the_same(
    scenes: dict[str, tuple[Path, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lead is what spares the second look; the log is that of one pass with and without it."""
    path, truth = scenes["counts"]
    monkeypatch.setattr(tasks, "SETTLE_FRAMES", 0)
    job = job_in(tmp_path / "out")
    result = done(path, job, 2)
    assert 0 < result.again <= parts.SETTLE_FRAMES
    assert log_of(job.out, result) == truth


def test_what_was_found_in_another_picture_or_is_damaged_does_not_count(
    scenes: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    path, truth = scenes["sky"]
    job = job_in(tmp_path / "out")
    known = looked(path, job)
    key, store = job.key(known.content), Store(job.out)
    edges = ends_of(180, 60)
    for first, end in edges:
        tasks.find(str(path), key, first, end, job)
    spoilt = Findings.load(store.part(key, *edges[0]))
    spoilt.rows[:, :2] += 7.0
    replace(spoilt, sums=spoilt.sums + np.uint32(1)).save(store.part(key, *edges[0]))
    store.part(key, *edges[2]).write_bytes(store.part(key, *edges[2]).read_bytes()[:-100])
    result = tasks.track(str(path), known, key, edges, job)
    assert isinstance(result, Result)
    assert result.again == 120
    assert log_of(job.out, result) == truth


def test_parts_of_a_coded_film_begin_between_key_frames(tmp_path: Path) -> None:
    """H.264 with B frames and one key frame in a hundred: a part sees the pictures that one pass sees."""
    made = Scene(scene_from_text("sky,width=96,height=80,frames=150,targets=3,scr=18,seed=8"))
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        stream.codec_context.gop_size = 100
        stream.options = {"crf": "12", "bf": "2"}
        for i in range(150):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(made.image(i), format="gray").reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    job = job_in(tmp_path / "out")
    result = done(path, job, 4)
    assert (result.frames, result.again) == (150, 0)
    truth = one_pass(path)
    assert log_of(job.out, result) == truth
    assert truth.count("\n") > 200


def test_a_recording_that_ends_early_keeps_what_was_read_and_says_why(tmp_path: Path) -> None:
    path = saved(SCENES["sky"], tmp_path / "sky.mkv")
    size = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(size * 2 // 3)
    for count in (1, 2):
        job = job_in(tmp_path / f"out{count}")
        result = done(path, job, count)
        assert "cut short" in result.error
        assert 60 < result.frames < 180
        assert result.rows > 100
    assert log_of(tmp_path / "out1", result) == log_of(tmp_path / "out2", result)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    job = job_in(tmp_path / "out")
    noise, empty = tmp_path / "noise.mp4", tmp_path / "empty.mkv"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    empty.touch()
    for path in (noise, empty, tmp_path / "none.mkv"):
        failed = tasks.look(str(path), job)
        assert isinstance(failed, Failed)
        assert str(path) in failed.line
        assert "\n" not in failed.line
        assert not failed.general


def test_the_data_set_has_the_rows_of_the_log(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    path, still = (
        saved("sky,width=64,height=64,frames=50,targets=2,scr=25,seed=3", tmp_path / "sky.mkv"),
        tmp_path / "still.mkv",
    )
    saved("sky,width=64,height=48,frames=20,targets=0,seed=1", still)
    job = job_in(tmp_path / "out")
    result, nothing = done(path, job), done(still, job)
    assert nothing.rows == 0
    log = pandas.read_csv(job.out / result.logs[0])
    table = pandas.read_parquet(job.out / "tracks")
    assert list(table.columns) == ["recording", *log.columns, "day"]
    assert (table["recording"] == result.key).all()
    for column in log.columns:
        want = log[column].astype(bool) if column == "measured" else log[column]
        assert want.equals(table[column].astype(want.dtype)), column
    files = f"{job.out}/tracks/**/*.parquet"
    query = f"select count(*), count(distinct track_id), min(day) from read_parquet('{files}', hive_partitioning=true)"
    rows, tracks, day = duckdb.sql(query).fetchall()[0]
    assert (rows, tracks, str(day)) == (len(log), result.tracks, result.day)


def test_the_day_is_that_of_the_recording(tmp_path: Path) -> None:
    """As its header says, or else by the time of the file, less its length."""
    job, path = job_in(tmp_path / "out"), tmp_path / "dated.mkv"
    made = Scene(scene_from_text("sky,width=64,height=48,frames=30,targets=1,scr=20,seed=1"))
    with av.open(str(path), "w") as out:
        out.metadata["creation_time"] = "2024-02-29T23:59:58+01:00"
        stream = out.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        for i in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(made.image(i), format="gray")))
        out.mux(stream.encode(None))
    known = looked(path, job)
    assert (known.started, known.started_by) == ("2024-02-29T22:59:58.000000+00:00", "recording")
    plain = saved("sky,width=64,height=48,frames=30,targets=1,seed=1", tmp_path / "plain.mkv")
    os.utime(plain, (1_000_000_000, 1_000_000_000))  # 2001-09-09T01:46:40Z
    known = looked(plain, job)
    assert datetime.fromisoformat(known.started).timestamp() == pytest.approx(1_000_000_000 - 1, abs=0.05)
    assert (known.day, known.started_by) == ("2001-09-09", "file")


def test_which_files_are_recordings(tmp_path: Path) -> None:
    """Videos and stacks one by one, images of a folder as a sequence; what others wrote beside them is not one."""
    for name in ("a/b10.mkv", "a/b2.mp4", "a/b2.truth.csv", "a/notes.txt", "a/.hidden.mkv", "out/x.mkv", ".git/y.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    picture = np.zeros((8, 8), np.uint8)
    write_images(tmp_path / "pictures", iter([picture] * 3), False)
    write_images(tmp_path / "one", iter([picture]), False)
    import tifffile

    (tmp_path / "stacks").mkdir()
    for name in ("s1.tif", "s2.tif"):
        tifffile.imwrite(tmp_path / "stacks" / name, np.zeros((4, 8, 8), np.uint16), photometric="minisblack")
    (tmp_path / "pages").mkdir()
    for i in range(3):
        tifffile.imwrite(tmp_path / "pages" / f"{i}.tif", np.zeros((8, 8), np.uint16))
    other = tmp_path / "a" / "other-archive"
    other.mkdir()
    (other / "archive.json").touch()
    write_images(other / "thumbnails", iter([picture] * 3), False)
    found = find_recordings(tmp_path, tmp_path / "out")
    names = [os.path.relpath(text, tmp_path) for text in found.recordings]
    assert names == ["a/b2.mp4", "a/b10.mkv", "pages", "pictures", "stacks/s1.tif", "stacks/s2.tif"]
    assert found.remarks.lines() == ["images beside recordings, or single ones, were left out"]
    with pytest.raises(IrtrackError, match="is no folder"):
        find_recordings(tmp_path / "a" / "b2.mp4", tmp_path / "out")


def test_a_recording_is_known_by_all_of_its_content(tmp_path: Path) -> None:
    a, b = tmp_path / "a.bin", tmp_path / "b.bin"
    data = bytearray(3 << 20)
    a.write_bytes(data)
    b.write_bytes(data)
    assert content_of(str(a)) == content_of(str(b))
    stamp = stamp_of(str(a))
    data[len(data) // 2] = 1  # neither the beginning nor the end
    a.write_bytes(data)
    assert content_of(str(a)) != content_of(str(b))
    assert stamp_of(str(a)) != stamp


def test_an_archive_is_of_one_set_of_options(tmp_path: Path) -> None:
    job, store = job_in(tmp_path / "out"), Store(tmp_path / "out")
    store.check()
    store.take_job(job)
    store.take_job(job)
    store.check()
    other = replace(job, settings=replace(job.settings, tracker=replace(job.settings.tracker, caution=2.0)))
    assert other.key("x") != job.key("x")
    with pytest.raises(IrtrackError, match=r"caution = 20.0, now 2.0"):
        store.take_job(other)
    with pytest.raises(IrtrackError, match="another model"):
        store.take_job(replace(job, model="0" * 64))
    bright = replace(job, settings=replace(job.settings, display=replace(job.settings.display, palette="Iron")))
    assert bright.key("x") == job.key("x"), "colours change no track"
    store.take_job(bright)
    asked = job_of(tmp_path / "out", replace(SETTINGS, detector=replace(SETTINGS.detector, backend="auto")), None, 60.0)
    assert asked.settings.detector.backend == "auto"
    assert store.as_before(asked).settings.detector.backend == ENGINE, "no trial decides anew"
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").touch()
    with pytest.raises(IrtrackError, match="holds other files"):
        Store(full).check()
    with pytest.raises(ConfigError, match="for cameras"):
        job_of(tmp_path, replace(SETTINGS, detector=replace(SETTINGS.detector, mode="live")), None, 60.0)
    lock = Target(tmp_path / "out" / ".lock", force=True)
    with pytest.raises(SinkError, match="written by another run"), store.claimed():
        pass
    lock.finish()


def test_the_same_model_and_version_on_every_worker(tmp_path: Path) -> None:
    job = job_in(tmp_path / "out")
    path = saved("sky,width=64,height=48,frames=10,seed=1", tmp_path / "a.mkv")
    known = looked(path, job)
    for wrong, line in ((replace(job, model="0" * 64), "other weights"), (replace(job, version="0.0.1"), "0.0.1")):
        failed = tasks.track(str(path), known, "k" * 32, [], wrong)
        assert isinstance(failed, Failed)
        assert line in failed.line
    assert isinstance(tasks.track(str(path), known, job.key(known.content), [], job), Result)


def test_a_disk_that_cannot_be_written_is_no_fault_of_the_recording(tmp_path: Path) -> None:
    job = job_in(tmp_path / "out")
    path = saved("sky,width=64,height=48,frames=10,seed=1", tmp_path / "a.mkv")
    known = looked(path, job)
    (tmp_path / "file").touch()
    failed = tasks.track(str(path), known, "k" * 32, [], replace(job, out=tmp_path / "file" / "out"))
    assert isinstance(failed, Failed)
    assert failed.general
    assert "cannot write" in failed.line


def test_what_a_kill_left_is_swept_and_what_is_done_stays(tmp_path: Path) -> None:
    job, store = job_in(tmp_path / "out"), Store(tmp_path / "out")
    path = saved("sky,width=64,height=48,frames=10,seed=1", tmp_path / "a.mkv")
    result = done(path, job)
    other = tmp_path / "out" / "tracks" / "day=1999-12-31" / f"{result.key}.parquet"
    other.parent.mkdir()
    other.write_bytes((job.out / result.tracks_file).read_bytes())  # of another day: its file had another time
    named = job.out / "logs" / f"older-name-{result.key[:12]}.csv"
    named.touch()
    mine = job.out / "logs" / "my notes.csv"
    mine.touch()
    (job.out / "work" / "left").mkdir(parents=True)
    store.part(result.key, 0, 5).parent.mkdir(parents=True)
    store.sweep(store.all_results())
    assert not any(p.exists() for p in (other, named, job.out / "work", job.out / "parts"))
    assert mine.exists()
    assert store.result(result.key) == result
    (job.out / result.tracks_file).unlink()
    assert store.result(result.key) is None, "done is what has all its files"


def test_pages_and_recordings_say_what_is_there(tmp_path: Path) -> None:
    job, store = job_in(tmp_path / "out"), Store(tmp_path / "out")
    path = saved("sky,width=64,height=64,frames=40,targets=2,scr=25,seed=3", tmp_path / "sky & <sun>.mkv")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    known, result = looked(path, job), done(path, job)
    failed = Known("", error="bad.mkv is <damaged>", started="2001-09-09T03:00:00+00:00", started_by="file")
    files = {str(path): known, "/elsewhere/copy.mkv": replace(known, present=False), "/in/bad.mkv": failed}
    publish(store, job, files)
    index, day = ((job.out / name).read_text() for name in ("index.html", "days/2001-09-09.html"))
    assert 'href="days/2001-09-09.html"' in index
    assert "bad.mkv is &lt;damaged&gt;" in index
    assert "sky &amp; &lt;sun&gt;.mkv" in day
    assert f"{result.tracks} track" in day
    assert (job.out / result.thumbnail).stat().st_size > 500
    assert f"../{result.thumbnail}" in day
    table = pa.parquet if hasattr(pa, "parquet") else __import__("pyarrow.parquet").parquet
    rows = table.read_table(job.out / "recordings" / "day=2001-09-09" / "recordings.parquet").to_pylist()
    assert [(r["status"], r["path"], r["copies"], r["tracks"]) for r in rows] == [
        ("done", str(path), ["/elsewhere/copy.mkv"], result.tracks),
        ("failed", "/in/bad.mkv", [], None),
    ]
    publish(store, job, {str(path): known})
    assert "damaged" not in (job.out / "index.html").read_text()
    assert json.loads((job.out / "results" / f"{result.key}.json").read_text())["frames"] == 40


def test_lengths_are_said_in_words() -> None:
    assert [length(s) for s in (3.04, 75, 3600 * 5 + 120, 3600 * 10_000)] == [
        "3.0 s",
        "1 min 15 s",
        "5 h 2 min",
        "10,000 h",
    ]


def test_the_length_of_parts() -> None:
    assert ends_of(100, 60) == [(0, 50), (50, 100)]
    assert ends_of(100, 80) == [(0, 100)]
    assert ends_of(90, 30) == [(0, 30), (30, 60), (60, 90)]
    assert ends_of(1, 0) == [(0, 1)]


def test_what_is_not_there_any_more_is_kept_and_said_and_what_failed_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").touch()
    known = {
        str(tmp_path / "a.mkv"): Known("1", "aa"),
        str(tmp_path / "deleted.mkv"): Known("2", "bb"),
        str(tmp_path / "deleted-bad.mkv"): Known("3", error="it was bad"),
    }
    now = refreshed(known)
    assert {Path(text).name: each.present for text, each in now.items()} == {"a.mkv": True, "deleted.mkv": False}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes")
def test_names_of_any_bytes(tmp_path: Path) -> None:
    """Line breaks, bytes that are no text, and as long as names can be; two of them are two recordings."""
    job, store = job_in(tmp_path / "out"), Store(tmp_path / "out")
    names = [b"two\nlines.mkv", b"\xff\xfe %.mkv", "\u0448".encode() * 120 + b".mkv"]
    known, keys = {}, set()
    for seed, name in enumerate(names):
        path = tmp_path / "in" / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        plain = saved(f"sky,width=64,height=48,frames=20,targets=2,scr=60,seed={seed}", tmp_path / "plain.mkv")
        plain.rename(path)
        result = done(path, job)
        known[str(path)] = looked(path, job)
        keys.add(result.key)
        assert (job.out / result.logs[0]).stat().st_size > 500
    assert sorted(known) == sorted(find_recordings(tmp_path / "in", job.out).recordings)
    assert len(keys) == 3
    store.remember(known)
    assert store.known() == known
    publish(store, job, known)
    pages = list((job.out / "days").glob("*.html"))
    assert sum(page.read_text().count("<figure>") for page in pages) == 3
