"""The default engine: DuckDB in memory. It has no temporary folder, so no raw row can reach a disk."""

from __future__ import annotations

import gc
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from functools import cache, partial
from importlib.resources import files as package_files
from ipaddress import ip_address, ip_network
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from anonymiser import agents, bounds, sources, weblogs
from anonymiser.engines import END_OF_TIME, Counts, LogCounts
from anonymiser.engines.requests import REJECTED, Requests, described
from anonymiser.engines.visits import visits
from anonymiser.errors import InputError
from anonymiser.facts import Fact
from anonymiser.settings import SiteRules
from anonymiser.weblogs import combined, plain
from anonymiser.weblogs.lines import MAX_LINE, pieces
from anonymiser.weblogs.targets import ASSET_TARGET, Target, read_target

IDLE_MINUTES: Final = 30
ROWS_AT_ONCE: Final = 50_000
EVENTS_AT_ONCE: Final = 400_000
ODD_AT_ONCE: Final = 64 * 1024 * 1024
LIMITS: Final = {
    "views": bounds.VIEWS_PER_DAY,
    "visits": bounds.VISITS_PER_DAY,
    "pages": bounds.PAGES_PER_DAY,
    "exits": bounds.EXIT_VIEWS,
    "events": bounds.EVENTS_PER_DAY,
}


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return package_files("anonymiser").joinpath("sql", f"{name}.sql").read_text("utf-8")


class DuckDBEngine:
    """Counts in an in-memory DuckDB of its own for each call; `memory` such as "2GB" is its limit."""

    def __init__(self, memory: str = "2GB") -> None:
        self._memory = memory

    def sum_facts(self, facts: Iterable[Fact]) -> Counts:
        """Add facts up; cells that come to zero are left out."""
        columns = list(zip(*facts, strict=True)) or [()] * len(Fact._fields)
        types = dict.fromkeys(Fact._fields, pa.string()) | {"delta": pa.int64()}
        arrays = [pa.array(column, types[name]) for name, column in zip(Fact._fields, columns, strict=True)]
        with self._connection() as connection:
            connection.register("facts", pa.table(arrays, names=list(Fact._fields)))
            return _counts(connection.execute(statement("sum_facts")))

    def count_logs(
        self,
        files: Sequence[Path],
        rules: SiteRules,
        *,
        format: str = "auto",  # noqa: A002 - the option's own name
        latest: datetime = END_OF_TIME,
        progress: Callable[[int, int], None] | None = None,
    ) -> LogCounts:
        """Read, clean, sessionise and count log files of one site."""
        weblogs.check_files(files)
        formats = [_format(path, format) for path in files]
        with self._connection() as connection, _uncollected():
            requests = Requests()
            digests = _read(connection, requests, files, formats, latest, progress)
            _dictionaries(connection, requests, rules)
            pa.default_memory_pool().release_unused()
            return _result(connection, requests, digests, crossed=rules.crossed)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            ":memory:",
            config={"memory_limit": self._memory, "temp_directory": "", "autoinstall_known_extensions": "false"},
        )
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # after two seconds it would write to standard output
        return connection


@contextmanager
def _uncollected() -> Iterator[None]:
    """Texts by the hundred thousand, and no cycles among them: the collector would look for some again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _format(path: Path, asked: str) -> str:
    if asked == "auto":
        return weblogs.detect(path)
    if asked not in weblogs.FORMATS:
        raise InputError(f"unknown format {asked!r}; known are auto, {', '.join(weblogs.FORMATS)}")
    return asked


def _read(
    connection: duckdb.DuckDBPyConnection,
    requests: Requests,
    files: Sequence[Path],
    formats: Sequence[str],
    latest: datetime,
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Take in every line of every file; returns each file's SHA-256."""
    total, done = sum(map(weblogs.size, files)), 0
    digests = []
    for path, name in zip(files, formats, strict=True):
        text, raw = weblogs.opened(path)
        with raw, text:
            source = _Watched(text, raw, partial(_report, progress, done, total))
            try:
                requests.begin(path.name)
                _take(connection, requests, name, source, latest.astimezone(UTC).replace(tzinfo=None))
            except (EOFError, zlib.error, OSError, duckdb.Error, pa.ArrowInvalid) as error:
                raise _unreadable(path, source, error) from error
        digests.append(source.digest.hexdigest())
        done += weblogs.size(path)
    return digests


def _unreadable(path: Path, source: _Watched, error: Exception) -> InputError:
    """DuckDB reports what its reader raised as an error of its own; `source` knows the cause."""
    cause = source.failure or error
    if isinstance(cause, duckdb.OutOfMemoryException):
        return InputError(f"{path}: needs more memory than was allowed; give more with --memory")
    return InputError(f"{path}: cannot be unpacked or read to its end ({cause}); nothing of it was counted")


def _report(progress: Callable[[int, int], None] | None, done: int, total: int, at: int) -> None:
    if progress:
        progress(done + at, total)


