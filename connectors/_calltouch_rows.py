"""Rows of Calltouch's two journals: a record as the API gives it -> landed columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from connectors.contract import Row
from connectors.privacy import to_e164
from connectors.web import Address, clean_tag, read_address, read_host

# Epoch seconds of the year 2100; the requests journal's milliseconds lie far above.
LATEST_EPOCH = 4_102_444_800
# Epoch milliseconds of 1973; seconds lie far below.
_EARLIEST_MILLISECONDS = 100_000_000_000
_PLACEHOLDERS = frozenset({"<не указано>", "<не заполнено>", "<not specified>", "null"})
_NUMBER = re.compile(r"\+?\d{7,15}")


def call_row(number: int, call: Mapping[str, Any], region: str) -> tuple[Row, bool]:
    """The row of a call, and whether one of its tags was not filled in. `region` reads numbers."""
    get = call.get
    called_at, refused = _moment(get("timestamp"))
    call_id, site_id = _text(get("callId")), _text(get("siteId"))
    page = read_address(_text(get("url")))
    successful = _flag(get("successful"))
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
        **_origin(call, get("keyword"), page),
        "campaign_id": _campaign(get("yandexDirect")) or _campaign(get("googleAdWords")) or page.campaign_id,
        "attribution": _model(get("attribution")),
        "tags": _tags(get("callTags")),
        "recording_ref": f"{site_id}/{call_id}" if successful and site_id else None,
        "pbx_ref": _text(get("callReferenceId")),
        "callback_ref": _callback(get("callbackInfo")),
    }
    return Row(number, values, refused), page.has_macro


def request_row(number: int, request: Mapping[str, Any]) -> tuple[Row, bool]:
    """The row of a request, and whether one of its tags was not filled in."""
    get = request.get
    requested_at, refused = _millisecond(get("date"))
    session, client = _object(get("session")), _object(get("client"))
    page = read_address(_text(session.get("url")))
    if not session:
        # A form sent without a session is known by the page it stands on, which need not be the first.
        page = read_address(_text(get("requestUrl")))._replace(path=None)
    values = {
        "request_id": _text(get("requestId")),
        "site_id": _text(get("siteId")),
        "requested_at": requested_at,
        "phone_key": _phones(client.get("phones")),
        "email_key": _addresses(client.get("contacts")),
        "is_target": _flag(get("targetRequest")),
        "status_raw": _text(get("status")),
        "manager": _text(get("manager")),
        "visitor_id": _visitor(session.get("guaClientId"), session.get("yaClientId"), get("ctClientId")),
        **_origin(session, session.get("keywords"), page),
        "campaign_id": _campaign(get("yandexDirect")) or _campaign(get("googleAdWords")) or page.campaign_id,
        "attribution": _model(session.get("attribution")),
        "tags": _tags(get("RequestTags")),
    }
    return Row(number, values, refused), page.has_macro


def _origin(session: Mapping[str, Any], raw_keyword: Any, page: Address) -> dict[str, Any]:
    """Where the session came from, by Calltouch and else by its first page."""
    get = session.get
    medium = _lower(_text(get("medium")))
    source, utm_source = _lower(_tag(get("source"))), _lower(_tag(get("utmSource")))
    utm_medium, utm_campaign = _lower(_tag(get("utmMedium"))), _tag(get("utmCampaign"))
    if medium == "offline":
        # A dedicated number without a session: Calltouch writes the number as source and campaign. Its
        # channel comes from tracking_numbers; kept here, it would stand in reports as a campaign.
        source, utm_source = _unless_number(source), _unless_number(utm_source)
        utm_campaign = _unless_number(utm_campaign)
        utm_medium = None if utm_medium == "offline" else utm_medium
    keyword = _tag(raw_keyword)
    return {
        "source": source,
        "medium": medium,
        "keyword": None if keyword == "(not provided)" else keyword,
        "utm_source": utm_source or page.utm_source,
        "utm_medium": utm_medium or page.utm_medium,
        "utm_campaign": utm_campaign or page.utm_campaign,
        "utm_content": _tag(get("utmContent")) or page.utm_content,
        "utm_term": _tag(get("utmTerm")) or page.utm_term,
        "click_id_type": page.click_id_type,
        "click_id": page.click_id,
        "landing_path": page.path,
        "referrer_host": read_host(_text(get("ref"))),
    }


def _moment(raw: Any) -> tuple[datetime | None, tuple[str, str] | None]:
    """The start of the call, or why it cannot be told."""
    try:
        epoch = int(raw)
    except (TypeError, ValueError):
        return None, ("called_at", "timestamp is missing")
    if not 0 < epoch < LATEST_EPOCH:
        return None, ("called_at", "timestamp is not in epoch seconds")
    return datetime.fromtimestamp(epoch, UTC), None


def _millisecond(raw: Any) -> tuple[datetime | None, tuple[str, str] | None]:
    """The time of the request, or why it cannot be told."""
    try:
        epoch = int(raw)
    except (TypeError, ValueError):
        return None, ("requested_at", "date is missing")
    if not _EARLIEST_MILLISECONDS <= epoch < LATEST_EPOCH * 1000:
        return None, ("requested_at", "date is not in epoch milliseconds")
    seconds, milliseconds = divmod(epoch, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000), None


def _object(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}


def _objects(raw: Any) -> list[dict[str, Any]]:
    return [item for item in raw if isinstance(item, dict)] if isinstance(raw, list) else []


def _phones(raw: Any) -> list[str] | None:
    """The numbers of a request, as the site's form sent them: in any spelling."""
    texts = (_text(item.get("phoneNumber")) for item in _objects(raw))
    return [_international(text) for text in texts if text is not None] or None


def _addresses(raw: Any) -> list[str] | None:
    found = (_text(item.get("contactValue")) for item in _objects(raw))
    return [text for text in found if text is not None and "@" in text] or None


def _model(raw: Any) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 1000 else None


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
