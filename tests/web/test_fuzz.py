"""Every parser of the web house against damaged input: the documented error or a verdict, and never anything else.

Quick by default; the tests marked slow ask for more, and `--hypothesis-profile search` looks for new examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from consent_app import create_app, receipt_check, totp
from consent_app.audit import _read as read_entry
from consent_app.dashboard.login import local_page
from consent_app.errors import ConsentError, ProofError, SitesError, UsersError
from consent_app.keepsakes import PROOF as PROOF_COOKIE
from consent_app.keepsakes import RIGHTS
from consent_app.ledger.tlog import checkpoint, note, proof, tiles
from consent_app.ledger.tlog.cosignature import WitnessKey, cosigned_at
from consent_app.ledger.tlog.witnessing import Request
from consent_app.receipts import Handover
from consent_app.rooms import Rooms
from consent_app.sites import Sites
from consent_app.users import Users
from tests.damage import check
from tests.web.api_figures import close, standing
from tests.web.conftest import STARTER, Clock
from tests.web.rights_visitor import visitor

KENT = "http://kent.localhost:8000"
SIGNER = note.Signer("example.org/log", bytes(range(32)))
HEAD = checkpoint.Checkpoint("example.org/log", 1, bytes(32))
SIGNED = SIGNER.sign(HEAD.text).encode()
PROOF = proof.Proof(0, (bytes(32), bytes(32)), SIGNED, b"nonce")
Verdict = Callable[[bytes], None]


def refuses(read: Callable[[bytes], object], error: type[Exception] = ProofError) -> Verdict:
    """Reads it, or raises this error."""

    def verdict(content: bytes) -> None:
        with suppress(error):
            read(content)

    return verdict


def text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """As a file or an address is handed on: decoded, whatever is in it."""
    return lambda content: read(content.decode("utf-8", "replace"))


def never(read: Callable[[str], object]) -> Verdict:
    """Reads any text without an error."""

    def verdict(content: bytes) -> None:
        read(content.decode("utf-8", "surrogateescape"))

    return verdict


ENTRY = (
    b'{"time": "2026-11-24T12:15:00Z", "who": "mary", "what": "export", "about": "", "how": "command", "before": "0"}'
)
PARSERS: dict[str, tuple[list[bytes], Verdict]] = {
    "note": ([SIGNED], refuses(note.parse)),
    "signed note": ([SIGNED], refuses(lambda content: note.opened(content, [SIGNER.verifier]))),
    "verifier key": ([str(SIGNER.verifier).encode(), b"a+c74f20a3+ARpc2Q=="], refuses(text(note.Verifier.read))),
    "checkpoint": ([HEAD.text.encode()], refuses(text(checkpoint.Checkpoint.read))),
    "signed checkpoint": ([SIGNED], refuses(lambda content: checkpoint.verified(content, [SIGNER.verifier]))),
    "cosignature": (
        [SIGNED],
        refuses(lambda content: cosigned_at(content, WitnessKey(SIGNER.verifier.name, SIGNER.verifier.public))),
    ),
    "proof": ([PROOF.text], refuses(proof.Proof.read)),
    "tile path": ([b"tile/0/x001/234.p/8", b"tile/entries/000"], refuses(text(tiles.Tile.read))),
    "bundle of entries": ([tiles.bundle([b"one", b"", b"x" * 300])], refuses(tiles.unbundle)),
    "tile of hashes": ([bytes(64)], refuses(tiles.hashes)),
    "request to a witness": (
        [Request(0, (), SIGNED).text, Request(1, (bytes(32),), SIGNED).text],
        refuses(Request.read),
    ),
    "one-time code": ([b"123456", b"123 456"], never(totp.digits)),
    "recovery code": ([b"0K7Q-X4TZ-9PWM"], never(totp.recovery)),
    "address to go to": ([b"/dashboard/kent?period=7d", b"//evil.example"], never(local_page)),
    "entry of the audit trail": ([ENTRY], refuses(read_entry, UsersError)),
}


@dataclass
class House:
    """An application, and valid examples of what visitors send it."""

    app: Flask
    rooms: Rooms
    token: str
    session: str
    receipt: bytes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("house") / "home"
    settings = standing(home, Clock(), decisions_per_minute=100_000, beacons_per_minute=100_000)
    app = create_app(settings)
    ann = visitor(app)
    ann.decides(statistics=True, embeds=True)
    ann.here.ledger.sequence()
    receipt = ann.client.get(f"/v1/receipts/{ann.receipt}", headers={"Accept": "application/ld+json"}).get_data()
    cookie = ann.client.get_cookie(PROOF_COOKIE, "kent.localhost", "/v1/consent")
    assert cookie
    client = app.test_client()
    client.get("/dashboard/login")
    session = client.get_cookie("session", path="/dashboard")
    assert session
    yield House(app, ann.here, cookie.value, session.value, receipt)
    close(app)


def asks(house: House, method: str, path: str, **more: object) -> int:
    """The status of an answer, which is never a fault of ours."""
    answer = house.app.test_client().open(path, method=method, base_url=KENT, **more)  # type: ignore[arg-type]
    answer.get_data()
    assert answer.status_code < 500, answer.status
    return answer.status_code


def takes_body(path: str, kind: str, statuses: set[int]) -> Callable[[House], Verdict]:
    def bound(house: House) -> Verdict:
        def verdict(content: bytes) -> None:
            status = asks(house, "POST", path, data=content, content_type=kind, headers={"Origin": KENT})
            assert status in statuses, status

        return verdict

    return bound


def takes_cookie(name: str, path: str) -> Callable[[House], Verdict]:
    def bound(house: House) -> Verdict:
        def verdict(content: bytes) -> None:
            asks(house, "GET", path, headers={"Cookie": f"{name}={_header(content)}"})

        return verdict

    return bound


def _header(content: bytes) -> str:
    """What a server hands on as a header: no control characters, each byte a character."""
    return content.translate(None, bytes(range(32)) + b"\x7f").decode("latin-1")


def decision(house: House) -> list[bytes]:
    notice = house.rooms.sites.get("kent").notice.sha256
    chosen = {"statistics": True, "embeds": False}
    document = {"site": "kent", "notice": notice, "decisions": chosen, "method": "preferences", "lang": "en"}
    return [json.dumps(document).encode(), json.dumps({**document, "token": house.token}).encode()]


def beacon(house: House) -> list[bytes]:
    permit = house.rooms.seal.permit("kent", house.rooms.sites.get("kent").notice.sha256, {"statistics": True}, DAY)
    document = {
        "v": 1, "site": "kent", "kind": "pageview", "day": DAY.isoformat(), "path": "/", "nonce": "0" * 16,
        "permit": permit, "n": 1, "k": 1,
    }  # fmt: skip
    return [json.dumps(document).encode()]


def form(house: House) -> list[bytes]:
    return [f"site=kent&statistics=yes&receipt={house.token}&text=x&file=".encode()]


DAY = date(2026, 11, 24)
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
REFUSED = {400, 403, 404, 409, 413, 415, 422}
REQUESTS: dict[str, tuple[Callable[[House], list[bytes]], Callable[[House], Verdict]]] = {
    "decision": (decision, takes_body("/v1/consent", JSON, {201, *REFUSED})),
    "decision by form": (form, takes_body("/consent", FORM, {200, 303, *REFUSED})),
    "handover": (decision, takes_body("/v1/consent/handover", JSON, {200, 201, *REFUSED})),
    "beacon": (beacon, takes_body("/v1/collect", "text/plain", {202, 204})),
    "receipt of a visitor": (form, takes_body("/your-data", FORM, {200, *REFUSED})),
    "complaint": (form, takes_body("/your-data/complaints", FORM, {303, 429, *REFUSED})),
    "question": (decision, takes_body("/api/v2/query", JSON, {401, 429, *REFUSED})),
    "checkpoint for the witness": (
        lambda _: [Request(0, (), SIGNED).text],
        takes_body("/witness/add-checkpoint", "text/plain", {200, 429, *REFUSED}),
    ),
    "sign-in": (
        lambda _: [b"name=mary&password=correct+horse&next=/dashboard/&csrf_token=x"],
        takes_body("/dashboard/login", FORM, {400, 413}),
    ),
    "consent cookie": (lambda house: [house.token.encode()], takes_cookie(PROOF_COOKIE, "/v1/consent?site=kent")),
    "rights cookie": (lambda house: [house.token.encode()], takes_cookie(RIGHTS, "/your-data")),
    "session cookie": (lambda house: [house.session.encode()], takes_cookie("session", "/dashboard/")),
}
QUICK, MORE = 40, 400


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_refuses_in_its_own_way(name: str) -> None:
    check(*PARSERS[name], 3 * QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_refuses_more_in_its_own_way(name: str) -> None:
    check(*PARSERS[name], 3 * MORE)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_refused_with_a_documented_status(house: House, name: str) -> None:
    examples, verdict = REQUESTS[name]
    check(examples(house), verdict(house), QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
def test_more_requests_are_refused_with_a_documented_status(house: House, name: str) -> None:
    examples, verdict = REQUESTS[name]
    check(examples(house), verdict(house), MORE)


def test_a_token_never_says_more_than_was_signed(house: House) -> None:
    seal, notice = house.rooms.seal, "0" * 64
    lapses = int(house.rooms.settings.clock().timestamp()) + 60
    permit = seal.permit("kent", notice, {"statistics": True}, DAY)
    choice = Handover("kent", "defibrental", {"statistics": True}, lapses, "0" * 32)
    opened = seal.open(house.token, "kent")

    def verdict(content: bytes) -> None:
        sent = content.decode("utf-8", "surrogateescape")
        assert seal.open(sent, "kent") in (None, opened)
        assert seal.check_permit(sent, "kent") in (None, seal.check_permit(permit, "kent"))
        assert seal.open_handover(sent, "defibrental") in (None, choice)

    check([house.token.encode(), permit.encode(), seal.handover(choice).encode()], verdict, 5 * QUICK)


def test_a_receipt_file_is_a_receipt_or_refused(house: House) -> None:
    assert receipt_check.read(house.receipt).events
    check([house.receipt], refuses(receipt_check.read), 2 * QUICK)


def test_a_sites_file_is_read_or_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    (tmp_path / "notices").mkdir()
    for notice in (STARTER / "notices").iterdir():
        (tmp_path / "notices" / notice.name).write_bytes(notice.read_bytes())

    def verdict(content: bytes) -> None:
        file.write_bytes(content)
        try:
            Sites.load(file)
        except SitesError as error:
            assert error.file == file and error.line >= 0 and error.reason

    whole = (STARTER / "sites.toml").read_bytes()
    check([whole, whole.partition(b"[site.surrey")[0]], verdict, QUICK)


def test_a_file_of_users_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    user = {"name": "mary", "role": "viewer", "sites": ["kent"], "password": "x", "recovery": ["x"], "epoch": 1}

    def verdict(content: bytes) -> None:
        file.write_bytes(content)
        file.chmod(0o600)
        with suppress(UsersError):
            Users.load(file)

    check([json.dumps({"version": 1, "users": [user]}).encode()], verdict, 4 * QUICK)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("path", ["/v1/consent", "/v1/collect", "/v1/consent/handover", "/api/v2/query"])
def test_no_depth_of_a_document_is_a_fault(house: House, path: str, opening: bytes) -> None:
    kind = "text/plain" if path.endswith("collect") else JSON
    for size in (1900, 3900, 60_000):
        content = opening * (size // len(opening))
        assert asks(house, "POST", path, data=content, content_type=kind, headers={"Origin": KENT}) in {
            204, 401, 429, *REFUSED,
        }  # fmt: skip


def test_a_fault_would_be_seen() -> None:
    """The fuzzers themselves: a parser that stumbles over a lone quote is caught."""

    def stumbles(content: bytes) -> None:
        if b'"' in content:
            raise KeyError("quote")

    with pytest.raises(KeyError):
        check([b"name=value"], refuses(stumbles, ConsentError), 200)
