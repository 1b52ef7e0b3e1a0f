"""What pictures tell and headers do not: two moments in one picture, pictures that are there again, false colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from test_odd_inputs import N as PLAIN
from test_odd_inputs import avi
from test_reading_video import encode, read_all

from irtrack.capture import open_source
from irtrack.capture.grey import IN_COLOURS
from irtrack.capture.pictures import read_image
from irtrack.capture.watched import FEWEST, Watched
from irtrack.commands.detect import pictures_of
from irtrack.core import Remarks, SourceError

Picture = NDArray[np.uint8]
SIZE = (96, 128)
SPOT = 3.0
"""Pixels that the spot moves a picture."""


def scene(i: float, row_gain: float = 1.0, level: float = 0.0) -> Picture:
    """A spot that moves over a slope with noise; rows may be of two gains, as of some sensors, always."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = np.random.default_rng(round(2 * i)).normal(0, 1.5, SIZE)
    spot = 120 * np.exp(-((x - 12 - SPOT * i) ** 2 + (y - 40 - 0.4 * i) ** 2) / 8)
    gains = np.where(np.arange(SIZE[0]) % 2, row_gain, 1.0)[:, None]
    grey: Picture = np.clip((60 + 0.2 * x + level + spot + noise) * gains, 0, 255).astype(np.uint8)
    return grey


def woven(i: int, later: int) -> Picture:
    """Two moments in one picture; `later`: which rows are half a picture behind the others."""
    out = scene(i)
    out[later::2] = scene(i + 0.5)[later::2]
    return out


PLAIN_SCENES = [scene(i) for i in range(30)]
UNEVEN = [scene(i, row_gain=1.06) for i in range(30)]
STEPS = [scene(i, level=8.0 * (i % 4)) for i in range(30)]


def said(pictures: Sequence[Picture]) -> list[str]:
    remarks = Remarks()
    look = Watched("a", remarks)
    for i, picture in enumerate(pictures):
        look(i, picture)
    look.end()
    look.end()
    return remarks.lines()


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_rows_of_two_moments_are_said(tmp_path: Path, later: int, codec: str) -> None:
    pixels = "gray" if codec == "ffv1" else "yuv420p"
    encode(tmp_path / "a.mkv", codec, pixels, [woven(i, later) for i in range(30)])
    frames, words, remarks = read_all(tmp_path / "a.mkv")
    assert (len(frames), words, len(remarks)) == (30, "", 1)
    assert "it is interlaced, and its header does not say so" in remarks[0]


@pytest.mark.parametrize("pictures", [PLAIN_SCENES, UNEVEN, STEPS], ids=["plain", "uneven", "steps"])
def test_rows_of_one_moment_are_not(pictures: Sequence[Picture]) -> None:
    """Nor where rows differ always, or all of a picture from the one before."""
    assert said(pictures) == []


def test_what_was_missed_between_says_nothing_of_rows() -> None:
    remarks = Remarks()
    look = Watched("a", remarks)
    for i in range(3 * FEWEST):
        look(2 * i, woven(i, 1))
    assert remarks.lines() == []


