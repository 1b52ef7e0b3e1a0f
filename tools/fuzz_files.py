"""Damaged recordings and images of every format: each must be read, or refused in one line.

    python tools/fuzz_files.py [--rounds N] [--seed S] [--only NAME]

Each file of `cut_files.WRITERS` is spoilt in N ways (bytes changed, parts removed, doubled, swapped, numbers made
absurd) and read to its end. Anything but a SourceError, and more than a gigabyte, is printed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cut_files import WRITERS, pictures, read

GIGABYTE_KB = 1 << 20
ABSURD = (0, 0xFF, 0x7F, 0x80, 0x01)


def spoilt(code: bytes, rng: np.random.Generator) -> bytes:
    """The file, damaged in one to four places; most of them near its beginning, where headers are."""
    out = bytearray(code)
    for _ in range(int(rng.integers(1, 5))):
        reach = len(out) if rng.random() < 0.4 else min(len(out), 700)
        at = int(rng.integers(0, max(1, reach)))
        kind = int(rng.integers(0, 6))
        if kind == 0:
            out[at] = int(rng.integers(0, 256))
        elif kind == 1:
            length = int(rng.integers(1, 9))
            out[at : at + length] = bytes([ABSURD[int(rng.integers(0, len(ABSURD)))]]) * length
        elif kind == 2:
            del out[at : at + int(rng.integers(1, 200))]
        elif kind == 3:
            out[at:at] = out[at : at + int(rng.integers(1, 200))]
        elif kind == 4:
            out[at] ^= 1 << int(rng.integers(0, 8))
        else:
            del out[max(1, at) :]
        if not out:
            return b"\0"
    return bytes(out)


def fuzz(name: str, folder: Path, rounds: int, seed: int) -> tuple[int, int, list[str]]:
    """Files of one format that were refused or said, and read without a word; what went wrong."""
    path = folder / name
    WRITERS[name](path, pictures()[:5])
    code, rng = path.read_bytes(), np.random.default_rng([seed, len(name)])
    said = quiet = 0
    wrong = []
    for i in range(rounds):
        target = folder / f"spoilt-{name}"
        target.write_bytes(spoilt(code, rng))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            _, words = read(target)
        except BaseException as error:
            wrong.append(f"{name} {i}: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")
            continue
        said, quiet = said + bool(words), quiet + (not words)
        if "\n" in words or len(words) > 600:
            wrong.append(f"{name} {i}: no single line: {words[:700]!r}")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if after - before > GIGABYTE_KB // 2:  # the most so far, which other tests of the process may have set
            wrong.append(f"{name} {i}: {(after - before) >> 10} MB more")
    return said, quiet, wrong


def main() -> int:
    """Print a line for each format; 1 where anything went wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in (n for n in WRITERS if args.only in n):
            said, quiet, wrong = fuzz(name, Path(folder), args.rounds, args.seed)
            bad += len(wrong)
            print(f"{name:16s} said {said:5d}  without a word {quiet:5d}  wrong {len(wrong)}", flush=True)
            for line in wrong[:5]:
                print("   ", line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
