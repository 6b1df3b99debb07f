"""Checks on other servers: each client says of every vector what the service itself says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.client_vectors import FILE, vectors

PYTHON = """
import json, sys
from datetime import datetime
sys.path.insert(0, sys.argv[1])
from consent_client import verify
read = json.load(open(sys.argv[1] + "/vectors.json", encoding="utf-8"))
print(json.dumps([verify(v["use"], v["text"], v["site"], v["keys"], datetime.fromisoformat(v["now"])) for v in read]))
"""
NODE = """
import { readFileSync } from "node:fs";
const { verify } = await import(process.argv[1] + "/consent-client.mjs");
const read = JSON.parse(readFileSync(process.argv[1] + "/vectors.json", "utf8"));
console.log(JSON.stringify(read.map((v) => verify(v.use, v.text, v.site, v.keys, new Date(v.now)))));
"""
PHP = """
require $argv[1] . '/ConsentClient.php';
$said = [];
foreach (json_decode(file_get_contents($argv[1] . '/vectors.json'), true) as $v) {
    $said[] = consent_verify($v['use'], $v['text'], $v['site'], $v['keys'], strtotime($v['now']));
}
echo json_encode($said);
"""
COMMANDS = {"python": [sys.executable, "-B", "-W", "ignore", "-c", PYTHON],
            "node": ["node", "--input-type=module", "-e", NODE],
            "php": ["php", "-r", PHP, "--"]}  # fmt: skip


def verdicts(language: str) -> list[dict[str, Any] | None]:
    """What that client says of each vector in the file."""
    command = COMMANDS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: its client was not run")
    run = subprocess.run([*command, str(FILE.parent)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said: list[dict[str, Any] | None] = json.loads(run.stdout)
    return said


def test_the_vectors_are_what_the_service_signs_and_says() -> None:
    assert json.loads(FILE.read_text("utf-8")) == vectors()
    assert len([one for one in vectors() if one["says"]]) == 8


@pytest.mark.parametrize("language", COMMANDS)
def test_a_client_says_what_the_service_says(language: str) -> None:
    said = verdicts(language)
    differ = [one["name"] for one, verdict in zip(vectors(), said, strict=True) if one["says"] != verdict]
    assert differ == []


def test_the_page_names_every_client_and_how_a_text_is_signed(root: Path) -> None:
    page = (root / "docs" / "clients.md").read_text("utf-8")
    assert [each.name for each in FILE.parent.iterdir() if each.is_file() and each.name not in page] == []
    assert "consent.token.kent" in page and "180 days" in page
