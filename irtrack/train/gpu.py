"""What training asks of a GPU's libraries, all in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from irtrack.core import IrtrackError


@contextmanager
def quick_steps(device: str) -> Iterator[None]:
    """Arithmetic of a step of training on a GPU; behind it all is as it was. On a CPU nothing changes.

    - cuDNN times its kernels once for each size: steps have one size, validation images many, which must not pay that.
    - Products of float32 matrices, where bfloat16 is off, are TF32's, as those of convolutions are anyway.
    - Sums of products in bfloat16 stay in float32 to their end: those of attention run over all pixels.

    Channels-last is the layout of the network (`loop.start`); bfloat16 is the setting `bf16`.
    """
    if not device.startswith("cuda"):
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, torch.get_float32_matmul_precision(), matmul.allow_bf16_reduced_precision_reduction
    set_arithmetic(True, "high", False)
    try:
        yield
    finally:
        set_arithmetic(*before)


@contextmanager
def within_memory(batch: int, crop: int) -> Iterator[None]:
    """Raises IrtrackError in place of torch's error where the GPU's memory does not suffice for these sizes."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise IrtrackError(
            f"the GPU's memory is too small for batch = {batch} and crop = {crop}: --set batch={max(1, batch // 2)}"
        ) from error


def set_arithmetic(timed: bool, float32: str, short_sums: bool) -> None:
    """cuDNN's timing of kernels, torch's precision of float32 products, bfloat16 within sums of products."""
    torch.backends.cudnn.benchmark = timed
    torch.set_float32_matmul_precision(float32)
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = short_sums
