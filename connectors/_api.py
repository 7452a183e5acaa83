"""One vendor's HTTP API: the only place that sends requests, waits, counts tries and redacts.

    api = Api("calltouch", source.base_url, per_second=4, params={"clientApiId": token}, secrets=[token])
    answer = api.get("/calls-service/RestAPI/1/calls-diary/calls", {"page": 1})
    answer.json()

Busy servers, time-outs, cut-off bodies and web pages in place of data are asked again, with bounded,
jittered waits that honour `Retry-After`. Messages carry method, path and status, never the query: several
vendors put the token there.
"""

from __future__ import annotations

import io
import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any, Literal, Protocol
from urllib.parse import quote, quote_plus, urlsplit

import requests
from pydantic import SecretStr

from connectors.errors import ApiError, AuthError, PermanentError, TransientError
from connectors.files import InboxFile

# A fifth of the requests failing at random leaves one window in thousands unread.
ATTEMPTS = 6
# Connecting, and silence between two bytes, seconds.
TIMEOUT = (10.0, 120.0)
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
# A vendor that asks for more than this is asked again tomorrow, seconds.
_PATIENCE = 900.0
_TRANSIENT = frozenset({408, 409, 423, 425, 429, 500, 502, 503, 504, 520, 522, 524})
# Its debug lines hold whole URLs, and with them the token of some vendors.
logging.getLogger("urllib3").setLevel(logging.ERROR)

# The clock and the bed of this module, so that tests need not wait.
pause: Callable[[float], None] = time.sleep
clock: Callable[[], float] = time.monotonic
# When each host was last asked: limits hold for all sources of a vendor together.
_asked_at: dict[str, float] = {}


