"""Damaged session files: what is whole is opened, a line says what is lost, and nothing is written over."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_session import rows, until, whole
from test_sessionfile import Desk, another, edited
from test_sessionfile import desk as desk
from test_sessionfile import desks as desks

from irtrack.cli import main
from irtrack.session.blocks import HEADER
from irtrack.session.edits import Edits
from irtrack.session.reading import Kept, read_session
from irtrack.session.recordings import fingerprint
from irtrack.session.said import runs_of, text_of, value_of
from irtrack.session.sessionfile import SessionError, own_path
from irtrack.session.standing import notice_of

LONG = "sim:crossing,width=96,height=80,frames=200,targets=6,scr=14,seed=3"
"""Four blocks of results."""


@pytest.fixture(scope="module")
def made() -> list[bytes]:
    """The file, once a test has made it."""
    return []


@pytest.fixture
def flight(desk: Desk, tmp_path: Path, made: list[bytes]) -> Path:
    """A session of `LONG` with edits, as it lies on the disk."""
    path = tmp_path / "flight.irtrack"
    if not made:
        edited(desk, path, LONG)
        desk.keeper.close()
        made.append(path.read_bytes())
    path.write_bytes(made[0])
    return path


def change(path: Path, statement: str, *values: object) -> None:
    """Something in the file that no session writes."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement, values).rowcount != 0


