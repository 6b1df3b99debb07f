"""A choice carried from one site of the family to another: signed for that site alone, good once and for a minute.

No identifier goes along: the text holds the decisions, when it lapses, and a random number that is in nothing else.
What arrives becomes a decision of its own there, with a record, an id and cookies of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from consent_app.decisions import holds
from consent_app.errors import FieldsError, UnavailableError
from consent_app.private_files import make_private_folder
from consent_app.purposes import Purpose
from consent_app.receipts import Handover, Receipt
from consent_app.rooms import Rooms
from consent_app.sites import Site

LIFETIME: Final = timedelta(seconds=60)
METHOD: Final = "handover"
FOLDER: Final = "handovers"


def issue(rooms: Rooms, site: Site, to: str, proof: Receipt | None) -> str:
    """The text that takes the choice of this proof to the site `to`.

    Raises FieldsError where this site's banner does not name that one, nothing holds, or the other asks for more.
    """
    if to not in site.covers:
        raise FieldsError({"to": "is not a site that this one covers; see `covers` in sites.toml"})
    if proof is None or not holds(proof, site):
        raise FieldsError({"site": "has no choice of this visitor that holds"})
    decisions = carried(proof.decisions, site, rooms.sites.get(to))
    if decisions is None:
        raise FieldsError({"to": "asks for what this site does not ask for, so its banner must ask itself"})
    lapses = int((rooms.settings.clock() + LIFETIME).timestamp())
    return rooms.seal.handover(Handover(site.key, to, decisions, lapses, secrets.token_hex(16)))


def redeem(rooms: Rooms, site: Site, text: str) -> Mapping[str, bool]:
    """The decisions in such a text, once. Raises FieldsError, and UnavailableError where nothing can be written."""
    found = rooms.seal.open_handover(text, site.key)
    if found is None or not _fits(found, site, rooms):
        raise FieldsError({"handover": "does not hold here: it is for another site, changed, or older than a minute"})
    if not _is_first(rooms.settings.home / FOLDER, found, int(rooms.settings.clock().timestamp())):
        raise FieldsError({"handover": "was used before"})
    return found.decisions


def carried(decisions: Mapping[str, bool], site: Site, there: Site) -> dict[str, bool] | None:
    """What the other site may take for decided; None unless all that it asks was asked here as well.

    A purpose is the same if its key and mode are, and nobody gets anything there who was not named here. A service of
    somebody who was not named here stays off: it has a button of its own.
    """
    made: dict[str, bool] = {}
    for purpose in there.optional:
        here = site.purpose(purpose.key)
        if here is None or here.mode != purpose.mode or not set(purpose.third_parties) <= set(here.parties):
            return None
        made[purpose.key] = decisions[purpose.key]
        for service in purpose.services:
            made[service.key] = decisions[purpose.key] and _was_allowed(service.key, service.provider, here, decisions)
    return made


def _was_allowed(key: str, provider: str, here: Purpose, decisions: Mapping[str, bool]) -> bool:
    own = next((service for service in here.services if service.key == key), None)
    if own is not None and own.provider == provider:
        return decisions[key]
    return provider in here.parties


def _fits(found: Handover, site: Site, rooms: Rooms) -> bool:
    """Whether it has not lapsed, and the two sites are what they were when it was made."""
    now = rooms.settings.clock().timestamp()
    sender = next((other for other in rooms.sites if other.key == found.sender), None)
    covered = sender is not None and site.key in sender.covers
    return (
        covered
        and now <= found.lapses <= now + LIFETIME.total_seconds()
        and found.decisions.keys() == site.asked.keys()
    )


def _is_first(folder: Path, found: Handover, now: int) -> bool:
    """Whether nobody used it before, in any process: the first makes its file. Files of what has lapsed go."""
    try:
        make_private_folder(folder)
        for used in folder.glob("[0-9]*-*"):
            if int(used.name.partition("-")[0]) < now:
                used.unlink(missing_ok=True)
        (folder / f"{found.lapses}-{found.nonce}").touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    except OSError as error:
        raise UnavailableError("a choice cannot be taken over right now; choose here") from error
    return True
