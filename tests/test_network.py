"""The network against the golden data of the reference, stage by stage and at every size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from irtrack.detect.autocorrelation import LAGS, autocorrelated_statistics, pays, whole_products
from irtrack.detect.inference import prepare
from irtrack.detect.kernels import TENT, doubled
from irtrack.detect.network import DATransNet
from irtrack.detect.scoring import pad_to_multiple, score_map
from irtrack.detect.weights import build, load_weights, read_tensors

LIMIT = 5e-5  # the reference differs from its own float64 by up to 1.3e-5
FILES = ("io_32x32_b1", "io_256x256_b1", "io_256x256_b2", "io_480x640_b1", "io_512x512_b1")


def load(golden: Path, img_size: int) -> DATransNet:
    path = golden / "datransnet_random.pth.tar"
    return build(read_tensors(path), img_size, path)


@pytest.mark.parametrize("form", ["readable", "fused", "folded"])
@pytest.mark.parametrize("name", FILES)
def test_reference_outputs(golden: Path, name: str, form: str) -> None:
    arrays = np.load(golden / f"{name}.npz")
    compared = 0
    for img_size in (256, 512):
        key = f"out_img{img_size}"
        if key not in arrays:
            continue
        network = load(golden, img_size).set_fused(form != "readable")
        if form == "folded":
            network = prepare(network, torch.device("cpu"))
        with torch.inference_mode():
            out = network(torch.from_numpy(arrays["input_u8"]) / 255).sigmoid()
        assert np.abs(out.numpy() - arrays[key]).max() < LIMIT
        compared += 1
    assert compared


@pytest.mark.parametrize("fused", [False, True])
def test_reference_stages(golden: Path, fused: bool) -> None:
    """Each stage by itself, from the reference's own input to it, so that errors cannot hide or pile up."""
    arrays = np.load(golden / "stages_64x96_img256.npz")
    network = load(golden, 256).set_fused(fused)
    stage = {k.removeprefix("stage_"): torch.from_numpy(arrays[k]) for k in arrays if k.startswith("stage_")}
    stage["u8"] = torch.from_numpy(arrays["input_u8"]) / 255
    pooled = {f"p{i}": F.max_pool2d(stage[f"x{i}"], 2) for i in (1, 2, 3, 4)}
    inputs = stage | pooled
    steps = {
        "x1": ("inc", "u8"), "x2": ("encoder1", "p1"), "x3": ("encoder2", "p2"), "x4": ("encoder3", "p3"),
        "x5": ("encoder4", "p4"), "c1": ("contras1", "x1"), "c2": ("contras2", "x2"), "c3": ("contras3", "x3"),
        "c4": ("contras4", "x4"), "gfem_nonlocal": ("GFEM.sp", "x5"), "gfem": ("GFEM", "x5"),
        "d4": ("decoder4", "gfem", "c4", "x4"), "d3": ("decoder3", "d4", "c3", "x3"),
        "d2": ("decoder2", "d3", "c2", "x2"), "d1": ("decoder1", "d2", "c1", "x1"), "logits": ("outc", "d1"),
    }  # fmt: skip
    with torch.inference_mode():
        for name, (module, *sources) in steps.items():
            out = network.get_submodule(module)(*(inputs[s] for s in sources)).numpy()
            scale = max(1.0, float(np.abs(arrays[f"stage_{name}"]).max()))
            assert np.abs(out - arrays[f"stage_{name}"]).max() < LIMIT * scale, name
        for level in (1, 2, 3, 4):
            block = network.get_submodule(f"contras{level}")
            attention = block.attended(stage[f"x{level}"])[1]  # type: ignore[operator]
            assert np.abs(attention.numpy() - arrays[f"attn_contras{level}"]).max() < LIMIT


@pytest.mark.parametrize("size", [(32, 32), (64, 160), (96, 32)])
def test_fused_equals_readable_with_gradients(size: tuple[int, int]) -> None:
    torch.manual_seed(3)
    network, x = DATransNet(base=8), torch.rand(2, 1, *size)
    grads = []
    for fused in (False, True):
        network.zero_grad()
        network.set_fused(fused)(x).square().mean().backward()
        grads.append({n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None})
    for name, grad in grads[0].items():
        assert torch.allclose(grad, grads[1][name], atol=2e-5, rtol=2e-3), name


def test_flat_frame_agrees() -> None:
    """A constant picture has no directional differences; rounding must not invent any."""
    torch.manual_seed(0)
    network, x = DATransNet(base=8).eval(), torch.full((1, 1, 64, 64), 0.4)
    with torch.inference_mode():
        readable, fused = (network.set_fused(f)(x).sigmoid() for f in (False, True))
    assert (readable - fused).abs().max() < LIMIT


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (31, 33), (32, 32), (50, 70), (256, 320), (33, 500)])
def test_any_size_is_padded_and_cropped(size: tuple[int, int]) -> None:
    x = torch.rand(1, 1, *size)
    padded = pad_to_multiple(x)
    assert padded.shape[-2] % 32 == 0
    assert padded.shape[-1] % 32 == 0
    assert torch.equal(padded[..., : size[0], : size[1]], x)
    assert torch.equal(score_map(lambda p: torch.logit(p.clamp(0.01, 0.99)), x), x.clamp(0.01, 0.99)) or torch.allclose(
        score_map(lambda p: torch.logit(p.clamp(0.01, 0.99)), x), x.clamp(0.01, 0.99), atol=1e-6
    )


