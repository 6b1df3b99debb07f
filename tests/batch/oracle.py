"""A slow, plain reading of the same logs: one line, one view, one browser at a time. The engine must agree with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote
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
        if text.strip('"') == "":
            yield "blank"
            continue
        hit = None if len(text.encode()) > MAX_LINE else combined_hit(number, quoted(text))
        yield number if hit is None else hit


def combined_hit(number: int, pieces: list[str]) -> Hit | None:
    stamp = re.search(r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] *$", pieces[0])
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
    ip = who[1] if len(who) > 3 and who[1] != "-" and (is_address(who[1]) or not is_address(who[0])) else who[0]
    full = len(pieces) >= 7
    agent, referrer = (pieces[5], pieces[3]) if full else (None, "")
    return Hit(number, at, ip, agent, words[0], words[1], referrer, int(status))


def is_address(text: str) -> bool:
    """Whether it looks like one: 192.0.2.7, 2001:db8::7, and neither cafe.de:80 nor 192.0.2.7:80."""
    return bool(re.fullmatch(r"(?a)\d+(\.\d+)+|[0-9a-fA-F]*:[0-9a-fA-F:.]+", text))


def w3c(path: Path, fields: str = "") -> Iterator[Hit | str | int]:
    """W3C logs; `fields` are the columns in force before the file's first directive."""
    names = fields.lower().split()
    today = ""
    for number, text in lines(path):
        if text.startswith("#"):
            yield "directive"
            if text.lower().startswith("#fields:"):
                names = text[8:].lower().split()
            elif match := re.match(r"#(?:start-)?date:\s*(\S+)", text, re.IGNORECASE):
                today = w3c_day(match[1]) or today
        elif not text.strip(" \t"):
            yield "blank"
        else:
            yield (None if too_long(text) else w3c_hit(number, names, text, today)) or number


def too_long(text: str) -> bool:
    return len(text.encode()) > MAX_LINE


def w3c_day(text: str) -> str:
    for form in ("%Y-%m-%d", "%d-%b-%Y"):
        with suppress(ValueError):
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007
    return ""


def w3c_pieces(text: str, width: int) -> list[str]:
    pieces = text.split("\t")
    if "\t" not in text or len(pieces) != width:
        pieces = [piece for piece in text.replace("\t", " ").split(" ") if piece]
    if len(pieces) != width and '"' in text:
        pieces = re.findall(r'"(?:[^"]|"")*"|[^ \t]+', text)
    return [piece[1:-1].replace('""', '"') if re.fullmatch(r'(?s)".*"', piece) else piece for piece in pieces]


def w3c_hit(number: int, names: list[str], text: str, today: str) -> Hit | None:
    pieces = w3c_pieces(text, len(names))
    if len(pieces) != len(names):
        return None
    row = dict(reversed(list(zip(names, pieces, strict=True))))  # of two columns of one name the first counts

    def first(default: str, *known: str) -> str:
        return next((row[name] for name in known if name in row), default)

    stem, query = first("", "cs-uri-stem", "cs-uri-path", "cs-uri"), first("-", "cs-uri-query")
    at = iso(first(today, "date"), first("00:00:00", "time"))
    status = first("200", "sc-status")
    if not any(name in row for name in ("cs-uri-stem", "cs-uri-path", "cs-uri")) or at is None or not is_status(status):
        return None
    agent = next((row[name] for name in ("cs(user-agent)", "c-agent", "cs-user-agent") if name in row), None)
    if agent is not None and " " not in agent:
        agent = agent.replace("+", " ")
    referrer = first("-", "cs(referer)", "cs(referrer)", "cs-referred", "cs-referer")
    target = stem if query in ("", "-") or "?" in stem else f"{stem}?{query.lstrip('?')}"
    return Hit(
        number, at, first("", "c-ip", "cs-ip", "c-dns"), agent, first("GET", "cs-method"), target, referrer, int(status)
    )


def is_status(text: str) -> bool:
    return bool(re.fullmatch(r"[1-5][0-9]{2}", text))


