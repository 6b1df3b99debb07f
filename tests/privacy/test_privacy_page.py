"""docs/privacy.md prints the tables of bounds and of days that add up from the code; this keeps them the same.

To renew the page: `python -m tests.privacy.test_privacy_page`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from anonymiser.bounds import CROSSED, STATISTICS, TOTAL_WEIGHT, Statistic
from anonymiser.clock import DAILY_FROM
from anonymiser.protect import DELTA_FOR_THRESHOLDS
from anonymiser.settings import Protection
from anonymiser.sources import LARGE
from anonymiser.zcdp import largest_rho, least_epsilon

PAGE = Path(__file__).resolve().parents[2] / "docs" / "privacy.md"
EPSILONS, DAYS = (0.5, 1.0, 2.0, 4.0), (1, 2, 5, 7, 30, 90, 365)


def bounds() -> str:
    rows = [
        f"| `{s.name}` | {s.l2:.3g} | {s.linf} | {s.keys_touched} | {s.weight:g} | {released(s)} |\n"
        for s in STATISTICS.values()
    ]
    return "| statistic | L2 | L∞ | cells | share | released |\n|---|---|---|---|---|---|\n" + "".join(rows)


def released(statistic: Statistic) -> str:
    return f"{statistic.schedule}, wide set" if statistic.crossed else statistic.schedule


def days() -> str:
    delta = Protection().delta * (1 - DELTA_FOR_THRESHOLDS)
    head = "| active days | " + " | ".join(f"ε {epsilon:g} a day" for epsilon in EPSILONS) + " |\n"
    rows = [
        f"| {days} | "
        + " | ".join(f"{least_epsilon(days * largest_rho(e, delta), delta):.1f}" for e in EPSILONS)
        + " |\n"
        for days in DAYS
    ]
    return head + "|---" * (len(EPSILONS) + 1) + "|\n" + "".join(rows)


TABLES = {"bounds": bounds, "days": days}


def renewed(text: str) -> str:
    for name, table in TABLES.items():
        head, _, rest = text.partition(f"<!-- {name} -->\n")
        _, _, tail = rest.partition(f"<!-- /{name} -->")
        text = f"{head}<!-- {name} -->\n{table()}<!-- /{name} -->{tail}"
    return text


@pytest.mark.parametrize("name", TABLES)
def test_the_page_prints_the_table_of_the_code(name: str) -> None:
    text = PAGE.read_text("utf-8")
    assert text.count(f"<!-- {name} -->\n") == text.count(f"<!-- /{name} -->") == 1
    assert TABLES[name]() in text


def test_the_page_is_as_renewing_would_write_it() -> None:
    text = PAGE.read_text("utf-8")
    assert renewed(text) == text


def test_the_words_about_single_statistics_hold() -> None:
    """The page derives each L2 from its kind of statistic; every statistic is named there once."""
    part = PAGE.read_text("utf-8").partition("Where they come from:")[2].partition("## Noise")[0]
    once = [s.name for s in STATISTICS.values() if (s.l2, s.linf, s.keys_touched) == (1, 1, 1)]
    several = [
        s.name for s in STATISTICS.values() if s.linf == 1 and s.l2**2 == pytest.approx(s.keys_touched) and s.l2 > 1
    ]
    assert all(f"`{name}`" in part for name in STATISTICS if name != "exits")
    assert set(once) == {"visitors", "hours", "entries", "sources", "campaigns", "countries", "devices", "browsers",
                         "languages", "screens"}  # fmt: skip
    assert set(several) == {"pages", "goals", "funnels", "returning", "engagement", "scroll", *CROSSED}


def test_the_words_about_the_two_sets_hold() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    crossed = sum(STATISTICS[name].weight for name in CROSSED)
    assert f"shares are parts of {TOTAL_WEIGHT:g}" in text
    assert f"shares are parts of {TOTAL_WEIGHT + crossed:g}" in text
    assert f"at least {DAILY_FROM:,} on average" in text
    assert f"{len(LARGE)} large names" in text
    assert all(s.crossed for s in list(STATISTICS.values())[-4:])


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
