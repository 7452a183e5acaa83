"""The real pipeline, run as a clinic runs it: the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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
