"""Google Ads: daily spend from the report downloads of its interface or a saved API answer; clicks.

`ad_spend` reads
- the interface's CSV download (UTF-8 with commas, or UTF-16 with tabs): title, date range, header, rows,
  total rows. It must be segmented by day.
- a saved answer of `googleAds:searchStream` (an array of batches) or `googleAds:search` (one object) with
  `segments.date` and `metrics.cost_micros`.
`clicks` reads a saved answer of a `click_view` query: which gclid belongs to which campaign.

Reports hold the cost served, before tax; credits for invalid clicks appear on invoices only
(support.google.com/google-ads/answer/11132144).

    python -m connectors.google_ads FILE --stream ad_spend --set account=main
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from connectors import cli
from connectors._settings import DateFormat
from connectors.contract import Column, Connector, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile

AD_SPEND = Stream(
    name="ad_spend",
    description="Spend by day, one row per line of the report.",
    columns=(
        Column("spend_date", "date", "Day of the ad account.", required=True),
        Column("account", "text", "`account` of the source, else the file's customer id.", required=True),
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
        Column("account", "text", "`account` of the source, else the customer id."),
        Column("campaign_id", "text", "Campaign id.", required=True),
        Column("ad_group_id", "text", "Ad group id."),
        Column("keyword", "text", "Keyword text; search campaigns only."),
    ),
    primary_key=("click_id",),
    event_day="clicked_on",
)


def _phrases(listed: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in listed.split(","))


@dataclass(frozen=True)
class Language:
    """How the interface writes a report in one language: headings, totals, month names, date ranges.

    `headings` maps our field to the headings that mean it; further languages are further entries of
    `LANGUAGES`, each taken from a real download.
    """

    headings: Mapping[str, tuple[str, ...]]
    ignored: frozenset[str]
    # Columns of reports whose rows overlap or leave spend out.
    partial: frozenset[str]
    total: str
    all_of: frozenset[str]
    months: Mapping[str, int] = field(default_factory=dict)
    all_time: str = ""


_ENGLISH_MONTHS = """
    january february march april may june july august september october november december
"""
_ENGLISH_OTHERS = """
    ad group status, ad group type, ad status, ad type, all conv., all conv. value, avg. cost, avg. cpc,
    avg. cpm, avg. cpv, bid strategy, bid strategy type, budget, budget name, budget type, campaign
    status, campaign subtype, click share, conv. rate, conv. value, conv. value / cost, conversions,
    cost / conv., ctr, default max. cpc, final url, hour of the day, day of the week, interaction rate,
    interactions, keyword id, keyword status, labels, max. cpc, month, quality score, optimization
    score, phone calls, phone impressions, quarter, search exact match is, search impr. share, search
    lost is (budget), search lost is (rank), search lost top is (rank), search top is, impr. (top) %,
    impr. (abs. top) %, status, status reasons, time zone, view-through conv., views, week, year
"""
_ENGLISH_PARTIAL = """
    search term, asset, audience segment, placement, topic, age, gender, landing page, household income,
    parental status, matched location, conversion action, click type
