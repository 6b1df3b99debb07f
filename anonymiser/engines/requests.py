"""Requests in small numbers: each distinct text is kept once, a row holds its number, and a browser is never written.

What the engine reads of a block of lines goes through `Requests.add` and is forgotten: one line in memory is 30 bytes,
however long its user agent was.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from anonymiser.engines import Rejected

TEXTS: Final = ("ip", "agent", "target", "referrer")
REJECTED: Final = "rejected"
REJECTED_SHOWN: Final = 20


class Requests:
    """What was kept of all lines so far, the distinct texts in it, and how many lines were left out and why."""

    def __init__(self) -> None:
        self.texts: dict[str, dict[str, int]] = {name: {} for name in TEXTS}
        self.left_out: Counter[str] = Counter()
        self.rejected: list[Rejected] = []
        self._kept: list[pa.RecordBatch] = []
        self._rows = 0

    @property
    def read(self) -> int:
        """How many lines there were, kept or not."""
        return self._rows + self.left_out.total()

    def add(self, file: str, batch: pa.RecordBatch) -> None:
        """Take the rows of `sql/keep.sql`, in the order of their lines."""
        verdicts = batch.column("verdict")
        for found in pc.value_counts(verdicts).to_pylist():
            if found["values"] is not None:
                self.left_out[found["values"]] += found["counts"]
        if len(self.rejected) < REJECTED_SHOWN:
            self._show(file, batch.filter(pc.equal(verdicts, REJECTED)))
        self._keep(batch.filter(pc.is_null(verdicts)))

    def table(self) -> pa.Table:
        """The kept requests: seq (their order), ts, ip_id, agent_id, target_id, referrer_id, status, has_agent."""
        return pa.Table.from_batches(self._kept, SCHEMA)

    def _show(self, file: str, rows: pa.RecordBatch) -> None:
        first = rows.slice(0, REJECTED_SHOWN - len(self.rejected)).select(["line", "problem"]).to_pylist()
        self.rejected += [Rejected(file, row["line"], row["problem"]) for row in first]

    def _keep(self, rows: pa.RecordBatch) -> None:
        order = pa.array(range(self._rows, self._rows + rows.num_rows), pa.int32())
        numbers = [_numbers(rows.column(name), self.texts[name]) for name in TEXTS]
        columns = [order, rows.column("ts"), *numbers, rows.column("status"), rows.column("has_agent")]
        self._kept.append(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
        self._rows += rows.num_rows


SCHEMA: Final = pa.schema(
    [
        ("seq", pa.int32()),
        ("ts", pa.timestamp("us")),
        *((f"{name}_id", pa.int32()) for name in TEXTS),
        ("status", pa.int16()),
        ("has_agent", pa.bool_()),
    ]
)


def _numbers(column: pa.Array, known: dict[str, int]) -> pa.Array:
    """The number of each text; a new one gets the next. Python sees each text of a batch once."""
    encoded = column.dictionary_encode()
    numbers = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
    return pa.array(numbers, pa.int32()).take(encoded.indices)
