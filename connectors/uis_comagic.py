"""UIS and CoMagic (Novofon and CallGear give the same API): calls of the report `get.calls_report`.

Data API 2.0, JSON-RPC by POST; an error comes with status 200. Fields, pages and limits:
comagic.github.io/data_api, pages "Общая информация" and "Получение отчёта по сессиям звонков". Times are
local texts of the account's zone without an offset. A saved answer is read too, in the zone of `timezone:`.

    python -m connectors.uis_comagic FILE
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr, model_validator

from connectors import cli
from connectors._api import Answer, Api
from connectors._call_exports import AccountId
from connectors.contract import Column, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window, as_zone
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.files import InboxFile
from connectors.privacy import to_e164
from connectors.web import clean_tag, read_address, read_host

CALLS = Stream(
    name="calls",
    description="Calls of the virtual numbers, one row per call session, as UIS has them now.",
    columns=(
        Column("call_id", "text", "id of the call session.", required=True),
        Column("called_at", "timestamp", "start_time.", required=True),
        Column("direction_raw", "text", "direction: in or out.", required=True),
        Column("call_source", "text", "source: what placed the call (call_tracking, sitephone …)."),
        Column("is_lost", "boolean", "is_lost: nobody spoke with the caller."),
        Column("finish_reason", "text", "finish_reason."),
        Column("phone_key", "text", "contact_phone_number, hashed.", personal="phone"),
        Column("tracking_number", "text", "virtual_phone_number, E.164."),
        Column("wait_duration_s", "integer", "wait_duration: until the first conversation."),
        Column(
            "talk_duration_s", "integer", "talk_duration: from the first conversation on, holds included."
        ),
        Column("clean_talk_duration_s", "integer", "clean_talk_duration: conversation only."),
        Column("has_voice_mail", "boolean", "voice_mail_records is not empty."),
        Column("operator", "text", "Who talked last, else who answered last."),
        Column("communication_id", "text", "communication_id: the contact that the call belongs to."),
        Column(
            "visitor_id", "text", "ua_client_id as ga:…, else ym_client_id as ym:…, else visitor_id as uis:…."
        ),
        Column("visitor_session_id", "text", "visitor_session_id; NULL for a number without a web session."),
        Column("site_domain_name", "text", "site_domain_name."),
        Column("campaign_name", "text", "campaign_name: UIS's own campaign, not the ad platform's."),
        Column("traffic_channel", "text", "channel: paid, organic, social, direct …"),
        Column("search_engine", "text", "search_engine, lower case."),
        Column("search_query", "text", "search_query."),
        Column("utm_source", "text", "utm_source, else of the entrance page, lower case."),
        Column("utm_medium", "text", "utm_medium, else of the entrance page, lower case."),
        Column("utm_campaign", "text", "utm_campaign, else of the entrance page."),
        Column("utm_content", "text", "utm_content, else of the entrance page."),
        Column("utm_term", "text", "utm_term, else of the entrance page."),
        Column("campaign_id", "text", "The ad platform's campaign id, of the entrance page."),
        Column("click_id_type", "text", "gclid, yclid, else what the entrance page carried."),
        Column("click_id", "text", "The click id, case kept."),
        Column("landing_path", "text", "Path of entrance_page."),
        Column("referrer_host", "text", "Host of referrer, else referrer_domain."),
        Column("attributes", "text[]", "attributes: target, off-target, first, lost …"),
        Column("tags", "text[]", "tags, each `type: name`."),
        Column("recording_ref", "text", "communication_id/record of the first recording."),
        Column("external_id", "text", "call_api_external_id: the call's id in the clinic's own system."),
    ),
    primary_key=("call_id",),
    event_day="called_at",
    # Tags and attributes are set by people for weeks.
    restatement_days=35,
)

_ASKED = """
    id start_time finish_reason direction source is_lost communication_id wait_duration talk_duration
    clean_talk_duration call_records voice_mail_records virtual_phone_number contact_phone_number ua_client_id
    ym_client_id gclid yclid tags employees last_answered_employee_full_name last_talked_employee_full_name
    campaign_name visitor_id visitor_session_id site_domain_name entrance_page referrer referrer_domain
    channel search_engine search_query attributes call_api_external_id utm_source utm_medium utm_term
    utm_content utm_campaign
