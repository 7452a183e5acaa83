"""The nightly job in this process: the same job as the schedule's, with a display and a result to read."""

from __future__ import annotations

import contextlib
import logging
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from rich.console import Console

from pipelines import dbt, progress
from pipelines.assets.publication import OUTCOME, PUBLISHED, check_line
from pipelines.config import Clinic
from pipelines.definitions import JOB, build_definitions
from pipelines.home import open_instance
from pipelines.lock import DataLocked

_LOGS_KEPT = 30
_INTERRUPTED = DagsterExecutionInterruptedError.__name__


@dataclass(frozen=True)
class Landed:
    """What a run landed of one stream: its files and windows, their rows, and the rows that are live now."""

    stream: str
    files: int
    rows: Mapping[str, int]
    live: int
    reasons: Mapping[str, int]


@dataclass
class Outcome:
    """How a run went."""

    run_id: str
    log: Path
    published: bool = False
    interrupted: bool = False
    # One line for each thing that went wrong; empty when everything went well.
    wrong: list[str] = field(default_factory=list)
    landed: list[Landed] = field(default_factory=list)


@dataclass(frozen=True)
class Backfill:
    """Days to read again from the APIs, both included; of these sources, of all when none is named."""

    since: date
    until: date
    sources: tuple[str, ...] = ()

    def config(self) -> dict[str, Any]:
        """The `backfill` of the resource `night`."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "sources": list(self.sources),
        }


def run_nightly(
    clinic: Clinic, console: Console, *, wait: float = 0.0, backfill: Backfill | None = None
) -> Outcome:
    """Run the job `nightly`, showing progress on `console`.

    `wait` is how many seconds to wait for a run that goes on. Raises DataLocked when one still does, and
    DbtError when the dbt project does not parse; everything else is in the outcome.
    """
    run_id = str(uuid.uuid4())
    log = _log_path(clinic, run_id)
    outcome = Outcome(run_id, log)
    night: dict[str, Any] = {"wait_seconds": float(wait)}
    if backfill is not None:
        night["backfill"] = backfill.config()
    dbt.quiet_environment()
    with progress.display(console) as listener, progress.listening(listener), _everything_else_to(log):
        listener.stage("preparing", "the configuration and the dbt project")
        job = build_definitions(clinic).resolve_job_def(JOB)
        with open_instance(clinic.data_dir) as instance:
            try:
                result = job.execute_in_process(
                    instance=instance,
                    run_id=run_id,
                    raise_on_error=False,
                    tags={"firstvisit/run": "command line"},
                    run_config={
                        "loggers": {"file": {"config": {"path": str(log)}}},
                        "resources": {"night": {"config": night}},
                    },
                )
            except (KeyboardInterrupt, DagsterExecutionInterruptedError):
                outcome.interrupted = True
                return outcome
    _read(result.all_events, outcome)
    return outcome


def _read(events: Sequence[dg.DagsterEvent], outcome: Outcome) -> None:
    """Fill the outcome from the run's events."""
    for event in events:
        if event.event_type == dg.DagsterEventType.RUN_FAILURE and event.job_failure_data.error is not None:
            _raise_if_locked(event.job_failure_data.error)
            outcome.interrupted |= event.job_failure_data.error.cls_name == _INTERRUPTED
        if event.is_step_failure:
            failure = event.step_failure_data
            outcome.interrupted |= failure.error is not None and failure.error.cls_name == _INTERRUPTED
            own = failure.user_failure_data
            said = own.description if own is not None and own.description else _message(failure.error)
            if event.step_key != OUTCOME.to_python_identifier():
                outcome.wrong.append(f"{event.step_key}: {said}")
        elif event.is_step_materialization and event.asset_key is not None:
            if event.asset_key == PUBLISHED:
                outcome.published = True
            elif event.asset_key.path[0] == "landing" and event.partition is None:
                outcome.landed.append(_landed(event))
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            # A check that blocks is named by the step that it stopped.
            if not check.passed and check.severity == dg.AssetCheckSeverity.WARN:
                outcome.wrong.append(check_line(check))
        elif event.event_type == dg.DagsterEventType.RUN_FAILURE and not outcome.wrong:
            outcome.wrong.append(_message(event.job_failure_data.error) or str(event.message))


def _landed(event: dg.DagsterEvent) -> Landed:
    metadata = event.materialization.metadata
    assert event.asset_key is not None

    def figure(name: str) -> int:
        found = metadata.get(name)
        return int(found.value) if found is not None and isinstance(found.value, int) else 0

    reasons = metadata.get("quarantine_reasons")
    return Landed(
        stream="/".join(event.asset_key.path[1:]),
        files=figure("files_landed"),
        rows={
            name: figure(f"rows_{name}") for name in ("read", "landed", "duplicate", "quarantined", "skipped")
        },
        live=figure("dagster/row_count"),
        reasons=reasons.value if reasons is not None and isinstance(reasons.value, dict) else {},
    )


def _raise_if_locked(error: Any) -> None:
    """Dagster wraps what a resource raises; the lock's message is in the chain of causes."""
    while error is not None:
        if error.cls_name == DataLocked.__name__:
            raise DataLocked(_message(error))
        error = error.cause


def _message(error: Any) -> str:
    """The innermost cause of a serialized error, on one line; our own errors without their class's name."""
    if error is None:
        return ""
    while error.cause is not None:
        error = error.cause
    said = " ".join(str(error.message).split())
    name, _, rest = said.partition(": ")
    return rest if rest and name.startswith(("pipelines.", "connectors.")) else said


@contextlib.contextmanager
def _everything_else_to(log: Path) -> Iterator[None]:
    """Send what libraries print, log and warn about into the run's log file."""
    root = logging.getLogger()
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    before = root.handlers[:]
    root.handlers[:] = [handler]
    with log.open("a", encoding="utf-8") as stream, warnings.catch_warnings():
        logging.captureWarnings(True)
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
        finally:
            logging.captureWarnings(False)
            root.handlers[:] = before
            handler.close()


def _log_path(clinic: Clinic, run_id: str) -> Path:
    folder = clinic.data_dir.resolve() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("run-*.log"))[: -_LOGS_KEPT + 1]:
        old.unlink(missing_ok=True)
    return folder / f"run-{datetime.now(tz=UTC):%Y%m%dT%H%M%SZ}-{run_id[:8]}.log"
