"""Witnessing over HTTP (C2SP tlog-witness): others' checkpoints come in, cosignatures go out; and ours, cosigned."""

from __future__ import annotations

import re
from typing import Final

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from consent_app.errors import LedgerError, NotFoundError
from consent_app.guard import limit_rate
from consent_app.ledger.tlog.witnessing import SIZE
from consent_app.ledger.witness import Declined, Witness
from consent_app.rooms import rooms

PER_MINUTE: Final = 60
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")

blueprint = Blueprint("witness", __name__)


@blueprint.post("/witness/add-checkpoint")
def add_checkpoint() -> ResponseReturnValue:
    """Cosign a checkpoint of a log that this witness knows: 200 with the signature line.

    As the protocol has it: 400 for what is no request, 404 for a log that is not known, 403 for one that did not sign,
    409 with the size where another was signed last, 422 for a proof that does not hold.
    """
    limit_rate("witness", PER_MINUTE)
    try:
        line = _witness().cosign(request.get_data(cache=False), rooms().settings.clock())
    except Declined as declined:
        text, kind = (str(declined), _TEXT) if declined.size is None else (str(declined.size), SIZE)
        return _answer(f"{text}\n", kind), declined.status
    return _answer(line)


@blueprint.get("/witness/witness.vkey")
def key() -> ResponseReturnValue:
    """The key by which this witness is known."""
    return _answer(f"{_witness().key}\n")


@blueprint.get("/ledger/cosigned.<key_id>")
def cosigned(key_id: str) -> ResponseReturnValue:
    """The last checkpoint of our own log that the witness of this key id signed, of the newest year it was asked of."""
    published = rooms().ledger.published
    years = (published.of(year).folder / f"cosigned.{key_id}" for year in (*reversed(published.years()), ""))
    file = next((file for file in years if file.exists()), None)
    if not _KEY_ID.fullmatch(key_id) or file is None:
        raise NotFoundError("no witness of this key id has cosigned the log")
    return _answer(file.read_text("utf-8"))


_TEXT: Final = "text/plain; charset=utf-8"


def _answer(text: str, kind: str = _TEXT) -> Response:
    return Response(text, content_type=kind, headers={"Cache-Control": "no-store"})


def _witness() -> Witness:
    try:
        return Witness.of(rooms().settings)
    except LedgerError as error:
        raise NotFoundError("there is no witness here") from error
