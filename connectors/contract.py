"""The connector contract: what a kind of source declares, and what its readers yield.

A connector declares streams; a stream declares its columns, key, event day and how a newer batch
replaces an older one. Parsing, checking, the landing schema, the Dagster asset and the documentation
are all derived from that one declaration. Nothing here knows of Dagster or DuckDB.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from connectors.files import InboxFile

Type = Literal["text", "integer", "decimal", "double", "boolean", "timestamp", "date", "text[]"]

ARROW: Mapping[Type, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    # Ad platforms report micros; six places hold them exactly.
    "decimal": pa.decimal128(18, 6),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "text[]": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Column:
    """One landed column.

    `personal` says what becomes of a personal value before anything is written: the reader hands over
    the raw phone or e-mail, the landed column holds its keyed hash (a list of them for `text[]`).
    Personal data without such a column is never handed over at all.
    `record_id` marks a record number of the source system, hashed only if `privacy.hash_record_ids`.
    """

    name: str
    type: Type
    description: str
    required: bool = False
    personal: Literal["phone", "email"] | None = None
    record_id: bool = False


@dataclass(frozen=True)
class Stream:
    """One kind of record of a source, at one grain.

    mode
        `entity`: upsert by `replaces` (the primary key unless said otherwise), newest wins.
        `report`: a newer batch replaces every row of the same `replaces` columns (account,
        report_level) for the days that it covers.
        `snapshot`: a newer file replaces the whole table (reference files).
    event_day
        The timestamp or date column whose day names the Parquet file; None for snapshots and for
        entities without a time (they land under one file).
    version
        The vendor's own version or modification time (a timestamp column), when it has one.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    event_day: str | None = None
    mode: Literal["entity", "report", "snapshot"] = "entity"
    replaces: tuple[str, ...] = ()
    version: str | None = None
    restatement_days: int = 0
    # Rows dated after the file's arrival are mistakes, unless the stream plans ahead (appointments).
    may_be_future: bool = False

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"stream {self.name}: a column is declared twice")
        wanted = {*self.primary_key, *self.replaces, self.event_day, self.version} - {None}
        if missing := sorted(str(name) for name in wanted if name not in names):
            raise ValueError(f"stream {self.name}: {missing} are not columns")

    @property
    def group_key(self) -> tuple[str, ...]:
        """The columns whose equal values are replaced together by a newer file."""
        return self.replaces or self.primary_key

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def schema(self) -> pa.Schema:
        """The Arrow schema of the declared columns, in order."""
        return pa.schema([pa.field(c.name, ARROW[c.type]) for c in self.columns])


@dataclass(frozen=True)
class Window:
    """Local days of a source, both ends included."""

    since: date
    until: date
    zone: ZoneInfo

    @property
    def starts_at(self) -> datetime:
        """The first instant, in the source's zone."""
        return datetime.combine(self.since, time(), tzinfo=self.zone)

    @property
    def ends_at(self) -> datetime:
        """The first instant after the window, in the source's zone: a day has 23 or 25 hours at times."""
        return datetime.combine(self.until + timedelta(days=1), time(), tzinfo=self.zone)

    def days(self) -> Iterator[date]:
        """Every day, in order."""
        for offset in range((self.until - self.since).days + 1):
            yield self.since + timedelta(days=offset)


@dataclass(frozen=True)
class Route:
    """How a stream is read from its vendor's API, window by window.

    by
        `day`: a window asks for everything of its event days, so what an earlier answer had in those days
        and this one has not is gone. `change`: a window asks for what changed on its days; records are
        upserted only. `whole`: every answer is the whole table; the window says only when.
    window_days
        A window is fetched and committed as a whole; what is longer is fetched in several.
    ahead_days
        Days from today on that are read too: 1 is today, 90 the appointments of a quarter.
    """

    by: Literal["day", "change", "whole"] = "day"
    window_days: int = 31
    ahead_days: int = 0


