"""The pages of an archive: one with all days, and one for each day. Plain HTML that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from irtrack.archive.job import Job
from irtrack.config import DEFAULTS

Row = Mapping[str, Any]

MOST_FAILED = 500
"""Failures that the first page lists; the data set has all of them."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8887; --bad: #c62828; --bar: #546e7a }
@media (prefers-color-scheme: dark) { :root { --bad: #ef9a9a; --bar: #90a4ae } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1120px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 0 .2rem } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem }
.soft { opacity: .7 } .bad { color: var(--bad) } .number { text-align: right; font-variant-numeric: tabular-nums }
.totals { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.2rem 0; padding: 0; list-style: none }
.totals li { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .9rem }
.totals b { display: block; font-size: 1.35rem; font-weight: 600 }
table { border-collapse: collapse; width: 100% } th { font-weight: 600; text-align: left }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line) } th.number { text-align: right }
.bar { background: var(--bar); height: .6rem; border-radius: 3px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1rem }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden }
figure img, figure .none { display: block; width: 100%; aspect-ratio: 5 / 4; object-fit: contain; background: #111 }
figure .none { display: grid; place-items: center; color: #999 }
figcaption { padding: .5rem .7rem .7rem; overflow-wrap: anywhere } figcaption b { font-weight: 600 }
td.path { overflow-wrap: anywhere }
"""


def page(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def index_page(name: str, days: Mapping[str, Sequence[Row]], job: Job) -> str:
    """All days, what failed, and how it was made."""
    rows = [row for each in days.values() for row in each]
    bad = [row for row in rows if row["error"]]
    title = f"Archive {name}"
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(made_with(job))}</p>', totals(rows)]
    parts.append("<h2>Days (UTC)</h2>" + day_table(days) if rows else "<p>No recording is done yet.</p>")
    if bad:
        parts.append(f"<h2>Could not be read, or not to the end: {len(bad):,}</h2>" + failure_table(bad[:MOST_FAILED]))
    if len(bad) > MOST_FAILED:
        parts.append(f"<p>The other {len(bad) - MOST_FAILED:,} are in the data set of recordings.</p>")
    return page(title, "\n".join(parts))


def day_page(day: str, rows: Sequence[Row]) -> str:
    """The recordings of a day, with pictures."""
    heading = f"Recordings of {day}" if day != "unknown" else "Recordings without a date"
    cards = "\n".join(map(card, rows))
    body = f'<p><a href="../index.html">All days</a></p>\n<h1>{heading}</h1>\n{totals(rows)}\n'
    return page(heading, body + f'<div class="cards">\n{cards}\n</div>')


def totals(rows: Sequence[Row]) -> str:
    """The figures at the top."""
    done = [row for row in rows if row["status"] != "failed"]
    figures = [
        (f"{len(done):,}", "recordings"),
        (length(sum(row["duration_s"] for row in done)), "of video"),
        (f"{sum(row['tracks'] for row in done):,}", "tracks"),
        (f"{sum(row['tracks'] > 0 for row in done):,}", "recordings with tracks"),
    ]
    if bad := sum(bool(row["error"]) for row in rows):
        figures.append((f'<span class="bad">{bad:,}</span>', "with errors"))
    return '<ul class="totals">' + "".join(f"<li><b>{value}</b>{what}</li>" for value, what in figures) + "</ul>"


def day_table(days: Mapping[str, Sequence[Row]]) -> str:
    """A line for each day; bars show tracks."""
    lines, most = [], max((tracks_of(rows) for rows in days.values()), default=0) or 1
    for day, rows in days.items():
        done = [row for row in rows if row["status"] != "failed"]
        bad = sum(bool(row["error"]) for row in rows)
        share = 100 * tracks_of(rows) / most
        lines.append(
            f'<tr><td><a href="days/{day}.html">{day}</a></td><td class="number">{len(done):,}</td>'
            f'<td class="number">{length(sum(r["duration_s"] for r in done))}</td>'
            f'<td class="number">{tracks_of(rows):,}</td>'
            f'<td style="width: 40%"><div class="bar" style="width: {share:.1f}%"></div></td>'
            f'<td class="number{" bad" * bool(bad)}">{bad or ""}</td></tr>'
        )
    head = "".join(
        f'<th class="number">{name}</th>' if name else "<th></th>"
        for name in ("recordings", "length", "tracks", "", "errors")
    )
    return f"<table>\n<tr><th>day</th>{head}</tr>\n" + "\n".join(lines) + "\n</table>"


def tracks_of(rows: Sequence[Row]) -> int:
    """In recordings that are done."""
    return sum(row["tracks"] for row in rows if row["status"] != "failed")


def failure_table(rows: Sequence[Row]) -> str:
    """A line for each recording that could not be read to its end."""
    lines = [
        f'<tr><td class="path">{escape(row["path"])}</td><td class="bad">{escape(row["error"])}</td></tr>'
        for row in rows
    ]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def card(row: Row) -> str:
    """A recording with its picture."""
    name = escape(row["path"].rpartition("/")[2] or row["path"])
    picture = '<div class="none">no picture</div>'
    if row["thumbnail"]:
        picture = f'<img loading="lazy" src="../{quote(row["thumbnail"])}" alt="{name}">'
    said = [f'<b title="{escape(row["path"])}">{name}</b>']
    if row["status"] != "failed":
        clock = f"{row['started']:%H:%M:%S}" + (" (by its file's time)" if row["started_by"] == "file" else "")
        tracks = f"{row['tracks']:,} track{'s' * (row['tracks'] != 1)}"
        said.append(f"{clock}, {length(row['duration_s'])}, {tracks}")
        logs = " ".join(f'<a href="../{quote(log)}">log</a>' for log in row["log"])
        said.append(f'<span class="soft">{row["width"]}x{row["height"]}, {row["frames"]:,} frames</span> {logs}')
    if row["copies"]:
        said.append(f'<span class="soft">and {len(row["copies"])} with the same content</span>')
    if row["error"]:
        said.append(f'<span class="bad">{escape(row["error"])}</span>')
    return f"<figure>{picture}<figcaption>{'<br>'.join(said)}</figcaption></figure>"


def length(seconds: float) -> str:
    """In words, as exact as anybody wants to know."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{minutes / 60:,.0f} h"


def made_with(job: Job) -> str:
    """Model and settings that are not the usual ones."""
    detector = job.settings.detector
    texts = [f"Model {detector.weights} on {detector.device} ({detector.backend}), irtrack {job.version}"]
    usual, own = DEFAULTS.to_dict(), job.settings.to_dict()
    for section in ("capture", "detector", "tracker"):
        for name, value in own[section].items():
            chosen = name in ("weights", "device", "backend", "mode", "threads") and section == "detector"
            if value != usual[section][name] and not chosen:
                texts.append(f"{name} = {value}")
    texts += [f"fps = {job.fps:g}"] if job.fps else []
    return "; ".join(texts)
