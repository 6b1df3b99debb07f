"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real logs, lists and vectors that live beside a checkout; absent on a newcomer's machine."""
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"real test data is not here (looked in {data})")
    return data
