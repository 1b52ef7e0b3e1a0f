"""What each command does. Every function takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import csv
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from irtrack.config import Settings, load_settings
from irtrack.core import Detections, Frame, FrameResult, Image, IrtrackError, Sink, SinkError, Source

if TYPE_CHECKING:
    from irtrack.pipeline import Pipeline


def settings_from(args: argparse.Namespace) -> Settings:
    """The settings file, if any, overruled by the options given."""
    settings = load_settings(args.config) if getattr(args, "config", None) else Settings()
    detector = ("weights", "device", "threshold", "threads", "mode", "backend", "precision", "levels")
    return replace(
        settings,
        capture=replace(settings.capture, **given(args, ("correction", "destripe"))),
        detector=replace(settings.detector, **given(args, detector)),
        display=replace(settings.display, **given(args, ("palette", "agc"))),
    )


def given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Those of the options that were given a value of their own."""
    values = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in values.items() if value not in (None, "auto")}


def stop_on_terminate() -> None:
    """SIGTERM ends a run as Ctrl-C does, with complete logs."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def common_outputs(args: argparse.Namespace) -> dict[str, Any]:
    """The outputs that `run` and `track` share."""
    return {k: getattr(args, k) for k in ("mot", "trackmate", "cvat", "coco", "force", "online", "offline")}


def run(args: argparse.Namespace) -> int:
    """`irtrack run`: sources through the whole chain, headless."""
    from irtrack.build import Outputs, check_outputs, make_pipeline, make_shared
    from irtrack.capture import open_source

    settings = settings_from(args)
    if args.pretrigger is not None and (args.record is None or not args.pretrigger >= 0):
        raise IrtrackError("--pretrigger needs --record OUT, and seconds from 0 on")
    outputs = Outputs(
        csv=args.csv,
        jsonl=args.jsonl,
        video=args.video,
        record=args.record,
        pretrigger_s=args.pretrigger,
        **common_outputs(args),
    )
    several = len(args.source) > 1
    each = [outputs.numbered(i + 1) if several else outputs for i in range(len(args.source))]
    for one in each:
        check_outputs(one)
    runs: list[Run] = []
    shared = make_shared(settings) if several else None
    try:
        for text, one in zip(args.source, each, strict=True):
            made = Run(text, one.paths(), args.frames)
            runs.append(made)
            source = open_source(text, args.fps, args.reconnect)
            made.pipeline = make_pipeline(source, settings, one, made.note, shared.view() if shared else None)
        stop_on_terminate()
        return follow(runs, args.quiet)
    finally:
        for made in runs:
            made.close()
            made.summarise(args.quiet, several)
        if shared is not None:
            shared.close()


class Run:
    """A source of `irtrack run` with its pipeline and what came of it."""

    def __init__(self, text: str, written: list[Path], frames: int | None) -> None:
        from irtrack.capture.open import redact

        self.name, self._written, self._frames = redact(text), written, frames
        self.pipeline: Pipeline | None = None
        self.error: BaseException | None = None
        self.over = False
        self._seen: set[int] = set()
        self._start = time.monotonic()

    def note(self, result: FrameResult) -> None:
        """After each frame."""
        self._seen.update(t.id for t in result.tracks if t.confirmed)
        if self._frames and self.pipeline is not None and self.pipeline.processed >= self._frames:
            self.pipeline.stop()

    def wait(self, seconds: float) -> None:
        """For the end; its error is kept."""
        assert self.pipeline is not None
        try:
            self.pipeline.join(seconds)
            self.over = True
        except TimeoutError:
            pass
        except Exception as error:
            self.over, self.error = True, error

    def close(self) -> None:
        """Stop what still runs."""
        if self.pipeline is not None and not self.over:
            self.pipeline.close()

    def summarise(self, quiet: bool, named: bool) -> None:
        """One line on what was done, one for each file."""
        pipeline = self.pipeline
        if quiet or pipeline is None:
            return
        how = "ended early" if self.error is not None else "done" if self.over else "stopped"
        elapsed = time.monotonic() - self._start
        rate = pipeline.processed / elapsed if elapsed else 0.0
        dropped = f", {pipeline.dropped} dropped" if pipeline.source.live else ""
        incomplete = incomplete_of(pipeline.source)
        dropped += f", {incomplete} came incomplete" if incomplete else ""
        print(f"{self.name}: " * named + f"{how}: {pipeline.processed} frames in {elapsed:.1f} s ", end="")
        print(f"({rate:.1f} a second{dropped}), {len(self._seen)} tracks")
        scan = getattr(pipeline.detector, "scan_frames", 1)
        if scan > 1:
            print(f"  too slow for whole frames: every place was looked at once in {scan} frames, tracks in each")
        for path in self._written:
            print(f"  wrote {path}")


def incomplete_of(source: Source) -> int:
    """Frames that the camera under a source's wrappers lost parts of, since it was connected."""
    inner: Source | None = source
    while inner is not None:
        if hasattr(inner, "incomplete"):
            return int(inner.incomplete)
        inner = getattr(inner, "source", None)
    return 0


