"""What is asked for that makes no sense, or would harm what is there: one line, and nothing is touched."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from irtrack.build import Outputs, claim
from irtrack.cli import main
from irtrack.core import Image, IrtrackError, SinkError
from irtrack.imaging.correction import load_correction
from irtrack.paths import replacing
from irtrack.simulate import Scene
from irtrack.sinks.target import claimed_all, claimed_folder
from irtrack.train.data import Sample
from irtrack.train.loop import train
from irtrack.train.settings import TrainSettings


def test_the_standard_output_is_no_file_called_minus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("frame,x,y\n" + "".join(f"{i},{2 * i},5\n" for i in range(20)))
    assert main(["track", "d.csv", "--out", "-"]) == 1
    assert "/dev/stdout" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["d.csv"]


@pytest.mark.parametrize("seconds", ["nan", "-1"])
def test_seconds_to_connect_again_are_0_or_more(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "sim:sky", "--frames", "1", "--reconnect", seconds]) == 1
    assert f"--reconnect {seconds} makes no sense" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["nan", "0", "-5"])
def test_an_archive_of_no_rate_is_not_begun(tmp_path: Path, rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of its recordings would be refused for it, one by one."""
    pytest.importorskip("distributed")
    (tmp_path / "in").mkdir()
    assert main(["archive", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--fps", rate]) == 1
    assert "a frame rate of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_takes_the_place_of_files_alone(tmp_path: Path) -> None:
    """Root could put one in the place of /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError, match="it is no file"), replacing(pipe) as part:
        part.write_text("never")
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_correction_is_read_from_a_file(tmp_path: Path) -> None:
    """A device may be read without end."""
    with pytest.raises(IrtrackError, match="it is no file"):
        load_correction(tmp_path)


def test_beliefs_that_cannot_be_read_are_said_before_anything_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr("irtrack.build.make_detector", load)
    (tmp_path / "picture.bin").write_bytes(bytes(range(128, 256)))
    for name in ("nothing.toml", "picture.bin"):
        out = tmp_path / "t.csv"
        assert main(["run", "sim:sky", "--frames", "1", "--beliefs", str(tmp_path / name), "--csv", str(out)]) == 1
        error = capsys.readouterr().err
        assert name in error
        assert "irtrack tune" in error
        assert "Errno" not in error
        assert not out.exists()


@pytest.mark.parametrize("option", ["--plot", "--worst"])
def test_pictures_of_unknown_kinds_are_refused_before_the_work(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.what"
    assert main(["evaluate", "--weights", "datransnet-s", "--data", str(tmp_path), option, str(picture)]) == 1
    assert "picture.what: a picture is written as .png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["run", "sim:sky", "--csv", "a/"], ["simulate", "sky", "--out", "b.mkv/"], ["score", "t", "u", "--json", "c/"]],
)
def test_a_name_that_ends_in_a_slash_is_no_file(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert f"'{words[-1]}'" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_an_output_belongs_to_one_command_while_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clip.mkv"
    with claimed_all([out], force=False):
        assert main(["simulate", "sky,frames=3", "--out", str(out), "--force"]) == 1
    assert "clip.mkv" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["simulate", "sky,frames=3", "--out", str(out)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mkv", "clip.truth.csv"]


def test_a_scene_that_is_broken_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a part of a recording nor one without its truth, whatever it is written as."""
    made = Scene.image

    def broken(self: Scene, index: int) -> Image:
        if index == 3:
            raise KeyboardInterrupt
        return made(self, index)

    monkeypatch.setattr(Scene, "image", broken)
    for out, *more in (["clip.mkv"], ["folder"], ["both", "--masks"]):
        with contextlib.suppress(KeyboardInterrupt):
            assert main(["simulate", "sky,frames=6", "--out", str(tmp_path / out), *more]) == 130
    assert not list(tmp_path.iterdir())


def test_a_folder_has_one_training_and_what_others_left_there_stays(tmp_path: Path) -> None:
    sets = [[Sample("a", np.zeros((64, 64), np.uint8), np.zeros((64, 64), bool))]]
    settings = TrainSettings(base=8, batch=1, crop=64, steps=1)
    with claimed_folder(tmp_path), pytest.raises(SinkError, match="is being written"):
        train(sets, [1.0], {}, settings, tmp_path)
    (tmp_path / "best.pt").write_bytes(b"mine")
    with pytest.raises(IrtrackError, match=r"best\.pt is there, and no last\.pt"):
        train(sets, [1.0], {}, settings, tmp_path)
    assert (tmp_path / "best.pt").read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["best.pt"]


@pytest.mark.parametrize("pattern", ["in", "in/*"])
def test_a_recording_is_not_written_among_the_images_that_are_read(
    tmp_path: Path, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be the last of them, and what was written read again."""
    (tmp_path / "in").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "in" / f"{i}.png"), np.full((40, 50), 90 + i, np.uint8))
    out = tmp_path / "in" / "rec.tif"
    assert main(["run", f"{tmp_path}/{pattern}", "--record", str(out)]) == 1
    assert "would be read as one of the images beside it: choose another folder" in capsys.readouterr().err
    assert sorted(p.name for p in out.parent.iterdir()) == ["0.png", "1.png", "2.png"]
    target = claim(Outputs({"record": out}), [f"{tmp_path}/in/*.png"])  # of which it is none
    target.abandon()
