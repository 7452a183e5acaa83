"""Meta (Facebook, Instagram): daily spend from the Insights API, from saved answers and from exports.

From the API come campaigns by day, the spend of record; they are held against what the account spent. An
answer's numbers are text, money in the account's currency; `date_start` and `date_stop` are days of the
account. Archived and deleted campaigns are asked for where the account spent more than those listed.

A saved answer (`{"data": […]}`) must have `time_increment=1`. Exports of Ads Manager are read in the
languages of `_meta_ads_export`. Actions (leads, clicks by type) overlap one another and are not read.

    python -m connectors.meta_ads FILE --set account=main
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator

from connectors import cli
from connectors._meta_ads_api import Insights
from connectors._meta_ads_export import ExportOptions, export_records
from connectors.contract import Column, Connector, ReadLog, Record, Route, Row, Stream, Window
from connectors.errors import FileRefused, IncompleteError, PermanentError
from connectors.files import InboxFile

AD_SPEND = Stream(
    name="ad_spend",
    description="Spend by day, one row per campaign (of exports: also ad set or ad).",
    columns=(
        Column("spend_date", "date", "date_start: day of the ad account.", required=True),
        Column("account", "text", "`account` or account id of the source, else the file's.", required=True),
        Column("report_level", "text", "campaign, ad_group (ad set) or ad.", required=True),
        Column("campaign_id", "text", "campaign_id."),
        Column("campaign_name", "text", "campaign_name as reported."),
        Column("ad_group_id", "text", "adset_id."),
        Column("ad_group", "text", "adset_name."),
        Column("ad_id", "text", "ad_id."),
        Column("ad_name", "text", "ad_name."),
        Column("impressions", "integer", "impressions."),
        Column("clicks", "integer", "clicks: of any kind, also on the profile or a picture."),
        Column("link_clicks", "integer", "inline_link_clicks: those that lead to the site."),
        Column("cost", "decimal", "spend, account currency.", required=True),
        Column("currency", "text", "ISO 4217 code of the account.", required=True),
        Column("tax_basis", "text", "incl or excl from `include_vat` of the source, else unknown."),
    ),
    primary_key=(
        "spend_date",
        "account",
        "report_level",
        "campaign_id",
        "campaign_name",
        "ad_group_id",
        "ad_id",
    ),
    event_day="spend_date",
    mode="report",
    replaces=("account", "report_level"),
    # The vendor attributes for 28 days; spend settles sooner.
    restatement_days=28,
)

# Both sums move while they are asked for, and rows are rounded to the cent.
_DRIFT = Decimal("0.01")
_ROUNDING = Decimal("0.005")
_TAX_BASIS = {True: "incl", False: "excl", None: "unknown"}
_REMEDY = "query insights with level=campaign, time_increment=1 and fields=campaign_id,campaign_name,spend,…"
_AMOUNT = re.compile(r"\d{1,12}(?:\.\d+)?")


def _account_id(value: str) -> str:
    digits = value.removeprefix("act_")
    if not re.fullmatch(r"\d{3,20}", digits):
        raise ValueError("write the number of the ad account, e.g. act_1234567890")
    return digits


def _api_version(value: str) -> str:
    if not re.fullmatch(r"v\d{1,3}\.\d", value):
        raise ValueError("write the version as the API does, e.g. v25.0")
    return value


# YAML reads a bare id as a number.
AccountId = Annotated[
    str, BeforeValidator(lambda v: str(v) if type(v) is int else v), AfterValidator(_account_id)
]


class MetaAdsOptions(ExportOptions):
    """One ad account: its exports and, with `account_id` and `access_token`, its API.

    `access_token` is a system user's, with the permission ads_read. `app_secret` is of use where the app
    requires it. `include_vat` says whether the platform's spend contains VAT, once an invoice has told.
    """

    reach: ClassVar[frozenset[str]] = frozenset({"base_url", "api_version"})

    account_id: AccountId | None = None
    access_token: SecretStr | None = None
    app_secret: SecretStr | None = None
    api_version: Annotated[str, AfterValidator(_api_version)] = "v25.0"
    base_url: str = "https://graph.facebook.com"

    @property
    def own_account(self) -> str | None:
        """`account`, else the account id: a file that names the account otherwise adds no second one."""
        return self.account or self.account_id

    def is_other(self, named: str | None) -> bool:
        """Whether an account id is not this source's."""
        return None not in (named, self.account_id) and named != self.account_id

    @model_validator(mode="after")
    def _whole(self) -> MetaAdsOptions:
        if self.access_token is not None and self.account_id is None:
            raise ValueError("the API needs account_id beside access_token: the number behind act_")
        if self.app_secret is not None and self.access_token is None:
            raise ValueError("app_secret is of use only with access_token")
        return self


