"""Data rights over HTTP: each of them end to end, who may ask, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask

from consent_app import keepsakes, receipt_check
from consent_app.ledger import holds
from consent_app.ledger.keys import read_public
from consent_app.rights import check as rights_check
from consent_app.settings import Settings
from tests.web.conftest import Clock
from tests.web.ledger_records import failed
from tests.web.rights_visitor import HOSTS, Visitor, copied, events, tombstone, visitor


@pytest.fixture
def ann(app: Flask) -> Visitor:
    """Somebody who allowed statistics on kent and nothing else."""
    ann = visitor(app)
    ann.decides(statistics=True, embeds=False)
    return ann


def holds_up(ann: Visitor, content: str) -> list[str]:
    """What does not hold of a copy or an erasure receipt, under the log's own key."""
    keys = read_public(ann.here.ledger.published.key())
    return [check.sentence for check in rights_check.checks(rights_check.read(content.encode()), keys) if not check.ok]


# --- who may ask ------------------------------------------------------------------------------------------------------


def test_the_cookie_shows_what_is_held(ann: Visitor) -> None:
    page = ann.opens()
    assert page.status_code == 200
    assert ann.receipt in page.text and "Statistics: <strong>on</strong>" in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_without_cookie_or_receipt_the_page_says_why_nobody_is_known(app: Flask) -> None:
    page = visitor(app).opens().text
    assert "Article 11(2)" in page and "We do not know who you are" in page
    assert "Erase for good" not in page and 'name="name"' not in page and 'type="email"' not in page


def test_a_receipt_number_shows_it_in_any_other_browser(app: Flask, ann: Visitor) -> None:
    for spelling in ("{}", " {} \n", "https://kent.example/v1/receipts/{}", '{{"id": "{}"}}'):
        page = visitor(app).sends("/your-data", receipt=spelling.format(ann.receipt))
        assert page.status_code == 200
        assert f'name="receipt" value="{ann.receipt}"' in page.text
        assert ann.receipt not in page.request.url


def test_a_receipt_file_shows_it(app: Flask, ann: Visitor) -> None:
    file = BytesIO(ann.sends("/your-data/copy").data)
    page = visitor(app).sends("/your-data", receipt="", file=(file, "mine.json"))
    assert page.status_code == 200 and ann.receipt in page.text


def test_a_wrong_receipt_is_told_on_the_page(ann: Visitor) -> None:
    for receipt, status in (("", 422), ("abc", 422), ("0" * 32, 404), ("f" * 64, 422)):
        page = ann.sends("/your-data", receipt=receipt)
        assert page.status_code == status
        assert 'role="alert"' in page.text and 'aria-invalid="true"' in page.text


def test_a_receipt_of_another_site_is_none_here(app: Flask, ann: Visitor) -> None:
    other = visitor(app, "surrey")
    assert other.sends("/your-data", receipt=ann.receipt).status_code == 404
    for address in ("copy", "object", "erase"):
        answer = other.sends(
            f"/your-data/{address}", receipt=ann.receipt, **({"confirm": "yes"} if address == "erase" else {})
        )
        assert answer.status_code == 404
    assert events(ann.here, ann.receipt) == ["given"]


@pytest.mark.parametrize("spoil", ["forged", "other site", "expired", "permit"])
def test_a_token_that_does_not_hold_shows_nothing(app: Flask, ann: Visitor, clock: Clock, spoil: str) -> None:
    there = visitor(app, "surrey" if spoil == "other site" else "kent")
    token = ann.token
    if spoil == "forged":
        token = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    if spoil == "permit":
        token = ann.here.seal.permit("kent", "0" * 64, {"statistics": True}, clock().date())
    if spoil == "expired":
        clock.forward(days=181)
    there.client.set_cookie(keepsakes.RIGHTS, token, domain=f"{there.site}.localhost", path="/your-data")
    assert "We do not know who you are" in there.opens().text
    assert there.sends("/your-data/copy").status_code == 404
    assert there.sends("/your-data/erase", confirm="yes").status_code == 404
    assert events(ann.here, ann.receipt) == ["given"]


