"""Kernels in C against torch in double precision, and what happens where they cannot be had."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from irtrack.build import load_detector
from irtrack.cli import main
from irtrack.config import DetectorSettings
from irtrack.core import IrtrackError
from irtrack.detect import backends, native
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.inference import FastDATrans, prepare
from irtrack.detect.kernels import HEAD_PLACES, TENT, Kernels
from irtrack.detect.native import NativeKernels, build
from irtrack.detect.network import DATransNet
from irtrack.detect.scoring import score_map
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import build as build_network
from irtrack.detect.weights import load_weights, save_weights
from irtrack.simulate import Scene, scene_from_text

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")
CPU = torch.device("cpu")
LIMIT = 5e-5


PROCESSORS = ["native", "x86-64-v3", "x86-64"] if platform.machine() == "x86_64" else ["native"]


@pytest.fixture(scope="module", params=PROCESSORS)
def kernels(request: pytest.FixtureRequest, compiled: Path) -> NativeKernels:
    """As compiled for this processor, for one with AVX2 and for one with SSE2: vectors of three widths."""
    if build.compiler() is None:
        pytest.skip("no C compiler here")
    if request.param == "x86-64-v3" and "avx2" not in build.processor():
        pytest.skip("no AVX2 here")
    flags = [flag.replace("native", request.param) for flag in build.FLAGS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAGS", flags)
        return NativeKernels(compiled)


@pytest.fixture(autouse=True)
def _own_cache(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "cache_folder", lambda: compiled)


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(shape).to(memory_format=torch.channels_last)


def close(found: torch.Tensor, expected: torch.Tensor, limit: float = 1e-5) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= limit * expected.abs().max())


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
    assert close(kernels.convolve([x], weights, bias, shift=shift, reflect=reflect), expected)
    rectified = kernels.convolve([x], weights, bias, shift=shift, reflect=reflect, slope=0.1, onto=onto)
    assert close(rectified, F.leaky_relu(expected + onto, 0.1))
    some = kernels.convolve([x], weights, bias, shift=shift, reflect=reflect, rows=slice(1, 4))
    assert close(some, expected[:, :, 1:4])


@pytest.mark.parametrize("threads", [1, 3, 7])
def test_any_number_of_threads_does_all_the_work_once(
    kernels: NativeKernels, threads: int, set_threads: Callable[[int], None]
) -> None:
    torch.manual_seed(11)
    x, kernel = picture(1, 16, 50, 70), torch.randn(16, 16, 3, 3)
    set_threads(threads)
    made = kernels.convolve([x], kernels.weights(kernel), shift=3)
    pairs, centre, _ = kernels.pair_sums(x, 3)
    halved = kernels.halve(x)
    mixed = kernels.mix(x, kernels.mix_weights(kernel[..., :1, :1]), torch.zeros(16))
    assert close(made, F.conv2d(x.double(), kernel.double(), padding=3, dilation=3))
    inner = x[0, :, 3:-3, 3:-3].flatten(1).double()
    assert close(centre[4 * 16 : 5 * 16], inner @ inner.T)
    assert close(pairs[4 * 16 : 5 * 16, 4 * 16 : 5 * 16], inner @ inner.T)
    assert torch.equal(halved, F.max_pool2d(x, 2))
    assert close(mixed, F.conv2d(x.double(), kernel[..., :1, :1].double()))


def test_convolution_of_two_parts(kernels: NativeKernels) -> None:
    torch.manual_seed(2)
    a, b, kernel = picture(1, 8, 30, 50), picture(1, 16, 30, 50), torch.randn(8, 24, 3, 3)
    expected = F.relu(F.conv2d(torch.cat([a, b], 1).double(), kernel.double(), padding=1))
    assert close(kernels.convolve([a, b], kernels.weights(kernel), slope=0.0), expected)


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("channels", [4, 8, 12, 16, 32, 64])
@pytest.mark.parametrize("size", [(6, 6), (7, 40), (64, 33), (150, 70)])
def test_sums_of_keys(kernels: NativeKernels, size: tuple[int, int], channels: int, shift: int) -> None:
    """Those of pairs of taps and those of keys, against keys in double precision, with a mean that is not zero."""
    torch.manual_seed(3)
    x = (picture(2, channels, *size) + 3).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(2 * channels, channels, 3, 3)
    kernel -= kernel.mean((2, 3), keepdim=True)
    mean = x.mean((2, 3), keepdim=True)
    rows = slice(1, size[0] - 1) if size[0] > 8 else slice(0, size[0])
    keys = F.conv2d(F.pad(x.double(), (shift,) * 4, mode="reflect"), kernel.double(), dilation=shift)
    keys, pixels = keys[:, :, rows].flatten(2), x.double()[:, :, rows].flatten(2)
    with pytest.MonkeyPatch.context() as patch:
        for answer in (True, False):
            patch.setattr(native, "pays", lambda *_, answer=answer: answer)
            found = kernels.sums(x, mean, [x], [kernels.key_weights(kernel)], [shift], rows)
            assert close(found.squares[0], keys.square().sum(2))
            assert close(found.products[0], pixels @ keys.transpose(1, 2), 2e-4)  # large terms that cancel
            assert close(found.gram, pixels @ pixels.transpose(1, 2))


def test_pairs_are_used_where_they_pay() -> None:
    assert native.pays(16, 64, 512, 640, 3)
    assert not native.pays(128, 256, 32, 32, 1)
    assert not native.pays(16, 64, 5, 640, 3)  # not higher than the border


@pytest.mark.parametrize("size", [(4, 4), (12, 13), (33, 64)])
@pytest.mark.parametrize("channels", [4, 8, 16, 32])
def test_the_rest(kernels: NativeKernels, size: tuple[int, int], channels: int) -> None:
    """First block, maxima, gated doubling, end of a residual block and head, as torch computes them."""
    torch.manual_seed(4)
    height, width = size
    x, grey = picture(2, channels, *size), picture(2, 1, *size)
    plain, encoded = Kernels(), picture(2, channels, 2 * height, 2 * width)
    assert torch.equal(kernels.halve(x), F.max_pool2d(x, 2))
    kernel, bias = torch.randn(channels, channels, 3, 3), torch.randn(channels)
    first, scales = torch.randn(channels, 1, 3, 3), torch.randn(1, channels, 1, 1)
    found, expected = (
        k.begin(grey, (k.begin_weights(first), k.weights(kernel)), (bias, bias), scales, 0.1) for k in (kernels, plain)
    )
    assert close(found, expected)
    for shortcut in (None, torch.randn(channels, channels, 1, 1)):
        found, expected = (k.residual(x, x, k.residual_weights(kernel, shortcut), bias, 0.1) for k in (kernels, plain))
        assert close(found, expected)
    gate, tent = torch.randn(channels, channels, 1, 1), TENT.expand(channels, 1, 4, 4)
    own = kernels.mix_weights(gate)
    assert close(kernels.lift(x, encoded, own, bias, tent), plain.lift(x, encoded, gate, bias, tent))
    assert close(kernels.mix(x, own, bias, 0.1), plain.mix(x, gate, bias, 0.1))
    extreme = kernels.lift(x, 1e4 * encoded, own, bias, tent)
    assert torch.isfinite(extreme).all()
    stencils = (
        torch.randn(1, channels // 2, 3, 3),
        torch.randn(1, channels // 4, 1, 11),
        torch.randn(1, channels // 4, 11, 1),
    )
    whole = torch.zeros(channels, 11, 11)
    whole[: channels // 2, 4:7, 4:7] = stencils[0]
    whole[channels // 2 : -(channels // 4), 5:6] = stencils[1]
    whole[-(channels // 4) :, :, 5:6] = stencils[2]
    taps = torch.stack([whole[:, 5 + r, 5 + c] for r, c in HEAD_PLACES])
    assert close(kernels.head(x, *stencils, taps, bias[:1]), plain.head(x, *stencils, taps, bias[:1]))


@cache
def read(name: str, img_size: int, size: tuple[int, int]) -> tuple[DATransNet, torch.Tensor, torch.Tensor]:
    """A network, two smooth pictures, and their scores by its readable form, once for kernels of all processors."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[: size[0], : size[1]] / 100
    sky = 0.4 + 0.2 * np.sin(x) + 0.1 * np.cos(2 * y) + rng.normal(0, 0.004, (2, 1, *size))
    sky[:, 0, size[0] // 2, size[1] // 2] += 0.4
    frames = torch.from_numpy(sky.clip(0, 1).astype(np.float32))
    torch.manual_seed(5)
    network = DATransNet(base=8).eval() if name == "random" else load_weights(name).network
    network = build_network(network.state_dict(), img_size, Path(name))
    with torch.inference_mode():
        return network, frames, score_map(network.set_fused(False), frames)


@pytest.mark.parametrize("name", ["datransnet", "datransnet-s", "random"])
@pytest.mark.parametrize("img_size", [256, 512])
@pytest.mark.parametrize("size", [(2, 2), (31, 65), (40, 333), (200, 256)])
def test_the_network(kernels: NativeKernels, name: str, img_size: int, size: tuple[int, int]) -> None:
    """Where sums of products are large beside those of differences, against the readable form."""
    network, frames, expected = read(name, img_size, size)
    with torch.inference_mode():
        found = score_map(prepare(network, CPU, arithmetic=kernels), frames)
    assert (found - expected).abs().max() < LIMIT


def test_a_part_of_a_frame_adds_up(kernels: NativeKernels) -> None:
    """The sums of two halves of a picture are those of the whole: what live mode relies on."""
    torch.manual_seed(6)
    block = next(
        m
        for m in prepare(load_weights("datransnet-s").network, CPU, arithmetic=kernels).modules()
        if isinstance(m, FastDATrans)
    )
    x = picture(1, 8, 64, 96)
    mean = x.mean((2, 3), keepdim=True)
    bordered = kernels.bordered(x, block.shifts, mean)
    whole = block.sums(x, mean, bordered, slice(0, 64))
    halves = block.sums(x, mean, bordered, slice(0, 32)) + block.sums(x, mean, bordered, slice(32, 64))
    for a, b in zip(
        [whole.gram, *whole.products, *whole.squares], [halves.gram, *halves.products, *halves.squares], strict=True
    ):
        assert close(b, a, 1e-4)


@needs_compiler
def test_video_mode_and_detector(kernels: NativeKernels) -> None:
    image = Scene(scene_from_text("sky,width=200,height=150,seed=3")).image(75)
    made = [
        load_detector(DetectorSettings(weights="datransnet-s", device="cpu", mode="exact", backend=b))
        for b in ("native", "torch")
    ]
    assert [d.backend for d in made] == ["native", "torch"]
    found = [d(image) for d in made]
    assert len(found[0].xy_px) == len(found[1].xy_px) > 0
    assert abs(found[0].xy_px - found[1].xy_px).max() < 1e-2
    network = load_weights("datransnet-s").network
    video, x = VideoNetwork(prepare(network, CPU, arithmetic=kernels)), torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        alone = prepare(network, CPU)(x).sigmoid()
        for _ in range(6):
            assert (video(x).sigmoid() - alone).abs().max() < LIMIT


@needs_compiler
def test_the_threads_are_those_of_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_threads: Callable[[int], None]
) -> None:
    source = tmp_path / "threads.c"
    source.write_text(
        "#include <omp.h>\nint threads(void) {\n int n = 0;\n#pragma omp parallel\n#pragma omp single\n"
        " n = omp_get_num_threads();\n return n;\n}\n"
    )
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    library = build.load_library(tmp_path)
    for count in (1, 3, 2):
        set_threads(count)
        assert library.threads() == count


