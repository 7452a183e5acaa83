"""CallRail: calls of its API v3, asked or saved, and of a table downloaded from its pages.

Fields, paging and limits: apidocs.callrail.com, "Listing All Calls", "Relative Pagination", "Summarizing
Call Data". `source`, `medium`, `campaign` and the landing page of a call are those of the lead's first touch;
what made this call is `milestones.last_touch`. The click ids of a call are "the most valuable", of whichever
touch. Both touches are landed, the choice is made in staging.

    python -m connectors.callrail FILE
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.compute
from pydantic import SecretStr, model_validator

from connectors import cli
from connectors._api import Answer, Api, retry_after
from connectors._call_exports import AccountId, check_export, is_table, read_export
from connectors._mapped_columns import constant, filled
from connectors.contract import (
    Block,
    Column,
    Connector,
    ReadLog,
    Record,
    Route,
    Row,
    SourceOptions,
    Stream,
    Type,
    Window,
)
from connectors.errors import ApiError, FileRefused, IncompleteError, PermanentError, TransientError
from connectors.files import InboxFile
from connectors.mapped_file import StreamMapping
from connectors.privacy import to_e164
from connectors.web import clean_tag, read_address, read_host

_TOUCH: tuple[tuple[str, Type, str], ...] = (
    ("source", "text", "source, lower case (google ads, google organic, direct …)"),
    ("medium", "text", "medium, lower case"),
    ("campaign", "text", "campaign, as CallRail names it"),
    ("keywords", "text", "keywords"),
    ("utm_source", "text", "utm_source, lower case"),
    ("utm_medium", "text", "utm_medium, lower case"),
    ("utm_campaign", "text", "utm_campaign"),
    ("utm_content", "text", "utm_content"),
    ("utm_term", "text", "utm_term"),
    ("campaign_id", "text", "the ad platform's campaign id, of the landing page"),
    ("click_id_type", "text", "which click id the landing page carried"),
    ("click_id", "text", "the click id, case kept"),
    ("landing_path", "text", "path of the landing page"),
    ("referrer_host", "text", "host of the referrer"),
)

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

CALLS = Stream(
    name="calls",
    description="Calls to and from tracking numbers, one row per call, as CallRail has them now.",
    columns=(
        Column("call_id", "text", "id.", required=True),
        Column("called_at", "timestamp", "start_time.", required=True),
        Column("company_id", "text", "company_id."),
        Column("company_name", "text", "company_name."),
        Column("direction_raw", "text", "direction: inbound or outbound.", required=True),
        Column("is_finished", "boolean", "False while the call was under way at the time of the answer."),
        Column("is_answered", "boolean", "answered; NULL while the call is under way."),
        Column("is_voicemail", "boolean", "voicemail: the call ended in the voicemail."),
        Column("call_type", "text", "call_type."),
        Column("duration_s", "integer", "duration: of the whole call, waiting included."),
        Column("phone_key", "text", "customer_phone_number, hashed.", personal="phone"),
        Column("tracking_number", "text", "tracking_phone_number, E.164."),
        Column("tracker_name", "text", "source_name: the name of the tracking number."),
        Column("operator", "text", "agent_email up to the @."),
        Column("is_first_call", "boolean", "first_call: the caller's first to this company."),
        Column("lead_status", "text", "lead_status: good_lead, not_a_lead, previously_marked_good_lead."),
        Column("visitor_id", "text", "Client id of ga as ga:…, else person_id as cr:…."),
        Column("tags", "text[]", "tags, each `tag: name`."),
        Column("recording_ref", "text", "The call's id, where a recording exists."),
        Column("click_id_type", "text", "Which of gclid, msclkid and fbclid the call has."),
        Column("click_id", "text", "That id, case kept; it may be of another touch than both below."),
        Column("has_last_touch", "boolean", "The call's last touch, else the lead's creation, is known."),
        *(Column(f"last_{name}", type_, f"Last touch: {what}.") for name, type_, what in _TOUCH),
        *(Column(f"first_{name}", type_, f"First touch: {what}.") for name, type_, what in _TOUCH),
    ),
    primary_key=("call_id",),
    event_day="called_at",
    # Tags, lead status and spam marks are set for weeks, and nothing tells when.
    restatement_days=30,
)

_ASKED = (
    "agent_email,call_type,campaign,company_id,company_name,fbclid,first_call,ga,gclid,keywords,"
    "landing_page_url,lead_status,medium,milestones,msclkid,person_id,referrer_domain,referring_url,source,"
    "source_name,tags,utm_campaign,utm_content,utm_medium,utm_source,utm_term"
)
# Given always, or known and not read.
_UNREAD = """
    answered business_phone_number customer_city customer_country customer_name customer_phone_number
    customer_state direction duration id recording recording_duration recording_player start_time
    tracking_phone_number voicemail call_highlights call_summary company_time_zone conversational_transcript
    created_at custom device_type formatted_call_type formatted_customer_location
    formatted_business_phone_number formatted_customer_name formatted_customer_name_or_phone_number
    formatted_customer_phone_number formatted_duration formatted_tracking_phone_number
    formatted_tracking_source formatted_value good_lead_call_id good_lead_call_time integration_data
    keypad_entries keywords_spotted last_requested_url lead_explanation lead_score note prior_calls sentiment
    session_uuid speaker_percent timeline_url total_calls tracker_id transcription utma utmb utmc utmv utmz
    value voice_assist_message waveforms zip_code