"""
ENGLISH = Language(
    headings={
        "spend_date": ("day",),
        "customer_id": ("customer id", "external customer id", "account id"),
        "account_name": ("account", "account name"),
        "currency": ("currency code", "currency"),
        "campaign_id": ("campaign id",),
        "campaign_name": ("campaign", "campaign name"),
        "campaign_type": ("campaign type", "advertising channel"),
        "ad_group_id": ("ad group id",),
        "ad_group": ("ad group", "ad group name"),
        "ad_id": ("ad id",),
        "keyword": ("keyword", "search keyword"),
        "match_type": ("match type", "search keyword match type"),
        "device": ("device",),
        "network": ("network", "network (with search partners)"),
        "impressions": ("impr.", "impressions"),
        "clicks": ("clicks",),
        "cost": ("cost",),
    },
    ignored=_phrases(_ENGLISH_OTHERS),
    partial=_phrases(_ENGLISH_PARTIAL),
    total="total: ",
    all_of=frozenset({"campaigns", "ad groups", "ads", "keywords", "search keywords"}),
    months={
        **{name: number for number, name in enumerate(_ENGLISH_MONTHS.split(), start=1)},
        **{name[:3]: number for number, name in enumerate(_ENGLISH_MONTHS.split(), start=1)},
        "sept": 9,
    },
    all_time="all time",
)
LANGUAGES = (ENGLISH,)

# Title, range and a blank line stand above the header.
_PREAMBLE_LINES = 12
_DAY_REMEDY = (
    "in Google Ads open the campaigns table, choose Segment > Time > Day (in the report editor: add the row "
    "`Day`), then download as .csv"
)
_LEVELS = ("keyword", "ad_id", "ad_group", "campaign_name", "campaign_id")
_LEVEL_NAMES = {
    "keyword": "keyword",
    "ad_id": "ad",
    "ad_group": "ad_group",
    "campaign_name": "campaign",
    "campaign_id": "campaign",
}
_MEASURES = ("impressions", "clicks", "cost")
# Currencies with three decimals, where `1.234` is an amount and not a mistaken thousand.
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
_NUMBER = {
    ".": re.compile(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?"),
    ",": re.compile(r"-?(?:\d+|\d{1,3}(?:[.\u00a0\u202f ]\d{3})+)(?:,(\d+))?"),
}
_CUSTOMER_ID = re.compile(r"\d{3}-\d{3}-\d{4}")
_ISO_RANGE = re.compile(r"(\d{4}-\d\d-\d\d)\s*[-–—]\s*(\d{4}-\d\d-\d\d)")
_MONTH_FIRST = re.compile(r"([^\W\d_]+)\.? (\d{1,2}), (\d{4})")
_DAY_FIRST = re.compile(r"(\d{1,2}) ([^\W\d_]+)\.? (\d{4})")
# Amounts are printed to the cent; their sum may be off by half a cent a row.
_ROUNDING = Decimal("0.005")
_MICRO = Decimal("0.000001")


class GoogleAdsOptions(SourceOptions):
    """One Google Ads account.

    `account` names it where the file does not; `currency` likewise. `decimal` is the decimal mark of the
    interface's number format, `date_format` the strptime format of its Day column where that is not ISO.
    """

    decimal: Literal[".", ","] = "."
    date_format: DateFormat | None = None


class GoogleAds(Connector[GoogleAdsOptions]):
    """Reports of Google Ads."""

    kind = "google_ads"
    title = "Google Ads"
    options = GoogleAdsOptions
    feeds = ("ad_spend", "ad_clicks")

    def streams(self, source: GoogleAdsOptions) -> tuple[Stream, ...]:
        """ad_spend and clicks."""
        return (AD_SPEND, CLICKS)

    def read(self, file: InboxFile, stream: Stream, source: GoogleAdsOptions, log: ReadLog) -> Iterator[Row]:
        """Yield a report's rows.

        Raises FileRefused for a report without days, without an account or currency, of a kind whose rows
        overlap, in an unknown language or number format, and for one whose rows add up to less than the
        total it prints.
        """
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; download the report again")
        if first == "<":
            raise FileRefused(f"{file.name}: is an HTML page, no report; download it as .csv")
        if first in "[{":
            rows = _answer_rows(file, first)
            read = _api_spend if stream.name == AD_SPEND.name else _api_clicks
            return read(file, source, rows)
        if stream.name == CLICKS.name:
            raise FileRefused(f"{file.name}: clicks come from a saved click_view answer (JSON) only")
        return _Report(file, source, log).rows()


# --- the interface's download ------------------------------------------------------------------------


class _Report:
    """One CSV download: where its columns are, and its rows."""

    def __init__(self, file: InboxFile, source: GoogleAdsOptions, log: ReadLog) -> None:
        self._file = file
        self._source = source
        self._log = log
        self._number = _NUMBER[source.decimal]
        self._at: dict[str, int] = {}
        self._language = ENGLISH
        self._level = "account"
        self._sums = dict.fromkeys(_MEASURES, Decimal(0))
        self._read = 0
        self._account: str | None = None

    def rows(self) -> Iterator[Row]:
        table = self._file.table(fallback="utf-8")
        width = self._find_header(table)
        held: list[tuple[int, list[str]]] = []
        for number, cells in table:
            texts = [self._text(cell) for cell in cells]
            if not any(texts):
                self._log.skip("blank line")
                continue
            if self._is_total(texts):
                held.append((number, texts))
                continue
            # Totals stand at the end: what looked like one before a row was a campaign of that name.
            for early in held:
                yield self._row(*early, width)
            held.clear()
            yield self._row(number, texts, width)
        if all(self._is_dated(texts) for _, texts in held):
            # Totals of days come with one over all days; without it these are campaigns of that name.
            for last in held:
                yield self._row(*last, width)
            held.clear()
        self._totals(held)

    def _text(self, cell: Cell) -> str:
        """A cell as the CSV download prints it; an XLSX holds numbers and dates."""
        if cell is None:
            return ""
        if isinstance(cell, datetime):
            return cell.date().isoformat()
        if isinstance(cell, float):
            return str(cell).replace(".", self._source.decimal)
        return str(cell).strip()

    def _is_dated(self, texts: list[str]) -> bool:
        day = self._cell(texts, "spend_date")
        return day is not None and self._day(day) is not None

    def _find_header(self, table: Iterator[tuple[int, list[Cell]]]) -> int:
        """Read up to the header and note where the columns are. Returns its width."""
        above: list[str] = []
        for number, cells in table:
            texts = [self._text(cell) for cell in cells]
            for language in LANGUAGES:
                at, unknown = _match(texts, language)
                if "cost" in at and len(at) > 1:
                    self._language = language
                    self._accept(at, unknown, [t.casefold() for t in texts])
                    self._log.covers = _covers(above, language)
                    self._log.skip("preamble", number)
                    return len(texts)
            above += [text for text in texts if text]
            if number >= _PREAMBLE_LINES:
                break
        raise FileRefused(
            f"{self._file.name}: no header with Cost in its first lines; download the report in English, "
            "with the columns Day, Campaign, Currency code, Cost, Clicks and Impr."
        )

    def _accept(self, at: dict[str, int], unknown: list[str], headings: list[str]) -> None:
        name = self._file.name
        if partial := sorted(self._language.partial.intersection(headings)):
            raise FileRefused(
                f"{name}: a report by {partial[0]!r} repeats spend or leaves some out; "
                "download the campaigns report instead"
            )
        if "spend_date" not in at:
            raise FileRefused(f"{name}: no Day column, so spend cannot be dated; {_DAY_REMEDY}")
        if "currency" not in at and self._source.currency is None:
            raise FileRefused(
                f"{name}: no column Currency code; add it to the report or set `currency:` of the source"
            )
        if self._source.account is None and "customer_id" not in at and "account_name" not in at:
            raise FileRefused(
                f"{name}: names no account; set `account:` of the source (one source per account)"
            )
        self._at = at
        self._level = next((_LEVEL_NAMES[name] for name in _LEVELS if name in at), "account")
        self._log.unknown_columns.update(unknown)

    def _is_total(self, texts: list[str]) -> bool:
        """A line labelled as a total in a text column, or (in a report of campaigns) without a campaign."""
        total = self._language.total
        if any(text[: len(total)].casefold() == total for text in texts[:3]):
            return True
        day, campaign = self._cell(texts, "spend_date"), self._cell(texts, "campaign_name")
        return day is None and campaign is None and self._level != "account"

    def _cell(self, texts: list[str], name: str) -> str | None:
        at = self._at.get(name)
        if at is None or at >= len(texts):
            return None
        text = texts[at]
        return None if text in ("", "--") else text

    def _row(self, number: int, texts: list[str], width: int) -> Row:
        cell = self._cell
        if len(texts) != width:
            # The report replaces whole days, so one lost line must not pass for a day of less spend.
            raise FileRefused(
                f"{self._file.name}: line {number} has {len(texts)} cells under {width} headings; "
                "the file is cut short or was edited, download it again"
            )
        currency = cell(texts, "currency") or self._source.currency
        values: dict[str, Any] = {
            "spend_date": cell(texts, "spend_date"),
            "account": self._account_of(texts),
            "report_level": self._level,
            "campaign_id": cell(texts, "campaign_id"),
            "campaign_name": cell(texts, "campaign_name"),
            "campaign_type": cell(texts, "campaign_type"),
            "ad_group_id": cell(texts, "ad_group_id"),
            "ad_group": cell(texts, "ad_group"),
            "keyword": _keyword(cell(texts, "keyword")),
            "match_type": cell(texts, "match_type"),
            "device": cell(texts, "device"),
            "network": cell(texts, "network"),
            "currency": currency,
        }
        refused: tuple[str, str] | None = None
        for name in _MEASURES:
            if (text := cell(texts, name)) is not None:
                value = values[name] = self._amount(number, name, text, currency)
                self._sums[name] += value
        self._read += 1
        if (day := values["spend_date"]) is not None:
            parsed = self._day(day)
            values["spend_date"] = parsed
            covers = self._log.covers
            if parsed is None:
                refused = ("spend_date", "is not a day; set `date_format:` of the source")
            elif covers is not None and not covers[0] <= parsed <= covers[1]:
                refused = ("spend_date", "lies outside the date range that the report prints")
        if values.get("cost", 0) < 0:
            refused = ("cost", "is negative, which spend never is; credits belong into a cost sheet")
        return Row(number, values, refused)

    def _account_of(self, texts: list[str]) -> str | None:
        named = _id(self._cell(texts, "customer_id")) or self._cell(texts, "account_name")
        if self._source.account is None:
            return named
        if named is not None and named != self._account:
            if self._account is not None:
                raise FileRefused(
                    f"{self._file.name}: holds several accounts, but the source is `account: "
                    f"{self._source.account}`; download one account, or drop `account:` of the source"
                )
            self._account = named
        return self._source.account

    def _amount(self, number: int, name: str, text: str, currency: str | None) -> Decimal:
        match = self._number.fullmatch(text)
        if match is None or (name != "cost" and match[1] is not None):
            raise FileRefused(
                f"{self._file.name}: line {number}: {name} is not written as a number with the decimal mark "
                f"{self._source.decimal!r}; set `decimal:` of the source to the interface's number format"
            )
        if match[1] is not None and len(match[1]) == 3 and currency not in _THREE_DECIMALS:
            raise FileRefused(
                f"{self._file.name}: line {number}: cost has three decimals, so its dot or comma may group "
                "thousands; set `decimal:` of the source to the interface's number format"
            )
        return _decimal(text, self._source.decimal)

    def _day(self, text: str) -> date | None:
        try:
            if self._source.date_format is not None:
                return datetime.strptime(text, self._source.date_format).date()  # noqa: DTZ007 - a day
            return date.fromisoformat(text)
        except ValueError:
            return _spelled_day(text, self._language)

    def _totals(self, held: list[tuple[int, list[str]]]) -> None:
        """Keep the printed totals, and compare the rows with the one that speaks for them."""
        total = self._language.total
        first: str | None = None
        for _, texts in held:
            self._log.skip("total row")
            label = next((t for t in texts[:3] if t[: len(total)].casefold() == total), "total")
            # A total of one day or device repeats what the whole total says.
            parts = [self._cell(texts, name) for name in ("spend_date", "device", "network")]
            if any(part not in (None, label) for part in parts):
                continue
            for name in _MEASURES:
                text = self._cell(texts, name)
                if text is not None and self._number.fullmatch(text):
                    self._log.control_totals[label, name] = _decimal(text, self._source.decimal)
            scope = label[len(total) :].casefold()
            if first is None and (scope in self._language.all_of or scope.startswith("filtered ")):
                first = label
        printed = None if first is None else self._log.control_totals.get((first, "cost"))
        if printed is None:
            return
        gap = printed - self._sums["cost"]
        if gap > _ROUNDING * (self._read + 1):
            raise FileRefused(
                f"{self._file.name}: its rows add up to {self._sums['cost']}, but it prints {printed} as "
                f"{first!r}; rows are missing, download it again"
            )
        if -gap > _ROUNDING * (self._read + 1):
            self._log.notes.append(f"rows add up to {self._sums['cost']}, {first!r} says {printed}")


def _match(texts: list[str], language: Language) -> tuple[dict[str, int], list[str]]:
    """(our field -> its place, headings that mean nothing here) of a line read as a header."""
    meanings = {heading: name for name, headings in language.headings.items() for heading in headings}
    at: dict[str, int] = {}
    unknown: list[str] = []
    for place, text in enumerate(texts):
        heading = text.casefold()
        if (name := meanings.get(heading)) is not None:
            at.setdefault(name, place)
        elif heading and heading not in language.ignored:
            unknown.append(text)
    return at, unknown


def _covers(above: list[str], language: Language) -> tuple[date, date] | None:
    """The date range that the lines above the header print; None for all time or an unknown form."""
    for text in reversed(above):
        if text.casefold() == language.all_time:
            return None
        if (iso := _ISO_RANGE.fullmatch(text)) is not None:
            return date.fromisoformat(iso[1]), date.fromisoformat(iso[2])
        if (single := _spelled_day(text, language)) is not None:
            return single, single
        for dash in (" - ", " – ", " — "):
            since, found, until = text.partition(dash)
            first, last = _spelled_day(since, language), _spelled_day(until, language)
            if found and first is not None and last is not None:
                return first, last
    return None


def _spelled_day(text: str, language: Language) -> date | None:
    """`March 27, 2026`, `Mar 27, 2026` or `27 March 2026`."""
    if (match := _MONTH_FIRST.fullmatch(text.strip())) is not None:
        name, day, year = match.groups()
    elif (match := _DAY_FIRST.fullmatch(text.strip())) is not None:
        day, name, year = match.groups()
    else:
        return None
    month = language.months.get(name.casefold())
    try:
        return None if month is None else date(int(year), month, int(day))
    except ValueError:
        return None


def _decimal(text: str, mark: str) -> Decimal:
    """A number of the interface; only for texts that `_NUMBER` accepted."""
    grouping = "," if mark == "." else ".\u00a0\u202f "
    return Decimal("".join("." if c == mark else c for c in text if c not in grouping))


def _keyword(text: str | None) -> str | None:
    """`"phrase"`, `[exact]` and `+broad +modified` without their marks."""
    if text is None:
        return None
    if len(text) > 1 and text[0] + text[-1] in ('""', "[]"):
        text = text[1:-1]
    return " ".join(word.removeprefix("+") for word in text.split()) or None


# --- saved API answers -------------------------------------------------------------------------------


def _answer_rows(file: InboxFile, first: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, result) of a searchStream answer (array of batches) or a search answer (one object)."""
    prefix = "item.results.item" if first == "[" else "results.item"
    if first == "{" and any(token for _, token in file.json_items("nextPageToken")):
        # Each page would replace the days of the one before.
        raise FileRefused(f"{file.name}: is one page of several; use googleAds:searchStream, which has none")
    found = False
    for number, item in file.json_items(prefix):
        found = True
        if not isinstance(item, dict) or not all(isinstance(part, dict) for part in item.values()):
            raise FileRefused(f"{file.name}: result {number} is no row of an answer; save it unchanged")
        yield number, item
    if not found:
        _require_empty_answer(file, first)


