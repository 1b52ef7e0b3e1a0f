"""News to an MQTT broker, and what Home Assistant needs to find the cameras by itself.

Topics: TOPIC/STATION/status (online, offline; the broker itself says offline where the station is gone),
TOPIC/STATION/CAMERA/event (each piece of news), .../state (ON while there are events) and .../count (how many).
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from irtrack import __version__
from irtrack.capture.address import secret_in
from irtrack.core import ConfigError
from irtrack.station.events import Change
from irtrack.station.news import News, OutputError
from irtrack.station.settings import MqttSettings

KEEPALIVE_S = 30
ANSWER_S = 2.0
"""The broker has so long to confirm; what it does not is sent again by the connection that comes next."""


class MqttOutput:
    """An output: one connection, held and renewed by a thread of the library."""

    def __init__(self, settings: MqttSettings, station: str, cameras: Sequence[str]) -> None:
        """Raises IrtrackError where a password or certificate cannot be read; a broker that is away is none."""
        self._settings, self._station, self._cameras = settings, station, tuple(cameras)
        self.name = f"mqtt-{settings.host}"
        self._active = dict.fromkeys(cameras, 0)
        self._sending: tuple[News, set[int]] | None = None
        self._confirmed, self._control = set[int](), threading.Condition()
        self._why = ""
        # One name for each station: where its last connection still stands, this one takes its place at the broker.
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"irtrack-{station}", protocol=MQTTv311)
        if settings.user:
            password = secret_in(Path(settings.password_file)) if settings.password_file else None
            client.username_pw_set(settings.user, password)
        if settings.tls or settings.ca_file:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=settings.ca_file or None))
            except (OSError, ValueError) as error:
                raise ConfigError(f"ca_file {settings.ca_file} cannot be used: {error}") from error
        client.will_set(self._topic("status"), "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 30)
        client.on_connect, client.on_disconnect = self._connected, self._lost
        client.on_publish = self._noted
        self._client = client

    def open(self) -> None:
        """Connect, as soon as the broker is there."""
        self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
        self._client.loop_start()

    def _topic(self, *parts: str) -> str:
        return "/".join((self._settings.topic, self._station, *parts))

    def _connected(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        """In the library's thread, after each connection: all that is retained is said anew."""
        if reason.is_failure:
            self._why = f": {reason}"
            return
        self._why = ""
        for topic, payload in self.discovery().items():
            client.publish(topic, payload, qos=1, retain=True)
        client.publish(self._topic("status"), "online", qos=1, retain=True)
        for camera in self._cameras:
            self._say_state(client, camera)

    def _lost(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure and not self._why:
            self._why = f": {reason}"

    def _noted(self, client: Client, data: Any, number: int, reason: Any, properties: Any) -> None:
        """In the library's thread: the broker has a message."""
        with self._control:
            self._confirmed.add(number)
            self._control.notify_all()

    def _say_state(self, client: Client, camera: str) -> set[int]:
        count = self._active.get(camera, 0)
        said = {"state": "ON" if count else "OFF", "count": str(count)}
        return {client.publish(self._topic(camera, t), text, qos=1, retain=True).mid for t, text in said.items()}

    def discovery(self) -> dict[str, str]:
        """Topics and what is said there, by Home Assistant's rules; nothing where it is not wanted."""
        if not self._settings.discovery:
            return {}
        said = {}
        for camera in self._cameras:
            key = f"irtrack_{self._station}_{camera}"
            about = {
                "availability_topic": self._topic("status"),
                "device": {
                    "identifiers": [key], "name": f"{self._station} {camera}", "manufacturer": "irtrack",
                    "model": "irtrack station", "sw_version": __version__,
                },
                "origin": {"name": "irtrack", "sw_version": __version__},
            }  # fmt: skip
            target = about | {
                "name": "Target", "unique_id": f"{key}_target", "device_class": "motion",
                "state_topic": self._topic(camera, "state"), "json_attributes_topic": self._topic(camera, "event"),
            }  # fmt: skip
            count = about | {
                "name": "Targets", "unique_id": f"{key}_count", "state_class": "measurement",
                "state_topic": self._topic(camera, "count"), "icon": "mdi:crosshairs",
            }  # fmt: skip
            said[f"{self._settings.discovery}/binary_sensor/{key}/target/config"] = json.dumps(target)
            said[f"{self._settings.discovery}/sensor/{key}/count/config"] = json.dumps(count)
        return said

    def send(self, news: News) -> None:
        """Until the broker confirms. Raises OutputError; what is under way then is not published again."""
        if self._sending is None or self._sending[0] is not news:
            if not self._client.is_connected():
                raise OutputError(f"no connection to {self._settings.host}:{self._settings.port}{self._why}")
            before = self._active.get(news.camera)
            active = self._active[news.camera] = int(news.values.get("active") or 0)
            with self._control:
                self._confirmed.clear()
            topic, text = self._topic(news.camera, "event"), json.dumps(news.to_dict(), allow_nan=False)
            # Where the connection was lost a moment ago, the library sends them once there is one again.
            numbers = {self._client.publish(topic, text, qos=1).mid}
            if news.change is not Change.UPDATED or active != before:  # of events that began before this output
                numbers |= self._say_state(self._client, news.camera)
            self._sending = news, numbers
        _, numbers = self._sending
        with self._control:
            if not self._control.wait_for(lambda: numbers <= self._confirmed, ANSWER_S):
                raise OutputError(f"{self._settings.host}:{self._settings.port} does not confirm{self._why}")
        self._sending = None

    def forget(self, cameras: Sequence[str]) -> None:
        """These cameras are no more: Home Assistant removes them."""
        gone = {f"irtrack_{self._station}_{camera}" for camera in cameras}
        for topic in self.discovery():
            if topic.split("/")[-3] in gone:
                self._client.publish(topic, "", qos=1, retain=True)

    def close(self) -> None:
        """Say that the station is off, and part."""
        if self._client.is_connected():
            with contextlib.suppress(RuntimeError, ValueError):  # the broker says it then
                self._client.publish(self._topic("status"), "offline", qos=1, retain=True).wait_for_publish(ANSWER_S)
        self._client.disconnect()
        self._client.loop_stop()
