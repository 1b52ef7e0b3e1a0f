"""Tables as other programs mean them: corners, absent targets, flags, times of each frame, rows that were cut off."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from irtrack.cli import main
from irtrack.core import Remarks
from irtrack.track.files import DetectionFileError, read_detections, read_tracks, read_truth

Row = tuple[int, int, float, float]
ROWS: list[Row] = [(k, i, 20 + 1.5 * k + 60 * i, 30 + 0.5 * k + 20 * i) for k in range(20) for i in (1, 2)]
WIDE, HIGH = 6.0, 4.0


def table(path: Path, head: str, row: Callable[[int, int, float, float], str], rows: list[Row] = ROWS) -> Path:
    path.write_text(head + "\n" * bool(head) + "".join(row(*r) + "\n" for r in rows))
    return path


CORNERS: dict[str, tuple[str, Callable[[int, int, float, float], str]]] = {
    "mot": (
        "frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z",
        lambda k, i, x, y: f"{k + 1},{i},{x - 2},{y - 1},{WIDE},{HIGH},1,-1,-1,-1",
    ),
    "left": ("frame,id,left,top,width,height", lambda k, i, x, y: f"{k},{i},{x - 3},{y - 2},{WIDE},{HIGH}"),
    "x1": ("frame,id,x1,y1,x2,y2", lambda k, i, x, y: f"{k},{i},{x - 3},{y - 2},{x + 3},{y + 2}"),
    "xmin": ("frame,id,xmin,ymin,xmax,ymax", lambda k, i, x, y: f"{k},{i},{x - 3},{y - 2},{x + 3},{y + 2}"),
    "x2": ("frame,id,x,y,x2,y2", lambda k, i, x, y: f"{k},{i},{x - 3},{y - 2},{x + 3},{y + 2}"),
    "centre too": (
        "frame,id,x,y,w,h,x1,y1,x2,y2",
        lambda k, i, x, y: f"{k},{i},{x},{y},{WIDE},{HIGH},{x - 3},{y - 2},{x + 3},{y + 2}",
    ),
}


@pytest.mark.parametrize("name", CORNERS)
def test_boxes_by_their_corners(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", *CORNERS[name])
    remarks = Remarks()
    rows = read_detections(path, remarks)
    assert np.allclose(rows[:, :5], [(k, x, y, WIDE, HIGH) for k, _, x, y in ROWS])
    assert np.allclose(read_tracks(path), ROWS)
    assert remarks.lines() == ["a.csv: boxes are read by their corners"]


def absent(k: int, i: int) -> bool:
    return i == 1 and k >= 15


@pytest.mark.parametrize("cells", ["0,0,0,0", "-1,-1,-1,-1", "-9999,-9999,0,0"])
@pytest.mark.parametrize("head", ["", "frame,id,x,y,w,h", "frame,id,left,top,w,h"])
def test_a_target_that_is_not_there_has_no_position(tmp_path: Path, head: str, cells: str) -> None:
    shift = {"": (-2, -1), "frame,id,x,y,w,h": (0, 0), "frame,id,left,top,w,h": (-3, -2)}[head]
    path = table(
        tmp_path / "a.txt", head,
        lambda k, i, x, y: f"{k + (not head)},{i},"
        + (cells if absent(k, i) else f"{x + shift[0]},{y + shift[1]},{WIDE},{HIGH}"),
    )  # fmt: skip
    remarks = Remarks()
    assert np.allclose(read_tracks(path, remarks), [r for r in ROWS if not absent(r[0], r[1])])
    assert "a.txt: rows without a position were left out (5 times)" in remarks.lines()


def test_points_at_the_origin_are_said(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "frame,id,x,y", lambda k, i, x, y: f"{k},{i},0,0" if absent(k, i) else f"{k},{i},{x},{y}"
    )  # fmt: skip
    remarks = Remarks()
    assert len(read_tracks(path, remarks)) == len(ROWS)
    assert "rows at exactly 0, 0" in remarks.lines()[0]


@pytest.mark.parametrize(
    ("column", "value"), [("ignore", 1), ("dontcare", 1), ("considered", 0), ("valid", 0), ("exist", 0), ("conf", 0)]
)
def test_columns_that_say_which_rows_count(tmp_path: Path, column: str, value: int) -> None:
    flag = {1: value, 2: 1 - value}
    path = table(tmp_path / "a.csv", f"frame,id,x,y,{column}", lambda k, i, x, y: f"{k},{i},{x},{y},{flag[i]}")
    rows, counted = read_truth(path, Remarks())
    assert (counted == (rows[:, 1] == 2)).all()
    path = table(tmp_path / "a.csv", "frame,id,x,y,conf", lambda k, i, x, y: f"{k},{i},{x},{y},0.5")
    assert read_truth(path, Remarks())[1].all()


def scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main(["score", str(folder / "truth.csv"), str(folder / "tracks.csv")]) == 0
    out = capsys.readouterr()
    return out.out.split("\n")[0], out.err


def plain(k: int, i: int, x: float, y: float) -> str:
    return f"{k},{i},{x:.2f},{y:.2f}"


def test_a_truth_of_every_fifth_frame_says_nothing_of_those_between(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path / "tracks.csv", "frame,id,x,y", plain)
    table(tmp_path / "truth.csv", "frame,id,x,y", plain, [r for r in ROWS if r[0] % 4 == 3])
    figures, said = scored(tmp_path, capsys)
    assert "HOTA 100.00" in figures
    assert "truth.csv has every 4th frame alone: rows of tracks in frames between were left out (30 times)" in said
    table(tmp_path / "truth.csv", "frame,id,x,y", plain)
    assert scored(tmp_path, capsys)[1] == ""


def test_a_last_row_that_lost_its_last_digits_is_left_out(tmp_path: Path) -> None:
    whole = table(tmp_path / "a.csv", "frame,id,x,y", plain).read_text()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        (tmp_path / "a.csv").write_text(whole[:-cut])
        remarks = Remarks()
        rows = read_tracks(tmp_path / "a.csv", remarks)
        assert np.allclose(rows, ROWS[: len(rows)])
        assert len(rows) == len(ROWS) - (cut > 1)
        assert bool(remarks.lines()) == (1 < cut < len(whole.splitlines()[-1]) + 1)
    (tmp_path / "a.csv").write_text("frame,id,x,y\n0,1,5.25,6.5\n1,1,5.5,6.25\n2,1,6,7")  # written by hand
    assert len(read_tracks(tmp_path / "a.csv")) == 3


def tracked(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[list[dict[str, str]], str]:
    assert main(["track", str(path), "--out", str(path.parent / "o.csv"), "--force", *options]) == 0
    out = capsys.readouterr()
    with (path.parent / "o.csv").open() as f:
        return list(csv.DictReader(f)), out.out + out.err


FLIGHT: list[Row] = [(k, 1, 20 + 1.5 * k, 30 + 0.5 * k) for k in range(60)]


@pytest.mark.parametrize(("name", "unit"), [("time_s", 1), ("time_ms", 1000)])
def test_each_frame_has_the_time_that_its_table_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, unit: int
) -> None:
    """9 frames a second, then 30: no one rate tells that."""

    def time(k: int) -> float:
        return k / 9 if k < 30 else 30 / 9 + (k - 30) / 30

    path = table(
        tmp_path / "a.csv", f"frame,{name},x,y", lambda k, i, x, y: f"{k},{unit * time(k):.4f},{x},{y}", FLIGHT
    )  # fmt: skip
    rows, said = tracked(path, capsys)
    assert [float(r["time_s"]) for r in rows] == pytest.approx([time(k) for k in range(60)], abs=1e-3)
    speeds = [float(r["vx_px_s"]) for r in rows]
    assert np.median(speeds[10:30]) == pytest.approx(13.5, rel=0.05)
    assert np.median(speeds[45:]) == pytest.approx(45, rel=0.1)
    assert "each has its own time" in said
    rows, said = tracked(path, capsys, "--fps", "25")
    assert float(rows[-1]["time_s"]) == pytest.approx(59 / 25, abs=1e-3)


def test_times_that_are_not_used_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path / "a.csv", "frame,time_s,x,y", lambda k, i, x, y: f"{k},{-k / 9},{x},{y}", FLIGHT)
    assert "its times do not rise with its frames, and are not used" in tracked(path, capsys)[1]
    path = table(tmp_path / "a.csv", "frame,timestamp,x,y", lambda k, i, x, y: f"{k},{k / 9},{x},{y}", FLIGHT)
    assert "its column 'timestamp' is not read: times are called time_s or time_ms" in tracked(path, capsys)[1]


def test_milliseconds_that_share_a_factor_are_no_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def moment(k: int, i: int, x: float, y: float) -> str:
        return f"{1_700_000_000_000 + 35 * k - 7 * (k % 3 == 1)},{x},{y}"

    path = table(tmp_path / "a.csv", "frame,x,y", moment, FLIGHT)
    assert main(["track", str(path), "--out", str(tmp_path / "o.csv")]) == 1
    assert "if they are milliseconds say --fps 1000" in capsys.readouterr().err


def test_where_a_track_coasts_nothing_was_detected(tmp_path: Path) -> None:
    """A track log has rows of predictions, too."""
    path = table(
        tmp_path / "a.csv",
        "frame,time_s,track_id,x_px,y_px,measured",
        lambda k, i, x, y: f"{k},{k / 30},{i},{x},{y},{int(k % 5 > 0)}",
    )
    remarks = Remarks()
    rows = read_detections(path, remarks)
    assert sorted(map(tuple, rows[:, :3])) == sorted((k, x, y) for k, i, x, y in ROWS if k % 5)
    assert remarks.lines() == ["a.csv: rows of a track log in which nothing was measured were left out (8 times)"]
    assert len(read_tracks(path)) == len(ROWS)


def test_identities_that_numbers_cannot_hold(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "frame,id,x,y", lambda k, i, x, y: f"{k},{2**60 + i},{x},{y}")
    with pytest.raises(DetectionFileError, match="have more digits than can be told apart"):
        read_tracks(path)


def test_a_table_in_no_order_does_not_begin_anew(tmp_path: Path) -> None:
    for order, begins in ((ROWS[::-1], 0), (sorted(ROWS, key=lambda r: (r[1], r[0])), 1)):
        path = table(tmp_path / "a.csv", "frame,x,y", lambda k, i, x, y: f"{k},{x},{y}", list(order))
        remarks = Remarks()
        assert len(read_detections(path, remarks)) == len(ROWS)
        assert len(remarks.lines()) == begins


def test_boxes_by_their_corners_without_a_header(tmp_path: Path) -> None:
    path = table(tmp_path / "a.txt", "", lambda k, i, x, y: f"{k + 1},{i},{x - 2},{y - 1},{x + 4},{y + 3},1")
    remarks = Remarks()
    assert np.allclose(read_detections(path, remarks)[:, :5], [(k, x, y, WIDE, HIGH) for k, _, x, y in ROWS])
    assert np.allclose(read_tracks(path), ROWS)
    assert remarks.lines() == ["a.txt: boxes are read by their corners: widths and heights move as they do"]
    sizes = table(tmp_path / "b.txt", "", lambda k, i, x, y: f"{k + 1},{i},{x - 2},{y - 1},{WIDE + k % 3},{HIGH},1")
    remarks = Remarks()
    assert np.allclose(read_detections(sizes, remarks)[:, 1], [x + k % 3 / 2 for k, _, x, _ in ROWS])
    assert not remarks


@pytest.mark.parametrize("head", ["frame,id,cx,cy", "frame,id,x_center,y_center", "frame,id,Center_X,Center_Y"])
def test_centres_by_their_names(tmp_path: Path, head: str) -> None:
    path = table(tmp_path / "a.csv", f"{head},x,y", lambda k, i, x, y: f"{k},{i},{x},{y},{x - 3},{y - 2}")
    assert np.allclose(read_tracks(path), ROWS)


def test_whether_a_row_counts_in_words(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "frame,id,x,y,measured", lambda k, i, x, y: f"{k},{i},{x},{y},{i == 1}")
    assert np.allclose(read_detections(path)[:, 1], [x for _, i, x, _ in ROWS if i == 1])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1\x15\x04", "Parquet"), (b"SQLite format 3\0", "a database"), (b"\x1f\x8b\x08\0", "compressed"),
        (b"\x93NUMPY\x01\0v\0", "an array of NumPy"), (b'{"frame": 0}\n', "JSON"), (b"<annotations>", "XML"),
    ],
)  # fmt: skip
def test_tables_of_other_kinds_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DetectionFileError, match=f"is {words}.*: save its table as CSV"):
        read_detections(tmp_path / "a.csv")


SHARES: dict[str, tuple[str, Callable[[int, int, float, float], str]]] = {
    "from 0": ("frame,x,y", lambda k, i, x, y: f"{k},{x / 640:.5f},{y / 480:.5f}"),
    "with boxes": ("frame,x,y,w,h", lambda k, i, x, y: f"{k},{x / 640:.5f},{y / 480:.5f},0.01,0.01"),
    "from the middle": ("frame,x,y", lambda k, i, x, y: f"{k},{x / 320 - 1:.5f},{y / 240 - 1:.5f}"),
    "without a header": ("", lambda k, i, x, y: f"{k + 1},{i},{x / 640:.5f},{y / 480:.5f},0.01,0.01,0.9"),
    "one beyond": ("frame,x,y", lambda k, i, x, y: f"{k},{1.3 if k + i == 7 else x / 640:.5f},{y / 480:.5f}"),
}


@pytest.mark.parametrize("name", SHARES)
def test_shares_of_the_picture_are_no_pixels(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", *SHARES[name])
    with pytest.raises(DetectionFileError, match="to 1, as shares of the picture: give them in pixels"):
        read_detections(path)


def test_targets_in_the_corner_are_pixels(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "frame,x,y", lambda k, i, x, y: f"{k},{0.05 * k * i:.2f},{0.1 * k + i:.2f}")
    remarks = Remarks()
    assert len(read_detections(path, remarks)) == len(ROWS)


def test_percent_and_other_corners_are_asked_about(tmp_path: Path) -> None:
    def said(row: Callable[[int, int, float, float], str]) -> str:
        remarks = Remarks()
        assert len(read_detections(table(tmp_path / "a.csv", "frame,x,y", row), remarks)) == len(ROWS)
        return "\n".join(remarks.lines())

    assert "percent, multiply" in said(lambda k, i, x, y: f"{k},{4 + 4.5 * k + i},{8 + 4 * k + i}")
    assert "are negative" in said(lambda k, i, x, y: f"{k},{x},{-y}")
    assert "are negative" in said(lambda k, i, x, y: f"{k},{x - 90},{y - 90}")
    assert said(lambda k, i, x, y: f"{k},{x},{y}") == ""
    assert said(lambda k, i, x, y: f"{k},{x - 24},{y}") == ""


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("frame,x,y,w,h", lambda k, i, x, y: f"{k},{x + 0.07:.2f},{y + 0.03:.2f}"),
        ("frame,x,y,score", lambda k, i, x, y: f"{k},{x + k / 100:.2f},{y:.0f}"),
    ],
)
def test_decimal_commas_that_fit_the_header(
    tmp_path: Path, head: str, row: Callable[[int, int, float, float], str]
) -> None:
    path = table(tmp_path / "a.csv", head, lambda k, i, x, y: row(k, i, x, y).replace(".", ","))
    with pytest.raises(DetectionFileError, match="in the column 'y' stand behind a decimal comma"):
        read_detections(path)
    padded = table(tmp_path / "b.csv", "frame,x,y", lambda k, i, x, y: f"{k:04d},{x:05.0f},{y:05.0f}")
    assert len(read_detections(padded)) == len(ROWS)


@pytest.mark.parametrize("name", ["camera", "cam_id", "Sequence", "video_name"])
def test_a_table_of_two_recordings_is_refused(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", f"{name},frame,id,x,y", lambda k, i, x, y: f"{'AB'[i - 1]},{k},{i},{x},{y}")
    for read in (read_detections, read_tracks):
        with pytest.raises(DetectionFileError, match=r"tells 2 apart \(A, B\).*give a table of each"):
            read(path)
    table(path, f"{name},frame,id,x,y", lambda k, i, x, y: f"A,{k},{i},{x},{y}")
    assert np.allclose(read_tracks(path), ROWS)


def test_places_are_no_identities(tmp_path: Path) -> None:
    """`frame,x,y,w,h,score` in whole numbers and without a header looks like MOTChallenge's six columns."""
    path = table(tmp_path / "a.csv", "", lambda k, i, x, y: f"{k},{2 * x:.0f},{y:.0f},4,4,90")
    with pytest.raises(DetectionFileError, match=r"which are no identities.*give the header frame,x,y"):
        read_detections(path)
    labelled = table(tmp_path / "b.txt", "", lambda k, i, x, y: f"{k + 1},{i},{x - 2},{y - 1},{WIDE},{HIGH}")
    assert np.allclose(read_tracks(labelled), ROWS)
    counted = table(tmp_path / "c.txt", "", lambda k, i, x, y: f"{k + 1},{2 * k + i},{x - 2},{y - 1},{WIDE},{HIGH}")
    assert np.allclose(read_detections(counted)[:, 1:3], [row[2:] for row in ROWS])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (lambda k, i, x, y: f"{k},{i},{y},{x}", "would with x and y swapped"),
        (lambda k, i, x, y: f"{k},{i},{x / 6.4:.3f},{y / 4.8:.3f}", "would with x times 6.4 and y times 4.8"),
        (lambda k, i, x, y: f"{k},{i},{x / 2},{y / 2}", "would with x times 2 and y times 2"),
        (lambda k, i, x, y: f"{k},{i},{x + 0.5},{y - 0.5}", ""),
        (lambda k, i, x, y: f"{k},{i},{x + 0.5 if i == 1 else 5},{y - 0.5}", ""),
    ],
)
def test_tracks_in_other_units_than_the_truth_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: Callable[[int, int, float, float], str], words: str
) -> None:
    far = [(k, i, 100 + 6 * k + 40.0 * i, 200 + 3 * k + 50.0 * i) for k in range(60) for i in (1, 2)]
    table(tmp_path / "truth.csv", "frame,id,x,y", plain, far)
    table(tmp_path / "tracks.csv", "frame,id,x,y", row, far)
    said = scored(tmp_path, capsys)[1]
    assert words in said if words else said == ""


