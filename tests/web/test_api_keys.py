"""API keys: shown once, kept as hashes, for some sites and some days, revoked at once."""

from __future__ import annotations

import json
import os
import stat
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consent_app.api_keys import ApiKeys, KeysError
from consent_app.commands import main
from consent_app.errors import SettingsError

TODAY = date(2026, 11, 24)
DAY = timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    return ApiKeys(tmp_path / "api-keys")


def test_a_key_opens_what_it_was_made_for_and_is_written_nowhere(keys: ApiKeys, tmp_path: Path) -> None:
    key, text = keys.add("weekly spreadsheet", ("kent",), TODAY, TODAY + 30 * DAY)
    assert keys.verify(text, TODAY) == key
    assert key.may_see("kent")
    assert not key.may_see("surrey")
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    secret = text.split("_", 2)[2]
    assert len(secret) >= 43  # 256 bits
    assert [
        file for file in written if secret.encode() in file.read_bytes() or text.encode() in file.read_bytes()
    ] == []
    assert {stat.S_IMODE(file.stat().st_mode) for file in written} == {0o600}


def test_no_other_text_opens_it(keys: ApiKeys) -> None:
    _, text = keys.add("a", (), TODAY, TODAY + DAY)
    _, other = keys.add("b", (), TODAY, TODAY + DAY)
    prefix, number, secret = text.split("_", 2)
    wrong = [
        "", "consent", text[:-1], text + "A", text.upper(), f" {text}", f"{text}\n", f"{prefix}_00000000_{secret}",
        f"{prefix}_{number}_{other.split('_', 2)[2]}", f"{prefix}_../{number}_{secret}", text.replace("_", "-"),
    ]  # fmt: skip
    assert [each for each in wrong if keys.verify(each, TODAY)] == []
    assert keys.verify(text, TODAY) is not None


def test_a_key_ends_on_its_day(keys: ApiKeys) -> None:
    _, text = keys.add("a", (), TODAY, TODAY + DAY)
    assert keys.verify(text, TODAY + DAY)
    assert keys.verify(text, TODAY + 2 * DAY) is None


def test_a_revoked_key_opens_nothing_any_more(keys: ApiKeys) -> None:
    key, text = keys.add("a", (), TODAY, TODAY + DAY)
    assert keys.verify(text, TODAY)
    assert keys.revoke(key.id, TODAY).revoked == TODAY
    assert keys.verify(text, TODAY) is None
    assert keys.revoke(key.id, TODAY + DAY).revoked == TODAY
    for unknown in ("00000000", "../../etc/passwd", ""):
        with pytest.raises(KeysError, match="consent key list"):
            keys.revoke(unknown, TODAY)


def test_of_its_use_the_last_day_is_kept_and_no_more(keys: ApiKeys, tmp_path: Path) -> None:
    key, text = keys.add("a", (), TODAY, TODAY + 9 * DAY)
    assert keys.last_used(key) is None
    keys.verify(text, TODAY)
    (used,) = (tmp_path / "api-keys").glob("*.used")
    before = used.stat().st_mtime_ns
    keys.verify(text, TODAY)
    assert used.stat().st_mtime_ns == before
    keys.verify(text, TODAY + DAY)
    assert used.read_text("utf-8") == "2026-11-25\n"
    assert keys.last_used(key) == TODAY + DAY


def test_where_its_use_cannot_be_noted_it_opens_all_the_same(keys: ApiKeys, tmp_path: Path) -> None:
    key, text = keys.add("a", (), TODAY, TODAY + DAY)
    (tmp_path / "api-keys" / f"{key.id}.used").mkdir()  # stands for a disk that takes nothing
    assert keys.verify(text, TODAY) == key
    assert keys.last_used(key) is None


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX here")
def test_a_file_that_others_may_read_is_refused(keys: ApiKeys, tmp_path: Path) -> None:
    key, text = keys.add("a", (), TODAY, TODAY + DAY)
    (tmp_path / "api-keys" / f"{key.id}.json").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        keys.verify(text, TODAY)


def test_a_broken_file_is_named(keys: ApiKeys, tmp_path: Path) -> None:
    key, _ = keys.add("a", (), TODAY, TODAY + DAY)
    file = tmp_path / "api-keys" / f"{key.id}.json"
    for content in ("nonsense", "{}", json.dumps({**json.loads(file.read_text("utf-8")), "created": 1})):
        file.write_text(content, "utf-8")
        with pytest.raises(KeysError, match=key.id):
            keys.all()


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 65, "<b>"])
def test_a_name_is_one_short_line(keys: ApiKeys, name: str) -> None:
    with pytest.raises(KeysError, match="cannot name a key"):
        keys.add(name, (), TODAY, TODAY)


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("CONSENT_HOME", str(home))
    return CliRunner()


def ran(command: CliRunner, *words: str, code: int = 0) -> Result:
    result = command.invoke(main, ["key", *words])
    assert result.exit_code == code, result.output
    return result


def test_the_command_makes_lists_and_revokes(command: CliRunner, home: Path) -> None:
    assert "no key yet" in ran(command, "list").stdout
    text = ran(command, "add", "weekly spreadsheet", "--site", "kent").stdout.strip()
    found = ApiKeys(home / "api-keys").verify(text, date.today())  # noqa: DTZ011 - the command's clock is UTC's today
    assert found is not None
    listed = ran(command, "list").stdout
    assert "weekly spreadsheet" in listed
    assert "kent" in listed
    assert text not in listed
    assert "opens nothing any more" in ran(command, "revoke", found.id).stdout
    assert "revoked" in ran(command, "list").stdout
    assert ApiKeys(home / "api-keys").verify(text, date.today()) is None  # noqa: DTZ011


def test_the_command_refuses_what_it_cannot_do(command: CliRunner) -> None:
    assert "--all-sites" in ran(command, "add", "a", code=2).stderr
    assert "--all-sites" in ran(command, "add", "a", "--site", "kent", "--all-sites", code=2).stderr
    assert "no such site" in ran(command, "add", "a", "--site", "nonsense", code=2).stderr
    assert "no key" in ran(command, "revoke", "12345678", code=2).stderr
    assert "cannot name" in ran(command, "add", "<b>", "--all-sites", code=2).stderr
