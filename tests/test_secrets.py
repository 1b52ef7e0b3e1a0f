"""Nothing of a URL but scheme, host and port is ever shown, and nothing that may hold a secret is kept."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from mjpeg import Mjpeg
from pytestqt.qtbot import QtBot

from irtrack.capture import address, open_source
from irtrack.capture.address import address_of, may_be_kept, redact, use_credentials
from irtrack.core import SourceError
from irtrack.gui.window import MainWindow
from irtrack.session.keeping import file_stem
from irtrack.session.preferences import Preferences, preferences_path

SECRET = "S3cret"
WITH_SECRETS = (
    "rtsp://admin:S3cretPw@127.0.0.1:9/ch1",
    "rtsp://admin:S3cret/Pw@127.0.0.1:9/ch1",
    "rtsp://admin:S3cret@Pw@127.0.0.1:9/ch1",
    "rtsp://admin:x/S3cret@Pw/S3cret@127.0.0.1:9/ch1",
    "rtsp://admin:S3cret?Pw#1@127.0.0.1:9/ch1",
    "rtsp://admin:S3cret%2FPw@127.0.0.1:9/ch1",
    "rtsp://S3cret@127.0.0.1:9/ch1",
    "http://127.0.0.1:9/flv?port=1935&stream=channel0&user=admin&password=S3cretPw",
    "http://127.0.0.1:9/cgi/mjpg?usr=admin&pwd=S3cretPw",
    "http://127.0.0.1:9/?mail=a@b.c&key=S3cretPw",
    "http://127.0.0.1:9/?key=S3@S3cret",
    "rtsp://127.0.0.1:9/user=admin_password=S3cretPw_channel=1",
    "rtsp://127.0.0.1:9/admin/S3cretPw/ch1",
    "http://127.0.0.1:9/video;S3cretPw",
    "rtmp://127.0.0.1:9/live/a8S3cretstreamkey42",
    "http://127.0.0.1:9/v#S3cretPw",
    "srt://127.0.0.1:9?passphrase=S3cretPw",
    "RTSP://admin:S3cretPw@127.0.0.1:9/ch1",
    "rtsp:/admin:S3cretPw@127.0.0.1:9/ch1",
    "admin:S3cretPw@127.0.0.1:9/ch1",
    "nonsense://admin:S3cretPw@127.0.0.1:9/ch1",
)  # fmt: skip


@pytest.mark.parametrize("url", WITH_SECRETS)
def test_a_url_with_a_secret_is_neither_shown_nor_kept(url: str) -> None:
    assert SECRET not in redact(url)
    assert not may_be_kept(url)
    preferences = Preferences().opened(url, True).with_regions(url, {"include": (((0, 0), (9, 0), (9, 9)),)})
    assert preferences == Preferences()
    assert SECRET not in file_stem(url)
    with pytest.raises(SourceError) as caught:
        open_source(url)
    assert SECRET not in str(caught.value)
    told: BaseException | None = caught.value
    while told is not None:  # what a traceback would show
        assert SECRET not in str(told)
        told = told.__cause__


@pytest.mark.parametrize(
    ("url", "eyes"),
    [
        ("rtsp://camera.local/ir", "rtsp://camera.local/..."),
        ("http://10.0.0.7:8080/video.mjpg", "http://10.0.0.7:8080/..."),
        ("udp://0.0.0.0:5000", "udp://0.0.0.0:5000"),
        ("http://[fe80::1]:80/axis-media/media.amp", "http://[fe80::1]:80/..."),
        ("rtsp://10.0.0.7/Streaming/Channels/101", "rtsp://10.0.0.7/..."),
    ],
)
def test_a_plain_url_is_kept(url: str, eyes: str) -> None:
    assert redact(url) == eyes
    assert Preferences().opened(url, True).recent == (url,)
    assert Preferences().opened(url, True).cameras == (url,)


def test_what_is_no_url_is_shown_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "12:30 me@home.mkv"
    odd.touch()
    for text in ("flight.mp4", "camera:0,format=Y16", "sim:sky,seed=3", str(odd)):
        assert redact(text) == text
        assert may_be_kept(text)


def test_a_password_with_slash_and_at_reaches_the_camera_escaped() -> None:
    made = address_of("rtsp://admin:S3cret/P@w@127.0.0.1:9/ch1")
    assert made is not None
    assert made.opened == "rtsp://admin:S3cret%2FP%40w@127.0.0.1:9/ch1"
    as_written = address_of("rtsp://admin:a%2Fb@127.0.0.1:9/ch1?x=1")
    assert as_written is not None
    assert as_written.opened == "rtsp://admin:a%2Fb@127.0.0.1:9/ch1?x=1"


def test_words_of_a_library_are_scrubbed() -> None:
    url = "http://me:S3cret%40x@h:1/cgi/S3cretPath?pwd=S3cretQ"
    made = address_of(url)
    assert made is not None
    said = f"cannot open {url}: S3cret@x and S3cretPath and /cgi/S3cretPath?pwd=S3cretQ at h:1"
    assert SECRET not in made.scrubbed(said)
    assert "at h:1" in made.scrubbed(said)


def test_the_program_tells_no_secret(tmp_path: Path) -> None:
    """Several in one run of the program: output, files and their names."""
    urls = [u for u in WITH_SECRETS if "://" in u][:9]
    for url in urls[:3]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "main.py"), "run", url, "--reconnect", "0", "--csv", "t.csv"],
            capture_output=True, text=True, cwd=tmp_path, timeout=120,
        )  # fmt: skip
        assert done.returncode == 1
        assert SECRET not in done.stdout + done.stderr
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == [] or all(SECRET not in p.name for p in tmp_path.rglob("*"))


def test_the_window_tells_no_secret(qtbot: QtBot, window: MainWindow) -> None:
    window.open("http://me:S3cretPw@127.0.0.1:9/v?key=S3cretQ")
    assert window.windowTitle() == "http://127.0.0.1:9/... - irtrack"
    assert SECRET not in window.start.hint.text()
    qtbot.waitUntil(lambda: window.banner.isVisible(), timeout=30_000)
    assert "Connection refused" in window.banner.text()
    assert SECRET not in window.banner.text()
    window.close()
    assert SECRET not in preferences_path().read_text()
    assert stat.S_IMODE(preferences_path().stat().st_mode) == 0o600


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(address.VARIABLE, raising=False)
    yield
    use_credentials(None)


@pytest.mark.usefixtures("no_credentials")
def test_credentials_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Mjpeg(credentials="ir:S3cr/et")
    try:
        with pytest.raises(SourceError, match="401"):
            open_source(camera.url)
        path = tmp_path / "camera"
        path.write_text("ir:S3cr/et\n")
        path.chmod(0o644)
        with pytest.raises(SourceError, match="chmod 600"):
            use_credentials(path)
        path.chmod(0o600)
        use_credentials(path)
        source = open_source(camera.url)
        assert "S3cr" not in source.info.name
        source.close()
        use_credentials(None)
        monkeypatch.setenv(address.VARIABLE, "ir:S3cr/et")
        open_source(camera.url).close()
        with pytest.raises(SourceError, match="401"):  # the URL's own come first
            open_source(camera.url.replace("//", "//ir:wrong@"))
    finally:
        camera.close()


@pytest.mark.usefixtures("no_credentials")
def test_credentials_that_are_none_are_one_line(tmp_path: Path) -> None:
    for content in (b"", b"user only", b"a:b\nc:d", b"\xff\xfe:"):
        path = tmp_path / "c"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(SourceError):
            use_credentials(path)
    with pytest.raises(SourceError, match="cannot be read"):
        use_credentials(tmp_path / "none")
    assert os.environ.get(address.VARIABLE) is None
