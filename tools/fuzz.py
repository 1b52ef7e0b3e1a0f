#!/usr/bin/env python3
"""Mutated files of every kind that irtrack reads, through the doors that the commands use.

    tools/fuzz.py [--minutes M] [--seed S] [--kinds KIND ...] [--one KIND:SEED]

A file is read, or refused with an IrtrackError. Anything else, a file that takes more than 30 s of the processor or a
gigabyte of memory is a finding, printed with its kind and seed: `--one KIND:SEED` does it again. Each batch runs in a
process of its own, so that what ends a process is found too.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

BATCH, LONGEST_S, MOST_MIB = 40, 30, 1024

Rng = np.random.Generator
FRAMES = [np.random.default_rng(i).integers(7000, 9000, (32, 40)).astype(np.uint16) for i in range(4)]
GREY = [(frame >> 5).astype(np.uint8) for frame in FRAMES]
NUMBERS = ("-1", "0", "1e308", "-1e308", "nan", "inf", "1e9", "99999999999999999999", "1e-320", "2147483648", "0x7f")


@dataclass(frozen=True)
class Kind:
    """How a good file is made in a folder, and what reads it."""

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], object]
    text: bool = False


# What is read


def all_frames(path: Path) -> None:
    """As `irtrack run` reads a source, as far as some dozens of frames."""
    from irtrack.capture import open_source

    source = open_source(str(path))
    try:
        for count, frame in enumerate(source):
            if frame.image.ndim != 2 or frame.image.dtype not in (np.uint8, np.uint16):
                raise AssertionError(f"a frame of {frame.image.dtype} {frame.image.shape}")
            if count > 60:
                break
    finally:
        source.close()


def image(path: Path) -> None:
    """As `detect` and `evaluate` do."""
    from irtrack.capture.pictures import read_image

    read_image(path)


def command(*words: str) -> Callable[[Path], None]:
    """A command that takes the file where a word is FILE; its exit code must be that of one clear line."""

    def call(path: Path) -> None:
        from irtrack.cli import main

        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([str(path) if w == "FILE" else w.replace("DIR", str(path.parent)) for w in words])
        if code not in (0, 1) or (code == 1 and "irtrack: " not in said.getvalue()):
            raise AssertionError(f"exit {code}: {said.getvalue()[-300:]}")

    return call


def weights(path: Path) -> None:
    """As `--weights` does."""
    from irtrack.detect.weights import load_weights

    load_weights(str(path))


def manifest(path: Path) -> None:
    """As every command with weights does."""
    from irtrack.detect.weights import load_weights

    load_weights("m", folder=path.parent)


def settings(path: Path) -> None:
    """As `--config` does."""
    from irtrack.config import load_settings

    load_settings(path)


def recipe(path: Path) -> None:
    """As `train --recipe` does."""
    from irtrack.train.settings import load_recipe, settings_from

    settings_from(load_recipe(str(path)), ["steps=3"])


def split(path: Path) -> None:
    """As `evaluate --split` does."""
    from irtrack.train.data import read_list

    read_list(path.parent, str(path), {f"cam 1 {i:03d}": i for i in range(5)})


def mask(path: Path) -> None:
    """As `evaluate` does."""
    from irtrack.core import Remarks
    from irtrack.train.masks import read_mask

    read_mask(path, Remarks())


def correction(path: Path) -> None:
    """As `--correct` does."""
    from irtrack.imaging.correction import load_correction

    load_correction(path)


# What is written


def video(path: Path, codec: str, pixels: str, options: dict[str, str] | None = None) -> None:
    """A short recording by FFmpeg."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 40, 32, pixels
        deep = pixels.startswith("gray16")
        for picture in FRAMES if deep else GREY:
            frame = av.VideoFrame.from_ndarray(picture, format="gray16le" if deep else "gray")
            out.mux(stream.encode(frame.reformat(format=pixels)))
        out.mux(stream.encode())