"""
_KNOWN = frozenset([*_ASKED.split(","), *_UNREAD.split()])
# Column of the mapped table -> landed column.
_EXPORTED = {
    "call_id": "call_id",
    "called_at": "called_at",
    "direction": "direction_raw",
    "phone_key": "phone_key",
    "tracking_number": "tracking_number",
    "talk_s": "duration_s",
    "is_answered": "is_answered",
    "is_voicemail": "is_voicemail",
    "status_raw": "call_type",
    "operator": "operator",
    "branch": "company_name",
    "vendor_is_target": "vendor_is_target",
    "visitor_id": "visitor_id",
    "tags": "tags",
    "recording_ref": "recording_ref",
    "click_id_type": "click_id_type",
    "click_id": "click_id",
    "source": "first_source",
    "medium": "first_medium",
    "utm_source": "first_utm_source",
    "utm_medium": "first_utm_medium",
    "utm_campaign": "first_utm_campaign",
    "campaign_id": "first_campaign_id",
    "utm_content": "first_utm_content",
    "utm_term": "first_utm_term",
    "landing_path": "first_landing_path",
    "referrer_host": "first_referrer_host",
}
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
_GA_CLIENT = re.compile(r"(?:GA\d+\.\d+\.)?(\d+\.\d+)")
# What a telephone network writes for a caller who hides the number: words on the keys of a telephone.
_KEYS = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999", strict=True))
_WITHHELD = frozenset(
    "+" + "".join(_KEYS[letter] for letter in word)
    for word in ("ANONYMOUS", "BLOCKED", "PRIVATE", "RESTRICTED", "UNAVAILABLE", "UNKNOWN")
)
# "Revise your date range": calls are kept for 25 months.
_ABOUT_DAYS = re.compile(rb"date.?range|start_date|end_date|retention", re.IGNORECASE)
_PAGE = 250
_REMEDY = "save the answer of …/calls.json"
# A limit of requests an hour, of whose reset nothing is told, seconds.
_BUSY = 60.0


class CallrailOptions(SourceOptions):
    """`account_id` is what follows /a/ in the address of CallRail's pages; `company_id` narrows to a company.

    `timezone` is the zone whose days are asked for. `export` maps the headings of a downloaded table.
    """

    token: SecretStr | None = None
    account_id: AccountId = None
    company_id: AccountId = None
    export: StreamMapping | None = None
    base_url: str = "https://api.callrail.com"

    @model_validator(mode="after")
    def _whole(self) -> CallrailOptions:
        if self.token is not None and self.account_id is None:
            raise ValueError(
                "the token needs account_id too: what follows /a/ in the address of CallRail's pages"
            )
        for name in ("account_id", "company_id"):
            if (value := getattr(self, name)) is not None and not value.isalnum():
                raise ValueError(
                    f"{name}: write letters and digits only, as in ACC8154748ae6bd4e278a7cddd38a662f4f"
                )
        if self.export is not None:
            check_export(self, self.export, _EXPORTED)
        return self


class Callrail(Connector[CallrailOptions]):
    """Calls of CallRail."""

    kind = "callrail"
    title = "CallRail"
    options = CallrailOptions
    feeds = ("calls",)

    def streams(self, source: CallrailOptions) -> tuple[Stream, ...]:
        """One stream: calls."""
        return (CALLS,)

    def read(
        self, file: InboxFile, stream: Stream, source: CallrailOptions, log: ReadLog
    ) -> Iterator[Record]:
        """Yield the calls of a saved answer (a list, one call, an array) or of a mapped table, in order.

        Raises FileRefused for anything else and for a page with fewer calls than its head announces.
        """
        if source.export is not None and is_table(file):
            for record in read_export(file, source.export, source, log, _EXPORTED):
                yield _exported(record) if isinstance(record, Row) else _exported_block(record)
            return
        prefix, head = _envelope(file)
        count = 0
        for number, call in file.json_items(prefix):
            if not isinstance(call, dict) or not call.keys() >= {"id", "start_time"}:
                raise FileRefused(f"{file.name}: record {number} has no id and start_time; {_REMEDY}")
            count = number
            yield _row(number, call, source.clinic_phone_region, log)
        if (total := head.get("total_records")) is not None:
            log.control_totals["answer", "total_records"] = Decimal(total)
        if head.get("has_next_page") or head.get("page", 1) < head.get("total_pages", 1):
            log.notes.append("a page with more to follow: the other pages belong here too")
        expected = _expected(head)
        if expected is not None and count < expected:
            raise FileRefused(
                f"{file.name}: holds {count} of {expected} calls; the answer is not whole, save it again"
            )

    def route(self, source: CallrailOptions, stream: Stream) -> Route | None:
        """All that may be restated at once: a call marked as spam is gone from the answer."""
        return None if source.token is None else Route(by="day", window_days=30)

    def fetch(self, source: CallrailOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the window's calls, each once. Raises ApiError."""
        listing = _Listing(source)
        seen: set[str] = set()
        number = 0
        for calls in listing.pages(window):
            for call in calls:
                number += 1
                row = _row(number, call, source.clinic_phone_region, log)
                at, call_id = row.values["called_at"], row.values["call_id"]
                if at is not None and not window.starts_at <= at < window.ends_at:
                    raise listing.api.error(
                        PermanentError,
                        f"gave calls of other days than those of {source.zone.key}; set `timezone` to a zone "
                        "that CallRail knows",
                    )
                if call_id not in seen:
                    seen.add(call_id)
                    yield row
        listing.count(window, log)

    def probe(self, source: CallrailOptions) -> str:
        """Ask how many calls yesterday had. Raises ApiError."""
        day = datetime.now(source.zone).date() - timedelta(days=1)
        total = _Listing(source).total(Window(day, day, source.zone))
        return f"answers as account {source.account_id}; {total} calls on {day}"


