"""Track logs for tools in which people look at and correct them: TrackMate, CVAT, COCO-VID. Written when the run ends.

TrackMate: the spots table of Fiji's TrackMate 7 (four header rows). CVAT: its "for video 1.1" XML. COCO-VID: COCO JSON
with a `videos` list and a `track_id` in each annotation, as MMTracking reads it. Boxes are at least one pixel.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Set
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from xml.etree import ElementTree

from irtrack.core import FrameResult, SinkError, Track
from irtrack.sinks.target import Target, claimed, reason, write_whole


@dataclass(frozen=True)
class Spot:
    """One track in one frame. `box`: left, top, width, height; (0, 0) is the top-left corner of the picture."""

    frame: int
    time_s: float
    track: int
    x_px: float
    y_px: float
    box: tuple[float, float, float, float]
    score: float
    measured: bool


def spot(frame: int, time_s: float, track: Track) -> Spot:
    """A snapshot as a spot."""
    w, h = (max(v, 1.0) if v == v else 1.0 for v in track.size_px)
    x, y = track.xy_px.tolist()
    score = track.score if track.score == track.score else 0.0
    box = (x + 0.5 - w / 2, y + 0.5 - h / 2, w, h)
    return Spot(frame, time_s, track.id, x, y, box, score, track.detection is not None)


class AnnotationSink(ABC):
    """Keeps the confirmed tracks' boxes and writes the file when it is closed, complete or not at all."""

    def __init__(self, path: Path | Target, force: bool = False) -> None:
        """Raises SinkError."""
        self._target = claimed(path, force)
        self.path = self._target.path
        self._spots: list[Spot] = []
        self._size = (0, 0)
        self._last = -1
        self._closed = False

    def write(self, result: FrameResult) -> None:
        """Keep a frame's tracks."""
        shape = result.frame.image.shape
        self._size = (max(self._size[0], shape[1]), max(self._size[1], shape[0]))
        self._last = max(self._last, result.frame.index)
        new = [spot(result.frame.index, result.frame.time_s, t) for t in result.tracks if t.confirmed]
        self._spots += new
        # Detections from a file come without a picture: it is as large as the boxes say.
        for left, top, w, h in (s.box for s in new):
            self._size = (max(self._size[0], ceil(left + w)), max(self._size[1], ceil(top + h)))

    def close(self) -> None:
        """Write the file; may be called twice. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        try:
            write_whole(self.path, self.text())
        except OSError as error:
            self._target.abandon()
            raise SinkError(f"cannot write {self.path}: {reason(error)}") from error
        self._target.finish()

    @abstractmethod
    def text(self) -> str:
        """The whole file."""


TRACKMATE = (
    ("LABEL", "Label", "Label", ""),
    ("ID", "Spot ID", "Spot ID", ""),
    ("TRACK_ID", "Track ID", "Track ID", ""),
    ("QUALITY", "Quality", "Quality", "(quality)"),
    ("POSITION_X", "X", "X", "(pixel)"),
    ("POSITION_Y", "Y", "Y", "(pixel)"),
    ("POSITION_Z", "Z", "Z", "(pixel)"),
    ("POSITION_T", "T", "T", "(sec)"),
    ("FRAME", "Frame", "Frame", ""),
    ("RADIUS", "Radius", "R", "(pixel)"),
    ("VISIBILITY", "Visibility", "Visibility", ""),
)


class TrackMateSink(AnnotationSink):
    """The spots table of TrackMate."""

    def text(self) -> str:
        lines = [",".join(column[row] for column in TRACKMATE) for row in range(4)]
        for i, s in enumerate(self._spots):
            radius = max(s.box[2:]) / 2
            lines.append(
                f"ID{i},{i},{s.track},{s.score:.4f},{s.x_px:.3f},{s.y_px:.3f},0,{s.time_s:.6f},{s.frame},{radius:.2f},1"
            )
        return "\n".join(lines) + "\n"


class CvatSink(AnnotationSink):
    """CVAT for video 1.1: coasting boxes are marked occluded, the frame after a track's last one outside. `by_hand`:
    tracks that the operator added."""

    by_hand: Set[int] = frozenset()

    def text(self) -> str:
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
        ElementTree.SubElement(task, "size").text = str(self._last + 1)
        size = ElementTree.SubElement(task, "original_size")
        ElementTree.SubElement(size, "width").text, ElementTree.SubElement(size, "height").text = map(str, self._size)
        label = ElementTree.SubElement(ElementTree.SubElement(task, "labels"), "label")
        ElementTree.SubElement(label, "name").text = "target"
        tracks: dict[int, list[Spot]] = {}
        for s in self._spots:
            tracks.setdefault(s.track, []).append(s)
        for name, spots in sorted(tracks.items()):
            source = "manual" if name in self.by_hand else "auto"
            node = ElementTree.SubElement(root, "track", id=str(name), label="target", source=source)
            for s in spots:
                add_box(node, s, s.frame, outside=False)
            if spots[-1].frame < self._last:
                add_box(node, spots[-1], spots[-1].frame + 1, outside=True)
        ElementTree.indent(root)
        return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def add_box(node: ElementTree.Element, s: Spot, frame: int, outside: bool) -> None:
    """A box element of CVAT."""
    left, top, w, h = s.box
    ElementTree.SubElement(
        node,
        "box",
        frame=str(frame),
        xtl=f"{left:.2f}",
        ytl=f"{top:.2f}",
        xbr=f"{left + w:.2f}",
        ybr=f"{top + h:.2f}",
        outside=str(int(outside)),
        occluded=str(int(not s.measured)),
        keyframe="1",
    )


class CocoSink(AnnotationSink):
    """COCO-VID."""

    def text(self) -> str:
        width, height = self._size
        frames = range(self._last + 1)
        return json.dumps(
            {
                "categories": [{"id": 1, "name": "target"}],
                "videos": [{"id": 1, "name": self.path.stem}],
                "images": [
                    {"id": f + 1, "video_id": 1, "frame_id": f, "file_name": f"{f:06d}.png"}
                    | {"width": width, "height": height}
                    for f in frames
                ],
                "annotations": [
                    {
                        "id": i + 1,
                        "video_id": 1,
                        "image_id": s.frame + 1,
                        "category_id": 1,
                        "track_id": s.track,
                        "bbox": [round(v, 2) for v in s.box],
                        "area": round(s.box[2] * s.box[3], 2),
                        "score": round(s.score, 4),
                        "iscrowd": 0,
                    }
                    for i, s in enumerate(self._spots)
                ],
            }
        )
