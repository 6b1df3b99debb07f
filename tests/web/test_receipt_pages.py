"""Receipts through the real application: who gets what, in which form, and that nothing else is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import consent_app
from consent_app.receipt_document import MOST_EVENTS
from consent_app.receipt_page import SCRIPTS, fragment_link, words
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.receipt_vectors import NAMES, RECORD, verdict
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
STATIC = Path(consent_app.__file__).parent / "static" / "receipt"


@pytest.fixture
def here(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def decide(client: FlaskClient, here: Rooms, *, lang: str = "en", **allowed: bool) -> str:
    """Decide as a visitor of kent does; returns the id of the receipt."""
    document = {
        "site": "kent",
        "notice": here.sites.get("kent").notice.sha256,
        "decisions": allowed or {"statistics": True, "embeds": True},
        "method": "preferences",
        "lang": lang,
    }
    agent = {
        "Origin": KENT,
        "User-Agent": "canary-agent",
        "Referer": f"{KENT}/canary-page",
        "X-Forwarded-For": "9.8.7.6",
    }
    answer = client.post("/v1/consent", json=document, base_url=KENT, headers=agent)
    assert answer.status_code == 201
    return str(answer.get_json()["receipt"])


@pytest.fixture
def receipt(client: FlaskClient, here: Rooms, clock: Clock) -> str:
    """The id of a receipt: given, then partly taken back."""
    record_id = decide(client, here)
    clock.forward(minutes=2)
    assert decide(client, here, statistics=True, embeds=False) == record_id
    here.ledger.sequence()
    return record_id


def test_a_receipt_from_the_server_holds(client: FlaskClient, receipt: str) -> None:
    answer = client.get(f"/v1/receipts/{receipt}")
    assert answer.status_code == 200
    assert answer.mimetype == "application/ld+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Accept" in answer.vary
    assert verdict(answer.data, client.get("/ledger/log.vkey").text) == set()
    record = answer.get_json()[RECORD]
    assert [event["app:event"] for event in record["dpv:hasConsentStatus"]] == ["given", "changed"]
    assert {process["dct:identifier"]: process["app:allowed"] for process in record["dpv:hasProcess"]} == {
        "statistics": True,
        "embeds": False,
    }
    assert record["dpv:hasDataController"]["dpv:hasContact"].endswith("/your-data?site=kent")


def test_until_it_is_signed_one_waits(client: FlaskClient, here: Rooms) -> None:
    with here.ledger.published.lock():  # nobody signs meanwhile
        receipt = decide(client, here)
        for address in (f"/v1/receipts/{receipt}", f"/v1/receipts/{receipt}.jsonld"):
            answer = client.get(address)
            assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
            assert answer.get_json() == {"receipt": receipt, "signed": False}
        page = client.get(f"/v1/receipts/{receipt}", headers=HTML)
        assert (page.status_code, page.mimetype, page.headers["Retry-After"]) == (202, "text/html", "1")
        assert f'href="/v1/receipts/{receipt}.html?lang=en"' in page.text
    here.ledger.sequence()
    assert client.get(f"/v1/receipts/{receipt}").status_code == 200


@pytest.mark.parametrize("end", ["", ".jsonld", ".html", ".tlog-proof"])
def test_who_has_no_id_has_no_receipt(client: FlaskClient, receipt: str, end: str) -> None:
    for wrong in ("0" * 32, receipt.upper(), receipt[:-1], "x"):
        answer = client.get(f"/v1/receipts/{wrong}{end}")
        assert answer.status_code == 404
        assert answer.get_json()["detail"] == "there is no receipt of this id; a refusal has none"


def test_a_refusal_has_no_receipt(client: FlaskClient, here: Rooms) -> None:
    assert decide(client, here, statistics=False, embeds=False) == ""


def test_what_was_erased_is_gone_here_and_holds_where_it_was_kept(
    client: FlaskClient, here: Rooms, receipt: str
) -> None:
    kept = client.get(f"/v1/receipts/{receipt}").data
    here.ledger.erase(receipt)
    here.ledger.sequence()
    assert client.get(f"/v1/receipts/{receipt}").status_code == 404
    assert verdict(kept, client.get("/ledger/log.vkey").text) == set()


def test_a_browser_gets_the_page_and_a_program_the_document(client: FlaskClient, receipt: str) -> None:
    address = f"/v1/receipts/{receipt}"
    for accept, kind in {
        HTML["Accept"]: "text/html",
        "*/*": "application/ld+json",
        "application/json": "application/ld+json",
        "application/ld+json": "application/ld+json",
        "image/png": "application/ld+json",
    }.items():
        assert client.get(address, headers={"Accept": accept}).mimetype == kind
    assert client.get(f"{address}.html").mimetype == "text/html"
    saved = client.get(f"{address}.jsonld", headers=HTML)
    assert saved.mimetype == "application/ld+json"
    assert saved.headers["Content-Disposition"].startswith("attachment")


def test_the_page_says_what_the_document_says(client: FlaskClient, receipt: str) -> None:
    page = client.get(f"/v1/receipts/{receipt}.html")
    said = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))
    record = client.get(f"/v1/receipts/{receipt}").get_json()[RECORD]
    for process in record["dpv:hasProcess"]:
        verdict = "Allowed" if process["app:allowed"] else "Not allowed"
        assert f"{process['dpv:hasPurpose']['dct:title']['@value']} {verdict}" in said
        assert process["dpv:hasLegalBasis"]["dct:title"] in said
    assert "Shared with OpenStreetMap Foundation" in said
    assert "consent-last-day: 180 days" in said
    assert "Changed 24 November 2026, 12:17:00 UTC In the cookie settings 23 May 2027" in said
    for fact in (receipt, record["dpv:hasNotice"]["app:sha256"], record["dpv:hasDataController"]["dpv:hasName"]):
        assert fact in said
    for address in (record["dpv:hasConsentControl"]["dpv:isExercisedAt"], record["dpv:hasNotice"]["dct:source"]):
        assert f'href="{address}"' in page.text
    assert f'href="{fragment_link("http://127.0.0.1:8000", receipt)}"' in page.text
    assert "<script" not in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "style=" not in page.text


def test_the_page_speaks_welsh_and_greets_in_every_language(client: FlaskClient, here: Rooms, receipt: str) -> None:
    welsh = client.get(f"/v1/receipts/{receipt}.html?lang=cy").text
    assert '<html lang="cy"' in welsh
    assert "Prawf o&#39;ch dewis" in welsh
    assert '<span lang="en" dir="ltr">Statistics</span>' in welsh
    french = client.get(f"/v1/receipts/{receipt}.html?lang=fr").text
    assert '<h1><span lang="fr" dir="ltr">Preuve de votre choix</span></h1>' in french
    assert "What you chose" in french
    arabic = client.get(f"/v1/receipts/{receipt}.html?lang=ar").text
    assert '<html lang="en" dir="ltr"' in arabic
    assert '<h1><span lang="ar" dir="rtl">' in arabic


def test_a_receipt_is_in_the_language_in_which_the_choice_was_offered(client: FlaskClient, here: Rooms) -> None:
    receipt = decide(client, here, lang="cy")
    here.ledger.sequence()
    record = client.get(f"/v1/receipts/{receipt}").get_json()[RECORD]
    titles = [process["dpv:hasPurpose"]["dct:title"] for process in record["dpv:hasProcess"]]
    assert {"@value": "Ystadegau", "@language": "cy"} in titles
    assert '<html lang="cy"' in client.get(f"/v1/receipts/{receipt}.html").text


def test_our_texts_say_the_same_in_both_languages() -> None:
    english, welsh = words("en"), words("cy")
    assert english.keys() == welsh.keys()
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", welsh[key])), key
    assert words("fr") == english


def test_the_code_on_the_page_leads_to_the_check(client: FlaskClient, receipt: str) -> None:
    """What stands after # stays in the browser: the server is not told which receipt is looked at by that address."""
    link = fragment_link("https://consent.example/", "00" * 15 + "ff")
    assert link == "https://consent.example/ledger/verify#receipt=AAAAAAAAAAAAAAAAAAAA_w"
    page = client.get(f"/v1/receipts/{receipt}.html").text
    assert re.search(r'<div class="code" aria-hidden="true"><svg [^>]*viewBox', page)


