"""The real pipeline, run as a clinic runs it: the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# One key for all runs, so that hashed columns of two runs can be compared too.
HASH_KEY = "the same key for every run of these tests"


def run_pipeline(config: Path, data_dir: Path, *, complains: bool = False) -> Path:
    """Run the night and return the published file. A run that `complains` publishes and exits with 1."""
    arguments = ["--config", str(config), "--data-dir", str(data_dir), "run"]
    done = subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments],
        env={**os.environ, "FIRSTVISIT_HASH_KEY": HASH_KEY, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == (1 if complains else 0), done.stdout[-6000:] + done.stderr[-3000:]
    published = data_dir / "warehouse" / "firstvisit.duckdb"
    assert published.is_file(), done.stdout[-6000:]
    return published
