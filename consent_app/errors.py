"""One exception tree for the web house; the facts a caller needs travel as attributes, HTTP is mapped in one place."""

from __future__ import annotations


class ConsentError(Exception):
    """Base of every error raised on purpose. `status` is its HTTP status, `remedy` what the reader can do."""

    status = 400

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class SettingsError(ConsentError):
    """A setting or secret is missing, malformed or readable by others; start-up stops."""

    status = 500


class SitesError(ConsentError):
    """sites.toml is not usable. The message begins with file and line."""

    status = 500


class Refused(ConsentError):
    """A request that cannot be accepted as it is; `fields` names the offending parts."""

    def __init__(self, status: int, message: str, *, remedy: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.fields = fields


class StaleNotice(ConsentError):
    """A decision about a notice that is no longer the current one; `current` is the SHA-256 of the one that is."""

    status = 409

    def __init__(self, current: str) -> None:
        super().__init__("the notice has changed since it was shown", remedy="show the current notice and ask again")
        self.current = current