"""
# Fields of the report that are not read, so that only new ones are reported.
_UNREAD = """
    finish_time cpn_region_id cpn_region_name cpn_country_id cpn_country_name properties scenario_operations
    communication_number communication_page_url communication_type total_wait_duration
    lost_call_processing_duration total_duration postprocess_duration wav_call_records full_record_file_link
    sale_date sale_cost is_transfer ymclid ef_id last_answered_employee_id last_answered_employee_rating
    first_answered_employee_id first_answered_employee_full_name last_talked_employee_id
    first_talked_employee_id first_talked_employee_full_name operator_phone_number scenario_name scenario_id
    site_id campaign_id visit_other_campaign auto_call_campaign_name person_id visitor_type visits_count
    visitor_first_campaign_id visitor_first_campaign_name visitor_city visitor_region visitor_country
    visitor_device visitor_custom_properties segments call_api_request_id contact_id contact_full_name
    openstat_ad openstat_campaign openstat_service openstat_source eq_utm_source eq_utm_medium eq_utm_term
    eq_utm_content eq_utm_campaign eq_utm_referrer eq_utm_expid source_id source_name source_new channel_new
    channel_code ext_id
"""
_FIELDS = _ASKED.split()
_KNOWN = frozenset([*_FIELDS, *_UNREAD.split()])
_FORMAT = "%Y-%m-%d %H:%M:%S"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_INTERNATIONAL = re.compile(r"[1-79]\d{10,14}")
_PATH = "/v2.0"
# Rows of a page, and how far pages reach.
_PAGE = 10_000
_FURTHEST = 100_000
_REMEDY = "save the answer of get.calls_report, as JSON"
# When an answer does not say how long to wait, seconds; a day's limit is waited for until the next night.
_MINUTE, _UNTIL_TOMORROW = 60.0, 3600.0

# Codes and mnemonics of errors, by what to do.
_REFUSED = frozenset({-32001, -32009})
_REFUSED_MNEMONICS = frozenset(
    {"auth_error", "access_token_expired", "access_token_blocked", "access_token_invalid", "account_inactive"}
)


class UisComagicOptions(SourceOptions):
    """`token` is a permanent API key. `user_id` names the client where the key is an agent's.

    `base_url` is the brand's: dataapi.comagic.ru for CoMagic, dataapi.callgear.com for CallGear. The API is
    asked for the account's time zone; saved answers are read in `timezone`.
    """

    token: SecretStr | None = None
    user_id: AccountId = None
    base_url: str = "https://dataapi.uiscom.ru"

    @model_validator(mode="after")
    def _whole(self) -> UisComagicOptions:
        if self.user_id is not None and not self.user_id.isdecimal():
            raise ValueError("user_id: write the client's number, from get.customer_users")
        if self.user_id is not None and self.token is not None and self.timezone is None:
            raise ValueError(
                "user_id needs timezone too: an agent's key cannot ask for the client's time zone"
            )
        return self


class UisComagic(Connector[UisComagicOptions]):
    """Call report of UIS and CoMagic."""

    kind = "uis_comagic"
    title = "UIS, CoMagic, Novofon, CallGear"
    options = UisComagicOptions
    feeds = ("calls",)

    def streams(self, source: UisComagicOptions) -> tuple[Stream, ...]:
        """One stream: calls."""
        return (CALLS,)

    def read(self, file: InboxFile, stream: Stream, source: UisComagicOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the calls of a saved answer, or of an array of calls, in order.

        Raises FileRefused for anything else, an error answer included.
        """
        prefix, total = _envelope(file)
        count = 0
        for number, call in file.json_items(prefix):
            if not isinstance(call, dict) or not call.keys() >= {"id", "start_time"}:
                raise FileRefused(f"{file.name}: record {number} has no id and start_time; {_REMEDY}")
            count = number
            yield _row(number, call, source.zone, source.clinic_phone_region, log)
        if total is not None:
            log.control_totals["report", "calls"] = Decimal(total)
            if count < total:
                log.notes.append(
                    f"holds {count} of {total} calls: the other pages of the report belong here too"
                )

    def route(self, source: UisComagicOptions, stream: Stream) -> Route | None:
        """Reports of five weeks; the API gives three months at once."""
        return None if source.token is None else Route(by="day", window_days=35)

    def fetch(self, source: UisComagicOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the window's calls, each once. Raises ApiError."""
        report = _Report(source)
        zone = report.zone()
        since = window.starts_at.astimezone(zone)
        # Both ends are included, to the second.
        until = (window.ends_at - timedelta(seconds=1)).astimezone(zone)
        seen: set[str] = set()
        total = number = 0
        for calls, total in report.pages(since, until):  # noqa: B007 - the last page's total is compared
            for call in calls:
                number += 1
                call_id = str(call.get("id"))
                if call_id in seen:
                    continue
                seen.add(call_id)
                yield _row(number, call, zone, source.clinic_phone_region, log)
        if len(seen) < total:
            raise report.api.error(IncompleteError, f"gave {len(seen)} of {total} calls of {window.since} on")
        log.control_totals["report", "calls"] = Decimal(total)

    def probe(self, source: UisComagicOptions) -> str:
        """Ask for one call of yesterday. Raises ApiError."""
        yesterday = datetime.now(source.zone).date() - timedelta(days=1)
        return f"answers; {_Report(source).count(yesterday)} calls on {yesterday}"


class _Report:
    """The Data API of one account."""

    def __init__(self, source: UisComagicOptions) -> None:
        assert source.token is not None
        self._source = source
        self._params: dict[str, Any] = {"access_token": source.token.get_secret_value()}
        self._of_client = {} if source.user_id is None else {"user_id": int(source.user_id)}
        self._requests = 0
        # A hundred points a minute are usual, and every request costs one.
        self.api = Api(
            source.name,
            source.base_url,
            per_second=1.5,
            headers={"Content-Type": "application/json; charset=UTF-8"},
            secrets=[source.token],
            judge=_judge,
        )

    def zone(self) -> ZoneInfo:
        """The zone of the report's times. Raises PermanentError where `timezone` says another."""
        configured = self._source.timezone
        if self._source.user_id is not None and configured is not None:
            return configured
        try:
            data = self._call("get.account", {}).get("data")
        except AuthError:
            raise
        except PermanentError:
            if configured is None:
                raise
            return configured
        account = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
        name = account.get("timezone")
        try:
            zone = as_zone(name)
        except ValueError:
            zone = None
        if not isinstance(zone, ZoneInfo):
            raise self.api.error(PermanentError, "does not tell the account's time zone; set `timezone`")
        if configured is not None and configured.key != zone.key:
            raise self.api.error(
                PermanentError,
                f"the account's times are of {zone.key}, not {configured.key}; mend `timezone` of the source",
            )
        return zone

    def pages(self, since: datetime, until: datetime) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """(calls, how many the report has) page by page, of local times both included."""
        offset = 0
        while True:
            result = self._calls(since, until, offset, _PAGE)
            calls = [call for call in result.get("data") or () if isinstance(call, dict)]
            total = _total(result)
            yield calls, total
            offset += len(calls)
            if offset >= total:
                return
            if not calls or offset > _FURTHEST:
                raise self.api.error(
                    IncompleteError, f"gave {offset} of {total} calls of {since:%Y-%m-%d} to {until:%Y-%m-%d}"
                )

    def count(self, day: date) -> int:
        """How many calls a local day has."""
        since = datetime(day.year, day.month, day.day, tzinfo=self._source.zone)
        return _total(self._calls(since, since.replace(hour=23, minute=59, second=59), 0, 1))

    def _calls(self, since: datetime, until: datetime, offset: int, limit: int) -> dict[str, Any]:
        return self._call(
            "get.calls_report",
            {
                **self._of_client,
                "date_from": f"{since:{_FORMAT}}",
                "date_till": f"{until:{_FORMAT}}",
                "offset": offset,
                "limit": limit,
                "include_ongoing_calls": False,
                # Without it pages are of no order, and rows move between them.
                "sort": [{"field": "start_time", "order": "asc"}],
                "fields": _FIELDS,
            },
        )

    def _call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self._requests += 1
        body = {
            "jsonrpc": "2.0",
            "id": str(self._requests),
            "method": method,
            "params": {**self._params, **params},
        }
        answer = self.api.post(_PATH, body).json()
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, dict):
            raise self.api.error(PermanentError, f"{method}: the answer has no result")
        return result