@dataclass(slots=True)
class Row:
    """One record as the source gave it.

    `number` is its place in the file (1-based line, or record for JSON) or in the API's answers. `values`
    holds raw values by landed column name: text, int, Decimal, bool, date, aware datetime, list of text,
    or None; a missing key is None. The checker casts them by the declared type; a value that does not cast
    quarantines the row. `refused` is set when the reader itself found the row unusable.
    """

    number: int
    values: dict[str, Any]
    refused: tuple[str, str] | None = None  # (column, reason)


@dataclass(slots=True)
class Block:
    """Many records as the source gave them, column by column: the same as its `rows`, only faster.

    `numbers` (int64) are the places in the file, as in Row. `columns` holds Arrow arrays of that length by
    landed column name: text as the file has it (null where empty), dictionary-encoded text where it
    repeats, or values of the declared type; a missing column is null throughout. `refused` tells which
    positions (0-based) the reader itself found unusable: (column, reason). `apart` holds, by position, the
    records that are too odd for columns: what the columns have there is not looked at.
    """

    numbers: pa.Array[Any]
    columns: dict[str, pa.Array[Any]]
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)
    apart: dict[int, Row] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def slice(self, offset: int, length: int | None = None) -> Block:
        """The records from `offset` on, at most `length` of them."""
        numbers = self.numbers.slice(offset, length)
        columns = {name: values.slice(offset, length) for name, values in self.columns.items()}
        refused = {at - offset: why for at, why in self.refused.items() if 0 <= at - offset < len(numbers)}
        apart = {at - offset: row for at, row in self.apart.items() if 0 <= at - offset < len(numbers)}
        return Block(numbers, columns, refused, apart)

    def parted(self) -> tuple[Block, list[Row]]:
        """The records that the columns tell of, and one by one those that are refused or stand apart."""
        alone = sorted({*self.refused, *self.apart})
        if not alone:
            return self, []
        places = pa.array(alone, pa.int64())
        columns = {name: values.take(places) for name, values in self.columns.items()}
        refused = {at: self.refused[place] for at, place in enumerate(alone) if place in self.refused}
        apart = {at: self.apart[place] for at, place in enumerate(alone) if place in self.apart}
        rows = list(Block(self.numbers.take(places), columns, refused, apart).rows())
        mask = np.ones(len(self), dtype=bool)
        mask[alone] = False
        together = pa.array(mask)
        columns = {name: values.filter(together) for name, values in self.columns.items()}
        return Block(self.numbers.filter(together), columns), rows

    def rows(self) -> Iterator[Row]:
        """The same records one by one."""
        names = list(self.columns)
        values = [array.to_pylist() for array in self.columns.values()]
        for at, number in enumerate(self.numbers.to_numpy()):
            if at in self.apart:
                yield self.apart[at]
                continue
            row = {name: column[at] for name, column in zip(names, values, strict=True)}
            yield Row(int(number), row, self.refused.get(at))


# What readers yield.
Record = Row | Block


@dataclass
class ReadLog:
    """What a reader notes beside the rows. One per file and stream."""

    skipped: dict[str, int] = field(default_factory=dict)
    unknown_columns: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    # (label, measure) -> the total that the vendor printed, kept to reconcile with.
    control_totals: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    # The period printed in a report, when it prints one: both days included.
    covers: tuple[date, date] | None = None
    # The export time written in the file, when it has one (aware).
    exported_at: datetime | None = None

    def skip(self, why: str, rows: int = 1) -> None:
        """Count lines that are not rows: preamble, blank, total, another record type."""
        self.skipped[why] = self.skipped.get(why, 0) + rows


def as_zone(value: object) -> object:
    """Turn an IANA name into a ZoneInfo. Raises ValueError naming the value."""
    if isinstance(value, str):
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name, e.g. Europe/Zagreb") from error
    return value


Zone = Annotated[ZoneInfo, BeforeValidator(as_zone)]


def as_currency(value: str) -> str:
    """An ISO 4217 code as it is. Raises ValueError for anything else."""
    if not re.fullmatch("[A-Z]{3}", value):
        raise ValueError("write the three-letter ISO 4217 code, e.g. EUR")
    return value


