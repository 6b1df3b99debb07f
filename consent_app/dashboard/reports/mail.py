"""A report as an e-mail: plain text and HTML that every mail program shows, the figures as CSV, the chart as SVG.

The HTML is tables with styles in place, and bars are cells with a colour: no picture, no font, nothing from elsewhere,
and nothing that tells when it is read.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from anonymiser.stats import Statistics
from consent_app.dashboard.exports.package import as_csv
from consent_app.dashboard.exports.tables import tables
from consent_app.dashboard.reports.contents import Report, ReportError
from consent_app.settings import Settings

_ADDRESS: Final = re.compile(r"[^\s@<>(),;:\"\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
ATTACHED: Final = ("totals", "sources", "pages", "goals")


@dataclass(frozen=True, slots=True)
class Parts:
    """All of a message but who it is for."""

    subject: str
    text: str
    html: str
    files: Sequence[tuple[str, str, bytes]]
    name: str
    site: str


def parts(report: Report, statistics: Statistics, settings: Settings) -> Parts:
    """The report written out."""
    facts: dict[str, Any] = {
        "report": report,
        "address": f"{settings.public_url.rstrip('/')}/dashboard/{report.site.key}"
        f"?from={report.period.start}&to={report.period.end}",
        "sender": settings.mail_from,
    }
    picture = _rendered("chart.svg", facts).encode()
    return Parts(
        subject=f"{report.site.name}, {report.title}{_lead(report)}",
        text=_rendered("report.txt", facts),
        html=_rendered("report.html", facts),
        files=[*_figures(report, statistics), (f"{report.name}-chart.svg", "image/svg+xml", picture)],
        name=report.name,
        site=report.site.key,
    )


def message(written: Parts, sender: str, to: str, now: datetime) -> EmailMessage:
    """The e-mail for one recipient, "" for a file that goes to nobody. Raises ReportError for what is no address."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("Statistics", addr_spec=checked(sender))
    mail["To"] = checked(to) if to else "undisclosed-recipients:;"
    mail["Subject"] = written.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{written.name}.{secrets.token_hex(8)}@{_host(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["List-Id"] = f"Reports of {written.site} <{written.site}.reports.{_host(sender)}>"
    mail["List-Unsubscribe"] = f"<mailto:{quote(sender, safe='@')}?subject={quote(f'unsubscribe {written.site}')}>"
    mail.set_content(written.text)
    mail.add_alternative(written.html, subtype="html")
    for name, kind, content in written.files:
        main, _, sub = kind.partition("/")
        mail.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return mail


def checked(address: str) -> str:
    """An address that is one, and cannot carry a second header. Raises ReportError."""
    if not _ADDRESS.fullmatch(address):
        raise ReportError(f"{address!r} is no e-mail address")
    return address


def _host(address: str) -> str:
    return address.rpartition("@")[2]


def _lead(report: Report) -> str:
    """The first figure, for whoever reads the subject only."""
    first = report.headlines[0]
    return f": {first.figure.text} {first.label.lower()}" if first.figure else ""


def _figures(report: Report, statistics: Statistics) -> list[tuple[str, str, bytes]]:
    """What was released for these days, as CSV that is safe in a spreadsheet."""
    cells = statistics.released(report.site.key, ATTACHED, report.period.start, report.period.end)
    found = [table for table in tables(cells, ATTACHED, {}) if table.rows]
    return [(f"{report.name}-{table.name}.csv", "text/csv", as_csv(table)) for table in found]


@cache
def _pages() -> Environment:
    return Environment(
        loader=PackageLoader("consent_app", "templates/report"),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _rendered(name: str, facts: dict[str, Any]) -> str:
    return _pages().get_template(name).render(**facts).strip() + "\n"