@pytest.mark.parametrize("address", ["", "/copy", "/erase", "/object", "/complaints"])
def test_a_form_of_another_site_is_refused(ann: Visitor, address: str) -> None:
    fields = {"text": "x"} if address == "/complaints" else {"receipt": ann.receipt, "confirm": "yes"}
    fields.pop("confirm" if address != "/erase" else "", "")
    for origin in ("https://evil.example", HOSTS["surrey"], "null"):
        assert ann.sends(f"/your-data{address}", origin, **fields).status_code == 403
    assert events(ann.here, ann.receipt) == ["given"]


def test_without_an_origin_the_browser_says_whose_page_it_is(ann: Visitor) -> None:
    for fetched, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        headers = {"Sec-Fetch-Site": fetched}
        answer = ann.client.post("/your-data/copy", data={"site": "kent"}, base_url=ann.origin, headers=headers)
        assert answer.status_code == status, fetched


def test_unknown_fields_are_named(ann: Visitor) -> None:
    for fields, said in (
        ({"name": "Ann"}, "name: is not a field"),
        ({"site": "nowhere"}, "site: is missing or is not"),
    ):
        answer = ann.sends("/your-data/erase", confirm="yes", **fields)
        assert answer.status_code == 422 and said in answer.text
    assert events(ann.here, ann.receipt) == ["given"]


def test_a_field_twice_or_a_body_of_another_kind_is_refused(ann: Visitor) -> None:
    headers = {"Origin": ann.origin}
    twice = "site=kent&receipt=a&receipt=b"
    kinds = (("application/x-www-form-urlencoded", twice, 422), ("application/json", "{}", 415))
    for kind, body, status in kinds:
        answer = ann.client.post("/your-data/copy", data=body, content_type=kind, base_url=ann.origin, headers=headers)
        assert answer.status_code == status


def test_who_asks_too_often_waits(ann: Visitor) -> None:
    statuses = [ann.sends("/your-data", receipt="0" * 32).status_code for _ in range(31)]
    assert statuses[:30] == [404] * 30 and statuses[30] == 429


# --- copy and portability ---------------------------------------------------------------------------------------------


def test_a_copy_has_everything_and_proves_itself(ann: Visitor, clock: Clock) -> None:
    clock.forward(days=1)
    ann.decides(statistics=True, embeds=True)
    answer = ann.sends("/your-data/copy")
    mine = copied(answer)
    assert [held["record"]["event"] for held in mine["records"]] == ["given", "changed"]
    assert mine["receipt_number"] == ann.receipt
    assert mine["receipt"]["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#receipt"
    site = ann.here.sites.get("kent")
    assert mine["notices"] == [{"sha256": site.notice.sha256, "effective": "2026-11-01", "text": site.notice.text}]
    assert mine["recipients"] == [] and mine["loaded_by_your_browser"] == {"embeds": ["OpenStreetMap Foundation"]}
    assert mine["statistics"]["linked_to_you"] == []
    assert [kept["erased_after"] for kept in mine["retention"]] == ["2029-06-23", "2029-06-24"]
    assert mine["cookie"]["decisions"] == {"statistics": True, "embeds": True}
    assert holds_up(ann, answer.text) == []
    receipt = receipt_check.read(json.dumps(mine["receipt"]).encode())
    verdicts = list(receipt_check.checks(receipt, read_public(ann.here.ledger.published.key())))
    assert [check.sentence for check in verdicts if not check.ok] == []
    assert len(receipt.events) == 2


def test_a_copy_that_was_changed_does_not_hold(ann: Visitor) -> None:
    text = ann.sends("/your-data/copy").text
    for spoil in ("record", "proof", "notice"):
        mine = json.loads(text)
        if spoil == "record":
            mine["records"][0]["record"]["decisions"]["embeds"]["allowed"] = True
        elif spoil == "proof":
            mine["records"][0]["entry"] += 1
        else:
            mine["notices"][0]["text"] += " "
        assert len(holds_up(ann, json.dumps(mine))) == 1, spoil


# --- erasure ----------------------------------------------------------------------------------------------------------


def test_erasure_asks_once_more(ann: Visitor) -> None:
    page = ann.sends("/your-data/erase")
    assert page.status_code == 200 and "cannot be undone" in page.text
    assert events(ann.here, ann.receipt) == ["given"]


def test_erasure_takes_the_record_and_the_cookies_and_proves_it(ann: Visitor, home: Path) -> None:
    before = ann.sends("/your-data/copy").text
    kept = ann.here.ledger.published.checkpoint()
    proof = ann.here.ledger.proof(ann.receipt)
    assert kept and proof
    answer = ann.sends("/your-data/erase", confirm="yes")
    assert answer.status_code == 303
    seq = tombstone(answer)
    assert events(ann.here, ann.receipt) == [] and ann.token == ""
    assert ann.opens(answer.headers["Location"]).status_code == 200
    receipt = ann.opens(f"/your-data/erasures/{seq}.json")
    assert receipt.get_json()["record"]["entries"] == [0]
    assert holds_up(ann, receipt.text) == []
    tlog = ann.opens(f"/your-data/erasures/{seq}.tlog-proof")
    assert ann.here.ledger.verify_proof("erasure", tlog.data).ok
    assert holds_up(ann, before) == [], "what was given out before stays valid"
    assert ann.here.ledger.verify_proof("old", proof.text).ok
    assert failed(ann.here.ledger, kept) == {}
    assert ann.receipt.encode() not in b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())


