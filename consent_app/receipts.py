"""Receipts and their seal: what was decided under which notice, signed so that only we can have written it.

A *token* is the proof a visitor keeps; only a *given* decision has a random id and a time to the second in it. A
*permit* is what beacons carry: it is the same text for everybody who chose alike on the same day, and has no id.
Token text is malleable (base64 has several spellings): nothing may be keyed by it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_encode

from consent_app.errors import SettingsError

VALIDITY: Final = timedelta(days=180)
LONGEST_TOKEN: Final = 2048
SECOND: Final = "%Y-%m-%dT%H:%M:%SZ"
_Choice = tuple[tuple[str, bool], ...]
_compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Receipt:
    """One decision: each optional purpose and whether it is allowed, under the notice of that SHA-256.

    `id` (32 hexadecimal digits) is "" unless something was given; `time` is UTC, to the second if given, else the day.
    `method` and `lang` are "" in the receipt of a refusal that was read back: its token keeps neither, so that the
    tokens of all who refuse on one day are the same.
    """

    site: str
    notice: str
    decisions: Mapping[str, bool]
    time: str
    method: str = ""
    lang: str = ""
    id: str = ""

    @property
    def given(self) -> bool:
        """Whether anything optional was allowed."""
        return any(self.decisions.values())

    @property
    def day(self) -> date:
        """The UTC day of the decision."""
        return date.fromisoformat(self.time[:10])

    @property
    def expires(self) -> datetime:
        """Until when it holds: fixed at the decision, never moved."""
        return _moment(self.time) + VALIDITY


@dataclass(frozen=True, slots=True)
class Permit:
    """What a beacon may claim. `notice` has 8 digits; `explicit` is False where nobody chose (default, or by GPC)."""

    site: str
    notice: str
    decisions: Mapping[str, bool]
    day: date
    explicit: bool

    def allows(self, purpose: str) -> bool:
        """Whether that purpose is on."""
        return self.decisions.get(purpose, False)


@dataclass(frozen=True, slots=True)
class Handover:
    """A choice on its way from the site `sender` to the site `to`, until `lapses` (seconds of the epoch)."""

    sender: str
    to: str
    decisions: Mapping[str, bool]
    lapses: int
    nonce: str


def receipt(site: str, notice: str, decisions: Mapping[str, bool], now: datetime, **more: str) -> Receipt:
    """A new receipt at `now` (UTC): with a random 128-bit id (or the one in `more`) and the second only if given."""
    if any(decisions.values()):
        more["id"] = more.get("id") or secrets.token_hex(16)
        return Receipt(site, notice, decisions, f"{now.isoformat(timespec='seconds')[:19]}Z", **more)
    more.pop("id", None)
    return Receipt(site, notice, decisions, now.date().isoformat(), **more)


class Seal:
    """Signs and reads tokens and permits. Keys run from oldest to newest: the newest signs, all verify.

    Raises SettingsError without keys. What is forged, of another site, expired or signed by a retired key reads as
    None, which everyone must treat as no consent.
    """

    def __init__(self, keys: Sequence[str], clock: Callable[[], datetime]) -> None:
        if not keys:
            raise SettingsError("there are no signing keys; `consent init` makes them")
        self._keys = list(keys)
        self._clock = clock
        self._opened_permit = lru_cache(maxsize=4096)(self._read_permit)
        self._made_permit = lru_cache(maxsize=1024)(self._sign_permit)
        self._serializer = lru_cache(maxsize=256)(self._made_serializer)

    def token(self, receipt: Receipt) -> str:
        """The signed text of a receipt: the full decision, id only if given."""
        body: list[Any] = [receipt.notice, _bits(receipt.decisions), receipt.time]
        if receipt.given:
            body += [receipt.method, receipt.lang, receipt.id]
        return self._signed("token", receipt.site, body)

    def open(self, token: str, site: str) -> Receipt | None:
        """The receipt in a token of that site while it holds, else None."""
        try:
            notice, bits, time, *more = self._read("token", site, token)
            receipt = Receipt(site, notice, _decisions(bits), time, *more)
            return receipt if receipt.expires > self._clock() else None
        except (TypeError, ValueError, AttributeError):
            return None

    def permit(self, site: str, notice: str, decisions: Mapping[str, bool], day: date, *, explicit: bool = True) -> str:
        """The permit of a decision made on `day` under the notice of that SHA-256; no randomness, no id."""
        return self._made_permit(site, notice[:8], tuple(sorted(decisions.items())), day, explicit)

    def check_permit(self, text: str, site: str) -> Permit | None:
        """The permit while it holds, else None. Verdicts on the signature are remembered: many beacons carry each."""
        permit = self._opened_permit(text, site)
        if permit is None or permit.day + VALIDITY < self._clock().date():
            return None
        return permit

    def handover(self, choice: Handover) -> str:
        """The signed text of a choice on its way, which holds at no other site than the one it is for."""
        return self._signed(
            "handover", choice.to, [choice.sender, _bits(choice.decisions), choice.lapses, choice.nonce]
        )

    def open_handover(self, text: str, to: str) -> Handover | None:
        """What arrives at the site `to`, else None; whether it has lapsed is for the caller to say."""
        try:
            sender, bits, lapses, nonce = self._read("handover", to, text)
            return Handover(sender, to, _decisions(bits), lapses, nonce)
        except (TypeError, ValueError, AttributeError):
            return None

    def _read_permit(self, text: str, site: str) -> Permit | None:
        try:
            notice, bits, day, explicit = self._read("permit", site, text)
            return Permit(site, notice, _decisions(bits), date.fromisoformat(day), bool(explicit))
        except (TypeError, ValueError, AttributeError):
            return None

    def _sign_permit(self, site: str, notice: str, choice: _Choice, day: date, explicit: bool) -> str:
        return self._signed("permit", site, [notice, _bits(dict(choice)), day.isoformat(), int(explicit)])

    def _signed(self, use: str, site: str, body: list[Any]) -> str:
        return str(self._serializer(use, site).dumps(body))

    def _read(self, use: str, site: str, text: str) -> Any:
        """The signed body. Raises ValueError for everything we did not sign for this use and site."""
        if len(text) > LONGEST_TOKEN:
            raise ValueError("too long")
        try:
            return self._serializer(use, site).loads(text)
        except BadData as error:
            raise ValueError("not signed by us") from error

    def _made_serializer(self, use: str, site: str) -> _Serializer:
        signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return _Serializer(self._keys, salt=f"consent.{use}.{site}", signer_kwargs=signer)


class _Serializer(URLSafeSerializer):
    """Reads what URLSafeSerializer writes, and itself writes texts as they are: packing took longer than all else."""

    def dump_payload(self, obj: Any) -> bytes:
        """Compact JSON in base64."""
        return base64_encode(_compact(obj))


def _bits(decisions: Mapping[str, bool]) -> dict[str, int]:
    return {purpose: int(decisions[purpose]) for purpose in sorted(decisions)}


def _decisions(bits: Mapping[str, int]) -> dict[str, bool]:
    return {purpose: bool(bit) for purpose, bit in bits.items()}


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time.removesuffix("Z")).replace(tzinfo=UTC)