def stack(path: Path, **options: object) -> None:
    """A TIFF."""
    import tifffile

    tifffile.imwrite(path, np.stack(FRAMES), photometric="minisblack", **options)  # type: ignore[arg-type]


def big_stack(path: Path, dtype: type = np.uint16) -> None:
    """A BigTIFF, page by page."""
    import tifffile

    with tifffile.TiffWriter(path, bigtiff=True) as out:
        for frame in FRAMES:
            out.write(frame.astype(dtype), contiguous=False)


def coded(path: Path, deep: bool = False) -> None:
    """An image by OpenCV, in the format that its name says."""
    import cv2

    path.write_bytes(cv2.imencode(path.suffix, FRAMES[0] if deep else GREY[0])[1].tobytes())


def marks(path: Path) -> None:
    """A mask of two targets."""
    import cv2

    marked = np.zeros_like(GREY[0])
    marked[3:6, 4:7] = marked[10, 12] = 255
    path.write_bytes(cv2.imencode(path.suffix, marked)[1].tobytes())


def cropped(path: Path, name: str) -> None:
    """The begin of a real file, where there is one."""
    root = Path(os.environ.get("IRTRACK_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    found = root / "raw16" / name
    path.write_bytes(found.read_bytes()[: 3 << 20] if found.exists() else b"")


def block(pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """FLIR's FFF with one picture of raw counts."""
    height, width = pixels.shape
    body = struct.pack("<HHH", 2, width, height).ljust(32, b"\0") + pixels.astype("<u2").tobytes()
    head = b"FFF\0" + b"fuzz".ljust(16, b"\0") + struct.pack(">III", 100, 64, 1)
    entry = struct.pack(">HHIIII", 1, 0, 100, 0, 96, len(body))
    return head.ljust(64, b"\0") + entry.ljust(32, b"\0") + body


def table(path: Path, text: str) -> None:
    """A text file."""
    path.write_text(text, encoding="utf-8")


def checkpoint(path: Path, old: bool = False) -> None:
    """Of a small network, as training scripts write it."""
    import torch

    from irtrack.detect.network import DATransNet

    torch.manual_seed(0)
    state = {"state_dict": DATransNet(base=4).state_dict(), "settings": {"img_size": 256}, "loss": np.float64(0.5)}
    torch.save(state, path, _use_new_zipfile_serialization=not old)


def safetensors(path: Path) -> None:
    """Our own form of it."""
    from irtrack.detect.network import DATransNet
    from irtrack.detect.weights import save_weights

    save_weights(DATransNet(base=4), path)


def shipped(path: Path) -> None:
    """A list of models with one that is not there."""
    entry = {"file": "m.safetensors", "sha256": "0" * 64, "img_size": 256, "threshold": 0.5}
    path.write_text("[m]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in entry.items()))


def defaults(path: Path) -> None:
    """A settings file with every setting."""
    from irtrack.config import Settings, save_settings

    save_settings(Settings(), path)


def training(path: Path) -> None:
    """A recipe."""
    path.write_text("steps = 5\nrate = 1e-3\n[augment]\nzoom = 0.5\n")


def offsets(path: Path) -> None:
    """What `irtrack flat` writes."""
    np.savez_compressed(path, offset=FRAMES[0].astype(np.float32), bad=FRAMES[0] > 8990)


def detections() -> str:
    return "frame,x,y,w,h,score\n" + "".join(f"{i},{10 + i},{20 + i / 2:.2f},3,3,0.9\n" for i in range(40))


def mot(score: str = "0.9") -> str:
    return "".join(f"{i + 1},1,{10 + i},{20 + i / 2:.2f},3,3,{score},1,1\n" for i in range(40))


SCORE = command("score", "FILE", "FILE")
TRACK = command("track", "FILE", "--out", "DIR/out.csv", "--cvat", "DIR/out.xml", "--force")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("ffv1.mkv", partial(video, codec="ffv1", pixels="gray16le"), all_frames),
        Kind("h264.mp4", partial(video, codec="libx264", pixels="yuv420p"), all_frames),
        Kind("mjpeg.avi", partial(video, codec="mjpeg", pixels="yuvj420p"), all_frames),
        Kind("mpeg2.ts", partial(video, codec="mpeg2video", pixels="yuv420p"), all_frames),
        Kind("raw.nut", partial(video, codec="rawvideo", pixels="gray16le"), all_frames),
        Kind("plain.tif", stack, all_frames),
        Kind("imagej.tif", partial(stack, imagej=True), all_frames),
        Kind("ome.tif", partial(stack, ome=True, compression="zlib"), all_frames),
        Kind("lzw.tif", partial(stack, compression="lzw", tile=(16, 16)), all_frames),
        Kind("big.tif", big_stack, all_frames),
        Kind("floats.tif", partial(big_stack, dtype=np.float32), all_frames),
        Kind("grey.png", coded, image),
        Kind("deep.png", partial(coded, deep=True), image),
        Kind("picture.jpg", coded, image),
        Kind("picture.bmp", coded, image),
        Kind("picture.jp2", coded, image),
        Kind("picture.webp", coded, image),
        Kind("picture.pgm", coded, image),
        Kind("one.fff", lambda path: path.write_bytes(block(FRAMES[0])) and None, all_frames),
        Kind("some.seq", lambda path: path.write_bytes(b"".join(map(block, FRAMES))) and None, all_frames),
        Kind("real.cptv", partial(cropped, name="lepton3_possum.cptv"), all_frames),
        Kind("real.csq", partial(cropped, name="flir_SampleCSQ.csq"), all_frames),
        Kind("radiometric.jpg", partial(cropped, name="flir_i7_rjpeg_CC0_ducks.jpg"), image),
        Kind("mask.png", marks, mask),
        Kind("det.csv", partial(table, text=detections()), TRACK, True),
        Kind("det.txt", partial(table, text=mot("-1")), TRACK, True),
        Kind("tracks.csv", partial(table, text=detections().replace("w,h", "id,h")), SCORE, True),
        Kind("gt.txt", partial(table, text=mot("1")), SCORE, True),
        Kind("list.txt", partial(table, text="".join(f"cam 1 {i:03d}.png\n" for i in range(5))), split, True),
        Kind("settings.toml", defaults, settings, True),
        Kind("recipe.toml", training, recipe, True),
        Kind("manifest.toml", shipped, manifest, True),
        Kind("checkpoint.pt", checkpoint, weights),
        Kind("old.pth", partial(checkpoint, old=True), weights),
        Kind("weights.safetensors", safetensors, weights),
        Kind("flat.npz", offsets, correction),
    )
}


# What is changed


def mutated(data: bytes, text: bool, rng: Rng) -> bytes:
    """One to four changes of a file's bytes."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if text and rng.random() < 0.6:
            out = bytearray(with_other_numbers(bytes(out), rng))
        else:
            change(out, rng)
    return bytes(out)


def with_other_numbers(data: bytes, rng: Rng) -> bytes:
    """A number of a text replaced by one that nobody expects."""
    places = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not places:
        return data
    place = places[int(rng.integers(len(places)))]
    return data[: place.start()] + NUMBERS[int(rng.integers(len(NUMBERS)))].encode() + data[place.end() :]


def change(data: bytearray, rng: Rng) -> None:
    """Flip, cut, insert, remove, repeat or overwrite; headers more often than the rest."""
    if not data:
        data += rng.bytes(8)
        return
    at = int(rng.integers(len(data)) if rng.random() < 0.5 else rng.integers(min(len(data), 512)))
    size = int(2 ** rng.uniform(0, 10))
    kind = int(rng.integers(7))
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at if rng.random() < 0.5 else max(len(data) - size, 0) :]
    elif kind == 2:
        data[at:at] = rng.bytes(size)
    elif kind == 3:
        del data[at : at + size]
    elif kind == 4:
        data[at:at] = data[at : at + size]
    elif kind == 5:
        number = EXTREMES[int(rng.integers(len(EXTREMES)))]
        data[at : at + len(number)] = number
    else:
        data[at : at + size] = rng.bytes(min(size, len(data) - at))


WHOLE = (
    ("H", 0xFFFF),
    ("H", 0x8000),
    ("I", 2**32 - 1),
    ("I", 2**31 - 1),
    ("I", 0x10000),
    ("Q", 2**63 - 1),
    ("Q", 2**40),
)
EXTREMES = [
    *(struct.pack(order + kind, value) for order in "<>" for kind, value in WHOLE),
    *(struct.pack("<f", v) for v in (np.nan, np.inf, 3e38)),
    *(struct.pack("<d", v) for v in (np.nan, np.inf, 1e308)),
    *(bytes(4), bytes(8), b"\xff" * 16),
]


# What comes of it


def originals(folder: Path, names: list[str]) -> dict[str, bytes]:
    """The good files' bytes."""
    made = {}
    for name in names:
        path = folder / name
        KINDS[name].make(path)
        made[name] = path.read_bytes()
    return made


def attempt(name: str, seed: int, original: bytes, folder: Path) -> str:
    """What is wrong with how a mutated file is read; nothing where it is read or refused."""
    from irtrack.core import IrtrackError

    path = folder / name
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    path.write_bytes(mutated(original, KINDS[name].text, rng))
    before, start = memory_mib(True), time.process_time()
    try:
        KINDS[name].read(path)
    except IrtrackError as error:
        if not str(error).strip():
            return "an error without words"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:120]} ({Path(where.filename).name}:{where.lineno})"
    grown, took = memory_mib(False) - before, time.process_time() - start
    if grown > MOST_MIB:
        return f"{grown:.0f} MiB"
    return f"{took:.0f} s" if took > LONGEST_S else ""


