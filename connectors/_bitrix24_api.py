"""Bitrix24's REST through an incoming webhook: lists by id, calls in batches, its ways of saying no.

Documented in github.com/bitrix-tools/b24-rest-docs: a list has 50 records a page; with `start = -1` nothing
is counted, and the next page is asked for by the last id. `batch` takes up to 50 calls, in which
`$result[key]` stands for what an earlier one gave. Over two requests a second the portal answers 503
QUERY_LIMIT_EXCEEDED; a method that worked 480 s within ten minutes is blocked for ten: 429
OPERATION_TIME_LIMIT.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from connectors._api import Answer, Api
from connectors.errors import ApiError, AuthError, IncompleteError, PermanentError, TransientError

PAGE, BATCH = 50, 50
# The block of OPERATION_TIME_LIMIT, and what is no use waiting for tonight, seconds.
_BLOCKED, _NOT_TONIGHT = 600.0, 3600.0
_REFUSED = frozenset(
    {
        "NO_AUTH_FOUND",
        "INVALID_CREDENTIALS",
        "ACCESS_DENIED",
        "expired_token",
        "invalid_token",
        "invalid_grant",
        "user_access_error",
        "authorization_error",
    }
)
_BUSY = frozenset({"QUERY_LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER"})
_WORD = re.compile(r"[A-Za-z_]{1,60}")

Call = tuple[str, Mapping[str, Any]]


class Portal:
    """One portal, asked in the name of the user who made the webhook."""

    def __init__(self, name: str, webhook: SecretStr) -> None:
        url = webhook.get_secret_value().rstrip("/")
        # Messages show paths, and the webhook's code is part of them.
        secret = SecretStr(urlsplit(url).path)
        code = SecretStr(url.rpartition("/")[2])
        self.api = Api(
            name, url, per_second=1.9, secrets=[webhook, secret, code], setting="webhook", judge=_judge
        )

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer of one method. Raises ApiError."""
        answer = self.api.post(f"/{method}", dict(params or {})).json()
        if not isinstance(answer, dict) or "result" not in answer:
            raise self.api.error(PermanentError, f"{method} answered without a result")
        return answer

    def records(
        self, method: str, select: Sequence[str], where: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield every record of a list method under a filter, in the order of their ids.

        Raises IncompleteError when fewer come than the portal counted at the start.
        """
        base = {"order": {"ID": "ASC"}, "select": list(select)}
        first = self.call(method, {**base, "filter": dict(where), "start": 0})
        page, total = first["result"], int(first.get("total") or 0)
        seen = 0
        at_once = 1
        while True:
            yield from page
            seen += len(page)
            if len(page) < PAGE:
                break
            last = page[-1]["ID"]
            at_once = min(at_once * 2, BATCH)
            pages = self._pages(method, base, where, last, at_once)
            # Pages before the last of a batch are whole; what follows a short one starts all over again.
            for page in pages[:-1]:
                if len(page) < PAGE:
                    break
                yield from page
                seen += len(page)
            else:
                page = pages[-1]
        if seen < total:
            raise self.api.error(
                IncompleteError, f"{method} gave {seen} of {total} records; the next night asks again"
            )

    def _pages(
        self, method: str, base: Mapping[str, Any], where: Mapping[str, Any], last: Any, count: int
    ) -> list[list[dict[str, Any]]]:
        """The next pages after an id, each asked for by the last id of the one before."""
        calls: dict[str, Call] = {}
        after: Any = last
        for number in range(count):
            calls[f"p{number}"] = (method, {**base, "filter": {**where, ">ID": after}, "start": -1})
            after = f"$result[p{number}][{PAGE - 1}][ID]"
        results = self.batch(calls)
        return [results[key] for key in calls]

    def batch(self, calls: Mapping[str, Call]) -> dict[str, Any]:
        """Key -> result of up to 50 calls in one request. Raises ApiError for the first that failed."""
        commands = {key: f"{method}?{encoded(params)}" for key, (method, params) in calls.items()}
        answer = self.call("batch", {"halt": 0, "cmd": commands})["result"]
        results = answer.get("result") if isinstance(answer, dict) else None
        found: dict[str, Any] = results if isinstance(results, dict) else {}
        if missing := [key for key in calls if key not in found]:
            raise self.api.error(
                IncompleteError, f"batch left {len(missing)} of {len(calls)} calls unanswered"
            )
        return found


def encoded(params: Mapping[str, Any]) -> str:
    """Nested parameters as PHP reads them from a query: filter[>ID]=5&select[0]=ID."""
    return "&".join(f"{quote(key, safe='[]')}={quote(value, safe='$[]')}" for key, value in _flat(params, ""))


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{key}[{name}]" if key else str(name))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _flat(item, f"{key}[{number}]")
    else:
        yield key, str(value)


def _judge(answer: Answer) -> ApiError | None:
    """The error of an answer, or of the first call of a batch that failed."""
    try:
        body = answer.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    if (code := body.get("error")) is not None:
        return _fault(str(code), str(body.get("error_description") or ""), body, answer.status)
    result = body.get("result")
    errors = result.get("result_error") if isinstance(result, dict) else None
    if isinstance(errors, dict):
        for error in errors.values():
            if isinstance(error, dict):
                told = str(error.get("error_description") or "")
                return _fault(str(error.get("error")), told, body, 400)
    return None


def _fault(code: str, told: str, body: Mapping[str, Any], status: int) -> ApiError | None:
    if code == "OPERATION_TIME_LIMIT":
        return TransientError(code, _until_reset(body))
    if code in _BUSY:
        return TransientError(code)
    if code == "OVERLOAD_LIMIT":
        return TransientError(
            f"{code}: Bitrix24 has blocked the portal's REST; ask its support", _NOT_TONIGHT
        )
    if code == "insufficient_scope":
        return PermanentError(f"{code}: give the webhook the permissions crm and user (users, minimal)")
    if code in _REFUSED or told.rstrip(".").lower() == "access denied":
        return AuthError(code if _WORD.fullmatch(code) else "access denied to the user of the webhook")
    if status >= 500 or status in (401, 403, 429):
        return None
    return PermanentError(f"{code} {' '.join(told.split())[:200]}".strip())


def _until_reset(body: Mapping[str, Any]) -> float:
    """Seconds until a part of the method's working time is given back."""
    times = body.get("time")
    reset = times.get("operating_reset_at") if isinstance(times, Mapping) else None
    if isinstance(reset, int):
        return min(max(reset - time.time(), 1.0), _BLOCKED)
    return _BLOCKED
