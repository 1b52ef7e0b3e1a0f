"""Logs for annotation tools: read back and compared with the CSV log of the same run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from irtrack.cli import main


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two targets, one unseen in frames 20 to 24 and gone after 39, of 60."""
    folder = tmp_path_factory.mktemp("logs")
    lines = ["frame,x,y,w,h"]
    for f in range(60):
        lines.append(f"{f},{20 + 2 * f},40,4,3")
        if f < 40 and not 20 <= f < 25:
            lines.append(f"{f},{200 - 2 * f},90,6,5")
    (folder / "det.csv").write_text("\n".join(lines))
    outputs = ("--out", "t.csv", "--trackmate", "m.csv", "--cvat", "c.xml", "--coco", "v.json")
    names = [a if a.startswith("--") else str(folder / a) for a in outputs]
    assert main(["track", str(folder / "det.csv"), *names]) == 0
    return folder


@pytest.fixture(scope="module")
def rows(logs: Path) -> dict[tuple[int, int], dict[str, str]]:
    with (logs / "t.csv").open() as f:
        table = {(int(r["frame"]), int(r["track_id"])): r for r in csv.DictReader(f)}
    assert len(table) == 100
    return table


def test_trackmate(logs: Path, rows: dict[tuple[int, int], dict[str, str]]) -> None:
    lines = list(csv.reader((logs / "m.csv").open()))
    header, spots = lines[0], [dict(zip(lines[0], row, strict=True)) for row in lines[4:]]
    assert header[:3] == ["LABEL", "ID", "TRACK_ID"]
    assert len({s["ID"] for s in spots}) == len(spots) == 100
    for s in spots:
        row = rows[int(s["FRAME"]), int(s["TRACK_ID"])]
        assert float(s["POSITION_X"]) == pytest.approx(float(row["x_px"]), abs=1e-3)
        assert float(s["POSITION_T"]) == pytest.approx(float(row["time_s"]), abs=1e-6)


def test_cvat(logs: Path, rows: dict[tuple[int, int], dict[str, str]]) -> None:
    root = ElementTree.parse(logs / "c.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == "60"
    tracks = root.findall("track")
    assert len(tracks) == 2
    inside = 0
    for track in tracks:
        for box in track.findall("box"):
            if box.get("outside") == "1":
                assert box.get("frame") == "40"
                continue
            inside += 1
            row = rows[int(str(box.get("frame"))), int(str(track.get("id")))]
            middle = (float(str(box.get("xtl"))) + float(str(box.get("xbr")))) / 2 - 0.5
            assert middle == pytest.approx(float(row["x_px"]), abs=0.02)
            assert box.get("occluded") == ("0" if row["measured"] == "1" else "1")
    assert inside == 100
    assert sum(b.get("outside") == "1" for t in tracks for b in t.findall("box")) == 1


def test_coco(logs: Path, rows: dict[tuple[int, int], dict[str, str]]) -> None:
    body = json.loads((logs / "v.json").read_text())
    assert [i["frame_id"] for i in body["images"]] == list(range(60))
    assert body["images"][0]["width"] >= 195
    frames = {i["id"]: i["frame_id"] for i in body["images"]}
    assert len(body["annotations"]) == 100
    for a in body["annotations"]:
        x, y, w, h = a["bbox"]
        row = rows[frames[a["image_id"]], a["track_id"]]
        assert (w, h) in ((4, 3), (6, 5))
        assert np.hypot(x + w / 2 - 0.5 - float(row["x_px"]), y + h / 2 - 0.5 - float(row["y_px"])) < 0.02


def test_existing_files_are_kept(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (logs / "c.xml").read_bytes()
    assert main(["track", str(logs / "det.csv"), "--out", str(tmp_path / "t.csv"), "--cvat", str(logs / "c.xml")]) == 1
    assert "--force" in capsys.readouterr().err
    assert (logs / "c.xml").read_bytes() == before
    assert not (tmp_path / "t.csv").exists()
