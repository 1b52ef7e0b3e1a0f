"""Settings: what can never work is refused, what a file says counts, and nothing else does."""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import pytest

from irtrack.cli import main as irtrack
from irtrack.cli import make_parser
from irtrack.commands.common import settings_from
from irtrack.config import (
    OTHERS,
    DetectorSettings,
    DisplaySettings,
    Settings,
    TrackerSettings,
    load_settings,
    save_settings,
)
from irtrack.core import ConfigError
from irtrack.setting_options import flag_of
from irtrack.simulate import scene_from_text
from irtrack.train.settings import load_recipe
from irtrack.train.settings import settings_from as train_settings

NEVER = [
    (TrackerSettings, {"camera_motion": "imgae"}, "did you mean 'image'"),
    (TrackerSettings, {"confirm_hits": 4}, "no setting any more.*caution"),
    (TrackerSettings, {"min_motion_px": 0.0}, "no setting any more.*caution"),
    (TrackerSettings, {"caution": 0.0}, "out of range"),
    (TrackerSettings, {"coast_s": float("inf")}, "out of range"),
    (TrackerSettings, {"quiet_px_s2": float("inf")}, "out of range"),
    (DetectorSettings, {"device": "cdua"}, "did you mean 'cuda'"),
    (DetectorSettings, {"mode": "Exact"}, "did you mean 'exact'"),
    (DetectorSettings, {"min_area_px": 9, "max_area_px": 8}, "above max_area_px"),
    (DetectorSettings, {"backend": "openvino", "mode": "video"}, "whole frames only"),
    (DetectorSettings, {"backend": "native", "precision": "float16"}, "no precision"),
    (DetectorSettings, {"include": "0,0 9,0 9,9", "exclude": "0,0 9,0 9,9"}, "nothing is left"),
    (DetectorSettings, {"include": "0,0 5,5 9,9"}, "holds nothing"),
    (DetectorSettings, {"levels": "0,inf"}, "must be below"),
    (DisplaySettings, {"low_percent": 50.0, "high_percent": 50.0}, "must be below"),
    (DisplaySettings, {"palette": "iron"}, "did you mean 'Iron'"),
    (DisplaySettings, {"region": "0,0,999999999999,1"}, "must lie in the picture"),
]


@pytest.mark.parametrize(("kind", "values", "say"), NEVER)
def test_settings_that_can_never_work_are_refused(
    kind: type[TrackerSettings], values: dict[str, object], say: str
) -> None:
    with pytest.raises(ConfigError, match=say):
        kind.from_dict(values)


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("tracker = 5", "must be a table"),
        ("[detector]\nmin_area_px = 4.5", "not a whole number"),
        ("[tracker]\ncaustion = 4", "did you mean 'caution'"),
        ("[tracker]\ncoast_s = 1" + "0" * 5000, "settings"),
        ("[tracker]\ncoast_s = 1" + "0" * 400, "not a number"),
        ("x = " + "[" * 5000, "nested too deeply"),
        ("\0\1\2", "no text"),
        ("[tracker", "not valid TOML"),
    ],
)
def test_settings_files_that_are_none_are_one_line(tmp_path: Path, text: str, say: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError, match=say) as caught:
        load_settings(tmp_path / "s.toml")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_settings_files_of_other_editors(tmp_path: Path, encoding: str) -> None:
    text = '# Schärfe\r\n[display]\r\npalette = "Iron"\r\n'
    (tmp_path / "s.toml").write_bytes(text.encode(encoding))
    assert load_settings(tmp_path / "s.toml").display.palette == "Iron"


def test_a_file_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[tracker]\ncaution = 3\n")
    found = load_settings(tmp_path / "s.toml", OTHERS)
    assert (found.tracker.caution, found.tracker.coast_s, found.tracker.log_delay_s) == (3.0, 0.8, 60.0)
    save_settings(Settings(), tmp_path / "all.toml")
    assert load_settings(tmp_path / "all.toml", OTHERS) == Settings(), "a file that says all is followed in all"


def test_track_is_the_same_with_a_file_that_sets_a_palette(tmp_path: Path) -> None:
    """Scores have another scale there, and nobody waits for the log."""
    rows = [f"{f},{40 + 2 * f},{50 + f},4,4,0.3" for f in range(40)]
    (tmp_path / "d.csv").write_text("\n".join(["frame,x,y,w,h,score", *rows]))
    (tmp_path / "s.toml").write_text('[display]\npalette = "Iron"\n')
    logs = []
    for i, more in enumerate(([], ["--config", str(tmp_path / "s.toml")])):
        out = tmp_path / f"{i}.csv"
        assert irtrack(["track", str(tmp_path / "d.csv"), "--out", str(out), *more]) == 0
        logs.append(out.read_text())
    assert logs[0] == logs[1]
    assert len(list(csv.reader(logs[0].splitlines()))) > 30
    (tmp_path / "s.toml").write_text("[tracker]\ncaution = 0.001\n")
    assert irtrack(["track", str(tmp_path / "d.csv"), "--out", str(out), "--force", *more]) == 0
    assert len(out.read_text().splitlines()) == 1, "what the file sets, counts"


