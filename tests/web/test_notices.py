"""The archive of notices: every text and banner by its hash, for ever, and a check that says so."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from consent_app import bundle
from consent_app.archive import Archive, hashed
from consent_app.errors import NotFoundError
from consent_app.ledger import Ledger
from consent_app.rooms import NAME
from consent_app.settings import Settings
from consent_app.sites import Sites
from tests.web.conftest import Clock
from tests.web.ledger_records import GIVEN
from tests.web.rights_visitor import HOSTS, visitor

Make = Callable[[Settings], Flask]


def close(app: Flask) -> None:
    app.extensions[NAME].ledger.close()


def test_every_notice_a_site_showed_is_kept_word_for_word(settings: Settings, make_app: Make, clock: Clock) -> None:
    first = make_app(settings)
    before = first.extensions[NAME].sites.get("kent").notice
    close(first)
    file = settings.home / "notices" / "kent.txt"
    file.write_text(before.text + "\nAnd a cookie more.\n", "utf-8")
    sites = settings.sites_file.read_text("utf-8")
    changed = sites.replace('kent.txt", effective = 2026-11-01', 'kent.txt", effective = 2026-11-25')
    settings.sites_file.write_text(changed, "utf-8")
    clock.forward(days=1)
    second = make_app(settings)
    after = second.extensions[NAME].sites.get("kent").notice
    page = visitor(second).opens("/your-data/notices").text
    assert page.index("25 November 2026") < page.index("1 November 2026", page.index("25 November 2026") + 20)
    assert page.count("in force") == 1
    for notice in (before, after):
        assert f"/notices/{notice.sha256}" in page
        for address in ("/ledger/notices/", "/notices/", "/your-data/notices/"):
            client = second.test_client()
            if address != "/ledger/notices/":
                moved = client.get(address + notice.sha256, base_url=HOSTS["kent"])
                assert (moved.status_code, moved.location) == (308, f"/ledger/notices/{notice.sha256}")
            answer = client.get(address + notice.sha256, base_url=HOSTS["kent"], follow_redirects=True)
            assert answer.text == notice.text
            assert hashlib.sha256(answer.data).hexdigest() == notice.sha256
            assert answer.mimetype == "text/plain" and "immutable" in answer.headers["Cache-Control"]
    assert after.sha256 not in visitor(second, "surrey").opens("/your-data/notices").text


def test_a_banner_is_found_by_the_hash_that_records_name(app: Flask) -> None:
    ann = visitor(app)
    ann.decides(statistics=True, embeds=True)
    sha256 = ann.here.ledger.history(ann.receipt)[0].record["bundle"]
    assert sha256 in ann.opens("/notices").text
    said = ann.opens(f"/notices/banners/{sha256}").get_json()
    assert [part["name"] for part in said["files"]] == list(bundle.files())
    files = {part["name"]: ann.opens(f"/notices/banners/{sha256}/{part['name']}") for part in said["files"]}
    assert hashed({name: answer.data for name, answer in files.items()}) == sha256 == bundle.sha256()
    assert {answer.mimetype for answer in files.values()} == {"text/plain"}
    for wrong in (f"{sha256}/x.js", "0" * 64, "..", f"{sha256}/..%2f..%2fbegan"):
        assert ann.opens(f"/notices/banners/{wrong}").status_code == 404
    assert ann.opens(f"/ledger/notices/{'0' * 64}").status_code == 404


def verdict(settings: Settings, ledger: Ledger) -> tuple[bool, str]:
    [check] = Archive.of(settings).checks(ledger)
    return check.ok, check.sentence


def test_a_banner_that_was_changed_or_lost_is_found(app: Flask, settings: Settings) -> None:
    ann = visitor(app)
    ann.decides(statistics=True, embeds=True)
    assert verdict(settings, ann.here.ledger) == (True, "the files of 1 banners that records name can be read")
    folder = settings.home / "archive" / "banners" / bundle.sha256()
    file = folder / "manifest.json"
    file.write_bytes(file.read_bytes() + b" ")
    ok, said = verdict(settings, ann.here.ledger)
    assert not ok and "not what they were" in said
    assert ann.opens(f"/notices/banners/{bundle.sha256()}").status_code == 404
    shutil.rmtree(folder)
    assert not verdict(settings, ann.here.ledger)[0]


def test_what_was_shown_before_the_archive_began_is_told_and_not_held_against_anybody(settings: Settings) -> None:
    earlier = replace(GIVEN, bundle="1" * 64)
    with Ledger(settings.ledger_file) as ledger:
        ledger.append(earlier)
        archive = Archive.of(settings)
        archive.keep(Sites.load(settings.sites_file), ledger, date(2026, 11, 24))
        assert ("kent", GIVEN.notice, "1" * 64) in [(one.site, one.notice, one.bundle) for one in archive.shown()]
        ok, said = verdict(settings, ledger)
        assert ok and "1 from before 2026-11-24" in said
        ledger.append(replace(earlier, id="6" * 32))
        assert not verdict(settings, ledger)[0]


def test_keeping_is_safe_to_repeat(settings: Settings) -> None:
    sites = Sites.load(settings.sites_file)
    archive = Archive.of(settings)
    with Ledger(settings.ledger_file) as ledger:
        archive.keep(sites, ledger, date(2026, 11, 24))
        kept = {file: file.read_bytes() for file in (settings.home / "archive").rglob("*") if file.is_file()}
        archive.keep(sites, ledger, date(2026, 12, 24))
    assert kept == {file: file.read_bytes() for file in (settings.home / "archive").rglob("*") if file.is_file()}
    assert [one.since for one in archive.shown()] == ["2026-11-24"] * 4
    with pytest.raises(NotFoundError):
        archive.bundle(str(Path("..") / "shown"))
