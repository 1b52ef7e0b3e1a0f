"""Training by kernels in C: their gradients against torch's in double precision, and when they are taken."""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from irtrack.cli import main
from irtrack.core import IrtrackError
from irtrack.detect import backends
from irtrack.detect.directional import Weights, fused_attention
from irtrack.detect.native import build
from irtrack.detect.native.attention import NativeAttention
from irtrack.detect.native.training import Elements, NativeOperations, Normalise
from irtrack.detect.network import ConvNormRelu, DATransNet
from irtrack.detect.operations import TORCH, Operations
from irtrack.train import benchmark, native
from irtrack.train.loop import advance, start
from irtrack.train.optimisers import MatricesTogether, Muon, orthogonal
from irtrack.train.settings import TrainSettings

PROCESSORS = ["native", "x86-64-v3", "x86-64"] if platform.machine() == "x86_64" else ["native"]
EQUAL, ROUNDED = 1e-4, 0.01
"""Largest differences from double precision, in shares of the norm: in float32, and in bfloat16."""

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")
needs_bfloat16 = pytest.mark.skipif(not build.multiplies_bfloat16(), reason="no products of bfloat16 here")


@pytest.fixture(scope="module", params=PROCESSORS)
def flags(request: pytest.FixtureRequest, compiled: Path) -> Iterator[Path]:
    """A folder for kernels, compiled there with vectors of this processor, of AVX2 and of SSE2."""
    if build.compiler() is None:
        pytest.skip("no C compiler here")
    if request.param == "x86-64-v3" and "avx2" not in build.processor():
        pytest.skip("no AVX2 here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAGS", [flag.replace("native", request.param) for flag in build.FLAGS])
        yield compiled


@pytest.fixture(scope="module")
def operations(compiled: Path) -> NativeOperations:
    return NativeOperations(compiled)


@pytest.fixture(autouse=True)
def _own_cache(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backends, native):
        monkeypatch.setattr(module, "cache_folder", lambda: compiled)


def picture(*shape: int, half: bool = False) -> Tensor:
    """Normal numbers that bfloat16 has, if `half`."""
    x = torch.randn(shape)
    return (x.bfloat16().float() if half else x).contiguous(memory_format=torch.channels_last)


def leaf(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.detach().clone().to(dtype).requires_grad_()


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor], limit: float) -> None:
    for n, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape
        assert float((a.detach().double() - b.detach()).norm()) <= limit * float(b.detach().norm()), n


Attention = Callable[..., tuple[Tensor, Tensor]]


def attended(
    form: Attention, given: Sequence[Tensor], shifts: Sequence[int], types: tuple[torch.dtype, torch.dtype]
) -> list[Tensor]:
    """What a block gives, and all its gradients."""
    x, gradient, *weights = given
    x, leaves = leaf(x, types[0]), [leaf(w, types[1]) for w in weights]
    n = len(shifts)
    y, attention = form(x, Weights(leaves[:n], leaves[n : 2 * n], leaves[2 * n :], shifts, 4096))
    y.backward(gradient.to(y.dtype))
    return [y, attention, *(v.grad for v in (x, *leaves) if v.grad is not None)]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("size", "channels", "hidden", "shifts"),
    [
        ((6, 7), 4, 4, (1, 3)),  # all border
        ((33, 40), 8, 4, (1, 3)),
        ((64, 18), 16, 8, (1, 3)),
        ((16, 50), 32, 8, (1, 3)),
        ((9, 20), 12, 4, (2,)),
        ((8, 19), 64, 16, (1,)),
    ],
)
def test_attention(
    flags: Path, size: tuple[int, int], channels: int, hidden: int, shifts: tuple[int, ...], half: bool
) -> None:
    torch.manual_seed(1)
    x = (picture(2, channels, *size, half=half) + 1.5).contiguous(memory_format=torch.channels_last)
    x = x.bfloat16().float() if half else x
    queries = [torch.randn(hidden, channels, 1, 1) for _ in shifts]
    others = [torch.randn(8 * hidden, 8 * channels, 1, 1) / channels**0.5 for _ in range(2 * len(shifts))]
    given = [x, picture(2, hidden * len(shifts), *size, half=half), *queries, *others]
    expected = attended(fused_attention, given, shifts, (torch.float64, torch.float64))
    own = torch.bfloat16 if half else torch.float32
    found = attended(NativeAttention(flags, half), given, shifts, (own, torch.float32))
    assert len(found) == 3 + 3 * len(shifts)
    assert_close(found, expected, ROUNDED if half else EQUAL)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("slope", "joined"), [(1.0, False), (0.0, False), (0.01, True)])
