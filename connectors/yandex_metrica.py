"""Yandex Metrica: visits of the Logs API, and daily totals of the Reporting API to compare them with.

Logs are TSV (yandex.com/dev/metrika/en/logs; see connectors/_yandex_metrica_visits.py). A missing value is an
empty text or 0. Ids exceed what a double holds; visitID repeats in another year. ym:s:dateTime is in the
counter's zone, ym:s:dateTimeUTC and times of goals, despite the name, in UTC+3. Sources are those of an
attribution model, which the field's name tells: `lastsign`, the last significant one, is what the interface
shows.

    python -m connectors.yandex_metrica FILE --stream visits
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, SecretStr, model_validator

from connectors import cli
from connectors._yandex_metrica_api import MetricaApi
from connectors._yandex_metrica_visits import Attribution, fields, read_visits
from connectors.contract import Column, Connector, ReadLog, Record, Route, Row, SourceOptions, Stream, Window
from connectors.errors import FileRefused
from connectors.files import InboxFile

_MODEL = "by the attribution of the source"
_PAGE = "in the first page's address"

VISITS = Stream(
    name="visits",
    description="Visits of the site, one row each.",
    columns=(
        Column(
            "session_id", "text", "Counter, year and visitID, which repeats from year to year.", required=True
        ),
        Column("started_at", "timestamp", "dateTime.", required=True),
        Column("visitor_id", "text", "clientID as ym:…."),
        Column("user_ref", "text", "The site's id of a signed-in visitor, from the visit's parameters."),
        Column("is_new_visitor", "boolean", "isNewUser."),
        Column("pageviews", "integer", "pageViews."),
        Column("duration_s", "integer", "visitDuration."),
        Column("is_bounce", "boolean", "bounce."),
        Column("device", "text", "deviceCategory: 1 desktop, 2 phone, 3 tablet, 4 TV."),
        Column("city", "text", "regionCity."),
        Column("page_host", "text", "Host of startURL."),
        Column("page_path", "text", "Path of startURL."),
        Column("referrer_host", "text", "Host of referer."),
        Column("page_campaign_id", "text", f"Campaign id {_PAGE}."),
        Column("click_id_type", "text", f"Which click id was {_PAGE}."),
        Column("click_id", "text", f"The click id {_PAGE}; Metrica has no field for yclid."),
        Column("traffic_source", "text", f"TrafficSource {_MODEL}.", required=True),
        Column("last_traffic_source", "text", "TrafficSource of the visit itself (last)."),
        Column("adv_engine", "text", f"AdvEngine {_MODEL}."),
        Column("referral_source", "text", f"Host of ReferalSource {_MODEL}."),
        Column("search_engine", "text", f"SearchEngineRoot {_MODEL}."),
        Column("social_network", "text", f"SocialNetwork {_MODEL}."),
        Column("messenger", "text", f"Messenger {_MODEL}; the first that is known."),
        Column("recommendation_system", "text", f"RecommendationSystem {_MODEL}; the first that is known."),
        Column("utm_source", "text", f"UTMSource {_MODEL}, lower case."),
        Column("utm_medium", "text", f"UTMMedium {_MODEL}, lower case."),
        Column("utm_campaign", "text", f"UTMCampaign {_MODEL}."),
        Column("utm_content", "text", f"UTMContent {_MODEL}."),
        Column("utm_term", "text", f"UTMTerm {_MODEL}."),
        Column("direct_campaign_id", "text", f"DirectClickOrder {_MODEL}: Yandex Direct's campaign."),
        Column("direct_campaign", "text", f"DirectClickOrderName {_MODEL}."),
        Column("direct_phrase", "text", f"DirectPhraseOrCond {_MODEL}: keyword or condition."),
        Column("gclid", "text", f"GCLID {_MODEL}."),
        Column("goal_ids", "text", "goalsID: goals reached, in order, with commas; one may come again."),
        Column("goal_times", "text", "goalsDateTime, ISO 8601 in UTC, in the order of goal_ids."),
    ),
    primary_key=("session_id",),
    event_day="started_at",
    # Visits end within three days, but goals of calls and offline sales are added for three weeks.
    restatement_days=22,
)

TOTALS = Stream(
    name="totals",
    description="Totals of the counter by day, one row per day and measure.",
    columns=(
        Column("observed_on", "date", "ym:s:date: day of the counter.", required=True),
        Column("account", "text", "`account` of the source, else the counter's number.", required=True),
        Column("measure", "text", "sessions or users.", required=True),
        Column("value", "double", "The total.", required=True),
        Column("is_partial", "boolean", "Sampled, or small groups are withheld."),
        Column("vendor_says", "text", "What the answer says of it."),
    ),
    primary_key=("observed_on", "account", "measure"),
    event_day="observed_on",
    restatement_days=4,
)

_MEASURES = {"ym:s:visits": "sessions", "ym:s:users": "users"}


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class YandexMetricaOptions(SourceOptions):
    """One counter.

    `timezone` is the counter's. `attribution` says whose source a visit has. `user_param` names the visit
    parameter in which the site sends its own id of a signed-in visitor. `sessions_of_record`: these sessions
    count, where several sources see the same site.
    """

    reach: ClassVar[frozenset[str]] = frozenset({"base_url"})

    counter_id: Annotated[str | None, BeforeValidator(_number_as_text)] = None
    token: SecretStr | None = None
    attribution: Attribution = "lastsign"
    user_param: str | None = None
    sessions_of_record: bool = False
    base_url: str = "https://api-metrika.yandex.net"

    @model_validator(mode="after")
    def _whole(self) -> YandexMetricaOptions:
        if self.counter_id is not None and not self.counter_id.isdecimal():
            raise ValueError("counter_id: write the counter's number")
        if self.token is not None and self.counter_id is None:
            raise ValueError("the token needs `counter_id`, the number of the counter, too")
        return self


class YandexMetrica(Connector[YandexMetricaOptions]):
    """Logs API and Reporting API of Yandex Metrica."""

    kind = "yandex_metrica"
    title = "Yandex Metrica"
    options = YandexMetricaOptions
    feeds = ("web_sessions", "vendor_totals")

    def streams(self, source: YandexMetricaOptions) -> tuple[Stream, ...]:
        """Visits and totals, from the APIs or their saved answers."""
        return (VISITS, TOTALS)

    def mapping(self, source: YandexMetricaOptions, stream: Stream) -> object:
        """What decides how an answer is read."""
        if stream.name == "totals":
            return {"account": _account(source)}
        return {
            "counter_id": source.counter_id,
            "zone": source.zone.key,
            "attribution": source.attribution,
            "user_param": source.user_param,
        }

    def route(self, source: YandexMetricaOptions, stream: Stream) -> Route | None:
        """By day, where there is a token. Logs of a month are some ten megabytes for a clinic's site."""
        if source.token is None:
            return None
        return Route(by="day", window_days=31 if stream.name == "visits" else 93)

    def fetch(
        self, source: YandexMetricaOptions, stream: Stream, window: Window, log: ReadLog
    ) -> Iterator[Record]:
        """Yield the visits that began in the window, or its totals. Raises ApiError, FileRefused."""
        api = _api(source)
        if stream.name == "totals":
            for page in api.totals(window.since, window.until):
                yield from _total_rows(page, _account(source))
            return
        # Closed at once where a part cannot be read, so that the logs are cleaned then and not later.
        with closing(api.visits(fields(source), window.since, window.until, log)) as parts:
            for part in parts:
                yield from read_visits(part, source, log)

    def probe(self, source: YandexMetricaOptions) -> str:
        """Ask for the counter. Raises ApiError."""
        counter = _api(source).counter()
        zone = str(counter.get("time_zone_name") or "")
        told = f"answers as counter {source.counter_id}" + (f", in {zone}" if zone else "")
        if zone and not _is_same_clock(zone, source.zone):
            told += f"; set `timezone: {zone}` of the source, it is {source.zone.key}"
        return told

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: YandexMetricaOptions,
        log: ReadLog,
    ) -> Iterator[Record]:
        """Yield the visits of a saved part, or the totals of a saved report. Raises FileRefused."""
        if stream.name == "totals":
            return _saved_totals(file, _account(source))
        return read_visits(file, source, log)


