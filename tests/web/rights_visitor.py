"""A visitor of one site who decides, and then asks for what is theirs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_app.keepsakes import RIGHTS
from consent_app.rooms import NAME, Rooms

HOSTS = {key: f"http://{key}.localhost:8000" for key in ("kent", "surrey", "defibrental", "orders")}


@dataclass
class Visitor:
    """A browser on one site; `receipt` is the number of what was allowed last."""

    client: FlaskClient
    here: Rooms
    site: str = "kent"
    receipt: str = ""

    @property
    def origin(self) -> str:
        return HOSTS[self.site]

    def decides(self, **decisions: bool) -> None:
        notice = self.here.sites.get(self.site).notice.sha256
        document = {"site": self.site, "notice": notice, "decisions": decisions, "method": "preferences", "lang": "en"}
        said = self.client.post("/v1/consent", json=document, base_url=self.origin, headers={"Origin": self.origin})
        assert said.status_code == 201, said.text
        self.receipt = said.get_json()["receipt"]

    def opens(self, address: str = "/your-data") -> TestResponse:
        return self.client.get(address, base_url=self.origin)

    def sends(self, address: str, origin: str | None = None, **fields: Any) -> TestResponse:
        headers = {"Origin": self.origin if origin is None else origin}
        data = {"site": self.site, **fields}
        return self.client.post(address, data=data, base_url=self.origin, headers=headers)

    @property
    def token(self) -> str:
        cookie = self.client.get_cookie(RIGHTS, f"{self.site}.localhost", "/your-data")
        return cookie.value if cookie else ""


def visitor(app: Flask, site: str = "kent") -> Visitor:
    return Visitor(app.test_client(), app.extensions[NAME], site)


def events(here: Rooms, receipt: str) -> list[str]:
    return [entry.record["event"] for entry in here.ledger.history(receipt)]


def tombstone(answer: TestResponse) -> int:
    found = re.search(r"/erasures/(\d+)\?", answer.headers["Location"])
    assert found
    return int(found[1])


def copied(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["Content-Disposition"]
    document: dict[str, Any] = json.loads(answer.text)
    return document
