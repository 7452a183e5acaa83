"""Cells of clinics' own exports: numbers, dates, times and marks as people and spreadsheets write them.

Nothing here guesses between two readings: where decimal and thousands separators or day and month could
be told apart only by luck, the configuration says which is which and everything else is a ValueError.
"""

# Exports hold wall-clock times; they stay naive until `Moments.moment` puts them into the source's zone.
# ruff: noqa: DTZ001, DTZ007

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from connectors.files import Cell

# Spreadsheet error values: the cell holds nothing.
_ERRORS = frozenset({"#N/A", "#N/D", "#Н/Д", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
DASHES = frozenset({"-", "–", "—", "−", "\u2010", "\u2011"})
# Letters that look alike and get mixed within one word ("сonfirmed" with a Cyrillic с).
_LOOK_ALIKES = str.maketrans("авекмнорстухё", "abekmhopctyxe")

_SPACES = re.compile(r"\s+")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_PLAIN_COMMA = re.compile(r"-?\d+(?:,\d+)?")
# U+00A0, U+202F, U+2009 and plain spaces group thousands; so do apostrophes in Switzerland.
_GROUPING = re.compile("[\\s\u00a0\u202f\u2007\u2009'\u2019]")
_MINUSES = re.compile("[\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d]")
# A currency on either side of the digits, by sign, ISO 4217 code or usual short form. Not any word: in
# "12 тыс." or "3 млн" it multiplies.
_CURRENCY = (
    r"(?:[\u20a0-\u20cf$£¥元]|[A-Z]{3}|[Рр](?:уб(?:л[а-я]{1,2})?)?\.?|евро|грн\.?|тг\.?|kn|zł|Kč|lei|Ft)?"
)
_MONEY = re.compile(
    rf"(?P<sign>[+-]?){_CURRENCY}(?P<inner>[+-]?)(?P<digits>\d[\d.,]*|[.,]\d+){_CURRENCY}(?P<trailing>-?)"
)
_GROUPED = {
    ".": re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d*)?"),
    ",": re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d*)?"),
}
_SINGLE = {".": re.compile(r"\d*\.?\d*"), ",": re.compile(r"\d*,?\d*")}

_TRUE = frozenset({"да", "д", "+", "истина", "1", "yes", "y", "true", "v", "x", "✓", "✔", "da", "ja", "是"})
_FALSE = frozenset({"нет", "н", "-", "–", "—", "−", "ложь", "0", "no", "n", "false", "ne", "nein", "否"})

_CLOCK = re.compile(r"(\d{1,3}):([0-5]?\d)(?::([0-5]?\d)(?:[.,]\d+)?)?")
# The 1900 date system counts 29 February 1900, which never was; serials are right from 1 March 1900 on.
_EXCEL_EPOCH = datetime(1899, 12, 30)
_SERIAL = re.compile(r"\d{5}(?:[.,]\d+)?")
_FIRST_SERIAL, _LAST_SERIAL = 61, 73_050  # 1 March 1900 to the end of 2099

_RUINED_ID = re.compile(r"\d+(?:[.,]\d+)?E\+\d+|\d+[.,]\d+E\d+", re.IGNORECASE)
# A double holds fifteen digits for sure; spreadsheets put zeros for the rest.
_EXACT_LIMIT = 10**15


@lru_cache(maxsize=1 << 14)  # the texts of a column repeat: statuses, payers, branches
def fold(text: str) -> str:
    """Text as values are compared: trimmed, case and look-alike letters of two alphabets ignored."""
    return _SPACES.sub(" ", text.strip()).casefold().translate(_LOOK_ALIKES)


def header_key(text: str) -> str:
    """A column heading as headings are compared: trimmed, case and line breaks ignored."""
    return _SPACES.sub(" ", text.strip().strip("\ufeff")).casefold()


def cell_text(cell: Cell) -> str:
    """The cell as text; "" when it is empty or a spreadsheet error. Whole numbers have no `.0`."""
    if isinstance(cell, str):
        text = cell.strip()
        return "" if text and text[0] == "#" and text.upper() in _ERRORS else text
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    return str(cell)


def is_dash(text: str) -> bool:
    """Whether a cell holds nothing but a dash, the usual mark for "none"."""
    return text in DASHES


def id_text(cell: Cell) -> str:
    """A record number as text. Raises ValueError when a spreadsheet has destroyed its digits."""
    if isinstance(cell, (int, float)) and not isinstance(cell, bool) and abs(cell) >= _EXACT_LIMIT:
        raise ValueError("has more digits than a spreadsheet keeps; export it as text")
    text = cell_text(cell)
    if ("E" in text or "e" in text) and _RUINED_ID.fullmatch(text):
        raise ValueError("was ruined by a spreadsheet (1,23E+10); export it as text")
    return text


