"""A choice taken along to another site of the family: for that site alone, once, for a minute, and without any id.

In the starter kent's banner covers defibrental, and no other site.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_app.errors import SitesError
from consent_app.handover import carried
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
DEFIBRENTAL = "http://defibrental.localhost:8000"
SURREY = "http://surrey.localhost:8000"


@pytest.fixture
def rooms(app: Flask) -> Rooms:
    return app.extensions[NAME]  # type: ignore[no-any-return]


def choose(client: FlaskClient, rooms: Rooms, allowed: bool = True) -> dict[str, Any]:
    """A decision at kent."""
    site = rooms.sites.get("kent")
    body = {
        "site": "kent",
        "notice": site.notice.sha256,
        "decisions": {purpose.key: allowed for purpose in site.optional},
        "method": "banner-accept-all" if allowed else "banner-reject-all",
        "lang": "en",
    }
    return client.post("/v1/consent", json=body, headers={"Origin": KENT}).get_json()  # type: ignore[no-any-return]


def take(client: FlaskClient, token: str, to: str = "defibrental") -> TestResponse:
    body = {"site": "kent", "to": to, "token": token}
    return client.post("/v1/consent/handover", json=body, headers={"Origin": KENT})


def bring(client: FlaskClient, rooms: Rooms, text: str, site: str = "defibrental", origin: str = "") -> TestResponse:
    notice = rooms.sites.get(site).notice.sha256
    body = {"site": site, "handover": text, "notice": notice, "lang": "cy"}
    return client.post("/v1/consent/handover", json=body, headers={"Origin": origin or f"http://{site}.localhost:8000"})


def test_a_choice_arrives_and_is_a_decision_of_its_own(client: FlaskClient, rooms: Rooms) -> None:
    made = choose(client, rooms)
    answer = take(client, made["token"])
    assert answer.status_code == 201 and answer.cache_control.no_store
    arrived = bring(client, rooms, answer.get_json()["handover"])
    assert arrived.status_code == 201
    told = arrived.get_json()
    assert told["decisions"] == {"statistics": True, "embeds": True, "map": True, "film": False}
    assert rooms.seal.open(told["token"], "defibrental") is not None
    record = [entry.record for entry in rooms.ledger.entries() if entry.kind == "consent"][-1]
    assert (record["site"], record["method"], record["event"], record["language"]) == (
        "defibrental", "handover", "given", "cy",
    )  # fmt: skip


def test_no_number_passes_from_one_site_to_the_other(client: FlaskClient, rooms: Rooms) -> None:
    made = choose(client, rooms)
    text = take(client, made["token"]).get_json()["handover"]
    body = rooms.seal.open_handover(text, "defibrental")
    assert body is not None
    assert (body.sender, body.decisions) == ("kent", {"embeds": True, "film": False, "map": True, "statistics": True})
    arrived = bring(client, rooms, text).get_json()
    records = [json.dumps(entry.record) for entry in rooms.ledger.entries() if entry.kind == "consent"]
    assert made["receipt"] not in repr(body) + json.dumps(arrived) + records[-1]
    assert body.nonce not in json.dumps(arrived) + "".join(records)
    assert arrived["receipt"] not in ("", made["receipt"])


def test_a_refusal_is_taken_along_and_has_no_number(client: FlaskClient, rooms: Rooms) -> None:
    text = take(client, choose(client, rooms, allowed=False)["token"]).get_json()["handover"]
    told = bring(client, rooms, text).get_json()
    assert not any(told["decisions"].values()) and told["receipt"] == "" == told["permit"]


def test_it_is_good_once_in_whatever_process(
    client: FlaskClient, rooms: Rooms, make_app: Callable[[Settings], Flask], settings: Settings
) -> None:
    text = take(client, choose(client, rooms)["token"]).get_json()["handover"]
    other = make_app(settings)
    assert bring(other.test_client(), other.extensions[NAME], text).status_code == 201
    again = bring(client, rooms, text)
    assert (again.status_code, again.get_json()["fields"]) == (422, {"handover": "was used before"})


def test_it_is_good_at_one_site_only(client: FlaskClient, rooms: Rooms) -> None:
    text = take(client, choose(client, rooms)["token"]).get_json()["handover"]
    assert bring(client, rooms, text, "surrey").status_code == 422
    assert bring(client, rooms, text, "kent").status_code == 422
    assert bring(client, rooms, text, origin=SURREY).status_code == 403
    assert bring(client, rooms, text).status_code == 201


def test_it_is_good_for_a_minute(client: FlaskClient, rooms: Rooms, clock: Clock) -> None:
    token = choose(client, rooms)["token"]
    early, late = (take(client, token).get_json()["handover"] for _ in range(2))
    clock.now += timedelta(seconds=59)
    assert bring(client, rooms, early).status_code == 201
    clock.now += timedelta(seconds=2)
    assert bring(client, rooms, late).status_code == 422
    clock.now += timedelta(seconds=60)
    fresh = take(client, token).get_json()["handover"]
    assert bring(client, rooms, fresh).status_code == 201
    assert len(list((rooms.settings.home / "handovers").iterdir())) == 1  # what has lapsed is not kept


@pytest.mark.parametrize("spoil", [lambda text: text[:-1], lambda text: "A" + text, lambda text: "", lambda _: "x.y"])
def test_what_is_changed_is_refused(client: FlaskClient, rooms: Rooms, spoil: Callable[[str], str]) -> None:
    text = take(client, choose(client, rooms)["token"]).get_json()["handover"]
    assert bring(client, rooms, spoil(text)).status_code == 422
    assert bring(client, rooms, choose(client, rooms)["token"]).status_code == 422  # another use of the same key


def test_only_a_site_that_is_named_is_covered(client: FlaskClient, rooms: Rooms) -> None:
    token = choose(client, rooms)["token"]
    for to in ("surrey", "orders", "kent", "nobody"):
        assert take(client, token, to).status_code == 422
    back = client.post(
        "/v1/consent/handover", json={"site": "defibrental", "to": "kent"}, headers={"Origin": DEFIBRENTAL}
    )
    assert back.status_code == 422


def test_without_a_choice_there_is_nothing_to_take(client: FlaskClient, rooms: Rooms) -> None:
    answer = take(client, "")
    assert (answer.status_code, list(answer.get_json()["fields"])) == (422, ["site"])
    stale = rooms.seal.token(rooms.seal.open(choose(client, rooms)["token"], "kent"))  # type: ignore[arg-type]
    assert take(client, stale + "x").status_code == 422


def test_what_was_not_asked_here_is_not_taken_along(rooms: Rooms) -> None:
    kent, surrey, defibrental = (rooms.sites.get(key) for key in ("kent", "surrey", "defibrental"))
    everything = dict.fromkeys(("statistics", "embeds"), True)
    assert carried(everything, kent, surrey) is None  # whose statistics are on until objected to
    assert carried(everything, kent, defibrental) is not None
    only_statistics = {"statistics": True, "embeds": False}
    assert carried(only_statistics, kent, defibrental) == {
        "statistics": True, "embeds": False, "map": False, "film": False,
    }  # fmt: skip


def test_a_script_cannot_claim_it(client: FlaskClient, rooms: Rooms) -> None:
    site = rooms.sites.get("kent")
    body = {"site": "kent", "notice": site.notice.sha256, "decisions": {"statistics": True, "embeds": True},
            "method": "handover", "lang": "en"}  # fmt: skip
    assert client.post("/v1/consent", json=body, headers={"Origin": KENT}).status_code == 422


@pytest.mark.parametrize("lang", ["en", "cy", "ur", "ja"])
def test_the_banner_names_the_sites_it_covers(client: FlaskClient, lang: str) -> None:
    assert "DefibRental Solutions" in client.get(f"/v1/sites/kent/banner?lang={lang}").text
    assert "Kent" not in client.get(f"/v1/sites/defibrental/banner?lang={lang}").text


@pytest.mark.parametrize("covers", ['["kent"]', '["nobody"]', '["Kent"]', '"defibrental"'])
def test_a_site_can_only_cover_another_of_the_file(home: Path, covers: str) -> None:
    file = home / "sites.toml"
    file.write_text(file.read_text("utf-8").replace('covers = ["defibrental"]', f"covers = {covers}"), "utf-8")
    with pytest.raises(SitesError, match=r"sites\.toml.*covers"):
        Sites.load(file)
