"""Identifiers of every kind, in every disguise we know, never survive; ordinary addresses do."""

from __future__ import annotations

import base64
import json
import re
import string
import time
import unicodedata
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anonymiser import identifiers, scrub

PLAIN = {
    "email": "jane.doe@post.example",
    "email with a tag": "jane+orders@post.example",
    "phone": "+44 20 7946 0958",
    "national phone": "01227 496 0123",
    "American phone": "(555) 234-5678",
    "postcode": "CT1 2AB",
    "postcode without a space": "me71dq",
    "card": "4111 1111 1111 1111",
    "card with hyphens": "5500-0000-0000-0004",
    "IBAN": "GB82 WEST 1234 5698 7654 32",
    "UUID": "6f1c2b34-9d8e-4f5a-8b7c-0123456789ab",
    "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015",
    "number": "48213377",
    "token": "aB3dE6gH9jK2mN5pQ8rS",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dGhlLXNpZ25hdHVyZQ",
    "IPv4": "192.0.2.77",
    "IPv6": "2001:db8::8a2e:370:7334",
    "national insurance": "QQ 12 34 56 C",
    "social security": "219-09-9999",
    "health number": "943 476 5919",
    "hardware address": "00:1a:2b:3c:4d:5e",
    "coordinates": "51.2787,1.0789",
}


def once(text: str) -> str:
    return quote(text, safe="")


def base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "with plus signs": lambda text: text.replace("+", "%2B").replace(" ", "+"),
    "encoded": once,
    "encoded in small letters": lambda text: re.sub("%..", lambda code: code[0].lower(), once(text)),
    "every letter encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "encoded twice": lambda text: once(once(text)),
    "encoded three times": lambda text: once(once(once(text))),
    "encoded four times": lambda text: once(once(once(once(text)))),
    "as classic ASP encodes": lambda text: "".join(f"%u{ord(c):04x}" for c in text),
    "as JSON": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "as HTML": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "as HTML in hexadecimal": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "as HTML by name": lambda text: text.replace("@", "&commat;").replace(".", "&period;").replace(":", "&colon;"),
    "in base64": base64url,
    "in base64, encoded": lambda text: once(base64.b64encode(text.encode()).decode()),
    "encoded in base64": lambda text: base64url(once(text)),
    "in base64 twice": lambda text: base64url(base64url(text)),
    "in full-width letters": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "with invisible characters": "\u200b".join,
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("kind", PLAIN)
def test_no_identifier_survives_in_a_path(kind: str, disguise: str) -> None:
    for around in ("/{}", "/list/{}/edit", "/a-{}", "/list;who={}", "/find?q={}", "/find#{}"):
        clean = scrub.path(around.format(DISGUISES[disguise](PLAIN[kind])))
        assert_gone(PLAIN[kind], clean)
        assert scrub.findings(clean) == []


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("scrubbed", [scrub.text, scrub.label])
def test_no_identifier_survives_in_free_text(scrubbed: Callable[[str], str], kind: str, disguise: str) -> None:
    for around in ("{}", "chairs for {} please", "({})", "q={}"):
        clean = scrubbed(around.format(DISGUISES[disguise](PLAIN[kind])))
        assert_gone(PLAIN[kind], clean)
        assert scrub.findings(clean) == []


def assert_gone(identifier: str, clean: str) -> None:
    """No run of four of its letters or digits is left, however it was separated."""
    bare = re.sub(r"\W", "", identifier).lower()
    left = re.sub(r"\W", "", clean).lower()
    assert not [bare[i : i + 4] for i in range(len(bare) - 3) if bare[i : i + 4] in left], clean


@pytest.mark.parametrize("kind", PLAIN)
def test_base64_that_hides_an_identifier_is_replaced_even_where_paths_lose_their_case(kind: str) -> None:
    hidden = base64url(PLAIN[kind])
    assert scrub.path(f"/Unsub/x_{hidden}/Default.asp").startswith("/unsub/x_:token")
    assert scrub.text(f"campaign {hidden}") == "campaign :token"
    assert "token" in identifiers.kinds(f"a-{hidden}") or "encoded" in identifiers.kinds(f"a-{hidden}")


CORPUS = json.loads(Path(__file__).with_name("addresses.json").read_text("utf-8"))


def test_hard_addresses_become() -> None:
    hard = CORPUS["hard"]
    assert len(hard) >= 220
    assert {raw: scrub.path(raw) for raw in hard} == hard
    assert [clean for clean in hard.values() if scrub.findings(clean) or scrub.path(clean) != clean] == []


def test_hard_addresses_encoded_once_more_become_the_same() -> None:
    for raw, clean in CORPUS["hard"].items():
        if not re.search(r"[?&;#\\+]|:/|^[^/]|[^\x20-\x7e]|%(?:[89A-F]|u|2[56B]|3[BF])", raw, re.IGNORECASE):
            assert scrub.path(once(raw)) == clean, raw


