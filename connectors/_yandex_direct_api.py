"""The Reports service of Yandex Direct: reports asked for, waited for and asked again under the same name.

yandex.com/dev/direct/doc/en/reports: a report has no id, the request with its ReportName is its key. 200 has
the report, 201 and 202 say in `retryIn` when to send the same request again; another name would queue
another report, of which five may wait. A finished one is kept for five hours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Literal

from pydantic import SecretStr

from connectors import _api
from connectors._api import Answer, Api
from connectors.errors import ApiError, AuthError, PermanentError, TransientError

Level = Literal["account", "campaign", "keyword"]

_REPORT_TYPES = {
    "account": "ACCOUNT_PERFORMANCE_REPORT",
    "campaign": "CAMPAIGN_PERFORMANCE_REPORT",
    "keyword": "CRITERIA_PERFORMANCE_REPORT",
}
_MEASURES = ["Impressions", "Clicks", "Cost"]
_CAMPAIGN = ["Date", "CampaignId", "CampaignName", "CampaignType"]
_SPLIT = ["AdNetworkType", "Device"]
_FIELDS = {
    # Without any grouping: amounts of rows are rounded one by one, so only this is the true total.
    "account": _MEASURES,
    "campaign": [*_CAMPAIGN, *_SPLIT, *_MEASURES],
    "keyword": [*_CAMPAIGN, "AdGroupId", "AdGroupName", "Criterion", *_SPLIT, *_MEASURES],
}
_REPORT_HEADERS = {"processingMode": "auto", "returnMoneyInMicros": "false"}
# When an answer does not say how long to wait, and how long is waited in all, seconds.
_RETRY_IN = 10.0
_AT_MOST = 1800.0
# yandex.com/dev/direct/doc/en/concepts/errors-list, by what to do.
_REFUSED = frozenset({53, 54, 58, 510, 513})
_BUSY = frozenset({52, 56, 506, 1000, 1001, 1002, 9000})
_QUEUE_FULL, _QUEUE_WAIT = 9000, 60.0
_NO_UNITS, _UNITS_WAIT = 152, 3600.0
_XML_CODE = re.compile(rb"errorCode>(\d+)<")
_XML_TEXT = re.compile(rb"errorMessage>([^<]*)<")


class _TooMuch(PermanentError):
    """The server takes too long for these days and fields."""


class Reports:
    """Reports of one advertiser. `login` names the advertiser where the token is an agency's."""

    def __init__(
        self, name: str, base_url: str, *, token: SecretStr, login: str | None, include_vat: bool
    ) -> None:
        self._login = login
        self._include_vat = include_vat
        headers = {"Authorization": f"Bearer {token.get_secret_value()}", "Accept-Language": "en"}
        if login is not None:
            headers["Client-Login"] = login
        # Twenty requests in ten seconds are allowed.
        self.api = Api(name, base_url, per_second=1.9, headers=headers, secrets=[token], judge=_judge)

    def client(self) -> tuple[str, str]:
        """(login, ISO 4217 code of the account's currency). Raises ApiError."""
        body = {"method": "get", "params": {"FieldNames": ["Login", "Currency"]}}
        answer = self.api.post("/json/v5/clients", body).json()
        try:
            (client,) = answer["result"]["Clients"]
            return str(client["Login"]), str(client["Currency"])
        except (KeyError, TypeError, ValueError):
            raise self.api.error(PermanentError, "the token names no single advertiser") from None

    def get(self, level: Level, since: date, until: date) -> Iterator[tuple[Answer, date, date]]:
        """(report, first day, last day): several where the server cannot make one. Raises ApiError."""
        try:
            answer = self._report(level, since, until)
        except _TooMuch as error:
            if since == until:
                raise TransientError(f"{error}, even of one day; the next night asks again") from None
            middle = since + (until - since) // 2
            yield from self.get(level, since, middle)
            yield from self.get(level, middle + timedelta(days=1), until)
            return
        yield answer, since, until

    def _report(self, level: Level, since: date, until: date) -> Answer:
        body = {"params": self._params(level, since, until)}
        begun, waited = _api.clock(), 0.0
        while True:
            answer = self.api.post("/json/v5/reports", body, headers=_REPORT_HEADERS, expect="text")
            if answer.status == 200:
                return answer
            wait = _retry_in(answer)
            waited += wait
            if max(waited, _api.clock() - begun) > _AT_MOST:
                raise self.api.error(
                    TransientError,
                    f"the {level} report of {since} to {until} is not ready after {_AT_MOST / 60:.0f} "
                    "minutes; the next night asks again",
                )
            _api.pause(wait)

    def _params(self, level: Level, since: date, until: date) -> dict[str, Any]:
        params: dict[str, Any] = {
            "SelectionCriteria": {"DateFrom": since.isoformat(), "DateTo": until.isoformat()},
            "FieldNames": _FIELDS[level],
            "ReportType": _REPORT_TYPES[level],
            "DateRangeType": "CUSTOM_DATE",
            "Format": "TSV",
            "IncludeVAT": "YES" if self._include_vat else "NO",
            "IncludeDiscount": "YES",
        }
        # One name for one request: a name with other parameters is refused, another name is another report.
        digest = hashlib.sha256(json.dumps([self._login, params], sort_keys=True).encode()).hexdigest()[:12]
        return {**params, "ReportName": f"firstvisit {level} {since} {until} {digest}"}


def _retry_in(answer: Answer) -> float:
    """Seconds of the header `retryIn`."""
    try:
        return max(float(answer.headers.get("retryIn", "")), 1.0)
    except ValueError:
        return _RETRY_IN


def _judge(answer: Answer) -> ApiError | None:
    """The error of an answer: a code in JSON or XML, whatever the status; 502 is too large a report."""
    if answer.status == 502:
        return _TooMuch("HTTP 502, the server takes too long for this report")
    found = _error(answer)
    if found is None:
        return None
    code, text = found
    if code in _REFUSED:
        return AuthError(text)
    if code == _NO_UNITS:
        return TransientError(text, _UNITS_WAIT)
    if code in _BUSY:
        return TransientError(text, _QUEUE_WAIT if code == _QUEUE_FULL else None)
    # The server's own trouble comes with codes that nobody lists.
    return TransientError(text) if answer.status >= 500 else PermanentError(text)


def _error(answer: Answer) -> tuple[int, str] | None:
    """(code, a line on it) of an error answer, None for any other."""
    if answer.body[:1] == b"<":
        code = _XML_CODE.search(answer.body)
        text = _XML_TEXT.search(answer.body)
        if code is None:
            return None
        return int(code[1]), _line(int(code[1]), text[1].decode(errors="replace") if text else "")
    if answer.body[:1] != b"{":
        return None
    try:
        fault = answer.json().get("error")
        number = int(fault["error_code"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    said = [str(fault[key]) for key in ("error_string", "error_detail") if fault.get(key)]
    return number, _line(number, ": ".join(said))


def _line(code: int, said: str) -> str:
    return f"error {code} ({' '.join(said.split())[:200]})"
