"""Who may see a station: whoever has its token, made at the first start and kept in a file of mode 600."""

from __future__ import annotations

import os
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from irtrack.core import SinkError
from irtrack.sinks.target import reason

COOKIE = "irtrack"
OPEN = frozenset({"/", "/login", "/health"})
"""These need no token, and `/static/`: they tell nothing of what is seen."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def token_in(folder: Path) -> str:
    """The token of a station's folder, made where there is none. Raises SinkError."""
    path = folder / "token"
    try:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = path.read_text(encoding="ascii").strip()
            if len(token) < 20:
                raise SinkError(f"{path} holds no token of 20 letters or more: remove it, and one is made") from None
            os.chmod(path, 0o600)
            return token
        token = secrets.token_urlsafe(32)
        with open(file, "w", encoding="ascii") as out:
            out.write(token + "\n")
        return token
    except (OSError, ValueError) as error:
        raise SinkError(f"the token in {path} cannot be kept: {reason(error)}") from error


class Guard:
    """Lets through what has the token, in a header (`Authorization: Bearer TOKEN`) or in the pages' cookie."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        known = self.knows(scope)
        scope.setdefault("state", {})["known"] = known
        path = scope["path"]
        if not known and not (scope["type"] == "http" and (path in OPEN or path.startswith("/static/"))):
            if scope["type"] == "websocket":
                await WebSocketClose(1008, "the token is missing or wrong")(scope, receive, send)
            else:
                headers = {"WWW-Authenticate": "Bearer"}
                answer = JSONResponse({"detail": "the token is missing or wrong"}, 401, headers)
                await answer(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)

    def knows(self, scope: Scope) -> bool:
        """Whether a request has the token. A cookie counts for requests of our own pages alone."""
        headers = Headers(scope=scope)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.right(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        if cookie is None or not self.right(cookie.value):
            return False
        plain = scope["type"] == "http" and scope["method"] in SAFE
        origin = headers.get("origin")
        return plain or origin is None or urlsplit(origin).netloc == headers.get("host")

    def right(self, given: str) -> bool:
        """Whether it is the token; takes as long for any wrong one."""
        return secrets.compare_digest(given.encode(), self._token.encode())