@pytest.mark.parametrize(("size", "channels"), [((3, 5), 4), ((33, 40), 8), ((7, 9), 12), ((50, 31), 32)])
def test_norms(flags: Path, size: tuple[int, int], channels: int, slope: float, joined: bool, half: bool) -> None:
    torch.manual_seed(2)
    x, gradient, onto = ((3 * picture(2, channels, *size) + shift).bfloat16() for shift in (20, 0, 0))
    norm = nn.BatchNorm2d(channels)
    nn.init.normal_(norm.weight, 1)
    nn.init.normal_(norm.bias)
    exact = copy.deepcopy(norm).double()
    given, aside = leaf(x, torch.float64), leaf(onto, torch.float64)
    y = TORCH.normalise(exact, given, slope, aside if joined else None)
    y.backward(gradient.double())
    expected = [y, exact.weight.grad, exact.bias.grad, given.grad, *([aside.grad] if joined else [])]
    dtype = torch.bfloat16 if half else torch.float32
    own, beside = leaf(x, dtype), leaf(onto, dtype)
    y, moments = Normalise.apply(
        own, norm.weight, norm.bias, beside if joined else None, slope, norm.eps, Elements(flags, half)
    )
    y.backward(gradient.to(dtype))
    found = [y, norm.weight.grad, norm.bias.grad, own.grad, *([beside.grad] if joined else [])]
    assert_close(found, expected, ROUNDED if half else EQUAL)
    assert_close(list(moments), [x.double().mean((0, 2, 3)), x.double().var((0, 2, 3), correction=0)], EQUAL)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("size", "channels"), [((4, 5), 8), ((20, 33), 16), ((12, 40), 32)])
def test_head(flags: Path, size: tuple[int, int], channels: int, half: bool) -> None:
    torch.manual_seed(3)
    stencils = DATransNet(channels).outc.double()
    x, gradient = picture(2, channels, *size, half=half), picture(2, 1, *size)
    given = leaf(x, torch.float64)
    y = TORCH.head(stencils, given)
    y.backward(gradient.double())
    expected = [y, given.grad, *(p.grad for p in stencils.parameters())]
    single = copy.deepcopy(stencils).float()
    single.zero_grad()
    operations = NativeOperations(flags)
    operations._elements[torch.bfloat16] = Elements(flags, half=True)
    own = leaf(x, torch.bfloat16 if half else torch.float32)
    y = operations.head(single, own)
    assert y.dtype == torch.float32
    y.backward(gradient)
    found = [y, own.grad, *(p.grad for p in single.parameters())]
    assert_close(found, expected, ROUNDED if half else EQUAL)  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 4), ((5, 7), 8), ((2, 9), 12), ((16, 21), 32)])
def test_joined_maps(flags: Path, size: tuple[int, int], channels: int, half: bool) -> None:
    torch.manual_seed(8)
    height, width = 2 * size[0], 2 * size[1]
    sizes = [(channels, height, width), (channels, *size), (channels, height, width)]
    maps, gradient = [picture(2, *s, half=half) for s in sizes], picture(2, 2 * channels, height, width, half=half)
    operations = NativeOperations(flags)
    operations._elements[torch.bfloat16] = Elements(flags, half=True)

    def made(form: Operations, dtype: torch.dtype) -> list[Tensor]:
        leaves = [leaf(m, dtype) for m in maps]
        y = form.join(*leaves)
        y.backward(gradient.to(dtype))
        return [y, *(v.grad for v in leaves if v.grad is not None)]

    own = torch.bfloat16 if half else torch.float32
    assert_close(made(operations, own), made(TORCH, torch.float64), ROUNDED if half else EQUAL)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 8), (16, 8), (32, 64)])
def test_convolutions(flags: Path, inputs: int, outputs: int) -> None:
    torch.manual_seed(4)
    block = ConvNormRelu(inputs, outputs).double()
    x, gradient = picture(2, inputs, 21, 34), picture(2, outputs, 21, 34)

    def made(operations: Operations, dtype: torch.dtype) -> list[Tensor]:
        conv, given = copy.deepcopy(block.conv).to(dtype), leaf(x, dtype)
        y = operations.convolve(conv, given)
        y.backward(gradient.to(dtype))
        return [y, given.grad, *(p.grad for p in conv.parameters())]  # type: ignore[list-item]

    assert_close(made(NativeOperations(flags), torch.float32), made(TORCH, torch.float64), EQUAL)


@needs_compiler
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bfloat16)])
@pytest.mark.parametrize("base", [4, 8])
def test_gradients_of_the_network(operations: NativeOperations, base: int, bf16: bool) -> None:
    """Here rounding may turn the sign of a value before a rectifier, in torch as well: the limit is wider."""
    native.check(operations, base, bf16)
    network = DATransNet(base).set_operations(operations)
    assert copy.deepcopy(network).contras1.operations is operations
    assert not any("operations" in key for key in network.state_dict())


class Wrong(NativeOperations):
    """Its norms forget what is added to them."""

    def normalise(self, norm: nn.Module, x: Tensor, slope: float = 1.0, onto: Tensor | None = None) -> Tensor:
        return super().normalise(norm, x, slope)


@needs_compiler
def test_wrong_gradients_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    settings = TrainSettings(base=4)
    assert isinstance(native.operations_for(settings, "cpu"), NativeOperations)
    monkeypatch.setattr(native, "NativeOperations", Wrong)
    assert native.operations_for(settings, "cpu") is TORCH
    assert "the kernels' gradients differ from torch's by" in capsys.readouterr().out


