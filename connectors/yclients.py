"""YCLIENTS (abroad: Altegio): records, finance, clients, staff and reviews of one branch, by its API.

Format: vendor's API Blueprint of September 2024 and developers.yclients.com, version 2 of the answers
(`{success, data, meta}`). One source is one branch (`company_id`): a branch has its own time zone, licence
and right of access, and a fault of one must not silence the others.

What differs from the look of it:
- There is no status "cancelled": a cancelled booking is a deleted record, so records are read with the
  deleted ones among them.
- Several records share a visit; a record's services and goods become one row each.
- A record without a client is time that the desk blocked, or a passer-by: nobody's booking.
- `meta` of the finance list is empty and the page size may be capped unsaid, so lists are read on until a
  page brings nothing new.
- Whether money is real is told by a filter, not by a field: the list is asked twice.
- Ids are text or numbers, flags are booleans or 0/1, an absent object is null or [].

Names, comments and the query of the booking page's address are never handed over.

    python -m connectors.yclients --stream records answer.json
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from connectors import cli
from connectors._api import Answer, Api
from connectors._yclients_rows import (
    STREAMS,
    Reading,
    Rows,
    YclientsOptions,
    as_object,
    company_values,
    id_of,
    items_of,
)
from connectors.contract import Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.files import InboxFile

# 200 requests a minute and five a second are allowed.
_PER_SECOND = 3
_ACCEPT = "application/vnd.yclients.v2+json"
# The most that any list gives at once.
_PAGE_ROWS = 200
_DAY = timedelta(days=1)
# The desk plans further ahead than this only in part.
_AHEAD_DAYS = 90


def _judge(answer: Answer) -> ApiError | None:
    """Errors that YCLIENTS tells in `meta.message`, under its own statuses or 200 with success: false."""
    try:
        body = answer.json()
    except ValueError:
        return None
    if not isinstance(body, dict) or body.get("success") is not False:
        return None
    said = " ".join(str(as_object(body.get("meta")).get("message") or "no reason given").split())[:200]
    match answer.status:
        case 401:
            return AuthError(f"the tokens were refused ({said})")
        case 402:
            # Not a matter of the token, and no other branch's.
            return PermanentError(f"the branch's licence has run out ({said})")
        case 403:
            return AuthError(f"the user may not see this ({said}); give it the right in YCLIENTS")
        case 429 | 500 | 502 | 503 | 504:
            return None  # told apart by the status, with its Retry-After
        case 409 | 423:
            return TransientError(f"HTTP {answer.status} ({said})")
    return PermanentError(f"HTTP {answer.status} ({said})")


class _Branch:
    """The lists of one branch."""

    def __init__(self, source: YclientsOptions) -> None:
        partner, user = source.partner_token, source.user_token
        assert partner is not None
        assert user is not None
        both = f"Bearer {partner.get_secret_value()}, User {user.get_secret_value()}"
        self.id = str(source.company_id)
        self.api = Api(
            source.name,
            source.base_url,
            per_second=_PER_SECOND,
            headers={"Authorization": both, "Accept": _ACCEPT},
            secrets=[partner, user],
            setting="user_token",
            judge=_judge,
        )

    def data(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """`data` of an answer that is not paged."""
        return self._data(self.api.get(path, params), path)

    def listed(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a list, each id once. Raises IncompleteError when fewer came than were announced."""
        given = params or {}
        return self._pages(
            path, lambda page: self.api.get(path, {**given, "page": page, "count": _PAGE_ROWS})
        )

    def searched_clients(self) -> Iterator[dict[str, Any]]:
        """Every client, with no more of the card than is needed."""
        path = f"/company/{self.id}/clients/search"
        body = {
            "page_size": _PAGE_ROWS,
            "fields": ["id", "phone", "email", "first_visit_date"],
            "order_by": "id",
            "order_by_direction": "ASC",
        }
        return self._pages(path, lambda page: self.api.post(path, {**body, "page": page}))

    def _data(self, answer: Answer, path: str) -> Any:
        body = answer.json()
        if not isinstance(body, dict) or "data" not in body:
            raise self.api.error(PermanentError, f"{path}: answered without `data`")
        return body["data"]

    def _pages(self, path: str, ask: Callable[[int], Answer]) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        announced: int | None = None
        for page in itertools.count(1):
            answer = ask(page)
            data = self._data(answer, path)
            if not isinstance(data, list):
                raise self.api.error(PermanentError, f"{path}: `data` is no list")
            total = as_object(answer.json().get("meta")).get("total_count")
            if isinstance(total, int):
                # Records come and go while a list is read: the least that was ever announced must be there.
                announced = total if announced is None else min(announced, total)
            is_new = False
            for item in data:
                identity = str(as_object(item).get("id"))
                if identity not in seen:
                    seen.add(identity)
                    is_new = True
                    yield item
            if not is_new:
                break
        if announced is not None and len(seen) < announced:
            raise self.api.error(IncompleteError, f"{path}: gave {len(seen)} of {announced} items")


def _day(day: date) -> str:
    return day.isoformat()


