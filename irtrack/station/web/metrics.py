"""Figures of a station for Prometheus, read when they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from irtrack.station.camera import Camera, Watch

if TYPE_CHECKING:
    from irtrack.station.station import Station

COUNTED = {
    "frames": "Frames that were worked at",
    "dropped": "Frames that came faster than they could be worked at",
    "deaths": "Pipelines that died, and were begun anew",
    "lost": "Times that the camera was lost and connected again",
    "events": "Events that began",
    "events_lost": "Events that could not be written while the disk was full",
    "clips": "Clips that are whole",
    "clips_failed": "Clips that are incomplete",
    "clip_frames_dropped": "Frames that the encoder of clips had no time for",
}


class StationCollector(Collector):
    """Cameras, outputs and disk."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def collect(self) -> Iterator[Metric]:
        """All of them, as they are now."""
        station = self._station
        yield GaugeMetricFamily("irtrack_up_seconds", "Since the station began", time.monotonic() - station.begun_s)
        yield GaugeMetricFamily("irtrack_threads", "Threads of Python in the station", threading.active_count())
        yield from self._cameras()
        yield from self._outputs()
        yield from self._selftests()
        disk = station.disk
        yield GaugeMetricFamily("irtrack_clips", "Clips that are kept", disk.clips)
        yield GaugeMetricFamily("irtrack_clips_bytes", "What they take", disk.clips_bytes)
        yield CounterMetricFamily("irtrack_clips_removed", "Old clips that went", disk.removed)
        yield CounterMetricFamily("irtrack_events_removed", "Old events that went", station.retention.removed)
        yield GaugeMetricFamily("irtrack_disk_free_bytes", "Free on the station's disk", disk.free_bytes)
        yield GaugeMetricFamily("irtrack_disk_full", "1 while no more clips are kept", int(bool(disk.full)))

    def _cameras(self) -> Iterator[Metric]:
        cameras = tuple(self._station.cameras.values())
        counts = {camera.name: vars(camera.counts) for camera in cameras}
        for name, text in COUNTED.items():
            counter = CounterMetricFamily(f"irtrack_{name}", text, labels=["camera"])
            for key, values in counts.items():
                counter.add_metric([key], values[name])
            yield counter
        gauges: dict[str, tuple[str, Callable[[Camera], float]]] = {
            "irtrack_camera_up": ("1 while frames come", lambda c: c.watch is Watch.RUNNING),
            "irtrack_camera_hangs": ("1 while nothing moves that should", lambda c: c.hangs),
            "irtrack_camera_active": ("Events that go on", lambda c: c.active),
            "irtrack_camera_rate": ("Frames a second, of late", lambda c: c.rate),
            "irtrack_camera_latency_seconds": ("From capture to result, of the last frame", lambda c: c.latency_s),
        }
        for name, (text, value) in gauges.items():
            gauge = GaugeMetricFamily(name, text, labels=["camera"])
            for camera in cameras:
                gauge.add_metric([camera.name], float(value(camera)))
            yield gauge

    def _outputs(self) -> Iterator[Metric]:
        outlets = tuple(self._station.outlets.values())
        for name, text in {
            "sent": "News that got out", "dropped": "News that had to go", "failed": "Tries that failed",
            "refused": "News that a receiver did not want",
        }.items():  # fmt: skip
            counter = CounterMetricFamily(f"irtrack_output_{name}", text, labels=["output"])
            for outlet in outlets:
                counter.add_metric([outlet.name], getattr(outlet, name))
            yield counter
        waiting = GaugeMetricFamily("irtrack_output_waiting", "News that are not out yet", labels=["output"])
        for outlet in outlets:
            waiting.add_metric([outlet.name], outlet.waiting)
        yield waiting

    def _selftests(self) -> Iterator[Metric]:
        """What cameras could see in the last hours, by SCR."""
        shadows = [(camera.name, camera.shadow) for camera in tuple(self._station.cameras.values())]
        reports = [(name, report) for name, s in shadows if s is not None and (report := s.report()) is not None]
        by_scr = {
            "pd": "Share of faint targets that were found in a picture, by SCR", "pd_low": "Its 95 % interval",
            "pd_high": "Its 95 % interval", "tracked": "Share of faint targets that became tracks, by SCR",
            "targets": "Faint targets that count",
        }  # fmt: skip
        for field, text in by_scr.items():
            gauge = GaugeMetricFamily(f"irtrack_selftest_{field}", text, labels=["camera", "scr"])
            for name, report in reports:
                for row in report.rows:
                    gauge.add_metric([name, f"{row.scr:g}"], float(getattr(row, field)))
            yield gauge
        whole = {
            "false_per_frame": "Detections of nothing known, a frame", "deviation": "Local deviation now, counts",
            "good": "Local deviation in good sight, counts", "spent_ms": "Computing time for a picture, ms",
        }  # fmt: skip
        for field, text in whole.items():
            gauge = GaugeMetricFamily(f"irtrack_selftest_{field}", text, labels=["camera"])
            for name, report in reports:
                gauge.add_metric([name], float(getattr(report, field)))
            yield gauge


def registry_of(station: Station) -> CollectorRegistry:
    """With the process's memory, CPU time and descriptors."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StationCollector(station))
    ProcessCollector(registry=registry)
    return registry


def text_of(registry: CollectorRegistry) -> bytes:
    """In Prometheus' text format."""
    return generate_latest(registry)
