"""The kernels in C compiled for ARM, run by an emulator, against the same program on this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from irtrack.detect.native import build

CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")

PROGRAM = r"""
#include <stdio.h>
#include "vectors.h"
int convolve(const pixel *, long, const pixel *, long, long, long, long, long, int, long, const pixel *, const float *,
             long, const pixel *, float, pixel *);
int pair_sums(const float *, long, long, long, long, float *, float *, float *);
int lift(const pixel *, long, long, long, const pixel *, const pixel *, const float *, pixel *);
int mix(const pixel *, long, long, const pixel *, const float *, long, float, pixel *);
void head(const pixel *, long, long, long, const pixel *, float, float *);
void halve(const pixel *, long, long, long, pixel *);
void pad(const float *, long, long, long, const float *, long, float *);
void begin(const float *, long, long, long, const float *, const float *, const float *, float, pixel *, pixel *);
int normalise(const pixel *, long, long, const float *, const float *, float, const pixel *, float, double *, pixel *);
int normalise_back(const pixel *, const pixel *, const pixel *, long, long, const float *, float, float, const double *,
                   double *, pixel *, pixel *);
int attend(long, const pixel *const *, const long *, const pixel *const *, long, long, long, long, long, pixel *);
int spread_back(const pixel *, const pixel *, const float *, const pixel *, const pixel *, long, long, long, long,
                long, long, float *);
