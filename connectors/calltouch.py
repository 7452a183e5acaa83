"""Calltouch: calls as its API's calls journal gives them, saved to a file.

Reads the answer of `GET /calls-service/RestAPI/{siteId}/calls-diary/calls`, with or without paging: an
object `{page, pageTotal, pageSize, recordsTotal, records: [...]}`, or a bare array of calls. Field
meanings: www.calltouch.ru/support/api-metod-vygruzki-zhurnala-zvonkov and a real journal (62 fields).

    python -m connectors.calltouch FILE
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from connectors import cli
from connectors.contract import Column, Connector, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.privacy import to_e164
from connectors.web import clean_tag, read_address, read_host

CALLS = Stream(
    name="calls",
    description="Calls through tracked numbers, one row per call, as Calltouch has them now.",
    columns=(
        Column("call_id", "text", "callId.", required=True),
        Column("site_id", "text", "siteId, the Calltouch project."),
        Column("called_at", "timestamp", "timestamp: start of the call.", required=True),
        Column("is_finished", "boolean", "False while callphase was still callconnected at the export."),
        Column("is_callback", "boolean", "callbackCall: made by the callback service."),
        Column("phone_key", "text", "callerNumber, hashed; NULL when withheld or masked.", personal="phone"),
        Column("tracking_number", "text", "phoneNumber: the number that was dialled, E.164."),
        Column("duration_s", "integer", "duration as reported: may be negative, or above zero unanswered."),
        Column("waiting_s", "integer", "waitingConnect; NULL is unknown, not zero."),
        Column("is_successful", "boolean", "successful: a conversation took place."),
        Column("is_target", "boolean", "targetCall: meets the project's target rule."),
        Column("status", "text", "statusDetails."),
        Column("manager", "text", "manager."),
        Column("visitor_id", "text", "clientId as ga:…, else yaClientId as ym:…, else ctClientId as ct:…."),
        Column("source", "text", "source, lower case; NULL for a dedicated number without a web session."),
        Column("medium", "text", "medium, lower case."),
        Column("keyword", "text", "keyword; NULL when not provided."),
        Column("utm_source", "text", "utmSource, else of the page, lower case."),
        Column("utm_medium", "text", "utmMedium, else of the page, lower case."),
        Column("utm_campaign", "text", "utmCampaign, else of the page."),
        Column("utm_content", "text", "utmContent, else of the page."),
        Column("utm_term", "text", "utmTerm, else of the page."),
        Column("campaign_id", "text", "campaignId of yandexDirect or googleAdWords, else of the page."),
        Column("click_id_type", "text", "Which click id the landing page carried."),
        Column("click_id", "text", "The click id, case kept."),
        Column("landing_path", "text", "Path of url, the session's landing page."),
        Column("referrer_host", "text", "Host of ref."),
        Column("tags", "text[]", "callTags, each `type: name`."),
        Column("recording_ref", "text", "siteId/callId of a call that can have a recording."),
        Column("pbx_ref", "text", "callReferenceId: the call's id at the clinic's own exchange."),
        Column("callback_ref", "text", "callbackInfo.callbackRequestId: groups the attempts of one request."),
    ),
    primary_key=("call_id",),
    event_day="called_at",
    # Tags, managers and Predict results arrive for weeks; the journal is small enough to re-read.
    restatement_days=35,
)

# The journal's fields, so that only new ones are reported.
_FIELDS = """
    additionalTags attribution attrs browser callClientUniqueId callId callReferenceId callTags
    callUrl callbackCall callbackInfo callerNumber callphase city clientId comments ctCallerId
    ctClientId ctGlobalId customFields date dcm device duration googleAdWords hostname ip keyword
    manager mapVisits medium order orders os phoneNumber phonesInText phrases poolType
    redirectNumber ref sessionDate sessionId sipCallId siteId siteName source statusDetails
    subPoolName successful targetCall timestamp uniqTargetCall uniqueCall url userAgent utmCampaign
    utmContent utmMedium utmSource utmTerm waitingConnect yaClientId yandexDirect
"""
_KNOWN = frozenset(_FIELDS.split())
_PLACEHOLDERS = frozenset({"<не указано>", "<не заполнено>", "<not specified>", "null"})
_NUMBER = re.compile(r"\+?\d{7,15}")
# Epoch seconds of the year 2100; the requests journal's milliseconds lie far above.
_LATEST_EPOCH = 4_102_444_800
_CHECKED_FOR_ZONE = 50
_REMEDY = "save the answer of …/calls-diary/calls, as JSON"


class CalltouchOptions(SourceOptions):
    """`timezone` is the project's: `date` is compared with it, times are taken from `timestamp`."""


