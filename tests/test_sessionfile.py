"""A session in one file: to the last bit, safe from a kill, opened again, found again, exported without a window."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_gui_picture import track as snapshot
from test_session import DIM, PATIENCE_S, ROOT, SCENE, SETTINGS, Bright, rows, truth, until, whole

from irtrack.cli import main
from irtrack.core import Detections, Frame, FrameResult, SourceError, Tracks
from irtrack.session import blocks, keeper, sessionfile
from irtrack.session.alarms import AlarmRules
from irtrack.session.blocks import HEADER, Block, to_bytes
from irtrack.session.byhand import Click
from irtrack.session.edits import Edits
from irtrack.session.export import export_tracks
from irtrack.session.keeper import Keeper
from irtrack.session.keeping import Keeping
from irtrack.session.picture import with_trails
from irtrack.session.preferences import Preferences
from irtrack.session.reading import read_session
from irtrack.session.recordings import MovedError, fingerprint
from irtrack.session.session import TRAIL_S, Session
from irtrack.session.sessionfile import BLOCK, SessionError, SessionFile, is_session, own_path
from irtrack.session.store import ResultStore


class Desk:
    """A session with what keeps it, as the window has them."""

    def __init__(self) -> None:
        self.detector = Bright()
        self.session = Session(SETTINGS)
        self.session.use(self.detector)
        self.keeping = Keeping(self.session)
        self.told: list[str] = []
        self.keeper = Keeper(Preferences, self.keeping, self.told.append)
        self.session.saving.connect(self.keeper.save)
        self.session.leaving.connect(self.keeper.flush)
        self.errors: list[str] = []
        self.session.failed.connect(self.errors.append)

    def seen_whole(self, text: str) -> None:
        self.session.open(text)
        s = self.session
        until(s, lambda: s.opened is not None and s.opened.text == text and whole(s))

    def opened(self, path: Path) -> None:
        self.session.open(str(path))
        until(self.session, lambda: self.session.opened is not None or self.errors)

    def close(self) -> None:
        self.detector.go.set()
        self.keeper.close()
        self.session.shutdown()


@pytest.fixture
def desks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Desk]]:
    monkeypatch.setattr(keeper, "CLOSE_S", PATIENCE_S)  # a disk that others use is waited for
    made: list[Desk] = []
    yield made
    for desk in made:
        desk.close()


@pytest.fixture
def desk(desks: list[Desk]) -> Desk:
    desks.append(Desk())
    return desks[0]


def another(desks: list[Desk]) -> Desk:
    desks.append(Desk())
    return desks[-1]


def longest(desk: Desk) -> list[int]:
    """Tracks, those of the most frames first."""
    lives = desk.session.lives()
    return sorted(lives, key=lambda track: lives[track][0] - lives[track][1])


def edited(desk: Desk, path: Path, text: str) -> Edits:
    """A recording that was analysed, edited and kept in a file."""
    desk.session.rules.set(AlarmRules(on=True, holdoff_s=0.1))
    desk.seen_whole(text)
    desk.keeping.save_as(path)
    one, two, *_ = longest(desk)
    first, last = desk.session.lives()[one]
    edits = desk.session.edits.value.renamed(one, "drone").judged(one, "drone").with_mark(two, True)
    edits = edits.split(one, (first + last) // 2, desk.session.lives())[0].without(two)
    desk.session.edits.edit(edits)
    desk.session.choose(threshold=0.6)
    desk.keeper.flush()
    return edits


def looked(desk: Desk, now: float) -> None:
    """The keeper looks, and what it hands on is written."""
    desk.keeper.look(now)
    end = time.monotonic() + PATIENCE_S
    while desk.keeper._busy:
        assert time.monotonic() < end
        time.sleep(0.001)


def exported(desk: Desk, path: Path) -> bytes:
    s = desk.session
    export_tracks(s.store.results(), path, s.settings, s.edits.value, None, s.started)
    return without_reasons(path)


def without_reasons(path: Path) -> bytes:
    """What is in a log; a session keeps how much a track is believed, and not why."""
    return re.sub(rb', "reasons": \{(?:[^{}]|\{[^{}]*\})*\}', b"", path.read_bytes())


# -- what is in it ----------------------------------------------------------------------------------------------------


def test_results_are_bytes_and_results_again_to_the_last_bit(desk: Desk) -> None:
    desk.seen_whole(SCENE)
    some = desk.session.store.part(0, 59)
    recipes = [desk.session.store.recipe]
    again = Block(to_bytes(some, recipes), recipes).opened()
    assert rows(s.result for s in again) == rows(s.result for s in some)
    for one, other in zip(some, again, strict=True):
        assert (one.recipe, list(one.rows)) == (other.recipe, list(other.rows))
        for number, row in one.rows.items():
            np.testing.assert_array_equal(row, other.rows[number])
        np.testing.assert_array_equal(one.mask_px, other.mask_px)
        a, b = one.result, other.result
        assert (a.frame.time_s, a.stage_ms, a.dropped) == (b.frame.time_s, b.stage_ms, b.dropped)
        assert a.frame.image.shape == b.frame.image.shape == (80, 96)
        for name in ("xy_px", "score", "area_px", "box_px", "snr"):
            np.testing.assert_array_equal(getattr(a.detections, name), getattr(b.detections, name))
        for t, u in zip(a.tracks, b.tracks, strict=True):
            assert (t.misses, t.detection, t.age_s, t.area_px) == (u.misses, u.detection, u.age_s, u.area_px)
            np.testing.assert_array_equal((*t.size_px, t.score, t.snr), (*u.size_px, u.score, u.snr))


def figures(store: ResultStore) -> list[object]:
    """All that tables and plots are made of, to the last bit."""
    return [
        (track, life, repr(store.sums(track, *life)), repr(store.sums(track, life[0] + 2, life[1])),
         store.series(track).tobytes(), store.places(track))
        for track, life in store.lives().items()
    ]  # fmt: skip


def test_opening_unpacks_what_all_frames_are_asked_for_and_a_frame_its_own_block(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of ten thousand frames is opened at once; counted in parts that are unpacked."""
    desk.seen_whole("sim:crossing,width=96,height=80,frames=200,targets=6,scr=14,seed=3")
    desk.keeping.save_as(tmp_path / "s.irtrack")
    desk.keeper.flush()
    counted: list[int] = []
    unpack = blocks.unpacked
    monkeypatch.setattr(blocks, "unpacked", lambda data: (counted.append(len(data)), unpack(data))[1])
    store, first = read_session(tmp_path / "s.irtrack").store, desk.session.store
    assert len(counted) == 4, "a short part of each of the blocks of 64 frames"
    assert figures(store) == figures(first)
    assert len(figures(store)) >= 3
    assert store.recipes() == first.recipes()
    assert store.at_time(3.0) == first.at_time(3.0)
    assert len(counted) == 4
    assert rows(iter([s.result for s in store.part(70, 80)])) == rows(iter([s.result for s in first.part(70, 80)]))
    assert len(counted) == 5
    assert rows(store.results()) == rows(first.results())
    assert len(counted) == 8
    for track, (_, last) in store.lives().items():
        np.testing.assert_array_equal(store.trail(track, last, 0.0), first.trail(track, last, 0.0))
    assert len(counted) == 8


