"""One suite for every source of recordings: order, count, times, seeking, end, close; then what is damaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tifffile

from irtrack.capture import open_source, redact
from irtrack.capture.grey import expand_limited
from irtrack.core import Frame, Source, SourceError
from irtrack.simulate import Scene
from irtrack.sinks.lossless import write_images, write_video

N = 20
VFR_PTS = [0, 40, 90, 100, 200, 230, 280, 330, 400, 410, 480, 520, 600, 640, 690, 740, 800, 860, 900, 990]


def encode(path: Path, images: list[np.ndarray], codec: str, pix_fmt: str, pts: list[int] | None = None, gop: int = 7,  # type: ignore[type-arg]
           source_format: str = "gray", **options: str) -> None:  # fmt: skip
    """Write a video; `pts` in milliseconds makes its rate variable."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.options = options
        stream.bit_rate = 4_000_000
        stream.codec_context.gop_size = gop
        if pts is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source_format)
            frame.pts = i if pts is None else pts[i]
            frame.time_base = Fraction(1, 25) if pts is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def coded(scene: Scene, index: int) -> np.ndarray:  # type: ignore[type-arg]
    """A frame of the scene with its number burnt in as five blocks, which survive any codec."""
    image = scene.image(index).copy()
    for bit in range(5):
        image[:14, 16 * bit : 16 * bit + 16] = 220 if index >> bit & 1 else 30
    return image


def images_of(scene: Scene) -> list[np.ndarray]:  # type: ignore[type-arg]
    return [coded(scene, i) for i in range(N)]


def make_mp4(scene: Scene, folder: Path) -> str:
    encode(folder / "a.mp4", images_of(scene), "libx264", "yuv420p", bf="3")
    return str(folder / "a.mp4")


def make_vfr(scene: Scene, folder: Path) -> str:
    encode(folder / "v.mp4", images_of(scene), "libx264", "yuv420p", VFR_PTS, bf="2")
    return str(folder / "v.mp4")


def make_ts(scene: Scene, folder: Path) -> str:
    encode(folder / "a.ts", images_of(scene), "mpeg2video", "yuv420p", bf="2")
    return str(folder / "a.ts")


def make_avi(scene: Scene, folder: Path) -> str:
    encode(folder / "a.avi", images_of(scene), "mpeg4", "yuv420p")
    return str(folder / "a.avi")


def make_mkv(scene: Scene, folder: Path) -> str:
    write_video(folder / "a.mkv", images_of(scene), 25.0)
    return str(folder / "a.mkv")


def make_mkv16(scene: Scene, folder: Path) -> str:
    write_video(folder / "b.mkv", [i.astype(np.uint16) * 60 + 3 for i in images_of(scene)], 25.0)
    return str(folder / "b.mkv")


def make_folder(scene: Scene, folder: Path) -> str:
    (folder / "png").mkdir()
    for i, image in enumerate(images_of(scene)):  # img2 must come before img10
        cv2.imwrite(str(folder / "png" / f"img{i}.png"), image)
    return str(folder / "png")


def make_glob16(scene: Scene, folder: Path) -> str:
    write_images(folder / "tif", [i.astype(np.uint16) * 60 + 3 for i in images_of(scene)], False)
    return str(folder / "tif" / "*.png")


def make_tiff(scene: Scene, folder: Path) -> str:
    tifffile.imwrite(folder / "s.tif", np.stack(images_of(scene)).astype(np.uint16) * 60 + 3, photometric="minisblack")
    return str(folder / "s.tif")


def make_imagej(scene: Scene, folder: Path) -> str:
    tifffile.imwrite(folder / "j.tif", np.stack(images_of(scene)).astype(np.uint16) * 60 + 3, imagej=True)
    return str(folder / "j.tif")


def make_sim(scene: Scene, folder: Path) -> str:
    return "sim:sky,width=96,height=80,frames=20,targets=3,scr=14,seed=5,speed_px_s=45"


