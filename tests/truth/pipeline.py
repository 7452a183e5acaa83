"""The real pipeline: run as a clinic runs it, by the command line, or its landing and its dbt alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from connectors.privacy import Privacy
from pipelines import dbt
from pipelines.config import load_clinic
from pipelines.landing import Landing

# One key for all runs, so that hashed columns of two runs can be compared too.
HASH_KEY = "the same key for every run of these tests"


@dataclass(frozen=True)
class Published:
    """What a run left: the published file, what it said, and whether it ended as one without a complaint."""

    warehouse: Path
    output: str
    went_well: bool


def run_pipeline(config: Path, data_dir: Path) -> Published:
    """Run the night through the command line. Fails when nothing was published."""
    arguments = ["--config", str(config), "--data-dir", str(data_dir), "run"]
    done = subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments],
        env={**os.environ, "FIRSTVISIT_HASH_KEY": HASH_KEY, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode in (0, 1), output[-8000:]
    assert "Published" in output, output[-8000:]
    warehouse = data_dir / "warehouse" / "firstvisit.duckdb"
    assert warehouse.is_file(), output[-8000:]
    return Published(warehouse, output, went_well=done.returncode == 0)


def land_and_build(
    config: Path, data_dir: Path, warehouse: Path, target: Path, *, is_tested: bool = False
) -> str:
    """Land the exports and build the warehouse, without the night around them, which takes half the time.

    With `is_tested` the tests of the data run too. Gives what dbt said. Fails when a file could not be landed
    or dbt ends with an error.
    """
    clinic = load_clinic(config, data_dir)
    land(config, data_dir)
    target.mkdir(exist_ok=True)
    left_out = ["unit_test"] if is_tested else ["unit_test", "test"]
    done = subprocess.run(
        [
            str(dbt.executable()), "--no-use-colors", "build",
            "--exclude-resource-type", *left_out, "--vars", dbt.variables(clinic),
        ],
        env={**os.environ, **dbt.environment(warehouse, target)},
        cwd=dbt.PROJECT_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def land(config: Path, data_dir: Path) -> None:
    """Land what lies in the inbox. Fails when a file could not be landed."""
    clinic = load_clinic(config, data_dir)
    landing = Landing(clinic, Privacy(HASH_KEY.encode(), clinic.clinic.phone_region))
    landing.prepare()
    for kind, stream in clinic.streams():
        assert [r.error for r in landing.land(kind, stream.name) if r.status == "failed"] == []
