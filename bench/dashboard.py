"""How long the server takes for a view of the dashboard, with five years of four sites published.

    python bench/dashboard.py [FOLDER] [--runs 9] [--years 5]

FOLDER is what bench/five_years.py makes, usually one among the temporary files; it is made where it is not there
(some minutes). Before anything is timed, the figures of each view's period are held against sums in plain SQL. A view
is a whole request through the application, sign-in not included. "published" is the first one after a publication,
when nothing is remembered and the file is opened anew; "new" asks for days that nobody has asked for, of a file that
is open; "again" is the same view once more. Times are medians of wall time in this process, which other processes of
a busy machine lengthen; beside each is that of the processor.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from math import isclose
from pathlib import Path
from statistics import median

import duckdb
import five_years
from flask.testing import FlaskClient

from anonymiser.stats import Statistics
from consent_app import create_app
from consent_app.rooms import NAME, Rooms

# What is asked of which page, over how many days; 0 for a page that has no period.
VIEWS = {
    "all sites": ("/dashboard/", "", 0),
    "28 days": ("/dashboard/kent", "", 28),
    "12 months": ("/dashboard/kent", "", 365),
    "12 months, visitors": ("/dashboard/kent", "metric=visitors&compare=year", 365),
    "five years": ("/dashboard/kent", "", 1800),
    "12 months of a page": ("/dashboard/kent", "page=/section-0/page-1", 365),
    "12 months of a source": ("/dashboard/kent", "source=Google", 365),
    "five years of a page": ("/dashboard/kent", "page=/section-0/page-1", 1800),
    "12 months, other tabs": (
        "/dashboard/kent", "tab=sources&tab=entries&tab=languages&tab=goal_sources&tab=returning", 365,
    ),
    "all pages of 12 months": ("/dashboard/kent/table/pages", "", 365),
    "small site, 12 months": ("/dashboard/orders", "", 365),
}  # fmt: skip
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
        summed = {(one, other): float(value) for one, other, value in rows}
        if summed != {(row.key1, row.key2): row.value for row in found.rows}:
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
    parser.add_argument("folder", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "consent-five-years")
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
    kinds = ("published", "new", "again")
    print(f"{'view, ms':<24}" + "".join(f"{kind:>10}{'CPU':>6}" for kind in kinds) + f"{'KB':>7}")
    for name, view in VIEWS.items():
        times = [run(client, rooms, number, *view) for number in range(asked.runs)]
        middle = [median(part) for part in zip(*times, strict=True)]
        size = len(client.get(address(*view, 0)).data) / 1000
        print(f"{name:<24}" + "".join(f"{middle[n]:>10.0f}{middle[n + 1]:>6.0f}" for n in (0, 2, 4)) + f"{size:>7.0f}")
    for part in (rooms.spool, rooms.ledger, rooms.statistics):
        part.close()


def address(path: str, query: str, days: int, back: int) -> str:
    """That view, its days so many before the newest."""
    if not days:
        return path
    end = five_years.LAST - timedelta(days=back)
    return f"{path}?from={end - timedelta(days=days - 1)}&to={end}&{query}"


def run(client: FlaskClient, rooms: Rooms, number: int, path: str, query: str, days: int) -> list[float]:
    """The view after a publication, with other days, and once more."""
    first, second = (address(path, query, days, 2 * number + one) for one in (0, 1))
    rooms.statistics.close()
    return [part for each in (first, second, second) for part in timed(partial(got, client, each))]


def got(client: FlaskClient, view: str) -> None:
    """Ask for a page."""
    assert client.get(view).status_code == 200, view


if __name__ == "__main__":
    main()
