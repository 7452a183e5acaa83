"""Whole columns of text, converted as the cells of a clinic's own export are one by one.

Each function reads at once what is written as usual: plain numbers, times of one width, whole ids. What is
written otherwise goes through the function of single cells, once for each distinct text. A row whose cell
that function refuses is marked as odd: it is then read alone, from its first cell on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors._cells import DASHES, Moments, cell_text
from connectors._columns import MISFITS, PLAIN, by_value, holds, spans, text_bytes, texts
from connectors.contract import ARROW, Type
from connectors.errors import RowRefused

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

# A cell (or cells) and the row's other values -> the landed value. Raises RowRefused.
Convert = Callable[[Any, dict[str, Any]], Any]

# Between the cells of one row where several make one value.
_BETWEEN = "\x1f"
_RUINED_ID = r"^\p{Nd}+(?:[.,]\p{Nd}+)?[eE]\+?\p{Nd}+$"
_DASHES = pa.array(sorted(DASHES), pa.string())
# Digits that an integer of 64 bits holds for sure.
_WHOLE = r"^-?[0-9]{1,18}$"
_SPACES = " \u00a0\u202f\u2007\u2009'\u2019"
_OTHER_MARK = {".": ",", ",": "."}
_NUMBER_BYTES = {mark: np.isin(np.arange(256), list(f"0123456789-{mark}".encode())) for mark in ".,"}
_NUMBER = {mark: rf"^-?[0-9]+(?:[{mark}][0-9]+)?$" for mark in ".,"}
_GROUPED = {
    mark: rf"^-?[0-9]{{1,3}}(?:[{other}][0-9]{{3}})+(?:[{mark}][0-9]+)?$"
    for mark, other in _OTHER_MARK.items()
}
# Years within which a time and its zone's rules are the same to everybody.
_FIRST_YEAR, _LAST_YEAR = 1970, 2037
# Times that `check` casts with their column, whatever their zone.
_SAFE_YEARS = range(1901, 2100)
_ISO = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
)
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_END_OF_DAY = 86_400_000_000 - 1


@dataclass
class Converted:
    """A landed column, and what came of reading it.

    `odd` marks rows to be read alone. `beside` holds other columns that the same cells fill, where those have
    no value of their own. `noted` are notes and the rows that they are about.
    """

    values: pa.Array[Any]
    odd: Any = None
    beside: dict[str, pa.Array[Any]] = field(default_factory=dict)
    noted: list[tuple[str, Any]] = field(default_factory=list)


class Distinct:
    """Converts by the function of single cells, once for each distinct text of a column.

    `notes` are the counters that the function writes into; `beside` the types of columns that it may fill.
    """

    def __init__(
        self,
        convert: Convert,
        type_: Type,
        notes: dict[str, int],
        beside: Callable[[str], Type],
        *,
        even_empty: bool = False,
    ) -> None:
        self._convert = convert
        self._type = type_
        self._notes = notes
        self._beside = beside
        self._even_empty = even_empty

    def column(self, values: pa.Array[Any]) -> Converted:
        """Convert a column of text."""
        encoded: Any = values.dictionary_encode("encode" if self._even_empty else "mask")
        return self._taken(encoded.indices, [text or "" for text in encoded.dictionary.to_pylist()])

    def columns(self, several: Sequence[pa.Array[Any]]) -> Converted:
        """Convert columns of which the cells of a row make one value."""
        joined = pc.binary_join_element_wise(*several, _BETWEEN, null_handling="replace", null_replacement="")
        encoded = joined.dictionary_encode()
        cells = [text.split(_BETWEEN) for text in encoded.dictionary.to_pylist()]
        return self._taken(encoded.indices, [c if len(c) == len(several) else None for c in cells])

    def _taken(self, indices: pa.Array[Any], distinct: Sequence[Any]) -> Converted:
        notes = self._notes
        kept = dict(notes)
        values: list[Any] = []
        beside: list[dict[str, Any]] = []
        odd = np.zeros(len(distinct), dtype=bool)
        noted: dict[str, list[int]] = {}
        for at, cell in enumerate(distinct):
            notes.clear()
            others: dict[str, Any] = {}
            value = None
            if cell is None:
                odd[at] = True
            elif cell != "" or self._even_empty:
                try:
                    value = self._convert(cell, others)
                except RowRefused:
                    odd[at] = True
            if not (storable(value, self._type)):
                value, odd[at] = None, True
            values.append(value)
            beside.append(others)
            for note in notes:
                noted.setdefault(note, []).append(at)
        notes.clear()
        notes.update(kept)
        known = self._typed(values, odd)
        names = dict.fromkeys(name for others in beside for name in others)
        return Converted(
            _spread(known, indices),
            _chosen(odd, indices) if odd.any() else None,
            {
                name: _spread(pa.array([o.get(name) for o in beside], ARROW[self._beside(name)]), indices)
                for name in names
            },
            [(note, _chosen(_marks(places, len(distinct)), indices)) for note, places in noted.items()],
        )

    def _typed(self, values: list[Any], odd: Any) -> pa.Array[Any]:
        if self._type not in ("decimal", "double"):
            return pa.array(values, ARROW[self._type])
        printed = pa.array([None if value is None else str(value) for value in values], pa.string())
        try:
            cast = PLAIN[self._type](printed)
            zeros = pc.fill_null(_is_unsigned_zero(printed, cast), False)
            odd[:] = odd | zeros.to_numpy(zero_copy_only=False)
            return cast
        except MISFITS:
            odd[:] = odd | printed.is_valid().to_numpy(zero_copy_only=False)
            return pa.array([None] * len(values), ARROW[self._type])


def storable(value: Any, type_: Type) -> bool:
    """Whether the value fits a column of Arrow, and `check` casts it there as it does alone."""
    if type_ == "integer":
        return value is None or -(1 << 63) <= value < 1 << 63
    if type_ in ("timestamp", "date"):
        return value is None or value.year in _SAFE_YEARS
    return True


def _marks(places: Iterable[int], length: int) -> Any:
    marks = np.zeros(length, dtype=bool)
    marks[list(places)] = True
    return marks


def _chosen(marks: Any, indices: pa.Array[Any]) -> Any:
    """The marks of distinct values as marks of rows."""
    found = pc.fill_null(pa.array(marks).take(indices), False)
    return found.to_numpy(zero_copy_only=False)


def _spread(known: pa.Array[Any], indices: pa.Array[Any]) -> pa.Array[Any]:
    """The values of distinct texts as a column; with a dictionary where texts repeat."""
    if not pa.types.is_string(known.type) or len(known) * 2 > len(indices):
        return known.take(indices)
    if known.null_count:
        indices = pc.if_else(known.is_valid().take(indices), indices, pa.scalar(None, indices.type))
    return pa.DictionaryArray.from_arrays(indices, known)


# --- columns of any type, with dictionaries or without -----------------------------------------------


def plain(values: pa.Array[Any]) -> pa.Array[Any]:
    """The column without a dictionary."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def equals(values: pa.Array[Any], text: str) -> Any:
    """Which rows have the text, as a numpy array."""
    if isinstance(values, pa.DictionaryArray):
        found = pc.equal(values.dictionary, text).take(values.indices)
    else:
        found = pc.equal(values, text)
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)


