"""The Dagster instance of a data directory: where it lives, how it is opened, which runs are dead.

DAGSTER_HOME is `<data>/dagster`. Every run holds a lock file there as long as its process lives; the
operating system drops it however the process dies, so a run that says STARTED and whose lock is free is
one that was killed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from filelock import FileLock, Timeout

ROOT = Path(__file__).resolve().parents[1]
POOL = "warehouse"
# A run's first act is to take its lock file; a run without one after so long never got there.
_GRACE_SECONDS = 300
_UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Held until the process ends, which is the point of them.
_held: dict[str, FileLock] = {}


def dagster_home(data_dir: Path) -> Path:
    """`<data>/dagster`, made with its dagster.yaml when missing."""
    home = data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        scratch = home / ".dagster.yaml.tmp"
        shutil.copyfile(ROOT / "dagster.yaml", scratch)
        scratch.replace(settings)
    return home


@contextmanager
def open_instance(data_dir: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a data directory, for runs in this process.

    Such runs do not capture the steps' output: that works by replacing the process's own stdout, on
    which the progress display stands. Their log goes to a file instead.
    """
    quiet = {
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        }
    }
    reference = InstanceRef.from_dir(str(dagster_home(data_dir)), overrides=quiet)
    with dg.DagsterInstance.from_ref(reference) as instance:
        yield instance


def announce(home: Path, run_id: str) -> None:
    """Show that this process executes the run, until the process ends."""
    if run_id not in _held:
        lock = FileLock(_mark(home, run_id))
        lock.acquire(timeout=10)
        _held[run_id] = lock


def is_alive(home: Path, run_id: str) -> bool:
    """Whether some process executes the run now."""
    path = _mark(home, run_id)
    if run_id in _held:
        return True
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def bury_dead_runs(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Mark runs whose process was killed as failed and free what they held; their ids are returned.

    Nobody else does: Dagster watches the runs that its own server started, and only while that lives.
    """
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED)):
        run = record.dagster_run
        marked = _mark(home, run.run_id).exists()
        begun = record.start_time or record.create_timestamp.timestamp()
        if is_alive(home, run.run_id) or (not marked and time.time() - begun < _GRACE_SECONDS):
            continue
        instance.report_run_failed(run, "The process that executed this run ended without finishing it.")
        dead.append(run.run_id)
    for run_id in dead:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    for path in (home / "alive").glob("*.lock"):
        if not is_alive(home, path.stem):
            path.unlink(missing_ok=True)
    return dead


def free_pool(instance: dg.DagsterInstance, run_id: str) -> None:
    """Free the warehouse pool of every other run: who holds the data directory's lock is alone in it."""
    pools = {pool.name for pool in instance.event_log_storage.get_pool_limits()}
    if POOL not in pools:
        return
    taken = instance.event_log_storage.get_concurrency_info(POOL)
    for other in {slot.run_id for slot in taken.claimed_slots} | taken.pending_run_ids:
        if other != run_id:
            instance.event_log_storage.free_concurrency_slots_for_run(other)


def _mark(home: Path, run_id: str) -> Path:
    folder = home / "alive"
    folder.mkdir(exist_ok=True)
    return folder / f"{run_id}.lock"
