"""The test vectors of deploy/clients, from the code that signs: `python -m tests.client_vectors` writes them anew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from consent_app.receipts import VALIDITY, Seal, receipt

FILE = Path(__file__).parents[1] / "deploy" / "clients" / "vectors.json"
OLDER, NEWER, RETIRED = "an-older-key-of-the-vectors", "the-newest-key-of-the-vectors", "a-retired-key-of-the-vectors"
KEYS = [OLDER, NEWER]  # published here: no real key
MADE = datetime(2026, 11, 24, 12, 15, 30, tzinfo=UTC)
NOTICE = "5f" * 32
ID = "0123456789abcdef" * 2


def sealed(*keys: str, at: datetime = MADE) -> Seal:
    return Seal(keys, lambda: at)


def token(*keys: str, decisions: Mapping[str, bool], site: str = "kent") -> str:
    said = receipt(site, NOTICE, decisions, MADE, id=ID, method="accept_all", lang="cy")
    return sealed(*keys).token(said)


def permit(*keys: str, explicit: bool = True) -> str:
    asked = {"embeds": False, "statistics": True}
    return sealed(*keys).permit("kent", NOTICE, asked, MADE.date(), explicit=explicit)


def swapped(text: str, at: int) -> str:
    """The text with another letter at that place."""
    return text[:at] + ("B" if text[at] != "B" else "C") + text[at + 1 :]


def texts() -> Iterator[tuple[str, str, str, datetime]]:
    """Name, use, text and the moment at which it is read."""
    both = {"embeds": False, "statistics": True}
    given, refused, allowed = (
        token(*KEYS, decisions=both),
        token(*KEYS, decisions=dict.fromkeys(both, False)),
        permit(*KEYS),
    )
    second, day = timedelta(seconds=1), timedelta(days=1)
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    yield "something was allowed", "token", given, MADE
    yield "nothing was allowed: no id, the day only", "token", refused, MADE
    yield "a permit", "permit", allowed, MADE
    yield "a permit where nobody chose", "permit", permit(*KEYS, explicit=False), MADE
    yield "signed by an older key", "token", token(OLDER, decisions=both), MADE
    yield "signed by a retired key", "token", token(RETIRED, decisions=both), MADE
    yield "of another site", "token", token(*KEYS, site="surrey", decisions=both), MADE
    yield "a permit as a token", "token", allowed, MADE
    yield "a token as a permit", "permit", given, MADE
    yield "its last second", "token", given, MADE + VALIDITY - second
    yield "lapsed", "token", given, MADE + VALIDITY
    yield "a refusal's last second", "token", refused, midnight + VALIDITY - second
    yield "a refusal, lapsed", "token", refused, midnight + VALIDITY
    yield "a permit's last second", "permit", allowed, midnight + VALIDITY + day - second
    yield "a permit, lapsed", "permit", allowed, midnight + VALIDITY + day
    yield "a changed letter in what is signed", "token", swapped(given, 8), MADE
    yield "a changed letter in the signature", "token", swapped(given, len(given) - 8), MADE
    yield "cut off", "token", given[:-1], MADE
    yield "without a signature", "token", given.partition(".")[0], MADE
    yield "nothing signed", "token", "." + given.partition(".")[2], MADE
    yield "a third part", "token", f"{given}.AAAA", MADE
    yield "a space at the end", "token", f"{given} ", MADE
    yield "a line break at the end", "token", f"{given}\n", MADE
    yield "empty", "token", "", MADE
    yield "too long", "token", "A" * 2100 + "." + given.partition(".")[2], MADE


def judged(use: str, text: str, now: datetime) -> dict[str, Any] | None:
    """What the service itself says of a text, in the words of the clients."""
    seal = sealed(*KEYS, at=now)
    if use == "token":
        read = seal.open(text, "kent")
        return None if read is None else {key: value for key, value in asdict(read).items() if key != "site"}
    known = seal.check_permit(text, "kent")
    if known is None:
        return None
    return {
        "notice": known.notice,
        "decisions": dict(known.decisions),
        "time": known.day.isoformat(),
        "explicit": known.explicit,
    }


def vectors() -> list[dict[str, Any]]:
    """Each text, and what it says; null where it says nothing."""
    return [
        {
            "name": name,
            "use": use,
            "text": text,
            "site": "kent",
            "keys": KEYS,
            "now": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "says": judged(use, text, now),
        }
        for name, use, text, now in texts()
    ]


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", "utf-8")
