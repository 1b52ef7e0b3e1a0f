"""The form of the network that runs: the same outputs, fewer operations.

BatchNorm is folded into the convolution before it, layout is channels-last, DATrans blocks use `directional.py`.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from irtrack.detect.network import ConvNormRelu, DATrans, DATransNet, NonLocal, ResidualBlock


def fold_batch_norm(network: DATransNet) -> DATransNet:
    """A copy for inference with every BatchNorm folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.conv1, module.bn1 = fuse_conv_bn_eval(module.conv1, module.bn1), nn.Identity()  # type: ignore[assignment]
            module.conv2, module.bn2 = fuse_conv_bn_eval(module.conv2, module.bn2), nn.Identity()  # type: ignore[assignment]
            if isinstance(module.shortcut, nn.Sequential):
                module.shortcut = folded(*module.shortcut)
        elif isinstance(module, ConvNormRelu):
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), nn.Identity()  # type: ignore[assignment]
        elif isinstance(module, DATrans):
            conv, norm, relu = module.out_conv
            module.out_conv = nn.Sequential(folded(conv, norm), nn.Identity(), relu)
        elif isinstance(module, NonLocal):
            module.W = nn.Sequential(folded(*module.W), nn.Identity())
    return network


def folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """One convolution for a convolution and the BatchNorm behind it."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


def prepare(network: DATransNet, device: torch.device) -> DATransNet:
    """The network ready to run on a device: folded, fused, channels-last."""
    ready = fold_batch_norm(network).set_fused(True).requires_grad_(False)
    return ready.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
