"""The station file: cameras, outputs and what is kept, as frozen dataclasses; see `irtrack.config`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from irtrack.capture.address import like_a_url, redact
from irtrack.capture.open import is_file, is_live
from irtrack.capture.patience import SILENCE_S
from irtrack.capture.schemes import check_scheme
from irtrack.config import DEFAULTS, Checked, Settings, brief, load_settings, option
from irtrack.core import ConfigError, SourceError
from irtrack.station.cot_sender import parsed
from irtrack.station.schedule import ALWAYS, Schedule, zone_of
from irtrack.text import meant, read_toml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""Names stand in topics, folders and addresses of pages."""

HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Za-z:.%]*\]?")
"""A name, or an address of IPv4 or IPv6."""

TOPIC = re.compile(r"([^#+/\0]+(/[^#+/\0]+)*)?")

T = TypeVar("T", bound=Checked)


def check_host(text: str) -> None:
    """Raises ConfigError where a host is no name or address alone."""
    if not HOST.fullmatch(text):
        raise ConfigError(f"host = {brief(text)} is no name or address: give it without scheme and port, as 10.0.0.2")


@dataclass(frozen=True)
class ClipSettings(Checked):
    """A clip is kept round each event; events that overlap share one."""

    kind: str = option(
        "video",
        "video: H.264 with boxes, which browsers play; raw: the frames as they came (FFV1), which irtrack reads again; "
        "none",
        choices=("video", "raw", "none"),
    )
    before_s: float = option(3.0, "before the event", unit="s", low=0.0, high=120.0)
    after_s: float = option(3.0, "after the event", unit="s", low=0.0, high=120.0)
    longest_s: float = option(60.0, "a clip ends after this, however long the event is", unit="s", low=1.0, high=3600.0)
    memory_mb: int = option(128, "memory for the frames before an event, for each camera", unit="MB", low=1, high=65536)


@dataclass(frozen=True)
class DiskSettings(Checked):
    """What clips may take. The oldest whose events have no star go first; those with a star never go."""

    clips_gb: float = option(20.0, "all clips together", unit="GB", low=0.0, high=1e6)
    free_gb: float = option(1.0, "what stays free on the disk", unit="GB", low=0.0, high=1e6)


@dataclass(frozen=True)
class RetentionSettings(Checked):
    """How long rows of events stay, with thumbnail, curve and clip. Those with a star or a verdict stay for ever, and
    do not count."""

    keep_days: float = option(400.0, "after their end", unit="d", low=0.01, high=36500.0)
    most: int = option(200_000, "rows; where there are more, the oldest go: 1 to 4 GB", low=1, high=10**9)


