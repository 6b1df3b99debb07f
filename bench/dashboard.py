"""How long the server takes for a view of the dashboard, with five years of four sites published.

    python bench/dashboard.py FOLDER [--runs 9] [--years 5]

FOLDER is what bench/five_years.py makes; it is made where it is not there (some minutes). Before anything is timed, the
figures of each view's period are held against sums in plain SQL. A view is a whole request through the application, sign-in
not included: "first" is the first of its kind after a publication, when nothing is remembered and the file is opened anew,
"again" the same view once more. Times are medians of wall time in this process; the other processes of a busy machine
lengthen them. The processor's time is beside it.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from math import isclose
from pathlib import Path
from statistics import median

import duckdb
from flask.testing import FlaskClient

import five_years
from anonymiser.stats import Statistics
from consent_app import create_app
from consent_app.rooms import NAME, Rooms

VIEWS = {
    "all sites": "/dashboard/",
    "28 days": "/dashboard/kent",
    "12 months": "/dashboard/kent?period=12m",
    "12 months, visitors": "/dashboard/kent?period=12m&metric=visitors&compare=year",
    "five years": "/dashboard/kent?period=all",
    "12 months of a page": "/dashboard/kent?period=12m&page=/section-0/page-1",
    "12 months of a source": "/dashboard/kent?period=12m&source=Google",
    "five years of a page": "/dashboard/kent?period=all&page=/section-0/page-1",
    "12 months, other tabs": "/dashboard/kent?period=12m&tab=sources&tab=entries&tab=languages&tab=goal_sources&tab=returning",
    "all pages of 12 months": "/dashboard/kent/table/pages?period=12m",
    "a small site, 12 months": "/dashboard/orders?period=12m",
}
PERIODS = (28, 365, 1826)
SUM = """
    SELECT key1, key2, sum(value) FROM cell WHERE site = ? AND statistic = ?
    AND period_start >= ? AND period_start + period_days - 1 <= ? GROUP BY ALL
"""
PASSWORD = "a password of the bench"


def differences(file: Path) -> Iterator[str]:
    """Where an answer differs from a sum in plain SQL."""
    with duckdb.connect(str(file), read_only=True) as plain, Statistics(file) as statistics:
        for site in statistics.sites():
            for days in PERIODS:
                start, end = five_years.LAST - timedelta(days=days - 1), five_years.LAST
                yield from _breakdowns(plain, statistics, site, start, end)
                yield from _totals(plain, statistics, site, start, end)


def _breakdowns(
    plain: duckdb.DuckDBPyConnection, statistics: Statistics, site: str, start: date, end: date
) -> Iterator[str]:
    names = ["pages", "sources", "countries", "browsers", "goals", "page_sources"]
    for name, found in statistics.breakdowns(site, names, start, end).items():
        rows = plain.execute(SUM, (site, name, start, end)).fetchall()
        if {(one, other): float(value) for one, other, value in rows} != {(r.key1, r.key2): r.value for r in found.rows}:
            yield f"{site} {name} {start} to {end}"


def _totals(
    plain: duckdb.DuckDBPyConnection, statistics: Statistics, site: str, start: date, end: date
) -> Iterator[str]:
    query = (
        "SELECT sum(value), sum(sigma * sigma) FROM cell WHERE site = ? AND statistic = 'totals' AND metric = 'views' "
        "AND period_start BETWEEN ? AND ?"
    )
    value, variance = plain.execute(query, (site, start, end)).fetchone() or (0, 0)
    rows = [row for row in statistics.daily(site, start, end) if row.metric == "views"]
    if sum(row.value for row in rows) != value or not isclose(sum(row.sigma**2 for row in rows), variance or 0):
        yield f"{site} views {start} to {end}"


def signed_in(client: FlaskClient) -> None:
    """Sign the client in."""
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/dashboard/login").text)
    assert token
    form = {"csrf_token": token[1], "name": "bench", "password": PASSWORD}
    assert client.post("/dashboard/login", data=form).status_code == 303


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of wall and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def main() -> None:
    """Check the answers, then print a table of milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--years", type=float, default=5)
    asked = parser.parse_args()
    settings = five_years.make(asked.folder, asked.years)
    wrong = [*differences(settings.stats_file)]
    if wrong:
        raise SystemExit(f"answers differ from plain SQL: {'; '.join(wrong)}")
    print("every answer is the sum that plain SQL gives")
    app = create_app(settings)
    rooms: Rooms = app.extensions[NAME]
    if "bench" not in {user.name for user in rooms.users.all()}:
        rooms.users.add("bench", PASSWORD, "viewer")
    client = app.test_client()
    signed_in(client)
    print(f"{'view':<26}{'first, ms':>11}{'CPU':>7}{'again, ms':>11}{'CPU':>7}{'KB':>7}")
    for name, address in VIEWS.items():
        firsts, agains = [], []
        for _ in range(asked.runs):
            rooms.statistics.close()
            firsts.append(timed(lambda address=address: client.get(address)))
            agains.append(timed(lambda address=address: client.get(address)))
        answer = client.get(address)
        assert answer.status_code == 200, address
        first, again = ([median(part) for part in zip(*times, strict=True)] for times in (firsts, agains))
        print(f"{name:<26}{first[0]:>11.0f}{first[1]:>7.0f}{again[0]:>11.0f}{again[1]:>7.0f}{len(answer.data) / 1000:>7.0f}")
    for part in (rooms.spool, rooms.ledger, rooms.statistics):
        part.close()


if __name__ == "__main__":
    main()