@dataclass
class Answer(InboxFile):
    """The body of an answer, readable like the same answer saved to a file."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    _parsed: Any = field(default=None, init=False, repr=False)

    def open_binary(self) -> IO[bytes]:
        """The body."""
        return io.BytesIO(self.body)

    @property
    def suffix(self) -> str:
        """None: what a body holds is told by its content."""
        return ""

    @property
    def arrived_at(self) -> datetime:
        """Now, UTC."""
        return datetime.now(tz=UTC)

    def json(self) -> Any:
        """The body as JSON, fractions as Decimal. Raises ValueError when it is none."""
        if self._parsed is None:
            self._parsed = json.loads(self.body, parse_float=Decimal)
        return self._parsed


Judge = Callable[[Answer], ApiError | None]


class Authorisation(Protocol):
    """Gives the headers that authorise a request."""

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        """The headers; with `renew`, after the vendor refused the present ones. Raises AuthError."""


class Api:
    """Requests to one vendor with its rate limit, its credentials and its way of saying no.

    `name` is the source's, for messages. `per_second` bounds the rate to the host. `headers` and `params`
    go with every request. Every text of `secrets` is blotted out of every message. `setting` is the key of
    clinic.yaml to mend when the vendor refuses. `judge` looks at each answer for what the status does not
    tell (an error code in a body with status 200) and returns the error, or None.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        per_second: float,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        secrets: Sequence[SecretStr | None] = (),
        setting: str = "token",
        judge: Judge | None = None,
        authorisation: Authorisation | None = None,
    ) -> None:
        self._name = name
        self._base = base_url.rstrip("/")
        self._host = urlsplit(self._base).netloc
        self._interval = 1.0 / per_second
        self._params = dict(params or {})
        texts = {s.get_secret_value() for s in secrets if s is not None and s.get_secret_value()}
        forms = {form for text in texts for form in (text, quote(text, safe=""), quote_plus(text))}
        # A secret that is part of another must not leave the rest of it standing.
        self._secrets = sorted(forms, key=len, reverse=True)
        self._setting = setting
        self._judge = judge
        self._authorisation = authorisation
        self._session = requests.Session()
        # No .netrc, no proxy found by chance: only what clinic.yaml names is asked.
        self._session.trust_env = False
        self._session.headers.update({"User-Agent": "firstvisit", **(headers or {})})

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        expect: Literal["json", "text"] = "json",
        accept: Sequence[int] = (),
    ) -> Answer:
        """GET a path, or a whole URL of the same host. Raises as `request` does."""
        return self.request("GET", path, params=params, expect=expect, accept=accept)

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Literal["json", "text"] = "json",
        accept: Sequence[int] = (),
    ) -> Answer:
        """POST a JSON body, or a form. Raises as `request` does."""
        return self.request(
            "POST", path, params=params, body=body, form=form, headers=headers, expect=expect, accept=accept
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Literal["json", "text"] = "json",
        accept: Sequence[int] = (),
    ) -> Answer:
        """Send a request until it is answered, at most `ATTEMPTS` times.

        Statuses below 300 and those of `accept` are answers. Raises AuthError for a refused token,
        PermanentError for a request that will not do, TransientError when the tries are used up.
        """
        renewed = renew = False
        tries = 0
        while True:
            given = dict(headers or {})
            if self._authorisation is not None:
                given |= self._authorisation.headers(renew=renew)
            renew = False
            try:
                return self._once(method, path, params, body, form, given, expect, accept)
            except AuthError:
                if self._authorisation is None or renewed:
                    raise
                renewed = renew = True
            except TransientError as error:
                tries += 1
                wait = error.wait if error.wait is not None else _backoff(tries)
                if tries >= ATTEMPTS or wait > _PATIENCE:
                    told = f"; gave up after {tries} tries, the next night asks again"
                    raise TransientError(f"{error}{told}", error.wait) from None
                pause(wait)

    def poll(self, look: Callable[[], Answer | None], *, every: float, at_most: float) -> Answer:
        """Call `look` until it gives an answer. Raises TransientError after `at_most` seconds."""
        begun, waited = clock(), 0.0
        while (answer := look()) is None:
            waited += every
            if max(waited, clock() - begun) >= at_most:
                raise TransientError(
                    f"{self._name}: the report is not ready after {at_most / 60:.0f} minutes; "
                    "the next night asks again"
                )
            pause(every)
        return answer

    def error(self, kind: type[ApiError], what: str) -> ApiError:
        """An error of this source, its secrets blotted out."""
        return kind(self.redact(f"{self._name}: {what}"))

    def redact(self, text: str) -> str:
        """The text without any secret, also as a URL writes it."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        form: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        expect: str,
        accept: Sequence[int],
    ) -> Answer:
        url = path if path.startswith(("http://", "https://")) else f"{self._base}{path}"
        if urlsplit(url).netloc != self._host:
            # The credentials are this vendor's.
            raise self.error(PermanentError, f"was sent to another host ({urlsplit(url).netloc})")
        what = f"{method} {urlsplit(url).path}"
        self._keep_pace()
        try:
            response = self._session.request(
                method,
                url,
                params={**self._params, **(params or {})},
                json=body,
                data=form,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.Timeout:
            raise self.error(TransientError, f"{what}: no answer within {TIMEOUT[1]:.0f} s") from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise self.error(
                TransientError, f"{what}: cannot be reached, or the answer was cut off"
            ) from None
        except requests.exceptions.ContentDecodingError:
            raise self.error(TransientError, f"{what}: the answer was damaged") from None
        except requests.RequestException as error:
            raise self.error(PermanentError, f"{what}: {type(error).__name__}") from None
        answer = Answer(Path(what), response.content, response.status_code, response.headers)
        if self._judge is not None and (fault := self._judge(answer)) is not None:
            raise self._told(fault, what)
        self._check_status(answer, what, accept)
        self._check_body(answer, what, expect)
        return answer

    def _told(self, fault: ApiError, what: str) -> ApiError:
        """The vendor's own error with source and path in front."""
        fault.args = (self.redact(f"{self._name}: {what}: {fault}"),)
        if isinstance(fault, AuthError):
            fault.args = (f"{fault}; mend `{self._setting}` of the source",)
        return fault

    def _check_status(self, answer: Answer, what: str, accept: Sequence[int]) -> None:
        status = answer.status
        if status < 300 or status in accept:
            return
        if status in (401, 403):
            raise self.error(
                AuthError,
                f"{what}: HTTP {status}, the credentials were refused; mend `{self._setting}` of the source",
            )
        if status in _TRANSIENT:
            fault = self.error(TransientError, f"{what}: HTTP {status}")
            assert isinstance(fault, TransientError)
            fault.wait = retry_after(answer)
            raise fault
        raise self.error(PermanentError, f"{what}: HTTP {status}{self._said(answer)}")

    def _check_body(self, answer: Answer, what: str, expect: str) -> None:
        if answer.body[:512].lstrip().startswith(b"<") and b"html" in answer.body[:512].lower():
            raise self.error(TransientError, f"{what}: HTTP {answer.status} with a web page, no data")
        if expect == "json" and answer.status != 204:
            try:
                answer.json()
            except ValueError:
                raise self.error(TransientError, f"{what}: the answer is not whole JSON") from None

    def _said(self, answer: Answer) -> str:
        """What a JSON error answer says of itself, at most a line; nothing of any other body."""
        try:
            body = answer.json()
        except ValueError:
            return ""
        for key in ("error_description", "message", "error", "detail", "title"):
            found = body.get(key) if isinstance(body, dict) else None
            if isinstance(found, dict):
                found = found.get("message") or found.get("error_string")
            if isinstance(found, str):
                return f" ({self.redact(' '.join(found.split()))[:200]})"
        return ""

    def _keep_pace(self) -> None:
        wait = _asked_at.get(self._host, -self._interval) + self._interval - clock()
        if wait > 0:
            pause(wait)
        _asked_at[self._host] = clock()


