"""Files of thermal cameras: raw counts bit for bit against the same frames in another format, and damage."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from irtrack.capture import open_source
from irtrack.capture.flir import celsius_of, decode, find_blocks
from irtrack.capture.pictures import read_image
from irtrack.core import Clock, Detections, Frame, FrameResult, Source, SourceError, Track, TrackStatus
from irtrack.imaging.radiometry import Radiometry
from irtrack.session.series import SERIES
from irtrack.session.store import ResultStore


def read_all(source: Source) -> tuple[list[Frame], str]:
    """Frames, and what is said at the end."""
    frames: list[Frame] = []
    try:
        frames.extend(source)
    except SourceError as error:
        return frames, str(error)
    finally:
        source.close()
    return frames, ""


@pytest.fixture(scope="module")
def raw16() -> Path:
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw16"
    if not folder.is_dir():
        pytest.skip("the samples of thermal cameras are not here")
    return folder


@pytest.mark.parametrize("name", ["lepton3_160x120_u16_v2", "lepton3_possum"])
def test_cptv_equals_the_same_frames_as_tiff(raw16: Path, name: str) -> None:
    source = open_source(str(raw16 / f"{name}.cptv"))
    frames = list(source)
    expected = tifffile.imread(raw16 / f"{name}.tif")
    expected = expected[len(expected) - source.info.frames :]  # one begins with a background that no camera saw
    assert len(expected) > 90
    assert source.info.bits == 16
    assert source.info.frames == len(frames) == len(expected)
    assert np.array_equal(np.stack([f.image for f in frames]), expected)
    steps = np.diff([f.time_s for f in frames])
    assert (steps > 0).all()
    assert np.median(steps) == pytest.approx(1 / 9, rel=0.1)
    source.seek(40)
    assert np.array_equal(next(iter(source)).image, expected[40])


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("flir_SampleSEQ.seq", (480, 640), 2),
        ("flir_SampleCSQ.csq", (768, 1024), 7),  # the eighth is cut off
        ("flirpy_frame.fff", (512, 640), 1),
        ("flirpy_frame_le.fff", (240, 320), 1),
        ("flir_E60_rjpeg_CC0_car.jpg", (240, 320), 1),
        ("flir_i7_rjpeg_CC0_ducks.jpg", (120, 120), 1),
    ],
)
def test_flir_files_give_pictures_in_counts(raw16: Path, name: str, size: tuple[int, int], count: int) -> None:
    source = open_source(str(raw16 / name))
    frames, words = read_all(source)
    assert ("cut short: 7 whole pictures" in words) == name.endswith(".csq")
    assert len(frames) == count == source.info.frames
    for f in frames:
        assert f.image.shape == size
        assert f.image.dtype == np.uint16
        # A picture, not noise or swapped bytes: neighbours differ far less than the picture spans.
        image = f.image.astype(float)
        assert np.abs(np.diff(image, axis=1)).mean() < 0.05 * (image.max() - image.min())
    source.close()


def test_csq_has_the_times_of_the_camera(raw16: Path) -> None:
    times = [f.time_s for f in read_all(open_source(str(raw16 / "flir_SampleCSQ.csq")))[0]]
    assert np.allclose(np.diff(times), 1 / 30, atol=1e-3)
    given = open_source(str(raw16 / "flir_SampleCSQ.csq"), fps=9)
    assert given.info.clock is Clock.GIVEN
    assert [f.time_s for f in read_all(given)[0]] == pytest.approx([i / 9 for i in range(7)])


def fff(pixels: np.ndarray, order: str = "<", payload: bytes | None = None) -> bytes:  # type: ignore[type-arg]
    """A block with one picture, header in one byte order and pixels little-endian."""
    height, width = pixels.shape
    body = pixels.astype("<u2").tobytes() if payload is None else payload
    raw = (b"\x02\x00" + struct.pack("<HH", width, height)).ljust(32, b"\0") + body
    header = b"FFF\0" + b"test".ljust(16, b"\0") + struct.pack(order + "III", 100, 64, 1)
    entry = struct.pack(order + "HHIIII", 1, 0, 100, 0, 96, len(raw))
    return header.ljust(64, b"\0") + entry.ljust(32, b"\0") + raw


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["plain", "png", "jpeg-ls"])
def test_blocks_of_either_order_and_coding(tmp_path: Path, order: str, kind: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 65535, (12, 20)).astype(np.uint16)
    payload = {
        "plain": None,
        "png": imagecodecs.png_encode(pixels.byteswap()),
        "jpeg-ls": imagecodecs.jpegls_encode(pixels),
    }[kind]
    path = tmp_path / "two.seq"
    path.write_bytes(fff(pixels, order, payload) + b"between" + fff(pixels + 1, order))
    frames = list(open_source(str(path), fps=10))
    assert [f.time_s for f in frames] == [0.0, 0.1]
    assert open_source(str(path), fps=10).info.clock is Clock.GIVEN
    assert open_source(str(path)).info.clock is Clock.ASSUMED
    assert np.array_equal(frames[0].image, pixels)
    assert np.array_equal(frames[1].image, pixels + 1)


@pytest.mark.parametrize("swapped", [False, True])
def test_counts_as_png_in_either_order_of_bytes(tmp_path: Path, swapped: bool) -> None:
    """FLIR's are little-endian; PNG itself is not, and so are those of whoever wrote them by a library."""
    pixels = (7900 + 3 * np.arange(20)[:, None] + 5 * np.arange(30)).astype(np.uint16)
    stored = pixels.byteswap() if swapped else pixels
    (tmp_path / "a.fff").write_bytes(fff(pixels, payload=imagecodecs.png_encode(stored)))
    assert np.array_equal(next(iter(open_source(str(tmp_path / "a.fff")))).image, pixels)