def blob(path: Path, block: int) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as database:
        (data,) = database.execute("SELECT frames FROM results WHERE block = ?", (block,)).fetchone()
    return bytes(data)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def part(number: int) -> Callable[[Path], None]:
    """A byte of a part of the second block is another one: 0 times, motions and series, 1 tracks and why they are
    believed, 2 score maps; 3: the header."""

    def damage(path: Path) -> None:
        data = blob(path, 1)
        _, first, second, *_ = HEADER.unpack_from(data)
        at = (HEADER.size + first // 2, HEADER.size + first + second // 2, len(data) - 30, 6)[number]
        change(path, "UPDATE results SET frames = ? WHERE block = 1", flipped(data, at))

    return damage


def said(name: str) -> Callable[[Path], None]:
    """A letter of a value is another one, and the value still one that could be."""

    def damage(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            (text,) = database.execute("SELECT value FROM said WHERE name = ?", (name,)).fetchone()
        plain = text[9:]
        change(path, "UPDATE said SET value = ? WHERE name = ?", text[:9] + other_than(plain), name)

    return damage


def other_than(plain: str) -> str:
    return next(plain.replace(a, b) for a, b in (("1", "2"), ("0", "1"), ("e", "a"), ("{}", "[]")) if a in plain)


def drop(table: str, where: str) -> Callable[[Path], None]:
    return lambda path: change(path, f"DELETE FROM {table} WHERE {where}")


def newer(path: Path) -> None:
    change(path, "UPDATE results SET frames = ? WHERE block = 1", b"irb9" + blob(path, 1)[4:])


def swapped(path: Path) -> None:
    change(path, "UPDATE results SET frames = ? WHERE block = 1", blob(path, 2))


def look(path: Path) -> None:
    change(path, "UPDATE looks SET snr = snr + 1 WHERE track = (SELECT min(track) FROM looks)")


RESULTS = "results of frames 64 to 127"


@pytest.mark.parametrize(
    ("damage", "lost", "frames"),
    [
        (part(0), RESULTS, 136), (part(1), RESULTS, 136), (part(3), RESULTS, 136), (newer, RESULTS, 136),
        (swapped, RESULTS, 136), (drop("results", "block = 1"), RESULTS, 136),
        (drop("results", "block = 3"), "results of frames 192 to 199", 192),
        (part(2), "the network's scores of frames 64 to 127", 200),
        (look, "little pictures of tracks", 200), (said("edits"), "names, verdicts and edits of tracks", 200),
        (said("chosen"), "the settings chosen last", 200), (said("alarms"), "the list of alarms", 200),
        (said("made"), "when results were made", 200), (said("made_by"), "which irtrack made the results", 200),
        (said("recipes"), "the settings that results were made with", 200),
        (drop("said", "name = 'edits'"), "names, verdicts and edits of tracks", 200),
    ],
)  # fmt: skip
def test_what_is_whole_is_opened_and_the_rest_is_named(
    desk: Desk, desks: list[Desk], flight: Path, damage: Callable[[Path], None], lost: str, frames: int
) -> None:
    before = read_session(flight)
    damage(flight)
    damaged = flight.read_bytes()
    other = another(desks)
    other.opened(flight)
    s = other.session
    assert len(other.errors) == 1
    assert other.errors[0].startswith(f"flight.irtrack is damaged: {lost} cannot be read, all else is here")
    assert other.errors[0].endswith("The file as it was stays in flight-damaged.irtrack")
    assert ("Analyse again finds results anew" in other.errors[0]) == (frames < 200)
    assert len(s.store) == frames
    there = {index: result for result in before.store.results() if (index := result.frame.index) in s.store}
    assert rows(s.store.results()) == rows(iter(there.values()))
    assert s.settings == before.settings
    assert s.edits.value == (Edits() if "edits" in lost else before.edits)
    assert bool(s.store.alarms) == ("alarms" not in lost)
    assert flight.read_bytes() == damaged, "nothing is written before the operator was told"
    assert not flight.with_name("flight-damaged.irtrack").exists()
    other.keeper.flush()
    assert flight.with_name("flight-damaged.irtrack").read_bytes() == damaged
    again = read_session(flight)
    assert again.unread is None
    assert again.edits == s.edits.value
    assert rows(again.store.results()) == rows(s.store.results())
    assert again.store.lacking == (frames < 200)


def test_lost_results_are_found_anew_as_far_as_they_have_to_be(desks: list[Desk], desk: Desk, flight: Path) -> None:
    """On the scores that lie before what is lost; names stay on their tracks."""
    before = read_session(flight)
    part(1)(flight)
    other = another(desks)
    other.opened(flight)
    s = other.session
    for _ in range(50):
        s.tick()
    assert s.analysis is None, "it is the operator's to ask for"
    assert s.before is not None, "Analyse again is offered"
    assert notice_of(s).endswith("; some are lost")
    other.keeper.flush()
    third = another(desks)
    third.opened(flight)
    t = third.session
    for _ in range(50):
        t.tick()
    assert (t.analysis, len(t.store), third.errors) == (None, 136, [])
    assert any("results of frames 64 to 127" in line for line in t.store.remarks.lines())
    t.choose(threshold=before.store.recipe.detector.threshold)  # type: ignore[union-attr]
    t.analyse_again()
    until(t, lambda: whole(t))
    assert rows(t.store.results()) == rows(before.store.results())
    assert t.edits.value.names == before.edits.names
    assert not t.store.remarks
    assert not t.store.lacking


def test_without_any_result_a_recording_is_analysed_at_once(desk: Desk, desks: list[Desk], flight: Path) -> None:
    drop("results", "block >= 0")(flight)
    other = another(desks)
    other.opened(flight)
    assert "results of frames 0 to 199 cannot be read" in other.errors[0]
    assert "results are found anew now" in other.errors[0]
    until(other.session, lambda: whole(other.session))
    assert len(other.session.store) == 200


@pytest.mark.parametrize("name", ["recording", "settings"])
def test_without_its_core_it_is_refused_and_stays_as_it_was(
    desk: Desk, desks: list[Desk], flight: Path, name: str
) -> None:
    said(name)(flight)
    damaged = flight.read_bytes()
    other = another(desks)
    other.opened(flight)
    assert other.session.opened is None
    (error,) = other.errors
    assert f"it is damaged ({name} is lost)" in error
    assert "\n" not in error
    assert flight.read_bytes() == damaged


def read_or_refused(path: Path) -> Kept | None:
    """None of what is refused, which is done in a line."""
    refused: list[str] = []
    kept = None
    try:
        kept = read_session(path)
    except SessionError as error:
        refused.append(str(error))
    assert all(len(text.splitlines()) == 1 for text in refused)
    return kept


def test_a_file_that_is_cut_is_read_as_far_as_it_goes(desk: Desk, desks: list[Desk], flight: Path) -> None:
    """Each time it is opened with a line that says what is lost, or refused with one; what is shown is never wrong."""
    content, before = flight.read_bytes(), read_session(flight)
    expected = {result.frame.index: rows(iter([result])) for result in before.store.results()}
    opened = 0
    for share in np.linspace(0.02, 0.99, 40):
        cut = flight.with_name("cut.irtrack")
        cut.write_bytes(content[: int(share * len(content))])
        kept = read_or_refused(cut)
        if kept is None:
            continue
        opened += 1
        assert kept.unread is not None
        assert kept.edits in (before.edits, Edits())
        for result in kept.store.results():
            assert rows(iter([result])) == expected[result.frame.index]
    assert opened > 5, "not all is lost of a file that is cut"


def test_flipped_bytes_never_make_a_wrong_result(desk: Desk, flight: Path) -> None:
    content, before = flight.read_bytes(), read_session(flight)
    expected = {result.frame.index: rows(iter([result])) for result in before.store.results()}
    rng = np.random.default_rng(11)
    opened = whole_again = 0
    for _ in range(60):
        broken = flight.with_name("broken.irtrack")
        data = bytearray(content)
        for at in rng.integers(100, len(data), 3):
            data[at] ^= 1 << int(rng.integers(8))
        broken.write_bytes(data)
        kept = read_or_refused(broken)
        if kept is None:
            continue
        opened += 1
        whole_again += kept.unread is None
        assert kept.settings == before.settings
        assert kept.recording == before.recording
        assert kept.edits in (before.edits, Edits())
        assert kept.unread is not None or kept.edits == before.edits
        assert kept.unread is not None or len(kept.store) == len(before.store)
        for result in kept.store.results():
            assert rows(iter([result])) == expected[result.frame.index]
    assert opened > 30
    assert whole_again < opened


def test_a_session_of_a_newer_irtrack_is_refused_and_not_written_over(
    desk: Desk, desks: list[Desk], flight: Path, clip: Path
) -> None:
    change(flight, "PRAGMA user_version = 99")
    with pytest.raises(SessionError, match="newer irtrack"):
        read_session(flight)
    own = own_path(fingerprint(str(clip)))
    own.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(flight, own)
    other = another(desks)
    other.seen_whole(str(clip))
    assert "newer irtrack" in other.errors[0]
    other.session.edits.edit(Edits(names={min(other.session.lives()): "A"}))
    other.keeper.flush()
    assert other.told == []
    assert own.with_name(f"{own.stem}-damaged.irtrack").read_bytes() == flight.read_bytes()
    assert "A" in read_session(own).edits.names.values()


def test_what_was_said_of_a_recording_and_cannot_be_read_is_told_and_stays(
    desk: Desk, desks: list[Desk], clip: Path
) -> None:
    """And does not keep the recording closed."""
    path = own_path(fingerprint(str(clip)))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no session" * 100)
    desk.seen_whole(str(clip))
    (error,) = desk.errors
    assert "what was said of these tracks before is lost" in error
    assert f"stays in {path.stem}-damaged.irtrack" in error
    desk.keeper.flush()
    assert path.read_bytes() == b"no session" * 100
    desk.session.edits.edit(Edits(names={1: "A"}))
    desk.keeper.flush()
    assert desk.told == []
    assert path.with_name(f"{path.stem}-damaged.irtrack").read_bytes() == b"no session" * 100
    assert read_session(path).edits.names == {1: "A"}


def test_edits_that_are_lost_do_not_take_their_file_along(desk: Desk, desks: list[Desk], clip: Path) -> None:
    """Without a word left to keep, a recording's results move to the cache."""
    path = own_path(fingerprint(str(clip)))
    desk.seen_whole(str(clip))
    desk.session.edits.edit(Edits(names={1: "A"}))
    desk.keeper.close()
    said("edits")(path)
    damaged = path.read_bytes()
    other = another(desks)
    other.opened(clip)
    assert "names, verdicts and edits of tracks cannot be read" in other.errors[0]
    other.keeper.flush()
    assert path.with_name(f"{path.stem}-damaged.irtrack").read_bytes() == damaged
    assert not path.exists()


def test_a_file_that_another_program_writes_is_not_called_damaged(
    flight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irtrack.session.reading.WAIT_S", 0.05)
    with contextlib.closing(sqlite3.connect(flight, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SessionError, match="is being written by another program: try again"):
            read_session(flight)
        database.execute("ROLLBACK")


def test_headless_export_says_what_is_lost(flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part(0)(flight)
    damaged = flight.read_bytes()
    assert main(["run", str(flight), "--csv", str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr()
    assert "136 of 200 frames from flight.irtrack" in said.out
    assert "results of frames 64 to 127 could not be read of a damaged file" in said.err
    assert main(["run", str(flight), "--csv", str(tmp_path / "t2.csv"), "--strict"]) == 1
    assert flight.read_bytes() == damaged


def test_values_of_earlier_versions_have_no_sums() -> None:
    assert value_of("x", '{"a": 1}') == {"a": 1}
    assert value_of("x", text_of("x", {"a": 1})) == {"a": 1}
    with pytest.raises(ValueError, match="damaged"):
        value_of("y", text_of("x", {"a": 1}))


def test_runs() -> None:
    assert runs_of([]) == []
    assert runs_of([0, 1, 2, 5, 7, 8]) == [(0, 2), (5, 5), (7, 8)]
