"""Google Analytics 4: events of its BigQuery export, and daily totals of its Data API to compare them with.

Reads rows of `events_YYYYMMDD` exported as NEWLINE_DELIMITED_JSON (developers.google.com/analytics/bigquery/
event-schema). INT64 come as text; empty fields are null or left out. What lands is what sessions are folded
from: no page titles, no addresses beyond host and path, no e-commerce, no user properties. The user's first
touch, `traffic_source`, is left out on purpose: it is not the session's source.

A daily table changes for days, so a file replaces what an earlier one of its name had for the same days;
files of other names add up, each event once. `events_intraday_YYYYMMDD` holds the events of the daily table
before it exists and is told by its name; staging drops its rows once the day has others.

Totals are asked of `runReport` (developers.google.com/analytics/devguides/reporting/data/v1): it knows
aggregates only, so no session comes from there.

    python -m connectors.ga4 FILE --stream events
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, SecretStr, model_validator

from connectors import _ga4_totals, cli
from connectors.contract import Column, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.web import clean_tag, read_address, read_host

_COLLECTED = "of collected_traffic_source: raw tags of this event."
_MANUAL = "of session_traffic_source_last_click.manual_campaign."
_CROSS = "of session_traffic_source_last_click.cross_channel_campaign."
_PAGE = "in the page's address"

EVENTS = Stream(
    name="events",
    description="Events of visitors who consented, one row per event.",
    columns=(
        Column("event_key", "text", "Hash of visitor, session, time, name, batch position.", required=True),
        Column("event_date", "date", "event_date: the property's day, else the UTC day.", required=True),
        Column("table_kind", "text", "daily, intraday, or undeclared where nothing tells.", required=True),
        Column("export_name", "text", "The file's name without its ending.", required=True),
        Column("occurred_at", "timestamp", "event_timestamp, at the client.", required=True),
        Column("event_name", "text", "event_name.", required=True),
        Column("user_pseudo_id", "text", "Cookie client id.", required=True),
        Column("ga_session_id", "text", "Start second; unique within a visitor only.", required=True),
        Column("session_number", "integer", "ga_session_number: 1 is the visitor's first."),
        Column("user_ref", "text", "user_id, if the site sets one that is no e-mail address."),
        Column("batch_page_id", "integer", "Orders events of equal time, first."),
        Column("batch_ordering_id", "integer", "Orders events of equal time, second."),
        Column("batch_event_index", "integer", "Orders events of equal time, third."),
        Column("is_engaged", "boolean", "session_engaged as of this event."),
        Column("page_host", "text", "Host of page_location."),
        Column("page_path", "text", "Path of page_location, without query."),
        Column("referrer_host", "text", "Host of page_referrer; NULL where the tag said to ignore it."),
        Column("page_source", "text", f"utm_source {_PAGE}."),
        Column("page_medium", "text", f"utm_medium {_PAGE}."),
        Column("page_campaign", "text", f"utm_campaign {_PAGE}."),
        Column("page_campaign_id", "text", f"Campaign id {_PAGE}."),
        Column("page_content", "text", f"utm_content {_PAGE}."),
        Column("page_term", "text", f"utm_term {_PAGE}."),
        Column("page_click_id_type", "text", f"Which click id was {_PAGE}."),
        Column("page_click_id", "text", f"The click id {_PAGE}."),
        Column("param_source", "text", "Event parameter source."),
        Column("param_medium", "text", "Event parameter medium."),
        Column("param_campaign", "text", "Event parameter campaign."),
        Column("param_content", "text", "Event parameter content."),
        Column("param_term", "text", "Event parameter term."),
        Column("collected_source", "text", f"manual_source {_COLLECTED}"),
        Column("collected_medium", "text", f"manual_medium {_COLLECTED}"),
        Column("collected_campaign", "text", f"manual_campaign_name {_COLLECTED}"),
        Column("collected_campaign_id", "text", f"manual_campaign_id {_COLLECTED}"),
        Column("collected_content", "text", f"manual_content {_COLLECTED}"),
        Column("collected_term", "text", f"manual_term {_COLLECTED}"),
        Column("collected_gclid", "text", f"gclid {_COLLECTED}"),
        Column("ads_campaign_id", "text", "campaign_id of the session's google_ads_campaign."),
        Column("ads_campaign", "text", "campaign_name of the session's google_ads_campaign."),
        Column("manual_source", "text", f"source {_MANUAL}"),
        Column("manual_medium", "text", f"medium {_MANUAL}"),
        Column("manual_campaign", "text", f"campaign_name {_MANUAL}"),
        Column("manual_campaign_id", "text", f"campaign_id {_MANUAL}"),
        Column("manual_content", "text", f"content {_MANUAL}"),
        Column("manual_term", "text", f"term {_MANUAL}"),
        Column("cross_source", "text", f"source {_CROSS}"),
        Column("cross_medium", "text", f"medium {_CROSS}"),
        Column("cross_campaign", "text", f"campaign_name {_CROSS}"),
        Column("cross_campaign_id", "text", f"campaign_id {_CROSS}"),
        Column("device", "text", "device.category."),
        Column("city", "text", "geo.city."),
        Column("region", "text", "geo.region."),
    ),
    # An intraday row must not stand in for the daily row of its event.
    primary_key=("event_key", "table_kind"),
    event_day="occurred_at",
    # A late export of a table replaces the earlier one, with the events that are gone from it.
    replaces=("event_date", "table_kind", "export_name"),
    # Daily tables change for three days after their date.
    restatement_days=4,
)

_FIELDS = """
    app_info batch_event_index batch_ordering_id batch_page_id collected_traffic_source device ecommerce
    event_bundle_sequence_id event_date event_dimensions event_name event_params
    event_previous_timestamp event_server_timestamp_offset event_timestamp event_value_in_usd geo
    is_active_user items platform privacy_info publisher session_traffic_source_last_click stream_id
    traffic_source user_first_touch_timestamp user_id user_ltv user_properties user_pseudo_id
