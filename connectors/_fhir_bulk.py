"""FHIR Bulk Data Access: an export kicked off, waited for, downloaded and removed from the server.

hl7.org/fhir/uv/bulkdata: `GET …/$export` with `Prefer: respond-async` answers 202 with the address of the job
in Content-Location. That is asked, as often as its Retry-After says, until 200 brings the manifest:
transactionTime, requiresAccessToken, and the addresses of files: output (one resource a line), deleted
(transaction Bundles of DELETE requests) and error (OperationOutcome). DELETE of the job's address frees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import SecretStr

from connectors import _api
from connectors._api import Answer, Api, Authorisation, retry_after
from connectors.errors import ApiError, AuthError, IncompleteError, PermanentError, TransientError

Section = Literal["output", "deleted", "error"]
_SECTIONS: tuple[Section, ...] = ("output", "deleted", "error")
_NDJSON = "application/fhir+ndjson"
# Between two looks at a job that says no Retry-After, and how long one is waited for in all, seconds.
_EVERY, _AT_MOST = 10.0, 7200.0
_TURN = 1.0
_PER_SECOND = 5.0
_REFUSALS = frozenset({400, 405, 406, 415, 422})
_CODE = re.compile(r"[a-z-]{1,40}")


@dataclass
class Part:
    """One file of a finished export. `count` is how many resources the manifest says it has, if it does."""

    section: Section
    answer: Answer
    count: int | None
    transaction_time: datetime


class BulkServer:
    """The export of one FHIR server. `file_hosts` are further hosts that may be sent the access token."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        token: SecretStr | None,
        authorisation: Authorisation | None,
        file_hosts: tuple[str, ...],
    ) -> None:
        self._name = name
        self._base = base_url.rstrip("/")
        self._token = token
        self._authorisation = authorisation
        self._file_hosts = frozenset(file_hosts)
        self._api = self._at(self._base, trusted=True)
        self._files: dict[tuple[str, bool], Api] = {}

    def export(
        self, path: str, type_: str, *, since: datetime | None, reaches: datetime | None
    ) -> Iterator[Part]:
        """Yield the files of an export of one resource type; the job is removed whatever happens.

        `since` asks only for what changed from then on. Raises IncompleteError when the server's data end
        before `reaches`, and ApiError as `Api` does.
        """
        params = {"_outputFormat": _NDJSON, "_type": type_}
        if since is not None:
            params["_since"] = since.isoformat(timespec="seconds")
        with self._job(path, type_, params) as job:
            yield from self._parts(self._manifest(job), type_, reaches)

    def probe(self, path: str) -> str:
        """Start an export of nothing much and remove it."""
        params = {"_outputFormat": _NDJSON, "_type": "Organization"}
        with self._job(path, "Organization", params):
            return "answers; an export was started and cancelled"

    @contextmanager
    def _job(self, path: str, type_: str, params: dict[str, str]) -> Iterator[str]:
        headers = {"Accept": "application/fhir+json", "Prefer": "respond-async"}
        try:
            answer = self._api.request("GET", f"/{path}", params=params, headers=headers, expect="text")
        except PermanentError as error:
            if isinstance(error, AuthError):
                raise
            hint = f"{error}; if the server has no {type_}, leave its stream out of `resources`"
            raise PermanentError(hint) from None
        location = answer.headers.get("Content-Location")
        if answer.status != 202 or not location:
            raise self._api.error(
                PermanentError, f"GET {path}: HTTP {answer.status} where an export should have been started"
            )
        job = urljoin(f"{self._base}/", location)
        try:
            yield job
        finally:
            self._remove(job)

    def _remove(self, job: str) -> None:
        """Free the job's files: they hold patients' data. A server that will not is no reason to fail."""
        try:
            self._api.request("DELETE", job, expect="text", accept=(404, 405, 410, 501))
        except ApiError:
            return

    def _manifest(self, job: str) -> Answer:
        def look() -> Answer | None:
            answer = self._api.request(
                "GET", job, headers={"Accept": "application/json"}, expect="text", accept=(404, 410)
            )
            if answer.status in (404, 410):
                raise self._api.error(
                    TransientError, "the export expired on the server; the next night asks again"
                )
            if answer.status != 202:
                return answer
            wait = retry_after(answer)
            _api.pause(max((_EVERY if wait is None else wait) - _TURN, 0.0))
            return None

        return self._api.poll(look, every=_TURN, at_most=_AT_MOST)

    def _parts(self, answer: Answer, type_: str, reaches: datetime | None) -> Iterator[Part]:
        page: Answer | None = answer
        while page is not None:
            manifest = self._json(page)
            until = self._time(manifest)
            if reaches is not None and until < reaches:
                raise self._api.error(
                    IncompleteError,
                    f"the server's data end at {until:%Y-%m-%d %H:%M} UTC, before the days asked for do",
                )
            with_token = manifest.get("requiresAccessToken") is not False
            for section in _SECTIONS:
                for item in _objects(manifest.get(section)):
                    if section == "output" and item.get("type") not in (None, type_):
                        continue
                    count = item.get("count")
                    file = self._download(str(item.get("url")), with_token)
                    yield Part(section, file, count if isinstance(count, int) else None, until)
            page = self._next(manifest, with_token)

    def _next(self, manifest: dict[str, Any], with_token: bool) -> Answer | None:
        """The next page of the manifest, which servers with partial manifests have."""
        for link in _objects(manifest.get("link")):
            if link.get("relation") == "next":
                return self._download(str(link.get("url")), with_token)
        return None

    def _json(self, answer: Answer) -> dict[str, Any]:
        try:
            manifest = answer.json()
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict) or "transactionTime" not in manifest:
            raise self._api.error(TransientError, "the export ended without a manifest")
        return manifest

    def _time(self, manifest: dict[str, Any]) -> datetime:
        try:
            moment = datetime.fromisoformat(str(manifest["transactionTime"]))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise self._api.error(PermanentError, "the manifest's transactionTime is not a time with a zone")
        return moment.astimezone(UTC)

    def _download(self, url: str, with_token: bool) -> Answer:
        """A file of the manifest. It may lie on another host, and be signed instead of needing the token."""
        url = urljoin(f"{self._base}/", url)
        parts, own = urlsplit(url), urlsplit(self._base)
        if parts.scheme != own.scheme and parts.scheme != "https":
            raise self._api.error(PermanentError, f"the files lie at {parts.scheme}:, which is not encrypted")
        if with_token and parts.netloc != own.netloc and parts.netloc not in self._file_hosts:
            raise self._api.error(
                PermanentError,
                f"the files lie on {parts.netloc}, which would be sent the access token; if that host is "
                "the clinic's too, name it under `file_hosts`",
            )
        key = (f"{parts.scheme}://{parts.netloc}", with_token)
        if key not in self._files:
            self._files[key] = self._at(key[0], trusted=with_token)
        return self._files[key].request("GET", url, headers={"Accept": _NDJSON}, expect="text")

    def _at(self, base_url: str, *, trusted: bool) -> Api:
        """Requests to a host, with the credentials where it is trusted with them."""
        headers = {}
        if trusted and self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return Api(
            self._name,
            base_url,
            per_second=_PER_SECOND,
            headers=headers,
            secrets=[self._token],
            judge=_judge,
            authorisation=self._authorisation if trusted else None,
        )


def _judge(answer: Answer) -> ApiError | None:
    """What the server refuses with an OperationOutcome, by its code only: its texts may name patients."""
    if answer.status not in _REFUSALS:
        return None
    try:
        issues = _objects(answer.json().get("issue"))
    except (AttributeError, ValueError):
        return None
    codes = [code for issue in issues if _CODE.fullmatch(code := str(issue.get("code")))]
    return PermanentError(f"HTTP {answer.status}, the server says {', '.join(codes)}") if codes else None


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
