"""Cost sheet: what a clinic spends besides ad platforms (SEO, content, agencies, outdoor, events).

One CSV or XLSX with the headings cost_id, channel, source, campaign, starts_on, ends_on, amount, currency on
its first line, in any order; only starts_on and amount are required. Each line is an amount for a period,
negative for a credit note.

    python -m connectors.cost_sheet FILE
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from connectors import cli
from connectors._cells import Moments, cell_text, header_key, id_text, number_text
from connectors._settings import DateFormat, Delimiter, Encoding
from connectors.conformed import CHANNELS, INPUTS
from connectors.contract import Connector, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile

OTHER_COSTS = Stream(
    name="other_costs",
    description="Costs outside the ad platforms, one row per line of the sheet: an amount for a period.",
    columns=INPUTS["other_costs"],
    primary_key=("cost_id",),
    event_day="starts_on",
    # Contracts are entered before they begin.
    may_be_future=True,
)

_HEADINGS = tuple(column.name for column in OTHER_COSTS.columns)
_REQUIRED = ("starts_on", "amount")
_CURRENCY = re.compile(r"[A-Z]{3}")
# `04.03.2024` is day first wherever it is written; with slashes or hyphens it could be either.
_DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y")
# One mark followed by exactly three digits: thousands to some, thousandths to others.
_DOUBTFUL = re.compile(r"\D*\d{1,3}[.,]\d{3}\D*")


class CostSheetOptions(SourceOptions):
    """How the sheet is written; everything is optional.

    Without `decimal`, amounts are read with either mark, and one that could be read both ways (`1.234`) is
    quarantined. Without `date_format`, dates are ISO or dd.mm.yyyy. `currency` is that of lines without
    one, else the clinic's. `sheet` names the worksheet of an XLSX, else the first is read.
    """

    encoding: Encoding | None = None
    delimiter: Delimiter | None = None
    decimal: Literal[".", ","] | None = None
    date_format: DateFormat | None = None
    sheet: str | None = None


class CostSheet(Connector[CostSheetOptions]):
    """The clinic's own cost sheet."""

    kind = "cost_sheet"
    title = "Cost sheet"
    options = CostSheetOptions
    feeds = ("other_costs",)

    def streams(self, source: CostSheetOptions) -> tuple[Stream, ...]:
        """One stream: other_costs."""
        return (OTHER_COSTS,)

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: CostSheetOptions,
        log: ReadLog,
    ) -> Iterator[Row]:
        """Yield the sheet's lines.

        A line without cost_id is known by channel, source, campaign, period and its place among equals, so
        that a newer sheet replaces its amount. Raises FileRefused without the required headings.
        """
        # No guess at a code page: names read in the wrong one would be other campaigns.
        table = file.table(
            delimiter=source.delimiter, encoding=source.encoding, fallback="utf-8", sheet=source.sheet
        )
        at = _find_header(file, table, log)
        moments = Moments((), (source.date_format,) if source.date_format else _DATE_FORMATS, source.zone)
        equals: Counter[str] = Counter()
        total = Decimal(0)
        for number, cells in table:
            texts = [cell_text(cell) for cell in cells]
            if not any(texts):
                log.skip("blank line")
                continue
            row = _row(number, {name: cells[i] for name, i in at.items() if i < len(cells)}, source, moments)
            amount: Any = row.values.get("amount")
            if _is_sum(row.values, total):
                log.skip("total row")
                log.control_totals["sheet", "amount"] = Decimal(amount)
                continue
            if amount is not None:
                total += Decimal(amount)
            if row.values.get("cost_id") is None and row.refused is None:
                row.values["cost_id"] = _content_id(row.values, equals)
            yield row


