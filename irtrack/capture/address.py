"""URLs with secrets in them: what may be shown of one, what may be kept, and the credentials that come from elsewhere.

A password may stand anywhere in a camera's URL: before an @, as a parameter, in the path. So nothing is looked for:
what is shown is scheme, host and port, and nothing else ever.

What may be kept, in settings and lists of recent sources: a URL without user, parameters and fragment, whose path is
made of plain words (letters, digits, dot, hyphen, underscore), none of which speaks of credentials (admin, user,
pass..., pwd, key, token, login, auth, secret) or is as long and mixed as a key.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from irtrack.core import SourceError
from irtrack.paths import bytes_of

VARIABLE = "IRTRACK_CREDENTIALS"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[\w.-]+)?(:\d{1,5})?")
PLAIN = re.compile(r"[\w.-]*", re.ASCII)
TELLING = re.compile(r"adm|root|user|usr|pass|pwd|psw|secret|token|key|login|auth|cred", re.IGNORECASE)
KEY_LIKE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w-]{12,}", re.ASCII)
NUMBERS = frozenset({"channel", "ch", "camera", "cam", "stream", "subtype", "profile", "id", "input"})
"""Parameters that choose a picture, never a secret."""

_given: list[str] = []
"""Credentials of `--credentials`, for the process."""


@dataclass(frozen=True)
class Address:
    """A URL in its parts. `host` has the port; "" where it is not clear which part of the text is the host."""

    scheme: str
    user: str
    host: str
    rest: str

    @property
    def shown(self) -> str:
        """For eyes and logs: scheme, host, port, and a mark where there is more."""
        more = "/..." if self.user or self.rest.strip("/") else ""
        return f"{self.scheme}://{self.host or '...'}{more if self.host else ''}"

    @property
    def opened(self) -> str:
        """For the library that connects: as it was written, with its own credentials or else with those given."""
        takes = self.host and self.scheme.startswith(("rtsp", "http"))
        user = self.user or (given_credentials() if takes else "")
        if not user:
            return f"{self.scheme}://{self.host}{self.rest}"
        name, colon, password = user.partition(":")
        return f"{self.scheme}://{escaped(name)}{colon}{escaped(password)}@{self.host}{self.rest}"

    @property
    def may_be_kept(self) -> bool:
        """Whether it can hold no secret, by the rule above."""
        parts = self.rest.split("/")
        return (
            bool(self.host)
            and not self.user
            and all(PLAIN.fullmatch(p) and not TELLING.search(p) and not KEY_LIKE.fullmatch(p) for p in parts)
        )

    @property
    def key(self) -> str:
        """A name for files of this camera: what may be kept of the URL, and the numbers that choose a picture."""
        path, _, query = self.rest.partition("?")
        plain = Address(self.scheme, "", self.host, path.split(",")[0])
        numbers = sorted(k + v for k, v in parse_qsl(query) if k.lower() in NUMBERS and v.isdigit() and len(v) < 4)
        return "_".join([self.scheme, self.host + (plain.rest if plain.may_be_kept else ""), *numbers])

    def scrubbed(self, text: str) -> str:
        """A library's words without any part of the URL but scheme and host."""
        user, query = self.user or given_credentials(), self.rest.partition("?")[2]
        secrets = {self.opened, user, *user.split(":"), self.rest, *re.split(r"[/?#&;=]", self.rest), query}
        secrets |= {unquote(s) for s in secrets} | {escaped(s) for s in secrets}
        for secret in sorted((s for s in secrets if len(s) > 2), key=len, reverse=True):
            text = text.replace(secret, "...")
        return text


def escaped(text: str) -> str:
    """For the place before the @; what is escaped already stays."""
    return quote(text, safe="%!$&'()*+,;=~")


def address_of(text: str) -> Address | None:
    """The parts of a URL; None where the text is none.

    A password may hold / and @ though it should not: what stands before the last @ is user and password wherever the
    part before the first slash is no host and port. Where both are possible, the host is unclear.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", text, re.DOTALL)
    if found is None or "://" not in text:
        return None
    scheme, after = found[1].lower(), found[2]
    authority = re.split(r"[/?#]", after, maxsplit=1)[0]
    rest = after[len(authority) :]
    user, at, host = authority.rpartition("@")
    unclear = "@" in rest
    if unclear and (at or not HOST.fullmatch(authority)):
        user, _, tail = after.rpartition("@")
        host = re.split(r"[/?#]", tail, maxsplit=1)[0]
        rest, unclear = tail[len(host) :], "?" in user or "#" in user
    if unclear or not HOST.fullmatch(host):
        return Address(scheme, "", "", after)
    return Address(scheme, user, host, rest)


def redact(text: str) -> str:
    """A SOURCE text as it may be shown: of a URL, scheme and host; everything else as it is."""
    address = address_of(text)
    if address is not None:
        return address.shown
    return "..." if like_a_url(text) else text


def may_be_kept(text: str) -> bool:
    """Whether a SOURCE text may be written into settings."""
    address = address_of(text)
    return address.may_be_kept if address is not None else not like_a_url(text)


def same_device(one: str, other: str) -> bool:
    """Whether two cameras may be one: those of one host, and all that are no URLs, which have several names."""
    a, b = address_of(one), address_of(other)
    return a.host.lower() == b.host.lower() if a is not None and b is not None else a is b


def like_a_url(text: str) -> bool:
    """Whether a text that is neither URL nor file may hold a password: a URL with a slip in it."""
    return bool(re.match(r"\w+:/|[^/]*:[^/]*@|[^/]*@[\w-]+(\.[\w-]+)+(:\d+)?/", text)) and not Path(text).exists()


def given_credentials() -> str:
    """USER:PASSWORD of `--credentials`, or of the environment; "" where neither is there."""
    return _given[0] if _given else os.environ.get(VARIABLE, "").strip()


def use_credentials(path: Path | None) -> None:
    """Take USER:PASSWORD for the URLs of this process from a file that nobody else may read. Raises SourceError."""
    _given[:] = [] if path is None else [credentials_in(path)]


def credentials_in(path: Path) -> str:
    """USER:PASSWORD of a file that nobody else may read. Raises SourceError."""
    text = secret_in(path)
    if ":" not in text or "\n" in text:
        raise SourceError(f"{path} does not hold one line USER:PASSWORD")
    return text


def secret_in(path: Path) -> str:
    """The text of a file that nobody else may read. Raises SourceError."""
    try:
        mode = path.stat().st_mode
        text = bytes_of(path, 4096).decode().strip()
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the credentials in {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        raise SourceError(f"{path} may be read by others: take their rights away with chmod 600 first")
    return text
