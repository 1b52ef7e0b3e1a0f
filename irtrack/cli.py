"""The command line: `irtrack ...` and `python main.py ...` are the same program.

Exit codes: 0 done, 1 an error said in one line, 2 wrong usage, 130 stopped with Ctrl-C, SIGTERM or SIGHUP. Heavy
imports stand inside the commands, so that help is there at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from irtrack import __version__
from irtrack.capture.kinds import forms
from irtrack.config import OTHERS
from irtrack.core import IrtrackError
from irtrack.output_options import file_or_folder, file_to_write, log_options
from irtrack.setting_options import config_option, count, detector_options, display_options, tracker_options
from irtrack.site_options import credentials_option, pose_option, site_commands
from irtrack.stopping import INTERRUPTED, Stop, leave
from irtrack.text import meant, one_line
from irtrack.training_options import evaluate_options, strict_option, teach_options, train_options

EXIT_ERROR, EXIT_USAGE = 1, 2
COMMANDS = (
    "run", "serve", "archive", "flat", "track", "tune", "score", "detect", "train", "teach", "evaluate", "export",
    "simulate", "bench", "calibrate", "triangulate", "selftest", "cameras", "doctor", "window",
)  # fmt: skip

# Of irtrack.simulate, which takes a while to load.
SCENE_NAMES = (
    "sky, clutter, crossing, dim, dark, camera16, crowd, empty, hovering, creeping, swinging, held, lamps, city"
)

SOURCE_HELP = f"{forms()}; scenes to simulate are {SCENE_NAMES}"


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog="irtrack",
        description="Finds and follows small targets in infrared video.",
        epilog="With a SOURCE or nothing instead of a command, the window opens: irtrack flight.mp4",
    )
    parser.add_argument("--version", action="version", version=f"irtrack {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where in the program an error arose, and its causes")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    window = commands.add_parser("window", help="open the window (the default)")
    window.add_argument("source", nargs="*", metavar="SOURCE", help=SOURCE_HELP + "; or a session file")
    window.add_argument(
        "--tracks", type=Path, metavar="TRACKS", help="show this track log over the recording, to look at and correct"
    )
    credentials_option(window)
    detector_options(window)
    tracker_options(window)
    display_options(window)

    run = commands.add_parser(
        "run",
        help="track a recording or camera without a window",
        description="Runs SOURCE through detector and tracker, and writes logs as it goes. Of a session file of the "
        "window, what it holds is written, as edited, and nothing is analysed.",
    )
    run.add_argument(
        "source", metavar="SOURCE", nargs="+", help=SOURCE_HELP + "; several run at once, outputs numbered OUT-1, OUT-2"
    )
    outputs = run.add_argument_group("outputs")
    outputs.add_argument(
        "--pretrigger", type=float, metavar="S", help="record only around targets, from S seconds before to S after"
    )
    log_options(outputs, alone=False)
    outputs.add_argument(
        "--events",
        type=file_to_write,
        metavar="EVENTS.db",
        help="add a row for each track to this SQLite database, made if it is not there; several runs may share it",
    )
    pose_option(run)
    run.add_argument(
        "--fps",
        type=float,
        metavar="F",
        help="frame rate of a recording, whatever times it has (images without times: 30)",
    )
    run.add_argument(
        "--reconnect",
        type=float,
        default=30.0,
        metavar="S",
        help="try for so long to reach a camera that is away, at the start or later (30; 0: end at once)",
    )
    credentials_option(run)
    strict_option(run)
    run.add_argument("--frames", type=count, metavar="N", help="stop after N frames")
    run.add_argument(
        "--alarm",
        nargs="?",
        const="",
        metavar="RULES",
        help="say each new confirmed track in a line, as the window does: speed=PX_S,snr=S,holdoff=S,in=REGION with "
        "the corners X,Y X,Y X,Y of a region, all of them optional, the region last",
    )
    run.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    detector_options(run)
    tracker_options(run)
    display_options(run)

    serve = commands.add_parser(
        "serve",
        help="watch cameras for months: events, clips, outputs, web pages",
        description="Watches the cameras of a station file until SIGTERM or Ctrl-C, which end it with exit code 0. "
        "SIGHUP: the file is read again, and taken over if it can be run.",
    )
    serve.add_argument("station", type=Path, metavar="STATION.toml")
    serve.add_argument("--check", action="store_true", help="say what it would do, or what is wrong, and end")

    archive_options(
        commands.add_parser(
            "archive",
            help="track every recording under a folder, on all cores or on a cluster",
            description="Tracks every recording under FOLDER on the workers of a Dask cluster: those of this machine, "
            "or any by its address. DIR gets a log of each, data sets of tracks and recordings (Parquet, by day) and "
            "index.html with pictures and counts. What is done is known by the content of the recording, the settings "
            "and the model, and not done again: after a kill, the same command goes on. What cannot be read is listed "
            "and does not stop the rest.",
        )
    )

    flat = commands.add_parser(
        "flat",
        help="correction of a camera from a flat scene",
        description="Looks at a shutter, a lens cap or an even wall for a moment and keeps each pixel's offset and the "
        "bad pixels for this camera; run and the window use them with --correct.",
    )
    flat.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    flat.add_argument("--frames", type=count, default=60, metavar="N", help="frames that are averaged (60)")
    credentials_option(flat)
    flat.add_argument("--out", type=file_to_write, metavar="FILE.npz", help="keep it here instead of with the settings")

    track = commands.add_parser(
        "track",
        help="track anybody's detections",
        description="Runs the tracker alone. "
        "DETECTIONS is a CSV with header frame,x,y[,w,h][,score] (centres, frames from 0; commas, semicolons or tabs), "
        "the detections.csv of irtrack detect, or a MOTChallenge det.txt.",
    )
    track.add_argument("detections", type=Path, metavar="DETECTIONS")
    track.add_argument("--out", type=file_to_write, required=True, metavar="TRACKS.csv")
    track.add_argument(
        "--fps",
        type=float,
        metavar="F",
        help="frame rate (that of the file's time_s, else 30); 1000 where frame numbers are milliseconds",
    )
    log_options(track, alone=True)
    strict_option(track)
    config_option(track)
    tracker_options(track, OTHERS)

    tune = commands.add_parser(
        "tune",
        help="learn from clips of your own camera what is a target and what is clutter",
        description="Runs each CLIP and compares its tracks with the targets in the file beside it: CLIP.gt.csv "
        "(frame,x,y,w,h: left, top, width and height of each target) or CLIP.csv, a track log of irtrack as the window "
        "exports it once false tracks were deleted. What is learned is written for --beliefs.",
    )
    tune.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="recordings with a file of their targets")
    tune.add_argument("--out", type=file_to_write, required=True, metavar="BELIEFS.toml")
    tune.add_argument("--force", action="store_true", help="overwrite BELIEFS.toml")
    strict_option(tune)
    detector_options(tune)
    tracker_options(tune)

    score = commands.add_parser(
        "score",
        help="HOTA, IDF1, MOTA, switches and GOSPA of tracks against truth",
        description="Both files are track logs (frame, id or track_id, x or x_px, y or y_px) or MOTChallenge text. "
        "Rows of a MOTChallenge truth whose seventh column is 0 do not count, nor do tracks on such objects.",
    )
    score.add_argument("truth", type=Path, metavar="TRUTH")
    score.add_argument("tracks", type=Path, metavar="TRACKS")
    score.add_argument(
        "--distance", type=float, default=5.0, metavar="PX", help="a track further off than this is no match (5)"
    )
    strict_option(score)
    score.add_argument("--json", type=file_to_write, metavar="OUT")
    score.add_argument("--force", action="store_true", help="overwrite OUT")

    detect = commands.add_parser(
        "detect",
        help="masks for single images",
        description="Writes one 0/255 mask PNG for each image (same stem, same size) and detections.csv.",
    )
    detect.add_argument("images", nargs="+", metavar="IMAGES", help="image files, folders or globs")
    detect.add_argument("--out", type=Path, required=True, metavar="DIR")
    strict_option(detect)
    detect.add_argument("--force", action="store_true", help="write into a folder that holds files")
    detector_options(detect)

    train_options(
        commands.add_parser(
            "train",
            help="train DATransNet",
            description="Trains on folders with images/ and masks/. An interrupted run in --out goes on where it "
            "stopped. Several GPUs: torchrun --nproc-per-node N main.py train ...",
        )
    )
    teach_options(
        commands.add_parser(
            "teach",
            help="weights that know a recording better",
            description="Learns from a session file of the window: tracks that were judged, and targets that were "
            "added by hand. Writes the labelled set and the weights, and compares them with those before on the last "
            "part of the recording, of which they saw nothing.",
        )
    )
    evaluate_options(commands.add_parser("evaluate", help="the field's figures on labelled images"))

    export = commands.add_parser(
        "export",
        help="write a model as ONNX",
        description="Writes the network for ONNX Runtime, OpenVINO or TensorRT: input `grey` (1, 1, H, W) in [0, 1], "
        "H and W any multiples of 32; output `logits`, whose sigmoid is the score. The file is run and compared first.",
    )
    export.add_argument("--weights", default="datransnet", metavar="NAME/PATH")
    export.add_argument("--out", type=file_to_write, required=True, metavar="OUT.onnx")
    export.add_argument("--force", action="store_true", help="overwrite OUT")

    simulate = commands.add_parser(
        "simulate",
        help="write a synthetic scene with its exact truth",
        description=f"Scenes: {SCENE_NAMES}. Any setting of irtrack/simulate/settings.py can be changed, and all go "
        "together: targets that hover, arrive or creep; a camera that drifts, swings, jerks, shakes, zooms, rolls and "
        "blurs; buildings, lamps that flicker, specks, burnt-in text.",
    )
    simulate.add_argument(
        "scene",
        metavar="SCENE",
        help="NAME[,key=value,...], for example clutter,scr=6,seed=2 or sky,lamps=20,overlay=1",
    )
    simulate.add_argument(
        "--out",
        type=file_or_folder,
        required=True,
        metavar="OUT.mkv/DIR",
        help="lossless video (FFV1 in .mkv) or a folder of PNG files; the truth is written beside it as .truth.csv",
    )
    simulate.add_argument("--masks", action="store_true", help="OUT/images and OUT/masks, to train or evaluate on")
    simulate.add_argument("--force", action="store_true", help="overwrite OUT")

    bench = commands.add_parser(
        "bench",
        help="milliseconds side by side",
        description="network: forms and modes of DATransNet in turn, in one run; ratio is the time of the authors' "
        "code (--reference) or else of the readable form over this one's. live: a simulated 640x512 camera at 30 "
        "frames a second. memory: peak of a 1280x1024 frame. tracker: CPU time a frame for 10 to 5,000 targets, "
        "beside norfair and roboflow's trackers where they are installed; ratio is how many times longer they take. "
        "neighbours: a frame on a quiet machine and beside busy processes, by how idle threads wait. train: CPU time "
        "of a step of training in torch alone and by kernels in C, in turn, on one thread; ratio is torch alone's over "
        "this one's.",
    )
    bench.add_argument(
        "what",
        nargs="?",
        default="network",
        choices=("network", "live", "memory", "tracker", "display", "neighbours", "train"),
    )
    bench.add_argument("--reference", type=Path, metavar="DIR", help="a checkout of the authors' code")
    bench.add_argument("--rounds", type=count, default=12, metavar="N", help="turns of each form, two frames each (12)")
    bench.add_argument("--plot", type=file_to_write, metavar="OUT.png", help="the network's times as bars")
    bench.add_argument("--json", type=file_to_write, metavar="OUT")
    bench.add_argument("--force", action="store_true", help="overwrite OUT")

    site_commands(commands)
    commands.add_parser("cameras", help="cameras of this machine, with the SOURCE text that opens each")
    commands.add_parser("doctor", help="what is installed and what is missing")
    for command in commands.choices.values():  # before or behind the command
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def archive_options(parser: argparse.ArgumentParser) -> None:
    """Of `irtrack archive`."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="videos, thermal cameras' files, TIFF stacks; a folder of images is one",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results; of one set of options alone")
    parser.add_argument(
        "--cluster",
        default="local",
        metavar="local|tcp://SCHEDULER",
        help="local: workers of this machine; or a Dask scheduler whose workers see the same folders",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes of a local cluster (one for each core), with one thread each",
    )
    parser.add_argument(
        "--part",
        type=float,
        default=10.0,
        metavar="MINUTES",
        help="longer recordings are looked at in parts of this length, by several workers (10)",
    )
    parser.add_argument("--fps", type=float, metavar="F", help="frame rate of the recordings, whatever times they have")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    detector_options(parser)
    tracker_options(parser)
    display_options(parser)