def _find_header(file: InboxFile, table: Iterator[tuple[int, list[Cell]]], log: ReadLog) -> dict[str, int]:
    """Heading -> place. The header is the first line that is not blank."""
    for _, cells in table:
        texts = [header_key(cell_text(cell)) for cell in cells]
        if not any(texts):
            log.skip("blank line")
            continue
        at: dict[str, int] = {}
        for place, text in enumerate(texts):
            if text in at:
                raise FileRefused(f"{file.name}: the heading {text} stands twice; keep one of them")
            if text in _HEADINGS:
                at[text] = place
            elif text:
                log.unknown_columns.add(text)
        if missing := [name for name in _REQUIRED if name not in at]:
            raise FileRefused(
                f"{file.name}: no column {' and no '.join(missing)}; the first line must hold the headings "
                f"{', '.join(_HEADINGS)}"
            )
        return at
    raise FileRefused(f"{file.name}: is empty; the first line must hold {', '.join(_HEADINGS)}")


def _row(number: int, cells: dict[str, Cell], source: CostSheetOptions, moments: Moments) -> Row:
    values: dict[str, Any] = {}
    for name in ("channel", "source", "campaign", "currency"):
        values[name] = cell_text(cells.get(name)) or None
    refused: tuple[str, str] | None = None
    try:
        name = "cost_id"
        values[name] = id_text(cells.get(name)) or None
        for name in ("starts_on", "ends_on"):
            values[name] = _day(cells.get(name), moments)
        name = "amount"
        values[name] = _amount(cells.get(name), source.decimal)
    except ValueError as error:
        refused = (name, str(error))
    else:
        refused = _fault(values)
    values["ends_on"] = values.get("ends_on") or values.get("starts_on")
    values["currency"] = values["currency"] or source.currency or source.clinic_currency
    return Row(number, values, refused)


def _fault(values: dict[str, Any]) -> tuple[str, str] | None:
    starts_on, ends_on = values["starts_on"], values["ends_on"]
    if starts_on is not None and ends_on is not None and ends_on < starts_on:
        return "ends_on", "lies before starts_on"
    if values["channel"] is not None:
        values["channel"] = values["channel"].casefold()
        if values["channel"] not in CHANNELS:
            return "channel", f"is no channel; use one of {', '.join(CHANNELS)}, or leave it empty"
    if values["source"] is not None:
        values["source"] = values["source"].lower()
    if values["currency"] is not None:
        values["currency"] = values["currency"].upper()
        if not _CURRENCY.fullmatch(values["currency"]):
            return "currency", "is no ISO 4217 code"
    return None


def _day(cell: Cell, moments: Moments) -> date | None:
    found = moments.read(cell)
    return None if found is None else found[0].date()


def _amount(cell: Cell, decimal: str | None) -> str | None:
    """Digits with a decimal point. Raises ValueError for what is no number, or could be two."""
    text = cell_text(cell)
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return text
    if decimal is None:
        if _DOUBTFUL.fullmatch(text):
            raise ValueError("could be thousands or thousandths; set `decimal:` of the source")
        # Of two marks the later one is the decimal mark; the other must then group by threes.
        decimal = "," if text.rfind(",") > text.rfind(".") and text.count(",") == 1 else "."
        if text.count(".") > 1:
            decimal = ","
    return number_text(text, decimal)


def _is_sum(values: dict[str, Any], total: Decimal) -> bool:
    """A last line that holds nothing but the sum of the ones above."""
    named = ("cost_id", "channel", "campaign", "starts_on", "ends_on")
    amount = values.get("amount")
    return amount is not None and not any(values.get(n) for n in named) and Decimal(amount) == total


def _content_id(values: dict[str, Any], equals: Counter[str]) -> str:
    parts = [values[name] for name in ("channel", "source", "campaign", "starts_on", "ends_on")]
    content = "\n".join("" if part is None else str(part) for part in parts)
    equals[content] += 1
    return hashlib.blake2b(f"{content}\n{equals[content]}".encode(), digest_size=12).hexdigest()


CONNECTOR = CostSheet()

if __name__ == "__main__":
    cli.main(CONNECTOR)
