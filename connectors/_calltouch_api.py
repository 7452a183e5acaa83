"""Calltouch's API: the two journals day by day, and its own count of calls.

The token goes in the query: `clientApiId`, or `access_token` for the statistics. Limits: five requests a
second from one address for all sites together, and a number of points a day for every site. The journals
write days differently: calls dd/mm/yyyy, requests mm/dd/yyyy; both read 03/04 without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from connectors._api import Answer, Api
from connectors.contract import ReadLog, Window
from connectors.errors import ApiError, IncompleteError, PermanentError

_PAGE = 1000
_DAY = timedelta(days=1)
# Days of one request for the requests journal, which has no pages.
_SPAN = 7

# What is asked for beside the bare call; without it the tags, ids of campaigns and callbacks are left out.
# The transcript, the comments and the visitor's history are not.
_WITH_CALLS = {
    "withCallTags": "true",
    "withYandexDirect": "true",
    "withGoogleAdwords": "true",
    "withCallbackInfo": "true",
}
_WITH_REQUESTS = {"withRequestTags": "true", "withYandexDirect": "true", "withGoogleAdwords": "true"}


def call_day(day: date) -> str:
    """A day as the calls journal and the statistics write it: dd/mm/yyyy."""
    return f"{day:%d/%m/%Y}"


def request_day(day: date) -> str:
    """A day as the requests journal writes it: mm/dd/yyyy."""
    return f"{day:%m/%d/%Y}"


class Journals:
    """The journals of one project."""

    def __init__(self, name: str, base_url: str, *, site_id: str, token: SecretStr, attribution: int) -> None:
        self.api = Api(name, base_url, per_second=4, secrets=[token])
        self._site = site_id
        self._token = token.get_secret_value()
        self._attribution = str(attribution)

    def calls(self, window: Window, log: ReadLog) -> Iterator[list[Any]]:
        """Pages of calls of the window's days and of the days beside it, then the vendor's own counts.

        Raises IncompleteError for a day of which fewer calls came than its last page announces.
        """
        announced = 0
        for day in _days(window.since - _DAY, window.until + _DAY):
            is_inside = window.since <= day <= window.until
            found: set[str] = set()
            total: int | None = None
            for records, announced_now in self._pages(day):
                total = announced_now
                found.update(str(r["callId"]) for r in records if isinstance(r, dict) and "callId" in r)
                yield records
            # Calls still arrive on the day after the window, so that its pages shift.
            if is_inside and total is not None:
                if len(found) < total:
                    raise self.api.error(IncompleteError, f"gave {len(found)} of {total} calls of {day}")
                announced += total
        log.control_totals["journal", "calls"] = Decimal(announced)
        self._count(window, log)

    def requests(self, window: Window) -> Iterator[list[Any]]:
        """The requests of the window's days and of the days beside it, some of them twice.

        Whether `dateTo` includes its own day is nowhere written, so every span is asked for to the day after.
        """
        since, last = window.since - _DAY, window.until + _DAY
        while since <= last:
            until = min(since + timedelta(days=_SPAN - 1), last)
            answer = self.api.get(
                "/calls-service/RestAPI/requests",
                {
                    "clientApiId": self._token,
                    "siteId": self._site,
                    "dateFrom": request_day(since),
                    "dateTo": request_day(until + _DAY),
                    "attribution": self._attribution,
                    **_WITH_REQUESTS,
                },
            )
            yield self._records(answer)[0]
            since = until + _DAY

    def yesterday(self, zone: ZoneInfo) -> tuple[date, int]:
        """(day, its calls), from one small request."""
        day = datetime.now(zone).date() - _DAY
        records, head = self._records(self._page(day, 1, limit=1))
        return day, _whole(head.get("recordsTotal"), len(records))

    def _pages(self, day: date) -> Iterator[tuple[list[Any], int | None]]:
        """(calls, how many the day has by this page's head) of a day, page by page."""
        page = 1
        while True:
            records, head = self._records(self._page(day, page, limit=_PAGE))
            yield records, head.get("recordsTotal")
            # Zero pages of an empty day, and none in an answer without pages.
            pages = _whole(head.get("pageTotal"), 0)
            if page >= pages:
                return
            if not records:
                raise self.api.error(IncompleteError, f"gave no calls on page {page} of {pages} of {day}")
            page += 1

    def _page(self, day: date, page: int, *, limit: int) -> Answer:
        return self.api.get(
            f"/calls-service/RestAPI/{self._site}/calls-diary/calls",
            {
                "clientApiId": self._token,
                "dateFrom": call_day(day),
                "dateTo": call_day(day),
                "page": page,
                "limit": limit,
                "attribution": self._attribution,
                **_WITH_CALLS,
            },
        )

    def _records(self, answer: Answer) -> tuple[list[Any], dict[str, Any]]:
        """(records, head) of an answer; a bare array has no head. Raises PermanentError for any other."""
        body = answer.json()
        if isinstance(body, list):
            return body, {}
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list):
            has = ", ".join(sorted(body)[:5]) if isinstance(body, dict) and body else "nothing"
            raise self.api.error(
                PermanentError, f"{answer.name}: is no journal (it has {has} but no records)"
            )
        return records, {name: value for name, value in body.items() if name != "records"}

    def _count(self, window: Window, log: ReadLog) -> None:
        """Keep the statistics' own count of the window's calls; it is no reason to lose them."""
        try:
            answer = self.api.get(
                f"/calls-service/RestAPI/statistics/{self._site}/calls/total-count",
                {
                    "access_token": self._token,
                    "dateFrom": call_day(window.since),
                    "dateTo": call_day(window.until),
                },
            )
        except ApiError as error:
            log.notes.append(f"without the statistics' count of calls: {error}")
            return
        counts = _numbers(answer.json())
        if len(counts) == 1:
            log.control_totals["statistics", "calls"] = Decimal(counts[0])
        else:
            log.notes.append("the statistics' count of calls is not one number, so it is not compared")


def _days(since: date, until: date) -> Iterator[date]:
    for offset in range((until - since).days + 1):
        yield since + timedelta(days=offset)


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _numbers(body: Any) -> list[int]:
    """The whole numbers of an answer that is one, or a map of them."""
    values = body.values() if isinstance(body, dict) else [body]
    return [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
