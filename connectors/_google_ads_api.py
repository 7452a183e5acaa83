"""Queries of the Google Ads API: `googleAds:searchStream` of one customer.

developers.google.com/google-ads/api/rest: the answer is an array of batches; an error is a `GoogleAdsFailure`
in the details of the usual error object, which stands in an array too, and may follow batches that were
already sent. A failed request names each fault as `{"errorCode": {category: CODE}, "message": …}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import SecretStr

from connectors._api import Answer, Api, RefreshedToken, retry_after
from connectors.errors import ApiError, AuthError, PermanentError, TransientError

_CUSTOMER = (
    "SELECT customer.id, customer.currency_code, customer.time_zone, customer.manager FROM customer LIMIT 1"
)
_SPEND_FIELDS = """segments.date, customer.id, customer.currency_code, campaign.id, campaign.name,
    campaign.advertising_channel_type, segments.device, segments.ad_network_type, metrics.impressions,
    metrics.clicks, metrics.cost_micros"""
_KEYWORD_FIELDS = """ad_group.id, ad_group.name, ad_group_criterion.keyword.text,
    ad_group_criterion.keyword.match_type"""
_CLICK_FIELDS = """click_view.gclid, click_view.keyword_info.text, customer.id, campaign.id, ad_group.id,
    segments.date"""

# Faults of who asks; the code says which of the settings. Other quota errors are those of a token's access.
_REFUSED = frozenset({"authenticationError", "authorizationError", "headerError", "quotaError"})
_BROKEN = frozenset({"internalError", "databaseError"})
_SHORT_WAIT, _UNTIL_TOMORROW = 300.0, 86_400.0
_QUOTA_WAITS = {
    "RESOURCE_TEMPORARILY_EXHAUSTED": None,
    "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION": _SHORT_WAIT,
    # The day's operations are used up.
    "RESOURCE_EXHAUSTED": _UNTIL_TOMORROW,
    "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION": _UNTIL_TOMORROW,
}
_TOO_OLD = "DATE_TOO_OLD"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(frozen=True)
class _Fault:
    """One fault of an error answer; `wait` is the seconds that it asks for."""

    category: str | None
    code: str
    said: str
    wait: float | None


class _TooOld(PermanentError):
    """The day lies further back than clicks are told."""


@dataclass(frozen=True)
class Customer:
    """The account that is asked about."""

    customer_id: str
    currency: str
    zone: str


class Ads:
    """One customer's account."""

    def __init__(
        self,
        name: str,
        base_url: str,
        token_url: str,
        *,
        version: str,
        customer_id: str,
        login_customer_id: str | None,
        developer_token: SecretStr,
        client_id: str,
        client_secret: SecretStr,
        refresh_token: SecretStr,
    ) -> None:
        self._path = f"/{version}/customers/{customer_id}/googleAds:searchStream"
        headers = {"developer-token": developer_token.get_secret_value()}
        if login_customer_id is not None:
            headers["login-customer-id"] = login_customer_id
        # The rate allowed is not published; a night needs some dozens of requests.
        self.api = Api(
            name,
            base_url,
            per_second=4,
            headers=headers,
            secrets=[developer_token, client_secret, refresh_token],
            setting="refresh_token`, `developer_token`, `login_customer_id` or `customer_id",
            judge=_judge,
            authorisation=RefreshedToken(
                name, token_url, client_id=client_id, client_secret=client_secret, refresh_token=refresh_token
            ),
        )

    def customer(self) -> Customer:
        """Who the account is. Raises PermanentError for a manager account, which spends nothing itself."""
        try:
            (result,) = self._results(_CUSTOMER)
            found = result["customer"]
            customer = Customer(str(found["id"]), str(found["currencyCode"]), str(found["timeZone"]))
        except (KeyError, TypeError, ValueError):
            raise self.api.error(PermanentError, "the answer names no single customer") from None
        if found.get("manager") is True:
            raise self.api.error(
                PermanentError,
                f"{customer.customer_id} is a manager account; name the advertiser's own account in "
                "`customer_id` and this one in `login_customer_id`",
            )
        return customer

    def spend_micros(self, since: date, until: date) -> int:
        """What the whole account spent on these days, micros. Raises ApiError."""
        query = f"SELECT metrics.cost_micros FROM customer WHERE {_between(since, until)}"
        try:
            return sum(int(result["metrics"].get("costMicros", 0)) for result in self._results(query))
        except (KeyError, TypeError, AttributeError, ValueError):
            raise self.api.error(PermanentError, "the account's total is not shaped as documented") from None

    def campaigns(self, since: date, until: date) -> Answer:
        """Spend by day, campaign, device and network: every campaign, removed ones too."""
        return self._search(f"SELECT {_SPEND_FIELDS} FROM campaign WHERE {_between(since, until)}")

    def keywords(self, since: date, until: date) -> Answer:
        """Spend by keyword: a part of the campaigns' spend, as many campaigns have no keywords."""
        fields = f"{_SPEND_FIELDS}, {_KEYWORD_FIELDS}"
        return self._search(f"SELECT {fields} FROM keyword_view WHERE {_between(since, until)}")

    def clicks(self, day: date) -> Answer | None:
        """The clicks of a day; None when it lies too far back."""
        try:
            return self._search(f"SELECT {_CLICK_FIELDS} FROM click_view WHERE segments.date = '{day}'")
        except _TooOld:
            return None

    def _search(self, query: str) -> Answer:
        # Parsed by the reader, batch by batch.
        return self.api.post(self._path, {"query": " ".join(query.split())}, expect="text")

    def _results(self, query: str) -> list[dict[str, Any]]:
        batches = self._search(query).json()
        if not isinstance(batches, list) or not all(isinstance(batch, dict) for batch in batches):
            raise self.api.error(PermanentError, "answered with something else than batches")
        return [result for batch in batches for result in batch.get("results", ())]


