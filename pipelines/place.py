"""One stream of one source in the landing zone: its live files, its manifest, and how rows get there."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from connectors import registry
from connectors.check import VISITORS, check
from connectors.contract import ReadLog, Record, SourceOptions, Stream
from connectors.privacy import Privacy
from pipelines import durable, quote
from pipelines.loads import LoadRecord
from pipelines.merge import Merge, Replaced
from pipelines.staged import Staged, Staging
from pipelines.windows import spans

# Rises when landed rows would differ for the same connector output (casting, hashing, meta columns).
_LANDING_VERSION = 1
_META = (
    pa.field("_row_number", pa.int64()),
    pa.field("source_name", pa.string()),
    pa.field("_load_id", pa.string()),
    pa.field("_version_at", pa.timestamp("us", tz="UTC")),
    pa.field("_arrived_at", pa.timestamp("us", tz="UTC")),
    pa.field("_file_name", pa.string()),
)
_NO_VERSION = datetime(1970, 1, 1, tzinfo=UTC)
REFERENCE = "reference"

Progress = Callable[[str, int], None]


def landed_schema(stream: Stream) -> pa.Schema:
    """The Arrow schema of a stream's landed files: the declared columns, then the load's own."""
    schema = stream.schema()
    for meta in _META:
        schema = schema.append(meta)
    return schema


def now() -> str:
    """The present, UTC, as load records write it."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds")


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass
class Shelf:
    """What all places of a data directory share."""

    data_dir: Path
    privacy: Privacy
    progress: Progress
    # (kind, stream) -> days whose rows were written or confirmed in this run.
    days: dict[tuple[str, str], set[date]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The landing zone."""
        return self.data_dir / "landing"

    @property
    def pseudonyms(self) -> str:
        """Changes with the key, region or record-id setting: other hashes, so everything is read anew."""
        privacy = self.privacy
        return hashlib.sha256(
            f"{_LANDING_VERSION}:{privacy.email_key('key@check.invalid')}:{privacy.phone_key('+38515550100')}:"
            f"{privacy.region}:{privacy.hash_record_ids}".encode()
        ).hexdigest()[:12]


class Place:
    """The live files of one stream of one source, and the manifest that names them.

    Rows are staged load by load and committed together: the manifest is renamed into place once the new
    files are on disk, so a commit is in whole or not at all.
    """

    def __init__(self, shelf: Shelf, kind: str, stream: Stream, source: SourceOptions | None) -> None:
        self.shelf = shelf
        self.kind = kind
        self.stream = stream
        self.source = source
        self.source_name = REFERENCE if source is None else source.name
        tail = Path(kind, stream.name, f"source={self.source_name}")
        self.folder = shelf.root / tail
        self._quarantine = shelf.data_dir / "quarantine" / tail
        self._manifest_path = self.folder / "manifest.json"
        self._schema = landed_schema(stream)
        fingerprint = (
            registry.connector(kind).fingerprint(source, stream)
            if source is not None
            else hashlib.sha256(repr(stream.columns).encode()).hexdigest()[:16]
        )
        # Rows without a hash mean the same under every key, and some APIs do not give old days twice.
        hashed = any(c.personal or c.record_id or c.name in VISITORS for c in stream.columns)
        self.fingerprint = f"{fingerprint}-{shelf.pseudonyms if hashed else 'plain'}"
        self.manifest: dict[str, Any] = {"files": [], "loads": {}, "seen": {}, "failed": {}}
        if self._manifest_path.exists():
            self.manifest = json.loads(self._manifest_path.read_text(encoding="utf-8"))

    @property
    def label(self) -> str:
        """source/stream, as progress and messages name it."""
        return f"{self.source_name}/{self.stream.name}"

    def record(self, load_id: str, file: str, file_hash: str, started: str, **figures: Any) -> LoadRecord:
        """A load record of this place, finished now."""
        return LoadRecord(
            load_id=load_id,
            kind=self.kind,
            source=self.source_name,
            stream=self.stream.name,
            file=file,
            file_hash=file_hash,
            started=started,
            finished=now(),
            **figures,
        )

    def staging(self) -> Staging:
        """An empty staging area."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sweep()
        return Staging(self.folder / ".staging", self._schema)

    def stage(
        self,
        rows: Iterator[Record],
        log: ReadLog,
        record: LoadRecord,
        staging: Staging,
        *,
        arrived_at: datetime,
        asked: tuple[date, date] | None = None,
    ) -> Staged:
        """Check rows into the staging area. `asked` is the window of an API load.

        Raises what the reader raises, leaving nothing staged.
        """
        load_columns = {
            "source_name": self.source_name,
            "_load_id": record.load_id,
            "_arrived_at": arrived_at,
            "_file_name": record.file,
        }
        days: dict[tuple[Any, ...], list[date]] = {}
        sums: Counter[str] = Counter()
        with staging.file(record.load_id) as target:
            for checked in check(rows, self.stream, self.shelf.privacy, log, arrived_at=arrived_at):
                record.rows_read += checked.rows_read
                for bad in checked.quarantined:
                    record.rows_quarantined += 1
                    why = f"{bad.column}: {bad.reason}" if bad.column else bad.reason
                    record.quarantine_reasons[why] = record.quarantine_reasons.get(why, 0) + 1
                    target.refuse({"load_id": record.load_id, "file_hash": record.file_hash, **asdict(bad)})
                batch = self._with_load(checked.batch, load_columns, log.exported_at or arrived_at)
                target.write(batch)
                sums["rows"] += checked.batch.num_rows
                if self.stream.mode == "report":
                    self._note_days(batch, days)
                    self._add_up(batch, sums)
                self.shelf.progress(f"{self.label}: {record.file}", record.rows_read)
        record.rows_skipped = sum(log.skipped.values())
        record.unknown_columns = sorted(log.unknown_columns)
        record.notes = list(log.notes)
        record.control_totals = {
            f"{label}: {what}": str(v) for (label, what), v in log.control_totals.items()
        }
        record.sums = {measure: str(value) for measure, value in sums.items()} if log.control_totals else {}
        version_at = log.exported_at or arrived_at
        return Staged(
            record=record,
            rank=(_utc(version_at), _utc(arrived_at), record.file),
            coverage=self._coverage(days, log.covers, record, version_at, arrived_at, asked),
            quarantine=target.quarantine,
            asked=asked,
        )

    def commit(self, staged: list[Staged], staging: Staging, *, replaced: Replaced | None = None) -> None:
        """Resolve which rows are newest, write the touched days anew, note their files in the manifest.

        They are live once `save` has written it.
        """
        commit = uuid.uuid4().hex[:8]
        loads: dict[str, Any] = self.manifest["loads"]
        superseded = self._superseded(staged)
        for load_id in superseded:
            del loads[load_id]
            (self._quarantine / f"{load_id}.jsonl").unlink(missing_ok=True)
        merge = Merge(self.stream, self._schema, self.folder, commit)
        with duckdb.connect() as con:
            con.execute("set TimeZone = 'UTC'")
            con.execute("set preserve_insertion_order = false")
            con.execute("set memory_limit = '1GB'")
            con.execute(f"set temp_directory = {quote.text(self.folder / '.staging' / 'spill')}")
            coverage = [e for load in loads.values() for e in load["coverage"]]
            coverage += [e for item in staged for e in item.coverage]
            ranks = [(*load["rank"], load_id) for load_id, load in loads.items()]
            ranks += [(*item.rank, item.record.load_id) for item in staged]
            files, landed = merge.run(
                con,
                live=list(self.manifest["files"]),
                incoming=staging.files(),
                loads={item.record.load_id for item in staged},
                superseded=sorted(superseded),
                coverage=coverage,
                newest=max(ranks)[-1],
                replaced=replaced,
            )
        self._note_landed(files, staged)
        self.manifest["files"] = files
        for item in staged:
            record = item.record
            record.rows_landed = landed.get(record.load_id, 0)
            record.rows_duplicate = record.rows_read - record.rows_quarantined - record.rows_landed
            record.finished = now()
            if item.quarantine is not None:
                self._quarantine.mkdir(parents=True, exist_ok=True)
                shutil.move(item.quarantine, self._quarantine / item.quarantine.name)
            loads[record.load_id] = {
                "rank": item.rank,
                "coverage": item.coverage,
                "record": asdict(record),
                **({} if item.asked is None else self._asked(item.asked)),
            }

    def save(self) -> None:
        """Write the manifest: from here on its files are the live ones."""
        durable.write(self._manifest_path, json.dumps(self.manifest, ensure_ascii=False, indent=1))

    def sweep(self) -> None:
        """Remove files that no manifest names: what a killed run, or the last commit, left behind."""
        shutil.rmtree(self.folder / ".staging", ignore_errors=True)
        live = set(self.manifest["files"])
        for path in self.folder.glob("*.parquet"):
            if path.name not in live:
                path.unlink()
        for path in self.folder.glob(".manifest.json.*.tmp"):
            path.unlink()

    def held_days(self) -> set[date]:
        """Days that an API load has brought, read as they would be read today."""
        held: set[date] = set()
        for load in self.manifest["loads"].values():
            if load.get("fingerprint") == self.fingerprint:
                first, last = map(date.fromisoformat, load["asked"])
                held |= {date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)}
        return held

    def _asked(self, asked: tuple[date, date]) -> dict[str, Any]:
        return {"asked": [day.isoformat() for day in asked], "fingerprint": self.fingerprint}

    def _superseded(self, staged: list[Staged]) -> set[str]:
        """Loads whose rows go as a whole."""
        loads: dict[str, Any] = self.manifest["loads"]
        if self.kind == REFERENCE:
            # The one file that lies there is the table, however old its date.
            return set(loads)
        hashes = {item.record.file_hash for item in staged}
        # The same file read anew after a mending of the mapping supersedes its old load.
        gone = {load_id for load_id, load in loads.items() if load["record"]["file_hash"] in hashes}
        # Rows hashed under another key join nothing, and no later window would find them by their key.
        tail = self.fingerprint.rpartition("-")[2]
        return gone | {
            load_id
            for load_id, load in loads.items()
            if "fingerprint" in load and load["fingerprint"].rpartition("-")[2] != tail
        }

    def _note_landed(self, files: list[str], staged: list[Staged]) -> None:
        days = self.shelf.days.setdefault((self.kind, self.stream.name), set())
        for name in set(files) - set(self.manifest["files"]):
            try:
                days.add(date.fromisoformat(name.partition(".")[0]))
            except ValueError:  # rows without a day lie in `all` or `undated`
                continue
        for first, last in (item.asked for item in staged if item.asked is not None):
            days |= {date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)}

    def _with_load(self, batch: pa.RecordBatch, load: dict[str, Any], version_at: datetime) -> pa.RecordBatch:
        rows = batch.num_rows
        columns: dict[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
        if self.stream.version is not None:
            # A row without a version never beats one that has it, whenever its file arrived.
            versions = pc.fill_null(columns[self.stream.version], pa.scalar(_NO_VERSION, _META[3].type))
        else:
            versions = pa.repeat(pa.scalar(version_at, _META[3].type), rows)
        columns["_version_at"] = versions
        for name, value in load.items():
            columns[name] = pa.repeat(pa.scalar(value, self._schema.field(name).type), rows)
        return pa.RecordBatch.from_arrays([columns[name] for name in self._schema.names], schema=self._schema)

    def _note_days(self, batch: pa.RecordBatch, days: dict[tuple[Any, ...], list[date]]) -> None:
        day = self.stream.event_day
        assert day is not None, "a report stream declares its event day"
        keys = [*self.stream.replaces, day]
        for group in pa.Table.from_batches([batch]).select(keys).group_by(keys).aggregate([]).to_pylist():
            days.setdefault(tuple(group[k] for k in self.stream.replaces), []).append(group[day])

    def _add_up(self, batch: pa.RecordBatch, sums: Counter[str]) -> None:
        for column in self.stream.columns:
            if column.type in ("decimal", "integer"):
                # decimal128(18, 6) sums in 38 digits.
                sums[column.name] += pc.sum(batch.column(column.name)).as_py() or 0

    def _coverage(
        self,
        days: dict[tuple[Any, ...], list[date]],
        printed: tuple[date, date] | None,
        record: LoadRecord,
        version_at: datetime,
        arrived_at: datetime,
        asked: tuple[date, date] | None,
    ) -> list[dict[str, Any]]:
        """The (replaces columns, first day, last day) that a report speaks for.

        The range it prints, else its days with rows: an export of two single days says nothing of the
        days between. A file without rows speaks for nothing: an export with a wrong filter must not
        delete spend. An API answer speaks for all that was asked, whatever it names: an account or
        campaign that is gone upstream is gone here.
        """
        if self.stream.mode != "report":
            return []

        def entry(key: dict[str, Any] | None, since: date, until: date) -> dict[str, Any]:
            return {
                "key": key,
                "since": since.isoformat(),
                "until": until.isoformat(),
                "load_id": record.load_id,
                "version_at": _utc(version_at),
                "arrived_at": _utc(arrived_at),
                "file_name": record.file,
            }

        if asked is not None:
            return [entry(None, *asked)]
        entries = []
        for values, found in days.items():
            key = dict(zip(self.stream.replaces, values, strict=True))
            covered = (
                [(min(printed[0], *found), max(printed[1], *found))]
                if printed is not None
                else list(spans(set(found)))
            )
            entries += [entry(key, since, until) for since, until in covered]
        return entries
