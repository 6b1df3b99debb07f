"""A slow, plain reading of the same logs: one line, one view, one browser at a time. The engine must agree with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from anonymiser import agents, facts, sources
from anonymiser.settings import SiteRules
from anonymiser.weblogs.targets import read_target

NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: n for n, name in enumerate(NAMES, start=1)}
MAX_LINE = 65_536


@dataclass
class Hit:
    number: int
    at: datetime
    ip: str
    agent: str | None
    method: str
    target: str
    referrer: str
    status: int


@dataclass
class Outcome:
    read: int = 0
    counted: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: list[int] = field(default_factory=list)
    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    pieces = data.split(b"\n")
    if pieces[-1] == b"":
        pieces.pop()
    for number, piece in enumerate(pieces, start=1):
        yield number, piece.decode("utf-8", "replace").rstrip("\r")


def quoted(text: str) -> list[str]:
    """The pieces between quotation marks; a backslash makes the next character an ordinary one."""
    pieces, piece, escaped = [], "", False
    for character in text:
        if escaped:
            piece += {'"': "'", "\\": "/"}.get(character, "\\" + character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            pieces.append(piece)
            piece = ""
        else:
            piece += character
    return [*pieces, piece + ("\\" if escaped else "")]


def combined(path: Path) -> Iterator[Hit | str | int]:
    """A hit, a reason to drop, or the number of a line that cannot be read."""
    for number, text in lines(path):
        if text == "":
            yield "blank"
            continue
        hit = None if len(text.encode()) > MAX_LINE else combined_hit(number, quoted(text))
        yield number if hit is None else hit


def combined_hit(number: int, pieces: list[str]) -> Hit | None:
    stamp = re.search(r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\]", pieces[0])
    if (len(pieces) != 3 and len(pieces) < 7) or stamp is None:
        return None
    day, month, year, hour, minute, second, sign, off_hours, off_minutes = stamp.groups()
    try:
        at = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), int(second))  # noqa: DTZ001
    except (KeyError, ValueError):
        return None
    offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
    at = at - offset if sign == "+" else at + offset
    status = pieces[2].strip(" ").split(" ")[0]
    if not re.fullmatch(r"[1-5]\d\d", status):
        return None
    words = [*pieces[1].split(" "), "", ""]
    who = pieces[0].split(" [")[0].split(" ")
    ip = who[1] if len(who) > 3 and not re.fullmatch(r"[0-9a-fA-F.:]+", who[0]) else who[0]
    full = len(pieces) >= 7
    agent, referrer = (pieces[5], pieces[3]) if full else (None, "")
    return Hit(number, at, ip, agent, words[0], words[1], referrer, int(status))


def w3c(path: Path) -> Iterator[Hit | str | int]:
    names: list[str] = []
    today = ""
    for number, text in lines(path):
        if text.startswith("#"):
            yield "directive"
            if text.lower().startswith("#fields:"):
                names = text[8:].lower().split()
            elif match := re.match(r"#date:\s*(\d{4}-\d\d-\d\d)", text.lower()):
                today = match[1]
            continue
        pieces = [piece for piece in text.split(" ") if piece]
        if not pieces:
            yield "blank"
            continue
        yield w3c_hit(number, names, pieces, today) or number


def w3c_hit(number: int, names: list[str], pieces: list[str], today: str) -> Hit | None:
    if "cs-uri-stem" not in names or len(pieces) != len(names):
        return None
    row = dict(zip(names, pieces, strict=True))
    try:
        at = datetime.strptime(f"{row.get('date', today)} {row.get('time', '00:00:00')}", "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    status = row.get("sc-status", "200")
    if not re.fullmatch(r"[1-5]\d\d", status):
        return None
    query = row.get("cs-uri-query", "-")
    target = row["cs-uri-stem"] + ("" if query == "-" else f"?{query}")
    agent = row["cs(user-agent)"].replace("+", " ") if "cs(user-agent)" in row else None
    method, referrer = row.get("cs-method", "GET"), row.get("cs(referer)", "-")
    return Hit(number, at, row.get("c-ip", ""), agent, method, target, referrer, int(status))


def reason(hit: Hit, rules: SiteRules) -> str:
    """Why a line is no view of a person: "" if it is one."""
    kind = read_target(hit.target)[2]
    if hit.method != "GET":
        return "method"
    if kind in ("asset", "health"):
        return kind
    stranger = strange(hit, rules)
    if stranger:
        return stranger
    if hit.status == 404:
        return "not-found"
    if hit.status == 304 or 200 <= hit.status < 300:
        return kind
    return "redirect" if 300 <= hit.status < 400 else "error"


def strange(hit: Hit, rules: SiteRules) -> str:
    if any(ip_address(hit.ip) in ip_network(network) for network in rules.excluded_networks):
        return "network"
    bot = agents.identify(hit.agent).bot if hit.agent is not None else ""
    if bot:
        return f"bot-{bot}"
    return "spam" if sources.SPAM.search(sources.referrer_host(hit.referrer)) else ""


class Browser:
    """The counters one browser would have kept itself on one day."""

    def __init__(self) -> None:
        self.n = self.v = self.k = 0
        self.last: datetime | None = None
        self.prev = ""
        self.seen: dict[str, set[str]] = {}

    def first(self, kind: str, page: str) -> int:
        known = self.seen.setdefault(kind, set())
        if page in known:
            return 0
        known.add(page)
        return len(known)

    def beacon(self, rules: SiteRules, day: str, hit: Hit) -> facts.Beacon:
        _, page, _, campaign, utm_source, utm_medium = read_target(hit.target)
        if self.last is None or hit.at - self.last > timedelta(minutes=30):
            self.v, self.k, self.prev = self.v + 1, 0, ""
        self.n, self.k, self.last = self.n + 1, self.k + 1, hit.at
        made = facts.Beacon(
            rules.key, "", "", day, "pageview", page, prev=self.prev, n=self.n, p=self.first("page", page), v=self.v,
            k=self.k, gap="first", referrer=sources.referrer_host(hit.referrer), utm_source=utm_source,
            utm_medium=utm_medium, utm_campaign=campaign,
        )  # fmt: skip
        self.prev = page
        return made


UNKNOWN_TO_LOGS = ("returning", "countries", "languages", "screens")


def read(path: Path, rules: SiteRules, parse: object = combined) -> Outcome:
    assert callable(parse)
    outcome = Outcome()
    people: list[tuple[Hit, str]] = []
    for found in parse(path):
        outcome.read += 1
        if isinstance(found, str):
            outcome.dropped[found] += 1
        elif isinstance(found, int):
            outcome.rejected.append(found)
        else:
            why = reason(found, rules)
            people += [(found, why)] if why in ("", "download", "not-found") else []
            if why:
                outcome.dropped[why] += 1
            else:
                outcome.counted += 1
    count(outcome, people, rules)
    return outcome


def count(outcome: Outcome, people: list[tuple[Hit, str]], rules: SiteRules) -> None:
    browsers: dict[tuple[str, str, str], Browser] = {}
    for hit, why in sorted(people, key=lambda pair: (pair[0].at, pair[0].number)):
        local = hit.at.replace(tzinfo=UTC).astimezone(ZoneInfo(rules.timezone))
        day = local.date().isoformat()
        browser = browsers.setdefault((day, hit.ip, hit.agent or ""), Browser())
        agent = agents.identify(hit.agent or "")
        if why:
            page = read_target(hit.target)[1]
            beacon = facts.Beacon(
                rules.key, "", "", day, why.replace("-", "_"), page, key=page, g=browser.first(why, page)
            )
        else:
            beacon = browser.beacon(rules, day, hit)
        for fact in facts.shred(beacon, agent, local.hour, rules.own_hosts):
            if fact.statistic not in UNKNOWN_TO_LOGS:
                outcome.counts[(day, fact.statistic, fact.key1, fact.key2)] += fact.delta