def iso(day: str, clock: str) -> datetime | None:
    """A date and a time without a zone; what is below a second does not count."""
    if not re.fullmatch(r"(?a)[12]\d{3}-\d\d-\d\d", day) or not re.fullmatch(r"(?a)\d\d:\d\d(:\d\d(\.\d+)?)?", clock):
        return None
    try:
        return datetime.strptime(f"{day} {(clock + ':00')[:8]}", "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None


def by_line(parse: Callable[[int, str], Hit | None], blanks: str = "") -> Callable[[Path], Iterator[Hit | str | int]]:
    """A reader of files in which each line stands for itself."""

    def read_file(path: Path) -> Iterator[Hit | str | int]:
        for number, text in lines(path):
            if not text.strip(blanks):
                yield "blank"
            else:
                yield (None if too_long(text) else parse(number, text)) or number

    return read_file


def native_hit(number: int, text: str) -> Hit | None:
    pieces = text.split(", ")
    if len(pieces) < 14 or not is_status(pieces[10]) or not re.fullmatch(r"(?a)\d{1,2}:\d\d:\d\d", pieces[3]):
        return None
    year = next(
        (
            y
            for y, long in (("y", r"\d\d"), ("Y", r"[12]\d{3}"))
            if re.fullmatch(rf"(?a)\d{{1,2}}/\d{{1,2}}/{long}", pieces[2])
        ),
        "",
    )
    try:
        at = datetime.strptime(f"{pieces[2]} {pieces[3]}", f"%m/%d/%{year} %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    query = pieces[14].rstrip(",") if len(pieces) > 14 else ""
    target = pieces[13].rstrip(",") + (f"?{query}" if query not in ("", "-") else "")
    return Hit(number, at, pieces[0], None, pieces[12], target, "", int(pieces[10]))


def balancer_hit(number: int, text: str) -> Hit | None:
    parts = quoted(text)
    pieces = parts[0].rstrip(" ").split(" ")
    if len(parts) < 5 or len(pieces) not in (11, 12):
        return None
    stamp, status = pieces[-11], pieces[-4]
    match = re.fullmatch(r"(?a)([0-9-]{10})T([0-9:]{8})(\.\d+)?Z", stamp)
    at = iso(match[1], match[2]) if match else None
    if at is None or not is_status(status):
        return None
    words = [*parts[1].split(" "), "", ""]
    ip = re.sub(r"(?a):\d+$", "", pieces[-9]).strip("[]")
    return Hit(number, at, ip, parts[3], words[0], words[1], "", int(status))


Names = tuple[str, ...]
STAMPS: Names = ("ts", "StartUTC", "time_iso8601", "time_local", "timestamp", "time", "@timestamp", "msec")
ADDRESSES: Names = (
    *("request/client_ip", "request/remote_ip", "ClientHost", "remote_addr", "client_ip", "clientip", "remoteIP"),
    "remote_ip",
)
AGENTS: Names = (
    *("request/headers/User-Agent/0", "request_User-Agent", "http_user_agent", "user_agent", "userAgent", "agent"),
)
METHODS: Names = ("request/method", "RequestMethod", "request_method", "method", "verb")
TARGETS: Names = ("request/uri", "RequestPath", "request_uri", "uri", "path", "url")
REFERRERS: Names = (
    *("request/headers/Referer/0", "request_Referer", "http_referer", "http_referrer", "referer", "referrer"),
)
STATUSES: Names = ("status", "DownstreamStatus", "response_status", "statusCode")


def json_hit(number: int, text: str) -> Hit | None:
    found = json_object(text)
    if found is None:
        found = json_object(text.replace("\\x", "\\u00"))
    if not isinstance(found, dict):
        return None
    request = json_first(found, ("request",))
    request = None if request is not None and request.startswith("{") else request
    words = [*(request or "").split(" "), ""]
    target = json_first(found, TARGETS)
    at, status = json_time(json_first(found, STAMPS) or ""), json_first(found, STATUSES) or ""
    whole = target if target is not None else request
    if at is None or whole is None or not is_status(status):
        return None
    query = json_first(found, ("query", "args", "query_string")) or ""
    if target is None:
        target = words[1] or whole
    if query not in ("", "-") and "?" not in whole:
        target += "?" + query.lstrip("?")
    ip = json_first(found, ADDRESSES)
    if ip is None:
        ip = re.sub(r"(?a):\d+$", "", json_first(found, ("request/remote_addr", "ClientAddr")) or "").strip("[]")
    method = json_first(found, METHODS)
    return Hit(number, at, ip, json_first(found, AGENTS), words[0] if method is None else method, target,
               json_first(found, REFERRERS) or "", int(status))  # fmt: skip


def json_object(text: str) -> Any:
    """What stands there, numbers as their text; of two names the first counts. None where it is no JSON."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(reversed(found))

    for attempt in (text, re.sub(r",([ \t]*[}\]])", r"\1", text)):  # a comma before the end is forgiven
        with suppress(ValueError):
            value = json.loads(attempt, object_pairs_hook=pairs, parse_int=str, parse_float=str)
            json.dumps(value, ensure_ascii=False).encode()
            return value
    return None


def json_first(found: dict[str, Any], paths: Names) -> str | None:
    for path in paths:
        value: Any = found
        for name in path.split("/"):
            if isinstance(value, list):
                value = value[0] if value and name == "0" else None
            else:
                value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return None


def json_time(stamp: str) -> datetime | None:
    stamp = stamp.strip("[]")
    if match := re.fullmatch(r"(?a)(\d{9,10}|\d{12,13})(\.\d+)?|(\d{18,19})", stamp):
        whole = match[1] or match[3]
        return datetime.fromtimestamp(int(whole) // 10 ** (len(whole) // 3 * 3 - 9), UTC).replace(tzinfo=None)
    if match := re.fullmatch(r"(?a)(\d\d/[A-Z][a-z]{2}/[12]\d{3}:\d\d:\d\d:\d\d) ([+-])(\d\d)(\d\d)", stamp):
        clock, form = match[1], "%d/%b/%Y:%H:%M:%S"
    elif match := re.fullmatch(
        r"(?a)([12]\d{3}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:Z| ?([+-])(\d\d):?(\d\d))?", stamp
    ):
        clock, form = match[1].replace("/", "-").replace("T", " "), "%Y-%m-%d %H:%M:%S"
    else:
        return None
    ahead = timedelta(hours=int(match[3] or 0), minutes=int(match[4] or 0))
    try:
        return datetime.strptime(clock, form) + (ahead if match[2] == "-" else -ahead)  # noqa: DTZ007
    except ValueError:
        return None


native, balancer, json_lines = by_line(native_hit), by_line(balancer_hit), by_line(json_hit, " \t")


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
    if excluded(hit.ip, rules):
        return "network"
    bot = identified(hit.agent).bot if hit.agent is not None else ""
    if bot:
        return f"bot-{bot}"
    return "spam" if sources.SPAM.search(sources.referrer_host(hit.referrer)) else ""


def excluded(ip: str, rules: SiteRules) -> bool:
    with suppress(ValueError):
        return any(ip_address(ip) in ip_network(network) for network in rules.excluded_networks)
    return False


def identified(agent: str) -> agents.Agent:
    """CloudFront writes user agents percent-encoded, and what was encoded before once more."""
    return agents.identify(unquote(unquote(agent)) if "%20" in agent else agent)


class Browser:
    """The counters one browser would have kept itself on one day."""

    def __init__(self) -> None:
        self.n = self.v = self.k = 0
        self.last: datetime | None = None
        self.came: tuple[str, str, str, str] = ("", "", "", "")
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
            self.came = page if rules.crossed else "", sources.referrer_host(hit.referrer), utm_source, utm_medium
        self.n, self.k, self.last = self.n + 1, self.k + 1, hit.at
        entry, referrer, utm_source, utm_medium = self.came
        made = facts.Beacon(
            rules.key, "", "", day, "pageview", page, prev=self.prev, n=self.n, p=self.first("page", page), v=self.v,
            k=self.k, gap="first", entry=entry, referrer=referrer, utm_source=utm_source, utm_medium=utm_medium,
            utm_campaign=campaign,
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
        agent = identified(hit.agent or "")
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
