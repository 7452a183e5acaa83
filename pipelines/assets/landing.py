"""One asset per landing stream. No stream's trouble stops another, nor the night.

All of them share one daily partitions definition, so that the UI shows which days each stream has and offers
to re-read a range. A nightly run has no partition: each asset finds out which days are due and reports
those that it landed.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from connectors import registry
from connectors.contract import Stream
from pipelines import inbox, progress
from pipelines.config import Clinic
from pipelines.loads import LoadRecord, read_records
from pipelines.night import Night
from pipelines.place import REFERENCE

CHECK = "loads_succeeded"
LOADS = dg.AssetKey(["landing", "ops", "loads"])
# More messages than this say nothing new; `ops.loads` and the log have every one.
_SHOWN = 10
# How far back days are shown when no source says more.
_YEARS = 3


def daily_partitions(clinic: Clinic) -> dg.DailyPartitionsDefinition:
    """The days of the clinic, from the earliest `since` of its sources, or three years back, to yesterday."""
    first = date(datetime.now(tz=UTC).year - _YEARS, 1, 1)
    start = min(
        (source.since for source in clinic.sources.values() if source.since is not None), default=first
    )
    return dg.DailyPartitionsDefinition(
        start_date=min(start, first).isoformat(), timezone=clinic.timezone.key
    )


def landing_key(kind: str, stream: str) -> dg.AssetKey:
    """The asset of a landing stream, which is also the dbt source's upstream."""
    return dg.AssetKey(["landing", kind, stream])


def landing_assets(clinic: Clinic) -> list[dg.AssetsDefinition]:
    """An asset for every (kind, stream) that lands, reference tables included, and the log of loads."""
    streams = clinic.streams()
    days = daily_partitions(clinic)
    with warnings.catch_warnings():
        # Backfills in a single run are marked as beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        landing = [_landing_asset(clinic, kind, stream, days) for kind, stream in streams]
    return [*landing, _loads_asset(streams)]


def _landing_asset(
    clinic: Clinic, kind: str, stream: Stream, days: dg.DailyPartitionsDefinition
) -> dg.AssetsDefinition:
    key = landing_key(kind, stream.name)

    @dg.asset(
        key=key,
        group_name="reference" if kind == REFERENCE else "landing",
        description=_description(clinic, kind, stream),
        kinds={"parquet"},
        partitions_def=days,
        # A range is read in the windows that the vendor likes, not in a run per day.
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={
            "dagster/column_schema": _schema(stream),
            "primary_key": ", ".join(stream.primary_key),
            "mode": stream.mode,
        },
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key,
                description="Every file was read; the loads before a refused one stay, and the rest goes on.",
            )
        ],
    )
    def land(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[Any]:
        listener = progress.current()
        listener.stage("landing", "the inbox, the APIs and the reference tables")
        label = f"{kind}/{stream.name}"
        listener.doing(label)
        asked = _asked(context) or night.asked
        try:
            records = night.landing.land(kind, stream.name, asked=asked, sources=night.sources)
            failed = [f"{r.source}/{r.stream}/{r.file}: {r.error}" for r in records if r.status == "failed"]
        except Exception as error:
            context.log.exception(f"{label} could not be landed")
            records = []
            failed = [f"{label}: {type(error).__name__}: {error}"]
        for message in failed:
            context.log.warning(message)
        landed = sum(r.rows_landed for r in records if r.status == "landed")
        listener.finished(label, landed or None, "; ".join(failed) or _note(records), failed=bool(failed))
        if not _is_partitioned(context):
            # A partitioned run reports its own days.
            for day in sorted(night.landing.landed_days(kind, stream.name)):
                if days.has_partition_key(day.isoformat()):
                    context.log_event(dg.AssetMaterialization(key, partition=day.isoformat()))
        yield dg.MaterializeResult(
            metadata={"dagster/row_count": _live_rows(clinic, kind, stream.name), **_figures(records)},
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not failed,
                    severity=dg.AssetCheckSeverity.WARN,
                    description="; ".join(failed[:_SHOWN]) or None,
                    metadata={
                        "failed_files": len(failed),
                        "errors": dg.MetadataValue.text("\n".join(failed)),
                    },
                )
            ],
        )

    return land