@pytest.mark.skipif(sys.platform != "linux", reason="where torch's threads are those of gcc's library")
def test_clang_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "llvm" / "clang-19"
    real.parent.mkdir()
    real.touch(0o755)
    for name in ("clang", "cc"):
        (tmp_path / name).symlink_to(real)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "clang")
    assert build.compiler() is None
    (tmp_path / "gcc").touch(0o755)
    assert build.compiler() == str(tmp_path / "gcc")


def test_a_file_that_does_not_load_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"\n'
    monkeypatch.setenv("CC", fake_compiler(tmp_path, script))
    with pytest.raises(IrtrackError, match=r"backend native does not load .*use --backend torch"):
        NativeKernels(tmp_path / "cache")


def fake_compiler(folder: Path, script: str) -> str:
    path = folder / "badcc"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_compiler_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, "echo 'native.c:1: error: no such thing' >&2; exit 1\n"))
    with pytest.raises(
        IrtrackError, match=r"backend native does not compile here \(native.c:1: error: no such thing\)"
    ):
        NativeKernels(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`auto` does with torch; `native` is one clear line and another exit code."""
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    monkeypatch.setattr(backends, "NAMES", backends.OWN)  # the other engines take a minute to export
    weights = tmp_path / "tiny.safetensors"
    save_weights(DATransNet(base=4), weights)
    assert "native" not in backends.available()
    settings = DetectorSettings(weights=str(weights), device="cpu", mode="exact")
    assert load_detector(settings).backend == "torch"
    scene = "simcam:sky,width=64,height=48,frames=5"
    assert main(["run", scene, "--weights", str(weights), "--backend", "native", "--csv", str(tmp_path / "t.csv")]) != 0
    assert "backend native needs a C compiler: install gcc" in capsys.readouterr().err


@needs_compiler
@pytest.mark.parametrize("name", ["datransnet", "datransnet-s", "datransnet-s-still"])
def test_kernels_that_differ_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a part in a thousand."""
    monkeypatch.setattr(native, "FILTER", native.FILTER * 1.001)
    with pytest.raises(IrtrackError, match="backend native gives other scores than torch"):
        backends.native_form(load_weights(name).network)


@needs_compiler
def test_auto_takes_them_in_every_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "chosen", lambda taken: "native" if "native" in taken else "torch")
    weights = load_weights("datransnet-s")
    for mode in ("exact", "video", "live"):
        detector = NetworkDetector(weights, DetectorSettings(mode=mode), CPU)
        assert detector.backend == "native"
        assert any(isinstance(getattr(m, "kernels", None), NativeKernels) for m in detector._network.modules())
    assert NetworkDetector(weights, DetectorSettings(precision="float16"), CPU).backend == "torch"


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kernels that are compiled at once, in the place of ours; what is said of the folder holds for these too."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "tiny.c").write_text("int answer(void) { return 42; }\n")
    monkeypatch.setattr(build, "FOLDER", folder)
    monkeypatch.setattr(build, "LOADED", {})
    return folder