def memory_mib(now: bool) -> float:
    """Memory of this process, and the most since this was asked for `now`; 0 where the system does not say."""
    try:
        if now:
            Path("/proc/self/clear_refs").write_text("5")
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s*(\d+)" if now else r"VmHWM:\s*(\d+)", text)
    return int(found[1]) / 1024 if found else 0.0


def batch(names: list[str], first: int, count: int) -> None:
    """In a process of its own: says what it begins with and what it finds."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        good = originals(folder, names)
        for name in names:  # what is imported counts for none
            with contextlib.suppress(Exception):
                KINDS[name].read(folder / name)
        for seed in range(first, first + count):
            for name in names:
                print(f"> {name}:{seed}", flush=True)
                if wrong := attempt(name, seed, good[name], folder):
                    print(f"! {name}:{seed} {' '.join(wrong.split())}", flush=True)


def findings(names: list[str], first: int, count: int) -> Iterator[str]:
    """What a batch finds, and what ended it."""
    words = [sys.executable, __file__, "--batch", str(first), str(count), "--kinds", *names]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, **pipes, text=True, errors="replace") as work:
        assert work.stdout is not None
        last = "the start"
        signal.signal(signal.SIGALRM, lambda *_: work.kill())
        for line in work.stdout:
            signal.alarm(3 * LONGEST_S)
            if line.startswith("> "):
                last = line[2:].strip()
            elif line.startswith("! "):
                yield line[2:].strip()
        signal.alarm(0)
    if work.returncode:
        yield f"{last} ended the process with {work.returncode}"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first file of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--one", metavar="KIND:SEED", help="read one file again, with its traceback; it is kept")
    parser.add_argument("--batch", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, _, seed = args.one.rpartition(":")
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        print(folder / name)
        print(attempt(name, int(seed), originals(folder, [name])[name], folder) or "as it should be")
        KINDS[name].read(folder / name)
        return 0
    if args.batch:
        batch(args.kinds, *args.batch)
        return 0
    end, seed, found = time.monotonic() + 60 * args.minutes, args.seed, 0
    while time.monotonic() < end:
        for text in findings(args.kinds, seed, BATCH):
            found += 1
            print(text, flush=True)
        seed += BATCH
        print(f"{(seed - args.seed) * len(args.kinds)} files, {found} findings", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
