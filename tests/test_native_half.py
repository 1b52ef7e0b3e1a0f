"""Kernels in C for maps in bfloat16: against torch on the same maps, and when they are taken."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from irtrack.build import load_detector
from irtrack.config import DetectorSettings
from irtrack.core import IrtrackError
from irtrack.detect import backends, detector
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.inference import prepare
from irtrack.detect.kernels import HEAD_PLACES, TENT, Kernels, summed_taps
from irtrack.detect.native import NativeKernels, build, coarse
from irtrack.detect.scoring import score_map
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import load_weights
from irtrack.simulate import Scene, scene_from_text

CPU = torch.device("cpu")
PROCESSORS = ["native", "x86-64-v3", "x86-64"] if platform.machine() == "x86_64" else ["native"]
ROUNDED = 0.004
"""What bfloat16 rounds by, at most, in shares of the largest value."""

FILTERED = 0.04
"""The same behind minimal filtering, whose values at 36 places are rounded."""


@pytest.fixture(scope="module", params=PROCESSORS)
def kernels(request: pytest.FixtureRequest, compiled: Path) -> NativeKernels:
    """With this processor's own products, if it has them, and with those that are made of others."""
    if build.compiler() is None:
        pytest.skip("no C compiler here")
    if request.param == "x86-64-v3" and "avx2" not in build.processor():
        pytest.skip("no AVX2 here")
    flags = [flag.replace("native", request.param) for flag in build.FLAGS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAGS", flags)
        return NativeKernels(compiled, half=True)


@pytest.fixture(autouse=True)
def _own_cache(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "cache_folder", lambda: compiled)


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(shape).to(torch.bfloat16).to(memory_format=torch.channels_last)


def worst(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, in shares of the largest value."""
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize(
    ("size", "inputs", "outputs"),
    [((4, 4), 8, 8), ((5, 41), 16, 16), ((64, 33), 4, 12), ((17, 100), 32, 16), ((9, 8), 20, 128), ((6, 7), 128, 64)],
)
def test_convolution(
    kernels: NativeKernels, size: tuple[int, int], inputs: int, outputs: int, shift: int, reflect: bool
) -> None:
    torch.manual_seed(1)
    x, kernel, bias = picture(2, inputs, *size), torch.randn(outputs, inputs, 3, 3), torch.randn(outputs)
    onto = picture(2, outputs, *size)
    wide = F.pad(x.double(), (shift,) * 4, mode="reflect") if reflect else F.pad(x.double(), (shift,) * 4)
    expected = F.conv2d(wide, kernel.double(), bias.double(), dilation=shift)
    weights = kernels.weights(kernel)
    made = kernels.convolve([x], weights, bias, shift=shift, reflect=reflect)
    assert made.dtype == torch.bfloat16
    assert worst(made, expected) < FILTERED
    assert (made.double() - expected).square().mean().sqrt() < FILTERED / 2 * expected.square().mean().sqrt()
    rectified = kernels.convolve([x], weights, bias, shift=shift, reflect=reflect, slope=0.1, onto=onto)
    assert worst(rectified, F.leaky_relu(expected + onto.double(), 0.1)) < FILTERED
    if inputs % 8 == 0:
        halves = kernels.convolve(list(x.split(inputs // 2, 1)), weights, bias, shift=shift, reflect=reflect)
        assert torch.equal(halves, made)


@pytest.mark.parametrize("channels", [4, 8, 16, 20, 32, 64])
@pytest.mark.parametrize("size", [(2, 2), (7, 13), (20, 36)])
def test_elements(kernels: NativeKernels, channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(2)
    plain = Kernels()
    x, encoded = picture(2, channels, *size), picture(2, channels, 2 * size[0], 2 * size[1])
    gate, bias, tent = torch.randn(channels, channels, 1, 1), torch.randn(channels), TENT.expand(channels, 1, 4, 4)
    own = kernels.mix_weights(gate)
    assert worst(kernels.mix(x, own, bias, 0.1), plain.mix(x.float(), gate, bias, 0.1)) < 2 * ROUNDED
    assert torch.equal(kernels.halve(x), F.max_pool2d(x, 2))
    lifted = plain.lift(x.float(), encoded.float(), gate, bias, tent)
    assert worst(kernels.lift(x, encoded, own, bias, tent), lifted) < 4 * ROUNDED
    assert torch.isfinite(kernels.lift(x, 1e4 * encoded, own, bias, tent)).all()
    taps = torch.randn(len(HEAD_PLACES), channels)
    assert worst(kernels.head(x, *[bias] * 3, taps, bias[:1]), summed_taps(x.float(), taps, bias[:1])) < ROUNDED
    grey, first, kernel = torch.rand(2, 1, *size), torch.randn(channels, 1, 3, 3), torch.randn(channels, channels, 3, 3)
    scales = torch.randn(1, channels, 1, 1)
    found, expected = (
        k.begin(grey, (k.begin_weights(first), k.weights(kernel)), (bias, bias), scales, 0.1) for k in (kernels, plain)
    )
    assert worst(found, expected) < FILTERED


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize(("channels", "size"), [(4, (6, 7)), (8, (33, 40)), (16, (20, 51)), (32, (12, 9))])
def test_sums_of_pairs_are_those_of_the_same_values(
    kernels: NativeKernels, channels: int, size: tuple[int, int], shift: int
) -> None:
    """What is rounded is the map alone: sums of its products are as exact as in single precision."""
    torch.manual_seed(3)
    x = (0.5 + picture(1, channels, *size) / 8).to(torch.bfloat16).float().to(memory_format=torch.channels_last)
    near = coarse(x.mean((2, 3), keepdim=True))
    assert torch.equal((x - near).to(torch.bfloat16).float(), x - near) or (x < near / 2).any()
    same = (x - near).to(torch.bfloat16).float() + near
    for found, expected in zip(
        kernels.pair_sums(kernels.padded(x, near, shift), shift),
        kernels.single.pair_sums(kernels.single.padded(same, near, shift), shift),
        strict=True,
    ):
        assert worst(found, expected) < 1e-5


def test_coarse_means_are_near_and_have_few_digits() -> None:
    mean = torch.tensor([0.0, 1.0, -3.3, 1e-3, 47.11, 0.999])
    assert ((coarse(mean) - mean).abs() <= mean.abs() / 16).all()
    mantissa, _ = torch.frexp(coarse(mean))
    assert torch.equal(16 * mantissa, (16 * mantissa).round())


@pytest.mark.parametrize("name", ["datransnet", "datransnet-s"])
@pytest.mark.parametrize("size", [(31, 65), (200, 256)])
def test_the_network(kernels: NativeKernels, name: str, size: tuple[int, int]) -> None:
    """Masks of a simulated scene with targets, exact and in video mode, against single precision."""
    scene = Scene(scene_from_text(f"sky,width={size[1]},height={size[0]},targets=4,scr=14,seed=3"))
    x = torch.from_numpy(scene.image(40)).float()[None, None] / 255
    network = load_weights(name).network
    half = prepare(network, CPU, arithmetic=kernels)
    video = VideoNetwork(half)
    with torch.inference_mode():
        expected = score_map(prepare(network, CPU), x)
        for found in (score_map(half, x), *(score_map(video, x) for _ in range(5))):
            assert (found - expected).abs().max() < backends.HALF_LIMIT
            both, either = ((found > 0.5) & (expected > 0.5)).sum(), ((found > 0.5) | (expected > 0.5)).sum()
            assert both >= either - 1


def test_precision_bfloat16_takes_them_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, settings = load_weights("datransnet-s"), DetectorSettings(precision="bfloat16", backend="auto")
    monkeypatch.setattr(detector, "multiplies_bfloat16", lambda: False)
    made = NetworkDetector(weights, settings, CPU)
    assert made.backend == "torch"
    assert next(p for n, p in made._network.named_parameters() if n.endswith("conv1.weight")).dtype == torch.bfloat16
    monkeypatch.setattr(backends, "multiplies_bfloat16", lambda: False)
    with pytest.raises(IrtrackError, match="no bfloat16 on this processor: leave --precision or --backend out"):
        NetworkDetector(weights, DetectorSettings(precision="bfloat16", backend="native"), CPU)


@pytest.mark.skipif(not build.multiplies_bfloat16() or build.compiler() is None, reason="no VDPBF16PS or compiler here")
def test_the_same_on_a_processor_that_does() -> None:
    image = Scene(scene_from_text("sky,width=200,height=150,seed=3")).image(75)
    made = [load_detector(DetectorSettings(weights="datransnet-s", precision=p)) for p in ("bfloat16", "float32")]
    assert made[0].backend == "native"
    assert isinstance(next(m.kernels for m in made[0]._network.modules() if hasattr(m, "kernels")), NativeKernels)
    found = [d(image) for d in made]
    assert len(found[0].xy_px) == len(found[1].xy_px) > 0
    assert abs(found[0].xy_px - found[1].xy_px).max() < 0.1
