"""Logs of others: each convention is read for what it means, or refused with its line; what was assumed is said."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from irtrack.cli import main
from irtrack.core import Remarks
from irtrack.metrics.tracking import left_out, score_tracks
from irtrack.track.files import DetectionFileError, read_detections, read_tracks, read_truth
from irtrack.track.rows import frame_step, frames_of


def flights(frames: int = 60, start: int = 0, step: int = 1) -> list[tuple[int, int, float, float]]:
    """Frame, identity, x, y of three targets that fly apart."""
    return [
        (start + i * step, k + 1, 40 + 50 * k + 1.5 * i * (k - 1.3), 50 + 20 * k + 1.1 * i)
        for i in range(frames)
        for k in range(3)
    ]


def as_csv(rows: Sequence[tuple[int, int, float, float]]) -> str:
    return "frame,x,y,w,h,score\n" + "".join(f"{f},{x:.3f},{y:.3f},4,4,0.9\n" for f, _, x, y in rows)


def as_mot(rows: Sequence[tuple[int, int, float, float]], score: str = "0.9", identity: bool = False) -> str:
    """With frames as they are given; boxes of 4 pixels, from 1."""
    return "".join(f"{f},{k if identity else -1},{x - 1:.3f},{y - 1:.3f},4,4,{score},-1,-1,-1\n" for f, k, x, y in rows)


def tracked(tmp_path: Path, text: str | bytes, *options: str) -> set[str]:
    """Identities that `irtrack track` logs."""
    source, out = tmp_path / "det.txt", tmp_path / "out.csv"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["track", str(source), "--out", str(out), "--force", *options]) == 0
    with out.open() as f:
        return {row["track_id"] for row in csv.DictReader(f)}


PLAIN = as_csv(flights())
QUOTED = '"frame","x","y","w","h","score"\n' + PLAIN.partition("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace(",", ";").replace(".", ",").encode(),
        PLAIN.replace(",", "\t").replace(".", ",").encode(),
        QUOTED.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        ("sep=,\n" + PLAIN).encode(),
        ("# frame x y w h score\n" + PLAIN.partition("\n")[2].replace(",", " ")).encode(),
        ("# made by hand\n\n" + PLAIN).encode(),
        PLAIN.replace("frame,x", "Frame , X").encode(),
        (PLAIN.replace("score\n", "score,größe\n")).encode("cp1252"),
    ],
)
def test_tables_as_other_programs_write_them(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "det.csv"
    path.write_bytes(text)
    plain = tmp_path / "plain.csv"
    plain.write_text(PLAIN)
    assert np.array_equal(read_detections(path), read_detections(plain))
    assert len(tracked(tmp_path, text)) == 3


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ('frame,x,y\n0,"1,234",5\n', "line 2 has '1,234' instead"),
        ("frame,x,y\n0,1_0,5\n", "'1_0' instead"),
        ("frame,x,y\n0,1e308,1e308\n", "line 2: there is no place"),
        ("frame,x,y\n0,inf,1\n", "line 2: there is no place"),
        ("frame,x,y\n0.5,1,1\n", "whole numbers"),
        ("frame,x,y\n1e300,1,1\n", "whole numbers"),
        ("frame,x,y\nnan,1,1\n", "line 2: frames must be whole"),
        ("frame,x,y\n0,1,1\n1000000000,2,2\n", "line 3: no recording jumps from frame 0 to frame 1000000000"),
        ("frame,x,y\n0,nan,1\n", "finite"),
        ("1,-1,5\n", "line 1 is neither"),
        ("\x89PNG\r\n\x1a\n\0\0", "cannot be read as text"),
        ('frame,x,y\n0,"1,1\n' + "2,3,4\n" * 30_000, "line"),
    ],
)
def test_what_is_no_detection_is_refused_with_its_line(tmp_path: Path, text: str, say: str) -> None:
    path = tmp_path / "det.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DetectionFileError, match="(?s)" + say.replace("(", r"\(")):
        read_detections(path)


def test_minus_one_is_a_score_that_is_not_given(tmp_path: Path) -> None:
    rows = flights(start=1)
    assert len(tracked(tmp_path, as_mot(rows, "-1"))) == 3
    assert np.isnan(read_detections(tmp_path / "det.txt")[:, 5]).all()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [("0.2 0.9", [0.2, 0.9]), ("20 90", [0.2, 0.9]), ("-1.5 0.5", [0.0, 0.8]), ("0 500", [0.0, 1.0])],
)
def test_scores_of_any_scale(tmp_path: Path, scores: str, expected: list[float]) -> None:
    path, remarks = tmp_path / "d.csv", Remarks()
    a, b = scores.split()
    path.write_text(f"frame,x,y,score\n0,1,1,{a}\n1,1,1,{b}\n2,1,1,-1\n")
    found = read_detections(path, remarks)[:, 5]
    assert found[:2] == pytest.approx(expected)
    assert np.isnan(found[2])
    assert bool(remarks) == (scores != "0.2 0.9")


def test_frame_numbers_far_from_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for start in (1_500_001, 1_700_000_000_000):
        assert len(tracked(tmp_path, as_mot(flights(start=start)))) == 3
    frames = [frame for frame, _ in frames_of(read_detections(tmp_path / "det.txt"))]
    assert frames == list(range(1_699_999_999_999, 1_700_000_000_059))
    assert len(tracked(tmp_path, as_mot(flights(start=0)))) == 3
    assert "frames count from 0" in capsys.readouterr().err


def test_times_instead_of_frame_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Milliseconds that rise by 33 or 34: one line that says how to go on, and then the tracks."""
    rows = [(1_700_000_000_000 + round(i * 100 / 3), k, x, y) for i, k, x, y in flights()]
    (tmp_path / "ms.csv").write_text(as_csv(rows))
    assert main(["track", str(tmp_path / "ms.csv"), "--out", str(tmp_path / "t.csv")]) == 1
    assert "--fps 1000" in capsys.readouterr().err
    assert len(tracked(tmp_path, as_csv(rows), "--fps", "1000")) == 3
    assert len(tracked(tmp_path, as_csv(flights(step=5)), "--fps", "150")) == 3, "each fifth frame"


