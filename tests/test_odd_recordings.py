"""Recordings whose structure says more than FFmpeg hands on: ends, sums, several in one file, what is cropped."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from test_odd_inputs import PICTURES as SMALL
from test_odd_inputs import avi
from test_reading_video import HEIGHT, PICTURES, RATE, WIDTH, N, encode, number_of, put_still_before, read_all

from irtrack.capture import open_source
from irtrack.capture.sums import remainder, slices
from irtrack.core import Frame, SourceError
from irtrack.sinks.record import MatroskaWriter

KINDS = {
    "a.flv": ("libx264", "yuv420p"), "a.wmv": ("wmv2", "yuv420p"), "a.ivf": ("libvpx", "yuv420p"),
    "a.mxf": ("mpeg2video", "yuv420p"), "a.nut": ("ffv1", "gray"), "a.m2ts": ("mpeg2video", "yuv420p"),
    "a.ogv": ("libtheora", "yuv420p"), "a.swf": ("flv", "yuv420p"),
}  # fmt: skip


def made(folder: Path, name: str, **container: str) -> bytes:
    codec, pix_fmt = KINDS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this build of FFmpeg")
    encode(folder / name, codec, pix_fmt, container=container)
    assert len(read_all(folder / name)[0]) == N
    assert read_all(folder / name)[1:] == ("", [])
    return (folder / name).read_bytes()


@pytest.mark.parametrize("name", [n for n in KINDS if n != "a.nut"])
def test_a_file_that_is_cut_is_said_whatever_its_kind(tmp_path: Path, name: str) -> None:
    whole = made(tmp_path, name, **({"mpegts_m2ts_mode": "1"} if name == "a.m2ts" else {}))
    for share in (0.5, 0.62, 0.74, 0.9):
        at = int(len(whole) * share)
        at += name == "a.m2ts" and at % 192 == 0
        (tmp_path / f"b{name[1:]}").write_bytes(whole[:at])
        try:
            frames, words, _ = read_all(tmp_path / f"b{name[1:]}")
        except SourceError:
            continue
        assert len(frames) <= N
        assert "cut short" in words, share


@pytest.mark.parametrize("name", ["a.flv", "a.wmv", "a.ivf", "a.nut"])
def test_of_two_recordings_in_one_file_the_first_is_read_and_it_is_said(tmp_path: Path, name: str) -> None:
    whole = made(tmp_path, name)
    (tmp_path / f"two{name[1:]}").write_bytes(whole + whole)
    frames, words, remarks = read_all(tmp_path / f"two{name[1:]}")
    assert [number_of(f.image) for f in frames] == list(range(N))
    assert words == ""
    assert remarks == [f"two{name[1:]}: another recording stands behind the first in this file, and is not read"]


def test_of_two_fragmented_recordings_nothing_is_mixed(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", container={"movflags": "frag_every_frame+empty_moov+default_base_moof"})
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "two.mp4").write_bytes(whole + whole)
    frames, words, remarks = read_all(tmp_path / "two.mp4")
    assert ([number_of(f.image) for f in frames], words) == (list(range(N)), "")
    assert "another recording stands behind the first" in remarks[0]
    source = open_source(str(tmp_path / "two.mp4"))
    source.seek(13)
    assert number_of(next(iter(source)).image) == 13
    source.close()


def test_an_flv_of_damaged_tags_is_said(tmp_path: Path) -> None:
    whole = bytearray(made(tmp_path, "a.flv"))
    at = len(whole) * 2 // 3
    whole[at : at + 400] = bytes(400)
    (tmp_path / "b.flv").write_bytes(whole)
    assert "do not follow" in read_all(tmp_path / "b.flv")[1]


def recorded(path: Path) -> list[int]:
    """A recording of ours; where its packets begin."""
    writer = MatroskaWriter(path)
    for i, picture in enumerate(PICTURES):
        writer.write(Frame(i, i / RATE, picture))
    writer.close()
    with av.open(str(path)) as f:
        return [p.pos for p in f.demux(video=0) if p.size and p.pos is not None]


@pytest.mark.parametrize("frame", [0, 5, N - 1])
def test_damage_in_a_recording_of_ours_costs_frames_and_is_said(tmp_path: Path, frame: int) -> None:
    """FFmpeg's FFV1 takes note of a wrong sum, and fills the slice up from the picture before."""
    places = recorded(tmp_path / "a.mkv")
    good = {f.index: f.image for f in read_all(tmp_path / "a.mkv")[0]}
    code = bytearray((tmp_path / "a.mkv").read_bytes())
    code[places[frame] + 60] ^= 0x10
    (tmp_path / "b.mkv").write_bytes(code)
    frames, words, _ = read_all(tmp_path / "b.mkv")
    assert all(np.array_equal(f.image, good[f.index]) for f in frames)
    assert frame not in [f.index for f in frames]
    assert "damaged" in words


