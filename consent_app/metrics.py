"""The numbers of one process and its home, as Prometheus text (format 0.0.4). None is of one site or visitor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from flask import Flask

from anonymiser.spool import segments
from consent_app.guard import tally_of
from consent_app.ledger.backlog import backlog
from consent_app.rooms import Rooms
from consent_app.settings import Settings
from consent_app.timings import SECONDS, timings_of

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Samples = Mapping[str, float]
"""Labels, as they are written, to value."""


def text(app: Flask, here: Rooms, ready: Mapping[str, bool]) -> str:
    """Everything. What cannot be found out now is left out: `consent_ready` says that something is the matter."""
    lines = [
        *_responses(app),
        *_timings(app),
        *_family("consent_ready", "gauge", "Whether this would work now: 1 or 0.",
                 {f'{{check="{name}"}}': int(holds) for name, holds in ready.items()}),
    ]  # fmt: skip
    for name, about, ask in _GAUGES:
        with suppress(Exception):  # a gauge that cannot be read must not take the others along
            value = ask(here)
            if value is not None:
                lines += _family(name, "gauge", about, {"": value})
    return "\n".join(lines) + "\n"


def batch_age(settings: Settings) -> float | None:
    """Seconds since the batch came through; None before the first time. Raises ValueError for a file that is none."""
    try:
        said = settings.last_batch_file.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    last = datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return max(0.0, (settings.clock() - last).total_seconds())


def _responses(app: Flask) -> Iterator[str]:
    counts = {}
    for (endpoint, status, reason), count in sorted(tally_of(app).counts().items()):
        more = f',reason="{reason}"' if reason else ""
        counts[f'{{endpoint="{endpoint}",status="{status}"{more}}}'] = count
    yield from _family("consent_responses_total", "counter", "Answers; of beacons, why they were not kept.", counts)


def _timings(app: Flask) -> Iterator[str]:
    name = "consent_answer_seconds"
    yield f"# HELP {name} Time until an answer began, by door."
    yield f"# TYPE {name} histogram"
    for door, (counts, total) in sorted(timings_of(app).all().items()):
        below = 0
        for end, count in zip((*map(str, SECONDS), "+Inf"), counts, strict=True):
            below += count
            yield f'{name}_bucket{{door="{door}",le="{end}"}} {below}'
        yield f'{name}_sum{{door="{door}"}} {total:.6f}'
        yield f'{name}_count{{door="{door}"}} {below}'


def _family(name: str, kind: str, about: str, samples: Samples) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples.items():
        yield f"{name}{labels} {value}"


def _free(here: Rooms) -> float:
    system = os.statvfs(here.settings.home)
    return system.f_bavail * system.f_frsize


_GAUGES: Final[tuple[tuple[str, str, Callable[[Rooms], float | None]], ...]] = (
    ("consent_spool_waiting_facts", "Facts in memory that wait to be mixed.", lambda here: here.spool.waiting),
    ("consent_spool_segments", "Segments on disk that wait for the batch.",
     lambda here: len(segments(here.settings.spool))),
    ("consent_spool_bytes", "Their size.",
     lambda here: sum(segment.path.stat().st_size for segment in segments(here.settings.spool))),
    ("consent_ledger_unsigned_entries", "Entries that wait to be signed.", lambda here: backlog(here.ledger).entries),
    ("consent_ledger_unsigned_seconds", "Time since something was signed, while entries wait.",
     lambda here: backlog(here.ledger).seconds),
    ("consent_batch_age_seconds", "Time since the batch came through.", lambda here: batch_age(here.settings)),
    ("consent_disk_free_bytes", "Room on the disk of the data home.", _free),
)  # fmt: skip
