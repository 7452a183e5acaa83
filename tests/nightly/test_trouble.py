"""Nights on which something goes wrong: what is published all the same, and what is said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.home import open_instance
from tests.nightly.conftest import FirstNight
from tests.nightly.small_clinic import VISITS_HEADER

FOREIGN = (
    "cost_id,channel,source,campaign,starts_on,ends_on,amount,currency\n"
    "f1,display,ads,,2026-03-10,2026-03-10,{}.00,USD\n"
)


@pytest.fixture
def first_night(first_night: FirstNight, tmp_path: Path) -> Iterator[FirstNight]:
    """The shared clinic, put back as it was: landing is the only state."""
    landing = first_night.clinic.data / "landing"
    shutil.copytree(landing, tmp_path / "landing")
    yield first_night
    shutil.rmtree(landing)
    shutil.copytree(tmp_path / "landing", landing)


def test_a_broken_file_stops_neither_the_rest_nor_the_publication_and_an_open_reader_reads_on(
    first_night: FirstNight,
) -> None:
    """Marketing's file is broken, a new visit came: the visit is published, the earlier costs stay.

    A dollar without an exchange rate, among some 200 euros of the last 30 days, is named and stops nothing.
    """
    clinic = first_night.clinic
    reader = duckdb.connect(str(clinic.published), read_only=True)
    broken = clinic.drop("marketing/other_costs/april.csv", "what,is,this\n1,2,3\n")
    foreign = clinic.drop("marketing/other_costs/foreign.csv", FOREIGN.format(1))
    visit = clinic.drop(
        "mis/visits/april.csv",
        VISITS_HEADER + "v4,iva,+385911000002,,2026-04-02 12:00,dr. Horvat,Centar,done,80.00\n",
    )
    try:
        said = clinic.firstvisit("run")
        assert said.code == 1, said.out + said.err
        assert "Published, but not everything went well" in said.out
        named = [line for line in said.out.splitlines() if line.startswith("✗")]
        load, rate = sorted(named, key=lambda line: "april.csv" not in line)
        assert "landing/cost_sheet/other_costs: loads_succeeded" in load
        assert "april.csv" in load
        assert "money_without_rate_is_named" in rate
        assert "Traceback" not in said.out + said.err
        # The reader has the file it opened; another process sees the new one, and so does it on reconnecting.
        money = "select sum(revenue_to_date) from marts.cost_per_patient"
        assert int(reader.execute(money).fetchall()[0][0]) == 200
        assert "280.00" in clinic.firstvisit("query", money).out
        reader.close()
        assert int(clinic.rows(money)[0][0]) == 280
        assert clinic.rows("select sum(cost) from marts.cost_per_call")[0][0] == 310
        [[warnings]] = clinic.rows("select warnings from ops.publication")
        assert len(warnings) == 2
        assert any("april.csv" in warning for warning in warnings)
        unconverted = "select cost, cost_native, currency from conformed.other_costs where cost is null"
        assert clinic.rows(unconverted) == [(None, 1, "USD")]
        loads = "select status, count(*) from ops.loads where file = 'april.csv' group by all order by 1"
        assert clinic.rows(loads) == [
            ("failed", 1),
            ("landed", 1),
        ]
        with open_instance(clinic.data) as instance:
            [run] = instance.get_runs(limit=1)
            failed = [
                record.event_log_entry.dagster_event.step_key
                for record in instance.get_records_for_run(run.run_id).records
                if record.event_log_entry.dagster_event
                and record.event_log_entry.dagster_event.is_step_failure
            ]
        assert failed == ["night_outcome"]
    finally:
        reader.close()
        for path in (broken, foreign, visit):
            path.unlink()


def test_a_blocking_test_that_fails_publishes_nothing_and_is_named(first_night: FirstNight) -> None:
    """A status that nobody mapped, on more than one row in a hundred; so much in dollars without a rate."""
    clinic = first_night.clinic
    before = clinic.published.stat()
    strange = clinic.drop(
        "mis/visits/may.csv",
        VISITS_HEADER + "v5,iva,+385911000002,,2026-05-02 12:00,dr. Horvat,Centar,ascended,80.00\n",
    )
    foreign = clinic.drop("marketing/other_costs/foreign.csv", FOREIGN.format(50))
    try:
        said = clinic.firstvisit("run")
        assert said.code == 1, said.out + said.err
        assert "Nothing was published" in said.out
        named = [
            line for line in said.out.splitlines() if line.startswith("✗ dbt_models: nothing was published")
        ]
        assert len(named) == 1
        assert "test unmapped_statuses_stay_under_one_percent" in named[0]
        assert "test money_without_rate_stays_under_one_percent" in named[0]
        after = clinic.published.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    finally:
        strange.unlink()
        foreign.unlink()
