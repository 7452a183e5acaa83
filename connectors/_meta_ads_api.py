"""Insights of one ad account: asked at once for a few days, as a report job for more.

developers.facebook.com/docs/marketing-api/insights, pages best-practices and error-codes, and
docs/marketing-api/overview/rate-limiting: a job is created by POST, named by `report_run_id`, watched by
`async_status` and read like an answer, page by page. Cursors stand on the last page too: the end is where
`next` is missing. Every answer tells in its headers how much of each limit is used up, percent; a refusal
comes with status 400 and a code.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import SecretStr

from connectors import _api
from connectors._api import Answer, Api
from connectors.errors import ApiError, AuthError, IncompleteError, PermanentError, TransientError

Level = Literal["account", "campaign"]

_COMMON = ("account_id", "account_currency", "spend", "date_start", "date_stop")
_FIELDS = {
    "account": _COMMON,
    "campaign": (
        *_COMMON,
        "campaign_id",
        "campaign_name",
        "impressions",
        "clicks",
        "inline_link_clicks",
    ),
}
_PAGE_ROWS = 500
# Longer windows are made as a job.
_AT_ONCE_DAYS = 7
# A job may take an hour, with the vendor's own tries.
_LOOK_EVERY, _AT_MOST = 10.0, 3600.0
_DONE = "Job Completed"
_FAILED = frozenset({"Job Failed", "Job Skipped"})
# Campaigns that are put away are not listed unless they are asked for.
_PUT_AWAY = [{"field": "campaign.effective_status", "operator": "IN", "value": ["ARCHIVED", "DELETED"]}]

# Codes of the error object, by what to do.
_REFUSED = frozenset({10, 102, 104, 190, *range(200, 300)})
_BUSY = frozenset({4, 17, 32, 613, *range(80000, 80015)})
_TOO_MUCH = frozenset({(100, 1504018), (2, 1504038)})
_WRONG = frozenset({(2, 1504041), (2, 1504042)})
_PASSING = frozenset({-2, 1, 2})
_REDUCE = "reduce the amount of data"
_OLD_VERSION = 2635
# Insights go back 37 months.
_TOO_OLD = 3018
# An account that was refused is let in again after five minutes at most, unless it is told otherwise.
_BUSY_WAIT = 300.0
# From here on each request waits, so that the limit is not reached.
_SLOW_ABOVE = 75.0
_SECONDS_A_PERCENT = 2.0
_USAGES = ("X-Business-Use-Case-Usage", "X-App-Usage", "X-Ad-Account-Usage", "X-FB-Ads-Insights-Throttle")
_PERCENTS = frozenset({"call_count", "total_cputime", "total_time", "acc_id_util_pct", "app_id_util_pct"})


class _TooMuch(PermanentError):
    """The server takes too long for these days at once."""


@dataclass(frozen=True)
class Account:
    """The ad account that is asked about."""

    account_id: str
    currency: str
    zone: str


class Insights:
    """Insights of one ad account. `app_secret` signs the token, for apps that require it."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        version: str,
        account_id: str,
        access_token: SecretStr,
        app_secret: SecretStr | None,
    ) -> None:
        self._root = f"/{version}"
        self._account = f"/{version}/act_{account_id}"
        params = {"access_token": access_token.get_secret_value()}
        if app_secret is not None:
            key, token = app_secret.get_secret_value().encode(), access_token.get_secret_value().encode()
            params["appsecret_proof"] = hmac.new(key, token, hashlib.sha256).hexdigest()
        # Limits are shares of an hour, told in each answer.
        self.api = Api(
            name,
            base_url,
            per_second=2,
            params=params,
            secrets=[access_token, app_secret],
            setting="access_token",
            judge=_judge,
        )

    def account(self) -> Account:
        """Who the account is. Raises ApiError."""
        found = self._get(self._account, {"fields": "account_id,currency,timezone_name"})
        try:
            return Account(str(found["account_id"]), str(found["currency"]), str(found["timezone_name"]))
        except KeyError:
            raise self.api.error(PermanentError, "the answer names no ad account") from None

    def spent(self, since: date, until: date) -> Decimal:
        """What the whole account spent on these days, campaigns that are put away included."""
        rows = [row for page in self._report("account", since, until) for row in page]
        try:
            return sum((Decimal(str(row.get("spend", 0))) for row in rows), Decimal(0))
        except InvalidOperation:
            raise self.api.error(PermanentError, "the account's spend is no amount") from None

    def campaigns(self, since: date, until: date) -> list[list[dict[str, Any]]]:
        """Pages of rows by day and campaign. Raises ApiError."""
        return self._report("campaign", since, until)

    def put_away(self, since: date, until: date) -> list[list[dict[str, Any]]]:
        """The same of archived and deleted campaigns."""
        return self._report("campaign", since, until, filtering=_PUT_AWAY)

    def _report(self, level: Level, since: date, until: date, **given: Any) -> list[list[dict[str, Any]]]:
        """Pages of rows, in halves where the server cannot make all days at once."""
        days = (until - since).days + 1
        params = {
            "level": level,
            "time_range": json.dumps({"since": since.isoformat(), "until": until.isoformat()}),
            "time_increment": "1",
            "fields": ",".join(_FIELDS[level]),
            **{name: json.dumps(value) for name, value in given.items()},
        }
        try:
            if days <= _AT_ONCE_DAYS:
                return list(self._pages(f"{self._account}/insights", params))
            return list(self._pages(f"{self._root}/{self._job(params)}/insights", {}))
        except _TooMuch as error:
            if days == 1:
                raise TransientError(f"{error}, even of one day; the next night asks again") from None
            middle = since + timedelta(days=days // 2 - 1)
            first = self._report(level, since, middle, **given)
            return first + self._report(level, middle + timedelta(days=1), until, **given)

    def _job(self, params: dict[str, str]) -> str:
        """The id of a report that is made. Raises TransientError when it was not."""
        made = self.api.post(f"{self._account}/insights", form=params)
        self._slow_down(made)
        body = made.json()
        run = str(body.get("report_run_id") or "") if isinstance(body, dict) else ""
        if not run:
            raise self.api.error(PermanentError, "a report was asked for, but the answer names none")
        self.api.poll(lambda: self._look(run), every=_LOOK_EVERY, at_most=_AT_MOST)
        return run

    def _look(self, run: str) -> Answer | None:
        """The finished job, None while it runs."""
        answer = self.api.get(f"{self._root}/{run}")
        self._slow_down(answer)
        body = answer.json()
        status = body.get("async_status") if isinstance(body, dict) else None
        if status in _FAILED:
            fault = _classified(_Fault.of(body, prefix="error_"), answer)
            if isinstance(fault, _TooMuch):
                raise self.api.error(_TooMuch, f"the report failed: {fault}")
            # It is final: the next night makes another.
            raise self.api.error(TransientError, f"the report ended as {status!r}; the next night asks again")
        return answer if status == _DONE else None

    def _pages(self, path: str, params: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
        after = ""
        seen: set[str] = set()
        while True:
            cursor = {"after": after} if after else {}
            body = self._get(path, {**params, "limit": str(_PAGE_ROWS), **cursor})
            rows = body.get("data")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise self.api.error(PermanentError, "answered with something else than insights")
            yield rows
            paging = body.get("paging") or {}
            if "next" not in paging:
                return
            after = str((paging.get("cursors") or {}).get("after") or "")
            if not after or after in seen:
                raise self.api.error(IncompleteError, "the pages of the insights go round in a circle")
            seen.add(after)

    def _get(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        answer = self.api.get(path, params)
        self._slow_down(answer)
        body = answer.json()
        if not isinstance(body, dict):
            raise self.api.error(PermanentError, "answered with something else than an object")
        return body

    def _slow_down(self, answer: Answer) -> None:
        above = _used(answer) - _SLOW_ABOVE
        if above > 0:
            _api.pause(above * _SECONDS_A_PERCENT)


# --- limits and errors -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fault:
    """An error object of the API, or what a failed job says of itself."""

    code: int
    subcode: int | None
    said: str
    is_transient: bool

    @classmethod
    def of(cls, error: dict[str, Any], *, prefix: str = "") -> _Fault | None:
        """None when there is no code."""
        try:
            subcode = error.get("error_subcode")
            return cls(
                int(error[f"{prefix}code"]),
                None if subcode is None else int(subcode),
                " ".join(str(error.get(f"{prefix}message") or "").split())[:200],
                error.get("is_transient") is True,
            )
        except (KeyError, TypeError, ValueError):
            return None


def _judge(answer: Answer) -> ApiError | None:
    if answer.status < 300 and not answer.body.lstrip().startswith(b'{"error"'):
        return None
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return _classified(_Fault.of(error) if isinstance(error, dict) else None, answer)


def _classified(fault: _Fault | None, answer: Answer) -> ApiError | None:
    if fault is None:
        return None
    kind = (fault.code, fault.subcode)
    number = str(fault.code) if fault.subcode is None else f"{fault.code}/{fault.subcode}"
    text = f"error {number} ({fault.said})"
    if fault.code in _REFUSED:
        return AuthError(text)
    if fault.code in _BUSY:
        return TransientError(text, _regained(answer) or _BUSY_WAIT)
    if kind in _TOO_MUCH or (fault.code == 1 and _REDUCE in fault.said.lower()):
        return _TooMuch(text)
    if fault.code == _OLD_VERSION:
        return PermanentError(f"{text}; set `api_version` to one that is still served")
    if fault.code == _TOO_OLD:
        return PermanentError(f"{text}; set `since` of the source to a day within the last 37 months")
    if kind not in _WRONG and (fault.code in _PASSING or fault.is_transient or answer.status >= 500):
        return TransientError(text)
    return PermanentError(text)


def _usages(answer: Answer) -> Iterator[dict[str, Any]]:
    """The objects of the usage headers: one alone, or lists of them by account."""
    for name in _USAGES:
        try:
            told = json.loads(answer.headers.get(name, ""))
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told
            for listed in told.values():
                if isinstance(listed, list):
                    yield from (item for item in listed if isinstance(item, dict))


def _used(answer: Answer) -> float:
    """How much of a limit is used up, percent: of the one that is nearest."""
    percents = [
        float(value)
        for usage in _usages(answer)
        for name, value in usage.items()
        if name in _PERCENTS and isinstance(value, (int, float))
    ]
    return min(max(percents, default=0.0), 100.0)


def _regained(answer: Answer) -> float | None:
    """Seconds until requests are let in again, by the headers of a refusal."""
    waits = [
        float(usage.get(name, 0)) * seconds
        for usage in _usages(answer)
        for name, seconds in (("estimated_time_to_regain_access", 60.0), ("reset_time_duration", 1.0))
        if isinstance(usage.get(name, 0), (int, float))
    ]
    return max(waits, default=0.0) or None
