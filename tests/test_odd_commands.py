"""What is asked for that makes no sense, or would harm what is there: one line, and nothing is touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from irtrack.cli import main
from irtrack.core import IrtrackError
from irtrack.imaging.correction import load_correction
from irtrack.paths import replacing


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