class RefreshedToken:
    """OAuth 2.0 (RFC 6749, section 6): an access token got from a refresh token or client credentials.

    Fetched when first needed and once more after the vendor refused it.
    """

    def __init__(
        self,
        name: str,
        token_url: str,
        *,
        client_id: str,
        client_secret: SecretStr,
        refresh_token: SecretStr | None = None,
        scope: str | None = None,
        setting: str = "refresh_token",
    ) -> None:
        parts = urlsplit(token_url)
        self._path = parts.path
        self._setting = setting
        self._form = {"client_id": client_id, "client_secret": client_secret.get_secret_value()}
        if refresh_token is None:
            self._form["grant_type"] = "client_credentials"
        else:
            self._form |= {
                "grant_type": "refresh_token",
                "refresh_token": refresh_token.get_secret_value(),
            }
        if scope is not None:
            self._form["scope"] = scope
        self._api = Api(
            name,
            f"{parts.scheme}://{parts.netloc}",
            per_second=10,
            secrets=[client_secret, refresh_token],
            setting=setting,
        )
        self._token: str | None = None

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        """`Authorization: Bearer …`. Raises AuthError when no token is given."""
        if self._token is None or renew:
            answer = self._api.post(self._path, form=self._form, accept=(400,))
            token = answer.json().get("access_token") if isinstance(answer.json(), dict) else None
            if answer.status == 400 or not isinstance(token, str):
                said = self._api._said(answer)
                raise self._api.error(
                    AuthError, f"no access token was given{said}; mend `{self._setting}` of the source"
                )
            self._token = token
        return {"Authorization": f"Bearer {self._token}"}


def retry_after(answer: Answer) -> float | None:
    """Seconds of the `Retry-After` header (a number or a date, RFC 9110, section 10.2.3), else None."""
    raw = answer.headers.get("Retry-After", "").strip()
    if not raw:
        return None
    try:
        return max(float(raw), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(raw) - datetime.now(tz=UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _backoff(tries: int) -> float:
    """Doubling waits with full jitter above half, so that many clients do not come back at once."""
    longest = min(_FIRST_WAIT * 2.0 ** (tries - 1), _LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
