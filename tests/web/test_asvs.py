"""The map of OWASP ASVS 5.0 is whole, each test that it names exists, and items that need no place of their own."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent_app import home as data_home
from consent_app import ropa
from consent_app.settings import Settings
from consent_app.users import OWN_WORDS, Users
from tests.web.test_dashboard_login import sign_in

pytestmark = pytest.mark.usefixtures("light_hashes")
PASSWORD = "correct horse battery"
MET = ("yes", "partly", "no", "not applicable")
# How many items each section has that the map has to speak of.
SECTIONS = {
    "3.3": 5, "3.4": 8, "3.5": 8, "6.1": 3, "6.2": 12, "6.3": 8, "6.4": 6, "6.5": 8, "6.6": 4, "6.7": 2, "6.8": 4,
    "7.2": 4, "8.1": 4, "8.2": 4, "8.3": 3, "8.4": 2, "11.1": 4, "14.3": 3, "16.2": 5, "16.3": 4, "16.4": 3,
}  # fmt: skip
SINGLE = ("4.1.3", "14.2.7")
MakeApp = Callable[[Settings], Flask]


def items(root: Path) -> list[dict[str, str]]:
    with (root / "docs" / "asvs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def names_in(file: Path) -> frozenset[str]:
    """The names of the tests that a file really has."""
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def missing(root: Path, rows: list[dict[str, str]]) -> list[str]:
    lost = []
    for row in rows:
        for name in row["tests"].split():
            path, _, test = name.partition("::")
            if not (root / path).is_file() or test not in names_in(root / path):
                lost.append(f"{row['item']}: {name}")
    return lost


def test_every_item_is_there_once_and_in_order(root: Path) -> None:
    found = [row["item"] for row in items(root)]
    expected = [f"{section}.{n}" for section, last in SECTIONS.items() for n in range(1, last + 1)]
    expected += SINGLE
    assert found == sorted(expected, key=lambda item: [int(part) for part in item.split(".")])


def test_every_test_that_is_named_exists(root: Path) -> None:
    rows = items(root)
    assert missing(root, rows) == []
    rows[0]["tests"] += " tests/web/test_guard.py::test_nothing tests/web/test_none.py::test_x"
    assert len(missing(root, rows)) == 2


def test_what_is_met_is_tested_and_what_is_not_says_why(root: Path) -> None:
    for row in items(root):
        assert row["met"] in MET and row["requirement"], row["item"]
        if row["met"] in ("yes", "partly"):
            assert row["tests"], f"{row['item']}: no test"
        if row["met"] != "yes":
            assert len(row["how"]) > 2, f"{row['item']}: no reason"
    counts = {met: sum(row["met"] == met for row in items(root)) for met in MET}
    assert counts["no"] > 0, "a map without a hole is not looked at closely"


SAID = (
    "30 minutes", "12 hours", "15 minutes", "at least 12 characters", "five attempts", "CONSENT_SECOND_FACTOR",
    "CONSENT_LOGIN_NETWORKS", "CONSENT_AUDIT_MONTHS", "viewer", "admin", "auditor", "consent user totp", "/metrics",
    "post-quantum", "consent audit", "asvs.csv",
)  # fmt: skip


def test_the_page_on_security_says_what_is_to_be_documented(root: Path) -> None:
    page = (root / "docs" / "security.md").read_text("utf-8")
    assert [said for said in (*SAID, *OWN_WORDS) if said not in page] == []


def test_every_key_is_in_the_inventory(root: Path) -> None:
    page = (root / "docs" / "security.md").read_text("utf-8")
    files = [store.pattern for store in ropa.STORES if store.pattern.startswith("secrets/")]
    assert len(files) > 5 and [file for file in files if f"`{file}`" not in page] == []


LIBRARIES = {"cryptography", "hashlib", "hmac", "itsdangerous", "argon2"}


def users_of_cryptography(root: Path) -> Iterator[str]:
    for house in ("consent_app", "anonymiser"):
        for file in sorted((root / house).rglob("*.py")):
            tree = ast.parse(file.read_text("utf-8"))
            names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
            names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            if LIBRARIES & {name.split(".")[0] for name in names}:
                yield file.relative_to(root).as_posix()


def test_every_use_of_cryptography_is_in_the_inventory(root: Path) -> None:
    """By room: a file of its own where it has a key, a folder where many files of it only hash."""
    page = (root / "docs" / "security.md").read_text("utf-8")
    named = re.findall(r"`((?:consent_app|anonymiser)/[\w/]+(?:\.py|/))`", page)
    unnamed = [file for file in users_of_cryptography(root) if not file.startswith(tuple(named))]
    assert unnamed == []


def test_nothing_secret_comes_from_random(root: Path) -> None:
    for file in (root / "consent_app").rglob("*.py"):
        if "demo" not in file.parts:
            assert not re.search(r"^(import random|from random)", file.read_text("utf-8"), re.MULTILINE), file


def test_no_script_listens_to_messages(root: Path) -> None:
    scripts = [*(root / "static" / "consent-banner" / "src").glob("*.ts"), *(root / "consent_app").rglob("*.js")]
    assert len(scripts) > 5
    assert [file.name for file in scripts if re.search(r"['\"]message['\"]|onmessage", file.read_text("utf-8"))] == []


def test_no_answer_is_jsonp(client: FlaskClient) -> None:
    for path in ("/v1/consent?site=kent&", "/v1/sites/kent/config?", "/.well-known/gpc.json?", "/api/openapi.json?"):
        for name in ("callback", "jsonp", "cb"):
            answer = client.get(f"{path}{name}=stolen")
            assert str(answer.mimetype).endswith("json") and "stolen(" not in answer.text


def test_password_fields_hide_what_is_typed_and_help_managers(app: Flask, client: FlaskClient) -> None:
    app.extensions["consent"].users.add("mary", PASSWORD, "viewer")
    pages = [client.get("/dashboard/login").text]
    sign_in(client, PASSWORD, "mary")
    pages += [client.get("/dashboard/account").text, client.get("/dashboard/account/second-factor").text]
    fields = [field for page in pages for field in re.findall(r"<input[^>]*password[^>]*>", page)]
    assert len(fields) >= 5
    for field in fields:
        assert 'type="password"' in field and re.search('autocomplete="(current|new)-password"', field)
    assert not any(word in page.lower() for page in pages for word in ("hint", "maiden", "favourite"))


def test_a_new_home_has_no_account(tmp_path: Path) -> None:
    settings = Settings.from_environment({}, home=tmp_path / "home")
    data_home.create(settings)
    assert Users.load(settings.users_file).all() == []


def test_a_session_cookie_stays_small(app: Flask, client: FlaskClient) -> None:
    name = "a" * 64
    app.extensions["consent"].users.add(name, PASSWORD, "viewer")
    answer = sign_in(client, PASSWORD, name, next="/dashboard/kent?" + "x" * 1500)
    assert max(len(cookie) for cookie in answer.headers.getlist("Set-Cookie")) < 4096


def test_https_is_remembered_for_a_year_behind_https(settings: Settings, make_app: MakeApp) -> None:
    client = make_app(replace(settings, public_url="https://consent.example")).test_client()
    for path in ("/", "/dashboard/login", "/healthz", "/v1/consent?site=kent"):
        answer = client.get(path, base_url="https://consent.example")
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in client.get("/", base_url="http://consent.example").headers
