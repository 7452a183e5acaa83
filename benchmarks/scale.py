"""Journeys and marts of a clinic of 20 M sessions, 2 M calls and 3 M visits.

python -m benchmarks.scale [SESSIONS CALLS VISITS]

The demo's clinic is built once; its conformed tables are then laid side by side as often as it takes, every
repetition with ids, phones, doctors and branches of its own, so that each has the simulated journeys. What is
measured is `dbt run` of the models of journeys and marts over that, in a process of its own: wall and CPU
seconds, peak memory, and the models that took longest. Prints a table and writes
benchmarks/results/scale.json.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import MEASURE
from pipelines import dbt
from pipelines.config import load_clinic
from simulator import simulate
from tests.truth.pipeline import land_and_build

RESULTS = Path(__file__).parent / "results" / "scale.json"
SELECTED = ("path:models/journeys", "path:models/marts")
# What a repetition has of its own; a list of them ends in s.
IDS = frozenset(
    {
        "session_id", "session_ref", "visitor_id", "user_ref", "click_id", "contact_id", "contact_name",
        "contact_ref", "kept_id", "call_id", "phone_key", "email_key", "phone_keys", "email_keys", "pbx_ref",
        "callback_ref", "recording_ref", "lead_id", "patient_id", "patient_id_raw", "card_id", "visit_id",
        "appointment_id", "appointment_ref", "line_id", "payment_id", "review_id", "shift_id",
    }
)  # fmt: skip
# A clinic of this size has more houses and people, though not one of each per repetition.
PLACES = {"doctor": 50, "room": 50, "operator": 50, "branch": 10}
SESSIONS = ("web_sessions", "all_ad_clicks")
CONTACTS = ("calls", "contacts", "contact_aliases", "contact_folds", "all_contacts")
VISITS = (
    "visits", "visit_lines", "payments", "appointments", "patients", "patient_phones", "patient_cards",
)  # fmt: skip
OF_A_PLACE = ("shifts", "reviews")
SLOWEST = 8


def _repetitions(counts: dict[str, int], sizes: tuple[int, int, int]) -> dict[str, int]:
    sessions, calls, visits = (
        max(1, round(size / counts[name]))
        for name, size in zip(("web_sessions", "calls", "visits"), sizes, strict=True)
    )
    return {
        **dict.fromkeys(SESSIONS, sessions),
        **dict.fromkeys(CONTACTS, calls),
        **dict.fromkeys(VISITS, visits),
        **dict.fromkeys(OF_A_PLACE, max(PLACES.values())),
    }


def _expression(column: str, kind: str) -> str:
    quoted = f'"{column}"'
    if column in IDS and kind == "VARCHAR":
        return f"{quoted} || coalesce('~' || nullif(r, 0), '') as {quoted}"
    if column in IDS and kind == "VARCHAR[]":
        return f"list_transform({quoted}, lambda x: x || coalesce('~' || nullif(r, 0), '')) as {quoted}"
    if column in PLACES:
        return f"{quoted} || coalesce('~' || nullif(r % {PLACES[column]}, 0), '') as {quoted}"
    return quoted


def enlarge(small: Path, large: Path, needed: list[tuple[str, str]], sizes: tuple[int, int, int]) -> None:
    """Write the needed relations (schema, name), repeated to `sizes` sessions, calls, visits."""
    with duckdb.connect(str(small)) as con:
        con.execute(f"attach '{large}' as large")
        counts = {
            name: con.execute(f"select count(*) from {schema}.{name}").fetchall()[0][0]
            for schema, name in needed
        }
        times = _repetitions(counts, sizes)
        for schema, name in needed:
            columns = con.execute(f"describe {schema}.{name}").fetchall()
            shown = ", ".join(_expression(column, kind) for column, kind, *_ in columns)
            con.execute(f"create schema if not exists large.{schema}")
            con.execute(
                f"create table large.{schema}.{name} as select {shown} "
                f"from {schema}.{name} cross join range({times.get(name, 1)}) as repeated (r)"
            )


def _needed(manifest: Path) -> tuple[list[tuple[str, str]], set[str]]:
    """The relations that the selected models read and do not make themselves; and those models' ids."""
    nodes: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))["nodes"]
    folders = tuple(f"{selected.removeprefix('path:')}/" for selected in SELECTED)
    made = {
        key
        for key, node in nodes.items()
        if node["resource_type"] == "model" and node["original_file_path"].startswith(folders)
    }
    read = {key for made_one in made for key in nodes[made_one]["depends_on"]["nodes"]} - made
    return sorted((nodes[key]["schema"], nodes[key]["name"]) for key in read), made


def measure(sizes: tuple[int, int, int]) -> dict[str, Any]:
    """Build journeys and marts at these sizes; rows, seconds, megabytes and the slowest models."""
    with tempfile.TemporaryDirectory(prefix="firstvisit-scale-") as folder:
        base = Path(folder)
        made = simulate(base / "clinic", seed=1, scale=1.0)
        # One stem for both: dbt's manifest holds it as the name of the database.
        small, large = base / "small" / "firstvisit.duckdb", base / "large" / "firstvisit.duckdb"
        target = base / "target"
        for path in (small, large):
            path.parent.mkdir()
        land_and_build(made.config, made.data_dir, small, target)
        needed, models = _needed(target / "manifest.json")
        enlarge(small, large, needed, sizes)
        variables = dbt.variables(load_clinic(made.config, made.data_dir))
        command = [
            str(dbt.executable()), "--no-use-colors", "run", "--select", *SELECTED, "--vars", variables,
        ]  # fmt: skip
        log = base / "dbt.log"
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(log), *command],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **dbt.environment(large, target)},
            cwd=dbt.PROJECT_DIR,
        )
        figures: dict[str, Any] = json.loads(done.stdout)
        figures["wall_s"] = time.perf_counter() - started
        if figures["exit"] != 0:
            raise SystemExit(log.read_text(encoding="utf-8")[-4000:])
        results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))
        seconds = {r["unique_id"].split(".")[-1]: r["execution_time"] for r in results["results"]}
        slowest = sorted(seconds.items(), key=lambda item: -item[1])[:SLOWEST]
        figures |= {
            "dbt_s": results["elapsed_time"],
            "models": len(models),
            "slowest": {name: round(taken, 1) for name, taken in slowest},
        }
        with duckdb.connect(str(large), read_only=True) as con:
            figures["rows"] = {
                name: con.execute(f"select count(*) from {name}").fetchall()[0][0]
                for name in (
                    "conformed.web_sessions",
                    "conformed.calls",
                    "conformed.visits",
                    "journeys.patient_journeys",
                    "journeys.journey_touches",
                )
            }
        return figures


def main(sizes: tuple[int, int, int]) -> None:
    """Measure and show."""
    figures = measure(sizes)
    table = Table("what", "rows or figure")
    for name, rows in figures["rows"].items():
        table.add_row(name, f"{rows:,}")
    for name in ("models", "wall_s", "dbt_s", "cpu_s", "peak_mb"):
        table.add_row(name, f"{figures[name]:,.0f}")
    for name, seconds in figures["slowest"].items():
        table.add_row(name, f"{seconds:.1f} s")
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    given = [int(float(argument)) for argument in sys.argv[1:]] or [20_000_000, 2_000_000, 3_000_000]
    if len(given) != 3:
        raise SystemExit("python -m benchmarks.scale [SESSIONS CALLS VISITS]")
    main((given[0], given[1], given[2]))
