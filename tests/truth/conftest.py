"""Simulated clinics and what the real pipeline made of them, each once per test session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import SimulationSummary, simulate
from tests.truth.pipeline import Published, land_and_build, run_pipeline

# Seed and scale of the one clinic that has a whole night. Those below are landed and built without the night
# around them, which takes half the time.
NIGHT = (1, 0.1)
# seed -> (scale, whether the exports hold what a run complains of); the first is the demo
BUILDS = {1: (1.0, False), 2: (0.12, True), 3: (0.03, False)}
# seed, scale and noise of a clinic whose exports have a fifth of what carries identity spoiled
NOISY = (3, 0.06, 0.2)


@dataclass(frozen=True)
class Night:
    """A simulated clinic, and what its night published."""

    made: SimulationSummary
    published: Published

    @property
    def warehouse(self) -> Path:
        """The published file."""
        return self.published.warehouse


@dataclass(frozen=True)
class Build:
    """A warehouse as dbt built it of a simulated clinic, the truth, and what dbt said."""

    warehouse: Path
    truth_dir: Path
    said: str


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The clinic that has a whole night, after it."""
    seed, scale = NIGHT
    made = simulate(tmp_path_factory.mktemp("clinic") / str(seed), seed=seed, scale=scale)
    return Night(made, run_pipeline(made.config, made.data_dir))


@pytest.fixture(scope="session")
def noisy_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The noisy clinic, landed and built with the tests of its data."""
    seed, scale, noise = NOISY
    folder = tmp_path_factory.mktemp("noisy")
    made = simulate(folder / "clinic", seed=seed, scale=scale, noise=noise)
    warehouse = folder / "firstvisit.duckdb"
    said = land_and_build(made.config, made.data_dir, warehouse, folder / "target", is_tested=True)
    return Build(warehouse, made.truth_dir, said)


@pytest.fixture(scope="session")
def build_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Build]:
    """Seed -> that clinic landed and built."""
    kept = tmp_path_factory.mktemp("sizes")
    # Always the same folder: dbt's variables name it, and what it parsed for one clinic serves the next.
    clinic = kept / "clinic"
    builds: dict[int, Build | AssertionError] = {}

    def build(seed: int) -> Build:
        if seed not in builds:
            try:
                builds[seed] = _build(seed, clinic, kept)
            except AssertionError as error:  # kept, so that no other test builds the same again
                builds[seed] = error
            finally:
                shutil.rmtree(clinic, ignore_errors=True)
        found = builds[seed]
        if isinstance(found, AssertionError):
            raise found
        return found

    return build


def _build(seed: int, clinic: Path, kept: Path) -> Build:
    scale, flaws = BUILDS[seed]
    folder = kept / str(seed)
    folder.mkdir()
    simulate(clinic, seed=seed, scale=scale, flaws=flaws)
    (clinic / "truth").rename(folder / "truth")
    warehouse = folder / "firstvisit.duckdb"
    said = land_and_build(
        clinic / "clinic.yaml", clinic / "data", warehouse, kept / "target", is_tested=flaws
    )
    return Build(warehouse, folder / "truth", said)
