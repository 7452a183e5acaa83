"""Casts of whole columns: what `check` does to one value, done to an Arrow array at once.

Each cast reads only what the cast of single values reads the same way, and raises `Misfit` or an error of
Arrow for anything else, valid or not: the caller then looks at the values one by one. So these casts may be
narrower than those, never wider.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors.contract import ARROW
from connectors.errors import RowRefused

# The stubs of its functions know neither scalars of Python nor what arrays give.
pc: Any = pyarrow.compute

# Where the texts of an array stand: their starts, their lengths, all their bytes.
Spans = tuple[Any, Any, Any]

# What a column cast may raise for values that it does not read.
MISFITS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, RowRefused)

_WIDE = pa.decimal128(38, 18)
# Within the years that single values may have, whatever the zone they are written in.
_FIRST_DAY, _LAST_DAY = date(1900, 1, 2), date(2100, 12, 30)
_FIRST_TIME = datetime(1900, 1, 2, tzinfo=UTC)
_LAST_TIME = datetime(2100, 12, 30, tzinfo=UTC)
# First and last bytes of UTF-8 texts that may begin or end in white space.
_MAY_BEGIN = np.isin(np.arange(256), [*range(0x21), 0x7F, 0xC2, 0xE1, 0xE2, 0xE3])
_MAY_END = np.isin(np.arange(256), [*range(0x21), 0x7F, *range(0x80, 0x8B), 0x9F, 0xA0, 0xA8, 0xA9, 0xAF])
# Every text that the cast of a visitor id may take for a phone is among these; ids of browsers rarely are.
_LIKE_A_PHONE = r"(?:^|:)[^A-Za-z:.]{7,17}$"


class Misfit(RowRefused):
    """Some value of the column is none that a column cast reads."""

    def __init__(self) -> None:
        super().__init__("", "does not cast with its column")


def is_text(values: pa.Array[Any]) -> bool:
    """Whether the array holds plain text."""
    return bool(pa.types.is_string(values.type))


def by_value(values: pa.Array[Any], cast: Callable[[Any], Any], type_: pa.DataType) -> pa.Array[Any]:
    """Cast with the function of single values; text is cast once for each distinct one. Raises RowRefused."""

    def one(raw: Any) -> Any:
        return None if raw is None or raw == "" else cast(raw)

    if values.null_count == len(values):
        return pa.array([None] * len(values), type=type_)
    if is_text(values):
        encoded = values.dictionary_encode()
        known = pa.array([one(raw) for raw in encoded.dictionary.to_pylist()], type=type_)
        return known.take(encoded.indices)
    return pa.array([one(raw) for raw in values.to_pylist()], type=type_)


def visitors(values: pa.Array[Any], cast: Callable[[Any], Any]) -> pa.Array[Any]:
    """Ids of browsers and accounts: only what may be an address or a phone is looked at one by one."""
    values = texts(values)
    suspect = pc.or_(pc.match_substring(values, "@"), pc.match_substring_regex(values, _LIKE_A_PHONE))
    suspect = pc.fill_null(suspect, fill_value=False)
    if not pc.any(suspect).as_py():
        return values
    keyed: pa.Array[Any] = pc.replace_with_mask(
        values, suspect, by_value(values.filter(suspect), cast, pa.string())
    )
    return keyed


def texts(values: pa.Array[Any]) -> pa.Array[Any]:
    """Trimmed text, null where nothing is left."""
    if pa.types.is_integer(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.string())
    if not is_text(values):
        raise Misfit
    held = spans(values)
    trimmed = _trimmed(values, held)
    return _empty_as_null(trimmed, held if trimmed is values else spans(trimmed))


def _integers(values: pa.Array[Any]) -> pa.Array[Any]:
    if is_text(values):
        values = _number_texts(values)
        # Arrow reads 0x1F.
        if holds(values, "xX"):
            raise Misfit
        return values.cast(pa.int64())
    if pa.types.is_integer(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.int64())
    raise Misfit


def _decimals(values: pa.Array[Any]) -> pa.Array[Any]:
    narrow = ARROW["decimal"]
    if is_text(values):
        values = _number_texts(values)
    elif not (
        pa.types.is_integer(values.type) or pa.types.is_decimal(values.type) or pa.types.is_null(values.type)
    ):
        raise Misfit
    try:
        return values.cast(narrow)
    except pa.ArrowInvalid:
        # More places than six: half up, as for single values.
        rounded: pa.Array[Any] = pc.round(values.cast(_WIDE), 6, "half_towards_infinity")
        return rounded.cast(narrow)


def _doubles(values: pa.Array[Any]) -> pa.Array[Any]:
    if is_text(values):
        values = _number_texts(values)
    elif pa.types.is_boolean(values.type):
        raise Misfit
    found: pa.Array[Any] = values.cast(pa.float64())
    # Arrow reads nan(1).
    if pc.any(pc.is_nan(found)).as_py():
        raise Misfit
    return found


def _booleans(values: pa.Array[Any]) -> pa.Array[Any]:
    if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.bool_())
    raise Misfit


def _timestamps(values: pa.Array[Any]) -> pa.Array[Any]:
    if is_text(values):
        values = _empty_as_null(values, spans(values))
    elif pa.types.is_timestamp(values.type):
        if values.type.tz is None:
            raise Misfit
    elif not pa.types.is_null(values.type):
        raise Misfit
    found = values.cast(ARROW["timestamp"])
    _require_between(found, _FIRST_TIME, _LAST_TIME)
    return found


def _dates(values: pa.Array[Any]) -> pa.Array[Any]:
    if is_text(values):
        values = _empty_as_null(values, spans(values))
    elif not (pa.types.is_date32(values.type) or pa.types.is_null(values.type)):
        raise Misfit
    found = values.cast(pa.date32())
    _require_between(found, _FIRST_DAY, _LAST_DAY)
    return found


def _require_between(values: pa.Array[Any], first: date, last: date) -> None:
    ends = pc.min_max(values)
    low, high = (pa.scalar(end, type=values.type) for end in (first, last))
    if ends["min"].is_valid and (pc.less(ends["min"], low).as_py() or pc.greater(ends["max"], high).as_py()):
        raise Misfit


def _number_texts(values: pa.Array[Any]) -> pa.Array[Any]:
    """Trimmed, empty ones null; what was nothing but spaces stays "", which no number is."""
    held = spans(values)
    emptied = _empty_as_null(values, held)
    return _trimmed(emptied, held if emptied is values else spans(emptied))


def _trimmed(values: pa.Array[Any], held: Spans) -> pa.Array[Any]:
    """Without white space around. Most columns have none, and looking is ten times faster than trimming."""
    starts, lengths, data = held
    # Unsigned: what is below "!" or above "~".
    if not bool((data - np.uint8(ord("!")) > ord("~") - ord("!")).any()):
        return values
    ends = starts + lengths
    if not bool(lengths.all()):
        starts, ends = starts[lengths > 0], ends[lengths > 0]
    first, last = data[starts], data[ends - 1]
    if bool(_MAY_BEGIN[first].any()) or bool(_MAY_END[last].any()):
        values = pc.utf8_trim_whitespace(values)
    return values


def text_bytes(values: pa.Array[Any]) -> Any:
    """All bytes of a text array's values, as a numpy array."""
    _, offsets, data = values.buffers()
    if offsets is None or data is None or len(values) == 0:
        return np.zeros(0, dtype=np.uint8)
    ends = np.frombuffer(memoryview(offsets), dtype=np.int32)
    first, last = int(ends[values.offset]), int(ends[values.offset + len(values)])
    return np.frombuffer(memoryview(data), dtype=np.uint8)[first:last]


