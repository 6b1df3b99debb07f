"""Dashboard users on a real file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from argon2.exceptions import VerifyMismatchError

from consent_app.errors import SettingsError, UsersError
from consent_app.users import _HASHER, _NOBODY, Users

PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


def test_a_user_is_known_by_the_password_only(file: Path) -> None:
    users = Users.load(file)
    users.add("Mary", PASSWORD, "viewer", ("kent",))
    found = users.verify("mary", PASSWORD)
    assert found is not None
    assert (found.name, found.role, found.may_see("kent"), found.may_see("surrey")) == ("mary", "viewer", True, False)
    assert users.verify("mary", PASSWORD + "!") is None
    assert users.verify("nobody", PASSWORD) is None
    assert users.verify("mary", "\ud800") is None


def test_an_unknown_name_costs_a_full_hash(file: Path) -> None:
    assert not _HASHER.check_needs_rehash(_NOBODY)
    with pytest.raises(VerifyMismatchError):
        _HASHER.verify(_NOBODY, PASSWORD)


def test_the_file_is_private_and_holds_no_password(file: Path) -> None:
    Users.load(file).add("mary", PASSWORD, "admin")
    assert file.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in file.read_text()
    assert json.loads(file.read_text())["users"][0]["password"].startswith("$argon2id$")
    assert sorted(entry.name for entry in file.parent.iterdir()) == ["lock", "users.json"]
    assert (file.parent / "lock").stat().st_size == 0


def test_a_change_by_another_process_is_seen(file: Path) -> None:
    server, command = Users.load(file), Users.load(file)
    command.add("mary", PASSWORD, "viewer")
    assert server.get("mary") is not None
    command.disable("mary")
    assert server.get("mary") is None
    assert server.verify("mary", PASSWORD) is None
    assert [user.disabled for user in server.all()] == [True]


def test_adding_again_gives_a_new_password_and_opens_the_door(file: Path) -> None:
    users = Users.load(file)
    users.add("mary", PASSWORD, "viewer")
    users.disable("mary")
    users.add("mary", "another long password", "auditor")
    assert users.verify("mary", PASSWORD) is None
    found = users.verify("mary", "another long password")
    assert found is not None
    assert found.role == "auditor"


@pytest.mark.parametrize(
    ("name", "password", "role"),
    [
        ("mary", "short", "viewer"),
        ("mary jane", PASSWORD, "viewer"),
        ("mary", PASSWORD, "king"),
        ("", PASSWORD, "admin"),
    ],
)
def test_what_is_not_a_user_is_refused(file: Path, name: str, password: str, role: str) -> None:
    with pytest.raises(UsersError):
        Users.load(file).add(name, password, role)  # type: ignore[arg-type]
    assert not file.exists()


def test_a_stranger_cannot_be_disabled(file: Path) -> None:
    with pytest.raises(UsersError, match="consent user list"):
        Users.load(file).disable("nobody")


def test_a_loose_or_broken_file_stops_the_start(file: Path) -> None:
    Users.load(file).add("mary", PASSWORD, "viewer")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Users.load(file)
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(UsersError, match="backup"):
        Users.load(file)


@pytest.mark.parametrize(
    "password",
    ["password1234", "marymarymary", "aaaaaaaaaaaaaa", "123456789012", "abcdefghijkl", "consent-admin", "mary.jones1"],
)
def test_what_everybody_tries_is_no_password(file: Path, password: str) -> None:
    with pytest.raises(UsersError, match=r"easy to guess|characters"):
        Users.load(file).add("mary.jones", password, "viewer")


@pytest.mark.parametrize(
    "password", ["correct horse battery", "\U0001f40e" * 2 + " ünïcode ok", "x7Kq" * 3 + "Zp0w" * 12, "tr0ub4dor&3&me"]
)
def test_any_characters_will_do(file: Path, password: str) -> None:
    users = Users.load(file)
    users.add("mary", password, "viewer")
    assert users.verify("mary", password) and not users.verify("mary", password.swapcase())


def test_many_processes_change_it_and_none_is_lost(file: Path) -> None:
    Users.load(file).add("mary", PASSWORD, "viewer")
    program = (
        "import sys; from pathlib import Path; from consent_app.users import Users\n"
        "for _ in range(20): Users.load(Path(sys.argv[1])).end_sessions('mary')"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(file)]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    mary = Users.load(file).get("mary")
    assert mary and mary.epoch == 40


def test_a_file_of_an_earlier_release_is_read(file: Path) -> None:
    Users.load(file).add("mary", PASSWORD, "viewer", ("kent",))
    content = json.loads(file.read_text("utf-8"))
    known = ("name", "role", "sites", "disabled", "password")
    content["users"] = [{name: user[name] for name in known} for user in content["users"]]
    file.write_text(json.dumps(content), "utf-8")
    mary = Users.load(file).verify("mary", PASSWORD)
    assert mary and mary.totp == "" and mary.recovery == ()
