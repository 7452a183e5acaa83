"""Open Dental: appointments, procedures, payments, paysplits and patients, by its API or as exported tables.

Format: opendental.com pages apiimplementation, apiappointments, apiprocedurelogs, apipayments, apipaysplits,
apipatients and apiproviders. Fields have the names of the database; a lower-case first letter marks what the
API adds. Exports of the same tables (CSV, TSV, XLSX; user queries) and saved answers (JSON) are read alike,
with the numbers that the database keeps for statuses in place of the API's words.

What differs from the look of it:
- Clock times are the practice's own, without a zone; the year 1 means "none"; booleans are the words "true"
  and "false"; some amounts are text, some are numbers.
- A list gives 100 rows (1,000 from the local API) and is read on with `Offset`.
- `DateTStamp` asks for what changed after a time and has no upper end; payments have no such stamp.
- What was paid for what is told by paysplits; a payment only says how.
- `Broken` is missed or cancelled; the procedures D9986 and D9987 of the appointment say which.

Names, addresses, notes and chart texts are never handed over.

    python -m connectors.open_dental --stream paysplits paysplits.csv
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from connectors import cli
from connectors._api import Answer, Api
from connectors._open_dental_blocks import is_long, read_blocks
from connectors._open_dental_tables import (
    APPOINTMENTS,
    TABLES,
    OpenDentalOptions,
    Rows,
    Table,
    find_header,
    has_twins,
    read_export,
)
from connectors.contract import Block, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import ApiError, FileRefused, IncompleteError, PermanentError
from connectors.files import InboxFile

# Fewer rows than this end a list.
_PAGE_ROWS = 100
# Each page begins with rows of the one before it: what was deleted meanwhile leaves no gap.
_OVERLAP = 5
# Lists that can only be asked for "since" are read in one go: a second window would read it all again.
_ONE_WINDOW = 3660
_AHEAD_DAYS = 180
_DAY = timedelta(days=1)


def _judge(answer: Answer) -> ApiError | None:
    """400 and 404 explain themselves in plain text."""
    if answer.status not in (400, 404):
        return None
    said = " ".join(answer.body.decode("utf-8", errors="replace").strip(' "').split())[:200]
    return PermanentError(f"HTTP {answer.status} ({said or 'no reason given'})")


class _Practice:
    """The lists of one practice."""

    def __init__(self, source: OpenDentalOptions) -> None:
        developer, customer = source.developer_key, source.customer_key
        assert developer is not None
        assert customer is not None
        self.api = Api(
            source.name,
            source.base_url,
            per_second=source.requests_per_second,
            headers={"Authorization": f"ODFHIR {developer.get_secret_value()}/{customer.get_secret_value()}"},
            secrets=[developer, customer],
            setting="customer_key",
            judge=_judge,
        )

    def listed(self, table: Table, params: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Every record of a list, each once. Raises IncompleteError when rows moved while it was read."""
        seen: set[str] = set()
        offset = 0
        while True:
            asked = {**(params or {}), **({"Offset": str(offset)} if offset else {})}
            page = self.api.get(table.path, asked).json()
            if not isinstance(page, list):
                raise self.api.error(
                    PermanentError, f"{table.path}: answered with something else than a list"
                )
            ids = [str(item.get(table.key)) if isinstance(item, dict) else "" for item in page]
            if offset and (not page or ids[0] not in seen):
                raise self.api.error(IncompleteError, f"{table.path}: rows moved while they were read")
            is_new = False
            for identity, item in zip(ids, page, strict=True):
                if identity not in seen:
                    seen.add(identity)
                    is_new = True
                    yield item
            if len(page) < _PAGE_ROWS:
                return
            if not is_new:
                raise self.api.error(IncompleteError, f"{table.path}: gave the same rows for another Offset")
            offset += len(page) - _OVERLAP


def _stamp(window: Window) -> dict[str, str]:
    # The server's clock is the practice's and may be off: a day more costs little.
    return {"DateTStamp": f"{window.since - _DAY} 00:00:00"}