def test_a_radiometric_jpeg_gives_its_counts_and_a_plain_one_its_grey(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30) * 50
    block = fff(pixels)
    parts = [block[:500], block[500:]]
    plain = imagecodecs.jpeg8_encode(np.full((40, 60), 90, np.uint8))
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(p) + 10) + b"FLIR\0\x01" + bytes([i, 1]) + p for i, p in enumerate(parts)
    )
    (tmp_path / "thermal.jpg").write_bytes(plain[:2] + segments + plain[2:])
    (tmp_path / "plain.jpg").write_bytes(plain)
    assert np.array_equal(next(iter(open_source(str(tmp_path / "thermal.jpg")))).image, pixels)
    assert next(iter(open_source(str(tmp_path / "plain.jpg")))).image.shape == (40, 60)


@pytest.mark.parametrize("name", ["broken.seq", "broken.cptv", "broken.fff"])
def test_what_is_no_recording_is_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"FFF\0 this is no recording" * 20)
    with pytest.raises(SourceError, match="damaged") as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)


def test_recordings_cut_short_give_what_is_whole_and_say_so(raw16: Path, tmp_path: Path) -> None:
    seq = (raw16 / "flir_SampleSEQ.seq").read_bytes()
    (tmp_path / "cut.seq").write_bytes(seq[: len(seq) - 200_000])
    frames, words = read_all(open_source(str(tmp_path / "cut.seq")))
    assert len(frames) == 1
    assert "cut short: 1 whole pictures" in words


@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_a_cptv_that_is_cut_gives_what_it_holds(raw16: Path, tmp_path: Path, share: float) -> None:
    content = (raw16 / "lepton3_possum.cptv").read_bytes()
    (tmp_path / "cut.cptv").write_bytes(content[: int(len(content) * share)])
    whole = list(open_source(str(raw16 / "lepton3_possum.cptv")))
    source = open_source(str(tmp_path / "cut.cptv"))
    frames, words = read_all(source)
    assert "cut short" in words
    assert 0.7 * share * len(whole) <= len(frames) == source.info.frames < len(whole) + (share > 0.99)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, whole, strict=False))
    assert [f.time_s for f in frames] == [f.time_s for f in whole[: len(frames)]]


