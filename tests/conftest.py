"""What several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The first text drawn in a fresh checkout builds tables of Unicode for a second; a slow machine is no fault.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("FIRSTVISIT_SHARED", ROOT.parent / "shared"))


@pytest.fixture
def shared() -> Path:
    """The folder of real sample files; the test is skipped, and says so, where it is absent."""
    if not (SHARED / "fixtures").is_dir():
        pytest.skip(
            f"no real sample files at {SHARED}; set FIRSTVISIT_SHARED to the folder that has fixtures/"
        )
    return SHARED / "fixtures"


# Folders whose tests share what one of them made; they stay in one process, the longest first, the rest is
# dealt out.
_TOGETHER = ("truth", "nightly", "warehouse", "real", "browser")


# First of all: xdist reads the groups in the same step.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares a costly fixture in one process, and begin with what takes longest."""
    places = {folder: place for place, folder in enumerate(_TOGETHER)}
    for item in items:
        folder = item.path.parent.name
        if folder in places:
            item.add_marker(pytest.mark.xdist_group(folder))
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))
