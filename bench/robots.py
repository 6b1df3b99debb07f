"""How well robots are told from people, on lists that nobody here wrote, and what one look costs.

    python bench/robots.py [--robots FILE ...] [--people FILE ...]

Without files: the crawler list and the real log beside the checkout (../shared/data); where they are absent, only the
generated browsers are counted. A FILE has one user agent a line; published ones are the fixtures of the packages
`crawlerdetect` (crawlers.txt, devices.txt; MIT) and `user-agents` (BSD-2-Clause). An instance is one distinct agent.
The crawler list is split by the first bit of SHA-256 of its pattern, other lists by that of the agent: rules were made
by looking at the even half only. Of a people's list only what names a browser engine or Opera counts as a browser;
an application's plain HTTP client is no page view, is dropped as `library`, and is shown in its own column.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from anonymiser import agents, robots

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
CRAWLERS = DATA / "lists" / "crawler-user-agents.json"
LOG = DATA / "weblogs" / "apache-10k" / "access.log"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
BROWSER = re.compile(r"Mozilla/|Opera[ /]")


def held_out(text: str) -> bool:
    """Whether the text belongs to the half that no rule was made by looking at."""
    return bool(hashlib.sha256(text.encode()).digest()[0] & 1)


def reason(agent: str) -> str:
    """As the product sees it, without its memory of earlier agents."""
    return robots.reason(agent[: agents.MAX_AGENT].strip())


def recall(name: str, found: Sequence[str]) -> None:
    """One row: robots found, and why."""
    reasons = Counter(map(reason, found))
    caught = len(found) - reasons.pop("", 0)
    why = ", ".join(f"{name} {count}" for name, count in reasons.most_common())
    print(f"{name:42}{len(found):8,}{caught:8,}{caught / len(found):9.2%}  {why}")


def mistakes(name: str, found: Sequence[str]) -> None:
    """One row: people turned away, browsers and the rest apart."""
    browsers = [agent for agent in found if BROWSER.search(agent)]
    wrong = sum(bool(reason(agent)) for agent in browsers)
    rest = sum(bool(reason(agent)) for agent in found) - wrong
    print(
        f"{name:42}{len(browsers):8,}{wrong:8,}{wrong / len(browsers):9.2%}{rest:8,} of {len(found) - len(browsers):,}"
    )


def halves(agents_found: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The tuned and the held-out part of a list."""
    return [(part, [a for a in agents_found if held_out(a) == odd]) for part, odd in (("tuned", 0), ("held out", 1))]


def crawlers() -> list[tuple[str, list[str]]]:
    """The crawler list's instances by half."""
    entries = json.loads(CRAWLERS.read_text("utf-8"))
    split = {
        odd: {a for e in entries if held_out(e["pattern"]) == odd for a in e.get("instances", ())} for odd in (0, 1)
    }
    return [("crawler list, tuned", sorted(split[0])), ("crawler list, held out", sorted(split[1] - split[0]))]


def logged() -> list[str]:
    """The distinct agents of a real log (May 2015)."""
    lines = LOG.read_text("utf-8", errors="replace").splitlines()
    return sorted({line.split('"')[5] for line in lines if line.count('"') == 6})


def generated() -> list[str]:
    """What the usual browsers send: platforms x browsers x versions, by the published grammar of each."""
    platforms = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64",
                 "X11; CrOS x86_64 14541.0.0", "Linux; Android 10; K", "Linux; Android 14; Pixel 8")  # fmt: skip
    tails = ("", " Edg/{}.0.0.0", " OPR/{}.0.0.0", " Vivaldi/7.{}")
    chromes = [
        f"Mozilla/5.0 ({place}) {WEBKIT} Chrome/{v}.0.0.0 {mobile}Safari/537.36{tail.format(v)}"
        for place, tail, v in product(platforms, tails, range(60, 160, 4))
        for mobile in ["Mobile " * ("Android" in place)]
    ]
    foxes = [
        f"Mozilla/5.0 ({place}; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"
        for place, v in product(platforms[:3], range(40, 160, 2))
    ]
    return chromes + foxes


def cost(name: str, found: Sequence[str]) -> None:
    """CPU microseconds a distinct agent, all four answers, in the order of a first reading."""
    identify = agents.identify.__wrapped__
    began = time.process_time()
    for agent in found:
        identify(agent)
    print(f"{name:42}{len(found):8,}{(time.process_time() - began) / len(found) * 1e6:8.1f}")


def main(extra_robots: Sequence[Path], extra_people: Sequence[Path]) -> None:
    """Print recall, mistakes and cost."""
    made, real = generated(), logged() if LOG.exists() else []
    listed = crawlers() if CRAWLERS.exists() else []
    for file in extra_robots:
        listed += [(f"{file.name}, {part}", found) for part, found in halves(lines(file))]
    people = [("generated", made)]
    for file in extra_people:
        people += [(f"{file.name}, {part}", found) for part, found in halves(lines(file))]
    print(f"{'robots':42}{'agents':>8}{'found':>8}{'recall':>9}  reasons")
    for name, found in listed:
        recall(name, found)
    if not listed:
        print(f"(no list of crawlers in {DATA})")
    print(f"\n{'people':42}{'browsers':>8}{'wrong':>8}{'':9}   and no browsers")
    for name, found in people:
        mistakes(name, found)
    print(f"\n{'cost':42}{'agents':>8}{'us each':>8}")
    for name, found in [("generated", made), *([("a real log", real)] if real else []), *listed[:2]]:
        cost(name, found)


def lines(file: Path) -> list[str]:
    """The distinct lines of a file of agents."""
    return list(dict.fromkeys(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=Path, nargs="*", default=[])
    parser.add_argument("--people", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    main(arguments.robots, arguments.people)