def _total(result: Mapping[str, Any]) -> int:
    """`metadata.total_items`; the length of the data where it is missing."""
    total = (result.get("metadata") or {}).get("total_items")
    return total if isinstance(total, int) else len(result.get("data") or ())


def _judge(answer: Answer) -> ApiError | None:
    """The error of an answer with status 200: a code of a group, and a mnemonic that is exact."""
    try:
        body = answer.json()
    except ValueError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    told = error.get("data")
    data = told if isinstance(told, dict) else {}
    code, mnemonic = error.get("code"), str(data.get("mnemonic") or "")
    text = " ".join(f"{mnemonic or code or 'error'} ({error.get('message') or 'no message'})".split())[:200]
    if mnemonic == "ip_not_whitelisted":
        return AuthError(f"{text}; allow this machine's address in the cabinet (security settings, API)")
    if code in _REFUSED or mnemonic in _REFUSED_MNEMONICS:
        return AuthError(text)
    if code == -32029 or mnemonic == "limit_exceeded":
        return TransientError(text, _wait(data, text))
    if code == -32603 or mnemonic == "internal_error":
        return TransientError(text)
    return PermanentError(text)


def _wait(data: Mapping[str, Any], text: str) -> float:
    """Seconds until the limit that was met is reset."""
    limits = (data.get("metadata") or {}).get("limits") or {}
    is_of_day = limits.get("day_remaining") == 0 or "per day" in text.lower()
    reset = limits.get("day_reset" if is_of_day else "minute_reset")
    if isinstance(reset, (int, float)) and not isinstance(reset, bool) and reset >= 0:
        return float(reset)
    return _UNTIL_TOMORROW if is_of_day else _MINUTE