def is_known(values: pa.Array[Any]) -> Any:
    """Which rows have a value, as a numpy array."""
    return values.is_valid().to_numpy(zero_copy_only=False)


def is_among(values: pa.Array[Any], is_wanted: Callable[[str], bool]) -> Any:
    """Which rows have a wanted text, null being "", as a numpy array; asked once for each distinct one."""
    encoded: Any = values.dictionary_encode("encode")
    wanted = np.array([is_wanted(text or "") for text in encoded.dictionary.to_pylist()], dtype=bool)
    return wanted[encoded.indices.to_numpy()]


def constant(value: Any, type_: Type, length: int) -> pa.Array[Any]:
    """A column with one value in every row."""
    one = pa.array([value], ARROW[type_])
    places = pa.array(np.zeros(length, dtype=np.int32), pa.int32())
    return pa.DictionaryArray.from_arrays(places, one) if type_ == "text" else one.take(places)


def default(value: Any, type_: Type, length: int) -> pa.Array[Any] | None:
    """The same for a converted value; None where rows that take it are to be read alone."""
    if not storable(value, type_):
        return None
    if type_ not in ("decimal", "double"):
        return constant(value, type_, length)
    printed = pa.array([str(value)], pa.string())
    try:
        cast = PLAIN[type_](printed)
    except MISFITS:
        return None
    if _is_unsigned_zero(printed, cast)[0].as_py():
        return None
    return cast.take(pa.array(np.zeros(length, dtype=np.int32), pa.int32()))


def filled(values: pa.Array[Any], other: pa.Array[Any]) -> pa.Array[Any]:
    """The column, with the other one's values where it has none."""
    if not values.null_count:
        return values
    both: pa.Array[Any] = pc.coalesce(plain(values), plain(other))
    return both


