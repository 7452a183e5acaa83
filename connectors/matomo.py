"""Matomo: visits of its Live API, asked or saved as JSON, XML, CSV or TSV.

`Live.getLastVisitsDetails` (developer.matomo.org/api-reference/reporting-api#Live). A visit is filed under
the day of its last action, in the site's zone, and `serverTimestamp` is that action's time too: the start is
`firstActionTimestamp`. Both are epoch seconds. Values are cut at 250 characters; what a plugin would give is
left out where the plugin is, and an empty text stands for nothing.

Visits hold more about people than any other export: addresses on the net, coordinates, fingerprints, page
titles, custom variables, search words. None of that is handed over.

    python -m connectors.matomo FILE
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, SecretStr, field_validator, model_validator

from connectors import _matomo_xml, cli
from connectors._api import Answer, Api
from connectors._cells import header_key
from connectors.contract import Column, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.files import InboxFile
from connectors.web import clean_tag, read_address, read_host

_LANDING = "in the landing page's address"
_PLUGIN = "of the plugin MarketingCampaignsReporting."

VISITS = Stream(
    name="visits",
    description="Visits of a site, one row each.",
    columns=(
        Column("site_id", "text", "idSite.", required=True),
        Column("visit_id", "text", "idVisit; unique within the installation.", required=True),
        Column("visitor_id", "text", "visitorId: sixteen digits of the browser's cookie."),
        Column("user_ref", "text", "userId, if the site sets one."),
        Column("started_at", "timestamp", "firstActionTimestamp.", required=True),
        Column("ended_at", "timestamp", "lastActionTimestamp: by its day visits are filed.", required=True),
        Column("visitor_type", "text", "new, returning or returningCustomer."),
        Column("visit_count", "integer", "visitCount: 1 is the visitor's first."),
        Column("landing_host", "text", "Host of the first page."),
        Column("landing_path", "text", "Path of the first page, without query."),
        Column("page_source", "text", f"utm_source {_LANDING}."),
        Column("page_medium", "text", f"utm_medium {_LANDING}."),
        Column("page_campaign", "text", f"utm_campaign {_LANDING}."),
        Column("page_campaign_id", "text", f"Campaign id {_LANDING}."),
        Column("page_content", "text", f"utm_content {_LANDING}."),
        Column("page_term", "text", f"utm_term {_LANDING}."),
        Column("page_click_id_type", "text", f"Which click id was {_LANDING}."),
        Column("page_click_id", "text", f"The click id {_LANDING}."),
        Column("referrer_host", "text", "Host of referrerUrl."),
        Column("referrer_type", "text", "direct, search, website, social, campaign."),
        Column("referrer_name", "text", "Search engine, network, site or campaign."),
        Column("referrer_keyword", "text", "Keyword of a campaign; search words are not read."),
        Column("campaign_source", "text", f"campaignSource {_PLUGIN}"),
        Column("campaign_medium", "text", f"campaignMedium {_PLUGIN}"),
        Column("campaign_name", "text", f"campaignName {_PLUGIN}"),
        Column("campaign_id", "text", f"campaignId {_PLUGIN}"),
        Column("campaign_content", "text", f"campaignContent {_PLUGIN}"),
        Column("campaign_keyword", "text", f"campaignKeyword {_PLUGIN}"),
        Column("device_type", "text", "deviceType as reported."),
        Column("country_code", "text", "countryCode."),
        Column("region", "text", "region."),
        Column("city", "text", "city."),
        Column("pageviews", "integer", "Actions of the type action; NULL where actions are left out."),
        Column("actions", "integer", "actions: pages, searches, downloads and outlinks."),
        Column("interactions", "integer", "interactions: 1 is a bounce."),
        Column("duration_s", "integer", "visitDuration, seconds."),
    ),
    primary_key=("site_id", "visit_id"),
    event_day="ended_at",
    # Conversions and imported logs come late; the vendor says no period.
    restatement_days=4,
)

_TAGS = {
    "campaign_source": "campaignSource",
    "campaign_medium": "campaignMedium",
    "campaign_name": "campaignName",
    "campaign_id": "campaignId",
    "campaign_content": "campaignContent",
    "campaign_keyword": "campaignKeyword",
}
_TEXTS = {
    "visitor_id": "visitorId",
    "user_ref": "userId",
    "visitor_type": "visitorType",
    "referrer_type": "referrerType",
    "device_type": "deviceType",
    "country_code": "countryCode",
    "region": "region",
    "city": "city",
}
_NUMBERS = {
    "visit_count": "visitCount",
    "actions": "actions",
    "interactions": "interactions",
    "duration_s": "visitDuration",
}
_OTHER_NAMES = """
    idSite idVisit firstActionTimestamp lastActionTimestamp serverTimestamp referrerUrl referrerName
    referrerKeyword
