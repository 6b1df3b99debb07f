"""What the pages of one installation share, made once by `create_app`; nothing here is global."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from anonymiser.spool import Spool
from anonymiser.stats import Statistics
from consent_app.ledger import Ledger
from consent_app.receipts import Seal
from consent_app.settings import Settings
from consent_app.sites import Sites
from consent_app.users import Users

NAME = "consent"


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts a request may need: who writes decisions, who takes facts, who answers for the published figures."""

    settings: Settings
    sites: Sites
    seal: Seal
    ledger: Ledger
    spool: Spool
    statistics: Statistics
    users: Users


def rooms() -> Rooms:
    """The parts of the application that answers this request."""
    return cast(Rooms, current_app.extensions[NAME])