Currency = Annotated[str, AfterValidator(as_currency)]


class SourceOptions(BaseModel):
    """The clinic.yaml block of one source; each kind extends it.

    `name` and `clinic_*` are filled by the configuration loader, not written in the block. `since` is the
    first day that is read from an API; without it, a year back from the first run. A secret is declared as
    SecretStr: clinic.yaml must then take it from the environment.
    """

    # Settings that say how to reach the vendor and not how its answers are read, secrets aside.
    reach: ClassVar[frozenset[str]] = frozenset({"base_url"})

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    kind: str
    name: str
    clinic_timezone: Zone
    clinic_currency: str
    clinic_phone_region: str
    account: str | None = None
    timezone: Zone | None = None
    currency: Currency | None = None
    since: date | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which this source writes local times and days."""
        return self.timezone or self.clinic_timezone

    @classmethod
    def secrets(cls) -> frozenset[str]:
        """Names of the settings that hold a secret."""
        return frozenset(
            name for name, info in cls.model_fields.items() if "SecretStr" in str(info.annotation)
        )


Options = TypeVar("Options", bound=SourceOptions)


class Connector(ABC, Generic[Options]):
    """A kind of source. A module `connectors/<kind>.py` offers one instance as `CONNECTOR`."""

    kind: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[type[SourceOptions]]
    # Conformed input tables this kind can feed -> each has a dbt model stg_<kind>__<table>.
    feeds: ClassVar[tuple[str, ...]]
    # Raised whenever the same file would be read differently by newer code: old loads are then re-read.
    parser_version: ClassVar[int] = 1

    @abstractmethod
    def streams(self, source: Options) -> tuple[Stream, ...]:
        """The streams that this source has, given its configuration."""

    @abstractmethod
    def read(self, file: InboxFile, stream: Stream, source: Options, log: ReadLog) -> Iterator[Record]:
        """Yield the file's rows in order, streaming: one by one or in blocks.

        Raises FileRefused for the file as a whole.
        """

    def route(self, source: Options, stream: Stream) -> Route | None:
        """How the API gives this stream; None when the source is configured without it, or has none."""
        return None

    def fetch(self, source: Options, stream: Stream, window: Window, log: ReadLog) -> Iterator[Record]:
        """Yield the records of a window from the vendor's API, all of them or an exception.

        Raises ApiError (see its subclasses), or FileRefused for an answer that cannot be read. Rows
        yielded before an exception count for nothing: a window lands whole or not at all.
        """
        raise NotImplementedError(f"{self.kind} has no API route")

    def probe(self, source: Options) -> str:
        """Try the credentials with one small request; a line on what answered. Raises ConnectorError."""
        raise NotImplementedError(f"{self.kind} has no API route")

    def feeds_of(self, source: Options) -> tuple[str, ...]:
        """The conformed tables that this source feeds, given its configuration."""
        return self.feeds

    def mapping(self, source: Options, stream: Stream) -> object:
        """The part of the configuration that decides how a file of this stream is read (JSON-able)."""
        # How the vendor is reached does not change what its answers mean: a new token re-reads nothing.
        aside = {"name", "since", *source.reach, *source.secrets()}
        return source.model_dump(mode="json", exclude=aside, fallback=str)

    def fingerprint(self, source: Options, stream: Stream) -> str:
        """Changes whenever the same file would be read differently: mapping, declaration or parser."""
        declared = [(c.name, c.type, c.required, c.personal) for c in stream.columns]
        parts = [self.kind, self.parser_version, declared, stream.group_key, self.mapping(source, stream)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def local_to_utc(naive: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time of `zone` as an aware time.

    In the hour that repeats in autumn the first pass is taken (fold=0); a time in the hour that spring
    skips is read with the offset in force before the change, as PEP 495 does.
    """
    return naive.replace(tzinfo=zone)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The last microsecond of a local day: what a date without a time means (design, section 5)."""
    return datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=zone)
