"""The documents say what the program does: tables come from the code, links lead somewhere, the README stays short."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from irtrack.capture.kinds import FILES, TEXTS
from irtrack.cli import COMMANDS, make_parser
from irtrack.config import DEFAULTS, TrackerSettings
from irtrack.schema import json_schema
from irtrack.sinks.columns import CSV_HEADER
from irtrack.sinks.kinds import SINKS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "tools" / "docs_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 900
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert len(links) > 10
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]


def test_every_setting_command_source_and_output_is_in_the_documents(hooks: ModuleType) -> None:
    pages = {
        path.relative_to(ROOT / "docs").as_posix(): hooks.filled(path.read_text(encoding="utf-8")) for path in PAGES
    }
    assert not [name for name, text in pages.items() if "{{" in text]
    for section in fields(DEFAULTS):
        for f in fields(getattr(DEFAULTS, section.name)):
            row = re.search(rf"^\| `{f.name}` \| `--.*\|$", pages["settings.md"], re.MULTILINE)
            assert row, f.name
            assert f.metadata["doc"].replace("|", "\\|") in row[0]
    assert all(f"`irtrack {name}`" in pages["commands.md"] for name in COMMANDS)
    assert all(f"| {kind.form} |" in pages["cameras/index.md"] for kind in (*FILES, *TEXTS))
    assert all(f"| `--{kind.name}` |" in pages["logs.md"] for kind in SINKS)
    assert all(f"`{column}`" in pages["logs.md"] for column in CSV_HEADER.split(","))
    assert pages["architecture.md"].count("<rect") > 15


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [p for p in PAGES if p.relative_to(ROOT / "docs").as_posix() not in nav]


def test_commands_in_the_documents_are_understood() -> None:
    """Each `irtrack ...` line of a block is parsed, not run."""
    parser, seen = make_parser(), 0
    for path in [ROOT / "README.md", *PAGES]:
        for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                words = line.split("#")[0].split()
                if words[:1] == ["irtrack"] and words[1:] and words[1] in COMMANDS:
                    parser.parse_args(words[1:])
                    seen += 1
    assert seen > 30


def test_the_schema_knows_every_setting_and_its_bounds() -> None:
    schema = json_schema()
    json.dumps(schema)
    tracker = schema["properties"]["tracker"]["properties"]
    assert set(tracker) == {f.name for f in fields(TrackerSettings)}
    assert tracker["coast_s"] == {
        "type": "number", "default": 0.8, "minimum": 0.0, "maximum": 60.0,
        "description": "a track without detections ends after this, and the time in which each place is seen once (s)",
    }  # fmt: skip
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.validate(DEFAULTS.to_dict(), schema)
    for wrong in ({"tracker": {"coast_s": 99}}, {"tracker": {"caustion": 3}}, {"display": {"palette": "iron"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install -e '.[docs]'")
    pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings is not installed")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    page = (tmp_path / "site" / "settings" / "index.html").read_text(encoding="utf-8")
    assert "--caution" in page