def test_blocks_of_an_earlier_version_are_read(desk: Desk) -> None:
    desk.seen_whole(SCENE)
    some, recipes = desk.session.store.part(0, 59), [desk.session.store.recipe]
    now = Block(to_bytes(some, recipes), recipes)
    before = now._arrays | blocks.unpacked(now._second)
    before["series"] = before["series"][:, :7]
    for name in ("scene", "track_why", "why_kinds", "why_parts"):
        del before[name]
    again = Block(blocks.packed(before), recipes)
    assert again.scenes == [None] * 60
    assert {track.why for stored in again.opened() for track in stored.result.tracks} == {dict}
    assert rows(s.result for s in again.opened()) == rows(s.result for s in some)
    parts = [blocks.packed(now._arrays), now._second, now._third]
    head = struct.pack("<4sIII", b"irb2", len(parts[0]), len(parts[1]), zlib.crc32(parts[1] + parts[2]))
    assert rows(s.result for s in Block(head + b"".join(parts), recipes).opened()) == rows(s.result for s in some)
    with pytest.raises(ValueError, match="damaged"):
        Block(head + b"".join(parts)[:-1] + b"x", recipes)
    for (track, numbers, series), other in zip(again.series(), now.series(), strict=True):
        assert (track, numbers) == other[:2]
        np.testing.assert_array_equal(series[:, :7], other[2][:, :7])
        assert np.isnan(series[:, 7]).all()


SHAKEN = "sim:sky,width=160,height=120,frames=60,targets=3,scr=14,seed=5,swing_px=12,roll_deg=4,shake_px=1"


def test_trails_under_a_moving_camera_and_reasons_are_in_the_file(
    desk: Desk, desks: list[Desk], tmp_path: Path
) -> None:
    desk.seen_whole(SHAKEN)
    desk.keeping.save_as(tmp_path / "s.irtrack")
    desk.keeper.flush()
    other = another(desks)
    other.opened(tmp_path / "s.irtrack")
    store, compared = other.session.store, 0
    for before, after in zip(desk.session.store.results(), store.results(), strict=True):
        np.testing.assert_array_equal(before.scene, after.scene)
        assert isinstance(after.tracks, Tracks)
        np.testing.assert_array_equal(before.tracks.scene, after.tracks.scene)  # type: ignore[attr-defined]
        for one, two in zip(before.tracks, with_trails(after, store, TRAIL_S).tracks, strict=True):
            for kind, parts in one.why().items():
                assert two.why().get(kind, {}) == pytest.approx(parts, rel=1e-6)
            if one.confirmed:
                np.testing.assert_allclose(two.trail, one.trail, rtol=0, atol=1e-9)
            if one.confirmed and len(two.trail) > 12 and after.frame.index - 11 in store.places(two.id):
                first = store.places(two.id)[after.frame.index - 11]
                compared += np.abs(first - two.trail[-12]).max() > 2  # in the picture it was elsewhere then
    assert compared > 20


