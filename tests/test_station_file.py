"""The station file: what it may say, the one line that tells what is wrong with it, and times of the week."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from irtrack.cli import main
from irtrack.core import ConfigError
from irtrack.station.schedule import Schedule, zone_of
from irtrack.station.settings import MqttSettings, WebhookSettings, load_station

WHOLE = """
name = "roof"
folder = "kept"
timezone = "Europe/Berlin"
[clips]
before_s = 2
[web]
port = 0
[[cameras]]
name = "north"
source = "simcam:sky"
schedule = "20:00-06:00"
settings = "north.toml"
[cameras.detector]
threshold = 0.25
include = "1,1 50,1 50,40"
[[cameras]]
name = "south"
source = "rtsp://user:word@10.1.1.1/ir"
[[outputs]]
kind = "mqtt"
password_file = "word"
[[outputs]]
kind = "webhook"
url = "http://127.0.0.1:9/hook"
"""


def station(folder: Path, text: str) -> Path:
    path = folder / "s.toml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "north.toml").write_text('[detector]\nthreshold = 0.7\nweights = "mine.safetensors"\n')
    made = load_station(station(tmp_path, WHOLE))
    north, south = made.cameras
    assert (made.name, made.folder, made.clips.before_s, made.web.port) == ("roof", str(tmp_path / "kept"), 2.0, 0)
    assert north.settings.detector.threshold == 0.25, "the camera's own table wins over its settings file"
    assert north.settings.detector.weights == str(tmp_path / "mine.safetensors")
    assert north.settings.detector.include.startswith("1,1")
    assert south.shown == "rtsp://10.1.1.1/..."
    mqtt, hook = made.outputs
    assert isinstance(mqtt, MqttSettings)
    assert isinstance(hook, WebhookSettings)
    assert (mqtt.port, mqtt.password_file, hook.wanted) == (1883, str(tmp_path / "word"), ("started", "ended"))
    assert load_station(tmp_path / "s.toml") == made, "equal, so that what did not change can go on"


CAMERA = '[[cameras]]\nname = "a"\nsource = "simcam:sky"\n'


HOOK = "[[outputs]]\nkind = 'webhook'\nurl = 'http://h/'\n"


def two(first: str, second: str, more: str = "") -> str:
    """Two cameras; `more`: of the second."""
    return f'[[cameras]]\nname = "a"\nsource = "{first}"\n[[cameras]]\nname = "b"\nsource = "{second}"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder = 'x'\n", "there are no cameras"),
        (CAMERA, "folder is missing"),
        ("folder = 'x'\nfoldr = 'y'\n" + CAMERA, "unknown setting 'foldr' (did you mean 'folder'?)"),
        ("folder = 'x'\ncameras = 3\n", "each begun by [[cameras]]"),
        ("folder = 'x'\n" + CAMERA + "sorce = 'y'\n", "camera 'a': unknown setting 'sorce' (did you mean 'source'?)"),
        ("folder = 'x'\n" + CAMERA + CAMERA, "two cameras have the name 'a'"),
        ("folder = 'x'\n" + CAMERA + CAMERA.replace('"a"', '"A"'), "'a' and 'A', which differ in case alone"),
        (
            "folder = 'x'\n" + two("camera:0", "camera:0", "schedule = 'mon 8:00-9:00'"),
            "have the same source, and only one",
        ),
        (
            "folder = 'x'\n" + two("rtsp://h/ir", "rtsp://h/ir"),
            "cameras 'a' and 'b' have the same source, as all else is",
        ),
        ("folder = 'x'\n" + CAMERA + 2 * "[[outputs]]\nkind = 'csv'\n", "outputs 1 and 2 (csv) are the same"),
        ("folder = 'x'\n[[cameras]]\nname = 'a b'\nsource = 'simcam:sky'\n", "camera 'a b': name = 'a b' must be"),
        ("folder = 'x'\n[[cameras]]\nname = 'a'\n", "camera 'a': source is missing"),
        ("folder = 'x'\n[[cameras]]\nname = 'a'\nsource = 'film.mkv'\n", "is no camera or stream"),
        ("folder = 'x'\n[[cameras]]\nname = 'a'\nsource = 'rstp://x/y'\n", "(did you mean 'rtsp'?)"),
        ("folder = 'x'\n" + CAMERA + "schedule = '8-9'\n", "schedule: '8-9' is no time"),
        ("folder = 'x'\n" + CAMERA + "schedule = 'mon-fry 8:00-9:00'\n", "'fry' is no day (did you mean 'fri'?)"),
        ("folder = 'x'\n" + CAMERA + "schedule = '8:00-25:00'\n", "'25:00' is no time of day"),
        ("folder = 'x'\n" + CAMERA + "[cameras.detector]\nthreshold = 7\n", "camera 'a': threshold = 7"),
        ("folder = 'x'\n" + CAMERA + "settings = 'none.toml'\n", "cannot read settings"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'mqt'\n", "unknown kind 'mqt' (did you mean 'mqtt'?)"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'webhook'\n", "output 1 (webhook): url is missing"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'webhook'\nurl = 'ftp://x'\n", "must begin with http://"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'mqtt'\nprt = 1\n", "(did you mean 'port'?)"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'mqtt'\ntopic = 'a/#'\n", "topic = 'a/#' is no topic"),
        ("folder = 'x'\ntimezone = 'Mars/Base'\n" + CAMERA, "timezone = 'Mars/Base' is not known"),
        ("folder = 'x'\n[web]\nhost = 'not a host'\n" + CAMERA, "host = 'not a host' is no name or address"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'mqtt'\nhost = 'mqtt://h:1883'\n", "without scheme and port"),
        ("folder = 'x'\n" + CAMERA + "[[outputs]]\nkind = 'mqtt'\nhost = 'h:1883'\n", "without scheme and port"),
        ("folder = 'x'\n" + CAMERA + HOOK + "changes = ''\n", "nothing would be told"),
        ("folder = 'x'\n[web]\nport = 123456\n" + CAMERA, "port = 123456 is out of range"),
        ("folder = \n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_station(station(tmp_path, text))
    assert said in str(raised.value)
    assert str(tmp_path / "s.toml") in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        two("rtsp://h/ir", "rtsp://h/ir", "[cameras.detector]\ninclude = '0,0 90,0 90,90'"),
        two("rtsp://h/1", "rtsp://h/2"),
        "[web]\nhost = '::1'\n[clips]\nbefore_s = 100\n" + CAMERA + HOOK,
        two("camera:0", "camera:1"),
        two("simcam:sky", "simcam:sky"),
        CAMERA + "".join(f"[[outputs]]\nkind = 'mqtt'\nhost = '{host}'\n" for host in ("10.0.0.2", "10.0.0.3")),
    ],
)
def test_cameras_and_outputs_that_are_two(tmp_path: Path, text: str) -> None:
    assert load_station(station(tmp_path, "folder = 'x'\n" + text)).folder


def test_a_secret_in_a_source_is_not_said(tmp_path: Path) -> None:
    text = "folder = 'x'\n[[cameras]]\nname = 'a'\nsource = 'rtsp:/admin:word@10.0.0.1/x'\n"
    with pytest.raises(ConfigError) as raised:
        load_station(station(tmp_path, text))
    assert "word" not in str(raised.value)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "local", "on"),
    [
        ("always", "2026-03-02 12:00", True),
        ("08:00-09:30", "2026-03-02 08:00", True),
        ("08:00-09:30", "2026-03-02 09:30", False),
        ("20:00-06:00", "2026-03-02 23:59", True),
        ("20:00-06:00", "2026-03-03 05:59", True),
        ("20:00-06:00", "2026-03-03 06:00", False),
        ("fri 20:00-06:00", "2026-03-07 03:00", True),  # the night of Friday, on Saturday
        ("fri 20:00-06:00", "2026-03-06 03:00", False),  # that of Thursday
        ("mon-wed 10:00-11:00; sat,sun 12:00-13:00", "2026-03-04 10:30", True),
        ("mon-wed 10:00-11:00; sat,sun 12:00-13:00", "2026-03-05 10:30", False),
        ("mon-wed 10:00-11:00; sat,sun 12:00-13:00", "2026-03-08 12:30", True),
        ("sat-mon 10:00-11:00", "2026-03-08 10:30", True),  # over the end of the week
        ("00:00-24:00", "2026-03-08 23:59", True),
        ("02:30-03:30", "2026-03-29 03:15", True),  # the night in which the clock goes from 2 to 3
    ],
)
def test_times_of_the_week(text: str, local: str, on: bool) -> None:
    moment = datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    assert Schedule.of(text).on(moment.astimezone(UTC), zone_of("Europe/Berlin")) is on


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder = 's.toml/x'\n" + CAMERA, "s.toml/x cannot be made: "),
        ("folder = 'x'\n[disk]\nfree_gb = 1e6\n" + CAMERA, "no clip would be kept"),
        ("folder = 'x'\n" + CAMERA + "[cameras.detector]\nexclude = '0,0 9,9'\n", "needs three corners"),
        ("folder = 'x'\n" + CAMERA + "[cameras.detector]\nexclude = '0,0 1,0 1,0.5'\n", "as shares of the picture"),
    ],
)
def test_what_cannot_be_run_is_told_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert main(["serve", str(station(tmp_path, text)), "--check"]) == 1
    out = capsys.readouterr()
    assert said in out.err
    assert (out.err.count("\n"), "can be run" in out.out) == (1, False)
    assert not (tmp_path / "x").exists()
