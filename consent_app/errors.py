"""One exception tree for the web house. Errors carry facts as attributes; `guard` alone turns them into HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class ConsentError(Exception):
    """Base of every error raised on purpose. Its text is for people: it names the place and the remedy."""


class SettingsError(ConsentError):
    """A setting, secret or file of the data home that cannot be used; stops the start."""


class SitesError(ConsentError):
    """`sites.toml` cannot be used. `line` counts from 1; 0 where no line is to blame (the file is missing)."""

    def __init__(self, file: Path, line: int, reason: str) -> None:
        super().__init__(f"{file}, line {line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class UsersError(ConsentError):
    """A dashboard user who cannot be added, changed or read from users.json."""


class LedgerError(ConsentError):
    """A record the ledger refuses, or a ledger file that is not what it should be."""


class ProofError(LedgerError):
    """A checkpoint, proof, key or tile that is malformed, or does not prove what it should."""


class ScanError(ConsentError):
    """A site cannot be scanned: no browser, no answer, or an address that is none."""


class RequestError(ConsentError):
    """A request that is answered with `status` (RFC 9110) and, for scripts, problem details (RFC 9457)."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = ""  # what a page for people is headed, where the status says too little

    def facts(self) -> Mapping[str, Any]:
        """What the JSON answer says besides the message; never anything the visitor did not just send."""
        return {}

    def headers(self) -> Mapping[str, str]:
        """Further response headers."""
        return {}


class NotFoundError(RequestError):
    """No such site, receipt or page."""

    status = 404


class CrossSiteError(RequestError):
    """The request comes from a page that does not belong to the site it speaks of."""

    status = 403


class ForbiddenError(RequestError):
    """Somebody who is known, and may not come in."""

    status = 403
    title = "No account here"


class StaleNoticeError(RequestError):
    """The decision was made under a notice that is no longer shown; `notice` is the current one."""

    status = 409

    def __init__(self, notice: Mapping[str, str]) -> None:
        super().__init__("the privacy notice has changed since this choice was offered; show it again and ask again")
        self.notice = notice

    def facts(self) -> Mapping[str, Any]:
        """The current notice: `sha256` and `effective`."""
        return {"notice": dict(self.notice)}


class TooLargeError(RequestError):
    """The body has more than `limit` bytes."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body may have at most {limit} bytes")
        self.limit = limit


class MediaTypeError(RequestError):
    """The body is not of the content type this address takes."""

    status = 415

    def __init__(self, wanted: str) -> None:
        super().__init__(f"send the body as {wanted}")
        self.wanted = wanted


class FieldsError(RequestError):
    """Fields that are unknown, missing or wrong; `fields` maps each name to what is the matter, without its value."""

    status = 422

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in fields.items()))
        self.fields = fields

    def facts(self) -> Mapping[str, Any]:
        """Each field's name and what is the matter with it."""
        return {"fields": dict(self.fields)}


class RateError(RequestError):
    """Too many requests from one address; it may try again after `seconds`."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests from this address; wait {seconds} s and try again")
        self.seconds = seconds

    def headers(self) -> Mapping[str, str]:
        """When to come back (RFC 9110 section 10.2.3)."""
        return {"Retry-After": str(self.seconds)}


class UnavailableError(RequestError):
    """The ledger or the spool cannot take anything right now."""

    status = 503

    def headers(self) -> Mapping[str, str]:
        """When to come back (RFC 9110 section 10.2.3)."""
        return {"Retry-After": "5"}


class AuditError(UnavailableError):
    """What was asked for must be recorded, and cannot be."""