@dataclass(frozen=True)
class WebSettings(Checked):
    """Pages, REST and WebSocket."""

    on: bool = option(True, "whether there are any")
    host: str = option("127.0.0.1", "address to listen at; others than this machine's need TLS by a reverse proxy")
    port: int = option(8720, "port to listen at; 0: any that is free", low=0, high=65535)
    fps: float = option(10.0, "live pictures a second", unit="1/s", low=0.1, high=60.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host(self.host)


@dataclass(frozen=True)
class ShadowSettings(Checked):
    """The self-test: faint targets in copies of live pictures, found or not by a second detector."""

    on: bool = option(False, "whether there is one; it takes a network more for each camera")
    period_s: float = option(600.0, "from one test to the next", unit="s", low=5.0, high=86400.0)
    targets: int = option(8, "in each", low=1, high=64)
    pause_s: float = option(0.5, "between two of its pictures", unit="s", low=0.0, high=60.0)
    memory_h: float = option(24.0, "tests count for so long", unit="h", low=0.1, high=8760.0)


@dataclass(frozen=True)
class CameraSettings(Checked):
    """A camera that is watched."""

    name: str = option("", "in events, topics, folders: letters, digits, - and _")
    source: str = option("", "as SOURCE of irtrack run; cameras and streams alone")
    schedule: str = option(ALWAYS, "when it is watched, on the local clock")
    silence_s: float = option(
        SILENCE_S, "sends nothing for so long: it is lost; more for less than a frame a second", unit="s", low=0.5,
        high=3600.0,
    )  # fmt: skip
    pose: str = option("", "lens and pose, a file of irtrack calibrate: events and news then have directions")
    settings: Settings = DEFAULTS
    """Of detector, tracker, capture and display: those of the file `settings`, overruled by tables of the camera."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Schedule.of(self.schedule)

    @property
    def shown(self) -> str:
        """The source without secrets."""
        return redact(self.source)


@dataclass(frozen=True)
class OutputSettings(Checked):
    """Of every output."""

    kind: str = option("", "which it is")
    waiting: int = option(1000, "news that may wait while a receiver is away; then the oldest goes", low=1, high=10**6)


@dataclass(frozen=True)
class MqttSettings(OutputSettings):
    """An MQTT broker, with what Home Assistant needs to find the cameras by itself."""

    host: str = option("127.0.0.1", "of the broker")
    port: int = option(1883, "of the broker; 8883 is usual with tls", low=1, high=65535)
    tls: bool = option(False, "an encrypted connection, with a certificate that the system trusts, or ca_file")
    ca_file: str = option("", "certificates that are trusted instead of the system's")
    user: str = option("", "name at the broker")
    password_file: str = option("", "a file with the password that only the station can read")
    topic: str = option("irtrack", "what topics begin with")
    discovery: str = option("homeassistant", "Home Assistant's discovery prefix; empty: none")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_host(self.host)
        for name in ("topic", "discovery"):
            text = getattr(self, name)
            if TOPIC.fullmatch(text) is None or (not text and name == "topic"):
                raise ConfigError(f"{name} = {brief(text)} is no topic: letters and digits, with / between parts")


@dataclass(frozen=True)
class WebhookSettings(OutputSettings):
    """An address that gets each piece of news as a POST of JSON."""

    url: str = option("", "http:// or https://")
    changes: str = option("started,ended", "which news: of started, updated and ended")
    secret_file: str = option("", "a file with a secret: X-Irtrack-Signature is then the HMAC-SHA256 of the body")
    timeout_s: float = option(10.0, "for an answer", unit="s", low=0.1, high=300.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url and not re.match(r"https?://[^/]", self.url):
            raise ConfigError(f"url = {brief(self.url)} must begin with http:// or https://")
        if not self.wanted:
            raise ConfigError(f"changes names none: nothing would be told; they are {', '.join(CHANGES)}")
        for name in self.wanted:
            if name not in CHANGES:
                raise ConfigError(f"changes: {name!r} is none{meant(name, CHANGES)}: they are {', '.join(CHANGES)}")

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of `changes`."""
        return tuple(filter(None, (name.strip() for name in self.changes.split(","))))


CHANGES = ("started", "updated", "ended")


@dataclass(frozen=True)
class FileSettings(OutputSettings):
    """A file for each camera and day (UTC) in FOLDER/logs: csv has a row for each event that ended, jsonl all news."""


@dataclass(frozen=True)
class CotSettings(OutputSettings):
    """Cursor on Target for TAK: the station, and a line for each track of cameras with a pose."""

    address: str = option("", "udp://HOST:PORT, udp://GROUP:PORT?via=ADDRESS or tcp://HOST:PORT")
    period_s: float = option(1.0, "a track is sent so often", unit="s", low=0.1, high=60.0)
    range_m: float = option(5000.0, "length of its line; the range itself is not known", unit="m", low=1.0, high=1e6)
    hops: int = option(1, "routers that a datagram to a group may pass", low=0, high=255)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.address:
            parsed(self.address)


OUTPUTS: Mapping[str, type[OutputSettings]] = {
    "mqtt": MqttSettings,
    "webhook": WebhookSettings,
    "csv": FileSettings,
    "jsonl": FileSettings,
    "cot": CotSettings,
}
"""Kinds of outputs; `irtrack.station.outputs` has who makes them."""


@dataclass(frozen=True)
class StationSettings(Checked):
    """All of a station file."""

    name: str = option("station", "in news and topics: letters, digits, - and _")
    folder: str = option("", "events, clips, logs and the token of the pages; made where it is not there")
    timezone: str = option("", "of schedules, such as Europe/Berlin; empty: the machine's")
    credentials: str = option("", "a file that only the station can read, with USER:PASSWORD for cameras' URLs")
    hang_s: float = option(
        60.0, "a camera whose frames are not worked at for so long hangs: systemd is no longer told that all is well",
        unit="s", low=1.0, high=3600.0,
    )  # fmt: skip
    clips: ClipSettings = field(default=ClipSettings())
    disk: DiskSettings = field(default=DiskSettings())
    retention: RetentionSettings = field(default=RetentionSettings())
    web: WebSettings = field(default=WebSettings())
    selftest: ShadowSettings = field(default=ShadowSettings())
    cameras: tuple[CameraSettings, ...] = ()
    outputs: tuple[OutputSettings, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("name", self.name)
        zone_of(self.timezone)
        names = [camera.name for camera in self.cameras]
        for i, name in enumerate(names):
            for before in names[:i]:
                if before.lower() == name.lower():  # Home Assistant and some disks tell no small letters from large
                    two = f"{name!r}" if before == name else f"{before!r} and {name!r}, which differ in case alone"
                    raise ConfigError(f"two cameras have the name {two}: give each its own")
        check_different(self.cameras, self.outputs)


def check_different(cameras: Sequence[CameraSettings], outputs: Sequence[OutputSettings]) -> None:
    """Raises ConfigError where two cameras or outputs are one: all of it would be told twice. A stream may be looked at
    in two ways; a camera that is plugged in belongs to who opens it first."""
    for i, one in enumerate(cameras):
        for before in cameras[:i]:
            same = replace(one, name=before.name) == before
            if one.source == before.source and not is_simulated(one.source) and (same or "://" not in one.source):
                why = "as all else is" if same else "and only one of them can open it"
                raise ConfigError(
                    f"cameras {before.name!r} and {one.name!r} have the same source, {why}: is one of another camera?"
                )
    for number, output in enumerate(outputs, 1):
        if output in outputs[: number - 1]:
            first = outputs.index(output) + 1
            raise ConfigError(f"outputs {first} and {number} ({output.kind}) are the same: leave one of them out")


def is_simulated(source: str) -> bool:
    """Whether a source is a scene, of which there may be as many as one likes."""
    return source.startswith(("sim:", "simcam:"))


def load_station(path: Path) -> StationSettings:
    """A station file. Paths in it count from its folder. Raises ConfigError with one clear line."""
    try:
        return station_from(read_toml(path), path.absolute().parent)
    except OSError as error:
        raise ConfigError(f"cannot read station {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"station {path} is not valid TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"station {path}: {error}") from error


def station_from(values: Mapping[str, Any], base: Path) -> StationSettings:
    """From a TOML file's table. Raises ConfigError."""
    plain = {key: value for key, value in values.items() if key not in ("cameras", "outputs")}
    cameras = [camera_from(table, i, base) for i, table in enumerate(tables("cameras", values), 1)]
    outputs = [output_from(table, i, base) for i, table in enumerate(tables("outputs", values), 1)]
    made = placed(StationSettings.from_dict(plain), base, "folder", "credentials")
    if not made.folder:
        raise ConfigError("folder is missing: name the folder that events and clips are kept in")
    if not cameras:
        raise ConfigError("there are no cameras: add [[cameras]] with name and source")
    return replace(made, cameras=tuple(cameras), outputs=tuple(outputs))


def tables(key: str, values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Of an array of tables. Raises ConfigError."""
    found = values.get(key, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise ConfigError(f"{key} must be tables, each begun by [[{key}]], not {brief(found)}")
    return found


TABLES = ("detector", "tracker", "capture", "display")
"""Of a camera, in place of those of its settings file."""


def camera_from(table: Mapping[str, Any], number: int, base: Path) -> CameraSettings:
    """One of `[[cameras]]`. Raises ConfigError that names it."""
    who = f"camera {table['name']!r}" if isinstance(table.get("name"), str) and table["name"] else f"camera {number}"
    try:
        own = {key: value for key, value in table.items() if key in TABLES}
        rest = {key: value for key, value in table.items() if key not in (*own, "settings")}
        known = [*(f.name for f in fields(CameraSettings)), *TABLES]
        for key in rest:
            if key not in known:
                raise ConfigError(f"unknown setting {brief(key)}{meant(key, known)}: it is one of {', '.join(known)}")
        made = placed(CameraSettings.from_dict(rest), base, "pose")
        check_name("name", made.name)
        check_source(made.source)
        return replace(made, settings=settings_of(table.get("settings", ""), own, base))
    except ConfigError as error:
        raise ConfigError(f"{who}: {error}") from error


def settings_of(file: Any, own: Mapping[str, Any], base: Path) -> Settings:
    """Of a settings file, if there is one, with what a camera says itself. Raises ConfigError."""
    if not isinstance(file, str):
        raise ConfigError(f"settings = {brief(file)} is not text in quotes: name a settings file")
    settings = load_settings(base / file) if file else DEFAULTS
    settings = settings.updated(own)
    detector, tracker, capture = settings.detector, settings.tracker, settings.capture
    if "/" in detector.weights or detector.weights.endswith((".safetensors", ".pth", ".pt", ".tar", ".onnx")):
        detector = placed(detector, base, "weights")
    if capture.correction not in ("", "camera"):
        capture = placed(capture, base, "correction")
    return replace(settings, detector=detector, tracker=placed(tracker, base, "beliefs"), capture=capture)


def output_from(table: Mapping[str, Any], number: int, base: Path) -> OutputSettings:
    """One of `[[outputs]]`. Raises ConfigError that names it."""
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in OUTPUTS:
        guess = meant(kind, OUTPUTS) if isinstance(kind, str) else ""
        raise ConfigError(f"output {number}: unknown kind {brief(kind)}{guess}: it is one of {', '.join(OUTPUTS)}")
    try:
        made = OUTPUTS[kind].from_dict(table)
        if isinstance(made, WebhookSettings) and not made.url:
            raise ConfigError("url is missing: name the address that gets the news")
        if isinstance(made, CotSettings) and not made.address:
            raise ConfigError("address is missing: udp://HOST:PORT or tcp://HOST:PORT")
        for name in ("password_file", "secret_file", "ca_file"):
            if hasattr(made, name):
                made = placed(made, base, name)
        return made
    except ConfigError as error:
        raise ConfigError(f"output {number} ({kind}): {error}") from error


def placed(section: T, base: Path, *names: str) -> T:
    """Settings that name files, counted from the station file's folder."""
    texts = {name: getattr(section, name) for name in names}
    found = {name: str(base / Path(text).expanduser()) for name, text in texts.items() if text}
    return replace(section, **found)  # type: ignore[type-var]


def check_name(key: str, text: str) -> None:
    """Raises ConfigError where a name cannot stand in topics and folders."""
    if not NAME.fullmatch(text):
        raise ConfigError(f"{key} = {brief(text)} must be letters, digits, - and _, 40 at most")


def check_source(text: str) -> None:
    """Raises ConfigError where a source is no camera."""
    if not text.strip():
        raise ConfigError("source is missing: name a camera or stream, as for irtrack run")
    try:
        check_scheme(text)
        live = not is_file(text) and is_live(text)
    except SourceError as error:
        raise ConfigError(f"source: {error}") from error
    if not live:
        shown = "..." if like_a_url(text) else brief(text)
        raise ConfigError(
            f"source = {shown} is no camera or stream: a station watches cameras; recordings are for irtrack run and "
            "irtrack archive"
        )
