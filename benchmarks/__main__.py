"""`python -m benchmarks [SCALE …]`: simulate clinics of these sizes, run a first and a second night of each.

Prints a table and writes benchmarks/results/nights.json. The first night lands 18 months of exports, the
second finds nothing new: the price of rebuilding the warehouse whole. Peak memory is of the largest single
process (dbt, as a rule), from getrusage.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simulator import simulate

RESULTS = Path(__file__).parent / "results" / "nights.json"
_STAGE = re.compile(r"(landing|transforming|publishing) done\b.* in (?:(\d+):)?(\d+):(\d+)")
# Runs a command in one process of its own, so that its children's peak is the night's and nobody else's.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT)
peak = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu_s = peak.ru_utime + peak.ru_stime
print(json.dumps({"exit": done.returncode, "peak_mb": peak.ru_maxrss / 1024, "cpu_s": cpu_s}))
"""


def night(config: Path, data_dir: Path, log: Path) -> dict[str, Any]:
    """One run of the command line: seconds, CPU seconds, peak megabytes, seconds by stage."""
    command = [
        sys.executable, "-c", "from pipelines.cli import main; main()",
        "--config", str(config), "--data-dir", str(data_dir), "run",
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(log), *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    said = log.read_text(encoding="utf-8")
    if figures["exit"] != 0:
        raise SystemExit(f"the night failed:\n{said[-3000:]}")
    figures["wall_s"] = time.perf_counter() - started
    for stage, hours, minutes, seconds in _STAGE.findall(said):
        figures[stage] = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return figures


def main(scales: list[float]) -> None:
    """Measure every scale and show the table."""
    table = Table(
        "scale", "night", "rows landed", "wall s", "CPU s", "landing s", "dbt s", "publish s", "peak MB"
    )
    results = []
    for scale in scales:
        with tempfile.TemporaryDirectory(prefix="firstvisit-bench-") as folder:
            made = simulate(Path(folder), seed=1, scale=scale)
            for name in ("first", "second"):
                figures = night(made.config, made.data_dir, Path(folder) / "night.log")
                lines = (made.data_dir / "landing" / "loads.jsonl").read_text(encoding="utf-8").splitlines()
                rows = sum(json.loads(line)["rows_landed"] for line in lines)
                results.append({"scale": scale, "night": name, "rows": rows, **figures})
                table.add_row(
                    f"{scale:g}", name, f"{rows:,}", f"{figures['wall_s']:.1f}", f"{figures['cpu_s']:.1f}",
                    *(str(figures.get(stage, "–")) for stage in ("landing", "transforming", "publishing")),
                    f"{figures['peak_mb']:,.0f}",
                )  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    RESULTS.write_text(json.dumps({"machine": machine, "nights": results}, indent=1), encoding="utf-8")
    Console().print(table)


if __name__ == "__main__":
    main([float(scale) for scale in sys.argv[1:]] or [0.2, 1.0, 5.0])