def _envelope(file: InboxFile) -> tuple[str, int | None]:
    """(ijson prefix of the calls, how many the report has)."""
    first = file.first_character()
    if first == "[":
        return "item", None
    if first == "":
        raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
    if first != "{":
        raise FileRefused(f"{file.name}: is not JSON; {_REMEDY}")
    # Members in any order: the answer is gone through once for its head.
    names = {name for name, _, _ in file.json_head()}
    if "error" in names:
        error = next((item for _, item in file.json_items("error")), None)
        data = error.get("data") if isinstance(error, dict) else None
        mnemonic = data.get("mnemonic") if isinstance(data, dict) else None
        told = f" ({mnemonic})" if isinstance(mnemonic, str) and mnemonic.isidentifier() else ""
        raise FileRefused(f"{file.name}: is an error answer{told}; {_REMEDY}")
    if "result" not in names:
        raise FileRefused(f"{file.name}: is no answer of get.calls_report; {_REMEDY}")
    metadata = next((item for _, item in file.json_items("result.metadata")), None)
    total = metadata.get("total_items") if isinstance(metadata, dict) else None
    return "result.data.item", total if isinstance(total, int) else None


def _row(number: int, call: Mapping[str, Any], zone: ZoneInfo, region: str, log: ReadLog) -> Row:
    if not call.keys() <= _KNOWN:
        log.unknown_columns.update(call.keys() - _KNOWN)
    get = call.get
    called_at, refused = _moment(get("start_time"), zone)
    direction = _text(get("direction"))
    if refused is None and direction not in ("in", "out"):
        refused = ("direction_raw", "is neither in nor out")
    page = read_address(_text(get("entrance_page")))
    click = next(((name, value) for name in ("gclid", "yclid") if (value := _text(get(name)))), None)
    click_id_type, click_id = click or (page.click_id_type, page.click_id)
    communication_id, recordings = _text(get("communication_id")), _texts(get("call_records"))
    values = {
        "call_id": _text(get("id")),
        "called_at": called_at,
        "direction_raw": direction,
        "call_source": _text(get("source")),
        "is_lost": get("is_lost") if isinstance(get("is_lost"), bool) else None,
        "finish_reason": _text(get("finish_reason")),
        "phone_key": _international(_text(get("contact_phone_number"))),
        "tracking_number": _dialled(_text(get("virtual_phone_number")), region),
        "wait_duration_s": get("wait_duration"),
        "talk_duration_s": get("talk_duration"),
        "clean_talk_duration_s": get("clean_talk_duration"),
        "has_voice_mail": bool(_texts(get("voice_mail_records"))),
        "operator": _operator(call),
        "communication_id": communication_id,
        "visitor_id": _visitor(call),
        "visitor_session_id": _text(get("visitor_session_id")),
        "site_domain_name": _text(get("site_domain_name")),
        "campaign_name": clean_tag(_text(get("campaign_name"))),
        "traffic_channel": _text(get("channel")),
        "search_engine": _lower(_text(get("search_engine"))),
        "search_query": clean_tag(_text(get("search_query"))),
        "utm_source": _lower(clean_tag(_text(get("utm_source")))) or page.utm_source,
        "utm_medium": _lower(clean_tag(_text(get("utm_medium")))) or page.utm_medium,
        "utm_campaign": clean_tag(_text(get("utm_campaign"))) or page.utm_campaign,
        "utm_content": clean_tag(_text(get("utm_content"))) or page.utm_content,
        "utm_term": clean_tag(_text(get("utm_term"))) or page.utm_term,
        "campaign_id": page.campaign_id,
        "click_id_type": click_id_type,
        "click_id": click_id,
        "landing_path": page.path,
        "referrer_host": read_host(_text(get("referrer"))) or read_host(_text(get("referrer_domain"))),
        "attributes": _texts(get("attributes")),
        "tags": _tags(get("tags")),
        "recording_ref": f"{communication_id}/{recordings[0]}" if recordings and communication_id else None,
        "external_id": _text(get("call_api_external_id")),
    }
    return Row(number, values, refused)