def test_sparse_detections_are_no_times(tmp_path: Path) -> None:
    """A quiet scene with something now and then: no track, and no complaint."""
    frames = np.cumsum(np.random.default_rng(1).geometric(0.02, 30) + 1)
    assert tracked(tmp_path, "frame,x,y\n" + "".join(f"{f},{f % 90},9\n" for f in frames)) == set()


def test_long_gaps_are_jumped_over(tmp_path: Path) -> None:
    rows = np.array([(0, 1, 1, 4, 4, 1), (1, 1, 1, 4, 4, 1), (90_000_000, 1, 1, 4, 4, 1)], float)
    frames = [frame for frame, _ in frames_of(rows, 1, 50)]
    assert frames == [*range(52), 89_999_999, 90_000_000]
    assert frame_step(rows) == 1
    two = as_csv([*flights(20), *[(f + 80_000_000, k, x, y) for f, k, x, y in flights(20)]])
    assert len(tracked(tmp_path, two)) == 6, "identities end in a gap"


def test_rows_without_a_position_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f, k, x, y) for f, k, x, y in flights()]
    truth, tracks = tmp_path / "truth.csv", tmp_path / "tracks.csv"
    tracks.write_text("frame,id,x,y\n" + "".join(f"{f},{k},{x},{y}\n" for f, k, x, y in rows))
    hidden = lambda f, k: k == 2 and 20 <= f < 30  # noqa: E731
    for blank in ("nan", "", "NA"):
        lines = (f"{f},{k},{blank},{blank}\n" if hidden(f, k) else f"{f},{k},{x},{y}\n" for f, k, x, y in rows)
        truth.write_text("frame,id,x,y\n" + "".join(lines))
        assert main(["score", str(truth), str(tracks)]) == 0
        said = capsys.readouterr()
        assert "false_positives 10 misses 0" in said.out
        assert "rows without a position were left out (10 times)" in said.err
        assert main(["score", str(truth), str(tracks), "--strict"]) == 1
        capsys.readouterr()


def test_files_of_different_frames_are_remarked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    a.write_text("frame,id,x,y\n0,1,5,5\n1,1,6,5\n")
    b.write_text("frame,id,x,y\n1500000,1,5,5\n1500001,1,6,5\n")
    assert main(["score", str(a), str(b)]) == 0
    assert "no frame in common" in capsys.readouterr().err
    assert main(["score", str(a), str(a), "--strict"]) == 0


def test_one_identity_twice_in_a_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("frame,id,x,y\n3,1,5,5\n3,2,9,9\n4,1,5,5\n3,2,39,9\n")
    with pytest.raises(DetectionFileError, match="line 5: identity 2 is in frame 3"):
        read_tracks(path)
    path.write_text("frame,id,x,y\n3,,5,5\n")
    with pytest.raises(DetectionFileError, match="line 2: the row has no identity"):
        read_tracks(path)


def truth_with_flags(path: Path, flag: str = "0") -> None:
    """A gt.txt whose third object does not count."""
    rows = flights(start=1)
    path.write_text("".join(f"{f},{k},{x - 1},{y - 1},4,4,{flag if k == 3 else 1},1,1.0\n" for f, k, x, y in rows))


