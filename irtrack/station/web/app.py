"""The addresses of a station's pages: REST, live pictures, and a WebSocket of tracks and news."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, FastAPI, HTTPException, Query, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from irtrack import __version__
from irtrack.core import SinkError
from irtrack.station.camera import Camera
from irtrack.station.database import NoSuchEvent, Wanted
from irtrack.station.news import News
from irtrack.station.web.access import COOKIE, Guard
from irtrack.station.web.live import Live
from irtrack.station.web.metrics import registry_of, text_of

if TYPE_CHECKING:
    from irtrack.station.station import Station

PAGE = Path(__file__).parent / "page"
VIEWERS = 16
"""Live pictures that are sent at the same time at most."""

TRACKS_S, STATE_S = 0.2, 1.0
"""Tracks and news are sent so often, and how the cameras stand."""

AGAIN_S = 5.0
"""A picture that stays is sent again after so long: whoever has gone is noticed."""

WRONG_S = 0.5
"""A wrong token is answered after so long."""

TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska"}


class Said(BaseModel):
    """What a person says of an event; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["target", "clutter"] | None = None
    starred: bool = False


class Pages:
    """The addresses of one station."""

    def __init__(self, station: Station, fps: float) -> None:
        self.station, self._fps = station, fps
        self._lives: dict[str, Live] = {}
        self._viewers = 0
        self.closing = False
        self._registry: CollectorRegistry = registry_of(station)
        self.router = APIRouter()
        add, api = self.router.add_api_route, "/api/events/{name}"
        add("/", self.page, include_in_schema=False)
        add("/health", self.health)
        add("/metrics", self.metrics, response_class=Response)
        add("/api/cameras", self.cameras)
        add("/api/cameras/{name}/picture", self.picture, response_class=Response)
        add("/api/cameras/{name}/live", self.live, response_class=StreamingResponse)
        add("/api/events", self.events)
        add(api, self.event)
        add(api, self.judge, methods=["PATCH"])
        add(f"{api}/thumbnail", self.thumbnail, response_class=Response)
        add(f"{api}/curve", self.curve)
        add(f"{api}/clip", self.clip, response_class=FileResponse)
        self.router.add_api_websocket_route("/api/live", self.socket)

    # -- how it stands --------------------------------------------------------------------------------------------

    def page(self) -> FileResponse:
        """The page."""
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    def health(self, request: Request) -> JSONResponse:
        """`ok`, `trouble` (something does not work, and is tried again) or `hangs`, then with code 503. What it is is
        told to whoever has the token."""
        troubles, hanging = self.station.troubles(), self.station.hanging
        said: dict[str, Any] = {"status": "hangs" if hanging else "trouble" if troubles else "ok"}
        if request.state.known:
            said |= {
                "troubles": troubles,
                "irtrack": __version__,
                "up_s": round(time.monotonic() - self.station.begun_s),
            }
        return JSONResponse(said, 503 if hanging else 200)

    def metrics(self) -> Response:
        """For Prometheus."""
        return Response(text_of(self._registry), media_type=CONTENT_TYPE_LATEST)

    def cameras(self) -> dict[str, Any]:
        """How each stands."""
        cameras = [state_of(camera) for camera in tuple(self.station.cameras.values())]
        return {"station": self.station.settings.name, "cameras": cameras, "troubles": self.station.troubles()}

    # -- live -----------------------------------------------------------------------------------------------------

    def _live(self, name: str) -> Live:
        camera = self.station.cameras.get(name)
        if camera is None:
            raise HTTPException(404, f"there is no camera {name}")
        live = self._lives.get(name)
        if live is None or live.camera is not camera:
            live = self._lives[name] = Live(camera)
        return live

    def picture(self, name: str) -> Response:
        """The newest picture of a camera."""
        return Response(self._live(name).jpeg(), media_type="image/jpeg")

    async def live(self, name: str) -> StreamingResponse:
        """Pictures as they come, MJPEG."""
        self._live(name)
        if self._viewers >= VIEWERS:
            raise HTTPException(503, f"{VIEWERS} live pictures are watched already")
        return StreamingResponse(self._pictures(name), media_type="multipart/x-mixed-replace; boundary=frame")

    async def _pictures(self, name: str) -> AsyncIterator[bytes]:
        """Each in a part that is closed at once, since browsers wait for its end; who is slow gets fewer."""
        self._viewers += 1
        try:
            shown, sent_s = None, 0.0
            yield b"--frame\r\n"
            while not self.closing and name in self.station.cameras:
                live = self._live(name)
                if live.key != shown or time.monotonic() - sent_s > AGAIN_S:
                    shown, sent_s = live.key, time.monotonic()
                    data = await run_in_threadpool(live.jpeg)
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    yield head.encode() + data + b"\r\n--frame\r\n"
                await asyncio.sleep(1 / self._fps)
        finally:
            self._viewers -= 1

    async def socket(self, socket: WebSocket) -> None:
        """Messages with `type`: `cameras` (how they stand), `tracks` (of one camera's newest picture), `news`."""
        await socket.accept()
        waiting: deque[News] = deque(maxlen=500)  # who does not take them loses the oldest
        seen: dict[str, object] = {}
        due = 0.0
        with self.station.listening(waiting.append):
            try:
                while not self.closing:
                    if time.monotonic() >= due:
                        due = time.monotonic() + STATE_S
                        await socket.send_json({"type": "cameras"} | self.cameras())
                    while waiting:
                        await socket.send_json({"type": "news"} | waiting.popleft().to_dict())
                    for name in tuple(self.station.cameras):
                        live = self._live(name)
                        tracks = live.tracks() if seen.get(name) != live.key else None
                        seen[name] = live.key
                        if tracks is not None:
                            await socket.send_json({"type": "tracks"} | tracks)
                    await asyncio.sleep(TRACKS_S)
            except (WebSocketDisconnect, RuntimeError):
                return  # whoever looked has gone

    # -- events ---------------------------------------------------------------------------------------------------

    def events(
        self,
        camera: str | None = None,
        verdict: Literal["target", "clutter", "none"] | None = None,
        starred: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        snr: float | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: int | None = None,
    ) -> dict[str, Any]:
        """The newest first; `next`: `before` of the next page, null on the last. `since`, `until`: UTC where they do
        not say otherwise; `snr`: the least."""
        wanted = Wanted(camera, verdict, starred, in_utc(since), in_utc(until), snr)
        found = self.station.database.events(wanted, limit + 1, before)
        more = len(found) > limit
        page = [self._listed(one) for one in found[:limit]]
        return {"events": page, "next": page[-1]["id"] if more else None}

    def _listed(self, one: dict[str, Any]) -> dict[str, Any]:
        """An event; of its clip, whether it is still there."""
        path = self.station.disk.path_of(one["clip"])
        kind = path.suffix.removeprefix(".") if path is not None and path.is_file() else None
        return one | {"clip": kind}

    def event(self, name: str) -> dict[str, Any]:
        """One event."""
        return self._listed(self.station.database.event(name))

    def judge(self, name: str, said: Annotated[Said, Body()]) -> dict[str, Any]:
        """Keep what a person says of an event."""
        self.station.database.judge(name, said.model_dump(include=said.model_fields_set))
        return self.event(name)

    def thumbnail(self, name: str) -> Response:
        """PNG of its surroundings."""
        picture = self.station.database.thumbnail(name)
        return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=60"})

    def curve(self, name: str) -> dict[str, Any]:
        """Its light curve: time_s, x_px, y_px, brightness and snr, each a list."""
        return self.station.database.curve(name)

    def clip(self, name: str) -> FileResponse:
        """Its clip, or parts of it."""
        path = self.station.disk.path_of(self.station.database.event(name)["clip"])
        if path is None or not path.is_file():
            raise HTTPException(404, f"there is no clip of event {name}, or no more")
        return FileResponse(path, media_type=TYPES.get(path.suffix), headers={"Cache-Control": "no-cache"})