class _Listing:
    """The calls of one account."""

    def __init__(self, source: CallrailOptions) -> None:
        assert source.token is not None
        self._path = f"/v3/a/{source.account_id}/calls"
        self._company = {} if source.company_id is None else {"company_id": source.company_id}
        token = source.token.get_secret_value()
        self.api = Api(
            source.name,
            source.base_url,
            # A thousand an hour.
            per_second=0.27,
            headers={"Authorization": f'Token token="{token}"'},
            secrets=[source.token],
            judge=_judge,
        )

    def pages(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The calls of a window's days, oldest first, page by page.

        Pages are relative: each names the address of the next, to be used as it is. Raises IncompleteError
        when that chain breaks.
        """
        answer = self.api.get(
            f"{self._path}.json",
            {
                **self._days(window),
                "relative_pagination": "true",
                "per_page": _PAGE,
                # A call that arrives meanwhile comes last, so that no page shifts.
                "sort": "start_time",
                "order": "asc",
                "fields": _ASKED,
            },
        )
        asked: set[str] = set()
        while True:
            body = answer.json()
            calls = body.get("calls") if isinstance(body, dict) else None
            if not isinstance(calls, list):
                raise self.api.error(PermanentError, f"{answer.name}: the answer has no calls")
            yield [call for call in calls if isinstance(call, dict)]
            if body.get("has_next_page") is not True:
                if body.get("total_pages", 1) > body.get("page", 1):
                    raise self.api.error(
                        IncompleteError, "gave one page of several, without the next one's address"
                    )
                return
            following = body.get("next_page")
            if not isinstance(following, str) or following in asked or not calls:
                raise self.api.error(IncompleteError, "announced another page of calls that it does not give")
            asked.add(following)
            answer = self.api.get(following)

    def total(self, window: Window) -> int:
        """How many calls CallRail counts in a window's days. Raises ApiError."""
        body = self.api.get(f"{self._path}/summary.json", self._days(window)).json()
        results = body.get("total_results") if isinstance(body, dict) else None
        total = results.get("total_calls") if isinstance(results, dict) else None
        if not isinstance(total, int) or isinstance(total, bool):
            raise self.api.error(PermanentError, "the summary has no total_calls")
        return total

    def count(self, window: Window, log: ReadLog) -> None:
        """Keep CallRail's own count of a window's calls; it is no reason to lose them."""
        try:
            log.control_totals["summary", "calls"] = Decimal(self.total(window))
        except ApiError as error:
            log.notes.append(f"without the summary's count of calls: {error}")

    def _days(self, window: Window) -> dict[str, str]:
        return {
            # Both included.
            "start_date": window.since.isoformat(),
            "end_date": window.until.isoformat(),
            "time_zone": window.zone.key,
            **self._company,
        }


def _judge(answer: Answer) -> ApiError | None:
    """Limits without a time to wait for, and the two mistakes that are the clinic's to mend."""
    if answer.status == 429 and retry_after(answer) is None:
        return TransientError("HTTP 429, the account's requests of this hour or day are used up", _BUSY)
    if answer.status == 404:
        return PermanentError("HTTP 404, no such account; mend `account_id` of the source")
    if answer.status in (400, 422) and _ABOUT_DAYS.search(answer.body):
        return PermanentError(
            f"HTTP {answer.status}, the days were refused; CallRail keeps 25 months: set a later `since`"
        )
    return None


def _envelope(file: InboxFile) -> tuple[str, dict[str, int]]:
    """(ijson prefix of the calls, whole numbers and flags of the answer's head)."""
    first = file.first_character()
    if first == "[":
        return "item", {}
    if first == "":
        raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
    if first != "{":
        mapped = " (a downloaded table is read once `export:` maps its headings)" if is_table(file) else ""
        raise FileRefused(f"{file.name}: is not JSON{mapped}; {_REMEDY}")
    head: dict[str, int] = {}
    names: set[str] = set()
    for name, event, value in file.json_head():
        names.add(name)
        if name == "calls" and event == "start_array":
            return "calls.item", head
        if event in ("number", "boolean"):
            head[name] = int(value)
    if names >= {"id", "start_time"}:
        return "", {}
    told = ", ".join(sorted(names)[:5]) or "nothing"
    raise FileRefused(f"{file.name}: holds no calls (it has {told}); {_REMEDY}")


def _expected(head: Mapping[str, int]) -> int | None:
    """How many calls this page must hold, None when its head does not tell."""
    page, size, total = (head.get(name) for name in ("page", "per_page", "total_records"))
    if page is None or size is None or total is None:
        return None
    return min(size, max(total - (page - 1) * size, 0))


def _row(number: int, call: Mapping[str, Any], region: str, log: ReadLog) -> Row:
    if not call.keys() <= _KNOWN:
        log.unknown_columns.update(call.keys() - _KNOWN)
    get = call.get
    called_at, refused = _moment(get("start_time"))
    direction = _lower(_text(get("direction")))
    if refused is None and direction not in ("inbound", "outbound"):
        refused = ("direction_raw", "is neither inbound nor outbound")
    answered, call_type, agent = _flag(get("answered")), _text(get("call_type")), _text(get("agent_email"))
    call_id, phone, last = (
        _text(get("id")),
        _text(get("customer_phone_number")),
        _last_touch(get("milestones")),
    )
    click = next(
        ((name, value) for name in ("gclid", "msclkid", "fbclid") if (value := _text(get(name)))),
        (None, None),
    )
    values = {
        "call_id": call_id,
        "called_at": called_at,
        "company_id": _text(get("company_id")),
        "company_name": _text(get("company_name")),
        "direction_raw": direction,
        "is_finished": call_type != "in_progress" and answered is not None,
        "is_answered": answered,
        "is_voicemail": _flag(get("voicemail")),
        "call_type": call_type,
        "duration_s": get("duration"),
        "phone_key": None if phone in _WITHHELD else phone,
        "tracking_number": _dialled(_text(get("tracking_phone_number")), region),
        "tracker_name": _text(get("source_name")),
        "operator": None if agent is None else agent.partition("@")[0] or None,
        "is_first_call": _flag(get("first_call")),
        "lead_status": _text(get("lead_status")),
        "visitor_id": _visitor(get("ga"), get("person_id")),
        "tags": _tags(get("tags")),
        "recording_ref": call_id if _text(get("recording")) else None,
        "click_id_type": click[0],
        "click_id": click[1],
        "has_last_touch": bool(last),
        **_touch("last", last, last.get("url_utm_params"), "landing", "referrer"),
        **_touch("first", call, call, "landing_page_url", "referring_url"),
    }
    return Row(number, values, refused)


def _last_touch(milestones: Any) -> Mapping[str, Any]:
    """What made this call; the lead's creation in answers that have no last touch yet."""
    for name in ("last_touch", "lead_created"):
        touch = milestones.get(name) if isinstance(milestones, dict) else None
        if isinstance(touch, dict) and touch:
            return touch
    return {}


def _touch(
    prefix: str, touch: Mapping[str, Any], tags: Any, landing: str, referrer: str
) -> dict[str, str | None]:
    """The columns of one touch; `tags` has its utm_… where the landing page has none."""
    get = touch.get
    page = read_address(_text(get(landing)))
    told = tags if isinstance(tags, dict) else {}
    utm = {name: getattr(page, name) or clean_tag(_text(told.get(name))) for name in _UTM}
    found = {
        "source": _lower(clean_tag(_text(get("source")))),
        "medium": _lower(clean_tag(_text(get("medium")))),
        "campaign": clean_tag(_text(get("campaign"))),
        "keywords": clean_tag(_text(get("keywords"))),
        **utm,
        "utm_source": _lower(utm["utm_source"]),
        "utm_medium": _lower(utm["utm_medium"]),
        "campaign_id": page.campaign_id,
        "click_id_type": page.click_id_type,
        "click_id": page.click_id,
        "landing_path": page.path,
        "referrer_host": read_host(_text(get(referrer))) or read_host(_text(get("referrer_domain"))),
    }
    return {f"{prefix}_{name}": value for name, value in found.items()}


def _exported(row: Row) -> Row:
    """A row of a downloaded table: one touch, and finished."""
    values = row.values
    values.setdefault("direction_raw", "inbound")
    is_target = values.pop("vendor_is_target", None)
    if is_target is not None:
        values["lead_status"] = "good_lead" if is_target else "not_a_lead"
    values |= {"is_finished": True, "has_last_touch": False}
    return row


def _exported_block(block: Block) -> Block:
    """The same for many rows."""
    columns, length = block.columns, len(block)
    inbound = constant("inbound", "text", length)
    columns["direction_raw"] = filled(columns.get("direction_raw", inbound), inbound)
    is_target = columns.pop("vendor_is_target", None)
    if is_target is not None:
        columns["lead_status"] = pc.if_else(is_target, "good_lead", "not_a_lead")
    columns["is_finished"] = constant(True, "boolean", length)
    columns["has_last_touch"] = constant(False, "boolean", length)
    return Block(block.numbers, columns, apart={at: _exported(row) for at, row in block.apart.items()})


def _moment(raw: Any) -> tuple[datetime | None, tuple[str, str] | None]:
    """A time with its offset, or why it cannot be told."""
    if isinstance(raw, str):
        try:
            at = datetime.fromisoformat(raw)
        except ValueError:
            return None, ("called_at", "start_time is not a time")
        if at.tzinfo is not None:
            return at, None
    return None, ("called_at", "start_time has no offset from UTC")


def _text(raw: Any) -> str | None:
    """Text of a scalar, None for nothing."""
    if raw is None or isinstance(raw, (dict, list, bool)):
        return None
    return str(raw).strip() or None


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _flag(raw: Any) -> bool | None:
    return raw if isinstance(raw, bool) else None


def _dialled(text: str | None, region: str) -> str | None:
    return None if text is None else to_e164(text, region)


def _visitor(ga: Any, person: Any) -> str | None:
    """Google's client id out of the cookie's value (`GA1.2.` before it), else CallRail's lead."""
    cookie = _GA_CLIENT.fullmatch(_text(ga) or "")
    if cookie is not None:
        return f"ga:{cookie[1]}"
    return None if (text := _text(person)) is None else f"cr:{text}"


def _tags(raw: Any) -> list[str] | None:
    """Tags are names alone; in some answers objects that have a name."""
    found: dict[str, None] = {}
    for item in raw if isinstance(raw, list) else ():
        name = clean_tag(_text(item.get("name") if isinstance(item, dict) else item))
        if name is not None:
            found.setdefault(f"tag: {name}")
    return list(found) or None


CONNECTOR = Callrail()

if __name__ == "__main__":
    cli.main(CONNECTOR)