def test_truth_that_does_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither missing nor finding it is a fault; a false track elsewhere stays one."""
    truth, tracks = tmp_path / "gt.txt", tmp_path / "r.txt"
    truth_with_flags(truth)
    for kept in ((1, 2), (1, 2, 3)):
        tracks.write_text(as_mot([r for r in flights(start=1) if r[1] in kept], identity=True))
        assert main(["score", str(truth), str(tracks)]) == 0
        said = capsys.readouterr()
        assert "HOTA 100.00" in said.out
        assert "MOTA 100.00" in said.out
        assert "rows flagged as not to be counted (60 times)" in said.err
    far = [(f, 9, 400.0, 400.0) for f in range(1, 61)]
    tracks.write_text(as_mot([*flights(start=1), *far], identity=True))
    assert main(["score", str(truth), str(tracks)]) == 0
    assert "false_positives 60" in capsys.readouterr().out
    truth.write_text(truth.read_text().replace(",4,4,1,1", ",4,4,0,1"))
    with pytest.raises(DetectionFileError, match="seventh column of every row"):
        read_truth(truth, Remarks())
    tracks.write_text(as_mot(flights(start=1), "0.5", identity=True))
    assert read_truth(tracks, Remarks())[1].all(), "a confidence is no flag"


def test_tracks_on_ignored_objects_equal_trackevals(tmp_path: Path) -> None:
    """Its rule for distractors, on tracks with noise: the rows that it drops, found by its own matching."""
    rng = np.random.default_rng(3)
    truth = np.array([(f, k, x, y) for f, k, x, y in flights()], float)
    counted = truth[:, 1] != 3
    tracks = truth.copy()
    tracks[:, 2:] += rng.normal(0, 3, (len(tracks), 2))
    kept, left, dropped = left_out(truth, counted, tracks, 5.0)
    near = np.linalg.norm(tracks[:, 2:] - truth[:, 2:], axis=1) <= 5
    assert dropped == np.count_nonzero(near & ~counted)  # targets are far apart: matching is by nearness alone
    assert len(kept) == counted.sum()
    assert len(left) == len(tracks) - dropped


def test_detections_of_irtrack_detect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images are frames in natural order; those without detections are known by the masks beside the list."""
    rows = [r for r in flights(12) if r[0] not in (4, 5)]
    text = "image,x_px,y_px,w_px,h_px,area_px,score,snr\n"
    text += "".join(f"img{f}.png,{x:.3f},{y:.3f},4,4,9,0.9,5\n" for f, _, x, y in rows)
    path = tmp_path / "detections.csv"
    path.write_text(text)
    remarks = Remarks()
    assert read_detections(path, remarks)[:, 0].max() == 9
    assert remarks
    for f in range(12):
        (tmp_path / f"img{f}.png").touch()
    remarks = Remarks()
    assert sorted(set(read_detections(path, remarks)[:, 0].tolist())) == [0, 1, 2, 3, *range(6, 12)]
    assert not remarks


def test_scoring_takes_no_more_memory_than_rows(tmp_path: Path) -> None:
    """A frame number far off costs nothing; identities without end are refused."""
    rows = np.array([(0, 1, 5, 5), (1, 1, 6, 5), (90_000_000, 1, 7, 5)], float)
    assert score_tracks(rows, rows)["HOTA"] == pytest.approx(100)
    n = 5000
    many = np.column_stack([np.zeros(n), np.arange(n), np.arange(n) * 20.0, np.zeros(n)])
    with pytest.raises(Exception, match="too many to compare"):
        score_tracks(many, many)


@pytest.mark.parametrize(
    ("command", "right"),
    [
        (("track", "det-conf-minus-1/det.txt"), 3),
        (("track", "csv-from-a-spreadsheet/det_bom.csv"), 3),
        (("track", "csv-from-a-spreadsheet/det_semicolon.csv"), 3),
        (("track", "csv-from-a-spreadsheet/det_quoted.csv"), 3),
        (("track", "frame-numbers-far-from-0/det_counter.txt"), 3),
        (("track", "frame-numbers-far-from-0/det_ms.txt"), 3),
        (("track", "frame-numbers-far-from-0/det_from0.txt"), 3),
        (("track", "hostile/det-7.csv"), "line 40"),
        (("track", "hostile/bigxy.csv"), "line 2"),
        (("track", "hostile/far.csv"), "line 3"),
        (("score", "csv-from-a-spreadsheet/truth_bom.csv", "csv-from-a-spreadsheet/truth.csv"), "HOTA 100.00"),
        (("score", "gt-ignore-flag/gt.txt", "gt-ignore-flag/result.txt"), "MOTA 100.00"),
        (("score", "nan-in-truth/truth.csv", "nan-in-truth/tracks.csv"), "false_positives 10 misses 0"),
        (("score", "same-id-twice-in-a-frame/truth.csv", "same-id-twice-in-a-frame/tracks.csv"), "identity 1 "),
        (("score", "hostile/tracks-7.csv", "hostile/tracks-7.csv"), "line 7"),
    ],
)
def test_the_reported_cases(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], right: int | str
) -> None:
    if not (data / "cases").is_dir():
        pytest.skip("the reported cases are not there")
    out = ["--out", str(tmp_path / "t.csv")] if command[0] == "track" else []
    code = main([command[0], *(str(data / "cases" / name) for name in command[1:]), *out])
    said = capsys.readouterr()
    if isinstance(right, int):
        assert f", {right} tracks" in said.out
    else:
        assert right in said.out + said.err
        assert code == (1 if right.startswith(("line", "identity")) else 0)


