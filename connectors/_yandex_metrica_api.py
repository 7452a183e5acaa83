"""Yandex Metrica's APIs: logs that are ordered, waited for, downloaded in parts and cleaned; daily totals.

yandex.com/dev/metrika/en/logs: a request for logs queues and is then kept, with every other of the counter,
within 10 GB; what nobody cleans fills that, and `evaluate` answers that nothing is possible. So a request is
cleaned whatever became of it. Sampling and errors: …/en/stat/sampling and …/en/intro/errors.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from pydantic import SecretStr

from connectors._api import Answer, Api, retry_after
from connectors.contract import ReadLog
from connectors.errors import ApiError, AuthError, IncompleteError, PermanentError, TransientError

# Seconds between two looks at a request, and for how long it is looked at.
_EVERY = 20.0
_AT_MOST = 3600.0
# error_type -> seconds to wait. Those of a day are over at midnight UTC, so the next night asks again.
_QUOTAS = {
    "quota_requests_by_ip": 2.0,
    "quota_parallel_requests": 60.0,
    "quota_requests_by_uid": 3600.0,
    "quota_requests_by_counter_id": 3600.0,
}
_REFUSED = frozenset({"access_denied", "counter_in_connect", "invalid_token", "unauthorized"})
_BUSY = frozenset({"backend_error", "timeout"})
_WAITING = frozenset({"created", "awaiting_retry"})
_FAILED = frozenset({"processing_failed", "cleaned_automatically_as_too_old"})
_LONGEST_FIELDS = 3000
_PAGE_ROWS = 10_000


class _Failed(Exception):
    """Metrica gave up on a request: another may fare better."""


@dataclass
class _Ordered:
    """A request for logs, and what ends it: cancel while it waits, clean once it has logs, None after."""

    number: int
    ending: Literal["cancel", "clean"] | None = "cancel"


class MetricaApi:
    """One counter."""

    def __init__(self, name: str, base_url: str, *, token: SecretStr, counter_id: str) -> None:
        self.counter_id = counter_id
        self._counter = f"/management/v1/counter/{counter_id}"
        headers = {"Authorization": f"OAuth {token.get_secret_value()}"}
        # The Logs API takes ten requests a second from an address.
        self.api = Api(name, base_url, per_second=8, headers=headers, secrets=[token], judge=_judge)

    def counter(self) -> dict[str, Any]:
        """What Metrica knows of the counter. Raises ApiError."""
        return _object(self.api.get(self._counter).json(), "counter")

    def visits(self, fields: Sequence[str], since: date, until: date, log: ReadLog) -> Generator[Answer]:
        """Every part of the logs of these days, each with its own header. Raises ApiError.

        The request behind them is cleaned in any case; where that fails, the log says so.
        """
        for first, last in self._periods(fields, since, until):
            yield from self._parts(fields, first, last, log)

    def totals(self, since: date, until: date) -> Iterator[dict[str, Any]]:
        """Every page of the unsampled report by day. Raises ApiError."""
        offset = 1
        while True:
            page = self.api.get(
                "/stat/v1/data",
                {
                    "ids": self.counter_id,
                    "metrics": "ym:s:visits,ym:s:users",
                    "dimensions": "ym:s:date",
                    "sort": "ym:s:date",
                    "date1": since.isoformat(),
                    "date2": until.isoformat(),
                    "accuracy": "full",
                    "limit": _PAGE_ROWS,
                    "offset": offset,
                },
            ).json()
            rows = page.get("data") if isinstance(page, dict) else None
            if not isinstance(rows, list):
                raise self.api.error(PermanentError, "answered with something else than a report")
            yield page
            offset += len(rows)
            announced = int(page.get("total_rows") or 0)
            if offset > announced:
                return
            if not rows:
                raise self.api.error(IncompleteError, f"gave {offset - 1} of {announced} rows")

    def _periods(self, fields: Sequence[str], since: date, until: date) -> Iterator[tuple[date, date]]:
        """The days in spans that fit into the counter's space."""
        possible, days = self._evaluate(fields, since, until)
        if not possible and days == 0:
            self._clean_own(fields)
            possible, days = self._evaluate(fields, since, until)
        whole = (until - since).days + 1
        if possible:
            days = whole
        elif days == 0 or whole == 1:
            raise self.api.error(
                TransientError,
                f"the counter has no space for logs of {since} (10 GB hold all that are prepared); clean the "
                "requests that other programs have left, the next night asks again",
            )
        step = timedelta(days=days if possible else min(days, whole - 1))
        while since <= until:
            last = min(since + step - timedelta(days=1), until)
            yield since, last
            since = last + timedelta(days=1)

    def _evaluate(self, fields: Sequence[str], since: date, until: date) -> tuple[bool, int]:
        answer = self.api.get(f"{self._counter}/logrequests/evaluate", _params(fields, since, until)).json()
        found = _object(answer, "log_request_evaluation")
        if "possible" not in found:
            raise self.api.error(PermanentError, "did not say whether the logs are possible")
        return bool(found["possible"]), int(found.get("max_possible_day_quantity") or 0)

    def _parts(self, fields: Sequence[str], since: date, until: date, log: ReadLog) -> Iterator[Answer]:
        for is_last_try in (False, True):
            ordered = self._order(fields, since, until)
            try:
                try:
                    request = self._wait(ordered)
                except _Failed as failed:
                    if is_last_try:
                        raise self.api.error(
                            TransientError,
                            f"Metrica failed twice at the logs of {since} to {until} ({failed})",
                        ) from None
                    continue
                yield from self._download(ordered.number, request)
                return
            finally:
                self._clean(ordered, log)

    def _order(self, fields: Sequence[str], since: date, until: date) -> _Ordered:
        answer = self.api.post(f"{self._counter}/logrequests", params=_params(fields, since, until))
        number = _object(answer.json(), "log_request").get("request_id")
        if not isinstance(number, int):
            raise self.api.error(PermanentError, "gave no number for the requested logs")
        return _Ordered(number)

    def _wait(self, ordered: _Ordered) -> dict[str, Any]:
        def look() -> Answer | None:
            answer = self.api.get(f"{self._counter}/logrequest/{ordered.number}")
            status = _object(answer.json(), "log_request").get("status")
            if status in _WAITING:
                return None
            ordered.ending = "clean" if status == "processed" else None
            if status == "processed":
                return answer
            if status in _FAILED:
                raise _Failed(status)
            told = f"log request {ordered.number} is {status}, though nobody here did that"
            raise self.api.error(TransientError, f"{told}; the next night asks again")

        return _object(self.api.poll(look, every=_EVERY, at_most=_AT_MOST).json(), "log_request")

    def _download(self, number: int, request: dict[str, Any]) -> Iterator[Answer]:
        parts = request.get("parts") or []
        if not parts and request.get("size"):
            raise self.api.error(IncompleteError, f"log request {number} announces no parts")
        for part in parts:
            place = part["part_number"]
            answer = self.api.get(f"{self._counter}/logrequest/{number}/part/{place}/download", expect="text")
            if answer.body.strip():
                yield answer
            elif part.get("size"):
                raise self.api.error(IncompleteError, f"part {place} of log request {number} is empty")

    def _clean(self, ordered: _Ordered, log: ReadLog) -> None:
        """Free the space. What went wrong before matters more than a failure of this."""
        if ordered.ending is None:
            return
        try:
            self.api.post(f"{self._counter}/logrequest/{ordered.number}/{ordered.ending}")
        except ApiError as error:
            log.notes.append(
                f"log request {ordered.number} could not be cleaned and takes the counter's space ({error})"
            )

    def _clean_own(self, fields: Sequence[str]) -> None:
        """Clean what a killed run has left: finished requests for the very fields that are asked here."""
        answer = self.api.get(f"{self._counter}/logrequests").json()
        for request in answer.get("requests", []) if isinstance(answer, dict) else []:
            if request.get("status") == "processed" and sorted(request.get("fields", [])) == sorted(fields):
                self.api.post(f"{self._counter}/logrequest/{request['request_id']}/clean")


def _params(fields: Sequence[str], since: date, until: date) -> dict[str, str]:
    """The query of a request for logs; `date2` must not be today."""
    listed = ",".join(fields)
    assert len(listed) <= _LONGEST_FIELDS
    return {"date1": since.isoformat(), "date2": until.isoformat(), "source": "visits", "fields": listed}


def _object(answer: Any, name: str) -> dict[str, Any]:
    found = answer.get(name) if isinstance(answer, dict) else None
    return found if isinstance(found, dict) else {}


def _judge(answer: Answer) -> ApiError | None:
    """The error of an answer with `errors`: [{error_type, message}]; None for any other answer."""
    if answer.status < 400:
        return None
    try:
        (first, *_) = answer.json()["errors"]
        kind, text = str(first["error_type"]), str(first.get("message") or "")
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    told = f"{kind} ({' '.join(text.split())[:200]})"
    if kind in _QUOTAS:
        asked = retry_after(answer)
        return TransientError(told, _QUOTAS[kind] if asked is None else asked)
    if kind in _REFUSED:
        return AuthError(told)
    if kind in _BUSY:
        return TransientError(told, retry_after(answer))
    return PermanentError(told)
