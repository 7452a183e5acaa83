"""Daily totals of GA4's Data API, `runReport`, to compare sessions of the export with.

Shapes and limits: developers.google.com/analytics/devguides/reporting/data/v1, pages rest/v1beta/properties/
runReport, rest/v1beta/ResponseMetaData and quotas. Every value is text; days are the property's, `YYYYMMDD`;
`rows` and `rowCount` are left out of an answer without data. What the API says of missing rows (sampling,
thresholding, a roll-up into `(other)`) lands beside each total.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from connectors._api import Answer, Api, RefreshedToken, retry_after
from connectors.contract import Column, ReadLog, Row, Stream, Window
from connectors.errors import ApiError, FileRefused, IncompleteError, PermanentError, TransientError
from connectors.files import InboxFile

TOTALS = Stream(
    name="totals",
    description="Totals of the property by day, one row per day and measure.",
    columns=(
        Column("observed_on", "date", "date: day of the property.", required=True),
        Column("account", "text", "`account` of the source, else the property's number.", required=True),
        Column("measure", "text", "sessions, users or key_events.", required=True),
        Column("value", "double", "The total.", required=True),
        Column("is_partial", "boolean", "Sampled, thresholded, rolled up into (other), or restricted."),
        Column("vendor_says", "text", "What the answer's metadata say of it."),
    ),
    primary_key=("observed_on", "measure"),
    event_day="observed_on",
    # Events arrive for three days.
    restatement_days=4,
)

# Metric of the API -> measure. `activeUsers` is what the interface calls users; it leaves out visitors.
_MEASURES = {"sessions": "sessions", "totalUsers": "users", "keyEvents": "key_events"}
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)")
# Rows of a page; the API's own default.
_PAGE_ROWS = 10_000
# A tenth of a standard property's tokens of a day.
_FEW_TOKENS = 20_000
_UNTIL_NEXT_HOUR = 3600.0
_REMEDY = "save the answer of runReport with the dimension date alone"


class DataApi:
    """The Data API of one property."""

    def __init__(
        self,
        name: str,
        base_url: str,
        token_url: str,
        *,
        property_id: str,
        client_id: str,
        client_secret: SecretStr,
        refresh_token: SecretStr | None,
    ) -> None:
        self.property_id = property_id
        self._path = f"/v1beta/properties/{property_id}:runReport"
        token = RefreshedToken(
            name, token_url, client_id=client_id, client_secret=client_secret, refresh_token=refresh_token
        )
        # Ten requests at once are allowed; one after the other needs no more than this.
        self.api = Api(
            name,
            base_url,
            per_second=5,
            secrets=[client_secret, refresh_token],
            setting="refresh_token",
            judge=_judge,
            authorisation=token,
        )

    def report(self, since: str, until: str) -> list[dict[str, Any]]:
        """Every page of the report of these days. Raises ApiError."""
        pages: list[dict[str, Any]] = []
        read = 0
        while True:
            body = {
                "dimensions": [{"name": "date"}],
                "metrics": [{"name": name} for name in _MEASURES],
                "dateRanges": [{"startDate": since, "endDate": until}],
                "orderBys": [{"dimension": {"dimensionName": "date"}}],
                "offset": str(read),
                "limit": str(_PAGE_ROWS),
                "returnPropertyQuota": True,
            }
            page = self.api.post(self._path, body).json()
            if not isinstance(page, dict):
                raise self.api.error(PermanentError, "answered with something else than a report")
            pages.append(page)
            rows = len(page.get("rows", ()))
            read += rows
            announced = int(page.get("rowCount", 0))
            if read >= announced:
                return pages
            if not rows:
                raise self.api.error(IncompleteError, f"gave {read} of {announced} rows")


def fetch(data_api: DataApi, account: str, window: Window, log: ReadLog) -> Iterator[Row]:
    """Yield the totals of the window's days; a sampled report is asked again day by day.

    Raises ApiError.
    """
    pages = data_api.report(window.since.isoformat(), window.until.isoformat())
    if window.since < window.until and any(_is_sampled(page) for page in pages):
        days = [day.isoformat() for day in window.days()]
        pages = [page for day in days for page in data_api.report(day, day)]
    number = 0
    for page in pages:
        _note(page, log)
        for row in _rows(page, account, window.zone, log):
            number += 1
            yield Row(number, row.values, row.refused)


def read(file: InboxFile, account: str, zone: ZoneInfo, log: ReadLog) -> Iterator[Row]:
    """Yield the totals of a saved answer of runReport.

    Raises FileRefused for an answer by more than the date, or one that holds only a part of its rows.
    """
    try:
        report = json.loads("".join(file.lines(fallback="utf-8")), parse_float=Decimal)
    except ValueError as error:
        raise FileRefused(f"{file.name}: is not whole JSON; {_REMEDY}") from error
    if not isinstance(report, dict) or "dimensionHeaders" not in report:
        raise FileRefused(f"{file.name}: is no answer of runReport; {_REMEDY}")
    if _names(report, "dimensionHeaders") != ["date"]:
        raise FileRefused(f"{file.name}: has other dimensions than the date; {_REMEDY}")
    if not set(_names(report, "metricHeaders")) & set(_MEASURES):
        raise FileRefused(f"{file.name}: has none of the metrics {', '.join(_MEASURES)}; {_REMEDY}")
    held, announced = len(report.get("rows", ())), int(report.get("rowCount", 0))
    if held < announced:
        raise FileRefused(f"{file.name}: holds {held} of {announced} rows; ask for fewer days, or with limit")
    _note(report, log)
    yield from _rows(report, account, zone, log)


def probe(data_api: DataApi) -> str:
    """A line on yesterday's sessions. Raises ApiError."""
    page = data_api.report("yesterday", "yesterday")[0]
    at = _names(page, "metricHeaders").index("sessions")
    sessions = sum(int(row["metricValues"][at]["value"]) for row in page.get("rows", ()))
    return f"answers as property {data_api.property_id}; {sessions} sessions yesterday"


