"""Labelled sets as people have them: depths, masks, names and lists; and what is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from irtrack.build import load_detector
from irtrack.cli import main
from irtrack.config import DetectorSettings
from irtrack.core import Remarks
from irtrack.simulate import Scene, scene_from_text
from irtrack.train.data import DatasetError, load_dataset, read_list
from irtrack.train.masks import MaskError, marked, read_mask


@pytest.fixture(scope="module")
def scene16() -> Scene:
    return Scene(scene_from_text("camera16,width=112,height=80,frames=3,targets=3,scr=20,seed=4"))


def write_set(
    folder: Path, images: list[NDArray[np.uint16]], masks: list[NDArray[np.bool_]], names: list[str] | None = None
) -> Path:
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = names[i] if names else f"{i:03d}"
        for kind, picture in (("images", image), ("masks", mask.astype(np.uint8) * 255)):
            (folder / kind / f"{name}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return folder


def of_scene(folder: Path, scene: Scene, names: list[str] | None = None) -> Path:
    count = range(scene.settings.frames)
    return write_set(folder, [scene.image(i) for i in count], [scene.mask(i) for i in count], names)


def test_16_bit_images_are_seen_as_the_detector_sees_them(
    tmp_path: Path, scene16: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are those of the detector's own masks on these images, where it looks once as the literature does."""
    folder = of_scene(tmp_path / "set", scene16)
    settings = DetectorSettings(weights="datransnet-s", device="cpu", backend="torch", mode="exact", closer=False)
    detector = load_detector(settings)
    both = either = 0
    for i in range(3):
        detector.forget()
        found = detector.scores(scene16.image(i)) > 0.5
        both, either = both + int((found & scene16.mask(i)).sum()), either + int((found | scene16.mask(i)).sum())
    assert (
        main(["evaluate", "--data", str(folder), "--weights", "datransnet-s", "--worst", str(tmp_path / "w.png")]) == 0
    )
    said = capsys.readouterr().out
    assert f"IoU {100 * both / either:.2f}" in said
    assert both / either > 0.3
    levels = [s.in_levels().image for s in load_dataset(folder)]
    assert all(image.dtype == np.uint8 and len(np.unique(image)) > 60 for image in levels), "what is trained on"


def test_images_that_lost_their_depth_are_refused(tmp_path: Path, scene16: Scene) -> None:
    images = [(scene16.image(i) >> 8).astype(np.uint8) for i in range(3)]
    folder = write_set(tmp_path / "set", images, [scene16.mask(i) for i in range(3)])  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"000\.png has only \d+ grey levels"):
        load_dataset(folder)


SPOT = np.zeros((20, 30), bool)
SPOT[4:7, 10:12] = True


def coloured(back: tuple[int, ...], target: tuple[int, ...], mask: NDArray[np.bool_] = SPOT) -> NDArray[np.uint8]:
    return np.where(mask[:, :, None], np.uint8(target), np.uint8(back))