"""
_KNOWN = frozenset(_FIELDS.split())
_PARAM_NAMES = """
    ga_session_id ga_session_number session_engaged page_location page_referrer ignore_referrer source
    medium campaign content term
"""
_PARAMS = frozenset(_PARAM_NAMES.split())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_IDS = "no consent (no user_pseudo_id or no ga_session_id)"
_REMEDY = "export a table events_YYYYMMDD from BigQuery as NEWLINE_DELIMITED_JSON"
_NONE: dict[str, Any] = {}
_EVENT_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
# One table, perhaps one part of it (twelve digits); `events_20240301_20240331` is a query over several.
_DAILY_TABLE = re.compile(r"(?:^|[^a-z])events_\d{8}(?:\d{12})?(?!\d|_\d{8}(?!\d))")
# Endings, and what a browser adds to the name of a second download.
_ENDINGS = re.compile(r"(?:\s?\(\d+\))?(?:\.(?:ndjson|jsonl|json|txt|gz|zip))*$")


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Ga4Options(SourceOptions):
    """One GA4 property.

    `sessions_of_record`: these sessions count, where several sources see the same site. `property_id` and the
    OAuth client with its refresh token are needed for the Data API's totals only.
    """

    reach: ClassVar[frozenset[str]] = frozenset({"base_url", "token_url", "client_id"})

    sessions_of_record: bool = False
    property_id: Annotated[str | None, BeforeValidator(_number_as_text)] = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    base_url: str = "https://analyticsdata.googleapis.com"
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    @model_validator(mode="after")
    def _whole(self) -> Ga4Options:
        if self.property_id is not None and not self.property_id.isdecimal():
            raise ValueError("property_id: write the property's number, not the measurement id G-…")
        wanted = ("property_id", "client_id", "client_secret", "refresh_token")
        missing = [name for name in wanted if getattr(self, name) is None]
        if missing and missing != list(wanted) and missing != list(wanted[1:]):
            raise ValueError(f"the Data API needs {', '.join(missing)} too")
        return self


class Ga4(Connector[Ga4Options]):
    """BigQuery export and Data API of Google Analytics 4."""

    kind = "ga4"
    title = "Google Analytics 4 (BigQuery export, totals of the Data API)"
    options = Ga4Options
    feeds = ("web_sessions", "vendor_totals")
    parser_version = 2

    def streams(self, source: Ga4Options) -> tuple[Stream, ...]:
        """Events from files, totals from the Data API or its saved answers."""
        return (EVENTS, _ga4_totals.TOTALS)

    def mapping(self, source: Ga4Options, stream: Stream) -> object:
        """Of events nothing: no setting changes how a file is read."""
        if stream.name == "events":
            return None
        return {"account": _account(source), "property_id": source.property_id, "zone": source.zone.key}

    def route(self, source: Ga4Options, stream: Stream) -> Route | None:
        """Totals by day, where the OAuth client is configured."""
        if stream.name != "totals" or source.refresh_token is None:
            return None
        return Route(by="day", window_days=31)

    def fetch(self, source: Ga4Options, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the totals of the window's days. Raises ApiError."""
        yield from _ga4_totals.fetch(self._api(source), _account(source), window, log)

    def probe(self, source: Ga4Options) -> str:
        """Ask for yesterday's sessions. Raises ApiError."""
        return _ga4_totals.probe(self._api(source))

    def _api(self, source: Ga4Options) -> _ga4_totals.DataApi:
        assert source.property_id is not None
        assert source.client_id is not None
        assert source.client_secret is not None
        return _ga4_totals.DataApi(
            source.name,
            source.base_url,
            source.token_url,
            property_id=source.property_id,
            client_id=source.client_id,
            client_secret=source.client_secret,
            refresh_token=source.refresh_token,
        )

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: Ga4Options,
        log: ReadLog,
    ) -> Iterator[Row]:
        """Yield a file's events, or the totals of a saved answer of runReport.

        Raises FileRefused for anything else.
        """
        if stream.name == "totals":
            return _ga4_totals.read(file, _account(source), source.zone, log)
        return self._events(file, log)

    def _events(self, file: InboxFile, log: ReadLog) -> Iterator[Row]:
        """Yield events of visitors with ids; those of denied consent have none and are counted as skipped."""
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
        if first != "{":
            raise FileRefused(f"{file.name}: is not newline-delimited JSON; {_REMEDY}")
        export = _Export.of(file.name)
        without_ids = macros = rows = 0
        is_first = True
        for number, event in file.json_lines():
            if is_first and not {"event_name", "event_timestamp"} <= event.keys():
                raise FileRefused(f"{file.name}: line {number} is no GA4 event; {_REMEDY}")
            is_first = False
            if not event.keys() <= _KNOWN:
                log.unknown_columns.update(event.keys() - _KNOWN)
            try:
                params = _params(event.get("event_params"))
                visitor, session = event.get("user_pseudo_id"), params.get("ga_session_id")
                if not visitor or not session:
                    without_ids += 1
                    continue
                row, has_macro = _row(number, event, params, str(visitor), str(session), export)
            except (AttributeError, KeyError, TypeError):
                row, has_macro = Row(number, {}, ("", "is not shaped like a GA4 event")), False
            rows += 1
            macros += has_macro
            yield row
        if without_ids:
            log.skip(_NO_IDS, without_ids)
            if not rows:
                log.notes.append("no event has user_pseudo_id and ga_session_id; were the columns exported?")
        if macros:
            log.notes.append(f"{macros} events have a tag that the ad platform did not fill in ({{…}})")
        if export.table_kind == "intraday":
            log.notes.append("intraday table: incomplete until the daily table of the same date is loaded")
        if mixed := export.mixed_days():
            log.notes.append(
                f"{len(mixed)} days hold rows of daily and of intraday tables (the wildcard events_* matches "
                "both); only the daily rows count"
            )