def _take(
    connection: duckdb.DuckDBPyConnection, requests: Requests, name: str, source: IO[bytes] | Any, latest: datetime
) -> None:
    """Take in every line of one file: those just as they should be at once, all others through SQL."""
    fast = weblogs.FORMATS[name].SQL == combined.SQL
    left = _odd(requests, source, latest) if fast else [weblogs.batches(name, weblogs.blocks(source))]
    for batches in left:
        for batch in _through_sql(connection, name, batches, latest):
            requests.add(batch)


def _odd(requests: Requests, source: IO[bytes] | Any, latest: datetime) -> Iterator[Iterator[pa.RecordBatch]]:
    """Take in the plain lines; what is left to SQL is handed on, as much at once as memory should hold."""
    first, odd = 1, list[pa.RecordBatch]()
    for cut in plain.cuts(pieces(source), latest):
        requests.add_plain(cut, first)
        odd.append(cut.left_to_sql(first))
        first += cut.lines
        if sum(batch.nbytes for batch in odd) > ODD_AT_ONCE:
            yield iter(odd)
            odd = []
    yield iter(odd)


def _through_sql(
    connection: duckdb.DuckDBPyConnection, name: str, batches: Iterator[pa.RecordBatch], latest: datetime
) -> Iterator[pa.RecordBatch]:
    """Lines as `sql/keep.sql` has them, in order, while the engine reads on."""
    first = next(batches, None)
    if first is None:
        return
    reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
    connection.register("blocks", reader)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW lines AS {statement('lines')}")
    reading = f"({statement(weblogs.FORMATS[name].SQL)}) AS lines_read"
    values = {"max_line": MAX_LINE, "assets": ASSET_TARGET, "latest": latest}
    yield from connection.execute(statement("keep").replace("lines_read", reading), values).to_arrow_reader(
        ROWS_AT_ONCE
    )
    connection.unregister("blocks")


class _Watched:
    """A file that tells how far it is, and remembers the digest of what was read."""

    def __init__(self, text: IO[bytes], raw: IO[bytes], report: Callable[[int], None]) -> None:
        self._text, self._raw, self._report = text, raw, report
        self.digest = hashlib.sha256()
        self.failure: Exception | None = None

    def read(self, size: int) -> bytes:
        """The next bytes."""
        try:
            data = self._text.read(size)
        except (EOFError, zlib.error, OSError) as error:
            self.failure = error
            raise
        self.digest.update(data)
        with suppress(OSError):  # a pipe has no position
            self._report(self._raw.tell())
        return data


def _dictionaries(connection: duckdb.DuckDBPyConnection, requests: Requests, rules: SiteRules) -> None:
    """Python looks at each distinct text once; what it found goes to the rows by the texts' numbers."""
    table, texts = requests.numbered()
    targets = [read_target(text) for text in texts["target"].to_pylist()]
    pages = {page: number for number, page in enumerate(dict.fromkeys(target.page for target in targets))}
    found = [_agent(text) for text in texts["agent"].to_pylist()]
    hosts = [sources.referrer_host(text) for text in texts["referrer"].to_pylist()]
    _dictionary(connection, "pages", ("page", "page_id"), pages.items())
    rows = ((number, target.campaign, *_tag(target)) for number, target in enumerate(targets))
    _dictionary(connection, "targets", ("target_id", "campaign", "utm_source", "utm_medium"), rows)
    _dictionary(
        connection, "agents", ("agent_id", "browser", "system", "device"), ((n, *a[:3]) for n, a in enumerate(found))
    )
    _sources(connection, table, list(map(_tag, targets)), hosts, rules.own_hosts)
    table = described(table, "target", page_id=pa.array([pages[target.page] for target in targets], pa.int32()))
    table = described(table, "target", kind=pa.array([target.kind for target in targets], pa.string()))
    table = described(table, "agent", bot=pa.array([f"bot-{bot}" if bot else "" for *_, bot in found], pa.string()))
    table = described(table, "referrer", spam=pa.array([bool(sources.SPAM.search(host)) for host in hosts], pa.bool_()))
    table = described(table, "ip", excluded=_excluded(texts["ip"], rules))
    connection.register("requests", table)
    connection.execute(f"CREATE TEMP TABLE events AS {statement('events')}", {"zone": rules.timezone})
    connection.unregister("requests")


def _tag(target: Target) -> tuple[str, str]:
    return target.utm_source, target.utm_medium