def _moment(raw: Any, zone: ZoneInfo) -> tuple[datetime | None, tuple[str, str] | None]:
    """A local time of the account, or why it cannot be told."""
    if isinstance(raw, str) and _TIME.fullmatch(raw):
        try:
            return datetime.strptime(raw, _FORMAT).replace(tzinfo=zone), None
        except ValueError:
            pass
    return None, ("called_at", "start_time is not a time like 2025-06-25 10:01:02")


def _text(raw: Any) -> str | None:
    """Text of a scalar, None for nothing."""
    if raw is None or isinstance(raw, (dict, list, bool)):
        return None
    return str(raw).strip() or None


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _texts(raw: Any) -> list[str] | None:
    """The texts of an array, None when there are none."""
    if not isinstance(raw, list):
        return None
    return [text for item in raw if (text := _text(item)) is not None] or None


def _international(digits: str | None) -> str | None:
    # UIS leaves out the plus; without it eleven digits could be another country's local number.
    if digits is not None and _INTERNATIONAL.fullmatch(digits):
        return f"+{digits}"
    return digits


def _dialled(text: str | None, region: str) -> str | None:
    number = _international(text)
    return None if number is None else to_e164(number, region)


def _operator(call: Mapping[str, Any]) -> str | None:
    for name in ("last_talked_employee_full_name", "last_answered_employee_full_name"):
        if (text := _text(call.get(name))) is not None:
            return text
    employees = call.get("employees")
    people = [e for e in employees if isinstance(e, dict)] if isinstance(employees, list) else []
    for flag in ("is_talked", "is_answered"):
        for person in reversed(people):
            if person.get(flag) is True and (text := _text(person.get("employee_full_name"))) is not None:
                return text
    return None


def _visitor(call: Mapping[str, Any]) -> str | None:
    for system, name in (("ga", "ua_client_id"), ("ym", "ym_client_id"), ("uis", "visitor_id")):
        if (text := _text(call.get(name))) is not None and text != "0":
            return f"{system}:{text}"
    return None


def _tags(raw: Any) -> list[str] | None:
    found: dict[str, None] = {}
    for tag in raw if isinstance(raw, list) else ():
        if isinstance(tag, dict) and (name := clean_tag(_text(tag.get("tag_name")))) is not None:
            found.setdefault(f"{_text(tag.get('tag_type')) or 'tag'}: {name}")
    return list(found) or None


CONNECTOR = UisComagic()

if __name__ == "__main__":
    cli.main(CONNECTOR)
