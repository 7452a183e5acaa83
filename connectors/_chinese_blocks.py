"""Rows of the Chinese ad platforms' reports, a block of columns at a time: what `Report` does to one row.

Only rows whose outcome is plain are read here, those that land as they stand. All others (totals, blank
lines, rows that are refused or refuse the file) are left to `Report`, which reads them one by one. So this
may read fewer rows than `Report`, never otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors._chinese_cells import NOTHING, amount, is_label, product_line, without_deleted_mark
from connectors._columns import holds, text_bytes, texts
from connectors.contract import ARROW

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

# The levels of a report, the deepest first, and the fields that tell them.
LEVELS = (
    ("keyword", ("keyword",)),
    ("ad", ("ad_id", "ad")),
    ("ad_group", ("ad_group", "ad_group_id")),
    ("campaign", ("campaign_name", "campaign_id")),
)
COUNTS = ("impressions", "clicks")
NAMES = ("campaign_name", "ad_group", "keyword", "device")
IDS = ("campaign_id", "ad_group_id", "ad_id")
CAMPAIGN = ("campaign_name", "campaign_id")
# The label of a total stands in one of so many first cells.
LABELLED = 3
# What a text has in place of characters that a wrong encoding lost.
LOST = "\ufffd"

_NOTHINGS = pa.array(sorted(NOTHING), pa.string())
_MAY_BE_LABEL = "计|汇总"
_MAY_BE_DELETED = "已删除"
# Ids that a spreadsheet may have ruined (1,23E+10), and its error values.
_MAY_BE_RUINED = r"^#|[^A-Za-z][eE]"
_ZERO = pa.scalar(Decimal(0), ARROW["decimal"])
_OF_NUMBERS = np.isin(np.arange(256), list(b"0123456789.-"))
_GROUPED = r"^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"
_PLAIN = r"^-?\d+(?:\.\d+)?$"
# Beyond, figures are absurd, and their sum might not fit.
_LIMIT = 10**12


@dataclass
class Columns:
    """Landed columns of a part of a report; `is_odd` tells the rows that are left to `Report`.

    `account` is what the rows themselves name, null where they name none. `accounts` (with None) and `levels`
    are those of the rows that are not odd.
    """

    values: dict[str, pa.Array[Any]]
    account: pa.Array[Any]
    is_odd: Any
    accounts: set[str | None]
    levels: set[str]


@dataclass(frozen=True)
class ColumnReader:
    """Reads the columns of one report.

    `at` are the places of its fields, `level` that of every row unless they are nested, `day_of` reads the
    text of a day (None or ValueError: it is none), `printed_day` is the day of rows that have none of their
    own, `covers` the printed period.
    """

    at: Mapping[str, int]
    level: str
    is_nested: bool
    day_of: Callable[[str], date | None]
    printed_day: date | None
    covers: tuple[date, date] | None

    def read(self, cells: Sequence[pa.Array[Any]], width: int) -> Columns:
        """The columns of a part, given all its cells; beyond `width` none may be filled."""
        return _Part(cells, self).read(width)

    def day(self, text: str) -> date | None:
        """The day of a cell, None where `Report` should look at it."""
        try:
            day = self.printed_day if text in NOTHING else self.day_of(text)
        except ValueError:
            return None
        is_outside = day is not None and self.covers is not None and not _is_within(day, self.covers)
        return None if is_outside else day


def _is_within(day: date, period: tuple[date, date]) -> bool:
    return period[0] <= day <= period[1]


class _Part:
    """The cells of some rows, each column encoded once."""

    def __init__(self, cells: Sequence[pa.Array[Any]], report: ColumnReader) -> None:
        self._cells = cells
        self._at = report.at
        self._report = report
        self._encoded: dict[int, Any] = {}
        self._odd = np.zeros(len(cells[0]), dtype=bool)

    def read(self, width: int) -> Columns:
        for values in self._cells[width:]:
            self._leave(values.is_valid())
        for place in range(min(LABELLED, len(self._cells))):
            self._leave_labelled(place)
        filled = {name: self._filled(name) for name in self._at}
        columns: dict[str, pa.Array[Any]] = {"spend_date": self._days(filled)}
        for name in COUNTS:
            if name in self._at:
                columns[name] = self._counts(name)
        columns["cost"] = self._amounts(self._cells[self._at["cost"]])
        # Without a cost a row is blank, or refused; spend is never negative.
        self._leave(pc.invert(pc.fill_null(pc.greater_equal(columns["cost"], _ZERO), False)))
        for name in NAMES:
            if name in self._at:
                self._name(name, filled[name], columns)
        for name in IDS:
            if name in self._at:
                columns[name] = self._ids(name)
        if "product" in self._at:
            columns["product"] = self._products(filled["product"])
        account = self._account(filled)
        return Columns(columns, account, self._odd, self._unique(account), self._levels(filled))

    def _leave(self, mask: Any) -> None:
        """Leave the rows where `mask` is true to `Report`."""
        self._odd |= pc.fill_null(mask, False).to_numpy(zero_copy_only=False)

    def _dictionary(self, place: int) -> Any:
        if place not in self._encoded:
            self._encoded[place] = self._cells[place].dictionary_encode()
        return self._encoded[place]

    def _leave_labelled(self, place: int) -> None:
        """Leave totals, told by their label."""
        data = text_bytes(self._cells[place])
        # Columns of numbers and days hold none, which their bytes tell fastest.
        if not data.size or data.max() < 0x80:
            return
        encoded = self._dictionary(place)
        if pc.any(pc.match_substring_regex(encoded.dictionary, _MAY_BE_LABEL)).as_py():
            are_labels = [is_label(text.strip()) for text in encoded.dictionary.to_pylist()]
            self._leave(pa.array(are_labels, pa.bool_()).take(encoded.indices))

    def _filled(self, name: str) -> Any:
        """A column of texts, encoded; null where a cell says that there is nothing."""
        if name in (*COUNTS, "cost", "cpc", *IDS):
            return None
        encoded = self._dictionary(self._at[name])
        return pa.DictionaryArray.from_arrays(encoded.indices, _bare(encoded.dictionary))

    def _is_filled(self, name: str, filled: Mapping[str, Any]) -> Any:
        """Which rows have something under a field, as numpy booleans."""
        if name not in self._at:
            return np.zeros(len(self._odd), dtype=bool)
        values = filled[name]
        if values is None:
            return _bare(self._cells[self._at[name]]).is_valid().to_numpy(zero_copy_only=False)
        return (
            values.dictionary.is_valid().take(values.indices).fill_null(False).to_numpy(zero_copy_only=False)
        )

    def _days(self, filled: Mapping[str, Any]) -> Any:
        printed = pa.scalar(self._report.printed_day, pa.date32())
        if "spend_date" not in self._at:
            has_day = np.zeros(len(self._odd), dtype=bool)
            days: Any = pa.repeat(printed, len(self._odd))
        else:
            encoded = self._dictionary(self._at["spend_date"])
            known = [self._report.day(text.strip()) for text in encoded.dictionary.to_pylist()]
            days = pa.array(known, pa.date32()).take(encoded.indices)
            if self._report.printed_day is not None:
                days = pc.if_else(encoded.is_valid(), days, printed)
            self._leave(days.is_null())
            if self._report.printed_day is None:
                return days
            has_day = self._is_filled("spend_date", filled)
        if self._report.level != "account":
            # A row with neither a day nor a campaign is a total.
            has_campaign = self._is_filled(CAMPAIGN[0], filled) | self._is_filled(CAMPAIGN[1], filled)
            self._odd |= ~has_campaign & ~has_day
        return days

    def _name(self, name: str, values: Any, columns: dict[str, pa.Array[Any]]) -> None:
        known = values.dictionary
        is_lost = pc.match_substring(known, LOST)
        if pc.any(is_lost).as_py():
            self._leave(is_lost.take(values.indices))
        if name in ("campaign_name", "ad_group"):
            are_deleted = pc.if_else(known.is_valid(), pa.scalar(False), pa.scalar(None, pa.bool_()))
            if pc.any(pc.match_substring(known, _MAY_BE_DELETED)).as_py():
                pairs = [without_deleted_mark(text) for text in known.to_pylist()]
                known = pa.array([plain for plain, _ in pairs], pa.string())
                are_deleted = pa.array([is_deleted for _, is_deleted in pairs], pa.bool_())
            if name == "campaign_name":
                columns["campaign_is_deleted"] = are_deleted.take(values.indices)
        columns[name] = pa.DictionaryArray.from_arrays(values.indices, known)

    def _ids(self, name: str) -> Any:
        values = _bare(self._cells[self._at[name]])
        if holds(values, "#eE"):
            self._leave(pc.match_substring_regex(values, _MAY_BE_RUINED))
        return values

    def _counts(self, name: str) -> Any:
        """Whole numbers, zero where there is none."""
        raw = self._cells[self._at[name]]
        try:
            counts = _whole(raw)
        except pa.ArrowInvalid:
            amounts = self._amounts(raw)
            is_broken = pc.not_equal(pc.floor(amounts), amounts)
            self._leave(is_broken)
            counts = pc.if_else(pc.fill_null(is_broken, False), None, amounts).cast(pa.int64())
        return pc.fill_null(counts, 0)

    def _amounts(self, raw: pa.Array[Any]) -> Any:
        """Numbers; null where there is none, and in rows that are left."""
        values = texts(raw)
        try:
            return _exact(values)
        except pa.ArrowInvalid:
            values = _bare(values)
        if holds(values, ","):
            is_grouped = pc.match_substring_regex(values, _GROUPED)
            values = pc.if_else(is_grouped, pc.replace_substring(values, ",", ""), values)
        is_other = pc.invert(pc.fill_null(pc.match_substring_regex(values, _PLAIN), True))
        if pc.any(is_other).as_py():
            others = values.filter(is_other).dictionary_encode()
            known = pa.array([_canonical(text) for text in others.dictionary.to_pylist()], pa.string())
            values = pc.replace_with_mask(values, is_other, known.take(others.indices))
            self._leave(pc.and_(is_other, values.is_null()))
        try:
            return _exact(values)
        except pa.ArrowInvalid:
            # Too many places, or too large: few files have such numbers, and few rows of them.
            read = [_landed(text) for text in values.to_pylist()]
            found = pa.array(read, ARROW["decimal"])
            self._leave(pc.and_(values.is_valid(), found.is_null()))
            return found

    def _products(self, values: Any) -> Any:
        known = pa.array([product_line(text) for text in values.dictionary.to_pylist()], pa.string())
        return pc.fill_null(known.take(values.indices), product_line(None))

    def _account(self, filled: Mapping[str, Any]) -> Any:
        named: Any = pa.nulls(len(self._odd), pa.string())
        for name in ("account", "account_id"):
            if name in self._at:
                values = filled[name].dictionary.take(filled[name].indices)
                named = values if named.null_count == len(named) else pc.coalesce(named, values)
        return named

    def _unique(self, values: pa.Array[Any]) -> set[str | None]:
        kept = values.filter(pa.array(~self._odd)) if self._odd.any() else values
        return set(pc.unique(kept).to_pylist())

    def _levels(self, filled: Mapping[str, Any]) -> set[str]:
        """The levels of the rows: in a nested report, the deepest of the fields that a row fills."""
        if not self._report.is_nested:
            return {self._report.level}
        open_ = ~self._odd
        found = set()
        for level, fields in LEVELS:
            here = np.zeros(len(open_), dtype=bool)
            for name in fields:
                here |= self._is_filled(name, filled)
            if (open_ & here).any():
                found.add(level)
            open_ &= ~here
        return found | {"account"} if open_.any() else found


def decoded(values: pa.Array[Any]) -> pa.Array[Any]:
    """The column without a dictionary."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def _bare(values: pa.Array[Any]) -> Any:
    """Trimmed, null where the text says that there is nothing."""
    values = texts(values)
    return pc.if_else(pc.is_in(values, value_set=_NOTHINGS), pa.scalar(None, pa.string()), values)


def _require_digits(values: pa.Array[Any]) -> None:
    """Raise ArrowInvalid where Arrow might read more than digits, a point and a minus."""
    if not bool(_OF_NUMBERS[text_bytes(values)].all()):
        raise pa.ArrowInvalid


def _whole(raw: pa.Array[Any]) -> Any:
    values = texts(raw)
    _require_digits(values)
    counts = values.cast(pa.int64())
    ends = pc.min_max(counts)
    if ends["min"].is_valid and not -_LIMIT < ends["min"].as_py() <= ends["max"].as_py() < _LIMIT:
        raise pa.ArrowInvalid
    return counts


def _exact(values: pa.Array[Any]) -> Any:
    _require_digits(values)
    return values.cast(ARROW["decimal"])


def _canonical(text: str) -> str | None:
    """A number as `amount` reads it, in plain digits."""
    found = amount(text)
    return None if found is None else f"{found:f}"


def _landed(text: str | None) -> Decimal | None:
    """A number of plain digits, None where it does not fit the landed type as it is."""
    if text is None:
        return None
    found = Decimal(text)
    is_fit = abs(found) < _LIMIT and found == round(found, 6)
    return round(found, 6) if is_fit else None