def state_of(camera: Camera) -> dict[str, Any]:
    """How a camera stands, as plain values."""
    return {
        "name": camera.name,
        "source": camera.settings.shown,
        "watch": "hangs" if camera.hangs else str(camera.watch),
        "trouble": camera.trouble or camera.events_trouble,
        "schedule": camera.settings.schedule,
        "model": camera.detecting.model,
        "without": camera.detecting.without,
        "width": camera.size[0] if camera.size else None,
        "height": camera.size[1] if camera.size else None,
        "active": camera.active,
        "rate": round(camera.rate, 1),
        "latency_s": round(camera.latency_s, 3),
        "selftest": seen_by(camera),
        **vars(camera.counts),
    }


def seen_by(camera: Camera) -> list[dict[str, float]]:
    """Of its self-test, by SCR; empty where there is none, or none is done yet."""
    shadow = camera.shadow
    report = shadow.report() if shadow is not None else None
    rows = report.rows if report is not None else ()
    return [
        {
            "scr": r.scr,
            "targets": r.targets,
            "pd": round(r.pd, 3),
            "pd_low": round(r.pd_low, 3),
            "pd_high": round(r.pd_high, 3),
        }
        for r in rows
    ]


def in_utc(moment: datetime | None) -> datetime | None:
    """With its zone; UTC where it names none."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


class Given(BaseModel):
    """What the page's login sends."""

    token: str


def make_app(station: Station, fps: float, token: str) -> tuple[FastAPI, Pages]:
    """The application, closed to whoever has no token."""
    app = FastAPI(
        title="irtrack station", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/schema"
    )
    pages, guard = Pages(station, fps), Guard(app, token)

    async def login(given: Annotated[Given, Body()], request: Request) -> Response:
        """Give the page its cookie."""
        if not guard.right(given.token.strip()):
            await asyncio.sleep(WRONG_S)
            raise HTTPException(403, "that is not the token")
        answer = Response(status_code=204)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, max_age=90 * 86400, httponly=True, samesite="strict", secure=secure)
        return answer

    def logout() -> Response:
        """Take it away."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE)
        return answer

    def no_event(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404)

    def no_database(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    app.include_router(pages.router)
    app.add_api_route("/login", login, methods=["POST"], status_code=204, response_class=Response)
    app.add_api_route("/api/logout", logout, methods=["POST"], status_code=204, response_class=Response)
    app.add_exception_handler(NoSuchEvent, no_event)
    app.add_exception_handler(SinkError, no_database)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")
    app.add_middleware(Guard, token=token)
    return app, pages
