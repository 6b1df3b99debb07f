"""The record of processing activities (UK GDPR Art 30), out of what is configured and of what the software can store.

Every file of a home, every column of the ledger's database and of the published statistics and every field of a fact is
declared here with what it is. A test looks at a home that was in use and fails on whatever is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from anonymiser.bounds import STATISTICS as COUNTED
from consent_app.complaints import DAYS, KEY_FILE
from consent_app.ledger import BASES
from consent_app.purposes import NECESSARY, STATISTICS, DeclaredCookie, Purpose, words
from consent_app.receipts import VALIDITY
from consent_app.settings import Settings
from consent_app.sites import Site, Sites

NOBODY: Final = "nobody"
NO_ONE_KNOWN: Final = "visitors, none of whom can be told from another"
HOLDERS: Final = "visitors, known only by a random number that they hold themselves"


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of file in a data home: which names it has, what is in it, whom it is about, how it is protected."""

    pattern: str
    holds: str
    about: str
    protected: str


@dataclass(frozen=True, slots=True)
class Activity:
    """One processing activity (Art 30(1)): everything in words, for people."""

    title: str
    purpose: str
    basis: str
    persons: str
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    kept: str
    stores: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Controller:
    """A site with who answers for it, and what is done for it."""

    site: Site
    activities: tuple[Activity, ...]


OWN: Final = "mode 0600, its owner's alone"
STORES: Final = (
    Store("sites.toml", "what the operator declares", NOBODY, "no secret in it"),
    Store("notices/*", "the privacy notices", NOBODY, "public"),
    Store("ledger.db*", "decisions, removals, erasures, legal holds, notices, sealed complaints", HOLDERS, OWN),
    Store("ledger/*", "the public log: hashes, checkpoint, public keys, witnesses' signatures", NOBODY, "public"),
    Store("archive/*", "each banner that was shown, and which notice went with it", NOBODY, "public"),
    Store("witness/*", "checkpoints of partners' logs that were cosigned", NOBODY, "public"),
    Store("users.json", "accounts: name, role, sites, hashes of secrets, sealed second factor", "staff", OWN),
    Store("lock", "that accounts are being changed: an empty file", NOBODY, OWN),
    Store("audit/????-??.jsonl", "who of the staff did what, when; no address, nothing that was typed", "staff", OWN),
    Store("audit/settings.json", "hashes of the settings that a change is told by", NOBODY, OWN),
    Store("audit/lock", "that an entry is being added: an empty file", NOBODY, OWN),
    Store("sessions/*", "random numbers of sessions that were ended, for 12 hours: empty files", "staff", OWN),
    Store("api-keys/*", "keys of the statistics API as SHA-256, what each is for, its last day of use", "staff", OWN),
    Store("dashboard/*", "notes on days, saved views, hashes of shared links; which account wrote them", "staff", OWN),
    Store("stats.duckdb*", "published sums with noise", NO_ONE_KNOWN, "differential privacy; no identifier"),
    Store("spool/*", "facts of page views until the next batch", NO_ONE_KNOWN, "sealed to the key of the hour"),
    Store("private/budget.db*", "what was released already, and with which noise", NO_ONE_KNOWN, OWN),
    Store("private/lock.db*", "that a batch is running", NOBODY, OWN),
    Store("private/holding/*.counts", "counts until their period closes", NO_ONE_KNOWN, f"sealed; {OWN}"),
    Store("private/holding/*.key", "keys of the counts", NOBODY, OWN),
    Store("private/hour-keys*", "keys of the hours that facts lie under", NOBODY, f"{OWN}; destroyed with them"),
    Store("private/removal*", "which segments were removed", NOBODY, OWN),
    Store("secrets/signing.keys", "keys of consent tokens and permits", NOBODY, OWN),
    Store("secrets/factors.keys", "keys that second factors are sealed under", NOBODY, OWN),
    Store("secrets/session.keys", "keys of dashboard sessions", NOBODY, OWN),
    Store("secrets/ledger.keys", "the log's signing keys", NOBODY, OWN),
    Store("secrets/smtp.password", "password at the mail server", NOBODY, OWN),
    Store("secrets/ledger.url", "where the ledger's PostgreSQL database is", NOBODY, OWN),
    Store("secrets/witness.keys", "keys that cosign partners' checkpoints", NOBODY, OWN),
    Store(f"secrets/{KEY_FILE}", "keys that complaints are sealed under", NOBODY, OWN),
    Store("last-batch", "when the batch came through last", NOBODY, OWN),
    Store("upgrades/*", "a copy of the home, without keys and facts, for a week after an upgrade", HOLDERS, OWN),
    Store("demo.state", "how far a demo was made", NOBODY, "in a demo only"),
)
# Every column of the ledger's database, and what it says.
LEDGER: Final[Mapping[str, Mapping[str, str]]] = {
    "entry": {"seq": "number of an entry", "kind": "kind of its record", "leaf": "its salted hash, which is public"},
    "body": {
        "seq": "number of the entry",
        "subject": "random number of a consent record, segment or hold",
        "nonce": "the salt of its hash",
        "record": "the record, as the published schema says it",
    },
    "notice": {"sha256": "fingerprint of a notice", "effective": "from when it held", "text": "its text"},
    "erased": {"seq": "number of an erased entry", "tombstone": "number of the entry that says so"},
    "head": {"size": "how many entries were about to be signed", "root": "their root hash"},
    "shard": {"first": "number of the first entry of a year's log", "year": "which year"},
    "dropped": {"first": "number of the first entry of a year that was dropped", "past": "number after its last"},
    "complaint": {
        "reference": "random reference number, which the complainant holds",
        "site": "which site it is about",
        "opened": "when it came",
        "due": "the last day of its clock",
        "state": "open or closed",
        "closed": "when it was closed",
        "sealed": "text and answers, encrypted (AES-256-GCM)",
    },
    "alembic_version": {"version_num": "which form these tables have"},
}
FACT: Final[Mapping[str, str]] = {
    "site": "which site",
    "day": "the local day",
    "statistic": "which sum it is added to",
    "key1": "of which page, source, country, device ... (scrubbed of what could name somebody)",
    "key2": "of which channel, system, step",
    "delta": "how much is added",
}
# What the columns of the statistics file are called, over all its tables and views.
STATISTICS_FILE: Final[Mapping[str, str]] = {
    **{key: f"a {key.replace('_', ' ')}, declared or shared by many" for s in COUNTED.values() for key in s.keys},
    "gap_days": "days since the day before",
    "engaged": "range of engaged seconds",
    "scrolled": "range of scrolled depth",
    "site": "which site",
    "period_start": "first day of the period",
    "period_end": "last day of the period",
    "period_days": "its length",
    "release_id": "random number of a release",
    "statistic": "which sum",
    "key1": "of which page, source ...",
    "key2": "of which channel, system ...",
    "metric": "visitors, views, visits or bounces",
    **dict.fromkeys(("value", "visitors", "views", "visits", "bounces"), "the sum, with noise"),
    **dict.fromkeys(
        ("sigma", "margin", *(f"{name}_margin" for name in ("visitors", "views", "visits", "bounces"))),
        "how uncertain the sum is",
    ),
    **dict.fromkeys(("policy", "epsilon", "delta", "k", "bounds", "weights"), "how the sums are protected"),
    "catalogue_sha256": "fingerprint of the declared keys",
    "software": "which version made it",
    "released_at": "when it was published",
}
MEASURES: Final = (
    "No identifier of a visitor exists in the statistics; a page view is torn into unlinkable additions in memory.",
    "Published sums carry differential-privacy noise; the guarantee and its limits are stated in docs/privacy.md.",
    "Facts are removed within a day, and each removal is an entry of a signed public log.",
    "Addresses are looked at in memory only, under a key that is drawn anew each day, and written nowhere.",
    "Decisions are an append-only, signed transparency log (RFC 6962, C2SP); erasure destroys record and salt.",
    "Complaints are encrypted with AES-256-GCM under a key that is kept apart from the database.",
    "Secrets have mode 0600 in a folder of 0700; looser permissions stop the start.",
    "Dashboard: Argon2id passwords, second factor, sessions that end by themselves, lock-out, roles, audit trail.",
    "Pages run under a strict Content-Security-Policy with Trusted Types.",
    "The command consent verify checks all of it again: keys, ledger, notices, removal, retention, statistics.",
)


