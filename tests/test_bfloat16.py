"""Training in bfloat16 on whatever processor this is, and on what it has in common with others."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from irtrack.train.commands import no_bfloat16
from irtrack.train.settings import TrainSettings
from irtrack.train.trial import bfloat16_works, has_bfloat16

GUARD = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#define MARK 0x6972747261636b37ul
#define PAGE 4096ul
void __libc_free(void *);
/* Every aligned block ends at a page that may not be touched: one byte read behind it ends the process. Its mark and
   its mapping stand before it, where a block of malloc has its size. */
int posix_memalign(void **out, size_t alignment, size_t size) {
    if (alignment < 64) alignment = 64;
    size_t room = (size + alignment + PAGE - 1) / PAGE * PAGE;
    char *base = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return ENOMEM;
    mprotect(base + room, PAGE, PROT_NONE);
    uintptr_t *block = (uintptr_t *)((uintptr_t)(base + room - size) & ~(uintptr_t)(alignment - 1));
    block[-1] = MARK, block[-2] = (uintptr_t)base;
    *(size_t *)base = room + PAGE;
    *out = block;
    return 0;
}
void free(void *place) {
    uintptr_t *block = place;
    if (block == NULL) return;
    if (block[-1] == MARK) munmap((void *)block[-2], *(size_t *)block[-2]);
    else __libc_free(block);
}
"""


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that puts a page that may not be touched behind each block of torch's."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")
    folder = tmp_path_factory.mktemp("guard")
    (folder / "guard.c").write_text(GUARD)
    library = folder / "guard.so"
    subprocess.run([gcc, "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "guard.c")], check=True)
    return library


@pytest.mark.skipif(not has_bfloat16(), reason="no bfloat16 on this processor, and training does not imitate it")
@pytest.mark.parametrize("isa", ["ALL", "AVX512_CORE_BF16", "AVX512_CORE"])
@pytest.mark.parametrize(("base", "batch"), [(8, 2), (16, 3)])
def test_no_layer_reads_past_its_buffers(guard: Path, isa: str, base: int, batch: int) -> None:
    settings = TrainSettings(base=base, batch=batch, crop=64, img_size=256)
    environment = {"LD_PRELOAD": str(guard), "ONEDNN_MAX_CPU_ISA": isa}
    assert bfloat16_works(settings, environment)


def test_a_crash_is_noticed(guard: Path) -> None:
    """The trial's process may die in any way."""
    settings = TrainSettings(base=8, batch=2, crop=64)
    assert not bfloat16_works(settings, {"LD_PRELOAD": str(guard), "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"})


def test_imitated_bfloat16_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without it is slow at it, and says so; what it is asked is what the kernel says of it."""
    flags = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and flags.exists():
        assert has_bfloat16() == ({"avx512bw", "avx512vl", "avx512dq"} <= set(flags.read_text().split()))
    monkeypatch.setattr("irtrack.train.commands.has_bfloat16", lambda: False)
    assert "has no bfloat16" in no_bfloat16(TrainSettings(base=8, batch=2, crop=64), torch.device("cpu"))