def _rows(report: Mapping[str, Any], account: str, zone: ZoneInfo, log: ReadLog) -> Iterator[Row]:
    metrics = _names(report, "metricHeaders")
    log.unknown_columns.update(name for name in metrics if name not in _MEASURES)
    is_partial, says = _flags(report, zone)
    number = 0
    for line in report.get("rows", ()):
        try:
            match = _DAY.fullmatch(line["dimensionValues"][0]["value"])
            cells = [cell["value"] for cell in line["metricValues"]]
            held = [(_MEASURES[m], cell) for m, cell in zip(metrics, cells, strict=True) if m in _MEASURES]
        except (KeyError, IndexError, TypeError, ValueError):
            number += 1
            yield Row(number, {}, ("", "is not shaped like a row of runReport"))
            continue
        day = None if match is None else "-".join(match.groups())
        for measure, value in held:
            number += 1
            values = {
                "observed_on": day,
                "account": account,
                "measure": measure,
                "value": value,
                "is_partial": is_partial,
                "vendor_says": says,
            }
            yield Row(number, values, ("observed_on", "is not a day like 20240309") if day is None else None)


def _names(report: Mapping[str, Any], headers: Literal["dimensionHeaders", "metricHeaders"]) -> list[str]:
    return [str(header["name"]) for header in report.get(headers, ())]


def _is_sampled(report: Mapping[str, Any]) -> bool:
    return bool((report.get("metadata") or {}).get("samplingMetadatas"))


def _flags(report: Mapping[str, Any], zone: ZoneInfo) -> tuple[bool, str | None]:
    """(whether rows are missing by the vendor's own word, what it says)."""
    metadata = report.get("metadata") or {}
    says = []
    if metadata.get("dataLossFromOtherRow"):
        says.append("some rows were rolled up into (other)")
    if samples := metadata.get("samplingMetadatas"):
        read = sum(int(s.get("samplesReadCount", 0)) for s in samples)
        space = sum(int(s.get("samplingSpaceSize", 0)) for s in samples)
        says.append(f"sampled: {read} of {space} events were read")
    if metadata.get("subjectToThresholding"):
        says.append("small groups of visitors are withheld")
    if (metadata.get("schemaRestrictionResponse") or {}).get("activeMetricRestrictions"):
        says.append("some metrics are withheld from this account")
    is_partial = bool(says)
    if (days_of := metadata.get("timeZone", zone.key)) != zone.key:
        says.append(f"days are those of {days_of}")
    return is_partial, "; ".join(says) or None


def _note(report: Mapping[str, Any], log: ReadLog) -> None:
    notes = []
    if reason := (report.get("metadata") or {}).get("emptyReason"):
        notes.append(f"Google gives no rows: {reason}")
    left = ((report.get("propertyQuota") or {}).get("tokensPerDay") or {}).get("remaining")
    if left is not None and int(left) < _FEW_TOKENS:
        notes.append(f"{left} of the property's quota tokens are left for today")
    log.notes += [note for note in notes if note not in log.notes]


def _judge(answer: Answer) -> ApiError | None:
    """Tokens of the hour or day are spent: asking again within minutes is of no use.

    Too many requests at once, which carries the same status, is over in a moment.
    """
    if answer.status != 429 or retry_after(answer) is not None:
        return None
    try:
        fault = answer.json().get("error", {})
    except (ValueError, AttributeError):
        return None
    said = str(fault.get("message", "")) if isinstance(fault, dict) else ""
    if "concurrent" in said.lower():
        return TransientError("too many requests at once")
    return TransientError("the property's quota of the Data API is used up", _UNTIL_NEXT_HOUR)
