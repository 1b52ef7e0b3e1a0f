"""By hypothesis: parsers read, or refuse in one line, whatever they are given; logs are read back as written."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irtrack.capture.camera import CameraOptions
from irtrack.capture.camera import parse as parse_camera
from irtrack.capture.schemes import check_scheme
from irtrack.config import (
    AGC_MODES,
    MODES,
    MOTIONS,
    PALETTES,
    Checked,
    DetectorSettings,
    DisplaySettings,
    Settings,
    TrackerSettings,
    load_settings,
    polygons,
    polygons_text,
    save_settings,
)
from irtrack.core import Detections, Frame, FrameResult, IrtrackError, Remarks, Track, TrackStatus
from irtrack.simulate import SceneSettings, scene_from_text
from irtrack.sinks.annotation import TrackMateSink
from irtrack.sinks.text import CsvSink, JsonLinesSink, MotSink, TextSink
from irtrack.track.files import read_detections, read_tracks, read_truth
from irtrack.track.rows import frames_of
from irtrack.train.data import names_of, plain_name
from irtrack.train.settings import TrainSettings, settings_from

steady = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
"""The same examples each time, however slow the machine is."""

FOLDER = Path(tempfile.mkdtemp(prefix="irtrack-test-"))


def refusal(call: Callable[[], object]) -> str:
    """Why the call refuses; nothing where it does not."""
    try:
        call()
    except IrtrackError as error:
        return str(error).strip() or "without a word"
    return ""


def reads(call: Callable[[], object]) -> None:
    """The call ends, with a result or with one line."""
    said = refusal(call)
    assert said != "without a word"
    assert len(said) < 2000


cells = st.one_of(
    st.integers(-3, 99).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "nan", "-1", "1e9", '"1,5"', "1,5", "x", "frame", "\u00e4", "\0", '"', "1e308", "0x10", "1_0"]
    ),
)
separators = st.sampled_from([",", ";", "\t", " ", ", "])
headers = st.sampled_from(
    [
        "",
        "frame,x,y",
        "frame;x;y;w;h;score",
        "frame,id,x,y",
        '"frame","x_px","y_px"',
        "image,x_px,y_px",
        "a,b",
        "# frame x y",
    ]
)
tables = st.builds(
    lambda header, separator, rows, end: header + end + end.join(separator.join(row) for row in rows),
    headers,
    separators,
    st.lists(st.lists(cells, min_size=1, max_size=9), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)
files = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda text, encoding: text.encode(encoding, "replace"),
        tables,
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]),
    ),
)


@steady
@given(files)
def test_any_file_is_detections_and_tracks_or_refused(data: bytes) -> None:
    path = FOLDER / "any.csv"
    path.write_bytes(data)

    def walk() -> None:
        rows = read_detections(path)
        assert np.isfinite(rows[:, :3]).all()
        for _, found in zip(range(100), frames_of(rows, 1, 10), strict=False):
            assert np.isfinite(found[1].xy_px).all()

    reads(walk)
    reads(lambda: read_tracks(path))
    reads(lambda: read_truth(path, Remarks()))


small = st.floats(-3000, 3000, width=32).map(lambda v: round(v, 3))


@st.composite
def results(draw: st.DrawFn) -> list[FrameResult]:
    """Some frames with confirmed tracks, each identity once in a frame, with and without a detection."""
    out = []
    frames = draw(st.lists(st.integers(0, 10**12), min_size=1, max_size=4, unique=True))
    start = min(frames)
    for frame in sorted({start + f % 1000 for f in frames}):
        tracks = []
        for identity in draw(st.sets(st.integers(1, 10**6), max_size=3)):
            seen = draw(st.booleans())
            size = draw(st.sampled_from([(math.nan, math.nan), (3.0, 2.5), (1.0, 1.0)]))
            tracks.append(
                Track(
                    identity,
                    TrackStatus.CONFIRMED if seen else TrackStatus.COASTING,
                    np.array([draw(small), draw(small)]),
                    np.array([draw(small), draw(small)]),
                    np.eye(4),
                    1.0,
                    0,
                    0 if seen else None,
                    size,
                    draw(st.sampled_from([math.nan, 4.0])),
                    0.7531 if seen else math.nan,
                    draw(st.sampled_from([math.nan, 8.25])),
                    np.zeros((1, 2)),
                )
            )
        out.append(
            FrameResult(Frame(frame, frame / 30, np.zeros((2, 2), np.uint8)), Detections.empty(), tuple(tracks), {})
        )
    return out


def expected(written: list[FrameResult]) -> list[tuple[int, int, float, float]]:
    return sorted((r.frame.index, t.id, *t.xy_px.tolist()) for r in written for t in r.tracks)


@pytest.mark.parametrize(("kind", "digits"), [(CsvSink, 3), (MotSink, 2), (TrackMateSink, 3)])
@steady
@given(written=results())
def test_logs_are_read_back_as_written(kind: type[TextSink], digits: int, written: list[FrameResult]) -> None:
    path = FOLDER / "log.csv"
    sink = kind(path, force=True)
    for result in written:
        sink.write(result)
    sink.close()
    rows = expected(written)
    if not rows:
        return reads(lambda: read_tracks(path))
    # A MOTChallenge file counts frames from 1: one whose first target is in frame 0 still begins there.
    found = read_tracks(path)
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    assert found[:, :2].tolist() == [[float(f), float(i)] for f, i, _, _ in rows]
    assert np.abs(found[:, 2:] - np.array(rows)[:, 2:]).max() <= 0.51 * 10**-digits * (2 if kind is MotSink else 1)
    again = read_detections(path)  # a track log says in which rows nothing was measured
    seen = sum(t.detection is not None for result in written for t in result.tracks)
    assert len(again) == (seen if kind is CsvSink else len(rows))
    return None


@steady
@given(written=results())
def test_json_lines_are_read_back_as_written(written: list[FrameResult]) -> None:
    path = FOLDER / "log.jsonl"
    sink = JsonLinesSink(path, force=True)
    for result in written:
        sink.write(result)
    sink.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["frame"] for line in lines] == [r.frame.index for r in written]
    found = sorted((line["frame"], t["id"], *t["xy_px"]) for line in lines for t in line["tracks"])
    assert found == expected(written)


def made_of(kind: type[Checked], **choices: Any) -> st.SearchStrategy[Any]:
    """Settings with any numbers that are in range."""

    def of(f: Any) -> st.SearchStrategy[Any]:
        low, high = f.metadata.get("low"), f.metadata.get("high")
        if f.name in choices:
            return choices[f.name]
        if isinstance(f.default, bool):
            return st.booleans()
        if isinstance(f.default, int):
            return st.integers(low if low is not None else 0, high if high is not None else 1000)
        if isinstance(f.default, float):
            return st.floats(low if low is not None else -1e9, high if high is not None else 1e9)
        return st.just(f.default)

    return st.fixed_dictionaries({f.name: of(f) for f in fields(kind)})  # type: ignore[arg-type]


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
any_settings = st.fixed_dictionaries(
    {
        "detector": made_of(
            DetectorSettings,
            weights=names,
            mode=st.sampled_from(MODES),
            min_area_px=st.just(1),
            levels=st.just("1,2.5"),
        ),
        "tracker": made_of(
            TrackerSettings,
            camera_motion=st.sampled_from(MOTIONS),
        ),
        "display": made_of(
            DisplaySettings,
            palette=st.sampled_from(PALETTES),
            agc=st.sampled_from(AGC_MODES),
            low_percent=st.floats(0, 49),
        ),
    }
)


@steady
@given(any_settings)
def test_settings_are_read_back_as_saved(values: dict[str, Any]) -> None:
    made = Settings.from_dict(values)
    save_settings(made, FOLDER / "s.toml")
    assert load_settings(FOLDER / "s.toml") == made


toml_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-(10**20), 10**20), st.floats(), names),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=5,
)
keys = st.sampled_from(["tracker", "detector", "display", "caution", "coast_s", "region", "levels", "include", "mode"])


@steady
@given(st.dictionaries(keys, st.one_of(toml_values, st.dictionaries(keys, toml_values, max_size=3)), max_size=3))
def test_any_table_is_settings_or_refused(values: dict[str, Any]) -> None:
    reads(lambda: Settings.from_dict(values))
    reads(lambda: settings_from(dict(values), []))


@steady
@given(st.one_of(st.binary(max_size=100), tables.map(str.encode)))
def test_any_file_is_a_settings_file_or_refused(data: bytes) -> None:
    (FOLDER / "any.toml").write_bytes(data)
    reads(lambda: load_settings(FOLDER / "any.toml"))


coordinate = st.floats(-9999, 9999).map(lambda v: round(v, 1))


@steady
@given(st.lists(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=6), max_size=3))
def test_regions_are_read_back_as_written(outlines: list[list[tuple[float, float]]]) -> None:
    text = polygons_text(tuple(tuple(o) for o in outlines))
    if said := refusal(lambda: polygons(text)):
        assert "on one line" in said
    else:
        assert polygons(text) == tuple(tuple(o) for o in outlines)


words = st.text("0123456789.,=;x -+eEinfa\u00b2\u0665", max_size=30)


@steady
@given(words)
def test_any_text_is_a_region_or_refused(text: str) -> None:
    reads(lambda: polygons(text))
    reads(lambda: DetectorSettings(levels=text))
    reads(lambda: DisplaySettings(region=text))
    reads(lambda: TrainSettings(drops=text))


@steady
@given(
    st.sampled_from(["sky", "clutter", "x", ""]),
    st.lists(st.tuples(st.sampled_from([f.name for f in fields(SceneSettings)] + ["z", ""]), words), max_size=3),
)
def test_any_text_is_a_scene_or_refused(name: str, pairs: list[tuple[str, str]]) -> None:
    reads(lambda: scene_from_text(",".join([name, *(f"{k}={v}" for k, v in pairs)])))


@steady
@given(st.integers(0, 99), st.sampled_from(["", "Y16", "P2PRO"]), st.integers(1, 9999), st.floats(0.1, 999))
def test_camera_options_are_what_they_say(device: int, kind: str, side: int, fps: float) -> None:
    text = f"camera:{device}" + (f",format={kind.lower()}" if kind else "") + f",size={side}x{side + 1},fps={fps!r}"
    assert parse_camera(text) == CameraOptions(device, kind, (side, side + 1), fps)


@steady
@given(st.one_of(words, names), st.sampled_from(["camera:", "cam:", "sim:", "://", ""]))
def test_any_text_is_a_source_or_refused(text: str, scheme: str) -> None:
    reads(lambda: parse_camera("camera:0," + text))
    reads(lambda: parse_camera(text))
    reads(lambda: check_scheme(scheme + text.replace("\0", "")))


@steady
@given(
    st.lists(
        names.filter(lambda n: n.strip() == n and n != "" and not set(n) & set("\"'/\\.#,; \t\r\n")),
        min_size=1,
        max_size=5,
    )
)
def test_names_of_a_list_are_found_again(stems: list[str]) -> None:
    known = {plain_name(s): 1 for s in stems}
    for stem in known:
        for line in (stem, f"{stem}.PNG", f"images/{stem}.png", f"a\\{stem}.tif"):
            assert names_of(line, known) == [stem]