def _require_empty_answer(file: InboxFile, first: str) -> None:
    """An answer without results is a success; anything else without results is not an answer."""
    if first == "[":
        for number, batch in file.json_items("item"):
            if isinstance(batch, dict) and "error" in batch:
                raise FileRefused(f"{file.name}: is an error answer of the API; repeat the query")
            if not isinstance(batch, dict) or not batch.keys() <= {
                "results",
                "fieldMask",
                "requestId",
                "queryResourceConsumption",
            }:
                raise FileRefused(f"{file.name}: item {number} is no batch of a searchStream answer")
        return
    names = {name.partition(".")[0] for name, _, _ in file.json_head()}
    if not names & {"results", "fieldMask", "totalResultsCount"}:
        what = "an error answer of the API" if "error" in names else "no answer of googleAds:search"
        raise FileRefused(f"{file.name}: is {what}; save the answer of the query again")


def _api_spend(
    file: InboxFile, source: GoogleAdsOptions, rows: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[Row]:
    level: str | None = None
    has_cost = has_clicks = False
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
        account = source.account or _id(customer.get("id"))
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
        # Zeros are left out of the answer, so one row without a cost says nothing; all of them do.
        has_cost = has_cost or "costMicros" in metrics
        has_clicks = has_clicks or str(metrics.get("clicks", "0")) != "0"
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
                "account": source.account or _id(customer.get("id")),
                "campaign_id": _id((result.get("campaign") or {}).get("id")),
                "ad_group_id": _id((result.get("adGroup") or {}).get("id")),
                "keyword": _part(view, "keywordInfo").get("text"),
            },
        )


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
    """An id as text; a customer id without the hyphens that only the interface prints."""
    if raw is None:
        return None
    text = str(raw)
    return text.replace("-", "") if _CUSTOMER_ID.fullmatch(text) else text


def _micros(raw: Any) -> Decimal | None:
    """int64 micros, sent as text, in currency units; None when it is no whole number."""
    try:
        return int(raw) * _MICRO
    except (TypeError, ValueError):
        return None


CONNECTOR = GoogleAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