def test_autocorrelation_by_definition() -> None:
    torch.manual_seed(6)
    p = torch.randn(1, 3, 14, 17, dtype=torch.float64)
    for (i, j), product in zip(LAGS, whole_products(p, 3), strict=True):
        dy, dx = 3 * i, 3 * j
        a = p[0, :, : 14 - dy, max(0, -dx) : 17 - max(0, dx)].flatten(1)
        b = p[0, :, dy:, max(0, dx) : 17 + min(0, dx)].flatten(1)
        assert torch.allclose(product, a @ b.T)


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("size", [(4, 4), (5, 40), (64, 33), (150, 70)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_statistics_of_keys_without_keys(size: tuple[int, int], shift: int, layout: torch.memory_format) -> None:
    """Against the keys themselves in double precision, with a mean that is not zero and a batch of two."""
    torch.manual_seed(7)
    x = torch.randn(2, 8, *size).double() + 5
    kernel = torch.randn(32, 8, 3, 3).double()
    kernel -= kernel.mean((2, 3), keepdim=True)
    mean = x.mean((2, 3)) + 0.1  # as that of a frame of which x is a part
    padded = F.pad(x - mean[..., None, None], (shift,) * 4, mode="reflect").contiguous(memory_format=layout)
    keys = F.conv2d(padded, kernel, dilation=shift).flatten(2)
    total = x.sum((2, 3)) - size[0] * size[1] * mean
    gram, product, square = autocorrelated_statistics(mean, total, padded, kernel, shift)
    rows = x.flatten(2)
    assert torch.allclose(gram, rows @ rows.transpose(1, 2))
    assert torch.allclose(product, rows @ keys.transpose(1, 2))
    assert torch.allclose(square, keys.square().sum(2))


@pytest.mark.parametrize("name", ["datransnet", "datransnet-s"])
@pytest.mark.parametrize("img_size", [256, 512])
@pytest.mark.parametrize("size", [(2, 2), (31, 65), (40, 333), (200, 256), (320, 480)])
def test_fast_form_of_trained_weights(name: str, img_size: int, size: tuple[int, int]) -> None:
    """Pictures as smooth as the sky, where sums of products are large beside those of differences, two at a time."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[: size[0], : size[1]] / 100
    sky = 0.4 + 0.2 * np.sin(x) + 0.1 * np.cos(2 * y) + rng.normal(0, 0.004, (2, 1, *size))
    sky[:, 0, size[0] // 2, size[1] // 2] += 0.4
    frames = torch.from_numpy(sky.clip(0, 1).astype(np.float32))
    network = load_weights(name).network
    network = build(network.state_dict(), img_size, Path(name))
    with torch.inference_mode():
        fast = score_map(prepare(network, torch.device("cpu")), frames)
        readable = score_map(network.set_fused(False), frames)
    assert (fast - readable).abs().max() < LIMIT


def test_autocorrelation_is_used_where_it_pays() -> None:
    assert pays(16, 64, 512, 640, 3)
    assert not pays(16, 64, 32, 32, 3)


def test_bands_of_keys_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    network, x = DATransNet(base=8).eval(), torch.rand(1, 1, 96, 64)
    monkeypatch.setattr("irtrack.detect.directional.pays", lambda *_: False)
    with torch.inference_mode():
        whole = network(x)
        monkeypatch.setattr("irtrack.detect.directional.BAND_BYTES", 1)  # eight rows at a time, the least
        assert torch.allclose(network(x), whole, atol=LIMIT)


PEAK = """
import sys
import torch
from irtrack.detect.inference import prepare
from irtrack.detect.network import DATransNet
from irtrack.detect.scoring import score_map
def peak():  # of this process alone: what getrusage says begins with the parent's
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
torch.manual_seed(5)
network, side = prepare(DATransNet(base=4), torch.device("cpu")), int(sys.argv[1])
with torch.inference_mode():
    score_map(network, torch.rand(1, 1, 64, 64))
    before = peak()
    scores = score_map(network, torch.rand(1, 1, side, side))
assert scores.shape == (1, 1, side, side) and torch.isfinite(scores).all()
print((peak() - before) / side**2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured as Linux counts it")
def test_the_largest_frame_fits_into_memory() -> None:
    """Bytes a pixel, each in a process of its own: what holds of 1024 and 2048 a side holds of 4096, the largest."""
    small, large = (
        float(subprocess.run([sys.executable, "-c", PEAK, side], capture_output=True, text=True, check=True).stdout)
        for side in ("1024", "2048")
    )
    assert 0 < large < 1.25 * small, "no part grows faster than the picture"
    assert large * 4096**2 < 2.5 * 2**30


def test_padding_reflects() -> None:
    x = torch.arange(40.0).view(1, 1, 1, 40).expand(1, 1, 40, 40)
    expected = F.pad(x, (0, 24, 0, 24), mode="reflect")
    assert torch.equal(pad_to_multiple(x), expected)


@pytest.mark.parametrize("name", ["datransnet", "datransnet-s"])
def test_shipped_models_find_simulated_targets(name: str) -> None:
    from irtrack.config import DetectorSettings
    from irtrack.detect.detector import NetworkDetector
    from irtrack.simulate import Scene, scene_from_text

    scene = Scene(scene_from_text("sky,width=160,height=128,targets=4,scr=12,seed=2"))
    detector = NetworkDetector(load_weights(name), DetectorSettings(), torch.device("cpu"))
    found = detector(scene.image(75)).xy_px
    truth = scene.truth(75).xy_px
    near = np.linalg.norm(truth[:, None] - found[None], axis=2).min(1)
    assert len(truth) == 4
    assert (near < 1.5).sum() >= 3


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (15, 17), (64, 80)])
def test_doubling_is_bilinear_interpolation(size: tuple[int, int]) -> None:
    x = torch.rand(2, 5, *size)
    expected = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert (doubled(x, TENT.expand(5, 1, 4, 4)) - expected).abs().max() < 1e-6
