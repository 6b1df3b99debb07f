"""Sample web-server logs in the two formats of the family: Apache's combined format and IIS W3C extended.

Addresses are from the documentation ranges (RFC 5737, RFC 3849); a few lines carry things that must never be
published, and a few are broken, as in real logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Final

from consent_app.demo.visitors import AGENT_WEIGHTS, AGENTS, walk

REFERRERS: Final = ("-", "https://www.google.com/", "https://www.bing.com/", "https://www.linkedin.com/feed/")
CRAWLER: Final = "Mozilla/5.0 (compatible; ExampleBot/2.1; +http://bot.example/about)"
SURREY_PAGES: Final = (
    ("/", 30),
    ("/desks", 18),
    ("/chairs", 16),
    ("/storage", 9),
    ("/delivery", 8),
    ("/contact", 7),
    ("/chairs/task-chair", 6),
    ("/desks/sit-stand", 6),
)
ORDER_PAGES: Final = (
    ("/ProlinkWeb/logon.asp", 30),
    ("/ProlinkWeb/Default.asp", 26),
    ("/ProlinkWeb/basket.asp", 16),
    ("/ProlinkWeb/search.asp", 12),
    ("/ProlinkWeb/order_history.asp", 9),
    ("/ProlinkWeb/logoff.asp", 7),
)
W3C_HEADER: Final = (
    "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: {at:%Y-%m-%d %H:%M:%S}\r\n"
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) "
    "sc-status sc-substatus sc-win32-status time-taken\r\n"
)
Hit = tuple[datetime, str, str, str, str]


def hits(rng: Random, day: date, pages: tuple[tuple[str, int], ...], visitors: int) -> list[Hit]:
    """One day of requests as (UTC time, address, agent, referrer, path), in order of time."""
    found: list[Hit] = []
    for _ in range(visitors):
        robot = rng.random() < 0.08
        number = rng.randrange(1, 255)
        address = f"198.51.100.{number}" if rng.random() < 0.8 else f"2001:db8::{number:x}"
        agent = CRAWLER if robot else rng.choices(AGENTS, AGENT_WEIGHTS)[0]
        at = datetime.combine(day, time(7), UTC) + timedelta(seconds=rng.randrange(11 * 3600))
        referrer = rng.choices(REFERRERS, (40, 40, 12, 8))[0]
        for page in walk(rng, pages):
            found.append((at, address, agent, referrer, page))
            at += timedelta(seconds=rng.randrange(5, 240))
            referrer = "-"
    return sorted(found)


def combined(rng: Random, days: list[date], visitors: int) -> Iterator[str]:
    """Lines of an Apache combined log, assets, private data in queries and broken lines included."""
    for day in days:
        for at, address, agent, referrer, page in hits(rng, day, SURREY_PAGES, visitors):
            stamp = f"{at:%d/%b/%Y:%H:%M:%S} +0000"
            query = "?email=someone%40example.org" if rng.random() < 0.02 else ""
            yield f'{address} - - [{stamp}] "GET {page}{query} HTTP/1.1" 200 5120 "{referrer}" "{agent}"\n'
            if rng.random() < 0.3:
                yield f'{address} - - [{stamp}] "GET /assets/site.css HTTP/1.1" 200 812 "-" "{agent}"\n'
            if rng.random() < 0.002:
                yield f'{address} - - [{stamp}] "GET {page}\n'


def w3c(rng: Random, days: list[date], visitors: int) -> Iterator[str]:
    """Lines of an IIS log; the header comes again each day, as after a restart of the service."""
    for day in days:
        yield W3C_HEADER.format(at=datetime.combine(day, time(0), UTC))
        for at, address, agent, referrer, page in hits(rng, day, ORDER_PAGES, visitors):
            query = "sNextUrl=%2FDefault%2Easp&thisHost=orders.example" if page.endswith("logon.asp") else "-"
            yield (
                f"{at:%Y-%m-%d %H:%M:%S} 203.0.113.10 GET {page} {query} 443 - {address} {agent.replace(' ', '+')} "
                f"{referrer} 200 0 0 {rng.randrange(5, 400)}\r\n"
            )


def write(folder: Path, days: list[date], seed: int = 7) -> tuple[Path, Path]:
    """Write both sample logs into `folder`; returns (combined log, IIS log)."""
    rng = Random(seed)  # noqa: S311 - sample data, not secrets
    folder.mkdir(parents=True, exist_ok=True)
    access, iis = folder / "surrey-access.log", folder / "orders-iis.log"
    access.write_text("".join(combined(rng, days, 160)), encoding="utf-8", newline="")
    iis.write_text("".join(w3c(rng, days, 120)), encoding="utf-8", newline="")
    return access, iis
