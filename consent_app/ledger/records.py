"""The kinds of record, as values that refuse what the published schemas do not allow.

`schemas/` (JSON Schema 2020-12, one file a kind) says the same for others; a test holds both to each other. No record
of a visitor has a field for an address, a user agent, a URL, an account or free text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Final, Self

import rfc8785

from consent_app.errors import LedgerError

METHODS: Final = ("banner-accept-all", "banner-reject-all", "preferences", "no-js-form", "gpc", "api", "handover")
EVENTS: Final = ("given", "refused", "withdrawn", "changed", "objected", "erased")
BASES: Final = {
    ("uk", "consent"): "PECR Schedule A1 paragraph 2",
    ("uk", "necessary"): "PECR Schedule A1 paragraph 4",
    ("uk", "objectable"): "PECR Schedule A1 paragraph 5",
    ("eu", "consent"): "Directive 2002/58/EC Article 5(3), consent",
    ("eu", "necessary"): "Directive 2002/58/EC Article 5(3), strictly necessary",
}
MOST_ERASED: Final = 10_000
MOST_HELD: Final = 1_000
_HOLD: Final = r"[0-9a-f]{16}"
_KEY: Final = r"[a-z][a-z0-9-]{0,23}"
_HASH: Final = r"[0-9a-f]{64}"
_ORIGIN: Final = r"[!-*,-~]{1,300}"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_SECOND: Final = rf"{_DAY}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z"


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """Whether one purpose is allowed, and on which legal basis it stands."""

    allowed: bool
    basis: str

    def __post_init__(self) -> None:
        _refuse_unless(type(self.allowed) is bool, "allowed")
        _refuse_unless(self.basis in BASES.values(), "basis")


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One decision, change, objection or withdrawal. Raises LedgerError naming the field that does not fit.

    `id` and a time to the second belong together: a refusal has no id and only its day. `notice` is the SHA-256 of the
    notice's text, `bundle` that of the banner's files, `valid_until` the last UTC day.
    """

    KIND: ClassVar[str] = "consent"
    SCHEMA: ClassVar[str] = "urn:consent-app:consent-record:1"

    site: str
    controller: str
    notice: str
    notice_effective: str
    bundle: str
    language: str
    method: str
    event: str
    decisions: Mapping[str, RecordedDecision]
    time: str
    valid_until: str
    id: str = ""

    def __post_init__(self) -> None:
        _match(self, "site", _KEY)
        _match(self, "controller", _line(300))
        _match(self, "notice", _HASH)
        _match(self, "notice_effective", _DAY)
        _match(self, "bundle", _HASH)
        _match(self, "language", r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
        _refuse_unless(self.method in METHODS, "method")
        _refuse_unless(self.event in EVENTS, "event")
        _refuse_unless(0 < len(self.decisions) <= 8, "decisions")
        _refuse_unless(all(re.fullmatch(_KEY, purpose) for purpose in self.decisions), "decisions")
        _match(self, "id", r"|[0-9a-f]{32}")
        _match(self, "time", _SECOND if self.id else _DAY)
        _match(self, "valid_until", _DAY)
        _on_calendar(self, "notice_effective", "time", "valid_until")

    @property
    def subject(self) -> str | None:
        """What `history` finds it by."""
        return self.id or None

    def document(self) -> dict[str, Any]:
        """The record as JSON, as the published schema describes it; without `id` where there is none."""
        document = {"schema": self.SCHEMA} | {name: getattr(self, name) for name in _names(self)}
        document["decisions"] = {
            purpose: {"allowed": decision.allowed, "basis": decision.basis}
            for purpose, decision in self.decisions.items()
        }
        if not self.id:
            del document["id"]
        return document

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError where the published schema would refuse it."""
        values = _values(cls, document)
        _refuse_unless(values.get("id") != "", "id")
        values["decisions"] = _read_decisions(values["decisions"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class RemovalRecord:
    """A spool segment was counted and removed. `segment` is its random name; how much was in it stays unsaid."""

    KIND: ClassVar[str] = "removal"
    SCHEMA: ClassVar[str] = "urn:consent-app:removal-record:1"

    segment: str
    hour: str
    time: str

    def __post_init__(self) -> None:
        _match(self, "segment", r"[A-Za-z0-9_-]{1,80}")
        _match(self, "hour", rf"{_DAY}T[0-9]{{2}}Z")
        _match(self, "time", _SECOND)

    @property
    def subject(self) -> str:
        """What `history` finds it by."""
        return self.segment

    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"schema": self.SCHEMA} | {name: getattr(self, name) for name in _names(self)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError naming the field that does not fit."""
        return cls(**_values(cls, document))


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """A tombstone: the records of these entries, and their nonces, are gone for good. What they said stays unsaid."""

    KIND: ClassVar[str] = "erasure"
    SCHEMA: ClassVar[str] = "urn:consent-app:erasure-record:1"

    entries: tuple[int, ...]
    time: str

    def __post_init__(self) -> None:
        _refuse_unless(0 < len(self.entries) <= MOST_ERASED and _ascending(self.entries), "entries")
        _match(self, "time", _SECOND)

    @property
    def subject(self) -> None:
        """Nothing finds it by whom it was about."""
        return

    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"schema": self.SCHEMA, "entries": list(self.entries), "time": self.time}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError naming the field that does not fit."""
        values = _values(cls, document)
        _refuse_unless(isinstance(values["entries"], list), "entries")
        return cls(tuple(values["entries"]), values["time"])


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A legal hold: these entries of a site (all, where none is named) stay until that UTC day, though they be due.

    Entries are named by number, so that the log never names a visitor's record id beside a case. `by` is the role or
    account that ordered it, `reason` the operator's words: no visitor's.
    """

    KIND: ClassVar[str] = "hold"
    SCHEMA: ClassVar[str] = "urn:consent-app:hold-record:1"

    hold: str
    site: str
    entries: tuple[int, ...]
    reason: str
    by: str
    until: str
    time: str

    def __post_init__(self) -> None:
        _match(self, "hold", _HOLD)
        _match(self, "site", _KEY)
        _refuse_unless(len(self.entries) <= MOST_HELD and _ascending(self.entries), "entries")
        _match(self, "reason", _line(500))
        _match(self, "by", _line(100))
        _match(self, "until", _DAY)
        _match(self, "time", _SECOND)
        _on_calendar(self, "until", "time")

    @property
    def subject(self) -> str:
        """What `history` finds it by."""
        return self.hold

    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        named = {name: getattr(self, name) for name in _names(self)}
        return {"schema": self.SCHEMA} | named | {"entries": list(self.entries)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError naming the field that does not fit."""
        values = _values(cls, document)
        _refuse_unless(isinstance(values["entries"], list), "entries")
        return cls(**values | {"entries": tuple(values["entries"])})


@dataclass(frozen=True, slots=True)
class HoldEndRecord:
    """A legal hold was ended before its day."""

    KIND: ClassVar[str] = "hold-end"
    SCHEMA: ClassVar[str] = "urn:consent-app:hold-end-record:1"

    hold: str
    by: str
    time: str

    def __post_init__(self) -> None:
        _match(self, "hold", _HOLD)
        _match(self, "by", _line(100))
        _match(self, "time", _SECOND)
        _on_calendar(self, "time")

    @property
    def subject(self) -> str:
        """What `history` finds it by."""
        return self.hold

    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"schema": self.SCHEMA} | {name: getattr(self, name) for name in _names(self)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError naming the field that does not fit."""
        return cls(**_values(cls, document))


@dataclass(frozen=True, slots=True)
class YearRecord:
    """A year's log begins, as its first entry, and the one before is finished: its origin, and its last size and root.

    `first` is the number of this entry in the ledger, which counts on through all years.
    """

    KIND: ClassVar[str] = "year"
    SCHEMA: ClassVar[str] = "urn:consent-app:year-record:1"

    year: int
    first: int
    previous: str
    size: int
    root: str
    time: str

    def __post_init__(self) -> None:
        _refuse_unless(type(self.year) is int and 1970 <= self.year <= 9999, "year")
        _refuse_unless(_ascending((self.first,)) and self.first > 0, "first")
        _match(self, "previous", _ORIGIN)
        _refuse_unless(_ascending((self.size,)) and self.size > 0, "size")
        _match(self, "root", _HASH)
        _match(self, "time", _SECOND)
        _on_calendar(self, "time")

    @property
    def subject(self) -> None:
        """Nothing finds it by whom it was about."""
        return

    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"schema": self.SCHEMA} | {name: getattr(self, name) for name in _names(self)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError naming the field that does not fit."""
        return cls(**_values(cls, document))


@dataclass(frozen=True, slots=True)
class DropRecord:
    """A finished year's log was taken out of the ledger, all of its entries; its last checkpoint stays published."""

    KIND: ClassVar[str] = "drop"
    SCHEMA: ClassVar[str] = "urn:consent-app:drop-record:1"

    log: str
    first: int
    size: int
    root: str
    time: str

    def __post_init__(self) -> None:
        _match(self, "log", _ORIGIN)
        _refuse_unless(_ascending((self.first,)), "first")
        _refuse_unless(_ascending((self.size,)) and self.size > 0, "size")
        _match(self, "root", _HASH)
        _match(self, "time", _SECOND)
        _on_calendar(self, "time")

    @property
    def subject(self) -> None:
        """Nothing finds it by whom it was about."""
        return

    def document(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"schema": self.SCHEMA} | {name: getattr(self, name) for name in _names(self)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """A record from its JSON. Raises LedgerError naming the field that does not fit."""
        return cls(**_values(cls, document))


Record = ConsentRecord | RemovalRecord | ErasureRecord | HoldRecord | HoldEndRecord | YearRecord | DropRecord
KINDS: Final[dict[str, type[Record]]] = {
    kind.KIND: kind
    for kind in (ConsentRecord, RemovalRecord, ErasureRecord, HoldRecord, HoldEndRecord, YearRecord, DropRecord)
}


def canonical(document: Mapping[str, Any]) -> bytes:
    """Canonical JSON (RFC 8785)."""
    return rfc8785.dumps(dict(document))


def _names(record: Record | type[Record]) -> list[str]:
    return [declared.name for declared in fields(record)]


def _values(cls: type[Record], document: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(document)
    _refuse_unless(values.pop("schema", None) == cls.SCHEMA, "schema")
    names = set(_names(cls))
    for name in values.keys() - names:
        raise LedgerError(f"a {cls.KIND} record has no field {name!r}")
    for name in names - values.keys() - {"id"}:
        raise LedgerError(f"a {cls.KIND} record needs the field {name!r}")
    return values


def _read_decisions(document: Any) -> dict[str, RecordedDecision]:
    _refuse_unless(isinstance(document, dict), "decisions")
    for decision in document.values():
        _refuse_unless(isinstance(decision, dict) and decision.keys() == {"allowed", "basis"}, "decisions")
    return {purpose: RecordedDecision(**decision) for purpose, decision in document.items()}


def _match(record: Record, name: str, pattern: str) -> None:
    value = getattr(record, name)
    _refuse_unless(isinstance(value, str) and re.fullmatch(pattern, value) is not None, name)


def _line(longest: int) -> str:
    return rf"[^\x00-\x1f\x7f]{{1,{longest}}}"


def _ascending(entries: tuple[int, ...]) -> bool:
    whole = all(type(seq) is int and 0 <= seq < 2**53 for seq in entries)
    return whole and list(entries) == sorted(set(entries))


def _on_calendar(record: Record, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise LedgerError(f"a record's {name} is not a moment of the calendar") from error
        # Later Pythons read 24:00 as the next midnight.
        _refuse_unless(moment.day == int(value[8:10]), name)


def _refuse_unless(fits: bool, name: str) -> None:
    if not fits:
        raise LedgerError(f"a record's {name} is not what the schema allows")