def test_images_of_two_cameras_are_no_frames(tmp_path: Path) -> None:
    """As `irtrack detect` lists them, which takes images one by one."""
    path = table(tmp_path / "a.csv", "image,x_px,y_px", lambda k, i, x, y: f"cam{i}_{k:04d}.png,{x},{y}")
    with pytest.raises(DetectionFileError, match=r"of two sequences, such as cam1_0000\.png and cam2_0000\.png"):
        read_detections(path)
    table(path, "image,x_px,y_px", lambda k, i, x, y: f"cam1_{k:04d}.png,{x},{y}")
    assert np.allclose(read_detections(path)[:, :3], [(k, x, y) for k, _, x, y in ROWS])


@pytest.mark.parametrize("head", ["", "frame,id,x,y"])
def test_frames_and_identities_in_each_others_place_are_refused(tmp_path: Path, head: str) -> None:
    """Three tracks of 60 frames would be a crowd of 60 in each of three frames."""
    rng = np.random.default_rng(4)
    start, speed = rng.uniform(50, 400, (3, 2)), rng.uniform(-3, 3, (3, 2))

    def written(swapped: bool, name: str) -> Path:
        lines = [head] if head else []
        for i in range(3):
            for k in range(60):
                x, y = start[i] + speed[i] * k + rng.normal(0, 0.3, 2)
                first = (i + 1, k + 1) if swapped else (k + 1, i + 1)
                lines.append(",".join(map(str, (*first, x, y, *(() if head else (8, 6, 1))))))
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    assert len(read_tracks(written(False, "right.txt"))) == 180
    for read in (read_tracks, read_detections):
        with pytest.raises(DetectionFileError, match=r"3 frames identities lie one behind the other.*swapped"):
            read(written(True, "swapped.txt"))


def test_a_crowd_in_a_few_frames_is_read(tmp_path: Path) -> None:
    """Numbered by rows of the picture, as a labelling of blobs does, or in any order."""
    rng = np.random.default_rng(5)
    for kind in range(3):
        xy = rng.uniform(0, 500, (80, 2))
        if kind == 1:
            xy = xy[np.argsort(xy[:, 1])]
        if kind == 2:
            xy = np.stack(np.meshgrid(np.arange(10.0), np.arange(8.0)), -1).reshape(-1, 2) * 40
        lines = [
            f"{k},{i + 1},{x},{y}"
            for k in range(2)
            for i, (x, y) in enumerate((xy + rng.normal(0, 1, xy.shape)).tolist())
        ]
        (tmp_path / "a.csv").write_text("\n".join(["frame,id,x,y", *lines]) + "\n")
        assert len(read_tracks(tmp_path / "a.csv")) == 160