def controllers(sites: Iterable[Site]) -> tuple[Controller, ...]:
    """Every site with its activities, in the order of sites.toml."""
    return tuple(Controller(site, tuple(_activities(site))) for site in sites)


def measures(settings: Settings) -> tuple[str, ...]:
    """The security measures (Art 30(1)(g)), with what these settings say."""
    encrypted = settings.public_url.startswith("https://")
    transport = "Transport is encrypted" if encrypted else "Transport is NOT encrypted: CONSENT_PUBLIC_URL is not https"
    database = "PostgreSQL" if settings.ledger_url else "an SQLite file of mode 0600"
    return (f"{transport}. The ledger is in {database}.", *MEASURES)


def declared(path: str) -> Store | None:
    """What a file of a home is, by its path in it."""
    return next((store for store in STORES if fnmatchcase(path, store.pattern)), None)


def shown(settings: Settings, sites: Iterable[Site]) -> dict[str, Any]:
    """What `templates/records/body.html` lays out."""
    return {
        "controllers": controllers(sites),
        "stores": STORES,
        "tables": columns_by_title(),
        "measures": measures(settings),
        "facts": facts,
    }


def markdown(settings: Settings, sites: Sites) -> str:
    """The whole record as Markdown, to be read or kept."""
    return "\n".join(_lines(settings, sites)) + "\n"


def _activities(site: Site) -> Iterator[Activity]:
    yield _choices(site)
    yield from (_optional(site, purpose) for purpose in site.optional)
    yield _staff(site)
    yield _complaints(site)