def number_text(text: str, decimal: str) -> str | None:
    """A number as exports print it -> digits with `.` and a leading minus; None for empty or a dash.

    `decimal` is the decimal separator, "," or "."; the other one groups thousands, as do spaces of all
    kinds. A minus may be U+2212 or trailing, an amount in parentheses is negative, a currency may stand
    on either side. Raises ValueError for anything else.
    """
    if decimal == ".":
        if _PLAIN.fullmatch(text):
            return text
    elif _PLAIN_COMMA.fullmatch(text):
        return text.replace(",", ".")
    packed = _MINUSES.sub("-", _GROUPING.sub("", text))
    if packed in ("", "-"):
        return None
    negative = packed.startswith("(") and packed.endswith(")")
    match = _MONEY.fullmatch(packed[1:-1] if negative else packed)
    if match is None:
        raise ValueError("is not a number")
    signs = match["sign"] + match["inner"] + match["trailing"]
    if len(signs) > 1 or (negative and signs):
        raise ValueError("is not a number")
    digits = match["digits"]
    if _GROUPED[decimal].fullmatch(digits):
        digits = digits.replace("," if decimal == "." else ".", "")
    elif not _SINGLE[decimal].fullmatch(digits):
        raise ValueError(f"is not a number with the decimal separator {decimal!r}")
    whole, _, fraction = digits.partition(decimal)
    plain = f"{whole or '0'}.{fraction}" if fraction else whole or "0"
    return f"-{plain}" if negative or "-" in signs else plain


def boolean(text: str) -> bool | None:
    """Да/Нет, +/-, Истина/Ложь, 1/0, yes/no, V. Raises ValueError for any other text."""
    folded = text.casefold()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ValueError("is neither yes nor no")


def seconds(cell: Cell) -> int | None:
    """A duration `1:35` (minutes and seconds), `0:01:35` or a spreadsheet's time -> whole seconds.

    None when the cell is not written as a duration.
    """
    if isinstance(cell, time):
        return cell.hour * 3600 + cell.minute * 60 + cell.second
    if not isinstance(cell, str) or ":" not in cell:
        return None
    match = _CLOCK.fullmatch(cell.strip())
    if match is None:
        return None
    first, second, third = match.groups()
    if third is None:
        return int(first) * 60 + int(second)
    return int(first) * 3600 + int(second) * 60 + int(third)


# The directives that exports use, in the alternatives of the standard library's strptime, which is four
# times slower: it looks its locale up on every call.
_DIRECTIVES = {
    "d": "(?P<d>3[01]|[12][0-9]|0[1-9]|[1-9])",
    "m": "(?P<m>1[0-2]|0[1-9]|[1-9])",
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "H": "(?P<H>2[0-3]|[01][0-9]|[0-9])",
    "M": "(?P<M>[0-5][0-9]|[0-9])",
    "S": "(?P<S>[0-5][0-9]|[0-9])",
}
_TIME_DIRECTIVES = frozenset("HIMSfpXc")
_DATE_DIRECTIVES = frozenset("YyxcG")
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)


def _parts(format_: str) -> list[str]:
    return _DIRECTIVE.findall(format_)


def has_time(format_: str) -> bool:
    """Whether a strptime format tells the time of day."""
    return any(part in _TIME_DIRECTIVES for part in _parts(format_))


def check_format(format_: str) -> None:
    """Raises ValueError unless the text is a strptime format of a day, with or without a time."""
    parts = _parts(format_)
    if not any(part in _DATE_DIRECTIVES for part in parts):
        raise ValueError("write a format with a year, as Python's strptime reads it, e.g. %d.%m.%Y %H:%M")
    sample = datetime(2024, 1, 31, 13, 45, 59)
    try:
        datetime.strptime(sample.strftime(format_), format_)
    except (ValueError, re.error) as error:
        raise ValueError(f"not a format of Python's strptime ({error})") from error


def date_part(format_: str) -> str | None:
    """The leading part of a date-and-time format that is a whole date, None when there is none."""
    for match in _DIRECTIVE.finditer(format_):
        if match[1] in _TIME_DIRECTIVES:
            head = format_[: match.start()].rstrip(" T,;-")
            return head if any(part in _DATE_DIRECTIVES for part in _parts(head)) else None
    return format_


def compile_format(format_: str) -> Callable[[str], datetime | None]:
    """A parser equal to `datetime.strptime(text, format_)`, but None where that raises ValueError."""
    parts = _parts(format_)
    used = set(parts)
    clock = [part for part in "HMS" if part in used]
    if (
        len(used) == len(parts)
        and {"d", "m"} <= used <= set(_DIRECTIVES)
        and len({"Y", "y"} & used) == 1
        and clock == list("HMS")[: len(clock)]
    ):
        pattern, end = "", 0
        for match in _DIRECTIVE.finditer(format_):
            pattern += _literal(format_[end : match.start()]) + _DIRECTIVES[match[1]]
            end = match.end()
        return _fast(re.compile(pattern + _literal(format_[end:]), re.IGNORECASE))

    def slow(text: str) -> datetime | None:
        try:
            return datetime.strptime(text, format_)
        except ValueError:
            return None

    return slow


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(piece) for piece in re.split(r"\s+", text))


