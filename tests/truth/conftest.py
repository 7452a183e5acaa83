"""Simulated clinics and what the real pipeline published of them, made once per test session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from simulator import SimulationSummary, simulate
from tests.truth.pipeline import run_pipeline

# seed -> (scale, whether the exports hold what a run must complain of)
CLINICS = {1: (0.1, False), 2: (0.12, True), 3: (0.15, False)}


@dataclass(frozen=True)
class Night:
    """A simulated clinic, its published warehouse, and what the run said."""

    made: SimulationSummary
    warehouse: Path
    output: str


@pytest.fixture(scope="session")
def night_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Night]:
    """Seed -> that clinic after one night."""

    @cache
    def night(seed: int) -> Night:
        scale, flaws = CLINICS[seed]
        made = simulate(tmp_path_factory.mktemp("clinic") / str(seed), seed=seed, scale=scale, flaws=flaws)
        published = run_pipeline(made.config, made.data_dir)
        return Night(made, published.warehouse, published.output)

    return night