def test_a_receipt_holds_nothing_of_the_visitor(client: FlaskClient, here: Rooms, receipt: str) -> None:
    for end in ("", ".html", ".tlog-proof"):
        text = client.get(f"/v1/receipts/{receipt}{end}").text
        for canary in ("canary", "9.8.7.6", "127.0.0.1\n", "Mozilla", "Referer"):
            assert canary not in text


def test_a_notice_is_found_by_its_hash(client: FlaskClient, here: Rooms, receipt: str) -> None:
    notice = client.get(f"/v1/receipts/{receipt}").get_json()[RECORD]["dpv:hasNotice"]
    answer = client.get("/ledger/notices/" + notice["dct:source"].rpartition("/")[2])
    assert answer.text == here.sites.get("kent").notice.text
    assert "immutable" in answer.headers["Cache-Control"]
    for wrong in ("0" * 64, "x", notice["app:sha256"].upper()):
        assert client.get(f"/ledger/notices/{wrong}").status_code == 404


def test_a_site_that_is_gone_leaves_a_receipt_that_holds(
    receipt: str, settings: Settings, make_app: Callable[[Settings], Flask]
) -> None:
    text = settings.sites_file.read_text("utf-8")
    settings.sites_file.write_text(text[text.index("[site.surrey]") :], "utf-8")
    later = make_app(settings).test_client()
    answer = later.get(f"/v1/receipts/{receipt}")
    assert verdict(answer.data, later.get("/ledger/log.vkey").text) == set()
    assert answer.get_json()[RECORD]["dpv:hasProcess"][0]["dpv:hasPurpose"]["dct:title"] == "embeds"
    assert later.get(f"/v1/receipts/{receipt}.html").status_code == 200


