"""Requests to a vendor: what is asked again, how long it is waited, what is never shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from connectors import _api
from connectors._api import ATTEMPTS, Answer, Api, RefreshedToken
from connectors.errors import ApiError, AuthError, IncompleteError, PermanentError, TransientError
from tests.vendors.loopback import Fault, Reply, Request, playing

SECRET = "s3cr3t/token+value"  # has what URLs write otherwise


def api(url: str, **settings: object) -> Api:
    given = {"per_second": 1e9, "params": {"key": SECRET}, "secrets": [SecretStr(SECRET)], **settings}
    return Api("ads", url, **given)  # type: ignore[arg-type]


def ok(_request: Request) -> Reply:
    return Reply({"ok": True})


def always(fault: Fault) -> Callable[[int, Request], Fault]:
    return lambda _number, _request: fault


def test_an_answer_is_json_with_exact_fractions(pauses: list[float]) -> None:
    with playing(lambda _r: Reply(b'{"cost": 0.1}')) as server:
        assert str(api(server.url).get("/spend").json()["cost"]) == "0.1"


def test_parameters_go_with_every_request_and_the_tries_are_counted(pauses: list[float]) -> None:
    with (
        playing(ok, always("broken")) as server,
        pytest.raises(TransientError, match="gave up after 6 tries"),
    ):
        api(server.url).get("/spend", {"day": "2026-03-01"})
    assert len(server.requests) == ATTEMPTS
    assert {tuple(r.query.items()) for r in server.requests} == {(("key", SECRET), ("day", "2026-03-01"))}


def test_waits_double_are_jittered_and_bounded(pauses: list[float]) -> None:
    with playing(ok, always("broken")) as server, pytest.raises(TransientError):
        api(server.url).get("/spend")
    assert len(pauses) == ATTEMPTS - 1
    for tries, waited in enumerate(pauses):
        assert 0.5 * 2**tries <= waited <= 2**tries


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("30", 30, 30),
        ("0", 0, 0),
        ("in two minutes", 60, 120),
        ("soon", 0.5, 1),
    ],
)
def test_retry_after_is_honoured_as_seconds_or_date(
    header: str, least: float, most: float, pauses: list[float]
) -> None:
    if header == "in two minutes":
        header = format_datetime(datetime.now(tz=UTC) + timedelta(seconds=120), usegmt=True)

    def vendor(_request: Request) -> Reply:
        return Reply({}, 429, {"Retry-After": header}) if len(server.requests) == 1 else Reply({})

    with playing(vendor) as server:
        api(server.url).get("/spend")
    (waited,) = pauses
    assert least <= waited <= most


def test_a_vendor_that_asks_for_an_hour_is_asked_tomorrow(pauses: list[float]) -> None:
    with playing(lambda _r: Reply({}, 429, {"Retry-After": "3600"})) as server, pytest.raises(TransientError):
        api(server.url).get("/spend")
    assert pauses == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_wrong_request_is_not_repeated_and_the_vendor_s_words_are_told(
    status: int, pauses: list[float]
) -> None:
    body = {"error": {"message": f"no such field 'cots' for key {SECRET}"}}
    with playing(lambda _r: Reply(body, status)) as server, pytest.raises(PermanentError) as failed:
        api(server.url).get("/spend")
    assert len(server.requests) == 1
    assert str(failed.value) == f"ads: GET /spend: HTTP {status} (no such field 'cots' for key ***)"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_names_the_setting(status: int, pauses: list[float]) -> None:
    with (
        playing(lambda _r: Reply({}, status)) as server,
        pytest.raises(AuthError, match=f"ads: GET /spend: HTTP {status}.*mend `key` of the source"),
    ):
        api(server.url, setting="key").get("/spend")


@pytest.mark.parametrize("form", [SECRET, quote(SECRET, safe=""), SECRET.replace("+", "%2B")])
def test_a_secret_in_an_answer_is_blotted_out(form: str, pauses: list[float]) -> None:
    with (
        playing(lambda _r: Reply({"message": f"bad {form}"}, 400)) as server,
        pytest.raises(PermanentError) as failed,
    ):
        api(server.url).get("/spend")
    assert "bad" in str(failed.value)
    assert SECRET not in str(failed.value)


def test_no_log_line_holds_the_url(pauses: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with playing(ok, lambda number, _r: "broken" if number == 0 else None) as server:
        api(server.url).get("/spend")
    assert "s3cr3t" not in caplog.text


def test_a_server_that_is_not_there_is_told_without_its_query(pauses: list[float]) -> None:
    with playing(ok) as server:
        url = server.url
    with pytest.raises(TransientError, match="GET /spend: cannot be reached") as failed:
        api(url).get("/spend")
    assert "s3cr3t" not in repr(failed.value)
    assert failed.value.__cause__ is None


def test_json_that_is_cut_off_without_a_length_is_asked_again(pauses: list[float]) -> None:
    with playing(
        lambda _r: Reply(b'{"rows": [1,' if len(server.requests) == 1 else b'{"rows": []}')
    ) as server:
        assert api(server.url).get("/spend").json() == {"rows": []}


def test_another_host_never_gets_the_token(pauses: list[float]) -> None:
    with playing(ok) as server, playing(ok) as other:
        with pytest.raises(PermanentError, match="another host"):
            api(server.url).get(f"{other.url}/next")
        assert other.requests == []


def test_a_redirect_is_not_followed(pauses: list[float]) -> None:
    with playing(ok) as other, playing(lambda _r: Reply({}, 302, {"Location": other.url})) as server:
        with pytest.raises(PermanentError, match="HTTP 302"):
            api(server.url).get("/spend")
        assert other.requests == []


def test_the_judge_hears_what_the_status_does_not_tell(pauses: list[float]) -> None:
    def judge(answer: Answer) -> ApiError | None:
        code = answer.json().get("code", 0)
        if code == 1:
            return TransientError("busy", wait=9)
        if code == 2:
            return AuthError("token expired")
        return None

    codes = [1, 0]
    with playing(lambda _r: Reply({"code": codes.pop(0)})) as server:
        assert api(server.url, judge=judge).get("/spend").json() == {"code": 0}
    assert pauses == [9]
    with (
        playing(lambda _r: Reply({"code": 2})) as server,
        pytest.raises(AuthError, match="ads: GET /spend: token expired; mend `token`"),
    ):
        api(server.url, judge=judge).get("/spend")


def test_the_pace_is_kept_for_all_sources_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(_api, "pause", pause)
    monkeypatch.setattr(_api, "clock", lambda: now[0])
    monkeypatch.setattr(_api, "_asked_at", {})
    with playing(ok) as server:
        first, second = api(server.url, per_second=4), api(server.url, per_second=4)
        for one in (first, second, first):
            one.get("/spend")
    assert waited == pytest.approx([0.25, 0.25])


def test_a_report_is_polled_until_it_is_ready_and_no_longer_than_agreed(pauses: list[float]) -> None:
    looks = [None, None, Answer(_api.Path("report"))]
    with playing(ok) as server:
        one = api(server.url)
        assert one.poll(lambda: looks.pop(0), every=5, at_most=60).status == 200
        assert pauses == [5, 5]
        with pytest.raises(TransientError, match="not ready after 1 minutes"):
            one.poll(lambda: None, every=5, at_most=60)


def test_an_access_token_is_fetched_once_and_again_when_it_is_refused(pauses: list[float]) -> None:
    issued: list[str] = []

    def vendor(request: Request) -> Reply:
        if request.path == "/oauth/token":
            assert request.form()["grant_type"] == "refresh_token"
            assert request.form()["refresh_token"] == SECRET
            issued.append(f"access-{len(issued)}")
            return Reply({"access_token": issued[-1]})
        # The first token ends after two requests.
        is_valid = request.headers["Authorization"] == f"Bearer {issued[-1]}" and (
            len(issued) > 1 or len(served) < 2
        )
        served.append(is_valid)
        return Reply({}) if is_valid else Reply({}, 401)

    served: list[bool] = []
    with playing(vendor) as server:
        token = RefreshedToken(
            "ads",
            f"{server.url}/oauth/token",
            client_id="id",
            client_secret=SecretStr("cs"),
            refresh_token=SecretStr(SECRET),
        )
        one = api(server.url, authorisation=token, params={})
        for _ in range(4):
            one.get("/spend")
    assert issued == ["access-0", "access-1"]
    assert served == [True, True, False, True, True]


def test_a_refused_refresh_token_names_its_setting(pauses: list[float]) -> None:
    def vendor(_request: Request) -> Reply:
        return Reply({"error": "invalid_grant", "error_description": f"{SECRET} was revoked"}, 400)

    with playing(vendor) as server:
        token = RefreshedToken(
            "ads",
            f"{server.url}/t",
            client_id="id",
            client_secret=SecretStr("client-secret"),
            refresh_token=SecretStr(SECRET),
        )
        with pytest.raises(AuthError, match=r"\*\*\* was revoked\); mend `refresh_token`"):
            api(server.url, authorisation=token, params={}).get("/spend")
    assert len(server.requests) == 1


def test_an_error_of_the_source_is_one_line_without_its_secret() -> None:
    error = api("http://127.0.0.1:1").error(IncompleteError, f"3 of 5 rows for {SECRET}")
    assert isinstance(error, IncompleteError)
    assert str(error) == "ads: 3 of 5 rows for ***"
