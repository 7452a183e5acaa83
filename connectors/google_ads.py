"""Google Ads: daily spend from its API or the report downloads of its interface; clicks.

`ad_spend` reads
- the interface's CSV download (see `_google_ads_report`), which must be segmented by day;
- a saved answer of `googleAds:searchStream` (an array of batches) or `googleAds:search` (one object) with
  `segments.date` and `metrics.cost_micros`;
- from the API two levels of every day: campaigns, which are complete and so the spend of record, and
  keywords, which leave out every campaign without keywords. The campaigns are held against the account.
`clicks` reads `click_view`, saved or asked: which gclid belongs to which campaign. The API tells one day a
query and 90 days back, so what is landed is kept.

Reports hold the cost served, before tax; credits for invalid clicks appear on invoices only
(support.google.com/google-ads/answer/11132144).

    python -m connectors.google_ads FILE --stream ad_spend --set account=main
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator

from connectors import cli
from connectors._api import Answer
from connectors._google_ads_api import Ads
from connectors._google_ads_report import ReportOptions, account_id, report_records
from connectors.contract import Column, Connector, ReadLog, Record, Route, Row, Stream, Window
from connectors.errors import FileRefused, IncompleteError, PermanentError
from connectors.files import InboxFile

AD_SPEND = Stream(
    name="ad_spend",
    description="Spend by day, one row per line of the report.",
    columns=(
        Column("spend_date", "date", "Day of the ad account.", required=True),
        Column("account", "text", "`account` or customer id of the source, else the file's.", required=True),
        Column("report_level", "text", "account, campaign, ad_group, ad or keyword.", required=True),
        Column("campaign_id", "text", "Campaign id; in the interface's report only if asked for."),
        Column("campaign_name", "text", "Campaign name as reported."),
        Column("campaign_type", "text", "Campaign type as reported."),
        Column("ad_group_id", "text", "Ad group id."),
        Column("ad_group", "text", "Ad group name."),
        Column("keyword", "text", "Keyword text, without the marks of its match type."),
        Column("match_type", "text", "Match type as reported."),
        Column("device", "text", "Device as reported."),
        Column("network", "text", "Network as reported."),
        Column("impressions", "integer", "Impressions."),
        Column("clicks", "integer", "Clicks."),
        Column("cost", "decimal", "Cost served, account currency, before tax.", required=True),
        Column("currency", "text", "ISO 4217 code of the account.", required=True),
    ),
    primary_key=(
        "spend_date",
        "account",
        "report_level",
        "campaign_id",
        "campaign_name",
        "ad_group_id",
        "ad_group",
        "keyword",
        "match_type",
        "device",
        "network",
    ),
    event_day="spend_date",
    mode="report",
    replaces=("account", "report_level"),
    # Late clicks for a week, invalid ones taken out for up to a month.
    restatement_days=35,
)

CLICKS = Stream(
    name="clicks",
    description="Clicks with the campaign that each belongs to. Valid and invalid ones; they carry no cost.",
    columns=(
        Column("click_id", "text", "click_view.gclid, case kept.", required=True),
        Column("clicked_on", "date", "Day of the ad account.", required=True),
        Column("account", "text", "`account` or customer id of the source, else the file's."),
        Column("campaign_id", "text", "Campaign id.", required=True),
        Column("ad_group_id", "text", "Ad group id."),
        Column("keyword", "text", "Keyword text; search campaigns only."),
    ),
    primary_key=("click_id",),
    event_day="clicked_on",
    # Clicks are told some hours late.
    restatement_days=3,
)

# Bounds what one answer holds; a night reads five of these anew.
_SPEND_DAYS = 7
_CLICK_DAYS = 31
# How far back click_view goes.
_CLICKS_KEPT = 90
# Both sums move while they are asked for; a campaign that is missing weighs more.
_DRIFT = Decimal("0.01")
_MICRO = Decimal("0.000001")
_BATCH_KEYS = frozenset({"results", "fieldMask", "requestId", "queryResourceConsumption"})
_SETTINGS = ("customer_id", "developer_token", "client_id", "client_secret", "refresh_token")


def _customer_id(value: str) -> str:
    digits = value.replace("-", "")
    if not re.fullmatch(r"\d{10}", digits):
        raise ValueError("write the ten digits of the customer id, e.g. 123-456-7890")
    return digits


def _api_version(value: str) -> str:
    if not re.fullmatch(r"v\d{1,3}", value):
        raise ValueError("write the version as the API does, e.g. v26")
    return value


# YAML reads a bare id as a number.
CustomerId = Annotated[
    str, BeforeValidator(lambda v: str(v) if type(v) is int else v), AfterValidator(_customer_id)
]


class GoogleAdsOptions(ReportOptions):
    """One Google Ads account, its reports and, with the credentials, its API.

    `customer_id` is the advertiser's account, `login_customer_id` the manager account that the login reaches
    it through. `developer_token` comes from the manager account's API centre; `client_id`, `client_secret`
    and `refresh_token` from an OAuth client with the scope adwords.
    """

    reach: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "token_url", "api_version", "client_id", "login_customer_id"}
    )

    customer_id: CustomerId | None = None
    login_customer_id: CustomerId | None = None
    developer_token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    api_version: Annotated[str, AfterValidator(_api_version)] = "v26"
    base_url: str = "https://googleads.googleapis.com"
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    @property
    def own_account(self) -> str | None:
        """`account`, else the customer id: a file that names the account by its name adds no second one."""
        return self.account or self.customer_id

    def is_other(self, named: str | None) -> bool:
        """Whether a customer id is not this source's."""
        return None not in (named, self.customer_id) and named != self.customer_id

    @model_validator(mode="after")
    def _whole(self) -> GoogleAdsOptions:
        missing = [name for name in _SETTINGS if getattr(self, name) is None]
        if len(missing) < len(_SETTINGS) and missing:
            raise ValueError(f"the API needs {', '.join(_SETTINGS)}; missing: {', '.join(missing)}")
        if missing and self.login_customer_id is not None:
            raise ValueError(f"login_customer_id is of use only with {', '.join(_SETTINGS)}")
        return self


