"""Ends a container's build where torch is not the build that is wanted: `cpu` or `cuda`."""

from __future__ import annotations

import sys


def wrong(wanted: str, cuda: str | None) -> str:
    """What to do, if this is not the build; else nothing."""
    if wanted == "cpu" and cuda is not None:
        return (
            f"this torch is built for CUDA {cuda}, gigabytes larger than one for CPUs: name PyTorch's index of those, "
            "--build-arg TORCH_INDEX=..., or build Containerfile.cuda"
        )
    if wanted == "cuda" and cuda is None:
        return "this torch is built for CPUs: leave TORCH_INDEX out, or name PyTorch's index of builds for CUDA"
    return ""


if __name__ == "__main__":
    import torch

    if said := wrong(sys.argv[1], torch.version.cuda):
        sys.exit(said)