BOXES = "frame,x,y,w,h,score\n" + "".join(f"{f},{10 + f},{20 + f},4,4,0.9\n" for f in range(30))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frame,x,y\n0,10,5,20,3\n1,11,5,21,3\n", "line 2 has 5 cells, the header 3: with decimal commas"),
        ("frame,x,y,x\n0,1,2,3\n", "two columns are called 'x'"),
        ("frame,x,y\n" + "".join(f"{f},{0.1 + f / 100},0.5\n" for f in range(30)), "as shares of the picture"),
        ("".join(f"{f},{10.5 + f},20,4,4,0.9\n" for f in range(1, 30)), "line 1 has an identity of 11.5"),
        (b"PK\x03\x04" + bytes(200), "save its table as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(200), "save its table as CSV"),
    ],
)
def test_tables_whose_numbers_are_others_are_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "det.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DetectionFileError) as caught:
        read_detections(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rows", "words"),
    [
        (BOXES + BOXES.partition("\n")[2], 30, "rows that are there twice were left out (30 times)"),
        (BOXES + BOXES.partition("\n")[2].replace(",0.9", ",0.8"), 60, "begin anew at line 32"),
        (BOXES[:-7], 29, "the last row was cut off"),
        (
            BOXES.replace(",0.9\n", "\n", 3),
            30,
            "rows with fewer cells than the header, which may have been damaged (3 times)",
        ),
        (BOXES.replace(",w,h,", ",width,height,"), 30, "as the centre of boxes of width and height"),
        (BOXES + ",,,,,\n", 30, ""),
        (BOXES.rstrip("\n"), 30, ""),
        (BOXES.replace("\n", ",\n"), 30, ""),
    ],
)
def test_tables_that_are_not_quite_whole_are_said(tmp_path: Path, text: str, rows: int, words: str) -> None:
    path, remarks = tmp_path / "det.csv", Remarks()
    path.write_text(text)
    found = read_detections(path, remarks)
    assert len(found) == rows
    assert words in "\n".join(remarks.lines()) if words else not remarks
    assert np.all(found[:, 3] == 4)


def test_scores_under_short_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "det.csv").write_text("frame,x,y,conf\n0,10,20,0.25\n")
    assert read_detections(tmp_path / "det.csv")[0, 5] == 0.25


def test_tracks_that_count_from_1_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = "frame,track_id,x,y\n"
    (tmp_path / "truth.csv").write_text(head + "".join(f"{f},{k},{x},{y}\n" for f, k, x, y in flights()))
    (tmp_path / "late.csv").write_text(head + "".join(f"{f + 1},{k},{x},{y}\n" for f, k, x, y in flights()))
    (tmp_path / "off.csv").write_text(head + "".join(f"{f},{k},{x + 1.5},{y - 1}\n" for f, k, x, y in flights()))
    assert main(["score", str(tmp_path / "truth.csv"), str(tmp_path / "late.csv")]) == 0
    assert "lie on the truth of the frame before" in capsys.readouterr().err
    for name in ("off", "truth"):
        assert main(["score", str(tmp_path / "truth.csv"), str(tmp_path / f"{name}.csv")]) == 0
        assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("times", "options", "words", "last"),
    [
        (True, [], "read at 9 frames a second, times of the file", 59 / 9),
        (True, ["--fps", "30"], "read at 30 frames a second, rate from --fps", 59 / 30),
        (False, [], "read at 30 frames a second, rate assumed", 59 / 30),
    ],
)
def test_the_rate_of_detections_is_that_of_their_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], times: bool, options: list[str], words: str, last: float
) -> None:
    head = "frame,time_s,x,y\n" if times else "frame,number,x,y\n"
    text = head + "".join(f"{f},{f / 9:.6f},{x:.3f},{y:.3f}\n" for f, _, x, y in flights())
    assert len(tracked(tmp_path, text, *options)) == 3
    assert words in capsys.readouterr().out
    with (tmp_path / "out.csv").open() as f:
        assert max(float(row["time_s"]) for row in csv.DictReader(f)) == pytest.approx(last, rel=1e-3)
