"""Images that hold more than they show, and names whose order is not the alphabet's."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from test_reading import read_all

from irtrack.core import Remarks, SourceError
from irtrack.sequences import in_order
from irtrack.train.data import load_dataset

N, HEIGHT, WIDTH = 6, 20, 30
COUNTS = (np.arange(N)[:, None, None] * 100 + np.arange(HEIGHT)[:, None] * WIDTH + np.arange(WIDTH)).astype(np.uint16)
Counts = NDArray[np.uint16]


def netpbm(picture: Counts, comment: bytes = b"") -> bytes:
    return b"P5\n" + comment + f"{WIDTH} {HEIGHT}\n4095\n".encode() + picture.astype(">u2").tobytes()


def test_all_pictures_of_one_pgm(tmp_path: Path) -> None:
    code = b"".join(netpbm(p, b"# picture 1 2 3\n" * (i % 2)) for i, p in enumerate(COUNTS))
    (tmp_path / "a.pgm").write_bytes(code)
    frames, words, remarks = read_all(tmp_path / "a.pgm")
    assert (words, remarks) == ("", [])
    assert np.array_equal([f.image for f in frames], COUNTS)
    (tmp_path / "seq").mkdir()
    (tmp_path / "seq" / "1.pgm").write_bytes(netpbm(COUNTS[0]))
    (tmp_path / "seq" / "2.pgm").write_bytes(netpbm(COUNTS[1]) + b"\n" + netpbm(COUNTS[2]))
    assert np.array_equal([f.image for f in read_all(tmp_path / "seq")[0]], COUNTS[:3])
    (tmp_path / "a.pgm").write_bytes(code[:-50])
    frames, words, _ = read_all(tmp_path / "a.pgm")
    assert words or len(frames) < N


def test_counts_above_the_highest_of_a_pgm_have_their_bytes_in_the_other_order(tmp_path: Path) -> None:
    little = b"".join(netpbm(p).replace(p.astype(">u2").tobytes(), p.astype("<u2").tobytes()) for p in COUNTS)
    (tmp_path / "a.pgm").write_bytes(little)
    assert np.array_equal([f.image for f in read_all(tmp_path / "a.pgm")[0]], COUNTS)
    (tmp_path / "b.pgm").write_bytes(netpbm(COUNTS[0] + 7000))
    with pytest.raises(SourceError, match="counts above 4095"):
        read_all(tmp_path / "b.pgm")


@pytest.mark.parametrize("kind", ["jpg", "bmp", "mpo"])
def test_pictures_behind_the_first_are_said(tmp_path: Path, kind: str) -> None:
    code = cv2.imencode(".bmp" if kind == "bmp" else ".jpg", (COUNTS[0] >> 3).astype(np.uint8))[1].tobytes()
    (tmp_path / f"a.{kind}").write_bytes(code)
    assert read_all(tmp_path / f"a.{kind}")[2] == []
    (tmp_path / f"a.{kind}").write_bytes(code + code)
    frames, words, remarks = read_all(tmp_path / f"a.{kind}")
    assert (len(frames), words) == (1, "")
    assert remarks == [f"a.{kind}: further pictures stand behind the first in the file, and are not read"]


@pytest.mark.parametrize("behind", [False, True])
def test_raw_counts_of_a_camera_that_are_not_read_are_said(tmp_path: Path, behind: bool) -> None:
    """In segments of its own (DJI) or behind the picture; nothing is said of what programs for pictures write."""
    code = cv2.imencode(".jpg", (COUNTS[0] >> 3).astype(np.uint8))[1].tobytes()
    profile = b"\xff\xe2" + struct.pack(">H", 60_002) + b"ICC_PROFILE\0" + bytes(59_988)
    exif = b"\xff\xe1" + struct.pack(">H", 40_002) + b"Exif\0\0" + bytes(39_994)
    part = b"\xff\xe3" + struct.pack(">H", 40_002) + bytes(range(200)) * 200
    odd = code + bytes(range(200)) * 200 if behind else code[:2] + part + code[2:]
    for name, content in (("plain", code[:2] + exif + profile + code[2:]), ("odd", odd)):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.jpg").write_bytes(content)
    assert read_all(tmp_path / "plain")[1:] == ("", [])
    (remark,) = read_all(tmp_path / "odd")[2]
    assert "39 kB of a camera's own data stand beside the picture" in remark
    assert len(read_all(tmp_path / "odd" / "0.jpg")[2]) == 1


def metamorph(order: str) -> bytes:
    """A stack as MetaMorph writes it: one directory, planes one behind the other, a moment for each."""
    clock = b"".join(struct.pack(order + "6I", i, 1, 2_460_000, 1000 + 40 * i, 0, 0) for i in range(N))
    entries = [(256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 0),
               (277, 3, 1, 1), (278, 4, 1, HEIGHT), (279, 4, 1, 2 * WIDTH * HEIGHT), (33629, 5, N, 0)]  # fmt: skip
    first = 8 + 2 + 12 * len(entries) + 4
    places = {273: first + len(clock), 33629: first}
    table = b"".join(
        struct.pack(order + "HHI", tag, kind, count)
        + struct.pack(order + ("H2x" if kind == 3 else "I"), places.get(tag, value))
        for tag, kind, count, value in entries
    )
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, len(entries))
    return head + table + bytes(4) + clock + COUNTS.astype(order + "u2").tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
def test_all_planes_of_a_metamorph_stack_at_their_times(tmp_path: Path, order: str) -> None:
    (tmp_path / "a.stk").write_bytes(metamorph(order))
    frames, words, remarks = read_all(tmp_path / "a.stk")
    assert (words, remarks) == ("", [])
    assert np.array_equal([f.image for f in frames], COUNTS)
    assert [f.time_s for f in frames] == pytest.approx([0.04 * i for i in range(N)], abs=1e-4)
    (tmp_path / "a.stk").write_bytes(metamorph(order)[:-700])
    assert "it says that it has 6 pictures" in read_all(tmp_path / "a.stk")[1]


@pytest.mark.parametrize(
    ("about", "interval", "said"),
    [
        ("finterval=0,125", 0.125, ""), ("finterval=125\ntunit=milliseconds", 0.125, ""),
        ("fps=8.0", 0.125, "its playback, 8 a second"), ("fps=8.0\nfinterval=0.5", 0.5, ""),
    ],
)  # fmt: skip
def test_intervals_as_imagej_may_write_them(tmp_path: Path, about: str, interval: float, said: str) -> None:
    description = f"ImageJ=1.53t\nimages={N}\nframes={N}\n{about}\n"
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack", metadata=None, description=description)
    frames, _, remarks = read_all(tmp_path / "a.tif")
    assert [f.time_s for f in frames] == pytest.approx([i * interval for i in range(N)])
    assert said in " ".join(remarks)
    assert bool(said) == bool(remarks)


@pytest.mark.parametrize(
    "names",
    [
        ["rec.tif", "rec-1.tif", "rec-2.tif", "rec-10.tif"],
        ["rec.tif", "rec (2).tif", "rec (10).tif"],
        ["rec.tif", "rec2.tif", "rec10.tif"],
        ["r_MMStack.ome.tif", "r_MMStack_1.ome.tif", "r_MMStack_10.ome.tif"],
        ["1305031102.1.png", "1305031102.14.png", "1305031102.1753.png", "1305031102.3.png", "1305031103.0.png"],
        ["0009.png", "000a.png", "000f.png", "0010.png"],
        ["img2.png", "img9.png", "img10.png"],
        ["cam1b10.png", "cam1b11.png", "cam1b12.png", "cam10b1.png"],
        ["v1.2.png", "v1.9.png", "v1.10.png"],
    ],
    ids=lambda names: names[1],
)
def test_the_order_that_names_mean(names: list[str]) -> None:
    assert [p.name for p in in_order(Path("a") / n for n in sorted(names))] == names


def test_a_labelled_image_of_several_pictures_is_said(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:7, 5:8] = 255
    cv2.imwrite(str(tmp_path / "masks" / "0.png"), mask)
    tifffile.imwrite(tmp_path / "images" / "0.tif", COUNTS, photometric="minisblack")
    remarks = Remarks()
    assert np.array_equal(load_dataset(tmp_path, remarks=remarks)[0].image, COUNTS[0])
    assert remarks.lines() == ["images that hold several pictures, of which the first was read"]


def test_an_animated_webp_whose_pictures_are_what_changed(tmp_path: Path) -> None:
    """Such files, as most programs write them, hold of each picture what is not as it was; the rest is transparent."""
    stills = [np.full((HEIGHT, WIDTH, 3), 50, np.uint8) for _ in range(N)]
    for i, still in enumerate(stills):
        still[4:8, 4 * i : 4 * i + 4] = 200
    images = [Image.fromarray(still) for still in stills]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=40, lossless=True)
    frames, words, remarks = read_all(tmp_path / "a.webp")
    assert (words, remarks) == ("", [])
    assert np.array_equal([f.image for f in frames], [still[:, :, 0] for still in stills])


def test_what_is_transparent_in_a_gif_is_dark(tmp_path: Path) -> None:
    stills = [(COUNTS[0] % 200).astype(np.uint8) + 1 + i for i in range(N)]
    for still in stills:
        still[3:5] = 0
    images = [Image.fromarray(still) for still in stills]
    rest = {"save_all": True, "append_images": images[1:], "duration": 40}
    images[0].save(tmp_path / "a.gif", disposal=2, transparency=0, **rest)
    found = [f.image for f in read_all(tmp_path / "a.gif")[0]]
    assert np.array_equal(found, stills)


def test_a_folder_is_no_picture_whatever_it_is_called(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), COUNTS[i])
    (tmp_path / "1.5.png").mkdir()
    frames, words, remarks = read_all(tmp_path)
    assert (words, remarks) == ("", [])
    assert np.array_equal([f.image for f in frames], COUNTS[:3])
