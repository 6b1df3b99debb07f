"""Which local days of a log can be released, and why the others are not.

A log covers the days from its first line to its last. Up to six empty days in a row are days on which nobody came, and
are released like others; a longer hole is taken for logs that are missing, so that they can be handed in later. A few
visitors more than a year from everybody else did not come then: a clock was wrong, and no page should begin in 1996.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Final

from anonymiser import clock
from anonymiser.errors import ReleaseConflict
from anonymiser.holding import Cell

LATE: Final = "late"
STRAY: Final = "stray-day"
OPEN: Final = "open-day"
WITHOUT_HOLE: Final = 7
ASTRAY: Final = 366
FIRST_DAY, LAST_DAY = "1970-01-01", "9999-12-30"  # compared as text: a wrong clock may say what is no date here


def left_out(
    visitors: Mapping[str, int], answered: Collection[date], *, fewest: int, closed: date | None
) -> dict[str, str]:
    """The days of an input (local day -> its visitors) that are not to be released, each with its reason.

    `answered` are released already. Fewer visitors than `fewest` can be astray. After `closed`, or (where it is given)
    on the input's own last day, a day is not over yet.
    """
    known = {date.fromisoformat(day): count for day, count in visitors.items() if FIRST_DAY <= day <= LAST_DAY}
    stray = _astray(known, answered, fewest)
    reasons = dict.fromkeys(visitors.keys() - {day.isoformat() for day in known}, STRAY)
    sound = known.keys() - stray
    over = min(max(sound) - clock.DAY, closed) if closed and sound else max(sound, default=date.min)
    for day in known:
        reason = STRAY if day in stray else LATE if day in answered else OPEN if day > over else ""
        if reason:
            reasons[day.isoformat()] = reason
    return reasons


def _astray(visitors: Mapping[date, int], answered: Collection[date], fewest: int) -> set[date]:
    """The days that stand alone, far from the largest group and from all that was released."""
    islands = [
        [day for day in visitors if first <= day <= last]
        for first, last in clock.stretches({*visitors, *answered}, ASTRAY)
        if not any(first <= day <= last for day in answered)
    ]
    sizes = {max(island): sum(visitors[day] for day in island) for island in islands}
    most, settled = max(sizes.values(), default=0), sum(visitors.values()) - sum(sizes.values())
    largest = max((last for last, size in sizes.items() if size == most > settled), default=None)
    return {day for island in islands if max(island) != largest and sizes[max(island)] < fewest for day in island}


def days(held: Collection[date], answered: Collection[date]) -> Iterator[date]:
    """The days to release: those on which something was counted, and the empty ones between them but for holes."""
    for first, last in clock.stretches((day for day in held if day not in answered), WITHOUT_HOLE):
        yield from (day for day in clock.days(first, last) if day not in answered)


def visitors(counts: Mapping[Cell, int]) -> dict[str, int]:
    """Each day on which something was counted, with its visitors."""
    return {cell[0]: counts.get((cell[0], "visitors", "", ""), 0) for cell in counts}


def refuse_late(site: str, reasons: Mapping[str, str]) -> None:
    """Raise ReleaseConflict, naming the days that are released already, if there are any."""
    late = [date.fromisoformat(day) for day, reason in reasons.items() if reason == LATE]
    spans = clock.stretches(late, 1)
    named = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
    if late:
        raise ReleaseConflict(
            f"site {site!r}: figures for {named} are released already, and this input is not the one that was counted "
            "then. A second answer for the same days would weaken the protection of the first. Name only files of "
            "other days, or add --skip-released to leave out the lines of these days"
        )
