"""The inbox sensor: a run when files arrive during the day, once they are quiet."""

import json
import time
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.config import Clinic
from pipelines.home import bury_dead_runs, dagster_home, is_alive
from pipelines.inbox import fingerprint, listing, remembered
from pipelines.lock import lock_is_held

# A file that was written to within this many seconds may still be growing.
QUIET_SECONDS = 60
_MINIMUM_INTERVAL = 60
_WAITING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def inbox_sensor(clinic: Clinic, job: Any) -> dg.SensorDefinition:
    """The sensor, on by default: it starts `job` when the inbox holds something that no run has landed."""

    @dg.sensor(
        name="inbox",
        job=job,
        minimum_interval_seconds=_MINIMUM_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Starts the job when files in {clinic.data_dir}/inbox came or changed since the latest run and "
            f"have not been written to for {QUIET_SECONDS} s. Never while a run goes on."
        ),
    )
    def inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        home = dagster_home(clinic.data_dir)
        bury_dead_runs(context.instance, home)
        if (busy := _busy(context.instance, home, clinic)) is not None:
            return dg.SkipReason(busy)
        files = listing(clinic.data_dir)
        now = fingerprint(files)
        if not files:
            return dg.SkipReason("the inbox is empty")
        if now == remembered(clinic.data_dir):
            return dg.SkipReason("everything in the inbox was seen by the latest run")
        memory = json.loads(context.cursor) if context.cursor else {}
        if now == memory.get("requested"):
            return dg.SkipReason("a run was already started for these files")
        newest = max(modified for _, modified in files.values()) / 1e9
        settled = memory.get("seen") == now
        context.update_cursor(json.dumps({**memory, "seen": now}))
        # A copy that keeps the original's times looks old while it grows, hence the second look.
        if not settled or time.time() - newest < QUIET_SECONDS:
            return dg.SkipReason("files are arriving; waiting until they are quiet")
        context.update_cursor(json.dumps({"seen": now, "requested": now}))
        return dg.RunRequest(run_key=f"inbox-{now}-{int(time.time())}")

    return inbox


def _busy(instance: dg.DagsterInstance, home: Path, clinic: Clinic) -> str | None:
    """Why no run may start now; None when one may."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=_WAITING), limit=20):
        run = record.dagster_run
        if run.status != dg.DagsterRunStatus.STARTED or is_alive(home, run.run_id):
            return f"run {run.run_id[:8]} is going on or waiting"
    if lock_is_held(clinic.data_dir):
        return "another process holds the data directory"
    return None
