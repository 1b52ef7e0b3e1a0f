"""Going about in what is open: play, hold, step, seek, by frames, times and tracks."""

from __future__ import annotations

from collections.abc import Callable

from irtrack.config import Settings
from irtrack.session.choices import Choices
from irtrack.session.events import Event
from irtrack.session.passes import Passes, one_line
from irtrack.session.picture import Picture
from irtrack.session.playback import Playback
from irtrack.session.preferences import Preferences
from irtrack.session.reel import LiveView
from irtrack.session.store import ResultStore


class Moves(Choices):
    """The view, and what moves it; the results say where tracks and times are."""

    passes: Passes

    def __init__(self, settings: Settings, preferences: Preferences) -> None:
        super().__init__(settings, preferences)
        self.view: Playback | LiveView | None = None
        self.picture: Picture | None = None
        """What is on screen."""

    @property
    def failed(self) -> Event[[str]]:
        """What went wrong, in a line."""
        return self.passes.failed

    @property
    def store(self) -> ResultStore:
        """The results that are shown and exported; those of a new pass once it has come as far."""
        return self.passes.store

    @property
    def live(self) -> bool:
        """Whether a camera is open."""
        return self.passes.live

    @property
    def playing(self) -> bool:
        return self.view is not None and self.view.playing

    @property
    def position(self) -> int | None:
        """The frame on screen, or on its way there."""
        return self.view.position if self.view is not None else None

    @property
    def frames(self) -> int | None:
        """Number of frames of the open recording, where it is known."""
        return self.view.frames if self.view is not None else None

    @property
    def fps(self) -> float:
        """Frames a second of the open source, or a guess."""
        return self.view.fps if self.view is not None else 30.0

    def lives(self) -> dict[int, tuple[int, int]]:
        """First and last frame of each track as edited."""
        return self.edits.value.lives(self.store.lives())

    def play(self) -> None:
        """Go on; a camera: back to its newest picture."""
        self._move(lambda v: v.play())

    def pause(self) -> None:
        """Hold the picture on screen fast; analysis and the camera go on."""
        self._move(lambda v: v.pause())

    def toggle_play(self) -> None:
        """One or the other."""
        self.pause() if self.playing else self.play()

    def step(self, by: int) -> None:
        """One frame on or back, paused."""
        self._move(lambda v: v.step(by))

    def seek(self, index: int) -> None:
        """Go to a frame."""
        if index != self.position:
            self._move(lambda v: v.seek(index))

    def seek_time(self, seconds: float) -> None:
        """Go to the frame of a time; where that is not analysed yet, by the frame rate."""
        last_s = self.store.time_of(reach[1]) if (reach := self.store.reach()) is not None else -1.0
        known = self.store.at_time(seconds) if self.live or seconds <= last_s else None
        self.seek(round(seconds * self.fps) if known is None else known)

    def seek_end(self) -> None:
        """To the last frame; of a camera, back to its newest picture."""
        if self.view is not None:
            self.play() if self.live else self.seek(self.view.reach[1])

    def seek_track(self) -> None:
        """To the first frame in which the selected track was confirmed."""
        if (life := self.life) is not None:
            self.seek(life[0])

    @property
    def life(self) -> tuple[int, int] | None:
        """First and last frame of the selected track; of one that these results do not have, where others had it."""
        track = self.selected.value
        if track is None:
            return None
        gone = self.edits.value.missing.get(track)
        return gone.life if gone is not None else self.lives().get(track)

    def follow(self) -> None:
        """Have the view keep to the selected track, or no longer; where it is not there, from its start on."""
        life = self.life
        self.following.set(not self.following.value and life is not None)
        tracks = self.picture.result.tracks if self.picture is not None else ()
        shown = {t.id for t in tracks if t.confirmed}
        if self.following.value and life is not None and self.selected.value not in shown:
            self.seek(life[0])

    def _move(self, move: Callable[[Playback | LiveView], object]) -> None:
        """What reads the recording may fail at it."""
        if self.view is not None:
            try:
                move(self.view)
            except Exception as error:  # of the disk, the decoder, whatever reads the recording
                self.failed(one_line(error))
