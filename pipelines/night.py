"""What the steps of one run share: the data directory's lock, the landing zone, where the warehouse is built.

A run is one process (the code location's executor is `in_process`), so this resource, made before the
first step and undone after the last, holds the lock from landing to publishing. A run that finds it taken
waits and says for whom.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from connectors.privacy import Privacy, load_key
from pipelines import inbox, progress, publish
from pipelines.config import Clinic
from pipelines.home import announce, bury_dead_runs, dagster_home, free_pool
from pipelines.landing import Landing
from pipelines.lock import DataLocked, data_lock, holder

# A run started while another goes on is wanted all the same; four hours is more than any run takes.
WAIT_SECONDS = 4 * 3600.0


@dataclass
class Night:
    """One run's hold on the data directory."""

    clinic: Clinic
    run_id: str
    landing: Landing
    # The database file that dbt writes in this run.
    build: Path
    # A backfill's days, both included, and sources (None: all that have an API); None in a nightly run.
    asked: tuple[date, date] | None = None
    sources: frozenset[str] | None = None

    @property
    def target(self) -> Path:
        """Dbt's target folder of this run: compiled SQL, results, log."""
        return self.clinic.data_dir / "dbt" / "runs" / self.run_id


def night_resource(clinic: Clinic) -> dg.ResourceDefinition:
    """The resource `night`, which every step needs."""

    @dg.resource(
        config_schema={
            "wait_seconds": dg.Field(
                float,
                default_value=WAIT_SECONDS,
                description="How long to wait for another run on the same data directory.",
            ),
            "backfill": dg.Field(
                {"since": str, "until": str, "sources": dg.Field([str], default_value=[])},
                is_required=False,
                description="Days to read again from the APIs (of these sources; of all when none is named).",
            ),
        },
        description="The data directory, held from landing to publishing.",
    )
    @contextmanager
    def night(context: dg.InitResourceContext) -> Iterator[Night]:
        run = context.run
        instance = context.instance
        assert run is not None
        assert instance is not None
        home = dagster_home(clinic.data_dir)
        announce(home, run.run_id)
        with _lock(clinic, run.run_id, context.resource_config["wait_seconds"], context.log):
            for dead in bury_dead_runs(instance, home):
                _say(context.log, f"run {dead} was killed; its left-overs are cleared")
            free_pool(instance, run.run_id)
            build, left = publish.take_slot(clinic.data_dir)
            if left:
                _say(context.log, f"removed what a killed run left half built ({', '.join(left)})")
            _sweep_targets(clinic, run.run_id)
            privacy = Privacy(
                load_key(clinic.data_dir),
                clinic.clinic.phone_region,
                hash_record_ids=clinic.privacy.hash_record_ids,
            )
            landing = Landing(
                clinic, privacy, progress=lambda what, rows: progress.current().doing(what, rows)
            )
            landing.prepare()
            inbox.remember(clinic.data_dir)
            asked, sources = _backfill(context.resource_config)
            try:
                yield Night(clinic, run.run_id, landing, build, asked, sources)
            finally:
                publish.clear_slot(build)

    return night


def _backfill(config: Any) -> tuple[tuple[date, date] | None, frozenset[str] | None]:
    given = config.get("backfill")
    if given is None:
        return None, None
    asked = date.fromisoformat(given["since"]), date.fromisoformat(given["until"])
    return asked, frozenset(given["sources"]) or None


@contextmanager
def _lock(clinic: Clinic, run_id: str, wait: float, log: Any) -> Iterator[None]:
    """Hold the lock; while another run has it, say so and wait."""
    what = f"run {run_id[:8]}"
    with ExitStack() as stack:
        try:
            stack.enter_context(data_lock(clinic.data_dir, what))
        except DataLocked:
            if wait <= 0:
                raise
            message = f"waiting for {holder(clinic.data_dir)}"
            _say(log, f"{message} to finish with {clinic.data_dir}")
            progress.current().stage("waiting", message)
            stack.enter_context(data_lock(clinic.data_dir, what, wait=wait))
        yield


def _say(log: Any, text: str) -> None:
    if log is not None:
        log.info(text)


def _sweep_targets(clinic: Clinic, run_id: str) -> None:
    """Keep the target folder of the run before this one, for whoever reads its log, and no older."""
    folder = clinic.data_dir / "dbt" / "runs"
    if not folder.is_dir():
        return
    earlier = sorted((p for p in folder.iterdir() if p.name != run_id), key=lambda p: p.stat().st_mtime)
    for path in earlier[:-1]:
        shutil.rmtree(path, ignore_errors=True)