def _between(since: date, until: date) -> str:
    return f"segments.date BETWEEN '{since}' AND '{until}'"


def _judge(answer: Answer) -> ApiError | None:
    if answer.status < 300 and b'"error"' not in answer.body:
        return None
    error = _error(answer)
    if error is None:
        return PermanentError("HTTP 404; is `api_version` still served?") if answer.status == 404 else None
    fault = _fault(error)
    text = f"{fault.code} ({' '.join(fault.said.split())[:200]})"
    if fault.code == _TOO_OLD:
        return _TooOld(text)
    if fault.category == "quotaError" and fault.code in _QUOTA_WAITS:
        return TransientError(text, fault.wait if fault.wait is not None else _QUOTA_WAITS[fault.code])
    if fault.category in _REFUSED or answer.status in (401, 403):
        return AuthError(text)
    # Without a category: a server that gave up, perhaps behind batches and under status 200.
    if fault.category in _BROKEN or answer.status >= 500 or (fault.category is None and answer.status < 300):
        return TransientError(text)
    if answer.status == 429:
        return TransientError(text, retry_after(answer))
    return PermanentError(text)


def _error(answer: Answer) -> dict[str, Any] | None:
    """The error object of an answer: alone, or an element of the array of batches."""
    try:
        body = answer.json()
    except ValueError:
        return None
    for part in body if isinstance(body, list) else [body]:
        error = part.get("error") if isinstance(part, dict) else None
        if isinstance(error, dict):
            return error
    return None


def _fault(error: dict[str, Any]) -> _Fault:
    """The first fault that an error object lists, else what it says of itself."""
    said = str(error.get("message") or "")
    for detail in error.get("details") or ():
        for fault in detail.get("errors") or () if isinstance(detail, dict) else ():
            quota = (fault.get("details") or {}).get("quotaErrorDetails") or {}
            delay = _DURATION.fullmatch(str(quota.get("retryDelay", "")))
            wait = None if delay is None else float(delay[1])
            for category, code in (fault.get("errorCode") or {}).items():
                return _Fault(category, str(code), str(fault.get("message") or said), wait)
    return _Fault(None, str(error.get("status") or error.get("code")), said, None)