def test_a_cptv_of_absurd_size_or_a_byte_too_short(raw16: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.cptv"
    content = gzip.decompress((raw16 / "lepton3_possum.cptv").read_bytes())
    path.write_bytes(gzip.compress(content))
    whole, words = read_all(open_source(str(path)))
    assert not words
    path.write_bytes(gzip.compress(content[:-1]))  # the package would take the missing bits for zeros
    frames, words = read_all(open_source(str(path)))
    assert len(frames) == len(whole) - 1
    assert "cut short" in words
    assert content.count(b"X" + struct.pack("<I", 160)) == 1
    path.write_bytes(gzip.compress(content.replace(b"X" + struct.pack("<I", 160), b"X" + struct.pack("<I", 160_000))))
    with pytest.raises(SourceError, match="160000x120 pixels"):
        open_source(str(path))


def test_a_seq_that_is_cut_while_it_is_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "shrinks.seq"
    path.write_bytes(b"".join(fff(np.full((40, 60), i, np.uint16)) for i in range(50)))
    source = open_source(str(path))
    frames = iter(source)
    next(frames)
    path.write_bytes(path.read_bytes()[:9000])  # a mapped file would end the process here with SIGBUS
    with pytest.raises(SourceError, match="cut while it was read"):
        list(frames)
    source.close()


@pytest.mark.parametrize("coded", [imagecodecs.png_encode, imagecodecs.jpegls_encode])
def test_colour_and_absurd_sizes_inside_fff(tmp_path: Path, coded: Callable[..., bytes]) -> None:
    (tmp_path / "rgb.fff").write_bytes(fff(np.zeros((8, 9), np.uint16), payload=coded(np.zeros((8, 9, 3), np.uint8))))
    with pytest.raises(SourceError, match="in colour"):
        open_source(str(tmp_path / "rgb.fff"))
    png = bytearray(imagecodecs.png_encode(np.zeros((8, 9), np.uint16)))
    png[16:24] = struct.pack(">II", 60000, 60000)
    (tmp_path / "big.fff").write_bytes(fff(np.zeros((8, 9), np.uint16), payload=bytes(png)))
    with pytest.raises(SourceError, match="60000x60000"):
        open_source(str(tmp_path / "big.fff"))


def test_damaged_pixels_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        decode(fff(np.zeros((4, 4), np.uint16))[96:120].ljust(40, b"\0"))
    assert find_blocks(BytesIO(b"FFF\0")) == ([], True)


def radiometric(path: Path, counts: np.ndarray, view: np.ndarray) -> None:  # type: ignore[type-arg]
    """A JPEG with counts in its APP1 segments."""
    block, plain = fff(counts), imagecodecs.jpeg8_encode(view)
    parts = [block[i : i + 700] for i in range(0, len(block), 700)]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(p) + 10) + b"FLIR\0\x01" + bytes([i, len(parts) - 1]) + p
        for i, p in enumerate(parts)
    )
    path.write_bytes(plain[:2] + segments + plain[2:])


def test_radiometric_jpegs_give_counts_alone_in_a_folder_and_by_a_glob(tmp_path: Path) -> None:
    true = [np.arange(600, dtype=np.uint16).reshape(20, 30) * 50 + i for i in range(3)]
    for i, counts in enumerate(true):
        radiometric(tmp_path / f"IR_{i}.jpg", counts, np.full((40, 60, 3), 90, np.uint8))
    for text in (str(tmp_path), str(tmp_path / "*.jpg")):
        frames = list(open_source(text))
        assert all(np.array_equal(f.image, t) for f, t in zip(frames, true, strict=True))
    assert np.array_equal(read_image(tmp_path / "IR_1.jpg"), true[1])
    code = (tmp_path / "IR_1.jpg").read_bytes()
    (tmp_path / "IR_1.jpg").write_bytes(code.replace(b"FLIR\0\x01\x01", b"FLIX\0\x01\x01"))  # a part is missing
    with pytest.raises(SourceError, match=r"IR_1\.jpg.*raw counts are missing|IR_1\.jpg.*do not fit"):
        read_image(tmp_path / "IR_1.jpg")


# -- degrees ----------------------------------------------------------------------------------------------------------


def test_degrees_are_those_that_the_camera_drew_into_its_picture(raw16: Path) -> None:
    """The cameras drew the ends of their colours: -3 and 12 degrees Celsius; 45 and 64 degrees Fahrenheit. The i7 also
    drew the warmest place in its box, 72.7 degrees Fahrenheit, a moment before."""
    car = open_source(str(raw16 / "flir_E60_rjpeg_CC0_car.jpg"))
    frame = read_all(car)[0][0]
    assert frame.celsius is not None
    assert np.percentile(frame.celsius(frame.image), (0.5, 99)) == pytest.approx((-3, 12), abs=0.6)
    ducks = open_source(str(raw16 / "flir_i7_rjpeg_CC0_ducks.jpg"))
    frame = read_all(ducks)[0][0]
    assert frame.celsius is not None
    fahrenheit = frame.celsius(frame.image) * 9 / 5 + 32
    assert np.percentile(fahrenheit, (0, 99.5)) == pytest.approx((45, 64), abs=1.5)
    assert fahrenheit[40:80, 40:80].max() == pytest.approx(72.7, abs=1.5)