MASKS = {
    "0 and 1": SPOT.astype(np.uint8),
    "0 and 255": SPOT.astype(np.uint8) * 255,
    "0 and 128": SPOT.astype(np.uint8) * 128,
    "1 and 2": SPOT.astype(np.uint8) + 1,
    "16 bits, 0 and 1": SPOT.astype(np.uint16),
    "16 bits": SPOT.astype(np.uint16) * 65535,
    "inverted": 255 - SPOT.astype(np.uint8) * 200,
    "red on black": coloured((0, 0, 0), (0, 0, 128)),
    "two colours": coloured((84, 1, 68), (36, 231, 253)),
    "alpha that says nothing": coloured((0, 0, 0, 255), (255, 255, 255, 255)),
    "alpha alone": coloured((255, 255, 255, 0), (255, 255, 255, 255)),
    "numbered objects": np.where(np.arange(30) > 10, 2, 1) * SPOT.astype(np.uint8),
    "a soft edge": cv2.GaussianBlur(SPOT.astype(np.uint8) * 255, (3, 3), 0.35),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_any_values(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.png"
    cv2.imwrite(str(path), MASKS[name])
    assert np.array_equal(read_mask(path, Remarks()), SPOT)


def test_a_palette_is_read_by_its_colours(tmp_path: Path) -> None:
    """PNG with a palette, written by hand: index 1 is dark red, as in Pascal VOC."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.tobytes() for row in SPOT.astype(np.uint8))
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 3, 0, 0, 0)), chunk(b"PLTE", b"\0\0\0\x80\0\0")]
    path = tmp_path / "m.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert np.array_equal(read_mask(path, Remarks()), SPOT)


LARGE = np.zeros((20, 30), bool)
LARGE[10:16, 18:25] = True
AROUND = cv2.dilate(SPOT.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)


@pytest.mark.parametrize(
    ("values", "say"),
    [
        (np.full((20, 30), 255), "255 all over"),
        (np.where(SPOT, 0, 255), "more than half"),
        (np.where(SPOT, 1, 0) + 254 * SPOT[:, ::-1] + 1 * SPOT[:, ::-1], "beside 255"),
        (np.arange(600).reshape(20, 30) % 100 + 1, "holds 100 values"),
        (np.where(LARGE, 128, 0) + 255 * SPOT, "has areas of 128 beside 255"),
        (np.where(LARGE, 192, 0) + 255 * SPOT, "has areas of 192 beside 255"),
        (np.where(AROUND, 128, 0) + 127 * SPOT, "has areas of 128 beside 255"),
        (128 * SPOT + 255 * SPOT[:, ::-1], "has areas of 128 beside 255"),
        (np.where(LARGE, 40000, 0) + 65535 * SPOT, "has areas of 40000 beside 65535"),
        (255 - cv2.GaussianBlur(SPOT.astype(np.uint8) * 255, (3, 3), 0.35).astype(np.int64), "is not dark"),
        (np.arange(600).reshape(20, 30) * 255 // 599, "most of it is not dark"),
    ],
)
def test_masks_that_do_not_say_what_is_marked_are_refused(values: NDArray[np.int64], say: str) -> None:
    with pytest.raises(MaskError, match=say):
        marked(values, False, Remarks())


@pytest.mark.parametrize("side", [1.5, 3.3, 6.0, 11.0])
@pytest.mark.parametrize("soft", ["blurred", "halved", "turned"])
def test_soft_edges_are_no_classes(side: float, soft: str) -> None:
    """Objects of some pixels as tools for labelling write them, at any place in the pixels."""
    rng = np.random.default_rng(round(10 * side))
    for _ in range(8):
        drawn = np.zeros((80, 120), np.uint8)
        corners = rng.uniform(20, 60, 2) + np.array([[0, 0], [side, 0], [side, side], [0, side]])
        cv2.fillPoly(drawn, [np.round(256 * corners).astype(np.int32)], 255, cv2.LINE_AA, 8)
        if soft == "blurred":
            drawn = cv2.GaussianBlur(drawn, (0, 0), 0.8).astype(np.uint8)
        elif soft == "halved":
            drawn = cv2.resize(drawn, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)
        else:
            turn = cv2.getRotationMatrix2D((60, 40), 31, 1)
            drawn = cv2.warpAffine(drawn, turn, (120, 80), flags=cv2.INTER_LINEAR).astype(np.uint8)
        assert marked(drawn.astype(np.int64), False, Remarks()).any() or side < 3


def test_a_jpeg_of_zeros_and_ones_is_no_mask(tmp_path: Path) -> None:
    """Its edges are gone: 31 pixels of 25."""
    mask = np.zeros((40, 40), np.uint8)
    mask[10:15, 20:25] = 1
    cv2.imwrite(str(tmp_path / "a.jpg"), mask)
    with pytest.raises(MaskError, match="whose edges were lost"):
        read_mask(tmp_path / "a.jpg", Remarks())
    cv2.imwrite(str(tmp_path / "a.jpg"), 255 * mask)
    assert read_mask(tmp_path / "a.jpg", Remarks()).sum() == 25


def test_a_set_without_a_target_is_refused(tmp_path: Path, scene16: Scene) -> None:
    folder = write_set(tmp_path / "set", [scene16.image(i) for i in range(3)], [np.zeros((80, 112), bool)] * 3)
    with pytest.raises(DatasetError, match="none of 3 masks marks a target"):
        load_dataset(folder)
    assert main(["train", "--data", str(folder), "--out", str(tmp_path / "run")]) == 1


def test_leavings_of_a_mac_are_passed_over(tmp_path: Path, scene16: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    folder = of_scene(tmp_path / "set", scene16)
    for kind in ("images", "masks"):
        for i in range(3):
            (folder / kind / f"._{i:03d}.png").write_bytes(b"\0\x05\x16\x07" + bytes(94))
    assert main(["evaluate", "--data", str(folder), "--weights", "datransnet-s"]) == 0
    said = capsys.readouterr()
    assert "images 3 " in said.out
    assert "hidden files in images/" in said.err
    assert main(["evaluate", "--data", str(folder), "--weights", "datransnet-s", "--strict"]) == 1


LISTS = {
    "spaces": "cam 1 000\ncam 1 001\n",
    "suffixes": "cam 1 000.PNG\ncam 1 001.png\n",
    "folders": "images/cam 1 000.png\n.\\images\\cam 1 001.png\n",
    "lines of Windows": "cam 1 000\r\ncam 1 001\r\n",
    "comments": "# two of three\n\ncam 1 000\n  cam 1 001  \n",
    "quotes": '"cam 1 000"\n"cam 1 001"\n',
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_lists_of_names(tmp_path: Path, scene16: Scene, name: str, encoding: str) -> None:
    folder = of_scene(tmp_path / "set", scene16, [f"cam 1 {i:03d}" for i in range(3)])
    (folder / "img_idx").mkdir()
    (folder / "img_idx" / "some.txt").write_bytes(LISTS[name].encode(encoding))
    assert [s.name for s in load_dataset(folder, "some")] == ["cam 1 000", "cam 1 001"]


def test_several_names_in_a_line(tmp_path: Path) -> None:
    known = {"a": 1, "b": 1, "c": 1}
    for text in ("a b\nc", "a, b,c", "a\tb\tc\n", "images/a.png masks/a.png\nimages/b.png masks/b.png\nc"):
        (tmp_path / "l.txt").write_text(text)
        assert read_list(tmp_path, "l", known) == ["a", "b", "c"]
    (tmp_path / "l.txt").write_text("a\nno such name\n")
    assert read_list(tmp_path, "l", known) == ["a", "no such name"]
    (tmp_path / "img_idx").mkdir()
    (tmp_path / "img_idx" / "test_idx427.txt").write_text("a")
    with pytest.raises(DatasetError, match="did you mean 'test_idx427'"):
        read_list(tmp_path, "test_idx472", known)


@pytest.mark.parametrize("on_disk", ["caf\u00e9".encode(), "cafe\u0301".encode(), b"caf\xe9"])
@pytest.mark.parametrize("in_list", ["caf\u00e9".encode(), "cafe\u0301".encode(), b"caf\xe9"])
def test_names_of_other_systems(tmp_path: Path, scene16: Scene, on_disk: bytes, in_list: bytes) -> None:
    """UTF-8 of Linux, of a Mac, and Latin-1: the same name, whichever is on disk and in the list."""
    folder = of_scene(tmp_path / "set", scene16, [os.fsdecode(on_disk), "1", "2"])
    (folder / "img_idx").mkdir()
    (folder / "img_idx" / "l.txt").write_bytes(in_list + b"\n1\n")
    assert [s.name for s in load_dataset(folder, "l")] == ["caf\u00e9", "1"]


def test_two_images_of_one_name_are_refused(tmp_path: Path, scene16: Scene) -> None:
    folder = of_scene(tmp_path / "set", scene16)
    (folder / "masks" / "001.PNG").write_bytes((folder / "masks" / "001.png").read_bytes())
    with pytest.raises(DatasetError, match=r"001\.PNG and 001\.png"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("case", "split", "right"),
    [
        ("apple-double", "", ("images 8 targets 16",)),
        ("masks-0-1", "", ("targets 18", "Pd 100.00")),
        ("split-list-names", "test", ("images 4 ",)),
        ("split-list-names", "upper", ("images 4 ",)),
        ("train-16bit", "", ("targets 15", "Pd 100.00", "Fa_1e-6 0.00")),
    ],
)
def test_the_reported_cases(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, split: str, right: tuple[str, ...]
) -> None:
    """The masks, of any two values, are compared with what `irtrack detect` sees in these very images."""
    folder = data / "cases" / case / "set"
    if not folder.is_dir():
        pytest.skip("the reported cases are not there")
    code = main(["evaluate", "--data", str(folder), "--split", split, "--weights", "datransnet-s"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert all(text in said.out for text in right), said.out
    if split or case == "apple-double":
        return
    assert main(["detect", str(folder / "images"), "--out", str(tmp_path), "--weights", "datransnet-s"]) == 0
    found = [cv2.imread(str(tmp_path / p.name), cv2.IMREAD_UNCHANGED) > 0 for p in sorted((folder / "masks").iterdir())]
    truth = [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) > 0 for p in sorted((folder / "masks").iterdir())]
    both, either = (
        sum(f(a, b).sum() for a, b in zip(found, truth, strict=True)) for f in (np.bitwise_and, np.bitwise_or)
    )
    assert f"IoU {100 * both / either:.2f}" in said.out


def trained(out: Path, *options: str) -> int:
    return main(["train", "--init", "datransnet-s", "--out", str(out), "--workers", "0", "--set", "steps=1", "batch=1",
                 "crop=32", "native=false", *options])  # fmt: skip


def other_scene(seed: int) -> Scene:
    return Scene(scene_from_text(f"sky,width=64,height=64,frames=4,targets=2,scr=20,drift_px_s=200,seed={seed}"))


def test_sets_of_one_name_are_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, sky = (of_scene(tmp_path / name / "set", other_scene(i)) for i, name in enumerate("abc"))
    assert trained(tmp_path / "run", "--data", str(one), str(two), "--negatives", str(sky)) == 0
    said = capsys.readouterr()
    for name in ("set", "b/set", "c/set"):
        assert f"read {name}: 4 images" in said.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "{a}", "{a}"), "is given twice"),
        (("--data", "{a}", "--negatives", "{a}"), "with targets: negatives are images without any"),
        (("--data", "{a}", "--negatives", "{a}/images"), "with targets: negatives are images without any"),
        (("--data", "{b}", "--val", "{a}", "--negatives", "{a}/images"), "with targets: negatives are images"),
        (("rate=0", "--data", "{a}"), "rate = 0"),
        (("rate=5", "--data", "{a}"), "rate = 5"),
        (("ema=1", "--data", "{a}"), "ema = 1"),
    ],
)
def test_a_training_that_cannot_be_meant_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    sets = {name: of_scene(tmp_path / name, other_scene(i)) for i, name in enumerate("ab")}
    assert trained(tmp_path / "run", *(option.format_map(sets) for option in options)) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_images_in_the_place_of_masks_are_refused(tmp_path: Path) -> None:
    folder = of_scene(tmp_path / "set", other_scene(0))
    dark = np.zeros((64, 64), np.uint8)
    dark[20:23, 30:32] = 200
    dark += np.random.default_rng(0).integers(0, 15, dark.shape).astype(np.uint8)
    for kind in ("images", "masks"):
        cv2.imwrite(str(folder / kind / "000.png"), dark)
    with pytest.raises(DatasetError, match="is the image itself"):
        load_dataset(folder)
