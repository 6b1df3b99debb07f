"""The shape of the code is a rule that runs: import floors, library owners, no cycles, no lumber rooms.

Each rule is also shown to fail: a fault is planted in a copy of the code and the rule must name it.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

HOUSES = ("consent_app", "anonymiser")
OWNERS = {
    "duckdb": (
        "anonymiser/published.py",
        "anonymiser/publish.py",
        "anonymiser/engines/duckdb.py",
        "anonymiser/check.py",
    ),
    "sqlalchemy": ("consent_app/ledger/",),
    "itsdangerous": ("consent_app/receipts.py",),
    "pyspark": ("anonymiser/engines/spark.py",),
    "opendp": ("anonymiser/protect/dp.py",),
    "sqlite3": ("anonymiser/protect/budget.py",),
    "argon2": ("consent_app/users.py",),
    "alembic": ("consent_app/ledger/",),
    "segno": ("consent_app/receipt_page.py", "consent_app/qr.py"),
}
# Facts, spool and statistics are the doors; names, errors and pure functions of text go with them.
DOORS = {f"anonymiser.{name}" for name in ("facts", "spool", "stats", "settings", "errors", "agents", "bounds")}
# The home makes the first keys of the hours; no page of the web house may come near them.
DOORS_OF = {"consent_app/home.py": {"anonymiser.hour_keys"}}
LAZY = ("opendp", "pyspark")
LUMBER = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def sources(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for house in HOUSES:
        for path in sorted((root / house).rglob("*.py")):
            yield path.relative_to(root).as_posix(), ast.parse(path.read_text("utf-8"))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module or ""]
    return []


def strangers(root: Path) -> list[str]:
    """Imports of a library outside the module that owns it."""
    return [
        f"{path} imports {name}"
        for path, tree in sources(root)
        for node in ast.walk(tree)
        for name in imported(node)
        for library, owners in OWNERS.items()
        if name.split(".")[0] == library and not path.startswith(owners)
    ]


def late_imports(root: Path) -> list[str]:
    """Imports inside functions, but for the optional and the slow library."""
    return [
        f"{path}:{node.lineno}"
        for path, tree in sources(root)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and not any(name.split(".")[0] in LAZY or "spark" in name for name in imported(node))
    ]


def environment_readers(root: Path) -> list[str]:
    return [
        f"{path}:{node.lineno}"
        for path, tree in sources(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.ImportFrom) and reads_environment(node)
        if path != "consent_app/settings.py"
    ]


def reads_environment(node: ast.Attribute | ast.ImportFrom) -> bool:
    """`os.environ`, `os.getenv`, or either of them by its bare name; not the environ of a WSGI request."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in ("environ", "getenv") for alias in node.names)
    return node.attr in ("environ", "getenv") and isinstance(node.value, ast.Name) and node.value.id == "os"


def lumber_rooms(root: Path) -> list[str]:
    return [path for path, _ in sources(root) if LUMBER & {*Path(path).with_suffix("").parts}]


def cycles(root: Path) -> list[str]:
    """Module-level import cycles, as 'a -> b -> a'."""
    trees = {module(path): tree for path, tree in sources(root)}
    graph = {name: targets(tree, trees.keys()) for name, tree in trees.items()}
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph[name]):
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def targets(tree: ast.Module, modules: Collection[str]) -> set[str]:
    """The modules of ours that a module imports: `from package import name` names the module `package.name` if it is
    one, else the package itself.
    """
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {full if full in modules else node.module or "" for full in inner.values()}
    return names & {*modules}


def back_doors(root: Path) -> list[str]:
    """Ways from the web house into the batch house other than its doors; `batch` and the commands may call more."""
    modules = {module(path) for path, _ in sources(root)}
    return [
        f"{path} imports {target}"
        for path, tree in sources(root)
        if path.startswith("consent_app/")
        for target in sorted(targets(tree, modules))
        if target.startswith("anonymiser") and target not in DOORS | DOORS_OF.get(path, set())
        if not path.startswith(("consent_app/commands/", "consent_app/batch.py"))
    ]


RULES = {
    "the batch house is entered by its doors": back_doors,
    "a library has one owner": strangers,
    "imports stand at the top": late_imports,
    "one reader of the environment": environment_readers,
    "no lumber rooms": lumber_rooms,
    "no import cycles": cycles,
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_code_keeps_the_rule(root: Path, rule: object) -> None:
    assert callable(rule)
    assert rule(root) == []


FAULTS = {
    "the batch house is entered by its doors": ("consent_app/rooms.py", "from anonymiser import pipeline\n"),
    "a library has one owner": ("anonymiser/scrub.py", "import duckdb\n"),
    "imports stand at the top": ("anonymiser/scrub.py", "def late() -> None:\n    import json\n"),
    "one reader of the environment": ("anonymiser/scrub.py", "import os\nHOME = os.environ['HOME']\n"),
    "no lumber rooms": ("anonymiser/utils.py", ""),
    "no import cycles": ("anonymiser/bounds.py", "from anonymiser import facts\n"),
}


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    for house in HOUSES:
        shutil.copytree(root / house, tmp_path / house, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FAULTS)
def test_the_rule_catches_a_planted_fault(copy: Path, name: str) -> None:
    path, text = FAULTS[name]
    with (copy / path).open("a") as module_file:
        module_file.write(text)
    assert RULES[name](copy) != []


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_import_contracts_hold(root: Path) -> None:
    result = lint_imports(root)
    assert result.returncode == 0, result.stdout


CONTRACTS = {
    "The batch house knows nothing of the web house": ("anonymiser/facts.py", "import flask"),
    "The web house enters the batch house by its doors only": (
        "consent_app/collect.py",
        "from anonymiser import pipeline",
    ),
    "Blueprints never import each other": ("consent_app/banner.py", "from consent_app import collect"),
    "Batch floors": ("anonymiser/scrub.py", "from anonymiser import stats"),
    "Web floors": ("consent_app/errors.py", "from consent_app import sites"),
}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_import_contract_catches_a_planted_fault(copy: Path, contract: str) -> None:
    path, line = CONTRACTS[contract]
    with (copy / path).open("a") as module_file:
        module_file.write(line + "\n")
    result = lint_imports(copy)
    assert result.returncode != 0
    assert f"{contract} BROKEN" in result.stdout


def test_the_batch_starts_without_the_web_house() -> None:
    program = (
        "import sys\n"
        "for name in ('consent_app', 'flask', 'flask_wtf', 'itsdangerous', 'jinja2', 'werkzeug'):\n"
        "    sys.modules[name] = None\n"
        "import anonymiser.cli, anonymiser.pipeline, anonymiser.check, anonymiser.engines.duckdb\n"
        "assert 'opendp' not in sys.modules, 'opendp is slow to import: only when a period closes'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
