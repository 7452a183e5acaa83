"""A vendor played on 127.0.0.1, with its faults on order, and what every kind's API route must stand.

A kind's test describes its vendor as a function from Request to Reply and subclasses `ApiContract`; the
same questions are then put to every kind: pages, 429 with Retry-After, 500 twice, time-out, cut-off body,
web page with status 200, expired token, an empty day, secrets in messages.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from connectors import _api, registry
from connectors.check import check
from connectors.contract import ReadLog, SourceOptions, Stream, Window
from connectors.errors import ApiError, AuthError, TransientError
from connectors.privacy import Privacy

ZONE = ZoneInfo("Europe/Zagreb")
Fault = Literal["busy", "broken", "silent", "cut", "page", "expired"]
# What a vendor asks to wait with its 429, seconds.
RETRY_AFTER = 7
# How long the loopback vendor keeps silent, and how long tests wait for it.
_SILENCE, _PATIENCE = 0.6, 0.2


@dataclass
class Request:
    """One request as the vendor got it. `query` holds the last value of each parameter."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as a form."""
        return {k: v[-1] for k, v in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass
class Reply:
    """What the vendor answers: `body` as bytes, text, or anything JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes to send."""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body, ensure_ascii=False).encode()


Vendor = Callable[[Request], Reply]


class Loopback:
    """A running server. `fault(number, request)` decides what goes wrong with the n-th request (from 0)."""

    def __init__(self, vendor: Vendor, fault: Callable[[int, Request], Fault | None] | None = None) -> None:
        self.requests: list[Request] = []
        self._vendor = vendor
        self._fault = fault or (lambda _number, _request: None)
        self._lock = threading.Lock()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: two would wait for each other's acknowledgement, 40 ms a request.
            wbufsize = 1 << 16

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    parts.path,
                    {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()},
                    dict(self.headers.items()),
                    self.rfile.read(length),
                )
                loopback.serve(request, self)

            do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the standard library's names

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """http://127.0.0.1:port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, request: Request, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, or spoil the answer."""
        with self._lock:
            fault = self._fault(len(self.requests), request)
            self.requests.append(request)
            if fault is None or fault == "cut":
                reply = self._vendor(request)
            elif fault == "busy":
                reply = Reply({"error": "too many"}, 429, {"Retry-After": str(RETRY_AFTER)})
            elif fault == "broken":
                reply = Reply("oops", 500)
            elif fault == "expired":
                reply = Reply({"error": "expired"}, 401)
            elif fault == "page":
                reply = Reply("<!DOCTYPE html><html><body>Maintenance</body></html>")
            else:
                reply = Reply({})
        if fault == "silent":
            time.sleep(_SILENCE)
        body = reply.encoded()
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            announced = len(body) + (40 if fault == "cut" else 0)
            handler.send_header("Content-Length", str(announced))
            handler.end_headers()
            handler.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
            handler.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return
        if fault == "cut":
            handler.close_connection = True


@contextmanager
def playing(
    vendor: Vendor, fault: Callable[[int, Request], Fault | None] | None = None
) -> Iterator[Loopback]:
    """A vendor on loopback for the length of a block."""
    server = Loopback(vendor, fault)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing waits: what would have been waited, seconds, is listed."""
    waited: list[float] = []
    monkeypatch.setattr(_api, "pause", waited.append)
    monkeypatch.setattr(_api, "TIMEOUT", (2.0, _PATIENCE))
    return waited


def window(since: str, until: str | None = None, zone: ZoneInfo = ZONE) -> Window:
    """A window of ISO days, one day when `until` is left out."""
    return Window(date.fromisoformat(since), date.fromisoformat(until or since), zone)


def options(kind: str, **settings: Any) -> SourceOptions:
    """The options of a source of a kind, as clinic.yaml would give them."""
    return registry.connector(kind).options.model_validate(
        {
            "kind": kind,
            "name": kind,
            "clinic_timezone": "Europe/Zagreb",
            "clinic_currency": "EUR",
            "clinic_phone_region": "HR",
            **settings,
        }
    )


def stream_of(source: SourceOptions, name: str) -> Stream:
    """The stream of that name."""
    return next(s for s in registry.connector(source.kind).streams(source) if s.name == name)


def fetched(
    source: SourceOptions, stream: str, asked: Window, log: ReadLog | None = None
) -> list[dict[str, Any]]:
    """The window's rows as they would land: cast, hashed. A quarantined row fails the test."""
    declared = stream_of(source, stream)
    log = log if log is not None else ReadLog()
    rows = registry.connector(source.kind).fetch(source, declared, asked, log)
    landed: list[dict[str, Any]] = []
    arrived_at = datetime.now(tz=UTC)
    for checked in check(rows, declared, Privacy(b"k" * 32, "HR"), log, arrived_at=arrived_at):
        assert checked.quarantined == []
        landed += checked.batch.to_pylist()
    return landed


