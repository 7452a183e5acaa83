"""One night of the small clinic: what is published, what Dagster knows of it, what the terminal says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from pipelines.home import open_instance
from tests.conftest import ROOT
from tests.nightly.conftest import FirstNight

READER = ROOT / ".venv-reader" / "bin" / "python"


@pytest.fixture(scope="module")
def instance(first_night: FirstNight) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the night was run on."""
    with open_instance(first_night.clinic.data) as found:
        yield found


def metadata(instance: dg.DagsterInstance, *key: str) -> dict[str, dg.MetadataValue]:
    """Of the first night: other tests may have run the clinic again since."""
    records = instance.fetch_materializations(dg.AssetKey(list(key)), limit=100, ascending=True).records
    whole = [r.asset_materialization for r in records if r.partition_key is None]
    assert whole[0] is not None, key
    return dict(whole[0].metadata)


def test_the_marts_hold_what_a_hand_reckons(first_night: FirstNight) -> None:
    """310 € of March bring two answered calls and two patients who paid 200 €."""
    clinic = first_night.clinic
    assert clinic.rows("select sum(cost), sum(calls), sum(answered_calls) from marts.cost_per_call") == [
        (Decimal("310.00"), 3, 2)
    ]
    assert clinic.rows(
        "select channel, cost, new_patients, cost_per_patient, revenue_to_date from marts.cost_per_patient"
    ) == [("paid_search", Decimal("310.00"), 2.0, Decimal("155.00"), Decimal("200.00"))]
    assert clinic.rows(
        "select new_patients, repeat_patients, clv_to_date_avg from marts.clv_by_first_doctor "
        "where cohort = 'all'"
    ) == [(2, 1, Decimal("100.00"))]


def test_the_days_of_each_stream_are_known(instance: dg.DagsterInstance) -> None:
    landed = instance.get_materialized_partitions(dg.AssetKey(["landing", "mapped_file", "calls"]))
    assert landed == {"2026-03-02", "2026-03-03", "2026-03-04"}
    assert instance.get_materialized_partitions(dg.AssetKey(["landing", "reference", "targets"])) == set()


def test_every_table_and_column_of_the_published_file_is_described(first_night: FirstNight) -> None:
    clinic = first_night.clinic
    schemas = {name for (name,) in clinic.rows("select distinct schema_name from duckdb_tables()")}
    assert schemas == {"marts", "journeys", "conformed", "ops"}
    assert clinic.rows("select schema_name, table_name from duckdb_tables() where comment is null") == []
    assert (
        clinic.rows(
            "select table_name, column_name from duckdb_columns() where not internal and comment is null"
        )
        == []
    )


def test_the_publication_says_when_of_which_day_and_that_nothing_warned(first_night: FirstNight) -> None:
    [(when, as_of, warnings)] = first_night.clinic.rows(
        "select published_at is not null, cast(as_of as varchar), warnings from ops.publication"
    )
    assert (when, as_of, warnings) == (True, "2026-03-20", [])


