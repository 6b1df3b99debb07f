"""Distinct text -> safe text. Pure functions, idempotent, length-capped: what they return may be stored.

Addresses arrive with people in them: a mail address in a search, an account number in a path, a session in a query
string. Each recognisable identifier becomes a placeholder (`:email`, `:id` ...). Names and streets in free text
cannot be recognised reliably; the publication rule (declared or commonly shared keys only) deals with those.

The case of a path is kept, because most servers tell `/About` from `/about`; only where the extension says that the
server does not (classic ASP, ASP.NET) is the path put into lower case. Free text and hosts are always lower case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from html import unescape
from itertools import pairwise
from typing import Final
from urllib.parse import unquote_to_bytes

from anonymiser import identifiers

MAX_PATH: Final = 256
MAX_TEXT: Final = 128
MAX_SEGMENT: Final = 100
MAX_HOST: Final = 100
MAX_RAW: Final = 4096
ROUNDS: Final = 8

UNREADABLE_PATH: Final = "/(unreadable)"
UNREADABLE: Final = "(unreadable)"
IP_HOST: Final = "(ip)"
MORE: Final = ":more"
URL: Final = ":url"

# Words that name a page under an account, not the account.
ACTIONS: Final = (
    "about account add address all basket billing cancel cancelled cart change checkout close complete completed "
    "confirm confirmation confirmed create dashboard default delete delivery details download edit export failed "
    "failure faq help history home import index info invoices join list login logoff logon logout manage me new "
    "notifications orders overview password pay payment payments preferences print privacy profile quotes register "
    "remove reset returns review search security settings shipping sign-in sign-out sign-up signin signout signup "
    "status submit success summary terms thank-you thanks track tracking unsubscribe update upload verify view "
    "welcome benefits board case-studies case-study community company contact culture directory events forum guide "
    "guides join-us leadership membership news offers our-people our-team partners renew resources reviews services "
    "stories support team testimonials training vacancies"
)
# Words after which a path names one person, account or order.
OWNERS: Final = (
    "account accounts acct user users userid uid u customer customerid customers profile profiles "
    "member members patient patients person people employee employees student students subscriber subscribers token "
    "reset-password unsubscribe invite invitation verify-email confirm-email"
)
# Words that begin pages for everybody as well (/order/catalogue.asp): what follows names one thing only if
# it holds a digit or is all capitals.
SOMETIMES: Final = (
    "order orders invoice invoices booking bookings quote quotes ticket tickets receipt receipts client clients "
    "delivery deliveries"
)
_ACTIONS: Final = frozenset(ACTIONS.split())
_OWNERS: Final = frozenset((OWNERS + " " + SOMETIMES).split())
_SOMETIMES: Final = frozenset(SOMETIMES.split())
_IIS: Final = re.compile(r"\.(?:asp|aspx|ashx|asmx|asax|cshtml)(?:/|$)", re.IGNORECASE)
_PAGE: Final = re.compile(r"\.(?:aspx?|html?|php\d?|jsp|cfm)$", re.IGNORECASE)
_COOKIELESS: Final = re.compile(r"\((?:[A-Za-z]\([^()/]*\))+\)")
_ABSOLUTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\\]*", re.IGNORECASE)
_CALLED_AS_QUERY: Final = re.compile(r"&(?:amp;)?[\w.\[\]-]+=")
_CODE: Final = re.compile(r"[%\\][uU]([0-9a-fA-F]{4})")
_ENCODED: Final = re.compile(r"[%&\\]")
_NAMED_SIGN: Final = re.compile(r"&[A-Za-z][A-Za-z0-9]{1,31};")
_WEB_ADDRESS: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_PLACEHOLDERS: Final = identifiers.PLACEHOLDERS | {MORE, URL}
_FOLDED: Final = re.compile(rf"(?:{'|'.join(sorted(_PLACEHOLDERS))})(?![a-z])|\((?:unreadable|other|ip)\)")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


class _UnreadableError(Exception):
    """Text that is not text: broken UTF-8, or encoded more often than anyone does honestly."""


def path(p: str) -> str:
    """The page key of a URL path: begins with "/", at most 256 characters, no host, query, fragment or session.

    Text that is not valid UTF-8 once decoded becomes "/(unreadable)". path(path(p)) == path(p).
    """
    return _settled(p, _path_once, UNREADABLE_PATH)


def text(t: str) -> str:
    """Free text (campaign, search term) in lower case, at most 128 characters, identifiers replaced."""
    return _settled(t, _text_once, UNREADABLE)


def label(t: str) -> str:
    """A short name given by the site's owner (a goal), at most 128 characters: as `text`, but its case is kept."""
    return _settled(t, _label_once, UNREADABLE)


def is_folded(key: str) -> bool:
    """Whether many distinct texts may have become this key: it holds a placeholder or an unreadable part."""
    return bool(_FOLDED.search(key))


def host(h: str) -> str:
    """The host of a link or referrer: lower case, without scheme, credentials, port, path or `www.`.

    IP literals become "(ip)", what is no host name "(unreadable)", nothing stays "".
    """
    try:
        name = _decoded(h[:MAX_RAW]).strip().lower()
    except _UnreadableError:
        return UNREADABLE
    if name in ("", IP_HOST, UNREADABLE):
        return name
    return _host_name(_authority(name))


def field_name(n: str) -> str:
    """An unknown field's name made safe to print in an error: a plain short word, or "(unreadable)"."""
    return n if _FIELD.fullmatch(n) and not findings(n) else UNREADABLE


def findings(text: str) -> list[str]:
    """The kinds of identifier still recognisable in a published key, sorted; empty for everything scrubbed here."""
    return sorted({*identifiers.kinds(text), *(("account",) if _owner_segments(text) else ())})