class MetaAds(Connector[MetaAdsOptions]):
    """Insights of Meta's ad accounts."""

    kind = "meta_ads"
    title = "Meta Ads"
    options = MetaAdsOptions
    feeds = ("ad_spend",)

    def streams(self, source: MetaAdsOptions) -> tuple[Stream, ...]:
        """One stream: ad_spend."""
        return (AD_SPEND,)

    def read(self, file: InboxFile, stream: Stream, source: MetaAdsOptions, log: ReadLog) -> Iterator[Record]:
        """Yield the rows of a saved answer or an export.

        Raises FileRefused for one page of several, rows that are totals of several days, a report without
        spend, account or currency, a number format that does not fit, and rows that add up to less than the
        export's total.
        """
        first = file.first_character()
        if first == "[":
            raise FileRefused(f"{file.name}: is a list, no answer of insights; save the answer unchanged")
        if first == "{":
            return _saved(file, source)
        return export_records(file, source, _TAX_BASIS[source.include_vat], log)

    def route(self, source: MetaAdsOptions, stream: Stream) -> Route | None:
        """Four weeks at a time, the span that is restated."""
        return None if source.access_token is None else Route(by="day", window_days=28)

    def fetch(self, source: MetaAdsOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the window's spend by campaign.

        Raises IncompleteError when the campaigns add up to less than the account, PermanentError for days
        that Meta tells no more (they must not pass for days without spend) and for another currency than
        the configured one.
        """
        insights = _insights(source)
        account = insights.account()
        if source.currency not in (None, account.currency):
            raise insights.api.error(
                PermanentError,
                f"the account's currency is {account.currency}, not {source.currency}; "
                "mend `currency` of the source",
            )
        if not _same_days(account.zone, window):
            # Spend keeps the account's day, but the latest one may not be over there.
            log.notes.append(f"the account's days are of {account.zone}; set `timezone: {account.zone}`")
        rows = _Campaigns(source, account.currency)
        # Asked first: what is booked meanwhile makes the campaigns more, not less.
        total = insights.spent(window.since, window.until)
        yield from rows.of(insights.campaigns(window.since, window.until))
        if rows.fall_short_of(total):
            yield from rows.of(insights.put_away(window.since, window.until))
        if rows.fall_short_of(total):
            raise insights.api.error(
                IncompleteError,
                f"campaigns of {window.since} to {window.until} add up to {rows.spent}, "
                f"the account to {total}",
            )
        log.control_totals["account", "cost"] = total

    def probe(self, source: MetaAdsOptions) -> str:
        """Ask who the account is. Raises ApiError."""
        account = _insights(source).account()
        return f"answers as {account.account_id}, {account.currency}, {account.zone}"


# --- the API -----------------------------------------------------------------------------------------


def _insights(source: MetaAdsOptions) -> Insights:
    assert source.account_id is not None
    assert source.access_token is not None
    return Insights(
        source.name,
        source.base_url,
        version=source.api_version,
        account_id=source.account_id,
        access_token=source.access_token,
        app_secret=source.app_secret,
    )


def _same_days(zone: str, window: Window) -> bool:
    """Whether a day is the same there: a zone may go by several names."""
    try:
        return ZoneInfo(zone).utcoffset(window.starts_at) == window.starts_at.utcoffset()
    except (KeyError, ValueError):
        return False


class _Campaigns:
    """Rows of answers that were asked for by campaign: each day of a campaign once."""

    def __init__(self, source: MetaAdsOptions, currency: str) -> None:
        self._source = source
        self._currency = currency
        self._seen: set[tuple[Any, Any]] = set()
        self.spent = Decimal(0)
        self._number = 0

    def of(self, pages: list[list[dict[str, Any]]]) -> Iterator[Row]:
        """The rows of pages that were not seen before: campaigns move between them."""
        for page in pages:
            for insight in page:
                key = (insight.get("date_start"), insight.get("campaign_id"))
                if key in self._seen:
                    continue
                self._seen.add(key)
                self._number += 1
                row = _row("insights", self._number, insight, self._source, self._currency)
                if row.values["report_level"] != "campaign":
                    raise FileRefused("insights: answered with rows that are of no campaign")
                if row.refused is None:
                    self.spent += Decimal(row.values["cost"])
                yield row

    def fall_short_of(self, total: Decimal) -> bool:
        """Whether rows are missing, by what the account spent."""
        return total - self.spent > _DRIFT * total + _ROUNDING * self._number


# --- answers, saved or asked -------------------------------------------------------------------------


def _saved(file: InboxFile, source: MetaAdsOptions) -> Iterator[Row]:
    if any(True for _ in file.json_items("error")):
        raise FileRefused(f"{file.name}: is an error answer of the API; repeat the query")
    if any(True for _ in file.json_items("paging.next")):
        # Each page would replace the days of the one before.
        raise FileRefused(f"{file.name}: is one page of several; query fewer days, or with a larger limit")
    level: str | None = None
    has_spend = False
    for number, insight in file.json_items("data.item"):
        if not isinstance(insight, dict):
            raise FileRefused(f"{file.name}: item {number} of `data` is no row; save the answer unchanged")
        row = _row(file.name, number, insight, source, None)
        here = str(row.values["report_level"])
        if level not in (None, here):
            raise FileRefused(f"{file.name}: holds rows by {level} and by {here}; save one query per file")
        level = here
        has_spend = has_spend or "spend" in insight
        yield row
    if level is None:
        names = {name.partition(".")[0] for name, _, _ in file.json_head()}
        if "data" not in names:
            raise FileRefused(f"{file.name}: is no answer of insights; {_REMEDY}")
    elif not has_spend:
        raise FileRefused(f"{file.name}: has no spend in any row; {_REMEDY}")


def _row(
    name: str, number: int, insight: dict[str, Any], source: MetaAdsOptions, currency: str | None
) -> Row:
    since, until = insight.get("date_start"), insight.get("date_stop")
    if since != until:
        raise FileRefused(f"{name}: row {number} is a total of several days; {_REMEDY}")
    account_id = None if insight.get("account_id") is None else str(insight["account_id"])
    if source.is_other(account_id):
        raise FileRefused(
            f"{name}: is of another account than `account_id:` of the source; "
            "put it into the folder of a source of its own"
        )
    account = source.own_account or account_id
    currency = insight.get("account_currency") or currency or source.currency
    if account is None or currency is None:
        missing = (
            "account_id` or set `account:`" if account is None else "account_currency` or set `currency:`"
        )
        raise FileRefused(f"{name}: row {number}: add the field `{missing} of the source")
    if source.currency not in (None, currency):
        raise FileRefused(
            f"{name}: is in {currency}, not in {source.currency}; mend `currency` of the source"
        )
    level = _level(insight)
    if level is None:
        raise FileRefused(f"{name}: row {number} is of no campaign, ad set or ad; {_REMEDY}")
    values = {
        "spend_date": since,
        "account": account,
        "report_level": level,
        "campaign_id": insight.get("campaign_id"),
        "campaign_name": insight.get("campaign_name"),
        "ad_group_id": insight.get("adset_id"),
        "ad_group": insight.get("adset_name"),
        "ad_id": insight.get("ad_id"),
        "ad_name": insight.get("ad_name"),
        # A field without data is left out.
        "impressions": insight.get("impressions", 0),
        "clicks": insight.get("clicks", 0),
        "link_clicks": insight.get("inline_link_clicks", 0),
        "cost": insight.get("spend"),
        "currency": currency,
        "tax_basis": _TAX_BASIS[source.include_vat],
    }
    refused = None
    if not _AMOUNT.fullmatch(str(values["cost"])):
        refused = ("cost", "spend is missing, or no amount that can be spent")
    return Row(number, values, refused)


def _level(insight: dict[str, Any]) -> str | None:
    for level, names in (
        ("ad", ("ad_id", "ad_name")),
        ("ad_group", ("adset_id", "adset_name")),
        ("campaign", ("campaign_id", "campaign_name")),
    ):
        if any(name in insight for name in names):
            return level
    return None


CONNECTOR = MetaAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
