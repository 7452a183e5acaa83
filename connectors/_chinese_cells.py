"""Cells of the Chinese ad platforms' reports: days, amounts, names, labels of totals."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from connectors import _cells
from connectors.files import Cell

# How the consoles and spreadsheets write that there is nothing.
NOTHING = frozenset({"", "-", "--", "---", "–", "—", "−", "#N/A", "#VALUE!", "#REF!", "#DIV/0!", "#NAME?"})
_UNIT = re.compile(r"[(（](?:元|次|%|cny|rmb|人民币)[)）]$|%$")
_TOTAL = re.compile(r"(?:总计|合计|总合计|共计|汇总|小计|本页合计|当页合计|全部合计)(?:\s*[:：(（].*)?")
_DELETED = re.compile(r"\s*[\[【(（]\s*已删除\s*[\])】）]\s*$")
_DAY = r"(\d{4})(?:-(\d{1,2})-|/(\d{1,2})/|\.(\d{1,2})\.|年(\d{1,2})月|(\d\d))(\d{1,2})日?"
_CLOCK = r"(?:[\sT]+\d{1,2}(?::\d\d){0,2}(?:\s*-\s*\d{1,2}(?::\d\d){0,2})?时?)?"
_MOMENT = re.compile(_DAY + _CLOCK)
_DAYS = re.compile(r"(?<!\d)" + _DAY + r"(?!\d)")
_BETWEEN = re.compile(r"\s*(?:至|到|~|～|—|–|\s-\s)\s*")
_MONTH = re.compile(r"\d{4}[-/.年]\d{1,2}月?")


def heading(text: str) -> str:
    """A heading as headings are compared: case, spaces, BOM and a trailing unit ignored."""
    return _UNIT.sub("", _cells.header_key(text)).strip()


def read_day(cell: Cell) -> date | None:
    """`2017-10-09`, `2017/10/9`, `20171009`, `2017年10月9日`, each perhaps with an hour; None otherwise.

    Raises ValueError for a period: a month, or two different days.
    """
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = _cells.cell_text(cell)
    if (match := _MOMENT.fullmatch(text)) is not None:
        return _built(match)
    if _MONTH.fullmatch(text):
        raise ValueError("is a month")
    parts = _BETWEEN.split(text)
    if len(parts) == 2:
        first, last = (_MOMENT.fullmatch(part) for part in parts)
        if first is not None and last is not None:
            if first.groups() != last.groups():
                raise ValueError("is a period of several days")
            return _built(first)
    return None


def days_in(text: str) -> list[date]:
    """The days that a text names, in order."""
    return [day for match in _DAYS.finditer(text) if (day := _built(match)) is not None]


def _built(match: re.Match[str]) -> date | None:
    year, *months, day = match.groups()
    month = next(m for m in months if m is not None)
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


@lru_cache(maxsize=1 << 16)  # prices and counts repeat
def amount(text: str) -> Decimal | None:
    """A number with a decimal point, commas grouping thousands; None for anything else."""
    if "%" in text or not text or text.count(".") > 1:
        return None
    try:
        plain = _cells.number_text(text, ".")
    except ValueError:
        return None
    return None if plain is None else Decimal(plain)


@lru_cache(maxsize=1 << 14)  # the names of a column repeat
def without_deleted_mark(name: str | None) -> tuple[str | None, bool | None]:
    """(`Brand`, True) of `Brand[已删除]`."""
    if name is None:
        return None, None
    plain = _DELETED.sub("", name)
    return plain or None, plain != name


@lru_cache(maxsize=1 << 14)
def is_label(text: str) -> bool:
    """Whether a cell calls its row a total."""
    return _TOTAL.fullmatch(text) is not None


def product_line(text: str | None) -> str:
    """A product line as reports name it -> display, feed, search (also for none), else its own name."""
    if text is None:
        return "search"
    for mark, product in (("展示", "display"), ("信息流", "feed"), ("搜索", "search")):
        if mark in text:
            return product
    return text.lower()