def test_a_receipt_tells_of_the_newest_events_only(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    record_id = ""
    for number in range(MOST_EVENTS + 3):
        clock.forward(minutes=1)
        record_id = decide(client, here, statistics=True, embeds=number % 2 == 0)
    here.ledger.sequence()
    answer = client.get(f"/v1/receipts/{record_id}")
    assert len(answer.get_json()[RECORD]["dpv:hasConsentStatus"]) == MOST_EVENTS
    assert verdict(answer.data, client.get("/ledger/log.vkey").text) == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    {
        "receipt.css": "text/css",
        **dict.fromkeys(SCRIPTS, "text/javascript"),
        "receipt.shapes.ttl": "text/turtle",
        "receipt.schema.json": "application/schema+json",
    }.items(),
)
def test_what_the_pages_and_machines_need_is_served(client: FlaskClient, name: str, kind: str) -> None:
    answer = client.get(f"/ledger/{name}")
    assert answer.mimetype == kind
    assert answer.data == (STATIC / name).read_bytes()


def test_the_page_that_checks_is_the_same_for_everybody(client: FlaskClient, receipt: str) -> None:
    page = client.get("/ledger/verify")
    assert page.data == client.get("/ledger/verify").data
    assert not re.search(r"https?://", re.sub(r"https?://[^ ]*127.0.0.1[^ ]*", "", page.text))
    alone = client.get("/ledger/verify.html")
    assert alone.headers["Content-Disposition"] == 'attachment; filename="verify.html"'
    assert "default-src 'none'" in alone.text
    assert not re.search(r'(src|href)="(?!#)', alone.text)


def test_the_scripts_stay_small() -> None:
    """Whoever wants to know what the check does can read it: three files, no parts of others."""
    texts = {name: (STATIC / name).read_text("utf-8") for name in SCRIPTS}
    assert sum(len(text.encode()) for text in texts.values()) < 34_000
    imports = [line for text in texts.values() for line in text.splitlines() if line.startswith("import ")]
    assert {line.rpartition(" from ")[2] for line in imports} == {'"./receipt-log.js";', '"./receipt-check.js";'}


def test_the_page_has_a_text_for_every_fault_of_the_script() -> None:
    source = "".join((STATIC / name).read_text("utf-8") for name in SCRIPTS)
    codes = set(re.findall(r'(?:Fault|say)\("([a-z0-9_]+)"', source))
    codes |= set(re.findall(r'(?:from64|plainNumber)\(.*?, "([a-z0-9_]+)"', source))
    codes |= {f"{kind}_{name}" for kind in ("said", "check") for name in NAMES}
    assert len(codes) > 40
    assert codes <= words("en").keys()
