"""Write a realistic combined log: Zipf pages, real-looking browsers and robots, referrers, campaigns, private data in
addresses, broken lines, IPv6. Deterministic for a seed.

    python bench/generate.py 1000000 /tmp/access.log
"""

from __future__ import annotations

import sys
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 14
PAGES = 3_000
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{w} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.{w} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36 "
    "Edg/{v}.0.0.0",
)
ROBOTS = (
    "Mozilla/5.0 (compatible; ExampleBot/{v}.1; +http://bot.example/about)",
    "ExampleFetcher/{v}.0 (+https://fetch.example)",
    "python-requests/2.{w}",
    "curl/8.{w}.0",
)
REFERRERS = ("-", "https://www.google.com/", "https://www.bing.com/search?q=desk", "https://news.example/{p}",
             "https://chatgpt.com/", "https://www.linkedin.com/feed/")  # fmt: skip
ASSETS = ("/assets/site.css", "/assets/app.js", "/img/{p}.webp", "/favicon.ico", "/fonts/inter.woff2")
PRIVATE = ("?email=jo{p}%40example.org", "?tel=07700%209001{w:02}", "?session={p:032x}", "?q=desk+for+TN4+8{w:02}X")
BROKEN = ('{ip} - - [{t}] "GET /cut', "\x16\x03\x01\x02", '{ip} - - [{t}] "-" 408 0 "-" "-"', "")


class Zipf:
    """Draws 0 … n-1 with probability 1/(rank + 1)^s."""

    def __init__(self, rng: Random, n: int, s: float) -> None:
        self._rng = rng
        self._edges = list(accumulate(1 / (rank + 1) ** s for rank in range(n)))

    def draw(self) -> int:
        return bisect(self._edges, self._rng.random() * self._edges[-1])


def lines(count: int, seed: int = 1) -> Iterator[str]:
    """`count` log lines in order of time."""
    rng = Random(seed)
    page = Zipf(rng, PAGES, 1.05)
    visitors = max(50, count // 12)
    agents = [_agent(rng) for _ in range(4_000)]
    step = timedelta(days=DAYS) / count
    for number in range(count):
        at = f"{START + step * number:%d/%b/%Y:%H:%M:%S} +0000"
        who = rng.randrange(visitors)
        ip = f"2001:db8::{who:x}" if who % 7 == 0 else f"10.{who >> 16 & 255}.{who >> 8 & 255}.{who & 255}"
        yield _line(rng, page.draw(), ip, at, agents[who % len(agents)])


def _agent(rng: Random) -> str:
    kind = ROBOTS if rng.random() < 0.12 else BROWSERS
    return rng.choice(kind).format(v=rng.randrange(100, 145), w=rng.randrange(0, 9))


def _line(rng: Random, page: int, ip: str, at: str, agent: str) -> str:
    chance = rng.random()
    if chance < 0.001:
        return rng.choice(BROKEN).format(ip=ip, t=at) + "\n"
    target = rng.choice(ASSETS).format(p=page) if chance < 0.45 else f"/catalogue/{page // 40}/{page}"
    if chance > 0.99:
        target += rng.choice(PRIVATE).format(p=page, w=page % 90 + 10)
    elif chance > 0.97:
        target += "?utm_source=newsletter&utm_medium=email&utm_campaign=spring"
    status = rng.choices((200, 304, 301, 404, 500), (88, 5, 3, 3.5, 0.5))[0]
    method = rng.choices(("GET", "POST", "HEAD"), (96, 3, 1))[0]
    referrer = rng.choice(REFERRERS).format(p=page)
    size = rng.randrange(200, 60_000)
    return f'{ip} - - [{at}] "{method} {target} HTTP/1.1" {status} {size} "{referrer}" "{agent}"\n'


def write(path: Path, count: int, seed: int = 1) -> None:
    """Write `count` lines to `path`."""
    with path.open("w", encoding="utf-8", newline="") as log:
        log.writelines(lines(count, seed))


if __name__ == "__main__":
    if len(sys.argv) == 1:  # `make bench` runs every file of this folder
        print(__doc__)
    elif len(sys.argv) != 3:
        sys.exit(__doc__)
    else:
        write(Path(sys.argv[2]), int(sys.argv[1]))