def test_pictures_that_are_there_again_are_said(tmp_path: Path) -> None:
    """As of a recorder that made 30 pictures a second of 10; a scene in which nothing is, is none."""
    for i in range(24):
        cv2.imwrite(str(tmp_path / f"{i:02d}.png"), PLAIN_SCENES[i // 3])
    source = open_source(str(tmp_path))
    assert len(list(source)) == 24
    (line,) = source.info.remarks.lines()
    assert "pictures that are the one before again" in line
    assert line.endswith("(16 times)")
    source.close()
    assert said([PLAIN_SCENES[0]] * 10) == []
    assert said([*PLAIN_SCENES[:10], PLAIN_SCENES[9]]) == []


def coloured(i: int) -> NDArray[np.uint8]:
    """(H, W, BGR) in false colours."""
    out: NDArray[np.uint8] = cv2.applyColorMap(PLAIN_SCENES[i], cv2.COLORMAP_JET).astype(np.uint8)
    return out


def test_false_colours_are_said(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    for i in range(5):
        cv2.imwrite(str(tmp_path / "rec" / f"{i}.png"), coloured(i))
    stack = np.stack([coloured(i)[..., ::-1] for i in range(5)])
    tifffile.imwrite(tmp_path / "rgb.tif", stack, photometric="rgb")
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1]
    tifffile.imwrite(
        tmp_path / "palette.tif", PLAIN_SCENES[0], photometric="palette", colormap=colours.T.astype(np.uint16) * 257
    )
    for name in ("rec", "rgb.tif", "palette.tif"):
        source = open_source(str(tmp_path / name))
        assert ["in colours" in line for line in source.info.remarks.lines()] == [True], name
        source.close()
    remarks = Remarks()
    read_image(tmp_path / "rec" / "0.png", remarks)
    assert len(list(pictures_of(tmp_path / "rec" / "1.png", remarks))) == 1
    assert remarks.lines() == [f"{IN_COLOURS} (2 times)"]


def test_false_colours_of_a_film_are_said(tmp_path: Path) -> None:
    packed = [coloured(i).astype(np.uint16) for i in range(PLAIN)]
    # AVI keeps rows of blue, green and red from the lowest up; of the size that its maker here writes.
    avi(tmp_path / "a.avi", [p[:32, :48].astype(np.uint8)[::-1].tobytes() for p in packed], 24)
    _, words, remarks = read_all(tmp_path / "a.avi")
    assert (words, ["in colours" in line for line in remarks]) == ("", [True])


def test_grey_with_marks_in_colour_is_grey(tmp_path: Path) -> None:
    for i in range(5):
        shown = cv2.cvtColor(PLAIN_SCENES[i], cv2.COLOR_GRAY2BGR)
        shown[4:24, 4:104] = (0, 255, 0)
        cv2.imwrite(str(tmp_path / f"{i}.png"), shown)
    source = open_source(str(tmp_path))
    assert source.info.remarks.lines() == []
    source.close()


def test_counts_that_a_header_calls_packed_colours_are_refused(tmp_path: Path) -> None:
    """An AVI of 16 bits without a FOURCC is RGB555 by its format."""
    rng = np.random.default_rng(0)
    counts = [7000 + 10 * np.arange(48) + rng.normal(0, 6, (32, 48)) for _ in range(PLAIN)]
    avi(tmp_path / "counts.avi", [p.astype("<u2").tobytes() for p in counts], 16)
    with pytest.raises(SourceError, match=r"says colours \(rgb555le\), and its pixels are counts of 16 bits"):
        open_source(str(tmp_path / "counts.avi"))
    noisy = [rng.normal(16, 5, (32, 48, 3)).clip(0, 31).astype(np.uint16) @ [1 << 10, 1 << 5, 1] for _ in range(PLAIN)]
    avi(tmp_path / "colours.avi", [p.astype("<u2").tobytes() for p in noisy], 16)
    frames, words, remarks = read_all(tmp_path / "colours.avi")
    assert (len(frames), words) == (PLAIN, "")
    assert "raw colours of 16 bits" in remarks[0]


def test_a_palette_that_is_chosen_later_is_said(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / "rec" / f"{i}.png"), scene(i) if i < 4 else coloured(i))
    assert read_all(tmp_path / "rec")[2] == [f"rec: from 4.png on {IN_COLOURS}"]


@pytest.mark.parametrize(("later", "words"), [(20, "about from frame 31 on"), (0, "film.mp4: pictures"), (99, "")])
def test_a_palette_that_is_chosen_later_in_a_film_is_said(tmp_path: Path, later: int, words: str) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for i in range(40):
            picture = coloured(i % 25) if i >= later else cv2.cvtColor(scene(i), cv2.COLOR_GRAY2BGR)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    told = [line for line in read_all(tmp_path / "film.mp4")[2] if "colours" in line]
    assert [words in line for line in told] == [True] * bool(words)


def test_white_hot_and_black_hot_are_told_apart() -> None:
    turned = [scene(i) if i < 5 else 255 - scene(i) for i in range(10)]
    assert ["dark and bright change places (first at picture 5)" in line for line in said(turned)] == [True]
    assert said([scene(i) for i in range(10)]) == []


def test_pictures_of_nothing_are_said() -> None:
    dark = np.zeros(SIZE, np.uint8)
    assert ["a covered lens" in line for line in said([dark] * 8)] == [True]
    assert said([scene(i) if i != 3 else dark for i in range(8)]) == []  # one that was lost is no lens


def test_planes_of_depth_are_no_time(tmp_path: Path) -> None:
    stack = np.stack([scene(i) for i in range(6)])
    for axes, shape, words in (("TZYX", (3, 2), "its 2 planes of depth"), ("ZYX", (6,), ""), ("TYX", (6,), "")):
        tifffile.imwrite(tmp_path / "a.tif", stack.reshape(*shape, *SIZE), imagej=True, metadata={"axes": axes})
        told = read_all(tmp_path / "a.tif")[2]
        assert [words in line for line in told if "depth" in line] == [True] * bool(words)


@pytest.mark.parametrize("end", ["", "\n"])
def test_numbers_in_text_need_no_last_line_end(tmp_path: Path, end: str) -> None:
    grey = scene(0)
    rows = "\n".join(" ".join(map(str, row)) for row in grey.tolist())
    (tmp_path / "a.pgm").write_text(f"P2\n{SIZE[1]} {SIZE[0]}\n255\n{rows}{end}")
    assert np.array_equal(read_image(tmp_path / "a.pgm"), grey)