def _changed(window: Window) -> dict[str, str]:
    # Whether these are local or UTC is not documented: a day more on either side covers both.
    return {
        "changed_after": f"{window.since - _DAY}T00:00:00",
        "changed_before": f"{window.until + 2 * _DAY}T00:00:00",
    }


def _has_begun(window: Window) -> bool:
    return window.since <= datetime.now(tz=window.zone).date()


def _records(branch: _Branch, window: Window) -> Iterator[dict[str, Any]]:
    """Records of the window's days, and those that were changed in it wherever they lie."""
    path = f"/records/{branch.id}"
    # The branch's days may be those of another zone than the source's: one more on either side.
    dates = {"start_date": _day(window.since - _DAY), "end_date": _day(window.until + _DAY)}
    asked = [dates, _changed(window)] if _has_begun(window) else [dates]
    seen: set[str] = set()
    for params in asked:
        for item in branch.listed(path, {**params, "with_deleted": 1}):
            identity = str(as_object(item).get("id"))
            if identity not in seen:
                seen.add(identity)
                yield item


def _transactions(branch: _Branch, window: Window, reading: Reading) -> Iterator[dict[str, Any]]:
    """Operations of the window's days, and those changed in it, each with whether it is real money."""
    path = f"/transactions/{branch.id}"
    accounts = branch.data(f"/accounts/{branch.id}")
    reading.cash_accounts = {
        identity: str(account.get("type")) == "0"
        for account in items_of(accounts)
        if (identity := id_of(account.get("id"))) is not None
    }
    dates = {"start_date": _day(window.since - _DAY), "end_date": _day(window.until + _DAY)}
    found: dict[str, dict[str, Any]] = {}
    real: set[str] = set()
    for params in (dates, _changed(window)):
        found |= {str(item.get("id")): item for item in branch.listed(path, {**params, "deleted": 0})}
        # After the whole list: what is entered in between is in this one only, and does no harm.
        listed = branch.listed(path, {**params, "deleted": 0, "real_money": 1})
        real |= {str(item.get("id")) for item in listed}
    reading.real = frozenset(real)
    yield from found.values()


class Yclients(Connector[YclientsOptions]):
    """One branch in YCLIENTS or Altegio."""

    kind: ClassVar[str] = "yclients"
    title: ClassVar[str] = "YCLIENTS / Altegio"
    options: ClassVar[type[SourceOptions]] = YclientsOptions
    feeds: ClassVar[tuple[str, ...]] = (
        "appointments",
        "visits",
        "visit_lines",
        "payments",
        "patients",
        "contacts",
        "reviews",
    )

    def streams(self, source: YclientsOptions) -> tuple[Stream, ...]:
        """The same for every branch."""
        return STREAMS

    def route(self, source: YclientsOptions, stream: Stream) -> Route | None:
        """Records and money by day, the small tables whole."""
        if source.user_token is None:
            return None
        if stream.name == "records":
            return Route(window_days=31, ahead_days=_AHEAD_DAYS)
        if stream.name == "transactions":
            return Route(window_days=31)
        return Route("whole")

    def fetch(self, source: YclientsOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the items of a window. Raises ApiError."""
        branch = _Branch(source)
        reading = Reading(source, log)
        match stream.name:
            case "companies":
                items: Iterator[Any] = iter([branch.data(f"/company/{branch.id}")])
            case "staff":
                items = iter(items_of(branch.data(f"/company/{branch.id}/staff")))
            case "records":
                items = _records(branch, window)
            case "transactions":
                items = _transactions(branch, window, reading)
            case "clients":
                items = branch.searched_clients()
            case _:
                items = branch.listed(f"/comments/{branch.id}")
        rows = Rows(stream, reading)
        for item in items:
            yield from rows.of(item)
        reading.note_masked()

    def probe(self, source: YclientsOptions) -> str:
        """Ask for the branch itself."""
        company = as_object(_Branch(source).data(f"/company/{source.company_id}"))
        reading = Reading(source, ReadLog())
        (values,) = company_values(company, reading)
        return "; ".join([f"answers as branch {values['title']}", *reading.log.notes])

    def read(self, file: InboxFile, stream: Stream, source: YclientsOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the items of a saved answer. Raises FileRefused for anything but a whole answer."""
        if file.first_character() != "{":
            raise FileRefused(
                f"{file.name}: is no answer of the API; YCLIENTS is read from its API, by `user_token`"
            )
        has_data = False
        for name, event, value in file.json_head():
            if name == "success" and value is False:
                raise FileRefused(f"{file.name}: holds an error of the API, no data; ask for it again")
            has_data = has_data or (name == "data" and event in ("start_array", "start_map"))
        if not has_data:
            raise FileRefused(f"{file.name}: has no `data`; save the API's answer as it came")
        reading = Reading(source, log)
        rows = Rows(stream, reading)
        for prefix in ("data.item", "data"):
            found = False
            for _, item in file.json_items(prefix):
                if isinstance(item, list):
                    continue
                found = True
                yield from rows.of(item)
            if found:
                break
        reading.note_masked()


CONNECTOR = Yclients()

if __name__ == "__main__":
    cli.main(CONNECTOR)