class GoogleAds(Connector[GoogleAdsOptions]):
    """Reports of Google Ads."""

    kind = "google_ads"
    title = "Google Ads"
    options = GoogleAdsOptions
    feeds = ("ad_spend", "ad_clicks")
    parser_version = 2

    def streams(self, source: GoogleAdsOptions) -> tuple[Stream, ...]:
        """ad_spend and clicks."""
        return (AD_SPEND, CLICKS)

    def read(
        self, file: InboxFile, stream: Stream, source: GoogleAdsOptions, log: ReadLog
    ) -> Iterator[Record]:
        """Yield a report's rows.

        Raises FileRefused for a report without days, without an account or currency, of a kind whose rows
        overlap, in an unknown language or number format, and for one whose rows add up to less than the
        total it prints; for a saved answer that is not whole, or has no cost.
        """
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; download the report again")
        if first == "<":
            raise FileRefused(f"{file.name}: is an HTML page, no report; download it as .csv")
        if first in "[{":
            rows = _answer_rows(file, first)
            if stream.name == CLICKS.name:
                return _api_clicks(file, source, rows)
            return _api_spend(file, source, _with_cost(file, rows))
        if stream.name == CLICKS.name:
            raise FileRefused(f"{file.name}: clicks come from a click_view answer (JSON) only")
        return report_records(file, source, log)

    def route(self, source: GoogleAdsOptions, stream: Stream) -> Route | None:
        """Spend by the week. Clicks are only ever added: what is 90 days old is told no more."""
        if source.refresh_token is None:
            return None
        if stream.name == CLICKS.name:
            return Route(by="change", window_days=_CLICK_DAYS)
        return Route(by="day", window_days=_SPEND_DAYS)

    def fetch(self, source: GoogleAdsOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the window's spend by campaign, then by keyword; or its clicks.

        Raises IncompleteError when the campaigns add up to less than the account, PermanentError for a
        manager account and for another currency than the configured one.
        """
        ads = _ads(source)
        if stream.name == CLICKS.name:
            yield from _fetched_clicks(ads, source, window, log)
        else:
            yield from _fetched_spend(ads, source, window, log)

    def probe(self, source: GoogleAdsOptions) -> str:
        """Ask who the customer is. Raises ApiError."""
        customer = _ads(source).customer()
        return f"answers as {customer.customer_id}, {customer.currency}, {customer.zone}"


# --- the API -----------------------------------------------------------------------------------------


def _ads(source: GoogleAdsOptions) -> Ads:
    assert source.customer_id is not None
    assert source.developer_token is not None
    assert source.client_id is not None
    assert source.client_secret is not None
    assert source.refresh_token is not None
    return Ads(
        source.name,
        source.base_url,
        source.token_url,
        version=source.api_version,
        customer_id=source.customer_id,
        login_customer_id=source.login_customer_id,
        developer_token=source.developer_token,
        client_id=source.client_id,
        client_secret=source.client_secret,
        refresh_token=source.refresh_token,
    )


def _fetched_spend(ads: Ads, source: GoogleAdsOptions, window: Window, log: ReadLog) -> Iterator[Row]:
    customer = ads.customer()
    if source.currency not in (None, customer.currency):
        raise ads.api.error(
            PermanentError,
            f"the account's currency is {customer.currency}, not {source.currency}; "
            "mend `currency` of the source",
        )
    if not _same_days(customer.zone, window):
        # Spend keeps the account's day, but the latest one may not be over there.
        log.notes.append(f"the account's days are of {customer.zone}; set `timezone: {customer.zone}`")
    # Asked first: what is booked meanwhile makes the campaigns more, not less.
    total = ads.spend_micros(window.since, window.until) * _MICRO
    number = 0
    spent = Decimal(0)
    for row in _level(ads.campaigns(window.since, window.until), source, "campaign"):
        number += 1
        if row.refused is None:
            spent += row.values["cost"]
        yield Row(number, row.values, row.refused)
    if total - spent > _DRIFT * total:
        raise ads.api.error(
            IncompleteError,
            f"campaigns of {window.since} to {window.until} add up to {spent}, the account to {total}",
        )
    for row in _level(ads.keywords(window.since, window.until), source, "keyword"):
        number += 1
        yield Row(number, row.values, row.refused)
    log.control_totals["account", "campaign_cost"] = total
    log.control_totals["answers", "rows"] = Decimal(number)


def _same_days(zone: str, window: Window) -> bool:
    """Whether a day is the same there: a zone may go by several names."""
    try:
        return ZoneInfo(zone).utcoffset(window.starts_at) == window.starts_at.utcoffset()
    except (KeyError, ValueError):
        return False


def _level(answer: Answer, source: GoogleAdsOptions, level: str) -> Iterator[Row]:
    """The rows of an answer that was asked for by this level."""
    for row in _api_spend(answer, source, _answer_rows(answer, "[")):
        if row.values["report_level"] != level:
            raise FileRefused(
                f"{answer.name}: answered with rows by {row.values['report_level']}, not {level}"
            )
        yield row


def _fetched_clicks(ads: Ads, source: GoogleAdsOptions, window: Window, log: ReadLog) -> Iterator[Row]:
    today = datetime.now(window.zone).date()
    number = 0
    lost = 0
    for day in window.days():
        answer = ads.clicks(day) if (today - day).days <= _CLICKS_KEPT else None
        if answer is None:
            lost += 1
            continue
        for row in _api_clicks(answer, source, _answer_rows(answer, "[")):
            number += 1
            yield Row(number, row.values, row.refused)
    if lost:
        log.notes.append(f"clicks of {lost} days lie more than {_CLICKS_KEPT} days back, where none are told")


# --- answers, saved or asked -------------------------------------------------------------------------


def _answer_rows(file: InboxFile, first: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, result) of a searchStream answer (array of batches) or a search answer (one object).

    Raises FileRefused for an answer that is none, an error (also one behind batches), or one page of several.
    """
    if first == "{":
        if any(token for _, token in file.json_items("nextPageToken")):
            # Each page would replace the days of the one before.
            raise FileRefused(
                f"{file.name}: is one page of several; use googleAds:searchStream, which has none"
            )
        results = (item for _, item in file.json_items("results.item"))
    else:
        results = (
            item for number, batch in file.json_items("item") for item in _results(file, number, batch)
        )
    number = 0
    for number, item in enumerate(results, start=1):
        if not isinstance(item, dict) or not all(isinstance(part, dict) for part in item.values()):
            raise FileRefused(f"{file.name}: result {number} is no row of an answer; save it unchanged")
        yield number, item
    if number == 0 and first == "{":
        _require_empty_answer(file)


def _results(file: InboxFile, number: int, batch: Any) -> list[Any]:
    if isinstance(batch, dict) and "error" in batch:
        raise FileRefused(f"{file.name}: is an error answer of the API; repeat the query")
    results = batch.get("results", []) if isinstance(batch, dict) and batch.keys() <= _BATCH_KEYS else None
    if not isinstance(results, list):
        raise FileRefused(f"{file.name}: item {number} is no batch of a searchStream answer")
    return results


def _require_empty_answer(file: InboxFile) -> None:
    """An answer without results is a success; anything else without results is not an answer."""
    names = {name.partition(".")[0] for name, _, _ in file.json_head()}
    if not names & {"results", "fieldMask", "totalResultsCount"}:
        what = "an error answer of the API" if "error" in names else "no answer of googleAds:search"
        raise FileRefused(f"{file.name}: is {what}; save the answer of the query again")


def _api_spend(
    file: InboxFile, source: GoogleAdsOptions, rows: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[Row]:
    level: str | None = None
    for number, result in rows:
        metrics, segments = result.get("metrics"), result.get("segments") or {}
        if not isinstance(metrics, dict) and "clickView" in result:
            raise FileRefused(f"{file.name}: is a click_view answer; put it into the folder `clicks`")
        if not isinstance(metrics, dict):
            raise FileRefused(
                f"{file.name}: result {number} has no metrics; query segments.date, customer.id, "
                "customer.currency_code, campaign.id, campaign.name, metrics.cost_micros, metrics.clicks, "
                "metrics.impressions"
            )
        if "date" not in segments:
            raise FileRefused(f"{file.name}: result {number} has no segments.date; add it to the query")
        customer, campaign = result.get("customer") or {}, result.get("campaign") or {}
        account = _account(file, source, customer)
        currency = customer.get("currencyCode") or source.currency
        if account is None or currency is None:
            missing = (
                "customer.id` or set `account:`"
                if account is None
                else ("customer.currency_code` or set `currency:`")
            )
            raise FileRefused(f"{file.name}: result {number}: add `{missing} of the source")
        here = _api_level(result)
        if level is None:
            level = here
        elif here != level:
            raise FileRefused(f"{file.name}: holds rows by {level} and by {here}; save one query per file")
        ad_group = result.get("adGroup") or {}
        criterion = _part(result.get("adGroupCriterion"), "keyword")
        cost = _micros(metrics.get("costMicros", 0))
        refused = None
        if cost is None:
            refused = ("cost", "costMicros is not a whole number")
        elif cost < 0:
            refused = ("cost", "is negative, which spend never is; credits belong into a cost sheet")
        yield Row(
            number,
            {
                "spend_date": segments["date"],
                "account": account,
                "report_level": level,
                "campaign_id": _id(campaign.get("id")),
                "campaign_name": campaign.get("name"),
                "campaign_type": campaign.get("advertisingChannelType"),
                "ad_group_id": _id(ad_group.get("id")),
                "ad_group": ad_group.get("name"),
                "keyword": criterion.get("text"),
                "match_type": criterion.get("matchType"),
                "device": segments.get("device"),
                "network": segments.get("adNetworkType"),
                # The API leaves out what is zero.
                "impressions": metrics.get("impressions", 0),
                "clicks": metrics.get("clicks", 0),
                "cost": cost,
                "currency": currency,
            },
            refused,
        )


def _with_cost(
    file: InboxFile, rows: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The results of a saved answer. Raises FileRefused when its query did not ask for the cost.

    Zeros are left out of an answer, so one result without a cost says nothing; all of them do.
    """
    has_cost = has_clicks = False
    for number, result in rows:
        metrics = result.get("metrics") or {}
        has_cost = has_cost or "costMicros" in metrics
        has_clicks = has_clicks or str(metrics.get("clicks", "0")) != "0"
        yield number, result
    if has_clicks and not has_cost:
        raise FileRefused(
            f"{file.name}: has clicks but no cost anywhere; add metrics.cost_micros to the query, "
            "else its days would cost nothing"
        )


def _api_clicks(
    file: InboxFile, source: GoogleAdsOptions, rows: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[Row]:
    for number, result in rows:
        view = result.get("clickView")
        if not isinstance(view, dict):
            raise FileRefused(
                f"{file.name}: result {number} has no click_view; query click_view.gclid, campaign.id, "
                "segments.date FROM click_view, one day a query"
            )
        customer = result.get("customer") or {}
        yield Row(
            number,
            {
                "click_id": view.get("gclid"),
                "clicked_on": (result.get("segments") or {}).get("date"),
                "account": _account(file, source, customer),
                "campaign_id": _id((result.get("campaign") or {}).get("id")),
                "ad_group_id": _id((result.get("adGroup") or {}).get("id")),
                "keyword": _part(view, "keywordInfo").get("text"),
            },
        )


def _account(file: InboxFile, source: GoogleAdsOptions, customer: dict[str, Any]) -> str | None:
    named = account_id(customer.get("id"))
    if source.is_other(named):
        raise FileRefused(
            f"{file.name}: is of another account than `customer_id:` of the source; "
            "put it into the folder of a source of its own"
        )
    return source.own_account or named


def _part(record: dict[str, Any] | None, name: str) -> dict[str, Any]:
    part = None if record is None else record.get(name)
    return part if isinstance(part, dict) else {}


def _api_level(result: dict[str, Any]) -> str:
    if "adGroupCriterion" in result or "keywordView" in result:
        return "keyword"
    if "adGroupAd" in result:
        return "ad"
    if "adGroup" in result:
        return "ad_group"
    return "campaign" if "campaign" in result else "account"


def _id(raw: Any) -> str | None:
    return None if raw is None else str(raw)


def _micros(raw: Any) -> Decimal | None:
    """int64 micros, sent as text, in currency units; None when it is no whole number."""
    try:
        return int(raw) * _MICRO
    except (TypeError, ValueError):
        return None


CONNECTOR = GoogleAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
