"""`import irtrack` as the README shows it: what comes out is what the command line writes, what goes in is checked."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import irtrack
from irtrack.cli import main
from irtrack.core import Frame, SourceError, SourceInfo
from irtrack.detect.native.build import compiler
from irtrack.library import Source, counts

ROOT = Path(__file__).resolve().parent.parent
ENGINE = "native" if compiler() is not None else "torch"
MODEL: dict[str, Any] = {"weights": "datransnet-s", "device": "cpu", "backend": ENGINE}


@pytest.fixture(scope="module")
def detector() -> irtrack.Detector:
    return irtrack.Detector(**MODEL)


def python_in(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_import_alone_loads_nothing() -> None:
    code = "import sys, irtrack; irtrack.__all__, dir(irtrack); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert [m for m in loaded if m.startswith("irtrack")] == ["irtrack"]
    assert not {"numpy", "scipy", "torch", "cv2", "av", "PySide6", "argparse", "dataclasses"} & set(loaded)


def test_every_public_name_is_there_and_said_to_type_checkers() -> None:
    assert all(getattr(irtrack, name).__doc__ for name in irtrack.__all__)
    assert set(irtrack.__all__) <= set(dir(irtrack))
    assert (ROOT / "irtrack" / "py.typed").exists()
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        irtrack.opne  # noqa: B018


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_runs_as_the_page_shows_it(
    page: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flight.mp4").write_bytes(clip.read_bytes())
    blocks = python_in(ROOT / page)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_table_is_the_log_that_run_writes(tmp_path: Path, detector: irtrack.Detector) -> None:
    with irtrack.open(scene := "sim:crossing,width=160,height=128,targets=4,frames=30") as source:
        assert "160x128" in repr(source)
        for log, option in (("completed", ()), ("online", ("--online",)), ("offline", ("--offline",))):
            out = tmp_path / f"{log}.csv"
            words = ["--weights", "datransnet-s", "--device", "cpu", "--backend", ENGINE, "--quiet", *option]
            assert main(["run", scene, "--csv", str(out), *words]) == 0
            made = irtrack.table(irtrack.process(source, detector, irtrack.Tracker()), log)  # type: ignore[arg-type]
            rows = list(csv.DictReader(out.open()))
            assert len(made) == len(rows) > 50
            assert list(made.keys()) == list(rows[0])
            for name in ("frame", "track_id", "x_px", "vy_px_s", "sigma_x_px", "score", "measured"):
                written = np.array([float(r[name] or "nan") for r in rows])
                np.testing.assert_allclose(made[name], written, atol=6e-4, err_msg=f"{log} {name}")
            assert made["status"].tolist() == [r["status"] for r in rows]


@pytest.mark.parametrize(("log", "options"), [("completed", ()), ("offline", ("--offline",))])
def test_the_table_is_of_the_tracker_that_was_used(
    log: str, options: tuple[str, ...], tmp_path: Path, detector: irtrack.Detector
) -> None:
    """Settings that change the log: the delay up to which early rows are completed, and how smooth paths are."""
    given = {"log_delay_s": 0.2, "measurement_sigma_px": 3.0, "caution": 50.0}
    scene = "sim:crossing,width=160,height=128,targets=4,frames=40"
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    out = tmp_path / "t.csv"
    own = ["--weights", "datransnet-s", "--device", "cpu", "--backend", ENGINE, "--quiet", *options]
    assert main(["run", scene, "--csv", str(out), *own, *words]) == 0
    rows = list(csv.DictReader(out.open()))
    results = list(irtrack.process(irtrack.open(scene), detector, irtrack.Tracker(**given)))
    made = irtrack.table(results, log)  # type: ignore[arg-type]
    np.testing.assert_allclose(made["x_px"], [float(r["x_px"]) for r in rows], atol=6e-4)
    plain = irtrack.table([replace(r, settings=None) for r in results], log)  # type: ignore[arg-type]
    assert len(plain) != len(made) or not np.allclose(plain["x_px"], made["x_px"], atol=6e-4), "the test can fail"
    other = [replace(r, settings=irtrack.Tracker().settings) for r in results]
    with pytest.raises(irtrack.IrtrackError, match="different settings"):
        irtrack.table(results[:5] + other[5:], log)  # type: ignore[arg-type]


def test_tables_of_other_libraries(detector: irtrack.Detector) -> None:
    results = irtrack.process(irtrack.open("sim:crossing,frames=12"), detector, irtrack.Tracker(caution=1e6))
    made = irtrack.table(results, "online")
    assert len(made) > 10
    assert set(made.ids) == set(made["track_id"])
    one = made.track(int(made.ids[0]))
    assert 0 < len(one) < len(made)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    frame = made.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["x_px"].tolist() == made["x_px"].tolist()
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    table = made.to_arrow()
    assert isinstance(table, arrow.Table)
    assert table["status"].to_pylist() == made["status"].tolist()
    assert len(irtrack.table([])) == 0
    assert irtrack.table([]).to_arrow().schema == table.schema


def test_plain_pictures_give_what_a_source_gives(detector: irtrack.Detector) -> None:
    frames = list(irtrack.open("sim:crossing,frames=10"))
    plain = np.stack([f.image for f in frames])
    colour = np.repeat(plain[..., None], 3, 3)
    expected = list(irtrack.process(frames, detector, irtrack.Tracker()))
    for given in (plain, list(plain), iter(colour), plain[..., None]):
        got = list(irtrack.process(given, detector, irtrack.Tracker(), fps=30))
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a.detections.xy_px, b.detections.xy_px)
            np.testing.assert_allclose(a.tracks.xy_px, b.tracks.xy_px)  # type: ignore[attr-defined]
            assert a.frame.time_s == pytest.approx(b.frame.time_s)


def test_what_moves_is_sought_where_pictures_come_often_enough(detector: irtrack.Detector) -> None:
    """One rule for the whole program, `build.at_rate`."""
    network = detector._network
    slow = np.zeros((2, 64, 64), np.uint8)
    detector.threshold = 0.7
    list(irtrack.process(slow, detector, irtrack.Tracker(), fps=2))
    assert not network.temporal
    assert "8 frames a second or more" in detector.status().without
    list(irtrack.process(slow, detector, irtrack.Tracker(), fps=25))
    assert network.temporal
    assert detector.status().without == ""
    list(irtrack.process(irtrack.open("sim:crossing,frames=2,fps=3"), detector, irtrack.Tracker()))
    assert not network.temporal, "by the source's own rate"
    list(irtrack.process(irtrack.open("sim:crossing,frames=2"), detector, irtrack.Tracker()))
    assert network.temporal
    assert detector.threshold == 0.7, "nothing else changes"
    detector.threshold = 0.5
    assert not irtrack.Detector("datransnet-s", live_fps=2)._network.temporal


def test_a_callers_array_is_left_alone_and_looked_at_anew(detector: irtrack.Detector) -> None:
    """A buffer that is filled again and again, as cv2.VideoCapture.read does, and turned views of it."""
    first, second = (np.array(f.image) for f in list(irtrack.open("sim:crossing,frames=40"))[::39])
    buffer = first.copy()
    before = detector(buffer)
    buffer[:] = second
    after = detector(buffer)
    assert buffer.flags.writeable
    np.testing.assert_array_equal(after.xy_px, detector(second).xy_px)
    assert before.xy_px.tolist() != after.xy_px.tolist()
    turned = [first[:, ::-1], first[::-1], first.T]
    results = [next(irtrack.process([view], detector, irtrack.Tracker(), fps=1)) for view in turned]
    assert all(len(r.detections) for r in results)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: np.zeros((3, 40, 40)), "uint8 or uint16, not float64"),
    (lambda: np.arange(3 * 40 * 40 * 3, dtype=np.uint8).reshape(3, 40, 40, 3), "make it grey first"),
    (lambda: np.zeros((40, 40), np.uint8), "one picture to the detector"),
    (lambda: np.zeros((40, 40, 3), np.uint8), "one picture to the detector"),
    (lambda: [np.zeros((40, 40), np.uint8), np.zeros((40, 44), np.uint8)], "44x40 uint8 and the first 40x40"),
    (lambda: np.full((2, 40, 40), -1), "counts from 0 to 65535"),
    (lambda: [np.zeros((1, 40), np.uint8)], "outside 2 to"),
    (lambda: ["a.png"], "no array|rows and columns"),
]


@pytest.mark.parametrize(("frames", "say"), WRONG)
def test_what_is_no_picture_is_one_line(frames: Callable[[], Any], say: str, detector: irtrack.Detector) -> None:
    with pytest.raises(irtrack.IrtrackError, match=say) as caught:
        list(irtrack.process(frames(), detector, irtrack.Tracker(), fps=30))
    assert "\n" not in str(caught.value)


def test_wrong_settings_and_missing_rates_are_one_line(detector: irtrack.Detector) -> None:
    with pytest.raises(irtrack.IrtrackError, match="did you mean 'caution'"):
        irtrack.Tracker(caustion=3)
    with pytest.raises(irtrack.IrtrackError, match="did you mean 'datransnet'"):
        irtrack.Detector("datransnt")
    with pytest.raises(irtrack.IrtrackError, match="out of range"):
        detector.threshold = 2.0
    with pytest.raises(irtrack.IrtrackError, match="say fps"):
        list(irtrack.process(np.zeros((2, 40, 40), np.uint8), detector, irtrack.Tracker()))
    with pytest.raises(irtrack.IrtrackError, match="it is one of completed"):
        irtrack.table([], "complete")  # type: ignore[arg-type]
    assert f"datransnet-s on cpu by {ENGINE}" in repr(detector)
    assert repr(irtrack.Tracker(caution=3)) == "Tracker(caution=3.0)"


def test_detections_of_other_programs() -> None:
    tracker = irtrack.Tracker()
    for i in range(20):
        tracks = tracker(irtrack.Detections.at([[10.0 + 3 * i, 20.0], [200.0, 90.0 - 2 * i]]), i / 30)
    np.testing.assert_allclose(np.sort(tracks.xy_px, 0), np.sort([[67.0, 20.0], [200.0, 52.0]], 0), atol=1.0)
    np.testing.assert_allclose(sorted(tracks.velocity_px_s[:, 0]), [0, 90], atol=6)
    assert tracks.confirmed.all()
    assert len(irtrack.Detections.at([])) == 0
    with pytest.raises(irtrack.IrtrackError, match="time goes on"):
        tracker(irtrack.Detections.at([]), 0.1)
    for given, say in (
        (([[1, 2, 3]],), r"\(N, 2\)"),
        (([[1, np.nan]],), "finite"),
        (([[1, 2]], [0.5, 0.5]), "each of the 1"),
        (([[1, 2]], [7.0]), "from 0 to 1"),
        (([[1, 2]], None, [3.0]), "width and a height"),
    ):
        with pytest.raises(irtrack.IrtrackError, match=say):
            irtrack.Detections.at(*given)


def test_a_recording_begins_anew_each_time_and_tracks_do_too(detector: irtrack.Detector) -> None:
    source, tracker = irtrack.open("sim:crossing,frames=8"), irtrack.Tracker(caution=1e6)
    runs = [list(irtrack.process(source, detector, tracker)) for _ in range(2)]
    assert [r.frame.index for r in runs[0]] == [r.frame.index for r in runs[1]] == list(range(8))
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(a.tracks.xy_px, b.tracks.xy_px)  # type: ignore[attr-defined]
    assert not {int(i) for i in runs[0][-1].tracks.id} & {int(i) for i in runs[1][-1].tracks.id}  # type: ignore[attr-defined]
    source.seek(5)
    assert [f.index for f in source] == [5, 6, 7]


class Camera:
    """Gives its next frames whenever it is told that somebody is busy, and breaks at the end."""

    live, info = True, SourceInfo("camera", 8, 8, 8, 30.0, None)

    def __iter__(self) -> Iterator[Frame]:
        for i in range(1000):
            yield Frame(i, i / 30, np.zeros((8, 8), np.uint8))
        raise SourceError("the camera broke")


def test_a_slow_reader_of_a_camera_gets_the_newest_and_its_error() -> None:
    seen: list[int] = []
    with pytest.raises(SourceError, match="broke"):
        seen.extend(frame.index for frame in Source(Camera()))  # type: ignore[arg-type]
    assert seen == sorted(set(seen))
    assert seen[-1] == 999, "the newest is never lost"


def test_counts() -> None:
    big = np.arange(12, dtype=">u2").reshape(3, 4)
    assert counts(big).dtype == np.uint16
    assert counts(big).dtype.isnative
    assert counts(np.eye(3, dtype=bool)).max() == 255
    grey = cv2.cvtColor(np.eye(4, dtype=np.uint8), cv2.COLOR_GRAY2BGRA)
    np.testing.assert_array_equal(counts(grey), np.eye(4))


def test_the_notebook_runs() -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e '.[dev]'")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    notebook = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)
    assert not any(c.get("outputs") for c in notebook.cells), "outputs are not kept in the repository"
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(ROOT)}}).execute()
    plots = [o for c in notebook.cells for o in c.get("outputs", ()) if "image/png" in o.get("data", {})]
    assert len(plots) >= 2
