"""What MkDocs puts into the pages: tables made from the code, pictures, the models' cards, the changelog."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from irtrack.capture.kinds import FILES, TEXTS
from irtrack.cli import SCENE_NAMES, make_parser
from irtrack.config import DEFAULTS, Checked
from irtrack.schema import json_schema
from irtrack.setting_options import flag_of
from irtrack.simulate.settings import SceneSettings
from irtrack.sinks.columns import COLUMNS
from irtrack.sinks.kinds import SINKS

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("screenshot.png", "screenshot-crowd.png", "station.png")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)


def sources() -> str:
    """The kinds of sources."""
    rows = []
    for kind in (*FILES, *TEXTS):
        names = ", ".join(f"`{s}`" for s in kind.suffixes[:8]) + ", ..." * (len(kind.suffixes) > 8)
        rows.append((kind.form, kind.help, names, kind.extra.replace("Debian: ", "")))
    return table(("SOURCE", "what it is", "names of files", "needs"), rows)


def sinks() -> str:
    """The kinds of outputs."""
    rows = [(f"`--{k.name}`", k.help, ", ".join(f"`{s}`" for s in k.suffixes), k.extra) for k in SINKS]
    return table(("option", "what it is", "files", "needs"), rows)


def columns() -> str:
    """Of the CSV log."""
    return table(("column", "unit", "meaning"), [(f"`{c.name}`", c.unit, c.meaning) for c in COLUMNS])


def number(value: Any) -> str:
    """A default or a bound, as short as it goes."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting_rows(section: Checked, flags: bool) -> str:
    """A table of a section's settings."""
    rows = []
    for f in fields(section):  # type: ignore[arg-type]
        about, default = f.metadata, getattr(section, f.name)
        if isinstance(default, Checked | tuple):
            continue
        low, high = about.get("low"), about.get("high")
        bounds = (
            " to ".join("..." if v is None else number(v) for v in (low, high)) if (low, high) != (None, None) else ""
        )
        allowed = ", ".join(about.get("choices", ())) or bounds
        shown = f"`{number(default) if not isinstance(default, str) else default or ' '}`"
        option = (f"`{flag_of(type(section), f.name)}`",) if flags else ()
        rows.append((f"`{f.name}`", *option, shown, about["unit"], allowed, about["doc"]))
    head = ("setting", *(("option",) if flags else ()), "default", "unit", "allowed", "meaning")
    return table(head, rows)


def settings() -> str:
    """Every setting of a run."""
    parts = []
    for f in fields(DEFAULTS):
        section = getattr(DEFAULTS, f.name)
        parts.append(f"## `[{f.name}]`\n\n{section.__doc__}\n\n{setting_rows(section, flags=True)}")
    return "\n\n".join(parts)


def station_settings() -> str:
    """What a station file takes, besides cameras' own settings."""
    from irtrack.station import settings as station

    parts = (
        ("The station", station.StationSettings()),
        ("`[clips]`", station.ClipSettings()),
        ("`[disk]`", station.DiskSettings()),
        ("`[retention]`", station.RetentionSettings()),
        ("`[web]`", station.WebSettings()),
        ("`[selftest]`", station.ShadowSettings()),
        ("`[[cameras]]`", station.CameraSettings()),
        ("`[[outputs]]` of the kind `mqtt`", station.MqttSettings()),
        ("`[[outputs]]` of the kind `webhook`", station.WebhookSettings()),
        ("`[[outputs]]` of the kind `cot`", station.CotSettings()),
        ("`[[outputs]]` of the kinds `csv` and `jsonl`", station.FileSettings()),
    )
    return "\n\n".join(f"**{title}**\n\n{setting_rows(section, flags=False)}" for title, section in parts)


def training_settings() -> str:
    """What `irtrack train --set` takes."""
    from irtrack.train.settings import AugmentSettings, TrainSettings

    parts = ((TrainSettings(), ""), (AugmentSettings(), "Of the crops, as `augment.KEY`:\n\n"))
    return "\n\n".join(text + setting_rows(section, flags=False) for section, text in parts)


def commands() -> str:
    """Every command, with its help line."""
    action = next(a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    rows = [(f"`irtrack {choice.dest}`", choice.help or "") for choice in action._choices_actions]
    return table(("command", "does"), rows)


def architecture() -> str:
    """The layers of the import rules, the uppermost first, as a picture (SVG)."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = rules["tool"]["importlinter"]["contracts"][0]["layers"]
    rows = [[name.strip().removeprefix("irtrack.") for name in layer.split("|")] for layer in layers]
    width, step = 760, 46
    parts = []
    for i, row in enumerate(rows):
        share = width / len(row)
        for k, name in enumerate(row):
            x, y = k * share + 4, i * step + 4
            parts.append(
                f'<rect x="{x:.0f}" y="{y}" width="{share - 8:.0f}" height="32" rx="5" fill="#546e7a"/>'
                f'<text x="{x + share / 2 - 4:.0f}" y="{y + 21}" text-anchor="middle" fill="#fff">{name}</text>'
            )
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {step * len(rows)}" role="img" aria-label="Layers of modules, the uppermost first" '
        f'font-family="sans-serif" font-size="14" xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def models() -> str:
    """The models' cards, below the page's own title."""
    text = (ROOT / "models" / "README.md").read_text(encoding="utf-8").replace("](../docs/", "](")
    return text.removeprefix("# Models").strip()


def changelog() -> str:
    """As it is."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


MADE = {
    "sources": sources,
    "sinks": sinks,
    "columns": columns,
    "settings": settings,
    "scenes": lambda: SCENE_NAMES,
    "scene_settings": lambda: setting_rows(SceneSettings(), flags=False),
    "training_settings": training_settings,
    "station_settings": station_settings,
    "commands": commands,
    "architecture": architecture,
    "models": models,
    "changelog": changelog,
}


def filled(markdown: str) -> str:
    """A page with what is made in place of `{{ name }}`."""
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: MADE[found[1]](), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs asks for each page."""
    return filled(markdown)


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks once: files that do not lie in `docs/`."""
    from mkdocs.structure.files import File

    for name in IMAGES:
        files.append(File.generated(config, f"assets/{name}", abs_src_path=str(ROOT / "assets" / name)))
    files.append(File.generated(config, "settings.schema.json", content=json.dumps(json_schema(), indent=1)))
    return files
