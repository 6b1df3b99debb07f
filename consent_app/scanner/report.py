"""The report of a scan: one folder with a page for people, JSON for machines, and the pictures the page shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from consent_app.scanner.differences import DECLARABLE, Declaration, Difference
from consent_app.scanner.seen import KINDS, VISITS, Kind, Seen, Stored, Visit, grouped

PAGE: Final = "report.html"
DATA: Final = "report.json"
CSP: Final = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Row:
    """Something seen, and in which visits. `detail` says where and how long; `by` who set it."""

    what: str
    name: str
    detail: str
    by: str
    visits: frozenset[Visit]


@dataclass(frozen=True)
class Report:
    """What a scan found, ready to be written."""

    address: str
    moment: datetime
    declared: Declaration
    visits: Sequence[Seen]
    differences: Sequence[Difference]

    @property
    def stored(self) -> list[Row]:
        """Every cookie and entry seen, once."""
        return [_row(kind, name, found) for (kind, name), found in grouped(self.visits).items()]

    @property
    def hosts(self) -> list[tuple[str, list[int], str]]:
        """Every host asked, requests in each visit, and under which mode it is declared ("" where it is not)."""
        names = sorted({host for seen in self.visits for host in seen.hosts})
        mode = self.declared.mode_of_host
        return [(host, [seen.hosts.get(host, 0) for seen in self.visits], mode(host) or "") for host in names]

    @property
    def probes(self) -> list[tuple[str, str, list[int]]]:
        """Calls that tell browsers apart: interface, script, calls in each visit."""
        found = sorted({(probe.interface, probe.by) for seen in self.visits for probe in seen.probes})
        return [(name, by, [_calls(seen, name, by) for seen in self.visits]) for name, by in found]

    @property
    def proposal(self) -> str:
        """The entries of sites.toml for what is not declared, for a person to put under the right purpose."""
        key = self.declared.site.key if self.declared.site else "SITE"
        rows = [stored for stored in _first(self.visits) if not self.declared.of(stored)]
        return "\n\n".join(_entry(key, stored) for stored in rows if stored.kind in DECLARABLE)

    def document(self) -> dict[str, Any]:
        """The report as JSON's values."""
        return {
            "address": self.address,
            "scanned": self.moment.isoformat(timespec="seconds"),
            "site": self.declared.site.key if self.declared.site else None,
            "differences": [asdict(difference) for difference in self.differences],
            "declared_but_not_seen": self.declared.unseen(self.visits),
            "visits": [asdict(seen) for seen in self.visits],
            "proposal": self.proposal,
        }

    def write(self, folder: Path) -> Path:
        """Write page and JSON beside the pictures; gives the page's path."""
        (folder / DATA).write_text(json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        page = _templates().get_template("scan.html").render(report=self, visits=VISITS, csp=CSP, style=_style())
        (folder / PAGE).write_text(page, "utf-8")
        return folder / PAGE


def _templates() -> Environment:
    return Environment(loader=PackageLoader("consent_app"), autoescape=True, undefined=StrictUndefined)


def _style() -> str:
    """The tokens every page shares, then this page's own: the report is read from a folder, without a server."""
    folder = Path(__file__).parent.parent / "static"
    return "\n".join((folder / name).read_text("utf-8") for name in ("tokens.css", "page.css", "scan.css"))


def _first(visits: Sequence[Seen]) -> list[Stored]:
    return [found[0][1] for found in grouped(visits).values()]


def _row(kind: Kind, name: str, found: Sequence[tuple[Visit, Stored]]) -> Row:
    stored = max((each for _, each in found), key=lambda each: each.days or 0)
    life = _life(stored)
    places = ", ".join(sorted({each.place for _, each in found}))
    by = dict.fromkeys(setter for _, each in found for setter in each.by)
    detail = " · ".join(filter(None, (places, life, " ".join(stored.flags))))
    return Row(KINDS[kind], name, detail, ", ".join(by), frozenset(visit for visit, _ in found))


def _life(stored: Stored) -> str:
    if stored.kind == "cookie":
        return "until the browser closes" if stored.days is None else f"{stored.days} days"
    return "until the tab closes" if stored.kind == "sessionStorage" else "until cleared"


def _calls(seen: Seen, interface: str, by: str) -> int:
    return sum(probe.calls for probe in seen.probes if (probe.interface, probe.by) == (interface, by))


def _entry(site: str, stored: Stored) -> str:
    """An entry of sites.toml; PURPOSE and the description are a person's to write. JSON's strings are TOML's."""
    lines = [
        f"[[site.{site}.purpose.PURPOSE.cookies]]",
        f"name = {json.dumps(stored.name)}",
        *([] if stored.kind == "cookie" else [f"kind = {json.dumps(stored.kind)}"]),
        *([f"days = {stored.days}"] if stored.days is not None else []),
        'description = "SAY WHAT IT IS FOR"',
    ]
    return "\n".join(lines)
