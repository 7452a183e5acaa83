"""Google Analytics 4: events of its BigQuery export, newline-delimited JSON, plain or gzipped.

Reads rows of `events_YYYYMMDD` exported as NEWLINE_DELIMITED_JSON (developers.google.com/analytics/bigquery/
event-schema). INT64 come as text; empty fields are null or left out. What lands is what sessions are folded
from: no page titles, no addresses beyond host and path, no e-commerce, no user properties. The user's first
touch, `traffic_source`, is left out on purpose: it is not the session's source.

    python -m connectors.ga4 FILE
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors import cli
from connectors.contract import Column, Connector, ReadLog, Row, SourceOptions, Stream
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
    primary_key=("event_key",),
    event_day="occurred_at",
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


class Ga4Options(SourceOptions):
    """`sessions_of_record`: these sessions count, where several sources see the same site."""

    sessions_of_record: bool = False


class Ga4(Connector[Ga4Options]):
    """BigQuery export of Google Analytics 4."""

    kind = "ga4"
    title = "Google Analytics 4 (BigQuery export)"
    options = Ga4Options
    feeds = ("web_sessions",)

    def streams(self, source: Ga4Options) -> tuple[Stream, ...]:
        """One stream: events."""
        return (EVENTS,)

    def mapping(self, source: Ga4Options, stream: Stream) -> object:
        """Nothing in the configuration changes how a file is read."""
        return None

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: Ga4Options,
        log: ReadLog,
    ) -> Iterator[Row]:
        """Yield events of visitors with ids; those of denied consent have none and are counted as skipped.

        Raises FileRefused for anything that is not newline-delimited GA4 events.
        """
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
        if first != "{":
            raise FileRefused(f"{file.name}: is not newline-delimited JSON; {_REMEDY}")
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
                row, has_macro = _row(number, event, params, str(visitor), str(session))
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
        if "intraday" in file.name:
            log.notes.append("intraday table: incomplete until the daily table of the same date is loaded")


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


def _row(
    number: int, event: dict[str, Any], params: dict[str, Any], visitor: str, session: str
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
    identity = f"{visitor}\n{session}\n{stamp}\n{name}\n{get('event_bundle_sequence_id')}\n{batch}"
    user = get("user_id")
    engaged = param("session_engaged")
    values = {
        "event_key": hashlib.blake2b(identity.encode(), digest_size=12).hexdigest(),
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
