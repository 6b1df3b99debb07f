"""The ledger's tables. Rows of the log can be added, never changed or taken away: the database refuses it (`guards`).

`entry` is what the signed trees are built on; `body` holds what may be erased: the record and the nonce without which
its hash says nothing. Its row goes only after `erased` names the tombstone. `head` is every size and root that was
about to be signed. `shard` says with which entry a year's log begins, `dropped` which entries went with a whole year.
`complaint` is no part of the log: its rows change with their state and go with their retention.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, MetaData, Table, Text

metadata: Final = MetaData()
# SQLite numbers its rows by a column that is called just INTEGER; it has eight bytes there too.
NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

entry: Final = Table(
    "entry",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
)
body: Final = Table(
    "body",
    metadata,
    Column("seq", NUMBER, ForeignKey("entry.seq"), primary_key=True, autoincrement=False),
    Column("subject", Text, index=True),
    Column("nonce", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
)
notice: Final = Table(
    "notice",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("effective", Text, nullable=False),
    Column("text", Text, nullable=False),
)
erased: Final = Table(
    "erased",
    metadata,
    Column("seq", NUMBER, ForeignKey("entry.seq"), primary_key=True, autoincrement=False),
    Column("tombstone", NUMBER, ForeignKey("entry.seq"), nullable=False),
)
head: Final = Table(
    "head",
    metadata,
    Column("size", NUMBER, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
)
shard: Final = Table(
    "shard",
    metadata,
    Column("first", NUMBER, primary_key=True, autoincrement=False),
    Column("year", Integer, nullable=False, unique=True),
)
dropped: Final = Table(
    "dropped",
    metadata,
    Column("first", NUMBER, primary_key=True, autoincrement=False),
    Column("past", NUMBER, nullable=False),
)

# `opened` is a UTC second, `due` a UTC day; `sealed` is the text, encrypted.
complaint: Final = Table(
    "complaint",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("opened", Text, nullable=False),
    Column("due", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("closed", Text),
    Column("sealed", LargeBinary, nullable=False),
)
