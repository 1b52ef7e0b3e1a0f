"""Options of `irtrack train`, `irtrack teach` and `irtrack evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from irtrack.config import DEVICES
from irtrack.output_options import file_to_write
from irtrack.setting_options import number_of_threads


def strict_option(parser: argparse.ArgumentParser) -> None:
    """Of every command that reads what others wrote."""
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where there is anything to remark on what was read"
    )


def train_options(train: argparse.ArgumentParser) -> None:
    """Options of `irtrack train`."""
    train.add_argument(
        "--data",
        action="extend",
        nargs="+",
        default=[],
        metavar="DIR[:SPLIT][@SHARE]",
        help="training sets; SPLIT names a list in img_idx/ or a part of the set, and may be sliced as in train[:-60]",
    )
    train.add_argument(
        "--negatives",
        action="extend",
        nargs="+",
        default=[],
        metavar="DIR[@SHARE]",
        help="folders of images without targets",
    )
    train.add_argument(
        "--val",
        action="extend",
        nargs="+",
        default=[],
        metavar="DIR[:SPLIT]",
        help="validation sets; without, each tenth image",
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, logs and panels")
    train.add_argument(
        "--recipe", "--config", metavar="NAME/TOML", help="settings and sets: a file, or one that comes with irtrack"
    )
    train.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="where the folders of sets lie")
    train.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="single settings; augment.KEY=VALUE for the crops",
    )
    train.add_argument("--init", metavar="NAME/PATH", help="weights to start from")
    train.add_argument("--teacher", metavar="NAME/PATH", help="a trained network to distil from")
    train.add_argument("--device", default="auto", choices=DEVICES)
    strict_option(train)
    train.add_argument("--threads", type=number_of_threads, metavar="N", help="CPU threads")
    train.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that make crops ahead; 0: the main thread (default: 0 on a CPU, on a GPU the cores less one, "
        "at most 16)",
    )


def evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    """Options of `irtrack evaluate`."""
    evaluate.add_argument("--weights", default="auto", metavar="NAME/PATH")
    evaluate.add_argument("--data", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--split", default="", metavar="LIST", help="a list in img_idx/, or a file of names")
    evaluate.add_argument(
        "--json", type=file_to_write, metavar="OUT", help="figures, threshold sweep and the table of images"
    )
    evaluate.add_argument("--table", type=file_to_write, metavar="OUT.csv", help="a row for each image")
    evaluate.add_argument("--plot", type=file_to_write, metavar="OUT.png", help="threshold sweep and ROC")
    evaluate.add_argument("--worst", type=file_to_write, metavar="OUT.png", help="a sheet of the worst images")
    evaluate.add_argument("--threshold", type=float, default=None)
    evaluate.add_argument("--device", default="auto", choices=DEVICES)
    strict_option(evaluate)
    evaluate.add_argument("--force", action="store_true", help="overwrite outputs")


def teach_options(teach: argparse.ArgumentParser) -> None:
    """Options of `irtrack teach`."""
    teach.add_argument("session", type=Path, metavar="SESSION", help="a session file of the window")
    teach.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for set and weights")
    teach.add_argument("--weights", metavar="NAME/PATH", help="what to start from (the session's model)")
    teach.add_argument("--steps", type=int, default=400, metavar="N", help="of training (400)")
    teach.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="single settings of the training"
    )
    teach.add_argument("--device", default="auto", choices=DEVICES)
    teach.add_argument("--threads", type=number_of_threads, metavar="N", help="CPU threads")
    strict_option(teach)