MAKERS: dict[str, tuple[Callable[[Scene, Path], str], float, str]] = {
    "mp4": (make_mp4, 25.0, "close"),
    "vfr": (make_vfr, 0.0, "close"),
    "ts": (make_ts, 25.0, "close"),
    "avi": (make_avi, 25.0, "close"),
    "mkv": (make_mkv, 25.0, "exact"),
    "mkv16": (make_mkv16, 25.0, "counts"),
    "folder": (make_folder, 30.0, "exact"),
    "glob16": (make_glob16, 30.0, "counts"),
    "tiff": (make_tiff, 30.0, "counts"),
    "imagej": (make_imagej, 30.0, "counts"),
    "sim": (make_sim, 30.0, "exact"),
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, scene: Scene, tmp_path: Path) -> Iterator[tuple[Source, str, float, str]]:
    maker, fps, fidelity = MAKERS[request.param]
    text = maker(scene, tmp_path)
    source = open_source(text)
    yield source, text, fps, fidelity
    source.close()


def number_of(frame: Frame, scene: Scene) -> int:
    """Which frame a picture is, from its pixels alone."""
    image = frame.image.astype(float) if frame.image.dtype == np.uint8 else (frame.image.astype(float) - 3) / 60
    if np.array_equal(frame.image, scene.image(frame.index)):  # the simulator's own frames carry no code
        return frame.index
    return sum((image[2:12, 16 * b + 3 : 16 * b + 13].mean() > 125) << b for b in range(5))


def test_order_count_times_and_pixels(made: tuple[Source, str, float, str], scene: Scene) -> None:
    source, _, fps, fidelity = made
    assert not source.live
    frames = list(source)
    assert [f.index for f in frames] == list(range(N)) == [number_of(f, scene) for f in frames]
    assert source.info.frames == N
    assert (source.info.width, source.info.height) == (96, 80)
    expected = [i / fps for i in range(N)] if fps else [t / 1000 for t in VFR_PTS]
    assert [f.time_s for f in frames] == pytest.approx(expected, abs=2e-3)
    for f in frames:
        truth = scene.image(f.index) if source.info.name.startswith("sim:") else coded(scene, f.index)
        assert f.image.shape == truth.shape
        assert not f.image.flags.writeable
        if fidelity == "exact":
            assert np.array_equal(f.image, truth)
        elif fidelity == "counts":
            assert f.image.dtype == np.uint16
            assert np.array_equal(f.image, truth.astype(np.uint16) * 60 + 3)
        else:  # the range was expanded: limited-range video comes back at full scale, within coding loss
            assert np.abs(f.image.astype(float) - truth).mean() < 3


def test_seeking_is_exact(made: tuple[Source, str, float, str], scene: Scene) -> None:
    source, *_ = made
    for index in (13, 0, 19, 7, 8, 14, 6, 1):
        source.seek(index)
        frame = next(iter(source))
        assert frame.index == index == number_of(frame, scene)
    source.seek(17)
    assert [f.index for f in source] == [17, 18, 19]
    assert list(source) == []
    for outside in (-1, N):
        with pytest.raises(SourceError, match="outside"):
            source.seek(outside)


def test_closes_twice_and_early(made: tuple[Source, str, float, str]) -> None:
    source, text, *_ = made
    next(iter(source))
    source.close()
    source.close()
    again = open_source(text)
    assert len(list(again)) == N
    again.close()


def test_colour_becomes_grey(tmp_path: Path) -> None:
    colour = np.zeros((64, 64, 3), np.uint8)
    colour[:, :32], colour[:, 32:] = (255, 0, 0), (0, 255, 0)
    encode(tmp_path / "c.mkv", [colour] * 3, "ffv1", "bgr0", source_format="rgb24")
    cv2.imwrite(str(tmp_path / "c.png"), colour[:, :, ::-1])
    for path in (tmp_path / "c.mkv", tmp_path / "c.png"):
        source = open_source(str(path))
        image = next(iter(source)).image
        source.close()
        assert image.shape == (64, 64)
        assert abs(int(image[5, 5]) - 76) <= 1  # luma of red and of green, ITU-R BT.601
        assert abs(int(image[5, 50]) - 150) <= 1


def test_limited_range_rule() -> None:
    assert expand_limited(np.array([[0, 16, 126, 235, 255]], np.uint8), 8).tolist() == [[0, 0, 128, 255, 255]]
    assert expand_limited(np.array([[64, 940]], np.uint16), 10).tolist() == [[0, 1023]]


@pytest.mark.parametrize("size", [(33, 47), (1, 3), (2, 2)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], rng: np.random.Generator) -> None:
    images = [rng.integers(0, 255, size).astype(np.uint8) for _ in range(3)]
    write_video(tmp_path / "o.mkv", images, 25.0)
    source = open_source(str(tmp_path / "o.mkv"))
    assert all(np.array_equal(f.image, i) for f, i in zip(source, images, strict=True))
    source.close()


