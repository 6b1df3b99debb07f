"""Counts that wait for their period, sealed in a real file."""

from __future__ import annotations

from pathlib import Path

import pytest

from anonymiser.errors import InputError, SegmentError
from anonymiser.holding import Holding

CELL = ("2026-11-02", "pages", "/secret-page", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "holding"


def kept(folder: Path) -> Holding:
    held = Holding(folder, "kent")
    held.fold({"20261102T08-aa": "2026-11-02T08:00:00+00:00"}, {CELL: 3})
    held.save()
    return held


def test_what_was_saved_comes_back(folder: Path) -> None:
    kept(folder)
    again = Holding(folder, "kent")
    assert again.counts == {CELL: 3}
    assert again.folded == {"20261102T08-aa": "2026-11-02T08:00:00+00:00"}
    assert again.days == ["2026-11-02"]


def test_the_files_are_private_and_unreadable(folder: Path) -> None:
    kept(folder)
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert b"secret-page" not in path.read_bytes()
    assert folder.stat().st_mode & 0o077 == 0


def test_an_old_copy_cannot_be_opened_after_the_counts_are_erased(folder: Path) -> None:
    held = kept(folder)
    old = (folder / "kent.counts").read_bytes()
    held.erase(lambda cell: True)
    held.save()
    (folder / "kent.counts").write_bytes(old)
    with pytest.raises(SegmentError, match="cannot be opened with"):
        Holding(folder, "kent")


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_changed_byte_is_noticed(folder: Path, place: int) -> None:
    kept(folder)
    content = bytearray((folder / "kent.counts").read_bytes())
    content[place] ^= 1
    (folder / "kent.counts").write_bytes(content)
    with pytest.raises(SegmentError, match="changed"):
        Holding(folder, "kent")


def test_the_file_of_another_site_is_refused(folder: Path) -> None:
    kept(folder)
    for suffix in ("counts", "key"):
        (folder / f"surrey.{suffix}").write_bytes((folder / f"kent.{suffix}").read_bytes())
    with pytest.raises(SegmentError):
        Holding(folder, "surrey")


@pytest.mark.parametrize("step", range(1, 4))
def test_a_crash_at_any_step_of_a_save_leaves_the_old_or_the_new_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    held = kept(folder)
    held.fold({"b": "x"}, {CELL: 4})
    steps = 0

    def dying(source: Path, target: Path) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise KeyboardInterrupt
        source.rename(target)

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        held.save()
    monkeypatch.undo()
    assert Holding(folder, "kent").counts[CELL] == (7 if step == 3 else 3)
    assert not list(folder.glob(".*"))


def test_a_full_disk_is_named_and_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = kept(folder)
    held.fold({"b": "x"}, {CELL: 4})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SegmentError, match=r"No space left.*run the batch again"):
        held.save()
    monkeypatch.undo()
    assert Holding(folder, "kent").counts[CELL] == 3


@pytest.mark.parametrize("site", ["", "../kent", "a/b", ".", "x" * 65])
def test_a_site_key_cannot_lead_out_of_the_folder(folder: Path, site: str) -> None:
    with pytest.raises(InputError):
        Holding(folder, site)
