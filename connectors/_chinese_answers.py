"""Answers of the Chinese ad platforms' APIs, saved or just got: JSON taken apart, pages put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from connectors._api import Answer, Api
from connectors._chinese_cells import amount, read_day
from connectors.contract import ReadLog
from connectors.errors import FileRefused, IncompleteError
from connectors.files import InboxFile

# (answer, record of it)
Found = tuple[Answer, dict[str, Any]]


def parsed(file: InboxFile) -> Any:
    """The JSON of a saved answer, fractions as Decimal. Raises FileRefused when it is not whole."""
    ((_, body),) = file.json_items("")
    return body


def part(value: Any, *names: str) -> Any:
    """What lies under the names, None where a step is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def records(file: InboxFile, listed: Any, what: str) -> list[dict[str, Any]]:
    """The list of records of an answer. Raises FileRefused when there is none."""
    if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
        raise FileRefused(f"{file.name}: is no answer of {what}; save the report's answer unchanged")
    return listed


def record_day(file: InboxFile, number: int, raw: Any) -> date | None:
    """The day of a record. Raises FileRefused for a record of several days."""
    try:
        return read_day(None if raw is None else str(raw))
    except ValueError as error:
        raise FileRefused(f"{file.name}: record {number}: its date {error}, no day; ask for days") from None


def text_id(raw: Any) -> str | None:
    """An id as text; None for the 0 and the dash that stand for none."""
    text = "" if raw is None else str(raw).strip()
    return None if text in ("", "0", "-", "--") else text


def text_or_none(raw: Any) -> str | None:
    """A name, None for an empty one or a dash."""
    text = "" if raw is None else str(raw).strip()
    return None if text in ("", "-", "--") else text


def decimal_or_none(raw: Any) -> Decimal | None:
    """A number, sent as number or text, None for anything else (`-`, null, true)."""
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, (int, Decimal)):
        return Decimal(raw)
    return amount(str(raw).strip())


def require_whole(file: InboxFile, log: ReadLog, held: int, announced: Any, label: str, remedy: str) -> None:
    """Note how many rows an answer announces. Raises FileRefused for one page of several.

    Each page would replace the days of the one before.
    """
    if not isinstance(announced, int):
        return
    log.control_totals[label, "rows"] = Decimal(announced)
    if announced > held:
        raise FileRefused(f"{file.name}: is one page of several ({held} of {announced} rows); {remedy}")


def numbered_pages(
    api: Api,
    ask: Callable[[int], Answer],
    listed_in: Callable[[Answer], list[dict[str, Any]]],
    key_of: Callable[[dict[str, Any]], tuple[Any, ...]],
    page_rows: int,
    log: ReadLog,
) -> Iterator[Found]:
    """Every record of pages 1, 2, … as `data.page_info` announces them, each once.

    Rows that move between pages are seen twice, or not at all: raises IncompleteError when there are fewer
    than announced.
    """
    seen: set[tuple[Any, ...]] = set()
    page, pages, announced = 1, 1, None
    while page <= pages:
        answer = ask(page)
        listed = listed_in(answer)
        info = part(answer.json(), "data", "page_info")
        announced = part(info, "total_number")
        last = part(info, "total_page")
        pages = last if isinstance(last, int) else page + (len(listed) == page_rows)
        for record in listed:
            if (key := key_of(record)) not in seen:
                seen.add(key)
                yield answer, record
        if not listed:
            break
        page += 1
    if isinstance(announced, int):
        log.control_totals["answer", "rows"] = Decimal(announced)
        if len(seen) < announced:
            raise api.error(IncompleteError, f"the report gave {len(seen)} of {announced} rows")