def is_later(values: pa.Array[Any], than: datetime) -> Any:
    """Which times are later, as a numpy array."""
    found = pc.greater(values, pa.scalar(than.astimezone(UTC), ARROW["timestamp"]))
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)


def _with_rest(values: pa.Array[Any], found: pa.Array[Any], is_read: Any, rest: Distinct) -> Converted:
    """What was read at once, and the rest by distinct text."""
    left = ~is_read & is_known(values)
    if not left.any():
        return Converted(found)
    mask = pa.array(left)
    read = rest.column(values.filter(mask))
    places = np.flatnonzero(left)
    beside = {}
    for name, others in read.beside.items():
        none = pa.nulls(len(values), others.type)
        beside[name] = pc.replace_with_mask(none, mask, others)
    return Converted(
        pc.replace_with_mask(found, mask, plain(read.values)),
        None if read.odd is None else _marks(places[read.odd], len(values)),
        beside,
        [(note, _marks(places[marks], len(values))) for note, marks in read.noted],
    )


# --- text and ids ------------------------------------------------------------------------------------


def cells_text(values: pa.Array[Any]) -> pa.Array[Any]:
    """What `cell_text` gives, null for nothing."""
    found = texts(values)
    if not holds(found, "#"):
        return found
    is_mark = pc.fill_null(pc.starts_with(found, "#"), False)
    read = by_value(found.filter(is_mark), lambda text: cell_text(text) or None, pa.string())
    replaced: pa.Array[Any] = pc.replace_with_mask(found, is_mark, read)
    return replaced


def texts_without_dashes(values: pa.Array[Any]) -> pa.Array[Any]:
    """Text of cells; a lone dash is nothing."""
    found = cells_text(values)
    # The longest dash takes three bytes.
    if not bool((spans(found)[1] <= 3).any()):
        return found
    bare: pa.Array[Any] = pc.if_else(pc.is_in(found, value_set=_DASHES), pa.scalar(None, pa.string()), found)
    return bare


def ids(values: pa.Array[Any]) -> Converted:
    """Record numbers. What a spreadsheet may have ruined is odd."""
    found = texts_without_dashes(values)
    odd = None
    if holds(found, "eE"):
        ruined = pc.fill_null(pc.match_substring_regex(found, _RUINED_ID), False)
        odd = ruined.to_numpy(zero_copy_only=False)
    return Converted(found, odd)


def joined_ids(several: Sequence[pa.Array[Any]]) -> Converted:
    """Record numbers of which the parts stand in several columns."""
    parts = [ids(values) for values in several]
    odd = np.zeros(len(several[0]), dtype=bool)
    has_any = np.zeros(len(several[0]), dtype=bool)
    for part in parts:
        has_any |= is_known(part.values)
        if part.odd is not None:
            odd |= part.odd
    joined = pc.binary_join_element_wise(
        *(part.values for part in parts), ":", null_handling="replace", null_replacement=""
    )
    return Converted(pc.if_else(pa.array(has_any), joined, pa.scalar(None, pa.string())), odd)


def prefixed(values: pa.Array[Any], prefix: str | None) -> pa.Array[Any]:
    """Texts with the prefix, put where it is lacking."""
    if not prefix:
        return values
    given: pa.Array[Any] = pc.if_else(
        pc.starts_with(values, prefix), values, pc.binary_join_element_wise(prefix, values, "")
    )
    return given


def first_filled(several: Sequence[pa.Array[Any]]) -> pa.Array[Any]:
    """The first cell of each row that holds something, as it is."""
    first: pa.Array[Any] = pc.coalesce(
        *(
            pc.if_else(cells_text(values).is_valid(), values, pa.scalar(None, pa.string()))
            for values in several
        )
    )
    return first


# --- numbers -----------------------------------------------------------------------------------------


def amounts(
    values: pa.Array[Any], type_: Type, mark: str, rest: Distinct, *, may_be_negative: bool
) -> Converted:
    """Numbers with the decimal mark, as exports print them."""
    found = cells_text(values)
    if not bool(_NUMBER_BYTES[mark][text_bytes(found)].all()):
        found = _without_grouping(found, mark)
    cast = _cast(found, type_, mark)
    if cast is None:
        is_plain = pc.fill_null(pc.match_substring_regex(found, _NUMBER[mark]), False)
        found = pc.if_else(is_plain, found, pa.scalar(None, pa.string()))
        cast = _cast(found, type_, mark)
        if cast is None:  # numbers larger than their column
            return rest.column(values)
    read = _with_rest(values, cast, is_known(found), rest)
    if holds(found, "-"):
        odd = _is_unsigned_zero(found, cast) if may_be_negative else pc.starts_with(found, "-")
        odd = pc.fill_null(odd, False).to_numpy(zero_copy_only=False)
        read.odd = odd if read.odd is None else read.odd | odd
    return read


