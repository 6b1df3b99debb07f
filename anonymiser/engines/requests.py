"""Requests in small numbers: each distinct text is kept once, a row holds its number, and a browser is never written.

What is read of a block of lines goes through `Requests` and is forgotten: one line in memory is 35 bytes, however long
its user agent was.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from anonymiser.engines import Rejected
from anonymiser.weblogs.plain import KEPT, TEXT, Cut

TEXTS: Final = ("ip", "agent", "target", "referrer")
REJECTED: Final = "rejected"
REJECTED_SHOWN: Final = 20


class Requests:
    """What was kept of all lines so far, the distinct texts in it, and how many lines were left out and why."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.rejected: list[Rejected] = []
        self._kept: list[pa.RecordBatch] = []
        self._rows = 0
        self._file, self._before = "", 0

    @property
    def read(self) -> int:
        """How many lines there were, kept or not."""
        return self._rows + self.left_out.total()

    def begin(self, file: str) -> None:
        """What is added from here on are lines of this file."""
        self._file, self._before = file, self.read

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows of `sql/keep.sql`, in the order of their lines."""
        verdicts = batch.column("verdict")
        for found in pc.value_counts(verdicts).to_pylist():
            if found["values"] is not None:
                self.left_out[found["values"]] += found["counts"]
        if len(self.rejected) < REJECTED_SHOWN:
            self._show(batch.filter(pc.equal(verdicts, REJECTED)))
        kept = batch.filter(pc.is_null(verdicts))
        self._keep([_encoded(kept.column(name)) for name in KEPT.names], 0)

    def add_plain(self, cut: Cut, first: int) -> None:
        """Take what was plain in a block whose first line is of this number; not its odd lines."""
        self.left_out.update(cut.left_out)
        self._keep(cut.kept.columns, first)

    def numbered(self) -> tuple[pa.Table, dict[str, pa.Array]]:
        """The kept requests, and the texts that their numbers stand for.

        The columns: seq (the order of all lines), ts, ip_id, agent_id, target_id, referrer_id, status, has_agent.
        """
        table = pa.Table.from_batches(self._kept, KEPT).unify_dictionaries()
        self._kept = []
        texts = {name: _texts(table.column(name)) for name in TEXTS}
        columns = [_indices(table.column(name)) if name in TEXTS else table.column(name) for name in KEPT.names]
        return pa.table(columns, ["seq", *(f"{name}_id" if name in TEXTS else name for name in KEPT.names[1:])]), texts

    def _show(self, rows: pa.RecordBatch) -> None:
        first = rows.slice(0, REJECTED_SHOWN - len(self.rejected)).select(["line", "problem"]).to_pylist()
        self.rejected += [Rejected(self._file, row["line"], row["problem"]) for row in first]

    def _keep(self, columns: list[pa.Array], first: int) -> None:
        seq = pc.add(columns[0], self._before + first)
        self._kept.append(pa.RecordBatch.from_arrays([seq, *columns[1:]], schema=KEPT))
        self._rows += len(seq)


def described(table: pa.Table, of: str, **columns: pa.Array) -> pa.Table:
    """The table with a column more, of what is known of the text that each row's `of` stands for.

    Nothing is joined: a text's number is its place. Strings are not even copied; the column shares the numbers.
    """
    for name, values in columns.items():
        numbers = table.column(f"{of}_id").chunks
        shared = values.type == pa.string()
        found = [pa.DictionaryArray.from_arrays(n, values) if shared else values.take(n) for n in numbers]
        table = table.append_column(name, pa.chunked_array(found, TEXT if shared else values.type))
    return table


def _encoded(column: pa.Array) -> pa.Array:
    return column.dictionary_encode() if column.type == pa.string() else column


def _texts(column: pa.ChunkedArray) -> pa.Array:
    """All distinct texts, once its chunks have one dictionary."""
    return column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())


def _indices(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32())