def _api(source: YandexMetricaOptions) -> MetricaApi:
    assert source.token is not None
    assert source.counter_id is not None
    return MetricaApi(source.name, source.base_url, token=source.token, counter_id=source.counter_id)


def _account(source: YandexMetricaOptions) -> str:
    return source.account or source.counter_id or source.name


def _is_same_clock(name: str, zone: ZoneInfo) -> bool:
    """Whether two zones show the same time, in January and in July of this year."""
    try:
        other = ZoneInfo(name)
    except (KeyError, ValueError):
        return True
    year = datetime.now(tz=UTC).year
    moments = (datetime(year, month, 15, tzinfo=UTC) for month in (1, 7))
    return all(at.astimezone(zone).utcoffset() == at.astimezone(other).utcoffset() for at in moments)


# --- totals --------------------------------------------------------------------------------------------


def _saved_totals(file: InboxFile, account: str) -> Iterator[Row]:
    """Yield the totals of a saved report. Raises FileRefused for a part of one, or another report."""
    remedy = "save the answer of /stat/v1/data with the dimension ym:s:date alone"
    try:
        page = json.loads("".join(file.lines(fallback="utf-8")), parse_float=Decimal)
    except ValueError as error:
        raise FileRefused(f"{file.name}: is not whole JSON; {remedy}") from error
    query = page.get("query") if isinstance(page, dict) else None
    if not isinstance(query, dict) or not isinstance(page.get("data"), list):
        raise FileRefused(f"{file.name}: is no report; {remedy}")
    if query.get("dimensions") != ["ym:s:date"] or not set(query.get("metrics", ())) & set(_MEASURES):
        raise FileRefused(f"{file.name}: is no report of visits or users by day; {remedy}")
    held, announced = len(page["data"]), int(page.get("total_rows") or 0)
    if held < announced:
        raise FileRefused(f"{file.name}: holds {held} of {announced} rows; ask with a higher limit")
    yield from _total_rows(page, account)


def _total_rows(page: dict[str, Any], account: str) -> Iterator[Row]:
    metrics = list((page.get("query") or {}).get("metrics") or _MEASURES)
    says = []
    if page.get("sampled"):
        says.append(f"sampled: a share of {page.get('sample_share')} of the visits was read")
    if page.get("contains_sensitive_data"):
        says.append("groups of fewer than ten visitors are withheld")
    number = 0
    for line in page["data"]:
        try:
            day = str(line["dimensions"][0]["name"])
            held = [
                (_MEASURES[m], v) for m, v in zip(metrics, line["metrics"], strict=True) if m in _MEASURES
            ]
        except (KeyError, IndexError, TypeError, ValueError):
            number += 1
            yield Row(number, {}, ("", "is not shaped like a row of a report"))
            continue
        for measure, value in held:
            number += 1
            values = {
                "observed_on": day,
                "account": account,
                "measure": measure,
                "value": value,
                "is_partial": bool(says),
                "vendor_says": "; ".join(says) or None,
            }
            yield Row(number, values)


CONNECTOR = YandexMetrica()

if __name__ == "__main__":
    cli.main(CONNECTOR)