def _is_unsigned_zero(printed: pa.Array[Any], cast: pa.Array[Any]) -> pa.Array[Any]:
    """Where `-0.00` became 0: in quarantine a row shows its numbers as they were read."""
    is_zero: pa.Array[Any] = pc.and_kleene(
        pc.starts_with(printed, "-"), pc.equal(cast, pa.scalar(0, cast.type))
    )
    return is_zero


def _cast(found: pa.Array[Any], type_: Type, mark: str) -> pa.Array[Any] | None:
    if not bool(_NUMBER_BYTES[mark][text_bytes(found)].all()):
        return None
    try:
        return PLAIN[type_](_pointed(found) if mark == "," else found)
    except MISFITS:
        return None


def _pointed(values: pa.Array[Any]) -> pa.Array[Any]:
    """Each comma a point."""
    data: Any = text_bytes(values).copy()
    data[data == ord(",")] = ord(".")
    starts, lengths, _ = spans(values)
    offsets: Any = np.append(starts, starts[-1] + lengths[-1] if len(starts) else 0).astype(np.int32)
    validity = pa.array(is_known(values)).buffers()[1] if values.null_count else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _without_grouping(values: pa.Array[Any], mark: str) -> pa.Array[Any]:
    """Numbers without what groups their thousands."""
    bare = values
    if any(holds(values, space.encode().decode("latin-1")[0]) for space in _SPACES):
        bare = pc.replace_substring_regex(values, f"[{_SPACES}]", "")
    is_number = pc.match_substring_regex(bare, _NUMBER[mark])
    other = _OTHER_MARK[mark]
    if holds(values, other):
        is_grouped = pc.match_substring_regex(bare, _GROUPED[mark])
        bare = pc.if_else(is_grouped, pc.replace_substring(bare, other, ""), bare)
        is_number = pc.or_(is_number, is_grouped)
    tidy: pa.Array[Any] = pc.if_else(pc.fill_null(is_number, False), bare, values)
    return tidy


def wholes(values: pa.Array[Any], rest: Distinct, *, may_be_negative: bool) -> Converted:
    """Whole numbers."""
    found = cells_text(values)
    pattern = _WHOLE if may_be_negative else _WHOLE.replace("-?", "")
    is_plain = pc.fill_null(pc.match_substring_regex(found, pattern), False)
    cast = pc.if_else(is_plain, found, pa.scalar(None, pa.string())).cast(pa.int64())
    return _with_rest(values, cast, is_plain.to_numpy(zero_copy_only=False), rest)


# --- times -------------------------------------------------------------------------------------------


class Times:
    """Times in the formats of one export, read at once where all their digits stand at fixed places."""

    def __init__(self, moments: Moments) -> None:
        self._zone = moments.zone
        self._formats = [_Format(format_) for format_ in _usable(moments.formats or _ISO)]

    def column(self, values: pa.Array[Any], rest: Distinct, is_date: str | None) -> Converted:
        """Times of one column; `is_date` names the column that tells of days without a time."""
        found = cells_text(values)
        return self._read(values, found, rest, is_date, self._formats)

    def columns(self, several: Sequence[pa.Array[Any]], rest: Distinct, is_date: str | None) -> Converted:
        """Days in one column and their times in the next."""
        if len(several) != 2:
            return rest.columns(several)
        day, clock = (cells_text(values) for values in several)
        both = pc.binary_join_element_wise(day, clock, " ")
        # A line of one day and of one time only: the same format may not be read across both.
        formats = [
            _Format(f"{format_.text} {time}")
            for format_ in self._formats
            if format_.is_day and " " not in format_.text
            for time in ("%H:%M", "%H:%M:%S")
        ]
        read = self._read(both, both, None, is_date, formats)
        left = ~is_known(read.values) & (is_known(several[0]) | is_known(several[1]))
        if not left.any():
            return read
        mask = pa.array(left)
        others = rest.columns([values.filter(mask) for values in several])
        places = np.flatnonzero(left)
        return Converted(
            pc.replace_with_mask(read.values, mask, others.values),
            None if others.odd is None else _marks(places[others.odd], len(left)),
            {
                name: pc.replace_with_mask(
                    read.beside.get(name, pa.nulls(len(left), values.type)), mask, values
                )
                for name, values in others.beside.items()
            }
            | {name: values for name, values in read.beside.items() if name not in others.beside},
        )

    def _read(
        self,
        values: pa.Array[Any],
        found: pa.Array[Any],
        rest: Distinct | None,
        is_date: str | None,
        formats: Sequence[_Format],
    ) -> Converted:
        naive = np.zeros(len(found), dtype=np.int64)
        is_read = np.zeros(len(found), dtype=bool)
        is_day = np.zeros(len(found), dtype=bool)
        held = spans(found)
        lengths = held[1] if len(held[1]) else np.zeros(len(found), dtype=np.int64)
        known = is_known(found)
        for format_ in formats:
            places = np.flatnonzero((lengths == format_.width) & known & ~is_read)
            if len(places):
                read, moments = format_.read(held, places)
                naive[places[read]] = moments[read] + (_END_OF_DAY if format_.is_day else 0)
                is_read[places[read]] = True
                is_day[places[read]] = format_.is_day
        local = pa.array(naive, pa.timestamp("us"), mask=~is_read)
        at = pc.assume_timezone(local, self._zone.key, ambiguous="earliest", nonexistent="earliest")
        # A time that spring skips is read alone: it has the offset of before.
        kept = pc.fill_null(pc.equal(pc.local_timestamp(at), local), False)
        is_read &= kept.to_numpy(zero_copy_only=False)
        times = pc.if_else(kept, at.cast(ARROW["timestamp"]), pa.scalar(None, ARROW["timestamp"]))
        converted = Converted(times) if rest is None else _with_rest(values, times, is_read, rest)
        if is_date is not None:
            days = pa.array(is_day, mask=~is_read)
            others = converted.beside.get(is_date)
            converted.beside[is_date] = days if others is None else pc.coalesce(days, others)
        return converted