def _is_partitioned(context: dg.AssetExecutionContext) -> bool:
    return bool(context.has_partition_key or context.has_partition_key_range)


def _asked(context: dg.AssetExecutionContext) -> tuple[date, date] | None:
    """The days that a backfill of the UI asks for; None in a nightly run."""
    if not _is_partitioned(context):
        return None
    asked = context.partition_key_range
    return date.fromisoformat(asked.start), date.fromisoformat(asked.end)


def _loads_asset(streams: list[tuple[str, Stream]]) -> dg.AssetsDefinition:
    """The log of loads: depends on every stream, so that dbt reads it when all have landed."""

    @dg.asset(
        key=LOADS,
        group_name="landing",
        description="One record per load: file, hash, rows read, landed, duplicate, quarantined, error.",
        kinds={"json"},
        deps=[landing_key(kind, stream.name) for kind, stream in streams],
    )
    def loads(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> dg.MaterializeResult[Any]:
        path = night.clinic.data_dir / "landing" / "loads.jsonl"
        count = sum(1 for _ in read_records(path))
        misplaced = inbox.misplaced(night.clinic)
        for line in misplaced:
            context.log.warning(line)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": count,
                "files_that_no_stream_reads": dg.MetadataValue.text("\n".join(misplaced) or "none"),
            }
        )

    return loads


def _description(clinic: Clinic, kind: str, stream: Stream) -> str:
    if kind == REFERENCE:
        return stream.description
    sources = [
        source.name
        for source in clinic.sources_of(kind)
        if any(s.name == stream.name for s in registry.connector(kind).streams(source))
    ]
    inboxes = ", ".join(f"inbox/{name}/{stream.name}/" for name in sources)
    return f"{registry.connector(kind).title}: {stream.description} Read from {inboxes}"


def _schema(stream: Stream) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=not column.required, unique=stream.primary_key == (column.name,)
                ),
            )
            for column in stream.columns
        ]
    )


def _live_rows(clinic: Clinic, kind: str, stream: str) -> int:
    """Rows that dbt will read, from the footers of the live files."""
    return sum(pq.read_metadata(path).num_rows for path in _live_files(clinic, kind, stream))


def _live_files(clinic: Clinic, kind: str, stream: str) -> Iterator[Path]:
    for manifest in sorted((clinic.data_dir / "landing" / kind / stream).glob("source=*/manifest.json")):
        for name in json.loads(manifest.read_text(encoding="utf-8"))["files"]:
            yield manifest.parent / name


def _figures(records: list[LoadRecord]) -> dict[str, Any]:
    """The load figures of one run, as metadata."""
    reasons: Counter[str] = Counter()
    for record in records:
        reasons.update(record.quarantine_reasons)
    unknown = sorted({column for record in records for column in record.unknown_columns})
    notes = [f"{record.file}: {note}" for record in records for note in record.notes]
    return {
        "files_landed": sum(r.status == "landed" for r in records),
        "files_skipped": sum(r.status == "skipped" for r in records),
        "files_failed": sum(r.status == "failed" for r in records),
        **{
            name: sum(getattr(record, name) for record in records)
            for name in ("rows_read", "rows_landed", "rows_duplicate", "rows_quarantined", "rows_skipped")
        },
        "quarantine_reasons": dg.MetadataValue.json(dict(reasons)),
        **({"unknown_columns": ", ".join(unknown)} if unknown else {}),
        **({"notes": dg.MetadataValue.text("\n".join(notes[:_SHOWN]))} if notes else {}),
    }


def _note(records: list[LoadRecord]) -> str:
    figures = {
        "duplicate": sum(r.rows_duplicate for r in records),
        "quarantined": sum(r.rows_quarantined for r in records),
    }
    return ", ".join(f"{count:,} {name}" for name, count in figures.items() if count)