def test_an_older_duckdb_reads_the_published_file(first_night: FirstNight) -> None:
    if not READER.exists():
        pytest.skip(f"no {READER.parent.parent.name}; `make test` makes it")
    question = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True); "
        "print(duckdb.__version__, con.sql('select sum(cost) from marts.cost_per_patient').fetchone()[0], "
        "con.sql('select count(*) from duckdb_columns() where comment is not null').fetchone()[0] > 50)"
    )
    done = subprocess.run(
        [str(READER), "-c", question, str(first_night.clinic.published)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    version, cost, commented = done.stdout.split()
    assert version.startswith("1.4.")
    assert (cost, commented) == ("310.00", "True")


def test_landing_assets_tell_rows_and_load_figures(instance: dg.DagsterInstance) -> None:
    found = metadata(instance, "landing", "mapped_file", "visits")
    assert found["dagster/row_count"].value == 3
    figures = {name: found[f"rows_{name}"].value for name in ("read", "landed", "duplicate", "quarantined")}
    assert figures == {"read": 3, "landed": 3, "duplicate": 0, "quarantined": 0}


def test_models_tell_row_count_columns_and_where_each_column_comes_from(instance: dg.DagsterInstance) -> None:
    found = metadata(instance, "marts", "cost_per_patient")
    assert found["dagster/row_count"].value == 1
    schema = found["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    assert ("cost", "decimal(18,2)") in [(column.name, column.type) for column in schema.columns]
    assert all(column.description for column in schema.columns)
    lineage = found["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    origins = {dep.asset_key.path[-1] for dep in lineage.deps_by_column["new_patients"]}
    assert "attribution_credits" in origins


def test_a_column_of_a_mart_can_be_followed_down_to_the_landed_column(instance: dg.DagsterInstance) -> None:
    waiting, seen = [(("marts", "cost_per_patient"), "cost")], set()
    while waiting:
        key, column = waiting.pop()
        if (key, column) in seen:
            continue
        seen.add((key, column))
        if key[0] == "landing":
            continue
        found = metadata(instance, *key).get("dagster/column_lineage")
        if found is not None and isinstance(found.value, dg.TableColumnLineage):
            waiting += [
                (tuple(dep.asset_key.path), dep.column_name)
                for dep in found.value.deps_by_column.get(column, [])
            ]
    assert (("landing", "cost_sheet", "other_costs"), "amount") in seen


def test_every_table_has_a_row_count_and_every_model_a_lineage(
    first_night: FirstNight, instance: dg.DagsterInstance
) -> None:
    """No model's SQL is beyond the resolver: one that is would silently lose its lineage."""
    tables = first_night.clinic.rows(
        "select schema_name, table_name from duckdb_tables() where (schema_name, table_name) not in "
        "(('ops', 'publication'), ('ops', 'restatements'))"
    )
    for schema, table in tables:
        found = metadata(instance, schema, table)
        assert "dagster/row_count" in found, (schema, table)
        # What Python makes has no SQL to read.
        if table != "channel_removal_effects":
            assert "dagster/column_lineage" in found, (schema, table)


def test_the_summary_says_what_landed_the_headlines_and_where_the_files_are(first_night: FirstNight) -> None:
    said = first_night.said.out
    for expected in (
        "mapped_file/visits",
        "cost_per_call: March 2026",
        "cost_per_patient: March 2026",
        "clv_by_first_doctor",
        "155.00",
        "Published.",
        str(first_night.clinic.published),
    ):
        assert expected in said, said
    assert "DEBUG" not in said
    log = Path(next(line for line in said.splitlines() if "log: " in line).split("log: ")[1])
    assert "RUN_SUCCESS" in log.read_text(encoding="utf-8")


def test_the_build_file_is_gone_and_no_telemetry_was_configured(first_night: FirstNight) -> None:
    data = first_night.clinic.data
    assert list((data / "warehouse" / "build").iterdir()) == []
    with open_instance(data) as instance:
        assert not instance.telemetry_enabled


def test_query_reads_it_without_schema_names(first_night: FirstNight) -> None:
    shown = first_night.clinic.firstvisit(
        "query",
        "--format",
        "csv",
        "select doctor, new_patients from clv_by_first_doctor where cohort = 'all'",
    )
    assert (shown.code, shown.out.split()) == (0, ["doctor,new_patients", "dr.", "Horvat,2"])


def test_query_writes_nothing(first_night: FirstNight) -> None:
    refused = first_night.clinic.firstvisit("query", "create table marts.x as select 1")
    assert refused.code == 1
    assert "read-only" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_check_finds_everything_in_place(first_night: FirstNight) -> None:
    said = first_night.clinic.firstvisit("check")
    assert said.code == 0, said.out + said.err
    assert "inbox/mis/visits/: 1 files" in said.out
    assert "0 not landed yet" in said.out
    assert "as of 2026-03-20" in said.out