def test_sums_of_slices() -> None:
    assert remainder(b"123456789" + bytes.fromhex("89A1897F")) == 0  # the check value of this CRC
    assert slices(b"") == slices(b"no slices of FFV1 at all") == []


def boxed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def with_clap(code: bytes, width: int, height: int, right: int, down: int) -> bytes:
    """An MP4 (its `moov` at the end) with a clean aperture: its size, and how far its centre lies right and down."""
    out = bytearray(code)
    entry = out.index(b"stsd") + 12
    (size,) = struct.unpack_from(">I", out, entry)
    clap = boxed(b"clap", struct.pack(">iIiIiIiI", width, 1, height, 1, right, 1, down, 1))
    out[entry + size : entry + size] = clap
    for place in (entry, *(out.index(kind) - 4 for kind in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"))):
        (size,) = struct.unpack_from(">I", out, place)
        struct.pack_into(">I", out, place, size + len(clap))
    return bytes(out)


def element(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) | 1 << 56).to_bytes(8, "big") + body


def matroska(path: Path, video: bytes) -> None:
    """Raw grey in Matroska, with more about its video than FFmpeg writes."""
    fields = {0xD7: b"\1", 0x73C5: b"\1", 0x83: b"\1"}
    about = element(b"\xb0", WIDTH.to_bytes(2, "big")) + element(b"\xba", HEIGHT.to_bytes(2, "big"))
    about += element(b"\x2e\xb5\x24", b"Y800") + video
    track = b"".join(element(k.to_bytes((k.bit_length() + 7) // 8, "big"), v) for k, v in fields.items())
    track += element(b"\x86", b"V_UNCOMPRESSED") + element(b"\xe0", about)
    blocks = b"".join(
        element(b"\xa3", b"\x81" + struct.pack(">hB", 40 * i, 0x80) + p.tobytes()) for i, p in enumerate(PICTURES)
    )
    head = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"matroska"))
    info = element(b"\x15\x49\xa9\x66", element(b"\x2a\xd7\xb1", (1_000_000).to_bytes(3, "big")))
    cluster = element(b"\x1f\x43\xb6\x75", element(b"\xe7", b"\0") + blocks)
    body = info + element(b"\x16\x54\xae\x6b", element(b"\xae", track)) + cluster
    path.write_bytes(head + element(b"\x18\x53\x80\x67", body))


def test_what_a_header_crops_is_not_in_the_picture(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4")
    whole = [f.image for f in read_all(tmp_path / "a.mp4")[0]]
    (tmp_path / "clap.mp4").write_bytes(with_clap((tmp_path / "a.mp4").read_bytes(), 80, 50, 4, -3))
    crop = b"".join(
        element(kind, bytes([n]))
        for kind, n in ((b"\x54\xcc", 8), (b"\x54\xbb", 4), (b"\x54\xdd", 10), (b"\x54\xaa", 6))
    )
    matroska(tmp_path / "crop.mkv", crop)
    for name, pictures, part in (
        ("clap.mp4", whole, np.s_[4:54, 12:92]), ("crop.mkv", PICTURES, np.s_[4 : HEIGHT - 6, 8 : WIDTH - 10])
    ):  # fmt: skip
        frames, words, remarks = read_all(tmp_path / name)
        assert words == ""
        assert all(np.array_equal(f.image, p[part]) for f, p in zip(frames, pictures, strict=True))
        height, width = frames[0].image.shape
        assert remarks == [f"{name}: cropped as its header says, to {width}x{height} pixels"]
        source = open_source(str(tmp_path / name))
        assert (source.info.width, source.info.height) == (width, height)
        source.close()
    matroska(tmp_path / "plain.mkv", b"")
    assert read_all(tmp_path / "plain.mkv")[0][3].image.shape == (HEIGHT, WIDTH)
    assert read_all(tmp_path / "plain.mkv")[1:] == ("", [])


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_one_picture_beside_a_film_is_no_film(tmp_path: Path, kind: str) -> None:
    """Larger than the film, first in the file, and not marked as a thumbnail."""
    encode(tmp_path / "film.mp4")
    put_still_before(tmp_path / "film.mp4", tmp_path / f"a.{kind}", 320, 240, RATE)
    frames, words, remarks = read_all(tmp_path / f"a.{kind}")
    assert ([number_of(f.image) for f in frames], words) == (list(range(N)), "")
    assert remarks == [f"a.{kind}: still pictures (thumbnails) beside the film left out"]


def test_grey_whose_palette_is_not_there(tmp_path: Path) -> None:
    """Eight bits a pixel and no colours: FFmpeg paints all of them black."""
    avi(tmp_path / "a.avi", [p[::-1].tobytes() for p in SMALL], 8)
    frames, words, remarks = read_all(tmp_path / "a.avi")
    assert words == ""
    assert np.array_equal([f.image for f in frames], SMALL)
    assert remarks == ["a.avi: its palette has one colour alone: its numbers are read as grey"]


def test_counts_that_a_header_calls_yuyv_are_refused(tmp_path: Path) -> None:
    counts = [(7000 + 5 * p.astype(np.uint16)).astype("<u2").tobytes() for p in SMALL]
    avi(tmp_path / "counts.avi", counts, 16, fourcc=b"YUY2")
    with pytest.raises(SourceError, match="its pixels are counts of 16 bits"):
        open_source(str(tmp_path / "counts.avi"))
    grey = [np.dstack([p, np.full_like(p, 128)]).tobytes() for p in SMALL]
    avi(tmp_path / "grey.avi", grey, 16, fourcc=b"YUY2")
    frames, words, remarks = read_all(tmp_path / "grey.avi")
    assert (len(frames), words, remarks) == (len(SMALL), "", [])


def with_edits(code: bytes, entries: list[tuple[int, int, float]]) -> bytes:
    """A MOV (its `moov` at the end) with another list of edits: duration and start in ms, and speed."""
    out = bytearray(code)
    at = out.index(b"elst") - 4
    (size,) = struct.unpack_from(">I", out, at)
    body = b"".join(struct.pack(">Iii", d, start, int(65536 * speed)) for d, start, speed in entries)
    new = boxed(b"elst", struct.pack(">II", 0, len(entries)) + body)
    out[at : at + size] = new
    for kind in (b"edts", b"trak", b"moov"):
        place = out.index(kind) - 4
        (length,) = struct.unpack_from(">I", out, place)
        struct.pack_into(">I", out, place, length + len(new) - size)
    return bytes(out)


@pytest.mark.parametrize(
    ("entries", "shown", "said"),
    [
        ([(400, 280, 1)], range(7, 17), ""),  # trimmed
        ([(520, 280, 1)], range(7, N), ""),  # at its beginning alone
        ([(320, 400, 1), (320, 0, 1)], [*range(10, 18), *range(8)], "2 parts of its pictures follow each other"),
        ([(320, 0, 1), (200, -1, 1), (320, 320, 1)], range(N), "is not followed"),
        ([(1600, 0, 0.5)], range(N), "is not followed"),
        ([(480, -1, 1), (800, 0, 1)], range(N), ""),  # begins later than the sound
    ],
    ids=["trimmed", "begun later", "parts", "pause", "slow", "late"],
)
def test_what_a_list_of_edits_shows(
    tmp_path: Path, entries: list[tuple[int, int, float]], shown: Sequence[int], said: str
) -> None:
    options = {"use_editlist": "1", "video_track_timescale": "1000"}
    encode(tmp_path / "a.mov", "mjpeg", "yuvj420p", container=options)
    (tmp_path / "b.mov").write_bytes(with_edits((tmp_path / "a.mov").read_bytes(), entries))
    frames, words, remarks = read_all(tmp_path / "b.mov")
    assert ([number_of(f.image) for f in frames], words) == (list(shown), "")
    assert [f.time_s for f in frames] == pytest.approx([i / RATE for i in range(len(shown))])
    assert said in " ".join(remarks)
    assert bool(said) == bool(remarks)
    source = open_source(str(tmp_path / "b.mov"))
    source.seek(5)
    assert number_of(next(iter(source)).image) == shown[5]
    source.close()


def test_edits_that_are_not_followed_are_not_where_another_recording_stands_behind(tmp_path: Path) -> None:
    encode(tmp_path / "a.mov", "mjpeg", "yuvj420p", container={"use_editlist": "1", "video_track_timescale": "1000"})
    paused = with_edits((tmp_path / "a.mov").read_bytes(), [(320, 0, 1), (200, -1, 1), (320, 320, 1)])
    (tmp_path / "two.mov").write_bytes(paused + paused)
    frames, words, remarks = read_all(tmp_path / "two.mov")
    assert ([number_of(f.image) for f in frames], words) == (list(range(N)), "")
    assert len(remarks) == 2


def test_of_a_picture_of_dv_that_is_cut_nothing_is_shown(tmp_path: Path) -> None:
    pictures = [np.repeat(np.repeat(p, 10, 0)[:576], 8, 1)[:, :720] for p in PICTURES[:4]]
    pictures = [np.pad(p, ((0, 576 - p.shape[0]), (0, 720 - p.shape[1])), mode="edge") for p in pictures]
    encode(tmp_path / "a.dv", "dvvideo", "yuv420p", pictures)
    whole = read_all(tmp_path / "a.dv")[0]
    code = (tmp_path / "a.dv").read_bytes()
    (tmp_path / "b.dv").write_bytes(code[: len(code) * 7 // 8])
    frames, words, _ = read_all(tmp_path / "b.dv")
    assert len(frames) == 6  # two fields each
    assert "its last picture is not whole" in words
    off = [int(np.abs(f.image.astype(int) - g.image).max()) for f, g in zip(frames[:4], whole[:4], strict=True)]
    assert off == [0] * 4


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
@pytest.mark.parametrize("kept", [1, 13, N - 1])
def test_an_ivf_that_was_cut_between_two_pictures_is_said(tmp_path: Path, codec: str, kept: int) -> None:
    encode(tmp_path / "a.ivf", codec, "yuv420p")
    with av.open(str(tmp_path / "a.ivf")) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.size]
    (tmp_path / "b.ivf").write_bytes((tmp_path / "a.ivf").read_bytes()[: places[kept]])
    frames, words, _ = read_all(tmp_path / "b.ivf")
    assert len(frames) == kept
    assert "it says that it is longer" in words


@pytest.mark.parametrize("flags", ["dash+frag_keyframe+empty_moov", "frag_keyframe+default_base_moof+global_sidx"])
def test_fragments_that_a_list_names_and_that_are_not_there(tmp_path: Path, flags: str) -> None:
    """Cut between two fragments: only their list tells."""
    encode(tmp_path / "a.mp4", g="5", container={"movflags": flags})
    code = (tmp_path / "a.mp4").read_bytes()
    assert read_all(tmp_path / "a.mp4")[1:] == ("", [])
    (tmp_path / "b.mp4").write_bytes(code[: code.rfind(b"moof") - 4])
    frames, words, _ = read_all(tmp_path / "b.mp4")
    assert 0 < len(frames) < N
    assert "it ends within its data" in words
