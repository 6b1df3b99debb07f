"""The wiring: what stops the start, what the session is like, and what an operator's tools are told."""

from __future__ import annotations

import logging
import runpy
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser.errors import SegmentError
from consent_app import create_app
from consent_app.errors import LedgerError, SettingsError, SitesError
from consent_app.home import make_hour_keys
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings

MakeApp = Callable[[Settings], Flask]


def test_every_notice_is_archived_at_the_start(app: Flask) -> None:
    here: Rooms = app.extensions[NAME]
    assert {sha256 for _, sha256 in here.ledger.notices()} == {site.notice.sha256 for site in here.sites}
    assert all(check.ok for check in here.ledger.verify())


def test_the_application_starts_on_a_home_it_knows(settings: Settings, make_app: MakeApp) -> None:
    for _ in range(2):
        assert make_app(settings).test_client().get("/healthz").get_json() == {"alive": True}


def test_a_server_loads_it_under_the_environment(home: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENT_HOME", str(home))
    make_hour_keys(Settings.from_environment(), datetime.now(UTC))
    app = runpy.run_path(str(root / "wsgi.py"))["app"]
    assert app.extensions[NAME].settings.home == home
    assert app.test_client().get("/readyz").status_code == 200
    app.extensions[NAME].ledger.close()


def test_a_broken_sites_file_stops_the_start(settings: Settings, home: Path) -> None:
    with (home / "sites.toml").open("a") as file:
        file.write("\n[site.kent.purpose.advertising]\ntitle = 3\n")
    with pytest.raises(SitesError, match=r"sites.toml, line \d+"):
        create_app(settings)


def test_no_keys_no_start(settings: Settings) -> None:
    for lacking in (replace(settings, signing_keys=()), replace(settings, session_keys=())):
        with pytest.raises(SettingsError, match="consent init"):
            create_app(lacking)


@pytest.mark.parametrize("name", ["signing.keys", "session.keys"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_secrets_that_others_may_read_stop_the_start(settings: Settings, name: str, mode: int) -> None:
    (settings.secrets / name).chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        Settings.from_environment({}, home=settings.home)


def test_a_ledger_that_is_none_stops_the_start(settings: Settings) -> None:
    settings.ledger_file.write_bytes(b"not a ledger" * 1000)
    with pytest.raises(LedgerError, match="restore it"):
        create_app(settings)


def test_a_spool_that_is_a_file_stops_the_start(settings: Settings) -> None:
    shutil.rmtree(settings.spool)
    settings.spool.write_text("x", "utf-8")
    with pytest.raises(SegmentError, match="spool"):
        create_app(settings)


def test_the_session_is_the_dashboards_alone(settings: Settings, make_app: MakeApp) -> None:
    app = make_app(replace(settings, session_keys=("old-" * 10, "new-" * 10), public_url="https://consent.example"))
    assert app.config["SECRET_KEY"] == "new-" * 10
    assert app.config["SECRET_KEY_FALLBACKS"] == ["old-" * 10]
    [cookie] = app.test_client().get("/dashboard/login").headers.getlist("Set-Cookie")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/dashboard"):
        assert part in cookie
    plain = make_app(settings).test_client().get("/dashboard/login").headers["Set-Cookie"]
    assert "Secure" not in plain


@pytest.mark.parametrize("page", ["/", "/cookies?site=kent", "/v1/consent?site=kent", "/healthz", "/nowhere"])
def test_opening_a_page_sets_no_cookie(client: FlaskClient, page: str) -> None:
    assert client.get(page).headers.getlist("Set-Cookie") == []


def test_ready_means_it(client: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["ready"]) == (200, True)
    settings.stats_file.write_bytes(b"not a database")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["checks"] == {"ledger": True, "spool": True, "statistics": False, "batch": True}
    settings.stats_file.unlink()
    settings.spool.rename(settings.home / "gone")
    assert client.get("/readyz").get_json()["checks"]["spool"] is False


def test_metrics_are_for_the_own_network(client: FlaskClient) -> None:
    client.post("/v1/collect", data=b"{}", content_type="text/plain")
    text = client.get("/metrics").text
    assert 'consent_responses_total{endpoint="collect.collect",status="204",reason="schema"} 1' in text
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
    client.environ_base["REMOTE_ADDR"] = "8.8.8.8"
    assert client.get("/metrics").status_code == 404


def test_the_well_known_places(client: FlaskClient) -> None:
    text = client.get("/.well-known/security.txt").text
    assert text.startswith("Contact: http://127.0.0.1:8000/your-data/complaints\n")
    assert "Expires: 2027-05-23T00:00:00Z" in text
    assert client.get("/.well-known/gpc.json").get_json()["gpc"] is True


def test_a_weakness_is_reported_where_the_operator_says(settings: Settings, make_app: MakeApp) -> None:
    client = make_app(replace(settings, security_contact="mailto:security@consent.example")).test_client()
    assert client.get("/.well-known/security.txt").text.startswith(
        "Contact: mailto:security@consent.example\nExpires: "
    )
    for wrong in ("security@consent.example", "mailto:a\nPolicy: x", "javascript:alert(1)", "http://consent.example"):
        with pytest.raises(SettingsError, match="CONSENT_SECURITY_CONTACT"):
            replace(settings, security_contact=wrong)


def test_the_front_page_leads_on(client: FlaskClient) -> None:
    page = client.get("/").text
    for link in ("/cookies?site=kent", "/cookies?site=orders", "/dashboard/"):
        assert f'href="{link}"' in page


def test_requests_are_not_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for path in PATHS:
            client.get(path, headers={"User-Agent": "canary-agent"})
    assert [record for record in caplog.records if "canary" in record.getMessage()] == []


PATHS = ("/", "/cookies?site=canary", "/v1/consent?site=canary", "/v1/receipts/canary", "/nowhere/canary")