class Calltouch(Connector[CalltouchOptions]):
    """Calls journal of Calltouch."""

    kind = "calltouch"
    title = "Calltouch"
    options = CalltouchOptions
    feeds = ("calls",)

    def streams(self, source: CalltouchOptions) -> tuple[Stream, ...]:
        """One stream: calls."""
        return (CALLS,)

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: CalltouchOptions,
        log: ReadLog,
    ) -> Iterator[Row]:
        """Yield calls in the file's order.

        Raises FileRefused for anything that is not a calls journal and for a page with fewer calls than
        its head announces.
        """
        prefix, head = _envelope(file)
        for name in ("page", "pageTotal", "pageSize", "recordsTotal"):
            if name in head:
                log.control_totals["answer", name] = Decimal(head[name])
        if head.get("pageTotal", 0) > 1:
            log.notes.append(f"page {head.get('page')} of {head['pageTotal']}")
        region = source.clinic_phone_region
        count = strangers = macros = 0
        for number, call in file.json_items(prefix):
            if not isinstance(call, dict) or "callId" not in call:
                raise FileRefused(_not_calls(file, number, call))
            count = number
            if number <= _CHECKED_FOR_ZONE and not _agrees(call, source.zone):
                strangers += 1
            if not call.keys() <= _KNOWN:
                log.unknown_columns.update(call.keys() - _KNOWN)
            row, has_macro = _row(number, call, region)
            macros += has_macro
            yield row
        if strangers:
            log.notes.append(
                f"`date` of {strangers} of the first {min(count, _CHECKED_FOR_ZONE)} calls is not "
                f"`timestamp` in {source.zone.key}; `timestamp` was taken (set `timezone:` of the source)"
            )
        if macros:
            log.notes.append(f"{macros} calls have a tag that the ad platform did not fill in ({{…}})")
        expected = _expected(head)
        if expected is not None and count < expected:
            raise FileRefused(
                f"{file.name}: holds {count} of {expected} calls; the export is not whole, repeat it"
            )


def _envelope(file: InboxFile) -> tuple[str, dict[str, int]]:
    """(ijson prefix of the calls, whole numbers of the answer's head)."""
    first = file.first_character()
    if first == "[":
        return "item", {}
    if first == "":
        raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
    if first == "<":
        raise FileRefused(
            f"{file.name}: is an HTML page, which Calltouch sends for an unknown method or site; {_REMEDY}"
        )
    if first != "{":
        raise FileRefused(f"{file.name}: is not JSON; {_REMEDY}")
    head: dict[str, int] = {}
    names: list[str] = []
    has_records = False
    for name, event, value in file.json_head():
        names.append(name)
        if name == "records" and event == "start_array":
            has_records = True
        elif event == "number":
            head[name] = int(value)
    if not has_records:
        told = ", ".join(sorted(set(names))[:5]) or "nothing"
        what = "an error answer" if any("error" in name.lower() for name in names) else "no calls journal"
        raise FileRefused(f"{file.name}: is {what} (it has {told} but no records); {_REMEDY}")
    return "records.item", head


def _expected(head: dict[str, int]) -> int | None:
    """How many calls this page must hold, None when its head does not tell."""
    page, pages, size, total = (head.get(n) for n in ("page", "pageTotal", "pageSize", "recordsTotal"))
    if total is None:
        return None
    if page is None or pages is None or pages <= 1:
        return total
    if size is None:
        return None
    return size if page < pages else max(total - (pages - 1) * size, 0)


def _not_calls(file: InboxFile, number: int, call: object) -> str:
    if isinstance(call, dict) and "requestId" in call:
        return f"{file.name}: is the requests journal, which is not read here; {_REMEDY}"
    return f"{file.name}: record {number} has no callId, so this is no calls journal; {_REMEDY}"


def _agrees(call: dict[str, Any], zone: ZoneInfo) -> bool:
    """Whether the local `date` is the `timestamp` in the project's zone."""
    written, epoch = call.get("date"), call.get("timestamp")
    if not isinstance(written, str) or not isinstance(epoch, int) or not 0 < epoch < _LATEST_EPOCH:
        return True
    return datetime.fromtimestamp(epoch, zone).strftime("%d/%m/%Y %H:%M:%S") == written


