"""What the containers' files are made of, as far as it can be tried without a builder of containers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_container_needs_no_window() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "container_needs.py"), "archive", "no-such"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = done.stdout.lower().split()
    assert not [n for n in names if n.startswith(("pyside", "pyqtgraph", "torch"))]
    assert any(n.startswith("opencv-python-headless>=") for n in names)
    assert any(n.startswith("distributed") for n in names)
    assert "no extra 'no-such'" in done.stderr
    code = (
        "import sys\n"
        "for name in ('PySide6', 'pyqtgraph'): sys.modules[name] = None\n"
        "from irtrack.cli import make_parser\nimport irtrack.commands, irtrack.doctor\nmake_parser()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_build_of_torch_is_the_one_that_is_wanted() -> None:
    wrong = tool("container_torch").wrong
    assert wrong("cpu", None) == wrong("cuda", "13.0") == ""
    assert "TORCH_INDEX" in wrong("cpu", "13.0")
    assert "built for CPUs" in wrong("cuda", None)


@contextmanager
def answering(code: int) -> Iterator[str]:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/health"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_station_is_as_healthy_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    health = tool("container_health")
    assert health.serves(b"python\0/opt/irtrack/bin/irtrack\0serve\0/data/station.toml\0")
    assert not health.serves(b"irtrack\0run\0observe.mp4\0")
    monkeypatch.setattr(health, "serves", lambda _: True)
    for code, expected in ((200, 0), (503, 1)):
        with answering(code) as address:
            monkeypatch.setenv("IRTRACK_HEALTH", address)
            assert health.main() == expected
    assert health.main() == 1  # nobody answers any more
    monkeypatch.setattr(health, "serves", lambda _: False)
    assert health.main() == 0


def test_what_is_copied_is_there_and_enough() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    for file in ("Containerfile", "Containerfile.cuda"):
        text = (ROOT / file).read_text(encoding="utf-8")
        copied = [word for line in text.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
        own = [word for word in copied if not word.startswith(("--", "/")) and word != "."]
        assert own
        assert not [word for word in own if word.split("/")[0] not in kept or not (ROOT / word).exists()]
        assert "\nUSER irtrack\n" in text
        assert "HEALTHCHECK" in text