def _usable(formats: Sequence[str]) -> list[str]:
    """The formats that may be read at fixed places: no text in one of them can be in an earlier one too."""
    usable: list[str] = []
    earlier: set[str] = set()
    for format_ in formats:
        parts = re.findall(r"%.", format_)
        literals = re.sub(r"%.", "", format_)
        # A format of other directives may read whatever comes after it.
        if any(part[1] not in _WIDTHS and part[1] != "y" for part in parts) or re.search(r"\d", literals):
            break
        shape = re.sub(r"\s+", " ", re.sub(r"%.", "", format_)).casefold()
        if shape in earlier:
            break
        earlier.add(shape)
        clock = [part[1] for part in parts if part[1] in "HMS"]
        date_ = sorted(part[1] for part in parts if part[1] not in "HMS")
        if date_ == sorted("Ymd") and clock == list("HMS")[: len(clock)] and literals.isascii():
            usable.append(format_)
    return usable


class _Format:
    """One format with every directive at a fixed place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_day = not any(part in text for part in ("%H", "%M", "%S"))
        self._literals: list[tuple[int, int]] = []
        self._digits: dict[str, slice] = {}
        at = 0
        for part in re.findall(r"%.|[^%]", text, re.DOTALL):
            if part[0] == "%":
                self._digits[part[1]] = slice(at, at + _WIDTHS[part[1]])
                at += _WIDTHS[part[1]]
            else:
                self._literals.append((at, ord(part)))
                at += 1
        self.width = at

    def read(self, held: tuple[Any, Any, Any], places: Any) -> tuple[Any, Any]:
        """(which of the texts at the places are times of the format, microseconds since 1970)."""
        starts, _, data = held
        if len(places) == len(starts) and len(data) == len(starts) * self.width:
            given = data.reshape(len(starts), self.width)
        else:
            given = data[starts[places][:, None] + np.arange(self.width)]
        good = np.ones(len(places), dtype=bool)
        for at, byte in self._literals:
            good &= given[:, at] == byte
        number = {}
        for part, where in self._digits.items():
            value = np.zeros(len(places), dtype=np.int64)
            for at in range(where.start, where.stop):
                digit = given[:, at] - np.uint8(ord("0"))
                good &= digit <= 9
                value = value * 10 + digit
            number[part] = value
        year, month, day = number["Y"], number["m"], number["d"]
        good &= (year >= _FIRST_YEAR) & (year <= _LAST_YEAR) & (month >= 1) & (month <= 12) & (day >= 1)
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        days = months.astype("datetime64[D]") + (day - 1)
        # The 31st of April would be the first of May.
        good &= days.astype("datetime64[M]") == months
        seconds = days.astype(np.int64) * 86_400
        for part, limit, size in (("H", 24, 3600), ("M", 60, 60), ("S", 60, 1)):
            if part in number:
                good &= number[part] < limit
                seconds += number[part] * size
        return good, seconds * 1_000_000
