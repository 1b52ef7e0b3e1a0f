"""The public face: what `import irtrack` offers. Everything heavy is imported when it is first used.

source = irtrack.open("flight.mp4")
results = irtrack.process(source, irtrack.Detector(), irtrack.Tracker())
print(irtrack.table(results).to_pandas())
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from irtrack.channel import Channel, Closed
from irtrack.config import DetectorSettings, Settings, TrackerSettings
from irtrack.core import (
    Attentive,
    Detections,
    DetectorStatus,
    Forgetful,
    Frame,
    FrameResult,
    Image,
    IrtrackError,
    Scores,
    SourceInfo,
    Tracks,
    check_counts,
    described,
    frozen,
)
from irtrack.core import (
    Detector as DetectorProtocol,
)
from irtrack.core import (
    Source as SourceProtocol,
)
from irtrack.core import (
    Tracker as TrackerProtocol,
)

if TYPE_CHECKING:
    from irtrack.imaging.regions import Regions
    from irtrack.tracktable import TrackTable

Log = Literal["completed", "online", "offline"]


def open(source: str | os.PathLike[str], fps: float | None = None, reconnect_s: float = 0.0) -> Source:
    """Open what a user would name: a file, a folder, a URL, `camera:0`, `sim:sky` (see `irtrack run --help`).

    `fps` overrules the times of a recording. A camera that is lost is connected again for `reconnect_s` seconds.
    Raises SourceError with one line.
    """
    from irtrack.capture import open_source

    return Source(open_source(os.fspath(source), fps, reconnect_s))


class Source:
    """A recording or camera: frames when iterated, closed at the end of a `with` block.

    A recording starts at its first frame each time it is iterated. Of a camera, whoever is too slow gets the newest
    frame next; the gap in `Frame.index` says how many were left out.
    """

    def __init__(self, source: SourceProtocol) -> None:
        self._source, self._fresh = source, True
        self.live: bool = source.live
        self.info: SourceInfo = source.info

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order. Raises SourceError after the last that can be read."""
        if self.live:
            return newest(self._source)
        if not self._fresh:
            self._source.seek(0)
        self._fresh = False
        return iter(self._source)

    def __repr__(self) -> str:
        i = self.info
        rate = f", {i.fps:.4g} a second" if i.fps else ""
        count = "a camera" if self.live else f"{i.frames} frames" if i.frames is not None else "frames"
        return f"<irtrack source {i.name}: {count} of {i.width}x{i.height} pixels, {i.bits} bits{rate}>"

    def seek(self, index: int) -> None:
        """Have the next iteration of a recording's frames begin at `index`. Raises SourceError."""
        self._source.seek(index)
        self._fresh = True

    def close(self) -> None:
        """Give the file or camera back; may be called twice."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Detector:
    """DATransNet with its weights: a picture in, detections out.

    `weights`: a model by name or the path of a checkpoint; `settings`: those of `irtrack.config.DetectorSettings`, for
    example `threshold=0.6, device="cpu", mode="video"`. `threshold`, `min_area_px` and `regions` may be changed later.
    With `live_fps`, parts of each picture are looked at where whole ones take too long for that rate. Raises
    ConfigError or WeightsError with one line.
    """

    def __init__(
        self, weights: str | os.PathLike[str] = "auto", *, live_fps: float | None = None, **settings: Any
    ) -> None:
        from irtrack.build import make_loaded

        made = DetectorSettings().updated({"weights": os.fspath(weights), **settings})
        if live_fps is not None and not 0 < live_fps < 1e6:
            raise IrtrackError(f"live_fps = {live_fps} makes no sense: give pictures a second above 0")
        self._asked, self._live_fps = made, live_fps
        self._network = make_loaded(made, live_fps)
        self.come_at()

    def __call__(self, image: NDArray[Any]) -> Detections:
        """Detections in a picture (H, W), uint8 or uint16 counts. Raises IrtrackError for what is none."""
        return self._network(counts(image))

    def scores(self, image: NDArray[Any]) -> Scores:
        """Score map (H, W) float32 from 0 to 1 of a picture."""
        return self._network.scores(counts(image))

    @property
    def threshold(self) -> float:
        """Score above which a pixel belongs to a target."""
        return self._network.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._network.threshold = DetectorSettings().updated({"threshold": float(value)}).threshold

    @property
    def min_area_px(self) -> int:
        """Smaller components are dropped."""
        return self._network.min_area_px

    @min_area_px.setter
    def min_area_px(self, value: int) -> None:
        self._network.min_area_px = DetectorSettings().updated({"min_area_px": value}).min_area_px

    @property
    def regions(self) -> Regions:
        """Where targets count."""
        return self._network.regions

    @regions.setter
    def regions(self, value: Regions) -> None:
        self._network.regions = value

    def expect(self, time_s: float) -> None:
        """The next picture is from this time; `process` tells it."""
        if isinstance(self._network, Attentive):
            self._network.expect(time_s)

    def look_at(self, tracks: Tracks, spent_s: float) -> None:
        """Where the tracks are; `process` tells it."""
        if isinstance(self._network, Attentive):
            self._network.look_at(tracks, spent_s)

    def come_at(self, fps: float | None = None) -> None:
        """The next pictures come so often, where it is known; `process` tells it. What moves is sought over time where
        that is often enough; `status` says where it is not."""
        from irtrack.build import at_rate

        fit, self._network.without = at_rate(self._asked, fps or self._live_fps)
        self._network.seek_over_time(fit.temporal)

    def status(self) -> DetectorStatus:
        """Model, device, the frames of a scan, and what is left out of what was asked for."""
        return self._network.status()

    def forget(self) -> None:
        """The next picture has nothing to do with the last one."""
        self._network.forget()

    def __repr__(self) -> str:
        n = self._network
        return f"<irtrack detector {n.weights.name} on {n.device} by {n.backend}, threshold {n.threshold:g}>"


class Tracker:
    """Links detections into tracks. `settings`: those of `irtrack.config.TrackerSettings`, such as `caution=1`.

    Called once for each frame, in order; detections of other programs come in by `Detections.at`. Raises ConfigError.
    """

    def __init__(self, **settings: Any) -> None:
        from irtrack.build import make_tracker

        self.settings = TrackerSettings().updated(settings)
        self._tracker = make_tracker(Settings(tracker=self.settings))
        self._time_s: float | None = None

    def __call__(self, detections: Detections, time_s: float, image: NDArray[Any] | None = None) -> Tracks:
        """Tracks at this time. `image`: the picture, from which the camera's own motion is read. Raises IrtrackError
        where time does not go on."""
        if self._time_s is not None and not time_s > self._time_s:
            raise IrtrackError(f"time goes on from frame to frame: {time_s} s came after {self._time_s} s")
        self._time_s = time_s
        return self._tracker(detections, time_s, None if image is None else counts(image))

    def reset(self) -> None:
        """Forget every track; identities are not used again."""
        self._tracker.reset()
        self._time_s = None

    def __repr__(self) -> str:
        changed = {k: v for k, v in self.settings.to_dict().items() if v != getattr(TrackerSettings(), k)}
        return f"Tracker({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


def process(
    frames: Iterable[Frame] | Iterable[NDArray[Any]],
    detector: DetectorProtocol,
    tracker: TrackerProtocol,
    fps: float | None = None,
) -> Iterator[FrameResult]:
    """Each frame through detector and tracker, one after the other as they are asked for.

    `frames`: a source, or pictures (H, W) as an array (N, H, W) or one by one, with their rate `fps`. Starts afresh:
    tracks of an earlier call are forgotten. Raises IrtrackError for frames that are no pictures of counts.
    """
    from irtrack.pipeline import process_frame

    rate = frames.info.fps if isinstance(frames, Source | SourceProtocol) else fps
    if isinstance(detector, Detector):
        detector.come_at(rate)
    connection: int | None = None
    for frame in timed(frames, fps):
        if frame.connection != connection:
            connection = frame.connection
            tracker.reset()
            if isinstance(detector, Forgetful):
                detector.forget()
        yield process_frame(frame, detector, tracker)


def table(results: Iterable[FrameResult], log: Log = "completed") -> TrackTable:
    """All rows of a track log, as arrays: a row for each confirmed track in each frame.

    `completed`: as `irtrack run --csv` writes it, with a track's first frames; `online`: what was known in each frame;
    `offline`: with fragments joined and positions smoothed. Both go by the settings of the tracker that made the
    results; of one without such settings, by the defaults. Runs through `results`; pictures are not kept.
    """
    from irtrack.tracktable import table_of

    return table_of(results, log)


def timed(frames: Iterable[Frame] | Iterable[NDArray[Any]], fps: float | None) -> Iterator[Frame]:
    """Frames as they are, plain pictures with number and time. Raises IrtrackError."""
    if fps is not None and not 0 < fps < 1e6:
        raise IrtrackError(f"fps = {fps} makes no sense: give frames a second above 0")
    if isinstance(frames, np.ndarray) and (frames.ndim < 3 or (frames.ndim == 3 and frames.shape[2] in (3, 4))):
        raise IrtrackError("process takes pictures, one after the other: give one picture to the detector itself")
    first: Image | None = None
    for index, item in enumerate(frames):
        if isinstance(item, Frame):
            yield item
            continue
        if fps is None:
            raise IrtrackError("plain pictures have no times: say fps=..., the frames a second")
        image = counts(np.asarray(item))
        if first is not None and (image.shape, image.dtype) != (first.shape, first.dtype):
            raise IrtrackError(
                f"frame {index} is {described(image)} and the first {described(first)}: one recording each"
            )
        first = image
        yield Frame(index, index / fps, image)


def counts(image: NDArray[Any]) -> Image:
    """A copy as counts (H, W), uint8 or uint16, read-only. Raises IrtrackError in one line for what is none.

    Colour whose channels are equal is grey; other integers are taken where their values are counts.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        grey = array[:, :, 0]
        if array.shape[2] > 1 and not (array[:, :, 1:3] == grey[:, :, None]).all():
            raise IrtrackError(
                "a picture has colours: make it grey first, as cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)"
            )
        array = grey
    if array.ndim == 2 and (array.dtype.kind in "iu" or array.dtype == np.bool_):
        from irtrack.capture.grey import as_counts

        try:
            array = as_counts(array.astype(array.dtype.newbyteorder("=")))
        except ValueError as error:
            raise IrtrackError(f"a picture has {error}") from None
    check_counts(array)
    return frozen(np.array(array, order="C"))


def newest(source: SourceProtocol) -> Iterator[Frame]:
    """Frames of a camera, read in a thread: the newest is always the next. Raises what the camera raises."""
    channel: Channel[Frame] = Channel(1, drop_oldest=True)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            for frame in source:
                channel.put(frame)
        except Closed:
            pass
        except BaseException as error:
            errors.append(error)
        finally:
            channel.close()

    threading.Thread(target=read, name="irtrack-newest", daemon=True).start()
    try:
        while True:
            yield channel.get()
    except Closed:
        if errors:
            raise errors[0] from None
    finally:
        channel.close(discard=True)
