"""The public log over HTTP (C2SP tlog-tiles), and the proof that a record is in it. Nothing here is personal."""

from __future__ import annotations

import re
from typing import Final

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from consent_app.errors import FieldsError, NotFoundError, ProofError
from consent_app.ledger.tlog.tiles import Tile
from consent_app.rooms import rooms

_ID: Final = re.compile(r"[0-9a-f]{32}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_FRESH: Final = "public, max-age=2"
_FOR_EVER: Final = "public, max-age=31536000, immutable"

blueprint = Blueprint("transparency", __name__)


@blueprint.get("/ledger/checkpoint")
def checkpoint() -> ResponseReturnValue:
    """The newest signed checkpoint."""
    note = rooms().ledger.published.checkpoint()
    if note is None:
        raise NotFoundError("nothing is signed yet")
    return _answer(note, _TEXT, _FRESH)


@blueprint.get("/ledger/log.vkey")
def key() -> ResponseReturnValue:
    """The keys that sign it, one a line. Whoever verifies should have them from elsewhere too."""
    text = rooms().ledger.published.key()
    if not text:
        raise NotFoundError("nothing is signed yet")
    return _answer(text.encode(), _TEXT, _FRESH)


@blueprint.get("/ledger/<path:path>")
def tile(path: str) -> ResponseReturnValue:
    """A tile of hashes, or a bundle of entries (which are hashes too)."""
    try:
        content = rooms().ledger.published.tile(Tile.read(path))
    except ProofError as error:
        raise NotFoundError(str(error)) from error
    return _answer(content, _BYTES, _FOR_EVER)


@blueprint.get("/v1/receipts/<record_id>.tlog-proof")
def proof(record_id: str) -> ResponseReturnValue:
    """The proof (C2SP tlog-proof) of the newest record of an id, or of entry `?entry=`; 202 until it is signed."""
    entry = request.args.get("entry")
    if entry is not None and not _NUMBER.fullmatch(entry):
        raise FieldsError({"entry": "must be the number of an entry"})
    if not _ID.fullmatch(record_id):
        raise NotFoundError("there is no receipt of this id; a refusal has none")
    found = rooms().ledger.proof(record_id, None if entry is None else int(entry))
    if found is None:
        answer = jsonify(receipt=record_id, signed=False)
        return answer, 202, {"Retry-After": "1", "Cache-Control": "no-store"}
    return _answer(found.text, _TEXT, "no-store")


def _answer(content: bytes, kind: str, kept: str) -> Response:
    return Response(content, content_type=kind, headers={"Cache-Control": kept})