def parsed(*words: str) -> argparse.Namespace:
    return make_parser().parse_args(["run", "x", *words])


def test_auto_on_the_command_line_overrules_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        '[detector]\nmode = "exact"\nweights = "datransnet"\nbackend = "torch"\nprecision = "float32"\ndevice = "cpu"\n'
    )
    config = ("--config", str(tmp_path / "s.toml"))
    assert settings_from(parsed(*config)).detector.mode == "exact"
    names = ("mode", "weights", "backend", "precision", "device")
    given = [word for name in names for word in (f"--{name}", "auto")]
    assert all(getattr(settings_from(parsed(*config, *given)).detector, n) == "auto" for n in names)
    assert settings_from(parsed()).detector == DetectorSettings()


@pytest.mark.parametrize(
    ("pair", "say"),
    [
        ("loss=soft_iou_bec", "did you mean 'soft_iou_bce'"),
        ("drops=0.7,0.5", "that rise"),
        ("drops=0.5,nan", "that rise"),
        ("batch=1000000000", "out of range"),
        ("img_size=100", "multiple of 32"),
        ("stpes=4", "did you mean 'steps'"),
        ("augment.zom=1", "did you mean 'augment.zoom'"),
        ("steps=many", "a whole one"),
        ("rate=inf", "out of range"),
    ],
)
def test_training_settings_that_can_never_work(pair: str, say: str) -> None:
    with pytest.raises(ConfigError, match=say):
        train_settings({}, [pair])


def test_recipes_and_scenes_that_can_never_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'general'"):
        load_recipe("genral")
    with pytest.raises(ConfigError, match="must be a table"):
        train_settings({"augment": 5}, ["augment.zoom=1"])
    for text, say in (
        ("ckutter", "did you mean 'clutter'"),
        ("sky,frmaes=3", "did you mean 'frames'"),
        ("sky,bits=12", "8 or 16"),
        ("sky,targets=10000,frames=1000000", "too many"),
        ("sky,scr=inf", "out of range"),
    ):
        with pytest.raises(ConfigError, match=say):
            scene_from_text(text)


def other_value(name: str, default: object) -> str:
    """A value of a setting that is not its default."""
    special = {"levels": "5,9", "region": "1,2,3,4", "weights": "datransnet", "agc": "clahe"}
    special |= {"include": "0,0 9,0 9,9", "exclude": "0,0 5,0 5,5", "palette": "Iron", "mode": "exact", "device": "cpu"}
    special |= {
        "backend": "torch",
        "precision": "float32",
        "camera_motion": "off",
        "correction": "my.npz",
        "beliefs": "my.toml",
    }
    special |= {"threshold": "0.25", "gate_probability": "0.75", "low_percent": "1.25"}
    return special.get(name) or str(default + 1 if isinstance(default, int) else float(str(default)) * 0.75)


@pytest.mark.parametrize("section", ["detector", "tracker", "capture", "display"])
def test_every_setting_is_an_option_and_wins_over_a_file(section: str, tmp_path: Path) -> None:
    chosen = getattr(Settings(), section)
    words, expected = [], {}
    for name, default in chosen.to_dict().items():
        flag = flag_of(type(chosen), name)
        if isinstance(default, bool):
            words, expected[name] = [*words, f"--no-{flag[2:]}" if default else flag], not default
            continue
        value = other_value(name, default)
        words, expected[name] = [*words, flag, value], type(default)(value)
    changed = replace(chosen, **{k: v for k, v in chosen.to_dict().items() if k == "threads"})
    save_settings(replace(Settings(), **{section: changed}), tmp_path / "s.toml")
    made = getattr(settings_from(parsed(*words, "--config", str(tmp_path / "s.toml"))), section)
    assert made.to_dict() == expected
    assert not [name for name, value in expected.items() if value == getattr(chosen, name)]


def test_options_out_of_range_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert irtrack(["run", "sim:sky", "--min-area-px", "9", "--max-area-px", "8"]) == 1
    assert "above max_area_px" in capsys.readouterr().err
    assert irtrack(["run", "sim:sky", "--coast-s", "600"]) == 1
    assert "coast_s = 600.0 is out of range" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        irtrack(["run", "sim:sky", "--camera-motion", "imgae"])
    assert caught.value.code == 2


def test_track_says_its_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        irtrack(["track", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "are decided (60 s)" in said