def _fast(pattern: re.Pattern[str]) -> Callable[[str], datetime | None]:
    groups = pattern.groupindex
    names = [name for name in ("Y", "y", "m", "d", "H", "M", "S") if name in groups]  # as datetime takes them
    is_short = "y" in groups
    fullmatch = pattern.fullmatch

    def parse(text: str) -> datetime | None:
        match = fullmatch(text)
        if match is None:
            return None
        year, month, day, hour, minute, second = (*map(int, match.group(*names)), 0, 0, 0)[:6]
        if is_short:
            year += 1900 if year >= 69 else 2000  # as POSIX and strptime do
        try:
            return datetime(year, month, day, hour, minute, second)
        except ValueError:
            return None

    return parse


class Moments:
    """Reads dates and times in the formats of one export.

    `formats` are tried in order, those of whole moments first; without any, ISO 8601 is read. A text in
    none of the formats is a ValueError: a second guess could swap day and month.
    """

    def __init__(self, formats: Sequence[str], date_formats: Sequence[str], zone: ZoneInfo) -> None:
        self.zone = zone
        ordered = [*formats, *date_formats]
        ordered += [part for f in formats if (part := date_part(f)) is not None and part not in ordered]
        # In the order in which they are tried; none: ISO 8601.
        self.formats = tuple(dict.fromkeys(ordered))
        self._parsers = [(compile_format(f), not has_time(f)) for f in self.formats]
        self._described = " or ".join(dict.fromkeys((*formats, *date_formats))) or "ISO 8601"

    def read(self, cell: Cell) -> tuple[datetime, bool] | None:
        """(moment, whether only the day is known); aware where the text has an offset, else naive.

        None for an empty cell, a lone dash and the empty date of 1C (year 1). A spreadsheet's date at
        midnight counts as a day: it does not tell the two apart.
        """
        if isinstance(cell, str):
            found = self._text(cell)
            return None if found is not None and found[0].year == 1 else found
        if cell is None:
            return None
        if isinstance(cell, datetime):
            return cell, cell.time() == time()
        if isinstance(cell, date):
            return datetime(cell.year, cell.month, cell.day), True
        if isinstance(cell, (bool, time)):
            raise ValueError("is not a date")  # noqa: TRY004 - a fault of the cell, not of the caller
        return _from_serial(float(cell))

    def _text(self, raw: str) -> tuple[datetime, bool] | None:
        text = raw.strip()
        if not text:
            return None
        for parse, is_day in self._parsers:
            moment = parse(text)
            if moment is not None:
                return moment, is_day
        if not self._parsers:
            try:
                return datetime.fromisoformat(text), len(text) <= 10
            except ValueError:
                pass
        if not any(character.isalnum() for character in text):
            return None  # "-", and what 1C prints for an empty date: "  .  .    "
        if _SERIAL.fullmatch(text):
            return _from_serial(float(text.replace(",", ".")))
        raise ValueError(f"is not a date in the format {self._described}")

    def joined(self, cells: Sequence[Cell]) -> tuple[datetime, bool] | None:
        """A day in one cell and its time in a later one. Raises ValueError for a time without a day."""
        day: tuple[datetime, bool] | None = None
        for cell in cells:
            if not cell_text(cell):
                continue
            if day is None:
                day = self.read(cell)
                continue
            clock = _time_of(cell)
            if clock is None:
                raise ValueError("has a time that is not like 10:30")
            if day[1]:
                day = datetime.combine(day[0], clock, tzinfo=day[0].tzinfo), False
        return day

    def moment(self, found: tuple[datetime, bool]) -> datetime:
        """The aware time: the end of the local day where only the day is known."""
        at, is_day = found
        if is_day:
            return at.replace(hour=23, minute=59, second=59, microsecond=999999, tzinfo=self.zone)
        return at if at.tzinfo is not None else at.replace(tzinfo=self.zone)

    def day(self, found: tuple[datetime, bool]) -> date:
        """The local day."""
        at = found[0]
        if at.tzinfo is not None and not found[1] and 1 < at.year < 9999:
            at = at.astimezone(self.zone)
        return at.date()


def _time_of(cell: Cell) -> time | None:
    if isinstance(cell, datetime):
        return cell.time()
    if isinstance(cell, time):
        return cell
    match = _CLOCK.fullmatch(cell.strip()) if isinstance(cell, str) else None
    if match is None or int(match[1]) > 23:
        return None
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


def _from_serial(serial: float) -> tuple[datetime, bool]:
    if not _FIRST_SERIAL <= serial <= _LAST_SERIAL:
        raise ValueError("is a number, not a date")
    days, rest = divmod(serial, 1)
    moment = _EXCEL_EPOCH + timedelta(days=days, seconds=round(rest * 86_400))
    return moment, rest == 0