def test_one_frame(tmp_path: Path, scene: Scene) -> None:
    write_video(tmp_path / "one.mkv", [scene.image(0)], 25.0)
    source = open_source(str(tmp_path / "one.mkv"))
    assert [f.index for f in source] == [0]
    source.close()


def read_to_error(path: Path) -> tuple[list[int], str]:
    source = open_source(str(path))
    seen: list[int] = []
    try:
        with pytest.raises(SourceError) as caught:
            seen.extend(f.index for f in source)
    finally:
        source.close()
    return seen, str(caught.value)


def test_truncated_video_keeps_what_can_be_read(tmp_path: Path, scene: Scene) -> None:
    encode(tmp_path / "t.mp4", images_of(scene), "libx264", "yuv420p", movflags="faststart")
    with (
        av.open(str(tmp_path / "t.mp4"), "r") as container,
        av.open(str(tmp_path / "f.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    whole = (tmp_path / "f.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: int(len(whole) * 0.6)])
    seen, message = read_to_error(tmp_path / "cut.mp4")
    assert seen == sorted(set(seen))  # of the last ones, those that others refer to come first in a file
    assert seen[:3] == [0, 1, 2]
    assert 3 <= len(seen) < N
    assert "cut short" in message
    assert f"{len(seen)} of {N}" in message


def test_corrupt_packets_are_skipped_and_said(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "x.mkv"
    encode(path, images_of(scene), "mjpeg", "yuvj420p")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    body = bytearray(path.read_bytes())
    pos, size = packets[9]
    body[pos + 10 : pos + size] = bytes(size - 10)
    path.write_bytes(body)
    frames: list[Frame] = []
    source = open_source(str(path))
    with pytest.raises(SourceError, match="damaged"):
        frames.extend(source)
    source.close()
    assert len(frames) == N - 1
    assert all(number_of(f, scene) == f.index for f in frames if f.index != 9)


def test_images_of_differing_sizes(tmp_path: Path, rng: np.random.Generator) -> None:
    for i, size in enumerate([(20, 30), (20, 30), (21, 30)]):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 255, size).astype(np.uint8))
    seen, message = read_to_error(tmp_path)
    assert seen == [0, 1]
    assert "2.png is 30x21" in message


def test_damaged_image_in_a_folder(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "1.png").write_bytes(b"no image")
    seen, message = read_to_error(tmp_path)
    assert seen == [0]
    assert "1.png is not an image" in message


def test_real_clips_have_the_frames_of_their_truth(data: Path) -> None:
    for name, size in (("drone_ir/IR_DRONE_143.mp4", (320, 256)), ("anti_uav_track_avi/clip18.avi", (640, 512))):
        source = open_source(str(data / "video" / name))
        frames = [f.index for f in source]
        assert frames == list(range(source.info.frames or 0))
        assert (source.info.width, source.info.height) == size
        source.close()


def test_real_16_bit_stack(data: Path) -> None:
    source = open_source(str(data / "raw16" / "lepton3_possum.tif"))
    frames = list(source)
    assert len(frames) == source.info.frames
    assert frames[0].image.dtype == np.uint16
    assert frames[0].image.shape == (120, 160)
    source.close()


def test_credentials_are_redacted() -> None:
    assert redact("rtsp://me:secret@cam/1") == "rtsp://cam/..."
    with pytest.raises(SourceError) as caught:
        open_source("rtsp://me:secret@127.0.0.1:9/none")
    assert "secret" not in str(caught.value)


def test_a_simulated_camera_delivers_when_it_is_due() -> None:
    start, seen = time.monotonic(), []  # before the camera's own clock begins
    camera = open_source("simcam:sky,frames=3,width=64,height=48,fps=50")
    assert camera.live
    for frame in camera:
        seen.append(frame)
        assert time.monotonic() - start >= frame.index / 50 - 0.001
        if len(seen) == 8:
            camera.close()
    assert [f.index for f in seen] == list(range(8))
    assert np.array_equal(seen[0].image, seen[5].image)  # forth and back
    assert not np.array_equal(seen[0].image, seen[1].image)
    with pytest.raises(SourceError, match="cannot seek"):
        camera.seek(0)
    with pytest.raises(SourceError, match="no scene 'nothing'"):
        open_source("simcam:nothing")
