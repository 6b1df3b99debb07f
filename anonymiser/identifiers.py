"""What a personal identifier looks like: one ordered table of patterns, each with its proof where one exists."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

MIN_TOKEN: Final = 16
MAX_WORD: Final = 48
SHORTEST: Final = 3  # no rule finds anything shorter


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of identifier: every match of `pattern` that `proof` accepts becomes `:placeholder`.

    `sign`, `length` and `digits` say what a text must have for the pattern to be worth trying; most texts have
    nothing of the kind, and the batch looks at millions.
    """

    kind: str
    placeholder: str
    pattern: re.Pattern[str]
    proof: Callable[[str], bool]
    sign: str
    length: int
    digits: int

    def found(self, text: str) -> bool:
        """Whether the text holds one."""
        return any(self.proof(match.group()) for match in self.pattern.finditer(text))

    def replaced(self, text: str) -> str:
        """The text with each one replaced."""
        return self.pattern.sub(self._placed, text)

    def _placed(self, match: re.Match[str]) -> str:
        """The placeholder, apart from a letter that follows: `:phonef00d` would read as something else."""
        if not self.proof(match.group()):
            return match.group()
        return (
            f":{self.placeholder} " if match.string[match.end() : match.end() + 1].isalnum() else f":{self.placeholder}"
        )