def with_default_command(argv: Sequence[str]) -> list[str]:
    """`irtrack FILE` and `irtrack` alone mean `irtrack window ...`."""
    argv = list(argv)
    globals_ = [a for a in argv[:1] if a == "--debug"]
    rest = argv[len(globals_) :]
    if rest and (rest[0] in COMMANDS or rest[0] in ("-h", "--help", "--version")):
        return argv
    return [*globals_, "window", *rest]


def mistyped(argv: Sequence[str]) -> str:
    """What to say of a first word that is no command, option or file, and looks like a command; else nothing."""
    word = next((a for a in argv if a != "--debug"), "")
    if not word.isalpha() or word in COMMANDS or os.path.lexists(word):
        return ""
    guess = meant(word, COMMANDS)
    return f"there is no command or file {word!r}{guess}; irtrack --help lists the commands" if guess else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every error that a user can act on is one line on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
    argv = sys.argv[1:] if argv is None else argv
    if guess := mistyped(argv):
        print(f"irtrack: {guess}", file=sys.stderr)
        return EXIT_USAGE
    args: argparse.Namespace | None = None
    try:
        with Stop() as stop:
            args = make_parser().parse_args(with_default_command(argv))
            args.stop = stop
            from irtrack import commands

            return int(getattr(commands, args.command)(args))
    except (IrtrackError, MemoryError) as error:
        if args is not None and args.debug:
            raise
        if isinstance(error, MemoryError):
            error = IrtrackError("there is not enough memory: crop or scale the recording, or end other programs")
        print(f"irtrack: {one_line(error)}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("irtrack: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as error:  # where a file that is not the source or a log cannot be read or written
        if args is not None and args.debug:
            raise
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        print(f"irtrack: {one_line(f'{where}{error.strerror or error}')}", file=sys.stderr)
        return EXIT_ERROR


def entry() -> None:
    """The program: one command, and one way out."""
    leave(main())