def test_an_erased_token_that_is_sent_again_brings_nothing_back(ann: Visitor) -> None:
    token, receipt = ann.token, ann.receipt
    ann.sends("/your-data/erase", confirm="yes")
    ann.client.set_cookie(keepsakes.RIGHTS, token, domain="kent.localhost", path="/your-data")
    assert "was erased" in ann.opens().text
    again = ann.sends("/your-data/erase", confirm="yes")
    assert again.status_code == 303 and "done=cleared" in again.headers["Location"]
    assert events(ann.here, receipt) == []
    assert ann.token == ""


def test_a_proof_that_is_still_about_brings_nothing_back(app: Flask, ann: Visitor, clock: Clock) -> None:
    """A proof heals the ledger after a power cut; after an erasure it must not."""
    clock.now = datetime.now(UTC) - timedelta(minutes=1)  # erasures are timed by the system's clock
    ann.decides(statistics=True, embeds=True)
    visitor(app).sends("/your-data/erase", receipt=ann.receipt, confirm="yes")
    assert ann.opens("/v1/consent?site=kent").get_json()["decided"]
    assert events(ann.here, ann.receipt) == []
    ann.decides(statistics=False, embeds=False)
    assert [entry.record["event"] for entry in ann.here.ledger.entries() if entry.kind == "consent"] == ["withdrawn"]


def test_erasure_by_receipt_in_another_browser(app: Flask, ann: Visitor) -> None:
    answer = visitor(app).sends("/your-data/erase", receipt=ann.receipt, confirm="yes")
    assert answer.status_code == 303
    assert events(ann.here, ann.receipt) == []


def test_what_a_legal_hold_keeps_is_not_erased(ann: Visitor, clock: Clock) -> None:
    words = {"reason": "case 7", "by": "legal", "until": date(2026, 12, 31)}
    holds.add(ann.here.ledger, "kent", [ann.receipt], now=clock(), **words)  # type: ignore[arg-type]
    page = ann.sends("/your-data/erase", confirm="yes")
    assert page.status_code == 409
    assert "31 December 2026" in page.text and "17(3)(e)" in page.text and "case 7" not in page.text
    assert events(ann.here, ann.receipt) == ["given"] and ann.token
    clock.forward(days=38)
    assert ann.sends("/your-data/erase", confirm="yes").status_code == 303
    assert events(ann.here, ann.receipt) == []


def test_of_a_refusal_only_the_cookies_can_go(app: Flask) -> None:
    bob = visitor(app)
    bob.decides(statistics=False, embeds=False)
    page = bob.opens().text
    assert "no number" in page and "/your-data/copy" not in page
    assert bob.sends("/your-data/erase", confirm="yes").headers["Location"].endswith("done=cleared")
    assert bob.token == ""
    assert len(list(bob.here.ledger.entries())) == 1


def test_an_erasure_that_never_was_is_not_found(ann: Visitor) -> None:
    for seq in ("0", "7", "-1", "x"):
        for end in ("", ".json", ".tlog-proof"):
            assert ann.opens(f"/your-data/erasures/{seq}{end}").status_code == 404


# --- objection, restriction, correction -------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["kent", "surrey"])
def test_an_objection_turns_everything_optional_off_at_once(app: Flask, site: str) -> None:
    carl = visitor(app, site)
    carl.decides(**{purpose.key: True for purpose in carl.here.sites.get(site).optional})
    answer = carl.sends("/your-data/object")
    assert answer.status_code == 303 and "done=stopped" in answer.headers["Location"]
    assert events(carl.here, carl.receipt) == ["given", "objected"]
    last = carl.here.ledger.history(carl.receipt)[-1].record
    assert not any(said["allowed"] for said in last["decisions"].values())
    state = carl.opens(f"/v1/consent?site={site}").get_json()
    assert state["decided"] and not any(state["decisions"].values())
    kept = carl.here.seal.open(carl.token, site)
    assert kept is not None and not kept.given and kept.id == ""


