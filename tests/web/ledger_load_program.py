"""A process of its own that appends and signs until it is ended: the id of each record is printed once it is answered.

Called with the ledger's file, its URL (or "-") and a number that no other process has.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from consent_app.errors import ConsentError
from consent_app.ledger import Ledger
from tests.web.ledger_records import given


def main(file: Path, url: str, number: int) -> None:
    """Go on, whatever the database does."""
    ledger = Ledger(file, url.strip("-"))
    for place in count():
        record = given(1_000_000 * number + place)
        try:
            ledger.append(record)
        except ConsentError:
            continue
        print(record.id, flush=True)
        try:
            ledger.sequence()
        except ConsentError as error:
            print(f"unsigned {error}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