RECORDINGS = ("flir_SampleSEQ.seq", "flir_SampleCSQ.csq", "flirpy_frame.fff", "flirpy_frame_le.fff")


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_have_degrees_too(raw16: Path, name: str) -> None:
    source = open_source(str(raw16 / name))
    frame = read_all(source)[0][0]
    image = frame.image
    assert frame.celsius is not None
    degrees = frame.celsius(image)
    assert degrees.shape == image.shape
    assert -45 < np.nanmedian(degrees) < 60
    order = np.argsort(image, axis=None)
    assert (np.diff(degrees.ravel()[order]) >= 0).all()  # more counts are warmer


def test_a_black_body_near_by_has_its_own_temperature() -> None:
    camera = Radiometry(16000.0, 0.011, 1420.0, 1.0, -6000.0)
    for kelvin in (253.15, 293.15, 393.15):
        assert camera(camera.counts(kelvin)) == pytest.approx(kelvin - 273.15, abs=1e-6)
    air = (0.006569, 0.01262, -0.002276, -0.00667, 1.9)
    far = replace(camera, distance_m=500.0, air=air, emissivity=0.9, window=0.8)
    assert 0 < far.transmission < 1
    assert far(far.counts(293.15)) == pytest.approx(20.0, abs=1e-6)  # all round is as warm
    assert far(camera.counts(320.0)) > 320 - 273.15  # what arrived has lost some of it
    assert np.isnan(camera([-1e9]))[0]
    assert not replace(camera, emissivity=0.0).sound
    assert not replace(camera, b=float("nan")).sound


def test_a_file_without_constants_has_no_degrees(raw16: Path, tmp_path: Path) -> None:
    whole = (raw16 / "flirpy_frame.fff").read_bytes()
    (block, *_), _ = find_blocks(BytesIO(whole))
    assert block.camera is not None
    start = block.camera[0]
    (tmp_path / "bare.fff").write_bytes(whole[: start + 0x58] + bytes(12) + whole[start + 0x64 :])
    assert read_all(open_source(str(tmp_path / "bare.fff")))[0][0].celsius is None
    assert next(iter(open_source(str(raw16 / "lepton3_possum.cptv")))).celsius is None


def with_emissivity(code: bytes, emissivity: float) -> bytes:
    """A radiometric JPEG whose measurement was made with another emissivity."""
    before = celsius_of(code)
    assert before is not None
    old = struct.pack("<f", before.emissivity) + struct.pack("<f", before.distance_m)
    assert code.count(old) == 1
    return code.replace(old, struct.pack("<f", emissivity) + struct.pack("<f", before.distance_m))


def test_every_picture_of_a_folder_has_its_own_degrees(raw16: Path, tmp_path: Path) -> None:
    """A time lapse whose operator changed the emissivity: degrees are those that each file alone has, in any order."""
    code = (raw16 / "flir_E60_rjpeg_CC0_car.jpg").read_bytes()
    for i, emissivity in enumerate((0.95, 0.95, 0.6)):
        (tmp_path / f"IR_{i}.jpg").write_bytes(with_emissivity(code, emissivity))
    frames = list(open_source(str(tmp_path)))
    alone = [next(iter(open_source(str(tmp_path / f"IR_{i}.jpg")))) for i in range(3)]
    for frame, other in zip(frames, alone, strict=True):
        assert frame.celsius is not None
        assert other.celsius is not None
        np.testing.assert_array_equal(frame.celsius(frame.image), other.celsius(other.image))
    assert frames[0].celsius == frames[1].celsius != frames[2].celsius
    source = open_source(str(tmp_path / "*.jpg"))
    source.seek(2)
    assert next(iter(source)).celsius == frames[2].celsius


def test_series_have_the_degrees_of_each_picture() -> None:
    store, camera = ResultStore(), Radiometry(16000.0, 0.011, 1420.0, 1.0, -6000.0)
    for i, celsius in enumerate((camera, replace(camera, emissivity=0.5), None)):
        image = np.full((20, 20), 12_000, np.uint16)
        track = Track(1, TrackStatus.CONFIRMED, np.array([9.0, 9.0]), np.zeros(2), np.eye(4), 0.0, 0, None, (3.0, 3.0),
                      9.0, 0.9, 5.0, np.zeros((1, 2)))  # fmt: skip
        store.add(FrameResult(Frame(i, i / 9, image, celsius=celsius), Detections.empty(), (track,), {}))
    series = store.series(1)
    assert series[:, SERIES.index("brightness")].tolist() == [12_000] * 3
    first, second, third = series[:, SERIES.index("celsius")]
    assert first == camera(12_000)
    assert second == replace(camera, emissivity=0.5)(12_000) != first
    assert np.isnan(third)