def is_ip(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address, with or without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_card(text: str) -> bool:
    """Whether 13 to 19 digits pass the check digit of ISO/IEC 7812-1 (Luhn), and are no book's number."""
    digits = [int(c) for c in text if c.isdecimal()]
    if not 13 <= len(digits) <= 19 or is_isbn(text):
        return False
    doubled = [d * 2 - 9 * (d > 4) for d in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def is_isbn(text: str) -> bool:
    """Whether the text is a book's number: 978 or 979, and the check digit of ISO 2108. No card begins so."""
    digits = [int(c) for c in text if c.isdecimal()]
    if len(digits) != 13 or digits[:2] != [9, 7] or digits[2] not in (8, 9):
        return False
    return (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the text, or its first words, pass the check of ISO 13616 (remainder 1 modulo 97)."""
    words = re.split(r"[ +._-]", text)
    return any(_passes_mod_97("".join(words[:count])) for count in range(1, len(words) + 1))


def _passes_mod_97(compact: str) -> bool:
    if not 15 <= len(compact) <= 34 or not compact.isascii():
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def is_phone(text: str) -> bool:
    """Whether the digits are as many as a telephone number has (ITU-T E.164: at most 15)."""
    return 9 <= sum(c.isdecimal() for c in text) <= 15


def is_hex(text: str) -> bool:
    """Whether a run of the letters a to f and digits holds a digit, so that it is no word; a book's number is none."""
    return any(c.isdecimal() for c in text) and not is_isbn(text)


def is_token(text: str) -> bool:
    """Whether letters and digits change too often for words: random text, hyphens and underscores left out."""
    words = re.split(r"[_-]", text)
    if max(map(len, words)) > MAX_WORD:
        return True
    return sum(map(_turns, words)) >= max(4, len(text) // 4)


def _turns(word: str) -> int:
    """Changes between digits, capitals and small letters, but for the one after a capital (`GettingStarted`)."""
    kinds = ["d" if c.isdecimal() else "u" if c.isupper() else "l" for c in word]
    return sum(a != b and (a, b) != ("u", "l") for a, b in pairwise(kinds))


def is_number(text: str) -> bool:
    """Whether a run of six digits or more is anything but a month or day of this age (202611), or a book's number."""
    return not re.fullmatch(r"20[0-3]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?", text) and not is_isbn(text)


def is_account(text: str) -> bool:
    """Whether the number after a word such as `order` is anything but a year."""
    return not re.fullmatch(r"(?:19|20)\d\d", text[len(text.rstrip("0123456789")) :])


def hides_identifier(text: str) -> bool:
    """Whether base64 text decodes to readable text that holds an identifier, itself perhaps encoded."""
    compact = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        plain = unquote(base64.b64decode(compact + "=" * (-len(compact) % 4)).decode("utf-8"))
    except (binascii.Error, ValueError):
        return False
    return plain.isprintable() and bool(kinds(plain))


def _any(text: str) -> bool:
    return True


def _rule(
    kind: str,
    placeholder: str,
    pattern: str,
    proof: Callable[[str], bool] = _any,
    *,
    sign: str = "",
    length: int = 0,
    digits: int = 0,
    flags: re.RegexFlag = re.IGNORECASE,
) -> Rule:
    return Rule(kind, placeholder, re.compile(pattern, flags), proof, sign, max(length, SHORTEST), digits)


_AREAS: Final = (
    "AB|AL|BA|BB|BD|BF|BH|BL|BN|BR|BS|BT|BX|CA|CB|CF|CH|CM|CO|CR|CT|CV|CW|DA|DD|DE|DG|DH|DL|DN|DT|DY|EC|EH|EN|EX|FK|FY|"
    "GL|GU|GY|HA|HD|HG|HP|HR|HS|HU|HX|IG|IM|IP|IV|JE|KA|KT|KW|KY|LA|LD|LE|LL|LN|LS|LU|ME|MK|ML|NE|NG|NN|NP|NR|NW|OL|OX|"
    "PA|PE|PH|PL|PO|PR|RG|RH|RM|SA|SE|SG|SK|SL|SM|SN|SO|SP|SR|SS|ST|SW|SY|TA|TD|TF|TN|TQ|TR|TS|TW|UB|WA|WC|WD|WF|WN|WR|"
    "WS|WV|YO|ZE|B|E|G|L|M|N|S|W"
)
_EDGE: Final = r"(?<![^\W_])"
_END: Final = r"(?![^\W_])"
# Not the tail of a date or version: 2015-05-17-10-30-22 is no telephone number.
_ALONE: Final = r"(?<!\d)(?<!\d[ +._-])"

_NOT_IN_EMAIL: Final = r"[^\s/@:;,<>()\[\]\"]"
_IN_DOMAIN: Final = r"[^\s/@:;,<>()\[\]\"+]"
_PLAIN: Final = (
    _rule("email", "email", rf"{_NOT_IN_EMAIL}+(?:@{_IN_DOMAIN}+)+", sign="@"),
    _rule("email", "email", rf"{_NOT_IN_EMAIL}+ ?\(at\) ?{_NOT_IN_EMAIL}+", sign="(at)"),
    _rule("email", "email", rf"{_NOT_IN_EMAIL}+ ?\[at\] ?{_NOT_IN_EMAIL}+", sign="[at]"),
    _rule("token", "token", r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?", length=14, sign="."),
    _rule("uuid", "uuid", _EDGE + r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}" + _END, length=32),
    _rule("iban", "iban", _EDGE + r"[a-z]{2}\d{2}(?:[ +._-]?[a-z0-9]){11,30}" + _END, is_iban, length=15, digits=3),
    _rule("card", "card", r"(?<!\d)\d(?:[ +._-]?\d){12,18}(?!\d)", is_card, digits=13),
    _rule("ip", "ip", r"(?<![\w:])[0-9a-f:]*:[0-9a-f]*:(?:[0-9a-f:]|\.(?=\d))*(?![\w:])", is_ip, sign=":"),
    _rule("ip", "ip", r"(?<![\d.])(?<!\bv)\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)", is_ip, sign=".", digits=4),
    _rule(
        "phone", "phone", r"(?<![\d+])(?:\+|00)[ +._-]?\(?[1-9](?:[ +().\-_]{0,3}\d){7,14}(?!\d)", is_phone, digits=8
    ),
    _rule("phone", "phone", _ALONE + r"\(?0[1-9](?:[ +().\-_]{0,3}\d){7,10}(?!\d)", is_phone, digits=9),
    _rule("phone", "phone", _ALONE + r"\(?[1-9]\d{2}\)?[ +.\-_]{1,2}\d{3}[ +.\-_]\d{4}(?!\d)", digits=10),
    _rule("coordinates", "place", r"(?<![\d.])-?\d{1,3}\.\d{3,}[,; +]{1,2}-?\d{1,3}\.\d{3,}", sign=".", digits=8),
    _rule("hardware", "id", _EDGE + r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}" + _END, length=17),
    _rule("insurance", "id", _ALONE + r"\d{3}[ +.\-_]\d\d[ +.\-_]\d{4}(?!\d)", digits=9),
    _rule("postcode", "postcode", rf"{_EDGE}(?:{_AREAS})\d[a-z\d]?[ +._-]*\d[abd-hjlnp-uw-z]{{2}}{_END}", digits=2),
    _rule("insurance", "id", _EDGE + r"[a-z]{2}(?:[ +._-]?\d\d){3}[ +._-]?[a-d]" + _END, digits=6),
)
# Four letters of base64 that spell three bytes of ASCII which are no control characters.
_SPELT: Final = r"[I-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9_+-]"
_ACCOUNTS: Final = "acct|account|customer|cust|user|member|patient|client|invoice|order|booking|receipt|ticket"
_OPAQUE: Final = (
    _rule(
        "encoded",
        "token",
        rf"(?<![A-Za-z0-9+])(?:{_SPELT}){{2}}[A-Za-z0-9_+-]*={{0,2}}",
        hides_identifier,
        length=8,
        flags=re.NOFLAG,
    ),
    _rule("token", "token", r"(?:0x)?(?<![0-9a-f])[0-9a-f]{12,}(?![0-9a-f])", is_hex, length=12, digits=1),
    _rule("token", "token", rf"[a-z0-9_-]{{{MIN_TOKEN},}}", is_token, length=MIN_TOKEN),
    _rule("token", "token", rf"[a-z0-9]{{{MIN_TOKEN},}}", is_token, length=MIN_TOKEN),
    _rule("number", "id", r"(?<!\d)\d{6,}(?!\d)", is_number, digits=6),
    _rule(
        "number",
        "id",
        rf"{_EDGE}(?:{_ACCOUNTS})s?(?:[ _-]?(?:no|nr|id|ref))?[ _-]?\d{{4,}}{_END}",
        is_account,
        digits=4,
    ),
)
RULES: Final = _PLAIN + _OPAQUE
PLACEHOLDERS: Final = frozenset(f":{rule.placeholder}" for rule in RULES)
_DIGIT: Final = re.compile(r"\d")


def kinds(text: str) -> list[str]:
    """The kinds of identifier the text holds."""
    return [rule.kind for rule in _worth_trying(text) if rule.found(text)]


def replaced(text: str) -> str:
    """The text with every identifier replaced by its placeholder."""
    for rule in _worth_trying(text):
        text = rule.replaced(text)
    return text


def _worth_trying(text: str) -> Sequence[Rule]:
    length = len(text)
    if length < SHORTEST:
        return ()
    rules = _table(min(length, LONGEST), len(_DIGIT.findall(text)))
    if rules and _SIGNS.search(text):
        small = text.lower()
        return [rule for rule in rules if rule.sign in small]
    return [rule for rule in rules if not rule.sign]


LONGEST: Final = max(rule.length for rule in RULES)
_SIGNS: Final = re.compile(r"[@:.()\[\]]")


@cache
def _table(length: int, digits: int) -> tuple[Rule, ...]:
    """The rules for which a text is long enough and has digits enough, in order."""
    return tuple(rule for rule in RULES if length >= rule.length and digits >= rule.digits)