def _account(source: Ga4Options) -> str:
    return source.account or source.property_id or source.name


class _Export:
    """What a file's name tells of its rows, and on which days they come from two kinds of table."""

    def __init__(self, name: str, table_kind: str | None) -> None:
        self.name = name
        self.table_kind = table_kind
        self._days: dict[str, set[date]] = {"daily": set(), "undeclared": set()}

    @classmethod
    def of(cls, file_name: str) -> _Export:
        """Of a file as BigQuery or a person named it."""
        name = _ENDINGS.sub("", file_name.lower()) or file_name
        if "intraday" in name:
            return cls(name, "intraday")
        return cls(name, "daily" if _DAILY_TABLE.search(name) else None)

    def kind_of(self, event: dict[str, Any], day: date) -> str:
        """The table's kind: by the file's name, else daily for a row with `is_active_user`.

        Only daily tables have that column filled; older ones do not have it at all.
        """
        if self.table_kind is not None:
            return self.table_kind
        kind = "undeclared" if event.get("is_active_user") is None else "daily"
        self._days[kind].add(day)
        return kind

    def mixed_days(self) -> set[date]:
        """Days with rows of both kinds."""
        return self._days["daily"] & self._days["undeclared"]


def _params(raw: Any) -> dict[str, Any]:
    """The wanted event parameters. A value's type is chosen per hit, so all four fields are looked at."""
    found: dict[str, Any] = {}
    for param in raw or ():
        key = param["key"]
        if key in _PARAMS:
            value = param.get("value") or _NONE
            for name in ("string_value", "int_value", "double_value", "float_value"):
                if (held := value.get(name)) is not None:
                    found[key] = held
                    break
    return found


