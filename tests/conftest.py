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