def spans(values: pa.Array[Any]) -> Spans:
    """(starts, lengths, bytes) of a text array, as numpy arrays."""
    _, offsets, _ = values.buffers()
    if offsets is None or len(values) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0, dtype=np.uint8)
    ends = np.frombuffer(memoryview(offsets), dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return ends[:-1] - ends[0], np.diff(ends), text_bytes(values)


def _empty_as_null(values: pa.Array[Any], held: Spans) -> pa.Array[Any]:
    are_empty = held[1] == 0
    if values.null_count:
        are_empty &= values.is_valid().to_numpy(zero_copy_only=False)
    if not bool(are_empty.any()):
        return values
    filled: pa.Array[Any] = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    return filled


def holds(values: pa.Array[Any], characters: str) -> bool:
    """Whether an ASCII character stands anywhere in the texts: far faster than a pattern tells."""
    data = text_bytes(values)
    return any(bool((data == ord(character)).any()) for character in characters)


def lists(values: pa.Array[Any]) -> pa.Array[Any]:
    """Lists of text, null where a list is empty."""
    if pa.types.is_null(values.type):
        return values.cast(ARROW["text[]"])
    if values.type != ARROW["text[]"] or pc.list_flatten(values).null_count:
        raise Misfit
    filled: pa.Array[Any] = pc.if_else(
        pc.equal(pc.list_value_length(values), 0), pa.scalar(None, values.type), values
    )
    return filled


# Casts of the declared types, but for the columns that have rules of their own.
PLAIN: dict[str, Callable[[pa.Array[Any]], pa.Array[Any]]] = {
    "text": texts,
    "integer": _integers,
    "decimal": _decimals,
    "double": _doubles,
    "boolean": _booleans,
    "timestamp": _timestamps,
    "date": _dates,
    "text[]": lists,
}