def _appointments(practice: _Practice, window: Window) -> Iterator[dict[str, Any]]:
    """Appointments of the window's days, and what was changed since it began wherever that lies."""
    table = TABLES["appointments"]
    dates = {"dateStart": window.since.isoformat(), "dateEnd": window.until.isoformat()}
    seen: set[str] = set()
    today = datetime.now(tz=window.zone).date()
    # Changes are asked for without an end, so the windows of these days ask and older ones need not.
    is_recent = window.since <= today and (today - window.until).days <= APPOINTMENTS.restatement_days
    asked = [dates, _stamp(window)] if is_recent else [dates]
    for params in asked:
        for item in practice.listed(table, params):
            identity = str(item.get(table.key))
            if identity not in seen:
                seen.add(identity)
                yield item


class OpenDental(Connector[OpenDentalOptions]):
    """One practice in Open Dental."""

    kind: ClassVar[str] = "open_dental"
    title: ClassVar[str] = "Open Dental"
    options: ClassVar[type[SourceOptions]] = OpenDentalOptions
    feeds: ClassVar[tuple[str, ...]] = ("appointments", "visits", "visit_lines", "payments", "patients")

    def streams(self, source: OpenDentalOptions) -> tuple[Stream, ...]:
        """One stream per table."""
        return tuple(table.stream for table in TABLES.values())

    def route(self, source: OpenDentalOptions, stream: Stream) -> Route | None:
        """Appointments and payments by day, procedures by change, the rest whole."""
        if source.customer_key is None:
            return None
        match stream.name:
            case "appointments":
                return Route(window_days=92, ahead_days=_AHEAD_DAYS)
            case "procedurelogs":
                return Route("change", window_days=_ONE_WINDOW, ahead_days=1)
            case "payments":
                return Route(window_days=_ONE_WINDOW, ahead_days=1)
        # Patients are read whole because a card is seldom changed and an old one matters as much; splits
        # because nothing tells which of them are new.
        return Route("whole")

    def fetch(self, source: OpenDentalOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the records of a window. Raises ApiError."""
        practice = _Practice(source)
        table = TABLES[stream.name]
        match stream.name:
            case "appointments":
                items = _appointments(practice, window)
            case "procedurelogs":
                items = practice.listed(table, _stamp(window))
            case "payments":
                items = practice.listed(table, {"DateEntry": window.since.isoformat()})
            case _:
                items = practice.listed(table)
        rows = Rows(table, source, datetime.now(tz=window.zone))
        for number, item in enumerate(items, start=1):
            row = rows.row(number, item)
            # The list of payments has no end; what was entered later is another window's.
            entered_on = row.values.get("entered_on") if stream.name == "payments" else None
            if entered_on is None or entered_on <= window.until:
                yield row

    def probe(self, source: OpenDentalOptions) -> str:
        """Ask for the providers."""
        found = sum(1 for _ in _Practice(source).listed(TABLES["providers"]))
        return f"answers; {found} providers"

    def read(
        self, file: InboxFile, stream: Stream, source: OpenDentalOptions, log: ReadLog
    ) -> Iterator[Row | Block]:
        """Yield the records of an export or a saved answer.

        Raises FileRefused: empty, a needed column missing, not whole.
        """
        table = TABLES[stream.name]
        rows = Rows(table, source, file.arrived_at)
        first = file.first_character()
        if first in ("[", "{"):
            prefix = "item" if first == "[" else ""
            for number, item in file.json_items(prefix):
                if isinstance(item, dict) and table.key not in item:
                    raise FileRefused(
                        f"{file.name}: is not an answer for {stream.name}: it has no {table.key}"
                    )
                yield rows.row(number, item)
            return
        if is_long(table) and file.suffix not in (".xlsx", ".xlsm"):
            header, _ = find_header(file, table, file.table(fallback="cp1252"))
            if not has_twins(header, table):
                yield from read_blocks(file, table, source, log)
                return
        yield from read_export(file, table, rows, log)


CONNECTOR = OpenDental()

if __name__ == "__main__":
    cli.main(CONNECTOR)