@pytest.mark.parametrize("scene", [SCENE, SHAKEN])
def test_pictures_of_a_reopened_recording_have_the_same_trails(
    desk: Desk, desks: list[Desk], scene: str, tmp_path: Path
) -> None:
    """From where each track began, not only from where it was confirmed; also those that were cut or joined."""
    desk.seen_whole(scene)
    s = desk.session
    one, *_ = longest(desk)
    s.edits.edit(s.edits.value.split(one, sum(s.lives()[one]) // 2, s.lives())[0])
    desk.keeper.flush()
    other = another(desks)
    other.opened(scene)  # type: ignore[arg-type]
    assert other.detector.looked == 0
    earlier = 0
    for frame in range(60):
        before, after = drawn(s, frame), drawn(other.session, frame)
        assert before.keys() == after.keys()
        for track, trail in before.items():
            np.testing.assert_allclose(after[track], trail, rtol=0, atol=1e-9)
            first, _ = s.lives().get(track, (0, 0))
            earlier += len(trail) > 1 + frame - first
    assert earlier > 20, "of frames before they were confirmed"


def drawn(session: Session, frame: int) -> dict[int, np.ndarray]:
    """The trails that are drawn in a frame."""
    session.pause()
    session.seek(frame)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == frame)
    assert session.picture is not None
    assert session.picture.analysed
    return {track.id: track.trail for track in session.picture.result.tracks if track.confirmed}


def test_a_damaged_block_is_found_when_the_session_is_opened(desk: Desk) -> None:
    desk.seen_whole(SCENE)
    recipes = [desk.session.store.recipe]
    good = to_bytes(desk.session.store.part(0, 59), recipes)
    _, first, second, *_ = HEADER.unpack_from(good)
    assert HEADER.size + first + second < len(good) - 20

    def changed(at: int) -> bytes:
        return good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]

    for at in (HEADER.size + first // 2, HEADER.size + first + second // 2, 5, 9, 13):
        with pytest.raises((ValueError, zlib.error)):
            Block(changed(at), recipes)
    unmapped = Block(changed(len(good) - 20), recipes)
    assert unmapped.unmapped, "results are whole without their score maps"
    assert unmapped.maps() == {}
    assert rows(s.result for s in unmapped.opened()) == rows(desk.session.store.results())
    with pytest.raises(ValueError, match="newer irtrack"):
        Block(b"irb9" + good[4:], recipes)


def test_a_session_is_opened_again_as_it_was_without_analysing(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "flight.irtrack"
    edits = edited(desk, path, str(clip))
    logs = {suffix: exported(desk, tmp_path / f"one{suffix}") for suffix in (".csv", ".jsonl", ".txt")}
    assert is_session(str(path))
    assert not is_session(str(clip))
    other = another(desks)
    other.opened(path)
    assert not other.errors
    s, t = desk.session, other.session
    assert t.edits.value == edits
    assert t.store.whole
    assert t.older == s.older == ["threshold"]  # chosen since, and not analysed with
    assert t.store.alarms == s.store.alarms != []
    assert t.lives() == s.lives()
    assert t.looks().keys() == s.looks().keys() == t.lives().keys()
    assert all((t.looks()[track].grey == s.looks()[track].grey).all() for track in t.lives())
    for track in t.lives():
        np.testing.assert_array_equal(t.store.series(track), s.store.series(track))
    for suffix, content in logs.items():
        assert exported(other, tmp_path / f"two{suffix}") == content
    until(t, lambda: t.position == 0)
    t.pause()
    t.seek(15)
    until(t, lambda: t.picture is not None and t.picture.result.frame.index == 15)
    assert t.picture is not None
    assert t.picture.analysed
    assert max(len(track.trail) for track in t.picture.result.tracks if track.confirmed) > 5
    assert t.picture.result.detections.mask is not None
    assert t.picture.result.detections.mask.any()
    assert t.analysis is None
    assert other.detector.looked == 0


def test_another_pass_over_a_session_that_was_opened(desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path) -> None:
    edited(desk, tmp_path / "flight.irtrack", str(clip))
    other = another(desks)
    other.opened(tmp_path / "flight.irtrack")
    t = other.session
    t.analyse_again()
    until(t, lambda: t.store.recipe == t.recipe.value and whole(t))
    assert other.detector.looked == 0, "the scores are in the session"
    assert "drone" in t.edits.value.names.values()
    other.keeper.flush()
    kept = read_session(tmp_path / "flight.irtrack")
    assert kept.store.recipe == t.recipe.value
    assert rows(kept.store.results()) == rows(t.store.results())


def test_scores_of_another_model_are_not_used_for_another_pass(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "flight.irtrack"
    edited(desk, path, str(clip))
    desk.keeper.close()
    file = SessionFile(path)
    file.say({"made_by": "irtrack 0.1 with other models"})
    file.close()
    other = another(desks)
    other.opened(path)
    assert other.session.store.scores_of(5) is not None  # of what is shown they are
    other.session.analyse_again()
    until(other.session, lambda: other.session.store.recipe == other.session.recipe.value and whole(other.session))
    assert other.detector.looked == 20


def test_scores_of_otherwise_corrected_pictures_are_not_used(desk: Desk, desks: list[Desk], clip: Path) -> None:
    desk.seen_whole(str(clip))
    desk.session.edits.edit(desk.session.edits.value.renamed(longest(desk)[0], "A"))
    desk.keeper.flush()
    other = another(desks)
    given = other.session.given
    other.session.given = replace(given, capture=replace(given.capture, destripe=True))
    other.opened(clip)
    assert other.session.older == ["corrections"]
    other.session.analyse_again()
    until(other.session, lambda: other.detector.looked == 20 and other.session.older == [])


def test_a_missed_target_is_followed_in_a_reopened_session_as_before(
    desk: Desk, desks: list[Desk], tmp_path: Path
) -> None:
    path, s = tmp_path / "dim.irtrack", desk.session
    s.choose(threshold=0.99, min_area_px=9)  # it is missed
    desk.seen_whole(DIM)
    desk.keeping.save_as(path)
    desk.keeper.flush()
    there = truth(DIM)
    clicks = [Click(frame, *there[frame]) for frame in (8, 20)]
    made = s.add_target(*clicks)
    rows_before = s.edits.value.added[made]
    assert sum(row.score is not None and row.score > 0 for row in rows_before) > 10, "it was followed"
    s.edits.undo()
    desk.keeper.flush()
    other = another(desks)
    other.opened(path)
    t = other.session
    assert t.add_target(*clicks) == made
    assert t.edits.value.added[made] == rows_before
    assert other.detector.looked == 0
    t.seek(12)
    until(t, lambda: t.picture is not None and t.picture.result.frame.index == 12)
    assert t.picture is not None
    np.testing.assert_array_equal(t.picture.result.detections.scores, s.store.scores_of(12).full())  # type: ignore[union-attr]


def test_a_session_that_was_not_finished_is_analysed_to_its_end(desk: Desk, desks: list[Desk], tmp_path: Path) -> None:
    path, s = tmp_path / "half.irtrack", desk.session
    s.open(SCENE)
    until(s, lambda: len(s.store) > 20)
    desk.detector.go.clear()
    desk.keeping.save_as(path)
    desk.keeper.flush()
    kept = read_session(path)
    assert not kept.store.whole
    assert 20 < len(kept.store) < 60
    other = another(desks)
    other.opened(path)
    until(other.session, lambda: whole(other.session))
    assert other.session.store.reach() == (0, 59)
    assert other.detector.looked == 60


# -- kept all the while -----------------------------------------------------------------------------------------------


def test_changes_are_in_the_file_after_the_next_look(desk: Desk, clip: Path) -> None:
    """The window looks twice a second."""
    desk.seen_whole(str(clip))
    path = own_path(fingerprint(str(clip)))
    now = 100.0
    looked(desk, now)
    assert not path.exists()  # nothing was said of any track
    track = min(desk.session.lives())
    for name in ("A", "B", "C"):
        desk.session.edits.edit(desk.session.edits.value.renamed(track, name))
        now += 0.5
        looked(desk, now)
        assert read_session(path).edits.names == {track: name}
    desk.session.edits.edit(Edits())
    desk.keeper.flush()
    assert not path.exists()


WRITER = """
import sys
from pathlib import Path
from test_sessionfile import Desk
desk = Desk()
desk.seen_whole(sys.argv[1])
desk.keeping.save_as(Path(sys.argv[2]))
track = min(desk.session.lives())
for count in range(1, 100000):
    desk.session.edits.edit(desk.session.edits.value.renamed(track, f"n{count}"))
    write = desk.keeping.unsaved()
    if count % 7 == 0:
        desk.keeping._store = None  # all of it anew
    write()
    print(count, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_leaves_what_was_written_last(clip: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "killed.irtrack"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(clip), str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    stop_at, rng = random.Random(seed).randrange(20, 60), random.Random(seed)
    for line in process.stdout:
        if int(line) == stop_at:
            break
    time.sleep(rng.random() * 0.02)
    process.send_signal(signal.SIGKILL)
    written = [int(line) for line in process.stdout]
    process.wait()
    last = max([stop_at, *written])
    kept = read_session(path)
    (name,) = kept.edits.names.values()
    assert int(name[1:]) in (last, last + 1)
    if kept.store.whole:
        assert len(kept.store) == 20
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def renamed_by_another(desk: Desk, desks: list[Desk], clip: Path, path: Path, name: str) -> tuple[Desk, int]:
    """Another window that has opened the session of the first one, called a track so and kept that; and the track."""
    edited(desk, path, str(clip))
    desk.keeping.save_as(path)
    desk.keeper.flush()
    other = another(desks)
    other.opened(path)
    track = min(other.session.lives())
    other.session.edits.edit(other.session.edits.value.renamed(track, name))
    (other.keeping.unsaved() or pytest.fail)()
    return other, track


def test_another_window_takes_a_session_over(desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "flight.irtrack"
    _, track = renamed_by_another(desk, desks, clip, path, "theirs")
    first = SessionFile(path)
    first.say({"x": 1})
    second = SessionFile(path)
    second.say({"x": 2})
    with pytest.raises(SessionError, match="kept by another window now"):
        first.say({"x": 3})
    first.close()
    second.close()
    assert read_session(path).edits.names[track] == "theirs"


def test_a_session_saved_over_another_ends_that_one_and_not_before_it_is_written(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "flight.irtrack"
    first, track = renamed_by_another(desk, desks, clip, path, "mine")
    other = another(desks)
    other.seen_whole(SCENE)
    other.keeping.save_as(path)
    assert read_session(path).edits.names[track] == "mine"  # nothing of the new one is there yet
    (other.keeping.unsaved() or pytest.fail)()
    kept = read_session(path)
    assert kept.recording is not None
    assert (kept.recording.text, kept.edits, len(kept.store)) == (SCENE, Edits(), 60)
    first.session.edits.edit(first.session.edits.value.renamed(track, "too late"))
    with pytest.raises(SessionError, match="kept by another window now"):
        (first.keeping.unsaved() or pytest.fail)()


def test_a_file_that_was_deleted_is_written_anew(
    desk: Desk, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flight.irtrack"
    desk.seen_whole(str(clip))
    desk.keeping.save_as(path)
    (desk.keeping.unsaved() or pytest.fail)()
    path.unlink()
    desk.session.edits.edit(desk.session.edits.value.renamed(1, "A"))
    with pytest.raises(SessionError, match="not there any more"):
        (desk.keeping.unsaved() or pytest.fail)()
    monkeypatch.setattr(desk.keeping, "_not_before", 0.0)
    (desk.keeping.unsaved() or pytest.fail)()
    kept = read_session(path)
    assert len(kept.store) == 20
    assert kept.store.whole
    assert kept.edits.names == {1: "A"}


def test_what_is_opened_is_not_written_again(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flight.irtrack"
    edited(desk, path, str(clip))
    other = another(desks)
    other.opened(path)
    put: list[object] = []
    monkeypatch.setattr(SessionFile, "put", lambda *a: put.append(a))
    write = other.keeping.unsaved()
    if write is not None:
        write()
    assert put == []
    assert read_session(path).store.whole
    assert len(read_session(path).store) == 20
    assert other.keeping.unsaved() is None


def test_a_full_disk_is_one_line_and_tried_again(
    desk: Desk, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.seen_whole(str(clip))
    desk.keeping.save_as(tmp_path / "no-folder.irtrack" / "x.irtrack")
    (tmp_path / "no-folder.irtrack").touch()
    write = desk.keeping.unsaved()
    assert write is not None
    with pytest.raises(SessionError, match="cannot be written"):
        write()
    assert desk.keeping.unsaved() is None  # not at once again
    (tmp_path / "no-folder.irtrack").unlink()
    monkeypatch.setattr(desk.keeping, "_not_before", 0.0)
    again = desk.keeping.unsaved()
    assert again is not None
    again()
    assert len(read_session(tmp_path / "no-folder.irtrack" / "x.irtrack").store) == 20


def test_a_disk_that_fills_up_is_said_as_that(desk: Desk, clip: Path, tmp_path: Path) -> None:
    """SQLite takes back by itself what it could not write."""
    desk.seen_whole(str(clip))
    file = SessionFile(tmp_path / "flight.irtrack")
    file.say({"x": 1})
    assert file._database is not None
    (pages,) = file._database.execute("PRAGMA page_count").fetchone()
    file._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SessionError, match="cannot be written: database or disk is full"):
        file.put(desk.session.store, 0, 19)
    file.close()


def test_of_a_camera_only_tracks_that_are_kept_are_in_the_file(tmp_path: Path) -> None:
    store, file = ResultStore(), SessionFile(tmp_path / "camera.irtrack")
    for number in range(200):
        store.add(result_of(number, [number // 50 + 1]), limit=40)
        if number % 20 == 19:
            file.put(store, max(0, number - 19), number)
    with contextlib.closing(sqlite3.connect(file.path)) as database:
        assert database.execute("SELECT track FROM looks").fetchall() == [(4,)]
    assert file._looks.keys() == {4}
    file.close()


def result_of(number: int, tracks: list[int]) -> FrameResult:
    """A frame of 30 a second with these tracks."""
    frame = Frame(number, number / 30, np.zeros((16, 16), np.uint8))
    return FrameResult(frame, Detections.empty(), tuple(snapshot(track, 5.0, 5.0) for track in tracks), {})


def test_a_file_that_is_no_session_is_not_written_over(desk: Desk, clip: Path, tmp_path: Path) -> None:
    """Not even the recording itself."""
    recording = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    desk.seen_whole(str(recording))
    with pytest.raises(SessionError, match="is another file, no session"):
        desk.keeping.save_as(recording)
    assert recording.read_bytes() == clip.read_bytes()
    desk.keeping.save_as(tmp_path / "flight.irtrack")
    desk.keeper.flush()
    desk.keeping.save_as(tmp_path / "flight.irtrack")  # a session is
    desk.keeper.flush()
    assert len(read_session(tmp_path / "flight.irtrack").store) == 20


def test_long_recordings_are_written_block_by_block(desk: Desk, tmp_path: Path) -> None:
    desk.seen_whole("sim:sky,width=48,height=40,frames=200,targets=1,scr=14")
    file = SessionFile(tmp_path / "s.irtrack")
    store = desk.session.store
    file.put(store, 0, 99)
    file.put(store, 100, 199)
    file.close()
    with sqlite3.connect(tmp_path / "s.irtrack") as database:
        blocks = [b for (b,) in database.execute("SELECT block FROM results ORDER BY block")]
        found = [s.result.frame.index for (data,) in database.execute("SELECT frames FROM results ORDER BY block")
                 for s in Block(data, [store.recipe]).opened()]  # fmt: skip
    assert blocks == list(range(-(-200 // BLOCK)))
    assert found == list(range(200))


def test_only_the_newest_are_kept_in_the_data_folder(desk: Desk, clip: Path) -> None:
    path = own_path(fingerprint(str(clip)))
    path.parent.mkdir(parents=True)
    for number in range(25):
        (path.parent / f"{number}.irtrack").touch()
        os.utime(path.parent / f"{number}.irtrack", (number, number))
    desk.seen_whole(str(clip))
    desk.session.edits.edit(Edits(names={1: "A"}))
    desk.keeper.flush()
    names = {p.stem for p in path.parent.iterdir()}
    assert len(names) == 20
    assert path.stem in names
    assert "5" not in names
    assert "24" in names


# -- the recording ----------------------------------------------------------------------------------------------------


def test_a_recording_that_moved_is_found_beside_or_asked_for(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    there = Path(shutil.copy(clip, home / "flight.mkv"))
    edits = edited(desk, home / "flight.irtrack", str(there))
    moved = tmp_path / "moved"
    home.rename(moved)
    two = another(desks)
    two.opened(moved / "flight.irtrack")
    assert two.session.opened is not None
    assert two.session.opened.text == str(moved / "flight.mkv")
    assert two.session.edits.value == edits
    (moved / "flight.mkv").rename(tmp_path / "elsewhere.mkv")
    asked: list[str] = []
    three = another(desks)
    three.session.moved.connect(asked.append)
    three.opened(moved / "flight.irtrack")
    assert asked == [str(moved / "flight.irtrack")]
    assert "neither at" in three.errors[0]
    three.session.open(asked[0], moved=str(tmp_path / "elsewhere.mkv"))
    until(three.session, lambda: three.session.opened)
    assert three.session.edits.value == edits
    assert len(three.errors) == 1


def test_another_recording_in_its_place_is_refused(
    desk: Desk, desks: list[Desk], clip: Path, sample: Path, tmp_path: Path
) -> None:
    there = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    edited(desk, tmp_path / "flight.irtrack", str(there))
    shutil.copy(sample, there)
    other = another(desks)
    other.opened(tmp_path / "flight.irtrack")
    assert other.session.opened is None
    assert "is another recording than the one that flight.irtrack is of" in other.errors[0]
    recording = read_session(tmp_path / "flight.irtrack").recording
    assert recording is not None
    with pytest.raises(SourceError, match="another recording"):
        recording.check(str(sample), tmp_path / "flight.irtrack")
    there.unlink()
    with pytest.raises(MovedError):
        recording.found(tmp_path / "flight.irtrack")


def test_fingerprints_tell_recordings_apart(clip: Path, tmp_path: Path) -> None:
    same = Path(shutil.copy(clip, tmp_path / "other-name.mkv"))
    assert fingerprint(str(same)) == fingerprint(str(clip))
    same.write_bytes(same.read_bytes() + b"x")
    assert fingerprint(str(same)) != fingerprint(str(clip))
    folder = tmp_path / "pictures"
    folder.mkdir()
    prints = set()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(bytes([number]) * 10)
        prints.add(fingerprint(str(folder)))
    (folder / "2.png").write_bytes(b"changed   ")
    prints.add(fingerprint(str(folder)))
    assert len(prints) == 4
    (folder / "flight.irtrack").write_bytes(b"no picture")
    assert fingerprint(str(folder)) in prints
    assert fingerprint("sim:sky") != fingerprint("sim:crowd")


def test_what_is_known_of_a_recording_is_there_under_another_name_and_after_other_settings(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    desk.seen_whole(str(clip))
    named, dropped = longest(desk)[:2]
    desk.session.edits.edit(desk.session.edits.value.renamed(named, "A").judged(named, "bird").without(dropped))
    place = desk.session.store.places(named)
    desk.keeper.flush()
    moved = Path(shutil.copy(clip, tmp_path / "moved.mkv"))
    other = another(desks)
    other.session.choose(threshold=0.6)  # its tracks may have other numbers
    s = other.session
    other.opened(moved)
    assert s.edits.value.names == {named: "A"}
    assert s.older == ["threshold"]
    assert not s.passes.due, "another pass is the operator's to ask for"
    s.analyse_again()
    until(s, lambda: s.store.recipe == s.recipe.value and whole(s))
    assert other.detector.looked == 0, "its scores are known too"
    (again,) = s.edits.value.names
    assert s.edits.value.verdicts == {again: "bird"}
    assert len(s.lives()) == len(s.store.lives()) - 1
    common = place.keys() & s.store.places(again).keys()
    assert 2 * sum(np.hypot(*np.subtract(place[i], s.store.places(again)[i])) < 6 for i in common) > len(common) > 5
    s.edits.undo()  # what was there from the start cannot be taken back
    assert s.edits.value.names == {again: "A"}


# -- without a window -------------------------------------------------------------------------------------------------


def test_headless_exports_are_those_of_the_window(
    desk: Desk, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "flight.irtrack"
    edited(desk, path, str(clip))
    out = tmp_path / "out"
    out.mkdir()
    kinds = {"csv": "csv", "jsonl": "jsonl", "mot": "txt", "cvat": "xml", "video": "mkv"}
    files = [f for name, suffix in kinds.items() for f in (f"--{name}", str(out / f"tracks.{suffix}"))]
    assert main(["run", str(path), *files]) == 0
    for suffix in (".csv", ".jsonl", ".txt"):
        assert without_reasons(out / f"tracks{suffix}") == exported(desk, tmp_path / f"window{suffix}")
    said = capsys.readouterr().out
    assert "20 frames from flight.irtrack" in said
    assert "as edited" in said
    assert '"name": "drone"' in (out / "tracks.jsonl").read_text()
    assert "<width>96</width>" in (out / "tracks.xml").read_text()
    assert (out / "tracks.mkv").stat().st_size > 1000
    for options, said in (
        (["--threshold", "0.3"], "--threshold cannot change"), (["--record", str(out / "r.mkv")], "--record"),
        ([str(clip)], "exported alone"),
    ):  # fmt: skip
        assert main(["run", str(path), *options, "--csv", str(out / "none.csv")]) == 1
        assert said in capsys.readouterr().err
        assert not (out / "none.csv").exists()
    pictures = clip.read_bytes()
    for option, read in (("--csv", path), ("--video", clip)):
        assert main(["run", str(path), option, str(read), "--force"]) == 1
        assert "is read by this run" in capsys.readouterr().err
    assert read_session(path).edits.names
    assert clip.read_bytes() == pictures


def test_a_session_of_a_camera_has_its_tracks_for_export(
    desk: Desk, desks: list[Desk], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s = desk.session
    s.open("simcam:sky,width=96,height=80,frames=90,targets=2,scr=14")
    until(s, lambda: len(s.store) > 5)
    s.edits.edit(s.edits.value.renamed(1, "A"))
    desk.keeper.flush()
    (path,) = own_path("x").parent.glob("simcam*.irtrack")
    assert main(["run", str(path), "--jsonl", str(tmp_path / "t.jsonl")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert len(lines) > 5
    assert lines[0]["utc"] < lines[-1]["utc"]
    assert read_session(path).edits.names == {1: "A"}
    other = another(desks)
    other.opened(path)
    assert "without its pictures: export them with irtrack run" in other.errors[0]
    assert main(["run", str(path), "--video", str(tmp_path / "t.mkv")]) == 1
    assert "no video of them" in capsys.readouterr().err


# -- hostile ----------------------------------------------------------------------------------------------------------


def test_what_is_no_whole_session_is_one_line(desk: Desk, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "flight.irtrack"
    edited(desk, path, str(clip))
    desk.keeper.close()
    whole_file, rng = path.read_bytes(), np.random.default_rng(5)
    broken = tmp_path / "broken.irtrack"
    for size in (100, 512, 4096):
        broken.write_bytes(whole_file[:size])
        with pytest.raises(SessionError) as error:
            read_session(broken)
        assert "\n" not in str(error.value)
    for _ in range(40):
        content = bytearray(whole_file)
        for at in rng.integers(100, len(content), 30):
            content[at] = int(rng.integers(256))
        broken.write_bytes(content)
        with contextlib.suppress(SessionError):  # and nothing else
            read_session(broken)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(SessionError, match="newer irtrack"):
        read_session(path)
    plain = tmp_path / "plain.db"
    with sqlite3.connect(plain) as database:
        database.execute("CREATE TABLE a (b)")
        database.execute("PRAGMA application_id = 7")
    with pytest.raises(SessionError, match="no session of irtrack"):
        SessionFile(plain).say({"a": 1})


def test_nobody_sees_a_session_that_is_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables come with its first content, and go with it where that cannot be written."""
    path, write, seen = tmp_path / "s.irtrack", sessionfile.say, []

    def tables() -> int:
        with contextlib.closing(sqlite3.connect(path)) as database:
            return int(database.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0])

    def watched(database: sqlite3.Connection, values: dict[str, object]) -> None:
        seen.append(tables())
        if "fails" in values:
            raise OSError("no room")
        write(database, values)

    monkeypatch.setattr(sessionfile, "say", watched)
    file = SessionFile(path)
    with pytest.raises(SessionError, match="no room"):
        file.say({"fails": 1})
    assert tables() == 0
    file.say({"x": 1})
    file.say({"x": 2})
    file.close()
    assert seen == [0, 0, 3]


def test_a_program_that_reads_while_another_writes_sees_one_moment(desk: Desk, clip: Path, tmp_path: Path) -> None:
    path, done = tmp_path / "flight.irtrack", threading.Event()
    desk.seen_whole(str(clip))
    desk.keeping.save_as(path)
    desk.keeper.flush()
    store, file = desk.session.store, SessionFile(path)
    broken: list[str] = []

    def write() -> None:
        for number in range(60):
            file.say({"edits": replace(Edits(), names={1: str(number)}).to_dict()})
            file.put(store, 0, 19)
        file.close()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        if len(read_session(path).store) != 20:
            broken.append("not whole")
    thread.join()
    assert not broken
    assert read_session(path).edits.names == {1: "59"}


# -- tracks of a file over their recording ----------------------------------------------------------------------------


def with_log(desk: Desk, clip: Path, log: Path) -> None:
    """Open a recording, and tracks over it."""
    session, shown = desk.session, []
    session.replaced.connect(shown.append)
    session.open(str(clip), log=log)
    until(session, lambda: shown or desk.errors)


def test_a_log_is_shown_over_its_recording_edited_and_exported_again(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    desk.seen_whole(str(clip))
    made = exported(desk, tmp_path / "made.csv")
    other = another(desks)
    other.detector.go.clear()  # what is shown needs no detection
    with_log(other, clip, tmp_path / "made.csv")
    assert not other.errors
    s = other.session
    assert s.store.whole
    assert s.older == []
    assert exported(other, tmp_path / "again.csv") == made
    found = desk.session.lives().keys()
    assert s.lives().keys() == found
    until(s, lambda: s.position == 0)
    s.pause()
    s.seek(15)
    until(s, lambda: s.picture is not None and s.picture.result.frame.index == 15)
    assert s.picture is not None
    shown = {t.id: t for t in s.picture.result.tracks}
    assert s.picture.analysed
    for track in shown:
        place = desk.session.store.places(track).get(15)
        assert place is None or shown[track].xy_px == pytest.approx(place, abs=0.001)
        assert len(shown[track].trail) > 5
    one = min(s.lives())
    s.edits.edit(s.edits.value.renamed(one, "A").split(one, 12, s.lives())[0])
    text = exported(other, tmp_path / "edited.csv").decode()
    assert "1000000" in text
    assert len(text.splitlines()) == len(made.splitlines())
    other.keeper.flush()
    assert not own_path(fingerprint(str(clip))).exists()  # they are not the recording's own
    assert read_session(own_path(fingerprint(str(tmp_path / "made.csv")))).edits.names[one] == "A"
    third = another(desks)
    with_log(third, clip, tmp_path / "made.csv")
    assert third.session.edits.value == s.edits.value
    assert exported(third, tmp_path / "third.csv").decode() == text
    other.detector.go.set()
    s.analyse_again()
    until(s, lambda: s.store.recipe is not None and whole(s))
    assert s.store.lives().keys() == found


def test_logs_of_others_are_shown_by_their_places(desk: Desk, clip: Path, tmp_path: Path) -> None:
    log = tmp_path / "mot.txt"
    log.write_text("".join(f"{f + 1},7,{10 + 2 * f},{20 + f},4,4,0.9,-1,-1,-1\n" for f in range(3, 9)))
    with_log(desk, clip, log)
    assert desk.session.lives() == {7: (3, 8)}
    series = desk.session.store.series(7)
    fps = desk.session.fps
    np.testing.assert_allclose(series[:, 3], np.hypot(2, 1) * fps)
    np.testing.assert_allclose(np.diff(series[:, 4]), 2.0)
    assert series[0, 0] == pytest.approx(3 / fps)
    lines = exported(desk, tmp_path / "t.csv").decode().splitlines()
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("frame,x\n1,2\n", "the header is frame,x"),
        ("frame,track_id,x_px,y_px\n500,1,5,5\n", "the recording has 20 frames"),
        ("frame,track_id,x_px,y_px\n5,1,5000,5\n", "open its own recording"),
        ("frame,track_id,x_px,y_px\n5,1,5,5\n5,1,6,6\n", "5"),
    ],
)
def test_logs_that_do_not_fit_are_one_line(desk: Desk, clip: Path, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "log.csv").write_text(content)
    with_log(desk, clip, tmp_path / "log.csv")
    (error,) = desk.errors
    assert said in error
    until(desk.session, lambda: whole(desk.session))  # and the recording is analysed as ever
    assert desk.session.store.recipe is not None


def test_a_log_without_a_recording_is_one_line(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk.session.open_log(tmp_path / "t.csv")
    assert "open the recording that they are of first" in desk.errors[0]
    assert main(["window", "--tracks", str(tmp_path / "t.csv")]) == 1
    assert "name it too" in capsys.readouterr().err