def _settled(raw: str, once: Callable[[str], str], unreadable: str) -> str:
    """Repeat `once` until nothing changes: a replacement may uncover what it stood beside."""
    raw = raw[:MAX_RAW]
    try:
        for _ in range(ROUNDS):
            done = once(raw)
            if done == raw:
                return done
            raw = done
    except _UnreadableError:
        pass
    return unreadable


def _decoded(raw: str) -> str:
    """Percent-decoding, NFKC and removal of control characters, together to a fixed point."""
    if raw.isascii() and raw.isprintable() and not _ENCODED.search(raw):
        return raw
    for _ in range(ROUNDS):
        done = unicodedata.normalize("NFKC", _printable(_unquoted(raw)))
        if done == raw:
            return done
        raw = done
    raise _UnreadableError


def _unquoted(raw: str) -> str:
    """One layer of encoding off: percent signs, `%u0040` of classic ASP, `\\u0040` of JSON, `&#64;` of HTML."""
    if "&#" in raw:
        raw = unescape(raw)
    elif "&" in raw and ";" in raw:
        raw = _NAMED_SIGN.sub(lambda sign: unescape(sign[0]), raw)
    if "%" not in raw and "\\" not in raw:
        return raw
    raw = _CODE.sub(lambda code: chr(int(code[1], 16)), raw)
    if "%" not in raw:
        return raw
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise _UnreadableError from error


def _printable(raw: str) -> str:
    if raw.isascii() and raw.isprintable():
        return raw
    if "\ufffd" in raw or any(unicodedata.category(c) in ("Cs", "Co", "Cn") for c in raw):
        raise _UnreadableError
    return "".join(" " if c in "\t\n\r\u2028\u2029" else c for c in raw if c in "\t\n\r" or _visible(c))


def _visible(c: str) -> bool:
    return unicodedata.category(c) not in ("Cc", "Cf")


def _path_once(raw: str) -> str:
    place = _without_query(_decoded(raw)).replace("\\", "/")
    segments = [s for s in map(_without_session, place.split("/")) if s]
    trailing = "/" if segments and place.endswith("/") else ""
    # Lower case comes last: base64 is no longer itself in small letters.
    done = _scrubbed(segments)
    if "." in place and _IIS.search(place):
        done = [s.lower() for s in done]
    return _capped(done, trailing)


def _without_query(place: str) -> str:
    if ":" in place and _ABSOLUTE.match(place):
        place = _ABSOLUTE.sub("", place, count=1)
    place = place.partition("?")[0].partition("#")[0]
    return _CALLED_AS_QUERY.split(place, maxsplit=1)[0] if "&" in place else place


def _without_session(segment: str) -> str:
    """Matrix parameters (`;jsessionid=`) and ASP.NET's cookieless `(S(...))` carry sessions."""
    if "(" in segment:
        segment = _COOKIELESS.sub(" ", segment.partition(";")[0])
    return segment.partition(";")[0].strip()


def _scrubbed(segments: list[str]) -> list[str]:
    done: list[str] = []
    previous = ""
    for segment in segments:
        done.append(":id" if _owned(previous, segment) else _segment(segment))
        previous = segment
    return done


def _owned(owner: str, segment: str) -> bool:
    """Whether this segment names one account, order or person: `/user/jane`, but not `/user/settings`."""
    owner = owner.lower()
    if owner not in _OWNERS or segment in _PLACEHOLDERS:
        return False
    stem = _PAGE.sub("", segment)
    if owner in _SOMETIMES:
        return stem.isupper() or any(c.isdecimal() for c in stem)
    return stem.lower() not in _ACTIONS and stem.lower() not in _OWNERS


def _owner_segments(text: str) -> bool:
    return any(_owned(a, b) for a, b in pairwise(text.split("/")) if b)


@lru_cache(maxsize=65536)
def _segment(segment: str) -> str:
    if segment.startswith(("@", "~")) or "=" in segment or len(segment) > MAX_SEGMENT:
        return ":id"
    return identifiers.replaced(segment)


def _capped(segments: list[str], trailing: str) -> str:
    whole = "/" + "/".join(segments) + trailing
    while len(whole) > MAX_PATH:
        segments = segments[:-2] if segments[-1] == MORE else segments[:-1]
        segments.append(MORE)
        whole = "/" + "/".join(segments)
    return whole


def _text_once(raw: str) -> str:
    # Identifiers first: a plus is a space in a query, but it also begins telephone numbers.
    return _label_once(_label_once(raw).replace("+", " ").lower())


def _label_once(raw: str) -> str:
    words = _WEB_ADDRESS.sub(URL, _decoded(raw)).split("/")
    words = [":id" if _owned(a, b) else b for a, b in pairwise(["", *words])]
    return identifiers.replaced(" ".join("/".join(words).split()))[:MAX_TEXT].rstrip()


def _authority(name: str) -> str:
    name = re.sub(r"^(?:[a-z][a-z0-9+.-]*:)?//", "", name)
    name = re.split(r"[/?#\\]", name, maxsplit=1)[0].rsplit("@", 1)[-1]
    return re.sub(r":\d*$", "", name) if name.count(":") == 1 or name.startswith("[") else name


def _host_name(name: str) -> str:
    if identifiers.is_ip(name.strip("[]")):
        return IP_HOST
    try:
        name = name.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return UNREADABLE
    labels = name.split(".")
    while len(labels) > 1 and (labels[0] == "www" or (len(labels) > 2 and identifiers.kinds(labels[0]))):
        labels = labels[1:]
    done = ".".join(labels)
    if len(done) > MAX_HOST or identifiers.kinds(done) or not all(_LABEL.fullmatch(label) for label in labels):
        return UNREADABLE
    return done
