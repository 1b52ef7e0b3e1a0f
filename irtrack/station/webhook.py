"""News as a POST of JSON to an address."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from irtrack import __version__
from irtrack.capture.address import redact, secret_in
from irtrack.station.news import News, OutputError, RefusedError
from irtrack.station.settings import WebhookSettings

LATER = frozenset({408, 425, 429})
"""Answers besides 5xx after which it is worth asking again."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is sent elsewhere would arrive there as a GET without news."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None."""


class WebhookOutput:
    """An output. The receiver may get a piece of news twice, where its answer was lost: `X-Irtrack-Delivery` is then
    the same."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Raises IrtrackError where the secret cannot be read."""
        self._settings = settings
        self.name = f"webhook-{redact(settings.url)}"
        self._secret = secret_in(Path(settings.secret_file)).encode() if settings.secret_file else b""
        self._opener = urllib.request.build_opener(NoRedirect)

    def open(self) -> None:
        """Nothing is held open."""

    def send(self, news: News) -> None:
        """Raises OutputError, RefusedError."""
        if news.change not in self._settings.wanted:
            return
        body = json.dumps(news.to_dict(), allow_nan=False).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"irtrack/{__version__}",
            "X-Irtrack-Delivery": hashlib.sha256(body).hexdigest()[:32],
        }
        if self._secret:
            headers["X-Irtrack-Signature"] = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(self._settings.url, body, headers, method="POST")
        where = redact(self._settings.url)
        try:
            with self._opener.open(request, timeout=self._settings.timeout_s) as answer:
                answer.read(1 << 16)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in LATER:
                raise OutputError(f"{where} answers {error.code}") from error
            raise RefusedError(f"{where} refuses news with {error.code}: they are left out") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise OutputError(f"{where} cannot be reached: {reason}") from error

    def close(self) -> None:
        """Nothing is open."""