def planted(folder: Path, name: str) -> Path:
    """A library that leaves a mark when it is loaded, under a name of ours."""
    mark, source, library = folder.parent / "ran", folder.parent / "bad.c", folder / name
    text = '#include <stdio.h>\n__attribute__((constructor)) static void f(void) { fopen("%s", "w"); }\n'
    source.write_text(text % mark)
    compiler = build.compiler()
    assert compiler is not None
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return mark


def made_in(folder: Path) -> Path:
    """Our library in a folder."""
    assert build.load_library(folder).answer() == 42
    return next(folder.glob("native-*.so"))


@needs_compiler
def test_compiled_once(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_in(tmp_path / "cache")
    assert list(made.parent.iterdir()) == [made]
    monkeypatch.setattr(build, "run_compiler", None)  # a second compilation would fail
    assert made_in(made.parent) == made


@needs_compiler
def test_a_damaged_file_is_made_again(tiny: Path, tmp_path: Path) -> None:
    good = made_in(tmp_path / "one")
    bad = tmp_path / "two" / good.name
    bad.parent.mkdir()
    bad.write_bytes(b"not a library")
    assert made_in(bad.parent).read_bytes() == good.read_bytes()


@needs_compiler
def test_a_planted_library_is_never_loaded(tiny: Path, tmp_path: Path) -> None:
    """Under our name; and under a name that says what it holds, in a folder that others may write."""
    good = made_in(tmp_path / "good")
    assert good.stat().st_mode & 0o077 == 0
    assert good.parent.stat().st_mode & 0o077 == 0
    for mode, sealed in ((0o700, False), (0o777, False), (0o777, True)):
        folder = tmp_path / f"cache-{mode:o}-{sealed}"
        folder.mkdir()
        mark = planted(folder, good.name)
        if sealed:
            path = folder / good.name
            path.rename(folder / f"{good.stem.rpartition('-')[0]}-{build.digest(path)}.so")
            assert build.is_whole(next(folder.glob("native-*.so")))
        folder.chmod(mode)
        made_in(folder)
        assert not mark.exists()
        assert folder.stat().st_mode & 0o022 == 0


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_is_not_loaded(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = made_in(tmp_path / "own")
    os.chown(path, 12345, -1)
    assert not build.is_whole(path)
    os.chown(tmp_path / "own", 12345, -1)
    assert build.load_library(tmp_path / "own").answer() == 42
    assert "belongs to another user" in caplog.text
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(PermissionError, match="anybody may write"):
        build.make_private(tmp_path / "open" / "cache")


@needs_compiler
def test_a_library_that_is_cut_off_anywhere_is_made_again(tiny: Path, tmp_path: Path) -> None:
    """Loaded, it would end the program with SIGBUS; in a process of its own, so that a failure is one of this test."""
    path = made_in(tmp_path / "cache")
    whole = path.read_bytes()
    code = "import sys, pathlib as p, irtrack.detect.native.build as b; b.FOLDER = p.Path(sys.argv[1])\n"
    code += "assert b.load_library(p.Path(sys.argv[2])).answer() == 42"
    for share in (0.0, 0.1, 0.3, 0.5, 0.9, 0.99):
        path.unlink()  # the one that this process has loaded stays whole
        path.write_bytes(whole[: int(share * len(whole))])
        assert not build.is_whole(path)
        if share == 0.3:
            subprocess.run([sys.executable, "-c", code, str(tiny), str(path.parent)], check=True)
            assert path.read_bytes() == whole


@needs_compiler
def test_a_cache_folder_that_cannot_be_used_is_done_without(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file where the folder should be; a full disk. One line, compiled once, nothing left behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "cache").touch()
    for _ in range(2):
        assert build.load_library(tmp_path / "cache" / "irtrack").answer() == 42
    assert caplog.text.count("compiled for this run alone") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    monkeypatch.setattr(build, "LOADED", {})

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IrtrackError, match="No space left on device"):
        build.load_library(tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())
    backends.remember(tmp_path / "cache" / "backends.json", {})
    assert "is not kept" in caplog.text


def test_an_exported_network_is_used_only_where_it_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(backends, "export_onnx", lambda network, path: path.write_text("ours"))
    network = DATransNet(base=4)
    path = backends.cached_onnx(network)
    for mode in (0o666, 0o600):
        path.write_text("planted")
        path.chmod(mode)
        assert backends.cached_onnx(network).read_text() == ("ours" if mode == 0o666 else "planted")
    path.parent.chmod(0o777)
    assert backends.cached_onnx(network).read_text() == "ours"


def test_without_kernels_auto_takes_torch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def missing(network: DATransNet, half: bool) -> DATransNet:
        raise IrtrackError("backend native does not load")

    monkeypatch.setattr(backends, "native_form", missing)
    network = load_weights("datransnet-s").network
    assert backends.own_form(network, False)[0] == "torch"
    assert "torch is used instead" in caplog.text
    with pytest.raises(IrtrackError):
        backends.own_form(network, True)
