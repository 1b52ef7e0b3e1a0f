"""The other commands, each a call of what does the work."""

from __future__ import annotations

import argparse

import numpy as np

from irtrack.commands.common import conclude, settings_from
from irtrack.core import IrtrackError, Remarks, SinkError


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
    from irtrack.simulate import Scene, scene_from_text, write_truth
    from irtrack.sinks.lossless import write_images, write_video
    from irtrack.sinks.target import check_target

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
    from irtrack.sinks.target import check_outputs

    check_outputs([args.out], args.force, [args.weights])
    network = load_weights(args.weights).network
    try:
        export_onnx(network, args.out)
    except OSError as error:
        raise SinkError(f"cannot write {args.out}: {error.strerror or error}") from error
    engines = [name for name in available() if name not in OWN]
    for name in engines:
        make_backend(name, network, args.out)
    checked = f"agrees with torch in {' and '.join(engines)}" if engines else "no engine here to check it with"
    print(f"  wrote {args.out} ({checked})")
    return 0


def bench(args: argparse.Namespace) -> int:
    """`irtrack bench`: timings."""
    from irtrack.bench.report import plot, table, write_json
    from irtrack.sinks.target import check_outputs

    check_outputs([args.json, args.plot], args.force)
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
    elif args.what == "neighbours":
        from irtrack.bench import neighbours

        rows = list(neighbours.run(args.rounds))
    elif args.what == "memory":
        from irtrack.bench import memory

        rows = list(memory.run(args.reference))
    elif args.what == "train":
        from irtrack.bench.report import Row
        from irtrack.train.benchmark import run as run_training

        rows = [
            Row(stage, form, mode, size, 1, value, ratio)
            for stage, form, mode, size, value, ratio in run_training(args.rounds)
        ]
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