def test_torch_trains_where_there_is_no_compiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "compiler", lambda: None)
    assert native.operations_for(TrainSettings(base=4), "cpu") is TORCH
    assert "note: steps run in torch alone (" in capsys.readouterr().out
    with pytest.raises(IrtrackError, match="no kernels in C here"):
        list(benchmark.run(1))


def test_the_setting_and_other_devices_leave_it_to_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert native.operations_for(TrainSettings(base=4, native=False), "cpu") is TORCH
    assert native.operations_for(TrainSettings(base=4), "cuda:0") is TORCH
    assert capsys.readouterr().out == ""


@needs_compiler
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bfloat16)])
def test_steps_are_the_same_each_time(bf16: bool, set_threads: Callable[[int], None]) -> None:
    """To the last bit, with several threads: else a run that is continued would not be the uninterrupted one."""
    torch.manual_seed(5)
    x, y = picture(3, 1, 64, 64), (torch.rand(3, 1, 64, 64) > 0.99).float()
    settings = TrainSettings(base=8, crop=64, steps=10, warmup=1, bf16=bf16, optimiser="muon")
    runs = [start(settings, "cpu", None) for _ in range(2)]
    set_threads(2)
    for run in runs:
        for _ in range(2):
            advance(run, run.network, x, y, settings, None)
    assert isinstance(runs[0].network.operations, NativeOperations)
    first, second = (run.network.state_dict() for run in runs)
    assert all(torch.equal(first[k], second[k]) for k in first)


@needs_compiler
def test_a_run_goes_on_with_the_other_arithmetic(tmp_path: Path) -> None:
    settings = TrainSettings(base=4, steps=4, batch=2, crop=32, optimiser="muon")
    x, y = torch.rand(2, 1, 32, 32), torch.zeros(2, 1, 32, 32)
    run = start(settings, "cpu", None)
    advance(run, run.network, x, y, settings, None)
    run.save(tmp_path / "last.pt", settings)
    other = replace(settings, native=False)
    later = start(other, "cpu", None)
    later.load(tmp_path / "last.pt", other)
    advance(later, later.network, x, y, other, None)
    assert later.step == 2


def test_matrices_together_are_as_orthogonal_as_one_by_one() -> None:
    torch.manual_seed(6)
    shapes = [(8, 72), (72, 8), (16, 16), (16, 144), (4, 8), (64, 40)]
    matrices = [torch.randn(shape) * scale for shape, scale in zip(shapes, (1, 1e-6, 1, 1e3, 1, 1), strict=True)]
    matrices += [torch.outer(torch.randn(16), torch.randn(32)), torch.zeros(8, 16)]
    a, b, c = 3.4445, -4.7750, 2.0315
    for found, m in zip(orthogonal(matrices), matrices, strict=True):
        expected = m.double() / m.double().norm().clamp_min(1e-7)
        for _ in range(5):
            gram = expected @ expected.T
            expected = a * expected + (b * gram + c * gram @ gram) @ expected
        assert float((found - expected).norm()) <= 1e-3 * max(1.0, float(expected.norm()))


def test_muon_steps_as_that_of_torch() -> None:
    """Momentum, decay and rate, one after the other; torch's matrices are rounded to bfloat16."""
    torch.manual_seed(7)
    networks = [DATransNet(4).to(memory_format=torch.channels_last) for _ in range(2)]  # type: ignore[call-overload]
    networks[1].load_state_dict(networks[0].state_dict())
    before = {n: p.detach().clone() for n, p in networks[0].named_parameters()}
    optimisers = [Muon(network, 1e-2, 0.1, together) for network, together in zip(networks, (True, False), strict=True)]
    assert isinstance(optimisers[0]._parts[0], MatricesTogether)
    for _ in range(3):
        for p, q in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    moved, other = (torch.cat([(p - before[n]).flatten() for n, p in k.named_parameters()]) for k in networks)
    assert (moved - other).norm() < 0.05 * other.norm()
    optimisers[1].load_state_dict(optimisers[0].state_dict())  # runs of before are gone on with, and the other way


@needs_compiler
def test_rows_of_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "SIZES", ((4, 1, 64),))
    out, threads = tmp_path / "out.json", torch.get_num_threads()
    assert main(["bench", "train", "--rounds", "2", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert {(r["backend"], r["mode"]) for r in rows} == {
        (b, m) for b in ("torch", "native") for m in ("bfloat16", "float32")
    }
    assert {r["stage"] for r in rows} == {"step", "forward", "backward", "optimiser", "steps an hour"}
    assert all(r["median_ms"] > 0 and r["threads"] == 1 for r in rows)
    assert all(r["ratio"] == 1 for r in rows if r["backend"] == "torch" and r["stage"] != "steps an hour")
    assert "base 4, 1 of 64x64" in capsys.readouterr().out
    assert torch.get_num_threads() == threads