def test_an_objection_by_receipt_leaves_this_browser_alone(app: Flask, ann: Visitor) -> None:
    answer = visitor(app).sends("/your-data/object", receipt=ann.receipt)
    assert answer.status_code == 303 and "Set-Cookie" not in answer.headers
    assert events(ann.here, ann.receipt) == ["given", "objected"]


@pytest.mark.parametrize(("lang", "counts_on"), [("en", "it counts on until you say no there"), ("cy", "dal i gyfrif")])
def test_an_objection_by_receipt_says_what_stops_the_other_browser(
    app: Flask, ann: Visitor, lang: str, counts_on: str
) -> None:
    """Nothing tells that browser from others, so nobody can reach it: the page says so, and which click does."""
    other = visitor(app)
    answer = other.sends(f"/your-data/object?lang={lang}", receipt=ann.receipt)
    page = other.opens(answer.headers["Location"].removeprefix("http://kent.localhost:8000")).text
    assert counts_on in page
    assert "Everything optional is off" not in page, "it is not, there"
    assert 'href="https://kent-office.example/cookies?site=kent"' in page or "/cookies?site=kent" in page
    assert ("Reject all" if lang == "en" else "Gwrthod popeth") in page
    state = ann.opens("/v1/consent?site=kent").get_json()
    assert state["decisions"]["statistics"] is True, "as the page says: that browser still has its permit"
    own = ann.sends("/your-data/object", receipt=ann.receipt)
    assert "done=stopped&" in own.headers["Location"] + "&", "by the same receipt in the browser itself it is off"


def test_correction_leads_to_the_settings_and_is_added(ann: Visitor) -> None:
    assert 'href="/cookies?site=kent&amp;lang=en&amp;return=' in ann.opens().text
    ann.decides(statistics=False, embeds=True)
    assert events(ann.here, ann.receipt) == ["given", "changed"]


def test_a_script_site_is_corrected_there(app: Flask) -> None:
    dora = visitor(app, "defibrental")
    dora.decides(**{purpose.key: True for purpose in dora.here.sites.get("defibrental").optional})
    page = dora.sends("/your-data", receipt=dora.receipt).text
    assert 'href="https://defibrental.example"' in page


# --- the pages --------------------------------------------------------------------------------------------------------


def test_the_page_of_cookies_leads_here(ann: Visitor) -> None:
    assert 'href="/your-data?site=kent&amp;lang=cy">Eich data</a>' in ann.opens("/cookies?lang=cy").text


def test_our_own_host_asks_which_site(app: Flask) -> None:
    page = app.test_client().get("/your-data", base_url="http://127.0.0.1:8000")
    assert all(f"/your-data?site={key}" in page.text for key in HOSTS)
    assert app.test_client().get("/your-data?site=nowhere").status_code == 404


def test_the_cookies_of_an_objection_are_those_of_a_refusal(app: Flask) -> None:
    """Nothing tells who objected from who refused on that day."""
    jars = []
    for address in ("object", "refuse"):
        eve = visitor(app)
        eve.decides(statistics=True, embeds=True)
        eve.sends("/your-data/object") if address == "object" else eve.decides(statistics=False, embeds=False)
        places = ((keepsakes.READABLE, "/"), (keepsakes.RIGHTS, "/your-data"), (keepsakes.PROOF, "/consent"))
        found = [eve.client.get_cookie(name, "kent.localhost", path) for name, path in places]
        jars.append([(cookie.value, cookie.secure, cookie.http_only) for cookie in found if cookie])
    assert jars[0] == jars[1] and len(jars[0]) == 3


def test_a_second_server_gives_the_same(settings: Settings, make_app: Callable[[Settings], Flask]) -> None:
    one, two = make_app(settings), make_app(settings)
    ann = visitor(one)
    ann.decides(statistics=True, embeds=False)
    assert copied(visitor(two).sends("/your-data/copy", receipt=ann.receipt))["receipt_number"] == ann.receipt
