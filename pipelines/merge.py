"""Which rows are newest: set-based resolution over the touched days of one stream and source.

Entities: the newest file that carries a key wins with all its rows of that key; an API answer also removes
what earlier answers had in the days it was asked for. Reports: for every day the newest report that speaks
for it wins whole. Snapshots: the newest file is the table. Newest is the vendor's version, else the export
time written in the file, else arrival, then name, then the later line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.contract import Stream
from pipelines import durable, quote

_UTC_TIME = pa.timestamp("us", tz="UTC")
# fsync waits for the disk, not for a core: side by side, the file system joins their commits.
_SYNC_THREADS = 16
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Replaced:
    """What a load from an API replaces of the loads from the same API before it: see contract.Route."""

    # Ids of the loads before it.
    earlier: tuple[str, ...]
    by: Literal["day", "change", "whole"]
    since: date
    until: date
    # IANA name of the zone whose days these are.
    zone: str


class Merge:
    """Set-based resolution of newest rows over the touched days of one stream and source."""

    def __init__(self, stream: Stream, schema: pa.Schema, folder: Path, commit: str) -> None:
        self._stream = stream
        self._schema = schema
        self._folder = folder
        self._commit = commit
        self._columns = ", ".join(quote.name(n) for n in schema.names)
        event = stream.event_day
        if event is None:
            self._day = "'all'"
        elif stream.column(event).type == "date":
            self._day = f"coalesce(strftime({quote.name(event)}, '%Y-%m-%d'), 'undated')"
        else:
            self._day = f"coalesce(strftime({quote.name(event)} at time zone 'UTC', '%Y-%m-%d'), 'undated')"

    def run(
        self,
        con: duckdb.DuckDBPyConnection,
        *,
        live: list[str],
        incoming: list[Path],
        loads: set[str],
        superseded: list[str],
        coverage: list[dict[str, Any]],
        newest: str,
        replaced: Replaced | None = None,
    ) -> tuple[list[str], dict[str, int]]:
        """Write the touched days. Returns the new live file names and rows landed per load id."""
        con.execute(f"create temp view incoming as from {_read(incoming)}")
        spoken = {
            day
            for e in coverage
            if e["load_id"] in loads
            for day in _days(date.fromisoformat(e["since"]), date.fromisoformat(e["until"]))
        }
        is_whole = self._stream.mode == "snapshot" or (replaced is not None and replaced.by == "whole")
        if replaced is not None and replaced.by == "day":
            # Files are named by UTC day, windows by the source's.
            spoken |= set(_days(replaced.since - _DAY, replaced.until + _DAY))
        touched = live if is_whole else self._touched(con, live, superseded, spoken)
        live_rows = (
            f"from {_read([self._folder / name for name in touched])}"
            if touched
            else ("from incoming where false")
        )
        gone = ", ".join(map(quote.text, superseded)) or "''"
        con.execute(
            f"create temp view candidates as select {self._columns} from ({live_rows}) "
            f"where _load_id not in ({gone}) and not coalesce({self._is_replaced(replaced)}, false) "
            f"union all select {self._columns} from incoming"
        )
        match self._stream.mode:
            case "snapshot":
                winners = f"from candidates where _load_id = {quote.text(newest)}"
            case "report":
                winners = self._report_winners(con, coverage)
            case _:
                winners = self._entity_winners()
        new, landed = self._write(con, winners)
        return sorted({*live} - {*touched} | {*new}), landed

    def _is_replaced(self, replaced: Replaced | None) -> str:
        """The condition under which a live row is what an API load asked for anew."""
        if replaced is None or replaced.by == "change" or self._stream.mode != "entity":
            return "false"
        earlier = f"_load_id in ({', '.join(map(quote.text, replaced.earlier)) or 'null'})"
        if replaced.by == "whole":
            return earlier
        if self._stream.event_day is None:
            return "false"
        day = quote.name(self._stream.event_day)
        if self._stream.column(self._stream.event_day).type != "date":
            day = f"cast({day} at time zone {quote.text(replaced.zone)} as date)"
        return f"{earlier} and {day} between date '{replaced.since}' and date '{replaced.until}'"

    def _touched(
        self, con: duckdb.DuckDBPyConnection, live: list[str], superseded: list[str], spoken: set[str]
    ) -> list[str]:
        """Names of the live files that hold a day, a key or a load that this batch changes."""
        if not live:
            return []
        gone = ", ".join(map(quote.text, superseded)) or "''"
        days = {day for (day,) in con.execute(f"select distinct {self._day} from incoming").fetchall()}
        # A printed range speaks for days without rows too: what older reports had there must go.
        days |= spoken
        touched = {name for name in live if name.split(".")[0] in days}
        rest = [self._folder / name for name in live if name not in touched]
        if rest:
            keys = self._stream.group_key
            same = " and ".join(
                f"live.{quote.name(k)} is not distinct from keys.{quote.name(k)}" for k in keys
            )
            moved = f"exists (select 1 from keys where {same})" if self._stream.mode == "entity" else "false"
            listed = ", ".join(quote.name(k) for k in keys)
            con.execute(f"create temp table keys as select distinct {listed} from incoming")
            found = con.execute(
                f"select distinct filename from {_read(rest, filename=True)} as live "
                f"where _load_id in ({gone}) or {moved}"
            ).fetchall()
            touched |= {Path(name).name for (name,) in found}
        return sorted(touched)

    def _entity_winners(self) -> str:
        group = ", ".join(quote.name(k) for k in self._stream.group_key)
        key = ", ".join(quote.name(k) for k in self._stream.primary_key)
        newest = "_version_at, _arrived_at, _file_name, _row_number"
        return (
            f"from (from candidates qualify _load_id = first_value(_load_id) over "
            f"(partition by {group} order by {_descending(newest)})) "
            f"qualify row_number() over (partition by {key} order by {_descending(newest)}) = 1"
        )

    def _report_winners(self, con: duckdb.DuckDBPyConnection, coverage: list[dict[str, Any]]) -> str:
        day = quote.name(str(self._stream.event_day))
        keys = [quote.name(k) for k in self._stream.replaces]
        con.register("coverage_rows", self._coverage_table(coverage))
        listed = ", ".join(keys)
        same = " and ".join(f"covered.{k} is not distinct from asked.{k}" for k in keys)
        con.execute(
            f"create temp table speakers as select asked.*, "
            "max_by(load_id, (version_at, arrived_at, file_name, load_id)) as load_id "
            f"from (select distinct {listed}, {day} as day from candidates) as asked "
            "join coverage_rows as covered "
            f"on (covered.is_all or ({same})) and asked.day between covered.since and covered.until "
            f"group by all"
        )
        same = " and ".join(f"speakers.{k} is not distinct from candidates.{k}" for k in keys)
        # Every row of the newest report is kept: two rows alike may be two hours of one campaign.
        return (
            "select candidates.* from candidates join speakers on "
            f"{same} and speakers.day = candidates.{day} and speakers.load_id = candidates._load_id"
        )

    def _coverage_table(self, coverage: list[dict[str, Any]]) -> pa.Table:
        """Who speaks for which days; `is_all` speaks for every account and level of the source."""
        return pa.Table.from_pylist(
            [
                {
                    **{k: None if e["key"] is None else e["key"][k] for k in self._stream.replaces},
                    "is_all": e["key"] is None,
                    "since": date.fromisoformat(e["since"]),
                    "until": date.fromisoformat(e["until"]),
                    "load_id": e["load_id"],
                    "version_at": datetime.fromisoformat(e["version_at"]),
                    "arrived_at": datetime.fromisoformat(e["arrived_at"]),
                    "file_name": e["file_name"],
                }
                for e in coverage
            ],
            schema=pa.schema(
                [
                    *(self._schema.field(k) for k in self._stream.replaces),
                    pa.field("is_all", pa.bool_()),
                    pa.field("since", pa.date32()),
                    pa.field("until", pa.date32()),
                    pa.field("load_id", pa.string()),
                    pa.field("version_at", _UTC_TIME),
                    pa.field("arrived_at", _UTC_TIME),
                    pa.field("file_name", pa.string()),
                ]
            ),
        )

    def _write(self, con: duckdb.DuckDBPyConnection, winners: str) -> tuple[list[str], dict[str, int]]:
        reader = con.sql(
            f"select {self._columns}, {self._day} as _day from ({winners}) "
            "order by _day, _file_name, _row_number"
        ).to_arrow_reader(100_000)
        names: list[str] = []
        landed: dict[str, int] = {}
        writer: pq.ParquetWriter | None = None
        day: str | None = None
        try:
            for batch in reader:
                for load_id, count in _counts(batch.column("_load_id")):
                    landed[load_id] = landed.get(load_id, 0) + count
                rows = batch.drop_columns(["_day"]).cast(self._schema)
                for value, start, stop in _runs(batch.column("_day")):
                    if value != day:
                        _close(writer)
                        day = value
                        names.append(f"{value}.{self._commit}.parquet")
                        writer = pq.ParquetWriter(self._folder / names[-1], self._schema, compression="zstd")
                    assert writer is not None
                    writer.write_batch(rows.slice(start, stop - start))
        finally:
            _close(writer)
        with ThreadPoolExecutor(_SYNC_THREADS) as pool:
            list(pool.map(durable.sync, (self._folder / name for name in names)))
        return names, landed


def _close(writer: pq.ParquetWriter | None) -> None:
    if writer is not None:
        writer.close()


def _counts(column: pa.Array[Any]) -> Iterator[tuple[str, int]]:
    for item in pc.value_counts(column):
        yield item["values"].as_py(), item["counts"].as_py()


def _runs(column: pa.Array[Any]) -> Iterator[tuple[str, int, int]]:
    """(value, start, stop) of equal neighbours in a sorted column."""
    start = 0
    # A sorted column's values come out in their order, so counts are lengths of runs.
    for value, count in _counts(column):
        yield value, start, start + count
        start += count


def _descending(columns: str) -> str:
    return ", ".join(f"{column} desc" for column in columns.split(", "))


def _read(paths: Iterable[Path], *, filename: bool = False) -> str:
    listed = ", ".join(map(quote.text, paths))
    # The folder source=<name> must not pass for a column: ad spend and sessions have one of that name.
    return (
        f"read_parquet([{listed}], union_by_name = true, "
        f"filename = {str(filename).lower()}, hive_partitioning = false)"
    )


def _days(since: date, until: date) -> Iterator[str]:
    for offset in range((until - since).days + 1):
        yield (since + timedelta(days=offset)).isoformat()
