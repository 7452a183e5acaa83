"""Simulated clinics and what the real pipeline published of them, made once per test session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import SimulationSummary, simulate
from tests.truth.pipeline import Published, run_pipeline

# seed -> (scale, whether the exports hold what a run must complain of)
CLINICS = {1: (0.1, False), 2: (0.12, True), 3: (0.15, False)}


@dataclass(frozen=True)
class Night:
    """A simulated clinic, and what its night published."""

    made: SimulationSummary
    published: Published

    @property
    def warehouse(self) -> Path:
        """The published file."""
        return self.published.warehouse


@pytest.fixture(scope="session")
def night_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Night]:
    """Seed -> that clinic after one night."""

    nights: dict[int, Night | AssertionError] = {}

    def night(seed: int) -> Night:
        if seed not in nights:
            scale, flaws = CLINICS[seed]
            made = simulate(
                tmp_path_factory.mktemp("clinic") / str(seed), seed=seed, scale=scale, flaws=flaws
            )
            try:
                nights[seed] = Night(made, run_pipeline(made.config, made.data_dir))
            except AssertionError as error:  # kept, so that no other test runs the same night again
                nights[seed] = error
        found = nights[seed]
        if isinstance(found, AssertionError):
            raise found
        return found

    return night
