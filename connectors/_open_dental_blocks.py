"""Exports of Open Dental's two long tables, procedures and splits, read in blocks of columns.

The same columns come of them as row by row (see connectors/_open_dental_tables.py), a practice's million
procedures in seconds; what cannot be read is quarantined by the checker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute

from connectors._cells import Moments, number_text
from connectors._columns import by_value, texts
from connectors._open_dental_tables import PROCEDURE_STATUSES, OpenDentalOptions, Table
from connectors._table import (
    UNREADABLE,
    Layout,
    constant,
    moments,
    open_table,
    refuse,
    refuse_ruined,
    without,
)
from connectors.contract import Block, ReadLog
from connectors.files import InboxFile

# The stubs of its functions know neither scalars of Python nor what arrays give.
pc: Any = pyarrow.compute

_DAY = timedelta(days=1)
# As the API and a user query of the database write a time.
_STAMPS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")

Make = Callable[["_Columns", str], "pa.Array[Any]"]


class _Columns:
    """The columns of one block, by their names in the API, as texts that land."""

    def __init__(self, block: Block, source: OpenDentalOptions) -> None:
        self._given = block.columns
        self._rows = len(block)
        self._source = source
        self._moments = Moments(source.datetime_format, source.date_format, source.zone)

    def text(self, name: str) -> pa.Array[Any]:
        """Trimmed texts; null in a column that the export lacks."""
        values = self._given.get(name)
        return pa.nulls(self._rows, pa.string()) if values is None else texts(values)

    def id(self, name: str) -> pa.Array[Any]:
        """Keys of the database; 0 stands for none."""
        return without(self.text(name), ("0",))

    def amount(self, name: str) -> pa.Array[Any]:
        """Money."""
        return self._each(name, lambda text: number_text(text, "."))

    def whole(self, name: str) -> pa.Array[Any]:
        """Whole numbers; 0 where there is none to read."""
        numbers = pc.if_else(pc.match_substring_regex(self.text(name), r"^\d{1,6}$"), self.text(name), "0")
        whole: pa.Array[Any] = pc.fill_null(numbers, "0").cast(pa.int64())
        return whole

    def day(self, name: str) -> pa.Array[Any]:
        """Days of the practice."""
        return self._found(name, lambda found: self._moments.day(found).isoformat())

    def end_of_day(self, name: str) -> pa.Array[Any]:
        """The ends of days."""

        def end(found: tuple[datetime, bool]) -> str:
            return self._moments.moment((found[0], True)).astimezone(UTC).isoformat()

        return self._found(name, end)

    def moment(self, name: str) -> pa.Array[Any]:
        """Clock times of the practice: nearly every row has its own, so they are not read one by one."""
        values = pc.if_else(pc.starts_with(self.text(name), "0001-"), None, self.text(name))
        formats = self._source.datetime_format or _STAMPS
        return moments(values.cast(pa.string()), formats, self._source.zone)

    def status(self, name: str) -> pa.Array[Any]:
        """What the database keeps as a number and the API says in letters."""
        return self._each(name, lambda text: PROCEDURE_STATUSES.get(text, text))

    def _found(self, name: str, tell: Callable[[tuple[datetime, bool]], str]) -> pa.Array[Any]:
        def one(text: str) -> str | None:
            found = self._moments.read(text)
            return None if found is None else tell(found)

        return self._each(name, one)

    def _each(self, name: str, cast: Callable[[str], str | None]) -> pa.Array[Any]:
        def one(text: str) -> str | None:
            try:
                return cast(text)
            except ValueError:
                return UNREADABLE

        return by_value(self.text(name), one, pa.string())


# Stream -> landed column -> its name in the API, and how it is read.
_LANDED: Mapping[str, Mapping[str, tuple[str, Make]]] = {
    "procedurelogs": {
        "procedure_id": ("ProcNum", _Columns.id),
        "patient_id": ("PatNum", _Columns.id),
        "appointment_id": ("AptNum", _Columns.id),
        "done_on": ("ProcDate", _Columns.day),
        "done_at": ("ProcDate", _Columns.end_of_day),
        "status": ("ProcStatus", _Columns.status),
        "code": ("procCode", _Columns.text),
        "service": ("descript", _Columns.text),
        "fee": ("ProcFee", _Columns.amount),
        "discount": ("Discount", _Columns.amount),
        "provider_id": ("ProvNum", _Columns.id),
        "provider": ("provAbbr", _Columns.text),
        "clinic_id": ("ClinicNum", _Columns.id),
        "changed_at": ("DateTStamp", _Columns.moment),
    },
    "paysplits": {
        "split_id": ("SplitNum", _Columns.id),
        "payment_id": ("PayNum", _Columns.id),
        "patient_id": ("PatNum", _Columns.id),
        "procedure_id": ("ProcNum", _Columns.id),
        "paid_at": ("DatePay", _Columns.end_of_day),
        "amount": ("SplitAmt", _Columns.amount),
        "unearned_type": ("UnearnedType", _Columns.id),
        "provider_id": ("ProvNum", _Columns.id),
        "clinic_id": ("ClinicNum", _Columns.id),
    },
}
_IDS = ("procedure_id", "split_id", "payment_id", "patient_id", "appointment_id")


def is_long(table: Table) -> bool:
    """Whether exports of the table are read in blocks."""
    return table.stream.name in _LANDED


def read_blocks(file: InboxFile, table: Table, source: OpenDentalOptions, log: ReadLog) -> Iterator[Block]:
    """The records of a CSV or TSV export. Raises FileRefused."""
    layout = Layout(
        headings={name: (name,) for name in (*table.needed, *table.others)},
        required=table.needed,
        remedy="run the query again with the table's own names",
    )
    horizon = (file.arrived_at + _DAY).date().isoformat()
    for block in open_table(file, {"": layout}, log, fallback="cp1252").blocks():
        given = _Columns(block, source)
        landed = _LANDED[table.stream.name]
        block.columns = {column: make(given, name) for column, (name, make) in landed.items()}
        block.columns["currency"] = constant(source.currency, block)
        for name in _IDS:
            if name in block.columns:
                refuse_ruined(block, name)
        if table.stream.name == "procedurelogs":
            units = pc.add(given.whole("UnitQty"), given.whole("BaseUnits"))
            block.columns["units"] = pc.max_element_wise(units, 1)
            done_on = block.columns["done_on"]
            is_later = pc.and_(pc.greater(done_on, horizon), pc.not_equal(done_on, UNREADABLE))
            is_done = pc.equal(block.columns["status"], "C")
            refuse(block, pc.and_(is_later, is_done), "done_on", "lies after the export, yet it is complete")
        yield block
