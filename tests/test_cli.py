"""The command line as people call it: real files, exit codes, and one clear line for bad input.

Each command is a real process once, and wherever signals, limits or its environment are in question; what else it says
is read in this process, since loading torch anew for each would take most of the time.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tifffile

from irtrack.cli import main, mistyped, one_line
from irtrack.simulate import Scene
from irtrack.sinks.columns import CSV_HEADER
from irtrack.sinks.lossless import write_video

ROOT = Path(__file__).resolve().parent.parent


def program(*args: object, timeout: float = 240, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """A command as a process."""
    command = [sys.executable, str(ROOT / "main.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **kwargs)  # type: ignore[call-overload,no-any-return]


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def irtrack(capfd: pytest.CaptureFixture[str]) -> Command:
    """A command in this process, with all that is said meanwhile, also by libraries that know nothing of Python."""

    def call(*args: object) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        try:
            code = main([*map(str, args)])
        except SystemExit as left:  # of argparse
            code = left.code if isinstance(left.code, int) else 1
        return subprocess.CompletedProcess(args, code, *capfd.readouterr())

    return call


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def check_tracks(path: Path, scene: Scene, offset: int = 0) -> None:
    """Most of the truth is hit in most frames, and the log's form is the contract's."""
    assert path.read_text().splitlines()[0] == CSV_HEADER
    table = rows(path)
    hits = total = 0
    for i in range(5, scene.settings.frames):
        found = np.array([(float(r["x_px"]), float(r["y_px"])) for r in table if int(r["frame"]) == i]).reshape(-1, 2)
        truth = scene.truth(i).xy_px
        total += len(truth)
        hits += int((np.linalg.norm(truth[:, None] - found[None], axis=2).min(1, initial=99) < 2).sum())
    assert hits > 0.8 * total > 10
    for r in table:
        assert (r["measured"] == "1") == (r["score"] != "")
        assert float(r["sigma_x_px"]) > 0


def test_run_writes_every_log(clip: Path, scene: Scene, tmp_path: Path) -> None:
    out = {k: tmp_path / f"t.{k}" for k in ("csv", "txt", "jsonl", "mkv")}
    done = program(
        "run", clip, "--csv", out["csv"], "--mot", out["txt"], "--jsonl", out["jsonl"], "--video", out["mkv"]
    )
    assert done.returncode == 0, done.stderr
    assert "20 frames" in done.stdout
    check_tracks(out["csv"], scene)
    first, second = rows(out["csv"])[0], out["txt"].read_text().splitlines()[0].split(",")
    assert int(second[0]) == int(first["frame"]) + 1
    assert float(second[2]) + float(second[4]) / 2 - 1 == pytest.approx(float(first["x_px"]), abs=0.02)
    objects = [json.loads(line) for line in out["jsonl"].read_text().splitlines()]
    assert [o["frame"] for o in objects] == list(range(20))
    assert sum(len(o["tracks"]) for o in objects) == len(rows(out["csv"])) == len(out["txt"].read_text().splitlines())
    with av.open(str(out["mkv"])) as video:
        frames = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)]
    assert len(frames) == 20
    red = frames[10].astype(int)
    scale = red.shape[0] // 80
    x, y = scene.truth(10).xy_px[0]
    patch = red[int((y - 4) * scale) : int((y + 5) * scale), int((x - 4) * scale) : int((x + 5) * scale)]
    assert (patch[:, :, 0] - patch[:, :, 1]).max() > 40  # the outline of the mask stands at the target


def test_outputs_are_never_overwritten_without_force(irtrack: Command, clip: Path, tmp_path: Path) -> None:
    kept = tmp_path / "t.csv"
    kept.write_text("precious")
    done = irtrack("run", clip, "--csv", kept)
    assert (done.returncode, kept.read_text()) == (1, "precious")
    assert "--force" in done.stderr
    assert irtrack("run", clip, "--csv", kept, "--force", "--frames", 2, "--quiet").returncode == 0
    assert kept.read_text().startswith(CSV_HEADER)
    same = irtrack("run", clip, "--csv", tmp_path / "a", "--mot", tmp_path / "a")
    assert "two outputs" in same.stderr


def test_sigkill_keeps_what_was_written(sample: Path, tmp_path: Path) -> None:
    log, video, mp4 = tmp_path / "t.csv", tmp_path / "t.mkv", tmp_path / "u.mp4"
    for target, name in ((video, "--video"), (mp4, "--video")):
        log.unlink(missing_ok=True)
        jsonl = tmp_path / f"{target.suffix[1:]}.jsonl"
        command = [
            sys.executable,
            str(ROOT / "main.py"),
            "run",
            str(sample),
            "--csv",
            str(log),
            name,
            str(target),
            "--jsonl",
            str(jsonl),
            "--online",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and (not jsonl.exists() or jsonl.read_text().count("\n") < 45):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        frames = [json.loads(line)["frame"] for line in jsonl.read_text().splitlines()]
        assert frames == list(range(len(frames)))
        assert len(frames) >= 45
        assert max(int(r["frame"]) for r in rows(log)) >= frames[-1] - 1
        with av.open(str(target)) as container:
            shown = 0
            try:
                for _ in container.decode(video=0):
                    shown += 1
            except av.FFmpegError:
                pass
        assert shown >= len(frames) - 31, f"{target.suffix}: {shown} of {len(frames)}"  # 30 frames are one second


def test_ctrl_c_leaves_complete_logs(sample: Path, tmp_path: Path) -> None:
    log, jsonl = tmp_path / "t.csv", tmp_path / "t.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "run", str(sample), "--csv", str(log), "--jsonl", str(jsonl)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not jsonl.exists() or jsonl.read_text().count("\n") < 10):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out.startswith("stopped: ")
    said = int(out.split()[1])
    assert jsonl.read_text().count("\n") == said
    assert jsonl.read_text().endswith("\n")


def limit_file_size() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))


@pytest.mark.parametrize("option", ["--csv", "--jsonl", "--video"])
def test_full_disk(clip: Path, tmp_path: Path, option: str) -> None:
    target = tmp_path / ("t.mkv" if option == "--video" else "t.txt")
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = program("run", clip, option, target, preexec_fn=limit_file_size, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert "what was written is kept" in done.stderr
    assert 1000 < target.stat().st_size <= 4000
    if option == "--csv":
        assert target.read_text().startswith(CSV_HEADER + "\n0,")


def test_unwritable_folders(irtrack: Command, clip: Path, tmp_path: Path) -> None:
    for target, say in (
        ("/sys/irtrack.csv", "cannot write"),
        (tmp_path / "none" / "t.csv", "does not exist"),
        (tmp_path, "is a folder"),
    ):
        done = irtrack("run", clip, "--csv", target)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert say in done.stderr
    done = irtrack("run", clip, "--video", tmp_path / "t.gif")
    assert ".mkv or .mp4" in done.stderr


@pytest.mark.parametrize(
    ("name", "say"),
    [
        ("missing.mp4", "no file"), ("empty.mp4", "empty"), ("text.mp4", "not a video"), ("text.tif", "not an image"),
        ("noframes.mkv", "unfinished"), ("no_images", "no images"), ("huge.png", "4096"), ("float.tif", "float32"),
        ("rtsp://127.0.0.1:9/x", "cannot connect"), ("gopher://x/y", "unknown kind of stream"),
        ("camera:77", "not there"), ("camera:/dev/nothing", "no camera"), ("sim:nonsense", "the scenes are"),
        ("sim:sky,colour=3", "unknown setting"), ("sim:sky,width=abc", "needs a number"), ("", "source is empty"),
    ],
)  # fmt: skip
def test_bad_sources_get_one_line(irtrack: Command, tmp_path: Path, name: str, say: str) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "text.tif").write_text("this is no picture\n" * 50)
    (tmp_path / "no_images").mkdir()
    with av.open(str(tmp_path / "noframes.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "gray"
        container.start_encoding()
    if name == "huge.png":
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 5000), np.uint8))
    if name == "float.tif":
        tifffile.imwrite(tmp_path / name, np.zeros((8, 8), np.float32))
    source = name if ":" in name or not name else tmp_path / name
    done = irtrack("run", source, "--csv", tmp_path / "t.csv", "--reconnect", "0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert say in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("irtrack: ")]
    assert len(lines) == 1


def test_unreadable_folder(irtrack: Command, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.zeros((8, 8), np.uint8))
    folder.chmod(0)
    try:
        if os.access(folder, os.R_OK):
            pytest.skip("this user (root) may read every folder")
        done = irtrack("run", folder)
        assert (done.returncode, "may not be read" in done.stderr) == (1, True)
    finally:
        folder.chmod(0o755)


def test_truncated_video_is_processed_as_far_as_it_goes(irtrack: Command, tmp_path: Path, clip: Path) -> None:
    whole = clip.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    done = irtrack("run", tmp_path / "cut.mkv", "--jsonl", tmp_path / "t.jsonl")
    frames = (tmp_path / "t.jsonl").read_text().count("\n")
    assert 5 <= frames < 20
    assert "Traceback" not in done.stderr


def test_one_frame_and_other_kinds_of_video(irtrack: Command, tmp_path: Path, scene: Scene) -> None:
    write_video(tmp_path / "one.mkv", [scene.image(0)], 25.0)
    write_video(tmp_path / "deep.mkv", [scene.image(i).astype(np.uint16) * 55 + 900 for i in range(12)], 25.0)
    for name in ("one.mkv", "deep.mkv"):
        done = irtrack("run", tmp_path / name, "--csv", tmp_path / f"{name}.csv", "--video", tmp_path / f"out_{name}")
        assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "deep.mkv.csv")) > 10


@pytest.mark.parametrize("weights", ["nosuch", "/dev/null", str(ROOT / "README.md")])
def test_wrong_weights(irtrack: Command, clip: Path, tmp_path: Path, weights: str) -> None:
    done = irtrack("run", clip, "--csv", tmp_path / "t.csv", "--weights", weights)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert not (tmp_path / "t.csv").exists()


def test_bad_usage_and_settings(irtrack: Command, clip: Path, tmp_path: Path) -> None:
    assert program("run").returncode == 2
    assert irtrack("run", clip, "--device", "toaster").returncode == 2
    assert "out of range" in irtrack("run", clip, "--threshold", 1.5).stderr
    (tmp_path / "c.toml").write_text("[detector]\nthresold = 0.5\n")
    assert "unknown setting 'thresold'" in irtrack("run", clip, "--config", tmp_path / "c.toml").stderr
    (tmp_path / "c.toml").write_text("not toml at all")
    assert "not valid TOML" in irtrack("run", clip, "--config", tmp_path / "c.toml").stderr
    done = irtrack("run", clip, "--device", "cuda", "--frames", 1)
    assert done.returncode == 0 or "not available" in done.stderr


def test_help_is_there_without_heavy_imports(irtrack: Command) -> None:
    code = "import sys; from irtrack.cli import make_parser; make_parser().format_help(); "
    code += "print([m for m in ('torch', 'cv2', 'PySide6', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
    code = code.replace("import sys", "import sys, irtrack.commands")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", f"each would wait for it {done.stderr}"
    for command in ("run", "track", "detect", "train", "evaluate", "simulate", "doctor"):
        assert irtrack(command, "--help").returncode == 0


def test_without_a_display_the_window_says_how_to_go_on() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    done = program(env=environment)
    assert done.returncode == 1
    assert "irtrack run SOURCE" in done.stderr


def test_track_on_anybodys_detections(irtrack: Command, data: Path, tmp_path: Path) -> None:
    folder = data / "scenarios" / "s03_crossing" / "seed0"
    for name, call in (("det.csv", program), ("det_mot.txt", irtrack)):
        done = call("track", folder / name, "--out", tmp_path / f"{name}.csv", "--fps", 30)
        assert done.returncode == 0, done.stderr
    ours, mot = rows(tmp_path / "det.csv.csv"), rows(tmp_path / "det_mot.txt.csv")
    truth = rows(folder / "gt.csv")
    assert abs(len(ours) - len(truth)) < 0.05 * len(truth)
    assert abs(len(ours) - len(mot)) < 0.02 * len(truth)
    assert len({r["track_id"] for r in ours}) < 2 * len({r["id"] for r in truth})


@pytest.mark.parametrize(
    ("text", "say"),
    [("", "empty"), ("a,b\n1,2\n", "line 1"), ("frame,x\n1,2\n", "expected frame,x,y"),
     ("frame,x,y\n0,1,oops\n", "line 2"),
     ("frame,x,y\n-1,1,1\n", "whole numbers"), ("frame,x,y\n0,nan,1\n", "finite")],
)  # fmt: skip
def test_bad_detections(irtrack: Command, tmp_path: Path, text: str, say: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    done = irtrack("track", tmp_path / "d.csv", "--out", tmp_path / "t.csv")
    assert (done.returncode, say in done.stderr) == (1, True), done.stderr


def test_detect_writes_masks_of_the_same_size(irtrack: Command, tmp_path: Path, scene: Scene) -> None:
    (tmp_path / "in").mkdir()
    for i, (h, w) in enumerate([(80, 96), (61, 77)]):
        cv2.imwrite(str(tmp_path / "in" / f"img{i}.png"), scene.image(i)[:h, :w])
    done = program("detect", tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for i, (h, w) in enumerate([(80, 96), (61, 77)]):
        mask = cv2.imread(str(tmp_path / "out" / f"img{i}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (h, w)
        assert set(np.unique(mask)) <= {0, 255}
    assert len(rows(tmp_path / "out" / "detections.csv")) >= 2
    assert "--force" in irtrack("detect", tmp_path / "in", "--out", tmp_path / "out").stderr
    assert "no image" in irtrack("detect", tmp_path / "none", "--out", tmp_path / "o2").stderr
    assert "images themselves" in irtrack("detect", tmp_path / "in", "--out", tmp_path / "in", "--force").stderr


def test_simulate_writes_a_scene_with_its_truth(irtrack: Command, tmp_path: Path) -> None:
    done = program("simulate", "sky,frames=5,width=64,height=48,targets=2", "--out", tmp_path / "s.mkv")
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "s.truth.csv")) == 10
    with av.open(str(tmp_path / "s.mkv")) as container:
        assert len(list(container.decode(video=0))) == 5
    assert irtrack("simulate", "camera16,frames=3,width=64,height=48", "--out", tmp_path / "d").returncode == 0
    assert cv2.imread(str(tmp_path / "d" / "000001.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert "--force" in irtrack("simulate", "sky,frames=5", "--out", tmp_path / "s.mkv").stderr


def test_doctor_names_the_models() -> None:
    done = program("doctor")
    assert done.returncode == 0, done.stderr
    assert "ok       model datransnet-s" in done.stdout
    assert " C compiler" in done.stdout


def test_real_clip(irtrack: Command, data: Path, tmp_path: Path) -> None:
    done = irtrack("run", data / "video" / "drone_ir" / "IR_DRONE_143.mp4", "--csv", tmp_path / "t.csv", "--frames", 25)
    assert done.returncode == 0, done.stderr
    truth = [
        r
        for r in rows(data / "video" / "drone_ir" / "IR_DRONE_143.gt.csv")
        if 5 <= int(r["frame"]) < 25 and r["track_id"] == "1"
    ]
    table = rows(tmp_path / "t.csv")
    hits = sum(
        any(
            int(r["frame"]) == int(t["frame"])
            and abs(float(r["x_px"]) - float(t["x"]) - float(t["w"]) / 2) < 10
            and abs(float(r["y_px"]) - float(t["y"]) - float(t["h"]) / 2) < 10
            for r in table
        )
        for t in truth
    )
    assert hits > 0.7 * len(truth) > 5


def test_regions_in_the_settings_count_headless(irtrack: Command, clip: Path, scene: Scene, tmp_path: Path) -> None:
    half = scene.settings.width // 2
    settings = tmp_path / "s.toml"
    settings.write_text(f'[detector]\nexclude = "-1,-1 {half},-1 {half},200 -1,200"\n')
    done = irtrack("run", clip, "--csv", tmp_path / "t.csv", "--config", settings)
    assert done.returncode == 0, done.stderr
    measured = [float(r["x_px"]) for r in rows(tmp_path / "t.csv") if r["measured"] == "1"]
    assert min(measured) > half - 2
    settings.write_text('[detector]\ninclude = "1,2 3,4"\n')
    done = irtrack("run", clip, "--csv", tmp_path / "u.csv", "--config", settings)
    assert done.returncode == 1
    assert "a region needs three corners or more" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "say"),
    [
        (("ruN", "x"), 2, "did you mean 'run'"),
        (("evalute", "--data", "x"), 2, "did you mean 'evaluate'"),
        (("--debug", "doctr"), 2, "did you mean 'doctor'"),
        (("run", "cameera:0"), 1, "did you mean 'camera'"),
        (("run", "rstp://host/ir"), 1, "did you mean 'rtsp'"),
        (("run", "sim:ckutter"), 1, "did you mean 'clutter'"),
        (("run", "sim:sky,frames=2", "--weights", "datransnet_s"), 1, "did you mean 'datransnet-s'"),
    ],
)
def test_mistyped_words_name_what_was_meant(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, say: str
) -> None:
    assert main(words) == code
    assert say in capsys.readouterr().err


def test_a_file_that_is_called_like_a_mistyped_command_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistyped(["ruN"])
    (tmp_path / "ruN").touch()
    assert not mistyped(["ruN"])
    for words in (["run", "x"], ["flight.mp4"], ["sample"], ["--help"], [], ["rtsp://ruN"]):
        assert not mistyped(words)


def test_errors_obey_no_terminal() -> None:
    assert one_line(ValueError("a\n b \x1b[1mc\x07")) == "a b ?[1mc?"