def test_ordinary_addresses_stay_readable() -> None:
    plain = {unquote(raw.partition("?")[0]): raw for raw in CORPUS["plain"]}
    assert len(plain) >= 250
    assert [raw for clean, raw in plain.items() if scrub.path(raw) != clean] == []
    assert [clean for clean in plain if scrub.path(quote(clean)) != clean or scrub.findings(clean)] == []


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("", "/"),
        ("chairs", "/chairs"),
        ("/chairs?colour=red#top", "/chairs"),
        ("/chairs%3Fcolour=red", "/chairs"),
        ("/chairs&utm_source=x", "/chairs"),
        ("/salt&pepper", "/salt&pepper"),
        ("/basket;jsessionid=0A1B2C3D/items", "/basket/items"),
        ("/(S(lit3py55t21z5v55vlm25s55))/orders.aspx", "/orders.aspx"),
        ("/(X(1)S(lit3py55t21z5v55vlm25s55))/Orders.aspx", "/orders.aspx"),
        ("/logon.asp?sNextUrl=%2FDefault%2Easp&thisHost=orders.example", "/logon.asp"),
        ("/Logon.ASP%3FsNextUrl%3D%252FDefault%252Easp", "/logon.asp"),
        ("/Shop/Default.ASP", "/shop/default.asp"),
        ("http://user:secret@kent.example:8080/about?x", "/about"),
        ("//favicon.ico", "/favicon.ico"),
        ("/a//b", "/a/b"),
        ("/user/jane", "/user/:id"),
        ("/User/jane/orders/KXJQ", "/User/:id/orders/:id"),
        ("/orders/1041/items", "/orders/:id/items"),
        ("/reset-password/kitten", "/reset-password/:id"),
        ("/~jane/notes", "/:id/notes"),
        ("/@jane", "/:id"),
        ("/sid=0a1b/x", "/:id/x"),
        ("/a\r\nSet-Cookie: x", "/a  Set-Cookie: x"),
        ("/%FF%FE", "/(unreadable)"),
        ("/\udce4", "/(unreadable)"),
        ("/caf\ufffd", "/(unreadable)"),
        ("/%" + "25" * 20 + "41", "/(unreadable)"),
        ("/" + "long" * 200, "/:id"),
    ],
)
def test_paths_become(raw: str, clean: str) -> None:
    assert scrub.path(raw) == clean


def test_a_long_path_keeps_whole_segments() -> None:
    clean = scrub.path("/" + "segment/" * 100)
    assert len(clean) <= scrub.MAX_PATH
    assert clean.endswith("/segment/:more")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Spring+Sale", "spring sale"),
        ("spring_sale_2026", "spring_sale_2026"),
        ("autumn-20261123", "autumn-20261123"),
        ("  Office\tChairs  ", "office chairs"),
        ("see https://post.example/?who=jane now", "see :url now"),
        ("%C3%A9tag%C3%A8re", "étagère"),
        ("x" * 300, ":token"),
        ("%FF", "(unreadable)"),
        ("", ""),
    ],
)
def test_texts_become(raw: str, clean: str) -> None:
    assert scrub.text(raw) == clean


