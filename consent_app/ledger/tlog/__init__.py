"""A transparency log's formats and arithmetic, as pure functions: no database, no clock, no network.

`merkle` is RFC 6962; `note`, `checkpoint`, `tiles` and `proof` are C2SP signed-note, tlog-checkpoint, tlog-tiles and
tlog-proof. Whatever reads a text of somebody else raises ProofError and says what is wrong with it.
"""