"""
_NAMES = frozenset((*_OTHER_NAMES.split(), *_TAGS.values(), *_TEXTS.values(), *_NUMBERS.values()))
# A table's headings are compared without regard to case.
_BY_KEY = {name.lower(): name for name in _NAMES}
# `url (actionDetails 0)` of exports of the interface, `actionDetails_0_url` of the API's.
_ACTION_HEADING = re.compile(r"(type|url) \(actiondetails (\d+)\)|actiondetails_(\d+)_(type|url)")
_NESTED_HEADING = re.compile(r".+ \(\w+ \d+\)|\w+?_\d+_.+")
# Icons, texts for people and what is personal; and plugins' own fields, by their first word.
_IGNORED_NAMES = """
    visitIp fingerprint goalConversions siteCurrency siteCurrencySymbol siteName serverDate visitServerHour
    lastActionDateTime visitConverted visitEcommerceStatus daysSinceFirstVisit secondsSinceFirstVisit
    daysSinceLastEcommerceOrder secondsSinceLastEcommerceOrder searches referrerTypeName
    referrerKeywordPosition referrerSearchEngineUrl referrerSocialNetworkUrl languageCode language deviceBrand
    deviceModel operatingSystem operatingSystemName operatingSystemCode operatingSystemVersion browserFamily
    browserFamilyDescription browser browserName browserCode browserVersion totalEcommerceRevenue
    totalEcommerceConversions totalEcommerceItems totalAbandonedCartsRevenue totalAbandonedCarts
    totalAbandonedCartsItems events continent continentCode country countryFlag regionCode location latitude
    longitude visitLocalTime visitLocalHour daysSinceLastVisit secondsSinceLastVisit resolution plugins
    pluginsIcons customVariables campaignGroup campaignPlacement experiments sessionReplayUrl crashes
    provider providerName providerUrl formConversions metadata_segment