int join(const pixel *, const pixel *, const pixel *, long, long, long, long, pixel *);
int join_back(const pixel *, const pixel *, const pixel *, long, long, long, long, pixel *, pixel *, pixel *);
int head_back(const pixel *, const float *, long, long, long, long, const float *, double *, pixel *);
static unsigned seed = 1;
static float next(void) { return (seed = seed * 1664525u + 1013904223u) / 4294967296.0f - 0.5f; }
/* The seed is the number, as compilers make arguments in any order. */
static float *floats(long n)
{
    float *x = malloc(4 * n);
    seed = n;
    for (long i = 0; i < n; i++)
        x[i] = next();
    return x;
}
static pixel *pixels(long n)
{
    pixel *x = malloc(sizeof(pixel) * n);
    seed = n;
    for (long i = 0; i < n; i++) {
        const float value = next();
#ifdef HALF
        unsigned bits;
        memcpy(&bits, &value, 4);
        x[i] = bits >> 16;
#else
        x[i] = value;
#endif
    }
    return x;
}
static void show(const pixel *x, long n)
{
    for (long i = 0; i < n; i++) {
#ifdef HALF
        const unsigned bits = (unsigned)x[i] << 16;
        fwrite(&bits, 4, 1, stdout);
#else
        fwrite(x + i, 4, 1, stdout);
#endif
    }
}
int main(void)
{
    const long h = 11, w = 26;
    for (long c = 4; c <= 32; c *= 2) {
        const long n = h * w * c;
        pixel *out = malloc(sizeof(pixel) * 4 * n), *scaled = malloc(sizeof(pixel) * n);
        for (long shift = 1; shift < 4; shift += 2)
            for (int reflect = 0; reflect < 2; reflect++) {
                const pixel *x = pixels(n), *u = pixels(36 * 2 * c * c);
                if (convolve(x, c, x, c, h, w, 0, h, reflect, shift, u, floats(c), c, x, 0.1f, out))
                    return 1;
                show(out, n);
            }
        if (lift(pixels(n), h, w, c, pixels(4 * n), pixels(c * c), floats(c), out))
            return 1;
        show(out, 4 * n);
        if (mix(pixels(n), h * w, c, pixels(c * c), floats(c), c, 0.5f, out))
            return 1;
        show(out, n);
        halve(pixels(n), h, w, c, out);
        show(out, h / 2 * (w / 2) * c);
        begin(floats(h * w), h, w, c, floats(9 * c), floats(c), floats(c), 0.2f, out, scaled);
        show(out, n);
        show(scaled, n);
        float *logits = floats(h * w), *padded = floats((h + 6) * (w + 6) * c);
        if (c * sizeof(pixel) % 16 == 0) {
            head(pixels(n), h, w, c, pixels(25 * c), 0.3f, logits);
            fwrite(logits, 4, h * w, stdout);
        }
        pad(floats(n), h, w, c, floats(c), 3, padded);
        float *pairs = calloc(81 * c * c, 4), *centre = calloc(9 * c * c, 4), *taps = calloc(9 * c, 4);
        if (pair_sums(padded, h, w, c, 3, pairs, centre, taps))
            return 1;
        fwrite(pairs, 4, 81 * c * c, stdout);
        fwrite(centre, 4, 9 * c * c, stdout);
        fwrite(taps, 4, 9 * c, stdout);
        double moments[64], sums[25 * 32];
        const pixel *x = pixels(n), *wide = pixels((h + 6) * (w + 6) * c), *kernel = pixels(9 * c * c);
        const pixel *given = pixels(2 * n) + n;
        const long shift = 3;
        if (normalise(x, h * w, c, floats(c), floats(2 * c), 1e-5f, given, 0.1f, moments, out))
            return 1;
        show(out, n);
        if (normalise_back(given, x, x, h * w, c, floats(c), 1e-5f, 0.1f, moments, sums, scaled, out))
            return 1;
        show(out, n);
        if (attend(1, &wide, &shift, &kernel, 1, h, w, c, c, out))
            return 1;
        show(out, n);
        float *back = calloc(n, 4);
        if (spread_back(wide, pixels(625 * c * c), floats(25 * c), given, kernel, 1, h, w, c, c, shift, back))
            return 1;
        fwrite(back, 4, n, stdout);
        pixel *joined = malloc(sizeof(pixel) * 8 * n), *of_skip = malloc(sizeof(pixel) * 4 * n);
        if (join(pixels(4 * n), x, pixels(4 * n), 1, h, w, c, joined))
            return 1;
        show(joined, 8 * n);
        if (join_back(x, pixels(4 * n), pixels(8 * n), 1, h, w, c, of_skip, out, joined))
            return 1;
        show(out, n);
        show(joined, 4 * n);
        if (head_back(x, floats((h + 10) * (w + 10)), 1, h, w, c, floats(25 * c), sums, out))
            return 1;
        show(out, n);
    }
    return 0;
}
"""


def made_by(command: list[str], runner: list[str], folder: Path) -> np.ndarray:
    """What the program says that this compiler makes of the kernels."""
    folder.mkdir()
    (folder / "main.c").write_text(PROGRAM)
    sources = [str(p) for p in sorted(build.FOLDER.glob("*.c"))]
    flags = ["-std=gnu11", "-O3", "-fno-math-errno", "-fopenmp", "-static", f"-I{build.FOLDER}", "-Wno-psabi"]
    subprocess.run([*command, *flags, "-o", str(folder / "main"), str(folder / "main.c"), *sources], check=True)
    done = subprocess.run([*runner, str(folder / "main")], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32)


@pytest.mark.skipif(CROSS is None or EMULATOR is None, reason="no gcc-aarch64-linux-gnu or no qemu-user here")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
@pytest.mark.parametrize("half", [False, True])
def test_the_same_on_arm(tmp_path: Path, half: bool) -> None:
    assert CROSS is not None
    assert EMULATOR is not None
    defined = ["-DHALF"] if half else []
    here = made_by(["gcc", *defined], [], tmp_path / "here")
    there = made_by([CROSS, *defined], [EMULATOR, "-L", "/usr/aarch64-linux-gnu"], tmp_path / "there")
    assert here.shape == there.shape
    assert here.size > 50_000
    assert np.isfinite(here).all()
    assert np.abs(here - there).max() < (0.02 if half else 1e-5) * np.abs(here).max()
    assert np.corrcoef(here, there)[0, 1] > 1 - (1e-4 if half else 1e-9)