class ApiContract:
    """What every API route must stand. A subclass describes its vendor and what a window holds.

    `vendor` plays the vendor, over at least three pages or parts for `asked`; `source` gives the options for
    a server's address, with `secret` as its token; `ids` are the landed key values of the window in order of
    arrival, `key` their column.
    """

    stream: str
    key: str
    asked: Window
    empty: Window
    ids: list[Any]
    secret = "s3cr3t/token+value"
    # The setting that an AuthError names.
    setting = "token"
    # Requests whose 401 is answered by getting a new token first, where there is one to get.
    renews = False

    def vendor(self, request: Request) -> Reply:
        """Answer as the vendor does."""
        raise NotImplementedError

    def source(self, url: str) -> SourceOptions:
        """The source's options for a vendor at `url`."""
        raise NotImplementedError

    def fresh(self) -> None:
        """Forget what the vendor remembers from an earlier run (created reports and the like)."""

    def _run(self, fault: Callable[[int, Request], Fault | None] | None = None) -> tuple[list[Any], int]:
        self.fresh()
        with playing(self.vendor, fault) as server:
            rows = fetched(self.source(server.url), self.stream, self.asked)
            return [row[self.key] for row in rows], len(server.requests)

    def test_every_page_is_read(self, pauses: list[float]) -> None:
        found, requests = self._run()
        assert found == self.ids
        assert requests >= 3

    @pytest.mark.parametrize("fault", ["busy", "broken", "silent", "cut", "page"])
    def test_a_fault_is_asked_again(self, fault: Fault, pauses: list[float]) -> None:
        _, count = self._run()
        for at in range(min(count, 5)):
            pauses.clear()
            found, _ = self._run(lambda number, _request, at=at: fault if number == at else None)  # type: ignore[misc]
            assert found == self.ids
            if fault == "busy":
                assert RETRY_AFTER in pauses

    def test_a_server_that_is_broken_twice_is_asked_a_third_time(self, pauses: list[float]) -> None:
        found, _ = self._run(lambda number, _request: "broken" if number in (1, 2) else None)
        assert found == self.ids

    @pytest.mark.parametrize("fault", ["busy", "broken", "cut", "page"])
    def test_tries_are_bounded_and_the_window_is_refused_whole(
        self, fault: Fault, pauses: list[float]
    ) -> None:
        with pytest.raises(TransientError) as failed:
            self._run(lambda number, _request: fault if number >= 1 else None)
        self._assert_clean(failed.value)

    def test_an_expired_token_stops_at_once_and_names_the_setting(self, pauses: list[float]) -> None:
        requests: list[Request] = []

        def expired(_number: int, request: Request) -> Fault:
            requests.append(request)
            return "expired"

        with pytest.raises(AuthError, match=self.setting) as failed:
            self._run(expired)
        assert len(requests) <= (3 if self.renews else 1)
        # Below a second is the pace that every request keeps.
        assert all(waited < 1 for waited in pauses)
        self._assert_clean(failed.value)

    def test_an_empty_day_is_no_rows_and_no_error(self, pauses: list[float]) -> None:
        self.fresh()
        with playing(self.vendor) as server:
            assert fetched(self.source(server.url), self.stream, self.empty) == []

    def _assert_clean(self, error: ApiError) -> None:
        text = "\n".join(str(part) for part in (error, error.__cause__, repr(error)))
        assert self.secret not in text
        assert "\n" not in str(error)
