"""The code location: one connected graph, its schedule and its sensor."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines import inbox
from pipelines.assets.publication import OUTCOME, PUBLISHED
from pipelines.config import load_clinic
from pipelines.definitions import JOB, build_definitions
from pipelines.home import announce, bury_dead_runs, dagster_home, is_alive, open_instance
from pipelines.sensor import QUIET_SECONDS, inbox_sensor
from tests.nightly.conftest import FirstNight
from tests.nightly.small_clinic import CONFIG, SmallClinic


@pytest.fixture(scope="module")
def definitions(first_night: FirstNight) -> dg.Definitions:
    clinic = first_night.clinic
    return build_definitions(load_clinic(clinic.config, clinic.data))


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> dg.AssetGraph:
    return definitions.resolve_asset_graph()


def test_every_landing_stream_and_model_leads_to_the_published_warehouse(
    first_night: FirstNight, graph: dg.AssetGraph
) -> None:
    above, waiting = set(), [PUBLISHED]
    while waiting:
        key = waiting.pop()
        if key not in above:
            above.add(key)
            waiting += graph.get(key).parent_keys
    clinic = load_clinic(first_night.clinic.config, first_night.clinic.data)
    streams = {dg.AssetKey(["landing", kind, stream.name]) for kind, stream in clinic.streams()}
    assert len(streams) > 10
    assert streams <= above
    models = {
        key
        for key in graph.get_all_asset_keys()
        if key.path[0] in ("staging", "conformed", "journeys", "marts")
    }
    assert models - above == set()
    assert graph.get(OUTCOME).parent_keys == {PUBLISHED}


def test_every_asset_is_made_here_described_and_grouped(graph: dg.AssetGraph) -> None:
    """A dbt source that no landing asset stands for would show as an external asset without group."""
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert [n.key.to_user_string() for n in nodes if not n.is_materializable] == []
    assert [n.key.to_user_string() for n in nodes if not n.description] == []
    assert {n.group_name for n in nodes} == {
        "reference",
        "landing",
        "staging",
        "intermediate",
        "conformed",
        "journeys",
        "marts",
        "exports",
        "ops",
        "publish",
    }


def is_test(node: dict[str, Any]) -> bool:
    # Tests of models that this clinic does not have stay in the manifest, switched off.
    return node["resource_type"] == "test" and bool(node["config"]["enabled"])


def test_dbt_tests_are_checks_and_those_that_block_say_so(
    first_night: FirstNight, graph: dg.AssetGraph
) -> None:
    manifest = json.loads((first_night.clinic.data / "dbt" / "manifest" / "manifest.json").read_text())
    tests = {node["name"] for node in manifest["nodes"].values() if is_test(node)}
    checks = {key.name: graph.get(key) for key in graph.asset_check_keys}
    assert tests - set(checks) == set()
    assert checks["unmapped_statuses_stay_under_one_percent"].blocking
    assert not checks["unmapped_statuses_are_named"].blocking
    assert not checks["loads_succeeded"].blocking


def test_the_job_runs_every_night_at_three_in_the_clinics_zone_without_being_switched_on(
    definitions: dg.Definitions,
) -> None:
    schedule = definitions.resolve_schedule_def(JOB)
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "Europe/Zagreb")
    with dg.build_schedule_context(scheduled_execution_time=datetime(2026, 3, 29, 1, tzinfo=UTC)) as context:
        [request] = schedule.evaluate_tick(context).run_requests or []
    assert request.run_key is None
    assert definitions.resolve_job_def(JOB).executor_def == dg.in_process_executor


@dg.job
def anything() -> None:
    """Stands for the nightly job: the sensor only names it."""


@pytest.fixture
def watched(tmp_path: Path) -> SmallClinic:
    clinic = SmallClinic(tmp_path)
    clinic.config.write_text(CONFIG)
    (clinic.data / "landing").mkdir(parents=True)
    return clinic


def tick(
    clinic: SmallClinic, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[str | None, str | None]:
    """Evaluate the sensor once: (why it skipped, its cursor); no reason means that it asked for a run."""
    sensor = inbox_sensor(load_clinic(clinic.config, clinic.data), anything)
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    data = sensor.evaluate_tick(context)
    assert bool(data.run_requests) != bool(data.skip_message)
    return data.skip_message, data.cursor or cursor


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_sensor_waits_until_files_are_quiet_and_starts_one_run_for_them(watched: SmallClinic) -> None:
    with open_instance(watched.data) as instance:
        assert tick(watched, instance)[0] == "the inbox is empty"
        file = watched.drop("mis/calls/march.csv", "id\n1\n")
        why, cursor = tick(watched, instance)
        assert why is not None
        assert "arriving" in why
        # Seen twice alike, but written to a moment ago.
        assert "arriving" in str(tick(watched, instance, cursor)[0])
        age(file, QUIET_SECONDS + 5)
        _, cursor = tick(watched, instance, cursor)
        why, cursor = tick(watched, instance, cursor)
        assert why is None
        assert tick(watched, instance, cursor)[0] == "a run was already started for these files"
        # The run notes what it saw; without a new file there is nothing to do, even without the cursor.
        inbox.remember(watched.data)
        assert tick(watched, instance)[0] == "everything in the inbox was seen by the latest run"
        age(watched.drop("mis/calls/april.csv", "id\n2\n"), QUIET_SECONDS + 5)
        _, cursor = tick(watched, instance, cursor)
        assert tick(watched, instance, cursor)[0] is None


def test_the_sensor_does_not_take_a_half_copied_file_for_a_finished_one(watched: SmallClinic) -> None:
    with open_instance(watched.data) as instance:
        age(watched.drop("mis/calls/march.csv.part", "id\n"), 3600)
        age(watched.drop("mis/calls/.march.csv.swp", "id\n"), 3600)
        assert tick(watched, instance)[0] == "the inbox is empty"


def test_the_sensor_starts_nothing_while_a_run_goes_on(watched: SmallClinic) -> None:
    age(watched.drop("mis/calls/march.csv", "id\n1\n"), 3600)
    with open_instance(watched.data) as instance:
        _, cursor = tick(watched, instance)
        run = instance.create_run_for_job(anything, status=dg.DagsterRunStatus.STARTED)
        announce(dagster_home(watched.data), run.run_id)
        assert "is going on" in str(tick(watched, instance, cursor)[0])
        instance.report_run_failed(run)
        # A run of the command line on another instance is known by its lock.
        note = watched.data / "run.lock.json"
        note.write_text(json.dumps({"pid": os.getpid(), "since": "now", "what": "a test"}))
        assert "another process" in str(tick(watched, instance, cursor)[0])
        note.unlink()
        assert tick(watched, instance, cursor)[0] is None


def test_a_run_whose_process_died_is_marked_failed_and_frees_the_warehouse_pool(watched: SmallClinic) -> None:
    home = dagster_home(watched.data)
    with open_instance(watched.data) as instance:
        alive = instance.create_run_for_job(anything, status=dg.DagsterRunStatus.STARTED)
        announce(home, alive.run_id)
        dead = instance.create_run_for_job(anything, status=dg.DagsterRunStatus.STARTED)
        # What its process left: a lock file that nobody holds, and a slot of the pool.
        (home / "alive" / f"{dead.run_id}.lock").touch()
        instance.event_log_storage.initialize_concurrency_limit_to_default("warehouse")
        instance.event_log_storage.claim_concurrency_slot("warehouse", dead.run_id, "dbt_models")
        assert bury_dead_runs(instance, home) == [dead.run_id]
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses == {
            alive.run_id: dg.DagsterRunStatus.STARTED,
            dead.run_id: dg.DagsterRunStatus.FAILURE,
        }
        assert instance.event_log_storage.get_concurrency_info("warehouse").claimed_slots == []
        assert is_alive(home, alive.run_id)
        assert not is_alive(home, dead.run_id)
        instance.report_run_failed(alive)


def test_the_instance_has_one_writer_of_the_warehouse_and_keeps_everything_below_the_data_directory(
    watched: SmallClinic,
) -> None:
    with open_instance(watched.data) as instance:
        pools = instance.event_log_storage.get_pool_config()
        assert (pools.default_pool_limit, pools.pool_granularity.value) == (1, "op")
        assert instance.telemetry_enabled is False
        assert instance.run_retries_enabled is False
        assert instance.run_monitoring_enabled is True
        instance.create_run_for_job(anything)
    assert list((watched.data / "dagster").rglob("*.db"))