def follow(runs: Sequence[Run], quiet: bool) -> int:
    """Start all and wait for all, with a progress bar where there is a terminal.

    One that fails does not end the others; the first error is raised at the end, the others are printed.
    """
    from tqdm import tqdm

    pipelines = [r.pipeline for r in runs if r.pipeline is not None]
    counts = [p.source.info.frames for p in pipelines]
    total = sum(c for c in counts if c is not None) if None not in counts else None
    for pipeline in pipelines:
        pipeline.start()
    with tqdm(total=total, unit="frame", disable=True if quiet else None, dynamic_ncols=True) as bar:
        while waiting := [r for r in runs if not r.over]:
            waiting[0].wait(0.1)
            for r in waiting[1:]:
                r.wait(0.0)
            bar.update(sum(p.processed for p in pipelines) - bar.n)
    failed = [r for r in runs if r.error is not None]
    for r in failed[1:]:
        print(f"irtrack: {r.error}", file=sys.stderr)
    if failed:
        assert failed[0].error is not None
        raise failed[0].error
    return 0


def flat(args: argparse.Namespace) -> int:
    """`irtrack flat`: offsets and bad pixels of a camera."""
    from irtrack.capture import open_source
    from irtrack.capture.corrected import correction_path
    from irtrack.imaging.correction import correction_from

    source = open_source(args.source)
    frames: list[Image] = []
    try:
        for frame in source:
            frames.append(frame.image)
            if len(frames) >= max(args.frames, 1):
                break
    finally:
        source.close()
    made = correction_from(np.stack(frames))
    path = args.out or correction_path(source.info.name)
    made.save(path)
    print(f"done: {len(frames)} frames, offsets of {made.offset.std():.1f} counts, {int(made.bad.sum())} bad pixels")
    print(f"  wrote {path}")
    return 0


def track(args: argparse.Namespace) -> int:
    """`irtrack track`: the tracker alone on a file of detections."""
    from irtrack.build import Outputs, check_outputs, make_sinks, make_tracker
    from irtrack.track.files import frames_of, read_detections

    if not args.fps > 0:
        raise IrtrackError(f"a frame rate of {args.fps} makes no sense: give frames a second above 0")
    settings = settings_from(args)
    if args.config is None:  # other detectors' scores have a scale of their own
        settings = replace(settings, tracker=replace(settings.tracker, confirm_score=0.0, log_delay_s=60.0))
    outputs = Outputs(csv=args.out, **common_outputs(args))
    check_outputs(outputs)
    rows = read_detections(args.detections)
    tracker = make_tracker(settings)
    sinks: list[Sink] = make_sinks(outputs, settings, args.fps)
    blank = np.zeros((1, 1), np.uint8)
    seen: set[int] = set()
    try:
        for frame, detections in frames_of(rows):
            tracks = tracker(detections, frame / args.fps)
            seen.update(t.id for t in tracks if t.confirmed)
            result = FrameResult(Frame(frame, frame / args.fps, blank), detections, tracks, {})
            for sink in sinks:
                sink.write(result)
    finally:
        for sink in sinks:
            sink.close()
    print(f"done: {len(rows)} detections, {len(seen)} tracks\n  wrote {args.out}")
    return 0