def test_a_label_keeps_its_case() -> None:
    assert scrub.label("Brochure request") == "Brochure request"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("WWW.Google.co.uk:443", "google.co.uk"),
        ("https://jane:secret@shop.example/path?x", "shop.example"),
        ("jane@shop.example", "shop.example"),
        ("shop.example.", "shop.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("192.0.2.7:8080", "(ip)"),
        ("[2001:db8::1]:80", "(ip)"),
        ("2001:db8::1", "(ip)"),
        ("9f86d081884c7d659a2feaa0c55ad015.cdn.example", "cdn.example"),
        ("not a host", "(unreadable)"),
        ("a..b", "(unreadable)"),
        ("x" * 200 + ".example", "(unreadable)"),
        ("<script>", "(unreadable)"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_hosts_become(raw: str, clean: str) -> None:
    assert scrub.host(raw) == clean


def test_an_unknown_field_name_is_printed_only_when_harmless() -> None:
    assert scrub.field_name("userId") == "userId"
    assert scrub.field_name("jane@post.example") == "(unreadable)"
    assert scrub.field_name("a" * 33) == "(unreadable)"
    assert scrub.field_name("x48213377") == "(unreadable)"


def test_findings_name_the_kinds() -> None:
    assert scrub.findings("/contact/jane@post.example/CT1 2AB") == ["email", "postcode"]
    assert scrub.findings("/user/jane") == ["account"]
    assert scrub.findings("/furniture/chairs") == []


def test_keys_in_which_many_texts_may_meet_are_known() -> None:
    for raw in ("/order/1041", "/segment" * 100, "/%FF", "/list/jane@post.example"):
        assert scrub.is_folded(scrub.path(raw)), raw
    assert scrub.is_folded("(other)")
    assert not scrub.is_folded("/furniture/chairs")
    assert not scrub.is_folded("/a:identity")


@pytest.mark.parametrize("number", ["4111111111111111", "5500000000000004", "340000000000009", "6011000000000004"])
def test_card_numbers_pass_luhn_and_their_neighbours_do_not(number: str) -> None:
    assert identifiers.is_card(number)
    assert not identifiers.is_card(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize("number", ["GB82WEST12345698765432", "DE89370400440532013000", "NO9386011117947"])
def test_ibans_pass_their_check_and_swapped_digits_do_not(number: str) -> None:
    assert identifiers.is_iban(number)
    assert not identifiers.is_iban(number[:2] + number[3] + number[2] + number[4:])


PIECES = st.one_of(
    st.sampled_from(
        [*PLAIN.values(), "%25", "%2F", "/", "?", "#", ";", "&x=", "=", "+", "@", ".", ":id", ":email", "…"]
    ),
    st.sampled_from(
        ["user", "order", "account", "Default.asp", "www.", "http://", "(S(", "))", "%C3%A9", "%FF", "eyJ"]
    ),
    st.text(st.sampled_from(string.ascii_letters + string.digits + "-_.~ "), max_size=12),
    st.text(max_size=6),
)
ANYTHING = st.lists(PIECES, max_size=8).map("".join)


@pytest.mark.parametrize("piece", ["a", "a@", "1 ", "%25", "(S(", "&a", "a.", ":", "ey", "A1", "\u200b", "/"])
def test_the_longest_text_takes_no_longer_than_its_length(piece: str) -> None:
    """This thread's own time: without a bound on length the worst of these takes most of a minute."""
    hostile = "/" + piece * (65_536 // len(piece))
    start = time.thread_time()
    for scrubbed in (scrub.path, scrub.text, scrub.label, scrub.host):
        scrubbed(hostile)
    assert time.thread_time() - start < 10


def read(raw: str) -> str:
    """The same text as plainly as it can be read, by another way than scrub's: one letter or code at a time."""
    for _ in range(2 * scrub.ROUNDS):
        plain = re.sub(r"[%\\]u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), unescape(raw))
        plain = re.sub(r"(?:%[0-9a-fA-F]{2})+", lambda codes: unquote(codes[0], errors="ignore"), plain)
        plain = unicodedata.normalize("NFKC", plain)
        plain = "".join(c for c in plain if c in "\t\n\r" or unicodedata.category(c) not in ("Cc", "Cf"))
        if plain == raw:
            break
        raw = plain
    return raw.lower()


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


@settings(deadline=None)
@given(ANYTHING, st.sampled_from([scrub.path, scrub.text, scrub.label]))
@example("/list/jane.doe%2540post.example/CT1%202AB", scrub.path)
@example("&#74;ane /x", scrub.text)
def test_nothing_comes_out_that_did_not_go_in(raw: str, scrubbed: Callable[[str], str]) -> None:
    """No word of the result, placeholders aside, is one that a reader of the input would not have read."""
    clean = scrubbed(raw)
    for placeholder in sorted({*scrub._PLACEHOLDERS, scrub.UNREADABLE, scrub.UNREADABLE_PATH}, key=len, reverse=True):
        clean = clean.replace(placeholder, " ")
    plain = read(raw[: scrub.MAX_RAW])
    assert [word for word in words(clean.lower()) if word not in plain] == []


@settings(deadline=None)
@given(ANYTHING)
@example("4111 1111 1111 1111, x@y")
def test_what_is_found_is_what_is_replaced(raw: str) -> None:
    """One truth, two directions: the check of a published file finds exactly what scrubbing would change."""
    assert bool(identifiers.kinds(raw)) == (identifiers.replaced(raw) != raw)


@pytest.mark.parametrize("kind", PLAIN)
def test_every_kind_is_found_where_it_stands(kind: str) -> None:
    for around in ("{}", "/list/{}", "see {} there", "a-{}."):
        text = around.format(PLAIN[kind])
        assert identifiers.kinds(text), text
        assert scrub.findings(identifiers.replaced(text)) == []


@settings(deadline=None)
@given(ANYTHING)
@example("/u/1%2540/../é%cc%81")
def test_a_path_is_scrubbed_once_and_for_all(raw: str) -> None:
    clean = scrub.path(raw)
    assert clean.startswith("/")
    assert len(clean) <= scrub.MAX_PATH
    assert "?" not in clean
    assert "#" not in clean
    assert scrub.path(clean) == clean
    assert scrub.findings(clean) == []


@settings(deadline=None)
@given(ANYTHING)
def test_a_text_is_scrubbed_once_and_for_all(raw: str) -> None:
    for scrubbed in (scrub.text, scrub.label):
        clean = scrubbed(raw)
        assert len(clean) <= scrub.MAX_TEXT
        assert scrubbed(clean) == clean
        assert scrub.findings(clean) == []


@settings(deadline=None)
@given(ANYTHING)
def test_a_host_is_scrubbed_once_and_for_all(raw: str) -> None:
    clean = scrub.host(raw)
    assert len(clean) <= scrub.MAX_HOST
    assert scrub.host(clean) == clean
    assert scrub.findings(clean) == []


@settings(deadline=None)
@given(ANYTHING)
def test_what_is_printed_of_a_field_name_is_plain(raw: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+|\(unreadable\)", scrub.field_name(raw))
