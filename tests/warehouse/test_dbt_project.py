"""The dbt project with every kind on: it builds on an empty landing zone, and every unit test holds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from connectors import registry
from connectors._mapped_tables import TABLES
from connectors.privacy import Privacy
from pipelines import dbt
from pipelines.config import Clinic, load_clinic
from pipelines.landing import Landing

BARE: dict[str, dict[str, Any]] = {
    "google_ads": {"account": "main", "currency": "EUR"},
    "yandex_direct": {"account": "main", "currency": "RUB"},
    "ga4": {"sessions_of_record": True},
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic with every kind of source, its mapped files mapping every table whole."""
    folder = tmp_path_factory.mktemp("everything")
    sources = {kind: {"kind": kind, **BARE.get(kind, {})} for kind in registry.kinds()}
    sources["mapped_file"]["streams"] = {
        name: {"columns": {key: key for key in table.columns if key != "birth_date"}}
        for name, table in TABLES.items()
    }
    clinic = {"name": "Everything", "timezone": "Europe/Zagreb", "currency": "EUR", "phone_region": "HR"}
    config = folder / "clinic.yaml"
    config.write_text(yaml.safe_dump({"clinic": clinic, "sources": sources}), encoding="utf-8")
    loaded = load_clinic(config, folder / "data")
    Landing(loaded, Privacy(b"k" * 32, "HR")).prepare()
    return loaded


@pytest.fixture(scope="module")
def built(everything: Clinic) -> list[dict[str, Any]]:
    """dbt's results of every seed, model, test and unit test."""
    target = everything.data_dir / "target"
    arguments = [
        "--profiles-dir",
        str(dbt.PROJECT_DIR),
        "--project-dir",
        str(dbt.PROJECT_DIR),
        "--target-path",
        str(target),
        "--log-path",
        str(target),
        "--vars",
        dbt.variables(everything),
    ]
    environment = {
        **os.environ,
        dbt.BUILD_VARIABLE: str(everything.data_dir / "firstvisit.duckdb"),
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    output = ""
    results: list[dict[str, Any]] = []
    # Unit tests read the columns of their inputs from the database: all relations come first.
    for command in ("seed", "run", "test"):
        done = subprocess.run(
            [str(dbt.executable()), "--no-use-colors", command, *arguments],
            env=environment,
            cwd=dbt.PROJECT_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=580,
        )
        output = done.stdout + done.stderr
        assert (target / "run_results.json").exists(), output[-4000:]
        failed = [line for line in output.splitlines() if " ERROR " in line or " FAIL " in line]
        assert done.returncode == 0, "\n".join(failed) + output[-6000:]
        results += json.loads((target / "run_results.json").read_text())["results"]
    return results


def test_every_unit_test_of_the_project_runs_and_holds(
    built: list[dict[str, Any]], everything: Clinic
) -> None:
    manifest = json.loads((everything.data_dir / "target" / "manifest.json").read_text())
    declared = set(manifest["unit_tests"])
    disabled = [name for name in manifest["disabled"] if name.startswith("unit_test.")]
    ran = {r["unique_id"]: r["status"] for r in built if r["unique_id"].startswith("unit_test.")}
    assert not disabled
    assert declared
    assert set(ran) == declared
    assert set(ran.values()) == {"pass"}


def test_a_clinic_without_a_row_yet_has_every_table(built: list[dict[str, Any]]) -> None:
    statuses = {result["status"] for result in built}
    assert statuses <= {"success", "pass"}, [
        r["unique_id"] for r in built if r["status"] not in ("success", "pass")
    ]


def test_every_model_and_every_published_column_is_described(
    built: list[dict[str, Any]], everything: Clinic
) -> None:
    manifest = json.loads((everything.data_dir / "target" / "manifest.json").read_text())
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    assert [n["name"] for n in models if not n["description"].strip()] == []
    from_database = {
        f"{n['schema']}.{n['name']}": {c for c, d in n["columns"].items() if d["description"].strip()}
        for n in models
    }
    with duckdb.connect(str(everything.data_dir / "firstvisit.duckdb"), read_only=True) as con:
        columns = con.execute(
            "select schema_name || '.' || table_name, column_name from duckdb_columns()"
            " where schema_name in ('marts', 'journeys', 'conformed', 'ops') and not internal"
        ).fetchall()
    assert columns
    assert [(t, c) for t, c in columns if c not in from_database.get(t, set())] == []


def test_every_kind_has_its_staging_folder(everything: Clinic) -> None:
    for kind in registry.kinds():
        folder: Path = dbt.PROJECT_DIR / "models" / "staging" / kind
        for table in registry.connector(kind).feeds_of(everything.sources[kind]):
            if table in everything.dbt_vars()["inputs"]:
                assert (folder / f"stg_{kind}__{table}.sql").exists(), f"{kind} feeds {table}"