def _sources(
    connection: duckdb.DuckDBPyConnection,
    table: pa.Table,
    tags: Sequence[tuple[str, str]],
    hosts: Sequence[str],
    own_hosts: frozenset[str],
) -> None:
    """The source of each referrer with each tag of a target that came with it."""
    numbers = {tag: number for number, tag in enumerate(dict.fromkeys(tags))}
    known = list(numbers)
    table = described(table, "target", tag=pa.array([numbers[tag] for tag in tags], pa.int64()))
    pairs = pc.add(pc.multiply(table["referrer_id"].cast(pa.int64()), len(known)), table["tag"])
    rows = []
    for pair in pairs.unique().to_pylist():
        source, medium = known[pair % len(known)]
        number = pair // len(known)
        rows.append((number, source, medium, *_source(hosts[number], source, medium, own_hosts)))
    columns = ("referrer_id", "utm_source", "utm_medium", "source", "channel", "source_group")
    _dictionary(connection, "sources", columns, rows)


def _dictionary(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [pa.array(column, _arrow_type(title)) for title, column in zip(columns, values, strict=True)]
    connection.register("incoming", pa.table(arrays, names=list(columns)))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608
    connection.unregister("incoming")


def _arrow_type(column: str) -> pa.DataType:
    return pa.int32() if column.endswith("_id") else pa.string()


def _agent(text: str) -> tuple[str, str, str, str]:
    agent = agents.identify(unquote(unquote(text)) if "%20" in text else text)
    return agent.browser, agent.system, agent.device, agent.bot


def _source(host: str, utm_source: str, utm_medium: str, own_hosts: frozenset[str]) -> tuple[str, str, str]:
    source = sources.classify(host, utm_source, utm_medium, own_hosts)
    return source.name, source.channel, sources.group(source.name, source.channel)


def _excluded(addresses: pa.Array, rules: SiteRules) -> pa.Array:
    """Whether each address is in a network that is left out; where there is none, no address is looked at."""
    networks = [ip_network(network) for network in rules.excluded_networks]
    if not networks:
        return pa.repeat(False, len(addresses))
    return pa.array((_within(ip, networks) for ip in addresses.to_pylist()), pa.bool_())


def _within(ip: str, networks: Sequence[Any]) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _result(
    connection: duckdb.DuckDBPyConnection, requests: Requests, digests: Sequence[str], *, crossed: bool
) -> LogCounts:
    counts = Counter[tuple[str, str, str, str]]()
    names = ("counts", "counts_crossed") if crossed else ("counts",)
    for stretch in _stretches(connection):
        counts.update(_count(connection, names, LIMITS | stretch))
    tally: Counter[str] = requests.left_out + Counter(dict(connection.execute(statement("tally")).fetchall()))
    counted, rejected = tally.pop("", 0), tally.pop(REJECTED, 0)
    return LogCounts(
        counts=counts,
        read=requests.read,
        counted=counted,
        dropped=dict(sorted(tally.items())),
        rejected=tuple(requests.rejected),
        rejected_total=rejected,
        digest=hashlib.sha256("".join(sorted(digests)).encode()).hexdigest(),
    )


def _stretches(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """All events in parts of at most about EVENTS_AT_ONCE: some days, or of a day with more some of its browsers.
    Nothing is counted across days, nor across browsers.
    """
    days = connection.execute("SELECT day, count(*) FROM events GROUP BY day ORDER BY day").fetchall()
    stretch: list[date] = []
    held = 0
    for day, events in days:
        if stretch and held + events > EVENTS_AT_ONCE:
            yield from _parts(stretch, held)
            stretch, held = [], 0
        stretch.append(day)
        held += events
    if stretch:
        yield from _parts(stretch, held)


def _parts(stretch: Sequence[date], events: int) -> Iterator[dict[str, Any]]:
    parts = -(-events // EVENTS_AT_ONCE)
    yield from ({"first": stretch[0], "last": stretch[-1], "parts": parts, "part": part} for part in range(parts))


def _count(connection: duckdb.DuckDBPyConnection, counting: Sequence[str], values: dict[str, Any]) -> Counts:
    """The counts of a stretch of days: visits and first-of-their-kind events, then every statistic of these files."""
    connection.register("found", visits(_asked(connection, "views", values).to_arrow_table(), IDLE_MINUTES))
    connection.execute("CREATE OR REPLACE TEMP TABLE visits AS FROM found")
    connection.unregister("found")
    pa.default_memory_pool().release_unused()
    _asked(connection, "firsts", values, "CREATE OR REPLACE TEMP TABLE firsts AS ")
    counts: Counts = {}
    for name in counting:
        counts |= _counts(_asked(connection, name, values))
    return counts


def _asked(
    connection: duckdb.DuckDBPyConnection, name: str, values: dict[str, Any], into: str = ""
) -> duckdb.DuckDBPyConnection:
    """Run a statement with those of the values that it names; DuckDB refuses others."""
    text = statement(name)
    used = {name: value for name, value in values.items() if re.search(rf"\${name}\b", text)}
    return connection.execute(into + text, used)


def _counts(result: duckdb.DuckDBPyConnection) -> Counts:
    *keys, totals = (column.to_pylist() for column in result.to_arrow_table().columns)
    return {cell: int(total) for cell, total in zip(zip(*keys, strict=True), totals, strict=True) if total}
