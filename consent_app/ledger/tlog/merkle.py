"""Merkle trees of RFC 6962 section 2.1: hashes, and proofs of inclusion and consistency, made and verified.

Who makes a proof asks for nodes: `Nodes(level, index)` is the hash of the whole subtree over the entries from
index·2^level up to (index + 1)·2^level. Verification follows RFC 9162 sections 2.1.3.2 and 2.1.4.2 and knows nothing of
how proofs are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from consent_app.errors import ProofError

Nodes = Callable[[int, int], bytes]
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 1, 2, 4, 8, … hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def root(size: int, nodes: Nodes) -> bytes:
    """The root of the tree of the first `size` entries."""
    return _range_root(0, size, nodes) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962. Raises ProofError when the entry is not in a tree of that size."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, nodes))
            end = middle
        else:
            path.append(_range_root(start, middle, nodes))
            start = middle
    return path[::-1]


def consistency_proof(old: int, size: int, nodes: Nodes) -> list[bytes]:
    """PROOF(old, D[size]) of RFC 6962. Raises ProofError unless 0 < old <= size."""
    if not 0 < old <= size:
        raise ProofError(f"a tree of {size} does not follow on one of {old}")
    path: list[bytes] = []
    start, end = 0, size
    while end > old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(middle, end, nodes))
            end = middle
        else:
            path.append(_range_root(start, middle, nodes))
            start = middle
    if start:
        path.append(_range_root(start, end, nodes))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, expected: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofError unless the entry of that leaf hash is number `index` in the tree of that size and root."""
    _require_hashes(leaf, expected, *proof)
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofError("the inclusion proof is too short")
    if found != expected:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(old: int, size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofError unless the tree of `size` and `new_root` begins with that of `old` (above 0) and `old_root`."""
    if not 0 < old <= size:
        raise ProofError(f"a tree of {size} does not follow on one of {old}")
    if old == size:
        if proof or old_root != new_root:
            raise ProofError("two trees of one size have one root and need no proof")
        return
    if not proof:
        raise ProofError("the consistency proof is empty")
    _require_hashes(old_root, *proof)
    found = _consistent_roots(old, size, [old_root, *proof] if old & (old - 1) == 0 else list(proof))
    if found != (old_root, new_root):
        raise ProofError("the consistency proof leads to other roots")


def _consistent_roots(old: int, size: int, path: list[bytes]) -> tuple[bytes, bytes]:
    """The roots to which a consistency proof leads, whose first hash is that of the last whole subtree of the old."""
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = path[0]
    for hashed in path[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if place & 1 or place == last:
            older, newer = node_hash(hashed, older), node_hash(hashed, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, hashed)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    return older, newer


def _require_hashes(*hashes: bytes) -> None:
    """Two hashes of other lengths could be cut from one text in more than one way."""
    if any(len(one) != 32 for one in hashes):
        raise ProofError("a hash does not have 32 bytes")


def _split(count: int) -> int:
    """The largest power of two below `count` (which is at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(start: int, end: int, nodes: Nodes) -> bytes:
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes(level, start >> level)
    middle = start + _split(count)
    return node_hash(_range_root(start, middle, nodes), _range_root(middle, end, nodes))