def _choices(site: Site) -> Activity:
    necessary = site.purpose(NECESSARY)
    kept = f"{VALIDITY.days} days of validity and {site.consent_retention_months} months; a refusal has its day only"
    return Activity(
        title="Remembering and proving choices about cookies",
        purpose="To show no banner twice, and to be able to demonstrate consent (UK GDPR Art 7(1))",
        basis=f"{BASES[site.regime, 'necessary']}; UK GDPR Art 6(1)(c)",
        persons=HOLDERS,
        data=(
            "the decision on each purpose, its legal basis, notice, language, button, time, validity; a random number",
            *_cookies(necessary.cookies if necessary else (), site),
        ),
        recipients=(),
        kept=kept,
        stores=("ledger.db*", "ledger/*", "archive/*"),
    )


def _optional(site: Site, purpose: Purpose) -> Activity:
    counted = purpose.key == STATISTICS
    data = (
        *_cookies((*purpose.cookies, *(c for s in purpose.services for c in s.cookies)), site),
        *((f"facts of page views: {', '.join(FACT)}",) if counted else ()),
        *(("the network address, which a recipient sees when the browser asks it",) if purpose.parties else ()),
    )
    facts = (
        f"facts {site.retention_hours} hours at most; counts until their period closes; sums {site.retention_months}"
        " months"
    )
    return Activity(
        title=words(purpose.title, "en"),
        purpose=words(purpose.description, "en"),
        basis=BASES[site.regime, purpose.mode],
        persons=NO_ONE_KNOWN,
        data=data or ("none",),
        recipients=purpose.parties,
        kept=facts if counted else "in the browser only, as each cookie says",
        stores=("spool/*", "private/holding/*.counts", "private/budget.db*", "stats.duckdb*") if counted else (),
    )


def _complaints(site: Site) -> Activity:
    law = "Data Protection Act 2018 section 164A" if site.regime == "uk" else "GDPR Art 12 and 77"
    return Activity(
        title="Complaints about data protection",
        purpose=f"To acknowledge and answer complaints within {DAYS} days",
        basis=f"{law}; UK GDPR Art 6(1)(c)",
        persons="whoever complains, known only by the reference number that they hold",
        data=("what they wrote and what was answered, encrypted; when; a random reference number",),
        recipients=(),
        kept=f"{site.complaint_retention_months} months after it was closed",
        stores=("ledger.db*", f"secrets/{KEY_FILE}"),
    )


def _staff(site: Site) -> Activity:
    return Activity(
        title="Letting staff in, and keeping account of what they do",
        purpose="To show figures and complaints to those only who may see them, and to find misuse (UK GDPR Art 32)",
        basis="UK GDPR Art 6(1)(f)" if site.regime == "uk" else "GDPR Art 6(1)(f)",
        persons="staff who have an account",
        data=("account name, role and sites; hashes of password and recovery codes; second factor, sealed",
              "sign-ins, changes of accounts, keys and settings, exports, erasures: who, what, when; no address"),
        recipients=(),
        kept="accounts until they are removed; the audit trail as CONSENT_AUDIT_MONTHS says, 12 months by default",
        stores=("users.json", "audit/????-??.jsonl", "sessions/*"),
    )  # fmt: skip


def _cookies(cookies: tuple[DeclaredCookie, ...], site: Site) -> tuple[str, ...]:
    return tuple(
        f"{cookie.kind} {cookie.name}: {words(cookie.description, 'en')}"
        f" ({f'{cookie.days} days' if cookie.days else 'until cleared or the browser closes'})"
        for cookie in cookies
    )


def _lines(settings: Settings, sites: Sites) -> Iterator[str]:
    yield "# Record of processing activities (UK GDPR, Article 30)"
    for controller in controllers(sites):
        site = controller.site
        yield from ("", f"## {site.name}", "")
        yield f"Controller: {site.controller}. Transfers to third countries by this software: none."
        for activity in controller.activities:
            yield from ("", f"### {activity.title}", "")
            yield from (f"* {name}: {said}" for name, said in facts(activity))
    yield from ("", "## Where it lies", "", "| file | what | about | protection |", "|---|---|---|---|")
    yield from (f"| `{s.pattern}` | {s.holds} | {s.about} | {s.protected} |" for s in STORES)
    for title, columns in columns_by_title().items():
        yield from ("", f"## {title}", "", "| name | what |", "|---|---|")
        yield from (f"| `{name}` | {said} |" for name, said in columns.items())
    yield from ("", "## Security measures", "")
    yield from (f"* {measure}" for measure in measures(settings))


def facts(activity: Activity) -> tuple[tuple[str, str], ...]:
    """An activity as pairs of what and what of it, in the order of Art 30(1)."""
    return (
        ("Purpose", activity.purpose),
        ("Legal basis", activity.basis),
        ("Persons", activity.persons),
        ("Data", "; ".join(activity.data)),
        ("Recipients", ", ".join(activity.recipients) or NOBODY),
        ("Kept", activity.kept),
        ("Where", ", ".join(activity.stores) or "in the browser only"),
    )


def columns_by_title() -> dict[str, Mapping[str, str]]:
    """Every declared column, by what it is a column of."""
    ledger = {f"{table}.{column}": said for table, columns in LEDGER.items() for column, said in columns.items()}
    return {
        "The ledger's database, column by column": ledger,
        "A fact, field by field": FACT,
        "The published statistics, column by column": STATISTICS_FILE,
    }