"""
_IGNORED = frozenset(_IGNORED_NAMES.lower().split())
_IGNORED_ENDS = ("icon", "iconsvg", "pretty", "prettyfirstaction")
_IGNORED_STARTS = ("dimension", "customvariable")
# Its address is a page of another site, or a file.
_NO_PAGE = frozenset({"outlink", "download"})
_PAGE = 500
_NO_DATA = "no data available"
_REFUSED_TOKEN = re.compile(r"' access|authenticat|token|logged in|session has expired", re.IGNORECASE)
_TOO_LONG = re.compile(r"too long|aborted|max\w* execution|timed? ?out", re.IGNORECASE)
_FIXED_OFFSET = re.compile(r"UTC([+-]\d{1,2})(\.5)?")
_REMEDY = "save the answer of Live.getLastVisitsDetails as JSON, XML or CSV, for one range and all visits"


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class MatomoOptions(SourceOptions):
    """One site of a Matomo installation.

    `base_url` is the installation's address. `sessions_of_record`: these sessions count, where several
    sources see the same site.
    """

    sessions_of_record: bool = False
    base_url: str | None = None
    site_id: Annotated[str | None, BeforeValidator(_number_as_text)] = None
    token: SecretStr | None = None

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("https://", "http://")):
            raise ValueError("write the whole address, e.g. https://clinic.example/matomo")
        return value.removesuffix("/").removesuffix("/index.php")

    @model_validator(mode="after")
    def _whole(self) -> MatomoOptions:
        if self.site_id is not None and not self.site_id.isdecimal():
            raise ValueError("site_id: write the number of one site; several sites are several sources")
        missing = [name for name in ("base_url", "site_id") if getattr(self, name) is None]
        if self.token is not None and missing:
            raise ValueError(f"the API needs {' and '.join(missing)} too")
        return self


class Matomo(Connector[MatomoOptions]):
    """Visits of Matomo's Live API."""

    kind = "matomo"
    title = "Matomo"
    options = MatomoOptions
    feeds = ("web_sessions",)

    def streams(self, source: MatomoOptions) -> tuple[Stream, ...]:
        """One stream: visits."""
        return (VISITS,)

    def mapping(self, source: MatomoOptions, stream: Stream) -> object:
        """The site, whose visits alone are read."""
        return {"site_id": source.site_id, "zone": source.zone.key}

    def read(self, file: InboxFile, stream: Stream, source: MatomoOptions, log: ReadLog) -> Iterator[Row]:
        """Yield a saved answer's visits. Raises FileRefused for anything else."""
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
        if first == "{":
            raise FileRefused(f"{file.name}: is an error answer or one list per day; {_REMEDY}")
        if first == "<":
            visits = _matomo_xml.visits(file, _NAMES, _REMEDY)
        elif first == "[":
            visits = _json_visits(file)
        else:
            yield from _table_rows(file, source, log)
            return
        for number, visit in enumerate(visits, start=1):
            if (row := _row(number, visit, source, log)) is not None:
                yield row

    def route(self, source: MatomoOptions, stream: Stream) -> Route | None:
        """Visits by the day of their last action, where a token is configured."""
        return None if source.token is None else Route(by="day", window_days=7)

    def fetch(self, source: MatomoOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the visits whose last action lies in the window.

        Raises PermanentError when the site's days are not the source's, IncompleteError when pages repeat.
        """
        api = _api(source)
        _check_zone(api, _site(api, source), window)
        seen: set[str] = set()
        for day in window.days():
            for visit in _visits_of(api, source, day, seen):
                if (row := _row(len(seen), visit, source, log)) is not None:
                    yield row

    def probe(self, source: MatomoOptions) -> str:
        """Ask what the site is. Raises ApiError."""
        site = _site(_api(source), source)
        return f"answers as site {source.site_id}, {site.get('timezone')}"


# --- the API ---


def _api(source: MatomoOptions) -> Api:
    assert source.base_url is not None
    # The clinic's own server, perhaps the one that its site runs on.
    return Api(source.name, source.base_url, per_second=4, secrets=[source.token], judge=_judge)


def _ask(api: Api, source: MatomoOptions, method: str, **parameters: str) -> Any:
    """The answer of an API method. The token goes in the body: Matomo refuses it elsewhere, and logs URLs."""
    assert source.token is not None
    assert source.site_id is not None
    form = {
        "module": "API",
        "method": method,
        "idSite": source.site_id,
        "format": "JSON",
        # Names of devices are translated.
        "language": "en",
        **parameters,
        "token_auth": source.token.get_secret_value(),
    }
    return api.post("/index.php", form=form).json()


def _site(api: Api, source: MatomoOptions) -> Mapping[str, Any]:
    site = _ask(api, source, "SitesManager.getSiteFromId")
    if isinstance(site, list) and len(site) == 1:  # before version 4
        site = site[0]
    if not isinstance(site, dict):
        raise api.error(PermanentError, "knows no such site; mend `site_id` of the source")
    return site


def _check_zone(api: Api, site: Mapping[str, Any], window: Window) -> None:
    """A window of other days than the site's would drop visits of the hours between."""
    name = str(site.get("timezone"))
    for at in (window.starts_at, window.ends_at):
        if _offset(name, at) != at.utcoffset():
            raise api.error(
                PermanentError,
                f"the site's days are those of {name}, not of {window.zone.key}; "
                "set `timezone` of the source to the site's",
            )


def _offset(zone: str, at: datetime) -> timedelta | None:
    """What an IANA zone, or Matomo's `UTC+5.5`, is ahead of UTC at a time; None for anything else."""
    if (match := _FIXED_OFFSET.fullmatch(zone)) is not None:
        hours = float(match[1])
        return timedelta(hours=hours + (0.5 if hours >= 0 else -0.5) * (match[2] is not None))
    try:
        return at.astimezone(ZoneInfo(zone)).utcoffset()
    except (KeyError, ValueError, OSError):
        return None


def _visits_of(api: Api, source: MatomoOptions, day: date, seen: set[str]) -> Iterator[Mapping[str, Any]]:
    """A day's visits, oldest first, so that what comes in meanwhile hides none. Adds their ids to `seen`.

    Only an empty page is the end: how many visits there are is nowhere said.
    """
    offset = 0
    earlier: list[str] | None = None
    while True:
        page = _ask(
            api,
            source,
            "Live.getLastVisitsDetails",
            period="day",
            date=day.isoformat(),
            filter_limit=str(_PAGE),
            filter_offset=str(offset),
            filter_sort_order="asc",
        )
        if not isinstance(page, list) or not all(isinstance(visit, dict) for visit in page):
            raise api.error(PermanentError, "answered with something else than a list of visits")
        if not page:
            return
        ids = [str(visit.get("idVisit")) for visit in page]
        if ids == earlier:
            raise api.error(IncompleteError, f"gives the same visits of {day} again and again")
        for key, visit in zip(ids, page, strict=True):
            # What came in meanwhile moves visits on to a page not read yet, never back.
            if key not in seen:
                seen.add(key)
                yield visit
        earlier = ids
        offset += len(page)


def _judge(answer: Answer) -> ApiError | None:
    """Matomo says what is wrong in the body, whatever the status."""
    if answer.body[:1] != b"{":
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    if body.get("result") != "error":
        return None
    said = " ".join(str(body.get("message", "an error")).split())[:200]
    if answer.status in (401, 403) or _REFUSED_TOKEN.search(said):
        return AuthError(said)
    if answer.status >= 500 or _TOO_LONG.search(said):
        return TransientError(said)
    return PermanentError(said)


# --- formats ---


def _json_visits(file: InboxFile) -> Iterator[Any]:
    for _, visit in file.json_items("item"):
        yield visit


def _table_rows(file: InboxFile, source: MatomoOptions, log: ReadLog) -> Iterator[Row]:
    """Visits of a CSV or TSV: nested values are columns of their own, actions numbered from 0."""
    lines = file.table(fallback="utf-8")
    _, headings = next(lines)
    keys = [header_key(str(heading)) for heading in headings]
    if keys == [_NO_DATA]:
        return
    if missing := [name for name in ("idVisit", "firstActionTimestamp") if name.lower() not in keys]:
        raise FileRefused(f"{file.name}: no column {missing[0]}; {_REMEDY}")
    place = {_BY_KEY[key]: at for at, key in enumerate(keys) if key in _BY_KEY}
    actions = _action_places(keys)
    log.unknown_columns.update(
        str(heading)
        for heading, key in zip(headings, keys, strict=True)
        if key not in _BY_KEY and not _is_ignored(key) and not _NESTED_HEADING.fullmatch(key)
    )
    for number, cells in lines:
        if not any(cells):
            log.skip("blank")
            continue
        if len(cells) != len(keys):
            reason = f"has {len(cells)} cells under {len(keys)} headings"
            yield Row(number, {}, ("", reason))
            continue
        visit: dict[str, Any] = {name: cells[at] for name, at in place.items()}
        if actions:
            details = [{"type": cells[kind], "url": cells[url]} for kind, url in actions]
            visit["actionDetails"] = [action for action in details if action["type"]]
        if (row := _row(number, visit, source, log)) is not None:
            yield row


def _action_places(keys: Sequence[str]) -> list[tuple[int, int]]:
    """(column of the type, column of the address) of every action, in order."""
    found: dict[int, dict[str, int]] = {}
    for at, key in enumerate(keys):
        if (match := _ACTION_HEADING.fullmatch(key)) is not None:
            found.setdefault(int(match[2] or match[3]), {})[match[1] or match[4]] = at
    return [(places["type"], places["url"]) for _, places in sorted(found.items()) if len(places) == 2]


def _is_ignored(key: str) -> bool:
    return key in _IGNORED or key.endswith(_IGNORED_ENDS) or key.startswith(_IGNORED_STARTS)


# --- one visit ---


def _row(number: int, visit: Any, source: MatomoOptions, log: ReadLog) -> Row | None:
    """The row of a visit; None for one of another site than the configured."""
    if not isinstance(visit, dict):
        return Row(number, {}, ("", "is not shaped like a visit"))
    log.unknown_columns.update(
        name for name in visit.keys() - _NAMES if name != "actionDetails" and not _is_ignored(name.lower())
    )
    site = _value(visit.get("idSite")) or source.site_id
    if source.site_id is not None and site != source.site_id:
        log.skip("another site")
        return None
    values: dict[str, Any] = {"site_id": site, "visit_id": _value(visit.get("idVisit"))}
    for column, name in (*_TEXTS.items(), *_NUMBERS.items()):
        values[column] = _value(visit.get(name))
    # A table writes PHP's false as 0, and nobody's id must not become everybody's.
    for column in ("visitor_id", "user_ref"):
        values[column] = None if values[column] == "0" else values[column]
    for column, name in _TAGS.items():
        values[column] = clean_tag(_value(visit.get(name)))
    values["referrer_name"] = clean_tag(_value(visit.get("referrerName")))
    if values["referrer_type"] == "campaign":
        values["referrer_keyword"] = clean_tag(_value(visit.get("referrerKeyword")))
    values["referrer_host"] = read_host(_value(visit.get("referrerUrl")))
    _land(values, visit.get("actionDetails"))
    try:
        values["started_at"] = _moment(visit.get("firstActionTimestamp"))
        last = _value(visit.get("lastActionTimestamp")) or visit.get("serverTimestamp")
        values["ended_at"] = _moment(last) or values["started_at"]
    except (ValueError, OverflowError, OSError):
        return Row(number, values, ("started_at", "is not in seconds since 1970"))
    return Row(number, values)


def _land(values: dict[str, Any], details: Any) -> None:
    """Fill in what the actions tell: page views, and the first page."""
    if not isinstance(details, list):
        return
    actions = [action for action in details if isinstance(action, dict)]
    values["pageviews"] = sum(action.get("type") == "action" for action in actions)
    first = next(
        (url for a in actions if a.get("type") not in _NO_PAGE and (url := _value(a.get("url")))), None
    )
    page = read_address(first)
    values |= {
        "landing_host": page.host,
        "landing_path": page.path,
        "page_source": page.utm_source,
        "page_medium": page.utm_medium,
        "page_campaign": page.utm_campaign,
        "page_campaign_id": page.campaign_id,
        "page_content": page.utm_content,
        "page_term": page.utm_term,
        "page_click_id_type": page.click_id_type,
        "page_click_id": page.click_id,
    }


def _value(raw: Any) -> str | None:
    """A value as text; an empty one, and PHP's false, is none."""
    if raw is None or raw is False:
        return None
    return str(raw).strip() or None


def _moment(raw: Any) -> datetime | None:
    text = _value(raw)
    return None if text is None else datetime.fromtimestamp(int(text), tz=UTC)


CONNECTOR = Matomo()

if __name__ == "__main__":
    cli.main(CONNECTOR)
