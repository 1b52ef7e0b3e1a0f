"""The other commands, each a call of what does the work."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from irtrack.commands.common import conclude, read_by, settings_from
from irtrack.core import IrtrackError, Remarks, SinkError

if TYPE_CHECKING:
    from irtrack.bench.report import Row


def train(args: argparse.Namespace) -> int:
    """`irtrack train`."""
    from irtrack.train.commands import train as run_training

    remarks = Remarks()
    return run_training(args, remarks) or conclude(remarks, args.strict)


def teach(args: argparse.Namespace) -> int:
    """`irtrack teach`."""
    from irtrack.train.teach import teach as run_teaching

    remarks = Remarks()
    return run_teaching(args, remarks) or conclude(remarks, args.strict)


def evaluate(args: argparse.Namespace) -> int:
    """`irtrack evaluate`."""
    from irtrack.train.commands import evaluate as run_evaluation

    remarks = Remarks()
    return run_evaluation(args, remarks) or conclude(remarks, args.strict)


def simulate(args: argparse.Namespace) -> int:
    """`irtrack simulate`: a scene as a file, with its truth."""
    from irtrack.simulate import Scene, scene_from_text, truth_text
    from irtrack.sinks.lossless import new_folder, write_images, write_video
    from irtrack.sinks.target import claimed_all, write_output

    scene, out = Scene(scene_from_text(args.scene)), args.out
    s = scene.settings
    images = (scene.image(i) for i in range(s.frames))
    if args.masks:
        if out.suffix:
            raise SinkError(f"{out}: with --masks a scene is written as a folder")
        masks = (scene.mask(i).astype(np.uint8) * 255 for i in range(s.frames))
        with new_folder(out, args.force) as folder:
            write_images(folder / "images", images, args.force)
            write_images(folder / "masks", masks, args.force)
        print(f"done: {s.frames} frames of {s.width}x{s.height} with masks\n  wrote {out}")
        return 0
    if out.suffix and out.suffix.lower() != ".mkv":
        raise SinkError(f"{out}: scenes are written as .mkv or as a folder of PNG files")
    truth = out.with_suffix(".truth.csv")
    with claimed_all([truth, out if out.suffix else None], args.force):
        if out.suffix:
            write_video(out, images, s.fps)
        else:
            with new_folder(out, args.force) as folder:
                write_images(folder, images, args.force)
        write_output(truth, truth_text(scene))
    print(f"done: {s.frames} frames of {s.width}x{s.height}, {s.targets} targets\n  wrote {out}\n  wrote {truth}")
    return 0


def export(args: argparse.Namespace) -> int:
    """`irtrack export`: a model as ONNX, compared with the torch form where an engine is installed."""
    from irtrack.detect.backends import OWN, available, export_onnx, make_backend
    from irtrack.detect.weights import load_weights
    from irtrack.sinks.target import claimed_all, reason

    with claimed_all([args.out], args.force, read_by(args)):
        network = load_weights(args.weights).network
        try:
            export_onnx(network, args.out)
        except OSError as error:
            raise SinkError(f"cannot write {args.out}: {reason(error)}") from error
        engines = [name for name in available() if name not in OWN]
        for name in engines:
            make_backend(name, network, args.out)
    checked = f"agrees with torch in {' and '.join(engines)}" if engines else "no engine here to check it with"
    print(f"  wrote {args.out} ({checked})")
    return 0


def bench(args: argparse.Namespace) -> int:
    """`irtrack bench`: timings."""
    from irtrack.bench.report import plot, table, write_json
    from irtrack.sinks.figure import check_figure
    from irtrack.sinks.target import claimed_all

    check_figure(args.plot)
    with claimed_all([args.json, args.plot], args.force):
        rows = rows_of(args)
        print(table(rows))
        if args.plot:
            plot(rows, args.plot)
        if args.json:
            write_json(rows, args.json)
    return 0


def rows_of(args: argparse.Namespace) -> list[Row]:
    """The timings that `irtrack bench` is asked for."""
    from irtrack.bench.report import Row

    if args.what == "tracker":
        from irtrack.bench import tracker

        return list(tracker.run())
    if args.what == "live":
        from irtrack.bench import live

        return list(live.run())
    if args.what == "display":
        from irtrack.gui.benchmark import run as run_display

        return [Row(stage, "Qt", mode, size, 0, value) for stage, mode, size, value in run_display()]
    if args.what == "neighbours":
        from irtrack.bench import neighbours

        return list(neighbours.run(args.rounds))
    if args.what == "memory":
        from irtrack.bench import memory

        return list(memory.run(args.reference))
    if args.what == "train":
        from irtrack.train.benchmark import run as run_training

        return [
            Row(stage, form, mode, size, 1, value, ratio)
            for stage, form, mode, size, value, ratio in run_training(args.rounds)
        ]
    from irtrack.bench import network

    return list(network.run(args.rounds, args.reference))


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
    from irtrack.capture.address import use_credentials
    from irtrack.capture.open import grouped
    from irtrack.gui.app import open_window

    use_credentials(args.credentials)
    sources = grouped(args.source)
    if len(sources) > 1:
        raise IrtrackError(
            f"the window shows one source, and {len(sources)} were given: open them one by one, or run them headless "
            "with irtrack run"
        )
    if args.tracks is not None and not sources:
        raise IrtrackError("--tracks are shown over a recording: name it too")
    return open_window(sources[0] if sources else None, settings_from(args), args.stop, args.tracks)
