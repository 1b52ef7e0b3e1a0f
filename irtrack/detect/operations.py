"""The operations of the network that training spends its time in: by torch here, on any device, in any precision."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irtrack.detect.directional import Weights, fused_attention


class Operations:
    """What the network's modules ask for. `native/training.py` has the same, with gradients, in C."""

    def attend(self, x: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """As `directional.fused_attention`."""
        return fused_attention(x, weights)

    def convolve(self, conv: nn.Module, x: Tensor) -> Tensor:
        """A 3x3 convolution with its bias, zero outside."""
        return conv(x)

    def normalise(self, norm: nn.Module, x: Tensor, slope: float = 1.0, onto: Tensor | None = None) -> Tensor:
        """Batch normalisation of x (B, C, H, W), plus `onto`; negative values are multiplied by `slope`."""
        y = norm(x)
        y = y if onto is None else y + onto
        return y if slope == 1.0 else F.leaky_relu(y, slope) if slope else F.relu(y)

    def join(self, skip: Tensor, x: Tensor, gate: Tensor) -> Tensor:
        """skip (B, C, H, W), and x (B, C, H/2, W/2) at twice the size times the sigmoid of gate (B, C, H, W), joined.

        (B, 2C, H, W); bilinear.
        """
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.cat([skip, x * gate.sigmoid()], 1)

    def head(self, stencils: nn.Sequential, x: Tensor) -> Tensor:
        """The network's last stencils, all channels of x (B, C, H, W) to logits (B, 1, H, W)."""
        return stencils(x)


TORCH = Operations()
