"""Folders that hold more than one sequence: of two cameras, with masks, with copies; views that take turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from irtrack.capture import open_source
from irtrack.cli import main
from irtrack.core import SourceError

N = 6


def picture(number: int, camera: int = 0) -> NDArray[np.uint8]:
    """A view of its own for each camera, with noise of its own for each picture."""
    view = np.random.default_rng(camera).normal(100, 20, (32, 48))
    return (view + np.random.default_rng([camera, number]).normal(0, 2, view.shape)).clip(0, 255).astype(np.uint8)


def folder_of(folder: Path, names: Sequence[str], cameras: int = 1) -> Path:
    """Images in the order of their names; `cameras`: how many views take turns."""
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), picture(i, i % cameras))
    return folder


def refusal(text: str | Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(text: str | Path) -> tuple[int, str]:
    """How many pictures a source has, and its remarks."""
    source = open_source(str(text))
    try:
        return sum(1 for _ in source), "\n".join(source.info.remarks.lines())
    finally:
        source.close()


@pytest.mark.parametrize(
    ("forms", "pattern"),
    [
        (("cam_a_{:04d}.png", "cam_b_{:04d}.png"), "cam_a_*.png"),
        (("cam1_{:04d}.png", "cam2_{:04d}.png"), "cam1_*.png"),
        (("20260501_Camera-0_{:03d}.png", "20260501_Camera-1_{:03d}.png"), "20260501_Camera-0_*.png"),
        (("2026-{:04d}-cam1.png", "2026-{:04d}-cam2.png"), "*cam1.png"),
        (("{:04d}_L.png", "{:04d}_R.png"), "*[0-9]_L.png"),
        (("ir_{:d}.png", "vis_{:d}.png"), "ir_*[0-9].png"),
        (("IMG_{:04d}.png", "IMG_{:04d}_mask.png"), "IMG_*[0-9].png"),
        (("a[1]_{:04d}.png", "b[1]_{:04d}.png"), "a[[]*[0-9]]_*[0-9].png"),
    ],
)
def test_two_sequences_in_a_folder_are_refused_and_each_can_be_named(
    tmp_path: Path, forms: tuple[str, str], pattern: str
) -> None:
    folder = folder_of(tmp_path / "both", [form.format(i) for i in range(N) for form in forms])
    said = refusal(folder)
    assert "holds two sequences" in said
    assert forms[0].format(0) in said
    assert forms[1].format(0) in said
    assert f"'{folder / pattern}' in quotes" in said
    assert read(folder / pattern) == (N, "")


def test_cameras_whose_pictures_have_times_are_two(tmp_path: Path) -> None:
    names = [f"cam{c}_20260501_1200{2 * i + c:02d}.png" for i in range(N) for c in (1, 2)]
    assert "holds two sequences" in refusal(folder_of(tmp_path / "both", names))


def test_a_run_over_two_cameras_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "both", [f"cam{c}_{i}.png" for i in range(N) for c in (1, 2)])
    assert main(["run", str(folder), "--csv", str(tmp_path / "t.csv")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("irtrack: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("copy", ["{} (1).png", "{} - Copy.png", "{} - Copy (2).png", "{}_copy.png"])
def test_copies_are_no_pictures_of_their_own(tmp_path: Path, copy: str) -> None:
    stems = [f"IMG_{i:04d}" for i in range(N)]
    names = [stem + ".png" for stem in stems]
    folder = folder_of(tmp_path / "many", [*names, *map(copy.format, stems[:3])])
    assert "3 images that by their names are copies of others" in refusal(folder)
    folder = folder_of(tmp_path / "one", [*names, copy.format(stems[2])])
    assert f"by its name {copy.format(stems[2])} is a copy of {names[2]}" in read(folder)[1]


def test_images_of_one_name_in_two_folders_are_two_sequences(tmp_path: Path) -> None:
    for camera in "ab":
        folder_of(tmp_path / camera, [f"{i:04d}.png" for i in range(N)])
    assert "images of one name in two folders" in refusal(tmp_path / "*" / "*.png")
    assert read(tmp_path / "a" / "*.png") == (N, "")
    folder_of(tmp_path / "c", [f"{N + i:04d}.png" for i in range(N)])
    assert read(tmp_path / "[ac]" / "*.png") == (2 * N, "")


def test_numbers_that_begin_anew_are_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "parts", [f"seq{part}_{i:04d}.png" for part in (1, 2) for i in range(N)])
    count, said = read(folder)
    assert count == 2 * N
    assert "begin anew (after seq1_0005.png with seq2_0000.png)" in said


@pytest.mark.parametrize(
    "names",
    [
        [f"20260501_1200{i:02d}_{40 * k:03d}.png" for i in range(3) for k in range(4)],
        [f"12-30-{s:02d}-{k:02d}.png" for s in range(3) for k in range(4)],
        [f"cam2_{i:04d}.png" for i in range(N)],
        [f"cam{i:03d}.png" for i in range(N)],
        [f"part{p}_{i:04d}.png" for p in (1, 2) for i in range(4 * p, 4 * p + 4)],
        ["img.png", *(f"img ({i}).png" for i in range(1, N))],
        [f"rec_{i:04d}_12{i:02d}30.png" for i in range(N)],
    ],
)
def test_names_of_one_sequence(tmp_path: Path, names: list[str]) -> None:
    assert read(folder_of(tmp_path / "one", names)) == (len(names), "")


def test_hexadecimal_names_are_one_sequence(tmp_path: Path) -> None:
    assert read(folder_of(tmp_path / "one", [f"{i:02x}.png" for i in range(20)]))[0] == 20


def test_views_that_take_turns_are_said(tmp_path: Path) -> None:
    names = [f"{i:04d}.png" for i in range(20)]
    assert "every other picture is of another view" in read(folder_of(tmp_path / "two", names, cameras=2))[1]
    assert read(folder_of(tmp_path / "one", names)) == (20, "")
    twice = tmp_path / "twice"  # as a recorder fills up to twice the rate, with noise of compression
    twice.mkdir()
    for i in range(40):
        view = np.roll(picture(0), i // 2, 1) + np.uint8(i % 2)
        assert cv2.imwrite(str(twice / f"{i:04d}.png"), view)
    assert read(twice) == (40, "")