def score(args: argparse.Namespace) -> int:
    """`irtrack score`: tracks against truth."""
    from irtrack.metrics.tracking import score_tracks
    from irtrack.sinks.text import check_target
    from irtrack.track.files import read_tracks

    if not args.distance > 0:
        raise IrtrackError(f"a distance of {args.distance} px makes no sense: give one above 0")
    if args.json:
        check_target(args.json, args.force)
    truth, tracks = read_tracks(args.truth), read_tracks(args.tracks)
    if not len(truth):
        print("note: the truth has no rows", file=sys.stderr)
    figures = score_tracks(truth, tracks, args.distance)
    print(" ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def image_files(texts: list[str]) -> list[Path]:
    """Files that IMAGES names. Raises IrtrackError where one is missing or two would give one mask."""
    import glob

    from irtrack.capture.images import natural_key
    from irtrack.capture.open import IMAGE_SUFFIXES

    found: list[Path] = []
    for text in texts:
        path = Path(text).expanduser()
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        else:
            inside = [path] if path.exists() else [Path(p) for p in glob.glob(str(path))]
        if not inside:
            raise IrtrackError(f"{text}: there is no image here")
        found += sorted(inside, key=natural_key)
    stems = [p.stem for p in found]
    doubled = next((s for s in stems if stems.count(s) > 1), None) if len(set(stems)) < len(stems) else None
    if doubled:
        raise IrtrackError(f"two images are called {doubled!r}: their masks would have one name; run them apart")
    return found


def detect(args: argparse.Namespace) -> int:
    """`irtrack detect`: masks and measurements of single images."""
    import cv2
    from tqdm import tqdm

    from irtrack.build import make_detector
    from irtrack.capture.images import read_image

    paths = image_files(args.images)
    if args.out.exists() and not args.out.is_dir():
        raise SinkError(f"{args.out} is a file: --out names a folder")
    if args.out.exists() and any(args.out.iterdir()) and not args.force:
        raise SinkError(f"the folder {args.out} holds files: choose another, or write into it with --force")
    if args.out.exists() and any(args.out.samefile(p.parent) for p in paths):
        raise SinkError(f"{args.out} holds the images themselves: masks would replace them; choose another folder")
    detector = make_detector(settings_from(args))
    count = 0
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        with (args.out / "detections.csv").open("w", newline="", encoding="utf-8") as f:
            f.write("image,x_px,y_px,w_px,h_px,area_px,score,snr\n")
            for path in tqdm(paths, unit="image", disable=None):
                detector.forget()
                detections = detector(read_image(path))
                count += len(detections)
                mask = detections.mask
                assert mask is not None
                code = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
                (args.out / f"{path.stem}.png").write_bytes(code.tobytes())
                csv.writer(f).writerows(detection_rows(path.name, detections))
                f.flush()
    except OSError as error:
        raise SinkError(f"cannot write to {args.out}: {error.strerror}; what was written is kept") from error
    print(f"done: {len(paths)} images, {count} detections\n  wrote {args.out}")
    return 0


def detection_rows(name: str, d: Detections) -> Iterator[list[str]]:
    """Rows of detections.csv."""
    for (x, y), (_, _, w, h), area, score, snr in zip(
        d.xy_px.tolist(), d.box_px.tolist(), d.area_px.tolist(), d.score.tolist(), d.snr.tolist(), strict=True
    ):
        yield [name, f"{x:.3f}", f"{y:.3f}", f"{w:.0f}", f"{h:.0f}", f"{area:.0f}", f"{score:.4f}", f"{snr:.2f}"]


def train(args: argparse.Namespace) -> int:
    """`irtrack train`."""
    from irtrack.train.commands import train as run_training

    return run_training(args)


def evaluate(args: argparse.Namespace) -> int:
    """`irtrack evaluate`."""
    from irtrack.train.commands import evaluate as run_evaluation

    return run_evaluation(args)


def simulate(args: argparse.Namespace) -> int:
    """`irtrack simulate`: a scene as a file, with its truth."""
    from irtrack.simulate import Scene, scene_from_text, write_truth
    from irtrack.sinks.lossless import write_images, write_video
    from irtrack.sinks.text import check_target

    scene = Scene(scene_from_text(args.scene))
    s = scene.settings
    images = (scene.image(i) for i in range(s.frames))
    if args.masks:
        if args.out.suffix:
            raise SinkError(f"{args.out}: with --masks a scene is written as a folder")
        masks = (scene.mask(i).astype(np.uint8) * 255 for i in range(s.frames))
        write_images(args.out / "images", images, args.force)
        write_images(args.out / "masks", masks, args.force)
        print(f"done: {s.frames} frames of {s.width}x{s.height} with masks\n  wrote {args.out}")
        return 0
    truth = args.out.with_suffix(".truth.csv")
    check_target(truth, args.force)
    if args.out.suffix.lower() == ".mkv":
        write_video(check_target(args.out, args.force), images, s.fps)
    elif args.out.suffix:
        raise SinkError(f"{args.out}: scenes are written as .mkv or as a folder of PNG files")
    else:
        write_images(args.out, images, args.force)
    write_truth(scene, truth)
    print(f"done: {s.frames} frames of {s.width}x{s.height}, {s.targets} targets\n  wrote {args.out}\n  wrote {truth}")
    return 0


def export(args: argparse.Namespace) -> int:
    """`irtrack export`: a model as ONNX, compared with the torch form where an engine is installed."""
    from irtrack.detect.backends import OWN, available, export_onnx, make_backend
    from irtrack.detect.weights import load_weights
    from irtrack.sinks.text import check_target

    check_target(args.out, args.force)
    network = load_weights(args.weights).network
    export_onnx(network, args.out)
    engines = [name for name in available() if name not in OWN]
    for name in engines:
        make_backend(name, network, args.out)
    checked = f"agrees with torch in {' and '.join(engines)}" if engines else "no engine here to check it with"
    print(f"  wrote {args.out} ({checked})")
    return 0


def bench(args: argparse.Namespace) -> int:
    """`irtrack bench`: timings."""
    from irtrack.bench.report import plot, table, write_json
    from irtrack.sinks.text import check_target

    for path in (args.json, args.plot):
        if path:
            check_target(path, args.force)
    if args.what == "tracker":
        from irtrack.bench import tracker

        rows = list(tracker.run())
    elif args.what == "live":
        from irtrack.bench import live

        rows = list(live.run())
    elif args.what == "display":
        from irtrack.bench.report import Row
        from irtrack.gui.benchmark import run as run_display

        rows = [Row(stage, "Qt", mode, size, 0, value) for stage, mode, size, value in run_display()]
    elif args.what == "memory":
        from irtrack.bench import memory

        rows = list(memory.run(args.reference))
    else:
        from irtrack.bench import network

        rows = list(network.run(args.rounds, args.reference))
    print(table(rows))
    if args.plot:
        plot(rows, args.plot)
    if args.json:
        write_json(rows, args.json)
    return 0


def cameras(args: argparse.Namespace) -> int:
    """`irtrack cameras`: what is plugged in."""
    from irtrack.capture.find import find_all

    found = find_all()
    for camera in found:
        formats = f"  ({', '.join(camera.formats)})" if camera.formats else ""
        print(f"{camera.source}  {camera.name}{formats}")
        if "Y16" in camera.formats:
            print(f"{camera.source},format=Y16  the same in 16-bit counts")
    if not found:
        print("no camera is plugged in, or none may be opened by this user; network cameras open by URL")
    return 0


def doctor(args: argparse.Namespace) -> int:
    """`irtrack doctor`: what works here."""
    from irtrack.doctor import report

    print("\n".join(report()))
    return 0


def window(args: argparse.Namespace) -> int:
    """`irtrack [SOURCE]`: the window."""
    from irtrack.gui.app import open_window

    return open_window(args.source, settings_from(args))
