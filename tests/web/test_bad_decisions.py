"""Bad input of `/v1/consent` and `/consent`: the status, words that a developer understands, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_app import keepsakes
from consent_app.receipts import Seal, receipt
from consent_app.rooms import NAME, Rooms
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Bad:
    """What is wrong with a decision that is good otherwise, and the answer it gets."""

    status: int
    words: str
    changes: dict[str, Any] = field(default_factory=dict)
    without: str = ""
    body: bytes | None = None
    kind: str = JSON
    origin: str = KENT
    named: str = ""


BAD: dict[str, Bad] = {
    "an unknown field": Bad(422, "is not a field here", {"colour": "red"}, named="colour"),
    "an address nobody asked for": Bad(422, "is not a field here", {"ip": "192.0.2.7"}, named="ip"),
    "no notice": Bad(422, "is missing", without="notice", named="notice"),
    "a purpose that the site does not have": Bad(
        422,
        "is not asked by this site",
        {"decisions": {"statistics": True, "embeds": True, "adverts": True}},
        named="decisions.adverts",
    ),
    "a purpose left out": Bad(422, "is missing", {"decisions": {"statistics": True}}, named="decisions.embeds"),
    "a purpose that is neither yes nor no": Bad(
        422, "must be true or false", {"decisions": {"statistics": 1, "embeds": True}}, named="decisions.statistics"
    ),
    "a site that is not here": Bad(422, "is not a site of this server", {"site": "nowhere"}, named="site"),
    "a notice that is not the current one": Bad(409, "show it again and ask again", {"notice": "0" * 64}),
    "a notice that is no hash": Bad(422, "64 hexadecimal digits", {"notice": "today's"}, named="notice"),
    "a way of deciding that there is not": Bad(422, "must be one of", {"method": "telepathy"}, named="method"),
    "a language that is none": Bad(422, "language tag such as en or cy", {"lang": "<b>"}, named="lang"),
    "a body too large": Bad(413, "at most 4096 bytes", body=b'{"site": "' + b"x" * 5000 + b'"}'),
    "a body that is no JSON": Bad(422, "is not JSON", body=b"{", named="(body)"),
    "a body of another kind": Bad(415, "send the body as application/json", kind="text/plain"),
    "a form where JSON is wanted": Bad(415, "send the body as application/json", body=b"site=kent", kind=FORM),
    "a page of somebody else": Bad(403, "does not come from a page of Kent", origin="https://elsewhere.example"),
}


@pytest.fixture
def here(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def good(here: Rooms) -> dict[str, Any]:
    site = here.sites.get("kent")
    decisions = {purpose.key: True for purpose in site.optional}
    return {
        "site": "kent", "notice": site.notice.sha256, "decisions": decisions, "method": "preferences", "lang": "en",
    }  # fmt: skip


def send(client: FlaskClient, here: Rooms, bad: Bad) -> TestResponse:
    document = good(here) | bad.changes
    document.pop(bad.without, None)
    body = bad.body if bad.body is not None else json.dumps(document).encode()
    headers = {"Origin": bad.origin}
    return client.post("/v1/consent", data=body, content_type=bad.kind, base_url=KENT, headers=headers)


def written(home: Path, here: Rooms) -> dict[str, Any]:
    """Everything in the ledger, and every file of the home beside it."""
    files = {path: path.stat().st_size for path in home.rglob("*") if path.is_file() and "ledger.db" not in path.name}
    return {"entries": list(here.ledger.entries())} | {str(path): size for path, size in files.items()}


def test_without_a_fault_it_is_recorded(client: FlaskClient, here: Rooms) -> None:
    """Or nothing below would show anything."""
    assert send(client, here, Bad(201, "")).status_code == 201
    assert len(list(here.ledger.entries())) == 1


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_fit_is_refused_in_words_and_nothing_is_written(
    client: FlaskClient, here: Rooms, home: Path, what: str
) -> None:
    bad = BAD[what]
    before = written(home, here)
    answer = send(client, here, bad)
    assert answer.status_code == bad.status
    assert answer.mimetype == "application/problem+json"
    said = answer.get_json()
    assert (said["status"], said["type"]) == (bad.status, "about:blank")
    assert bad.words in said["detail"]
    if bad.named:
        assert bad.words in said["fields"][bad.named]
    if bad.status == 409:
        assert said["notice"]["sha256"] == here.sites.get("kent").notice.sha256, "which notice it is now"
    assert not answer.headers.getlist("Set-Cookie")
    assert written(home, here) == before


FORMS: dict[str, tuple[dict[str, str], int]] = {
    "an unknown field": ({"colour": "red"}, 422),
    "a site that is not here": ({"site": "nowhere"}, 422),
    "a stale notice": ({"notice": "0" * 64}, 409),
}


@pytest.mark.parametrize("what", FORMS)
def test_a_form_that_does_not_fit_writes_nothing_either(
    client: FlaskClient, here: Rooms, home: Path, what: str
) -> None:
    changes, status = FORMS[what]
    fields = {
        "site": "kent",
        "notice": here.sites.get("kent").notice.sha256,
        "lang": "en",
        "choice": "accept",
    } | changes
    before = written(home, here)
    headers = {"Origin": KENT}
    answer = client.post("/consent", data=urlencode(fields), content_type=FORM, base_url=KENT, headers=headers)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert not answer.headers.getlist("Set-Cookie")
    assert written(home, here) == before


# -- proofs that are none here ----------------------------------------------------------------------------------------


def other_site(here: Rooms, clock: Clock) -> str:
    made = receipt("defibrental", here.sites.get("defibrental").notice.sha256, {"statistics": True}, clock.now,
                   method="preferences", lang="en")  # fmt: skip
    return here.seal.token(made)


def retired_key(here: Rooms, clock: Clock) -> str:
    """A token of this site, signed by a key that is not among the signing keys any more."""
    made = receipt("kent", here.sites.get("kent").notice.sha256, {"statistics": True, "embeds": True}, clock.now,
                   method="preferences", lang="en")  # fmt: skip
    return Seal(["a-key-that-was-retired-" + "0" * 20], clock).token(made)


PROOFS: list[Callable[[Rooms, Clock], str]] = [other_site, retired_key]


@pytest.mark.parametrize("proof", PROOFS)
def test_a_proof_that_is_none_here_is_no_consent_and_puts_nothing_back(
    client: FlaskClient, here: Rooms, home: Path, clock: Clock, proof: Callable[[Rooms, Clock], str]
) -> None:
    token = proof(here, clock)
    before = written(home, here)
    client.set_cookie(keepsakes.PROOF, token, domain="kent.localhost", path="/v1/consent")
    said = client.get("/v1/consent?site=kent", base_url=KENT).get_json()
    assert said["decided"] is False
    assert "receipt" not in said
    body = {"site": "kent", "to": "defibrental", "token": token}
    answer = client.post("/v1/consent/handover", json=body, base_url=KENT, headers={"Origin": KENT})
    assert answer.status_code == 422
    assert answer.get_json()["detail"] == "site: has no choice of this visitor that holds"
    assert written(home, here) == before


@pytest.mark.parametrize("proof", PROOFS)
def test_a_refusal_beside_such_a_proof_counts_as_it_stands(
    client: FlaskClient, here: Rooms, clock: Clock, proof: Callable[[Rooms, Clock], str]
) -> None:
    """Nobody is kept from refusing by a token that went bad; and what it spoke of is not taken up."""
    document = good(here) | {"decisions": {"statistics": False, "embeds": False}, "token": proof(here, clock)}
    answer = client.post("/v1/consent", json=document, base_url=KENT, headers={"Origin": KENT})
    assert answer.status_code == 201
    [entry] = here.ledger.entries()
    assert entry.record["event"] == "refused"
    assert "id" not in entry.record


def test_the_key_is_what_made_the_difference(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    """The same token under a key that is not retired holds."""
    made = receipt("kent", here.sites.get("kent").notice.sha256, {"statistics": True, "embeds": True}, clock.now,
                   method="preferences", lang="en")  # fmt: skip
    body = {"site": "kent", "to": "defibrental", "token": here.seal.token(replace(made, time=made.time))}
    answer = client.post("/v1/consent/handover", json=body, base_url=KENT, headers={"Origin": KENT})
    assert "has no choice of this visitor" not in answer.get_json().get("detail", "")
