"""What was analysed is not analysed again: results alone are kept for another time, found by what they were made of."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from test_session import SCENE, SETTINGS, Bright, rows, until, whole
from test_sessionfile import Desk, another, looked
from test_sessionfile import desk as desk
from test_sessionfile import desks as desks

from irtrack.build import make_detector
from irtrack.core import DetectorStatus
from irtrack.detect.detector import NetworkDetector
from irtrack.session import results
from irtrack.session.reading import read_session
from irtrack.session.recordings import fingerprint
from irtrack.session.results import all_results, results_folder
from irtrack.session.sessionfile import SessionFile, own_path
from irtrack.session.standing import day_text, notice_of


def reopened(desks: list[Desk], source: Path | str) -> Desk:
    """By another window."""
    desk = another(desks)
    desk.session.open(str(source))
    until(desk.session, lambda: desk.session.opened)
    return desk


def test_a_recording_that_was_analysed_is_not_analysed_again(desk: Desk, desks: list[Desk], clip: Path) -> None:
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    assert not own_path(fingerprint(str(clip))).exists(), "nothing was said of its tracks"
    assert results.results_folder().stat().st_mode & 0o077 == 0, "for the user's eyes alone"
    again = reopened(desks, clip)
    s = again.session
    assert s.store.whole
    assert rows(s.store.results()) == rows(desk.session.store.results())
    for _ in range(50):
        s.tick()
    assert (s.analysis, again.detector.looked, s.older) == (None, 0, [])
    today = day_text(datetime.now(UTC))
    assert notice_of(s) == f"results of {today}, made with these settings"
    s.choose(threshold=0.6)
    assert notice_of(s) == f"results of {today}; threshold changed since"
    s.analyse_again()
    until(s, lambda: s.store.recipe == s.recipe.value and whole(s))
    assert s.before is None


def test_the_date_of_results_is_that_of_their_pass(desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path) -> None:
    """Also where they are opened, and kept in another file, later."""
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    (path,) = all_results()
    file = SessionFile(path)
    file.say({"made": "2025-11-28T12:00:00+00:00"})
    file.close()
    again = reopened(desks, clip)
    assert notice_of(again.session) == "results of 28 November 2025, made with these settings"
    again.keeping.save_as(tmp_path / "s.irtrack")
    again.keeper.flush()
    assert notice_of(reopened(desks, tmp_path / "s.irtrack").session).startswith("results of 28 November 2025")


def test_days_for_people() -> None:
    at = datetime(2026, 3, 5, 12, tzinfo=UTC)
    assert day_text(at, date(2026, 8, 1)) == "5 March"
    assert day_text(at, date(2027, 1, 1)) == "5 March 2026"


def test_each_way_of_analysing_is_kept_and_another_one_is_shown_as_older(
    desk: Desk, desks: list[Desk], clip: Path
) -> None:
    s = desk.session
    desk.seen_whole(str(clip))
    first = s.recipe.value
    desk.keeper.flush()
    s.choose(threshold=0.6)
    s.analyse_again()
    until(s, lambda: s.store.recipe == s.recipe.value and whole(s))
    second = s.recipe.value
    desk.keeper.flush()
    assert len(all_results()) == 2
    for recipe in (first, second):
        again = another(desks)
        again.session.recipe.set(recipe)
        again.opened(clip)
        assert again.session.store.recipe == recipe
        assert again.session.older == []
    other = another(desks)
    other.session.choose(weights="datransnet")
    other.opened(clip)
    assert other.session.store.recipe in (first, second)
    assert "model" in other.session.older
    assert not other.session.passes.due


def test_what_is_otherwise_beside_the_detector_is_said(desk: Desk, desks: list[Desk], clip: Path) -> None:
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    tracker = another(desks)
    tracker.session.given = replace(
        given := tracker.session.given, tracker=replace(given.tracker, coast_s=given.tracker.coast_s + 1)
    )
    tracker.opened(clip)
    assert tracker.session.older == ["settings of the tracker"]
    file = SessionFile(all_results()[0])
    file.say({"made_by": "irtrack 0.1"})
    file.close()
    program = reopened(desks, clip)
    assert program.session.older == ["irtrack or its models"]
    program.session.analyse_again()
    until(program.session, lambda: program.session.older == [] and whole(program.session))
    assert program.detector.looked == 20, "scores of another program are none of this one's"
    program.keeper.flush()
    assert program.session.older == []
    assert reopened(desks, clip).session.older == []


def test_results_of_a_recording_under_another_name_but_not_of_one_that_was_written_anew(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    there = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    desk.seen_whole(str(there))
    desk.keeper.flush()
    copied = reopened(desks, shutil.copy(there, tmp_path / "copy.mkv"))
    assert copied.session.store.whole
    assert copied.session.older == []
    copied.close()
    os.utime(there, ns=(1, 1))  # another content of the same size may begin and end the same
    anew = reopened(desks, there)
    until(anew.session, lambda: anew.detector.looked == 20 and whole(anew.session))


def test_what_was_said_of_a_recording_that_was_written_anew_is_shown_as_older(
    desk: Desk, desks: list[Desk], clip: Path, tmp_path: Path
) -> None:
    there = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    desk.seen_whole(str(there))
    desk.session.edits.edit(desk.session.edits.value.renamed(min(desk.session.lives()), "A"))
    desk.keeper.flush()
    os.utime(there, ns=(1, 1))
    anew = reopened(desks, there)
    assert anew.session.older == ["the recording's file"]
    assert anew.session.store.maps() is None, "the scores may be those of other pictures"


def test_results_go_to_the_data_folder_with_the_first_word_and_back_with_the_last(
    desk: Desk, desks: list[Desk], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.seen_whole(str(clip))
    looked(desk, 1.0)
    (cached,), own = all_results(), own_path(fingerprint(str(clip)))
    put: list[object] = []
    monkeypatch.setattr(SessionFile, "put", lambda *a: put.append(a))
    track = min(desk.session.lives())
    desk.session.edits.edit(desk.session.edits.value.renamed(track, "A"))
    looked(desk, 2.0)
    assert put == [], "the file is copied"
    assert rows(read_session(own).store.results()) == rows(desk.session.store.results())
    assert read_session(own).edits.names == {track: "A"}
    assert read_session(cached).edits.names == {}
    desk.session.edits.undo()
    looked(desk, 3.0)
    assert not own.exists()
    assert read_session(cached).store.whole
    monkeypatch.undo()


def test_a_cache_that_was_cleared_does_not_cost_a_word(desk: Desk, clip: Path) -> None:
    desk.seen_whole(str(clip))
    looked(desk, 1.0)
    results.clear_results()
    assert all_results() == []
    track = min(desk.session.lives())
    desk.session.edits.edit(desk.session.edits.value.renamed(track, "A"))
    looked(desk, 2.0)
    kept = read_session(own_path(fingerprint(str(clip))))
    assert kept.edits.names == {track: "A"}
    assert rows(kept.store.results()) == rows(desk.session.store.results())
    assert desk.told == []


def test_a_pass_that_was_broken_off_is_kept_and_made_whole(desk: Desk, desks: list[Desk]) -> None:
    s = desk.session
    s.open(SCENE)
    until(s, lambda: len(s.store) > 20)
    desk.detector.go.clear()
    looked(desk, 1.0)
    assert all_results() == [], "blocks are written once they are whole"
    desk.keeper.flush()
    (path,) = all_results()
    kept = read_session(path)
    assert not kept.store.whole
    assert 20 < len(kept.store) < 60
    again = another(desks)
    again.detector.go.clear()
    again.opened(SCENE)  # type: ignore[arg-type]
    assert len(again.session.store) == len(kept.store), "shown until the pass has come as far"
    again.detector.go.set()
    until(again.session, lambda: whole(again.session))
    again.keeper.flush()
    assert read_session(path).store.whole
    assert len(read_session(path).store) == 60


def test_two_windows_with_one_recording_keep_quiet_about_it(desk: Desk, desks: list[Desk], clip: Path) -> None:
    desk.seen_whole(str(clip))
    looked(desk, 1.0)
    other = reopened(desks, clip)
    looked(other, 1.0)
    desk.session.choose(threshold=0.6)
    looked(desk, 2.0)
    looked(desk, 3.0)
    assert desk.told == other.told == []
    track = min(desk.session.lives())
    desk.session.edits.edit(desk.session.edits.value.renamed(track, "A"))
    looked(desk, 4.0)
    assert read_session(own_path(fingerprint(str(clip)))).edits.names == {track: "A"}


def test_a_cache_that_cannot_be_written_is_said_once_and_work_goes_on(
    desk: Desk, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(results, "results_folder", lambda: tmp_path / "file" / "results")
    for now, source in enumerate((str(clip), SCENE)):
        desk.seen_whole(source)
        looked(desk, 10.0 * now)
        looked(desk, 10.0 * now + 5.0)
    looked(desk, 100.0)
    assert len(desk.told) == 1
    assert "results cannot be kept in" in desk.told[0]
    assert "\n" not in desk.told[0]
    desk.session.edits.edit(desk.session.edits.value.renamed(min(desk.session.lives()), "A"))
    looked(desk, 200.0)
    assert own_path(fingerprint(SCENE)).exists(), "what was said is kept elsewhere"
    desk.keeping._left.clear()
    desk.session.edits.undo()
    looked(desk, 300.0)
    assert not own_path(fingerprint(SCENE)).exists(), "what was taken back does not come again"
    assert len(desk.told) == 1


def test_a_damaged_file_is_as_none(desk: Desk, desks: list[Desk], clip: Path) -> None:
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    (path,) = all_results()
    path.write_bytes(path.read_bytes()[:5000])
    again = reopened(desks, clip)
    until(again.session, lambda: again.detector.looked == 20 and whole(again.session))
    again.keeper.flush()
    assert again.told == []
    assert read_session(path).store.whole, "it is made anew"


def test_those_used_least_lately_go_first_and_what_the_operator_said_never(
    desk: Desk, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = results.results_folder()
    folder.mkdir(parents=True)
    for number in range(5):
        path = folder / f"{number}.irtrack"
        path.write_bytes(bytes(1_000_000))
        os.utime(path, (1e9 + number, 1e9 + number))
    own = own_path("said")
    own.parent.mkdir(parents=True)
    own.write_bytes(bytes(1_000_000))
    os.utime(own, (1, 1))
    monkeypatch.setattr(results, "MOST_BYTES", 2_600_000)
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    names = {path.stem for path in all_results()}
    assert {"3", "4"} < names
    assert len(names) == 3, names
    assert own.exists()
    results.clear_results()
    assert all_results() == []
    assert own.exists()


def test_a_disk_that_is_nearly_full_is_left_to_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = results.results_folder()
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.irtrack").write_bytes(bytes(100_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1_000_000))  # type: ignore[attr-defined]
    results.tidy_results(folder / "none")
    assert results.bytes_of(all_results()) == 100_000


def test_those_that_were_opened_are_the_last_to_go(desk: Desk, desks: list[Desk], clip: Path) -> None:
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    (path,) = all_results()
    os.utime(path, (1, 1))
    reopened(desks, clip)
    assert path.stat().st_mtime > 1e9


@pytest.mark.parametrize("scene", [SCENE, SCENE + ",bits=16"])
def test_a_pass_that_was_broken_off_needs_the_network_for_the_rest_alone(
    desks: list[Desk], scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds what one pass finds, to the last bit, with the temporal stage and levels that follow the frames."""
    ran: list[int] = []
    score = NetworkDetector._score
    monkeypatch.setattr(NetworkDetector, "_score", lambda *a: (ran.append(1), score(*a))[1])
    network = make_detector(SETTINGS)

    def windowed() -> Desk:
        desk = another(desks)
        desk.session.use(network)
        return desk

    one = windowed()
    one.seen_whole(scene)
    expected, run = rows(one.session.store.results()), len(ran)
    assert run == 60
    assert len(expected) > 60
    results.clear_results()
    ran.clear()
    half = windowed()
    half.session.open(scene)
    until(half.session, lambda: len(half.session.store) > 20)
    half.close()
    known = len(read_session(all_results()[0]).store)
    assert 20 < known < 60
    ran.clear()
    rest = windowed()
    rest.seen_whole(scene)
    assert len(ran) == 60 - known
    assert rows(rest.session.store.results()) == expected


def test_results_of_another_network_than_auto_means_now_are_older(
    desk: Desk, desks: list[Desk], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graphics card came, or went."""

    def status(self: Bright) -> DetectorStatus:
        return DetectorStatus("datransnet-s", "cpu")

    monkeypatch.setattr(Bright, "status", status, raising=False)
    desk.seen_whole(str(clip))
    desk.keeper.flush()
    same = reopened(desks, clip)
    assert same.session.older == []
    monkeypatch.setattr(Bright, "status", lambda self: DetectorStatus("datransnet", "cuda"), raising=False)
    other = reopened(desks, clip)
    assert other.session.older == ["what `auto` stands for"]
    assert not other.session.passes.due


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is another one there")
def test_they_lie_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert results_folder() == tmp_path / "irtrack" / "results"
