"""The small clinic after its first night, shared by the tests of a session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.nightly.small_clinic import Finished, SmallClinic


@dataclass(frozen=True)
class FirstNight:
    """The small clinic, what its first run said, and what it published."""

    clinic: SmallClinic
    said: Finished
    contents: dict[str, list[str]]


@cache
def after_first_night(folder: Path) -> FirstNight:
    """Run the small clinic once in `folder`."""
    folder.mkdir()
    clinic = SmallClinic(folder)
    clinic.write()
    said = clinic.firstvisit("run")
    assert said.code == 0, said.out + said.err
    return FirstNight(clinic, said, clinic.contents())


@pytest.fixture(scope="session")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> FirstNight:
    """One run of the small clinic. A test that changes the inbox puts it back."""
    return after_first_night(tmp_path_factory.getbasetemp() / "small-clinic")
