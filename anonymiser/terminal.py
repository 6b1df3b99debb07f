"""What a run says on the terminal: how far it is, and at the end an account in which no line is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from anonymiser.coverage import LATE, OPEN, STRAY
from anonymiser.engines import Progress, Rejected
from anonymiser.reports import LogReport

AFTER_READING: Final = "Counting, protecting, publishing"
MEANINGS: Final = {
    "asset": "a picture, script, style sheet or font",
    "blank": "an empty line",
    "directive": "a header line of the log itself",
    "download": "counted as a download",
    "error": "the server or the request failed",
    "future": "later than a day from now: a wrong clock",
    "health": "a health check",
    "method": "not a GET",
    "network": "from a network you excluded",
    "not-found": "counted as a page that is not there",
    "redirect": "sent on to another address",
    "spam": "a referrer known for spam",
    LATE: "of a day that was released before",
    OPEN: "of a day that is not over; the next run counts it",
    STRAY: "of a few visitors, far from all other days: a wrong clock",
}


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress | None]:
    """A bar on a terminal, a line for each fifth elsewhere; both on standard error."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with click.progressbar(length=100, label="Reading", file=sys.stderr) as bar:
            yield lambda done, total: _advance(bar, _percent(done, total))
    else:
        yield _Fifths()


def _advance(bar: Any, percent: int) -> None:
    if percent == 100:
        bar.label = AFTER_READING
    bar.update(percent - bar.pos)


def _percent(done: int, total: int) -> int:
    """How much is read. Of standard input nobody knows, so it counts as nothing and may seem to be more than all."""
    return min(100, 100 * done // total) if total else 0


class _Fifths:
    """Says how far reading is, at 20, 40, 60, 80 and 100 per cent."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, done: int, total: int) -> None:
        reached = _percent(done, total) // 20 * 20
        if reached > self._said:
            self._said = reached
            click.echo(f"Reading: {reached} %", err=True)


def as_object(report: LogReport, seconds: float) -> dict[str, Any]:
    """The account for machines. It is exact, so it is private."""
    return {
        "read": report.read,
        "counted": report.counted,
        "dropped": dict(report.dropped),
        "rejected": report.rejected_total,
        "seconds": seconds,
        "release": list(report.releases),
    }


def summary(report: LogReport, out: Path, seconds: float) -> Iterator[str]:
    """The account for people, a line at a time."""
    dropped = sum(report.dropped.values())
    yield (
        f"{report.read:,} lines read = {report.counted:,} counted + {dropped:,} dropped + "
        f"{report.rejected_total:,} rejected ({seconds} s)"
    )
    for reason, count in sorted(report.dropped.items(), key=lambda item: (-item[1], item[0])):
        yield f"  dropped {count:>11,}  {reason:16} {_meaning(reason)}".rstrip()
    yield from (f"  {line}" for line in rejections(report))
    yield _outcome(report, out)


def rejections(report: LogReport) -> Iterator[str]:
    """Where the first lines are that could not be read, and why; never what stands in them."""
    yield from (f"rejected {_place(line)}: {line.reason}" for line in report.rejected)
    if report.rejected_total > len(report.rejected):
        yield f"and {report.rejected_total - len(report.rejected):,} more rejected lines"


def _place(line: Rejected) -> str:
    return f"{'standard input' if line.file == '-' else line.file}, line {line.line:,}"


def _meaning(reason: str) -> str:
    return "a robot" if reason.startswith("bot-") else MEANINGS.get(reason, "")


def _outcome(report: LogReport, out: Path) -> str:
    if report.releases:
        return f"{len(report.releases):,} periods released in {out}; `anonymise explain {out}` says how exact they are"
    if unreadable(report):
        return "Nothing was counted: no line could be read in its file's format. Name the right one with --format"
    if LATE in report.dropped and not report.counted:
        return f"Nothing to do: the days of these files are released in {out} already, and nothing was changed"
    if OPEN in report.dropped and not report.counted:
        return "Nothing to do yet: the day of these lines is not over. Run it again tomorrow"
    return "Nothing to do: among these lines is no page view of a person"


def unreadable(report: LogReport) -> bool:
    """Whether there were lines, and not one of them could be read."""
    empty = report.dropped.get("blank", 0) + report.dropped.get("directive", 0)
    return report.rejected_total > 0 and report.rejected_total + empty == report.read