def _event_date(raw: Any, occurred_at: datetime | None) -> date | None:
    """The shard's day: `event_date`, or the UTC day where that column was not exported."""
    if raw is None:
        return None if occurred_at is None else occurred_at.date()
    match = _EVENT_DATE.fullmatch(str(raw))
    try:
        return None if match is None else date(*map(int, match.groups()))
    except ValueError:
        return None


def _row(
    number: int, event: dict[str, Any], params: dict[str, Any], visitor: str, session: str, export: _Export
) -> tuple[Row, bool]:
    get, param = event.get, params.get
    collected = get("collected_traffic_source") or _NONE
    last_click = get("session_traffic_source_last_click") or _NONE
    ads = last_click.get("google_ads_campaign") or _NONE
    manual = last_click.get("manual_campaign") or _NONE
    cross = last_click.get("cross_channel_campaign") or _NONE
    geo = get("geo") or _NONE
    stamp: Any = get("event_timestamp")
    name = get("event_name")
    batch = get("batch_page_id"), get("batch_ordering_id"), get("batch_event_index")
    page = read_address(param("page_location"))
    try:
        occurred_at, refused = _EPOCH + timedelta(microseconds=int(stamp)), None
    except (TypeError, ValueError, OverflowError):
        occurred_at, refused = None, ("occurred_at", "event_timestamp is not in microseconds")
    day = _event_date(get("event_date"), occurred_at)
    if day is None and refused is None:
        refused = ("event_date", "is not a day like 20240309")
    identity = f"{visitor}\n{session}\n{stamp}\n{name}\n{get('event_bundle_sequence_id')}\n{batch}"
    user = get("user_id")
    engaged = param("session_engaged")
    values = {
        "event_key": hashlib.blake2b(identity.encode(), digest_size=12).hexdigest(),
        "event_date": day,
        "table_kind": None if day is None else export.kind_of(event, day),
        "export_name": export.name,
        "occurred_at": occurred_at,
        "event_name": name,
        "user_pseudo_id": visitor,
        "ga_session_id": session,
        "session_number": param("ga_session_number"),
        "user_ref": None if user is None or "@" in str(user) else str(user),
        "batch_page_id": batch[0],
        "batch_ordering_id": batch[1],
        "batch_event_index": batch[2],
        "is_engaged": None if engaged is None else str(engaged) == "1",
        "page_host": page.host,
        "page_path": page.path,
        "referrer_host": None if param("ignore_referrer") == "true" else read_host(param("page_referrer")),
        "page_source": page.utm_source,
        "page_medium": page.utm_medium,
        "page_campaign": page.utm_campaign,
        "page_campaign_id": page.campaign_id,
        "page_content": page.utm_content,
        "page_term": page.utm_term,
        "page_click_id_type": page.click_id_type,
        "page_click_id": page.click_id,
        "device": (get("device") or _NONE).get("category"),
        "city": geo.get("city"),
        "region": geo.get("region"),
    }
    # Most events carry none of these records: an absent key is NULL.
    for prefix, record, names in (
        ("param_", params, _PARAM_TAGS),
        ("collected_", collected, _COLLECTED_TAGS),
        ("ads_", ads, _ADS_TAGS),
        ("manual_", manual, _CAMPAIGN_TAGS),
        ("cross_", cross, _CAMPAIGN_TAGS),
    ):
        if record:
            for column, key in names:
                if (raw := record.get(key)) is not None:
                    values[prefix + column] = _tag(column, raw)
    return Row(number, values, refused), page.has_macro


_PARAM_TAGS = tuple((name, name) for name in ("source", "medium", "campaign", "content", "term"))
_COLLECTED_TAGS = (
    ("source", "manual_source"),
    ("medium", "manual_medium"),
    ("campaign", "manual_campaign_name"),
    ("campaign_id", "manual_campaign_id"),
    ("content", "manual_content"),
    ("term", "manual_term"),
    ("gclid", "gclid"),
)
_ADS_TAGS = (("campaign_id", "campaign_id"), ("campaign", "campaign_name"))
_CAMPAIGN_TAGS = (
    ("source", "source"),
    ("medium", "medium"),
    ("campaign", "campaign_name"),
    ("campaign_id", "campaign_id"),
    ("content", "content"),
    ("term", "term"),
)


def _tag(column: str, raw: Any) -> str | None:
    text = clean_tag(str(raw))
    return text.lower() if text is not None and column in ("source", "medium") else text


CONNECTOR = Ga4()

if __name__ == "__main__":
    cli.main(CONNECTOR)