def _row(number: int, call: dict[str, Any], region: str) -> tuple[Row, bool]:
    get = call.get
    called_at, refused = _moment(get("timestamp"))
    call_id, site_id = _text(get("callId")), _text(get("siteId"))
    page = read_address(_text(get("url")))
    medium = _lower(_text(get("medium")))
    source, utm_source = _lower(_tag(get("source"))), _lower(_tag(get("utmSource")))
    utm_medium, utm_campaign = _lower(_tag(get("utmMedium"))), _tag(get("utmCampaign"))
    utm_content, utm_term = _tag(get("utmContent")), _tag(get("utmTerm"))
    if medium == "offline":
        # A dedicated number without a session: Calltouch writes the number as source and campaign. Its
        # channel comes from tracking_numbers; kept here, it would stand in reports as a campaign.
        source, utm_source = _unless_number(source), _unless_number(utm_source)
        utm_campaign = _unless_number(utm_campaign)
        utm_medium = None if utm_medium == "offline" else utm_medium
    successful = _flag(get("successful"))
    keyword = _tag(get("keyword"))
    values = {
        "call_id": call_id,
        "site_id": site_id,
        "called_at": called_at,
        "is_finished": get("callphase") != "callconnected",
        "is_callback": _flag(get("callbackCall")) or False,
        "phone_key": _caller(get("callerNumber")),
        "tracking_number": _dialled(_text(get("phoneNumber")), region),
        "duration_s": get("duration"),
        "waiting_s": get("waitingConnect"),
        "is_successful": successful,
        "is_target": _flag(get("targetCall")),
        "status": _text(get("statusDetails")),
        "manager": _text(get("manager")),
        "visitor_id": _visitor(get("clientId"), get("yaClientId"), get("ctClientId")),
        "source": source,
        "medium": medium,
        "keyword": None if keyword == "(not provided)" else keyword,
        "utm_source": utm_source or page.utm_source,
        "utm_medium": utm_medium or page.utm_medium,
        "utm_campaign": utm_campaign or page.utm_campaign,
        "utm_content": utm_content or page.utm_content,
        "utm_term": utm_term or page.utm_term,
        "campaign_id": _campaign(get("yandexDirect")) or _campaign(get("googleAdWords")) or page.campaign_id,
        "click_id_type": page.click_id_type,
        "click_id": page.click_id,
        "landing_path": page.path,
        "referrer_host": read_host(_text(get("ref"))),
        "tags": _tags(get("callTags")),
        "recording_ref": f"{site_id}/{call_id}" if successful else None,
        "pbx_ref": _text(get("callReferenceId")),
        "callback_ref": _callback(get("callbackInfo")),
    }
    return Row(number, values, refused), page.has_macro


def _moment(raw: Any) -> tuple[datetime | None, tuple[str, str] | None]:
    """The start of the call, or why it cannot be told."""
    try:
        epoch = int(raw)
    except (TypeError, ValueError):
        return None, ("called_at", "timestamp is missing")
    if not 0 < epoch < _LATEST_EPOCH:
        return None, ("called_at", "timestamp is not in epoch seconds")
    return datetime.fromtimestamp(epoch, UTC), None


def _text(raw: Any) -> str | None:
    """Text of a scalar; None for nothing and for Calltouch's placeholders."""
    if raw is None or raw == "":
        return None
    if isinstance(raw, (dict, list, bool)):
        return None
    text = str(raw).strip()
    return None if not text or text in _PLACEHOLDERS else text


def _tag(raw: Any) -> str | None:
    return clean_tag(_text(raw))


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _unless_number(text: str | None) -> str | None:
    return None if text is None or _NUMBER.fullmatch(text) else text


def _flag(raw: Any) -> bool | None:
    """JSON booleans, and the texts that older answers have."""
    if isinstance(raw, bool):
        return raw
    text = str(raw).lower()
    return True if text in ("true", "1") else False if text in ("false", "0") else None


def _caller(raw: Any) -> str | None:
    """The caller's digits as an international number; None for a masked or short one."""
    text = "" if raw is None else str(raw).strip()
    return _international(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=1 << 12)
def _dialled(text: str | None, region: str) -> str | None:
    return None if text is None else to_e164(_international(text), region)


def _international(digits: str) -> str:
    # Calltouch leaves out the plus of +7; without it eleven digits could be another country's local number.
    return f"+{digits}" if len(digits) == 11 and digits[0] == "7" and digits.isdigit() else digits


def _visitor(ga: Any, ym: Any, ct: Any) -> str | None:
    for system, raw in (("ga", ga), ("ym", ym), ("ct", ct)):
        if (text := _text(raw)) is not None and text != "0":
            return f"{system}:{text}"
    return None


def _campaign(platform: Any) -> str | None:
    return _text(platform.get("campaignId")) if isinstance(platform, dict) else None


def _callback(info: Any) -> str | None:
    return _text(info.get("callbackRequestId")) if isinstance(info, dict) else None


def _tags(groups: Any) -> list[str] | None:
    """`type: name` for every name of every group; the same type may come more than once."""
    if not isinstance(groups, list):
        return None
    found: dict[str, None] = {}
    for group in groups:
        if isinstance(group, dict) and isinstance(group.get("names"), list):
            for name in group["names"]:
                if (text := _tag(name)) is not None:
                    found.setdefault(f"{_text(group.get('type')) or 'TAG'}: {text}")
    return list(found) or None


CONNECTOR = Calltouch()

if __name__ == "__main__":
    cli.main(CONNECTOR)
