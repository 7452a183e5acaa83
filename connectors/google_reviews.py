"""Google reviews of the clinic's locations: stars and times, from the Business Profile API or a file.

developers.google.com/my-business/reference/rest/v4/accounts.locations.reviews: a rating is a word (ONE to
FIVE), times are RFC 3339 in UTC, an edited review keeps its id and gets a later `updateTime`, a deleted one
is merely listed no more. So every night the whole list is read: a thousand reviews are twenty requests.

Files: a saved answer of `reviews.list`, the `reviews.json` of an archive of the profile (the same shape), or
a CSV with the columns review id, rating and date. Reviewers' names and what they wrote are never read.

    python -m connectors.google_reviews FILE
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from connectors import cli
from connectors._api import Answer, Api, RefreshedToken
from connectors._cells import Moments, cell_text, header_key, id_text
from connectors._settings import DateFormat
from connectors.contract import Column, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import ApiError, AuthError, FileRefused, IncompleteError, PermanentError, RowRefused
from connectors.files import Cell, InboxFile

REVIEWS = Stream(
    name="reviews",
    description="Reviews of the clinic's locations on Google, one row each; no names, no texts.",
    columns=(
        Column("review_id", "text", "reviewId.", required=True),
        Column("location_id", "text", "Number of the location, from the review's name."),
        Column("branch", "text", "What `locations:` of the source calls the location, else the file's word."),
        Column("reviewed_at", "timestamp", "createTime: when it was first written.", required=True),
        Column("updated_at", "timestamp", "updateTime: when it was last edited."),
        Column("rating", "double", "1 to 5; NULL when the review has none."),
    ),
    primary_key=("review_id",),
    event_day="reviewed_at",
    version="updated_at",
)

_STARS = {"ONE": 1, "TWO": 2, "THREE": 3, "FOUR": 4, "FIVE": 5}
_NO_STARS = "STAR_RATING_UNSPECIFIED"
_NAME = re.compile(r"(?:accounts/[^/]+/)?locations/([^/]+)/reviews/([^/]+)")
# The most that a page may hold.
_PAGE_SIZE = 50
# Reviews come, go and move while pages are read, and are filtered late: a share of them may be missed.
_DRIFT = Decimal("0.02")
# Headings of a CSV, ours and those of the tools that copy reviews; written without blanks and underscores.
_HEADINGS = {
    "review_id": ("reviewid", "id"),
    "location": ("locationid", "location", "locationname", "branch", "store", "storecode"),
    "rating": ("starrating", "rating", "stars"),
    "reviewed_at": ("createtime", "created", "createdat", "date", "reviewdate", "publishedat"),
    "updated_at": ("updatetime", "updated", "updatedat", "lastmodified"),
}
_PERSONAL = """
    name reviewer author user username displayname reviewername authorname profilephotourl isanonymous comment
    text review content reply reviewreply replytext ownerreply replytime replyupdatetime language url link
"""
_NEVER_READ = frozenset(_PERSONAL.split())
# Not a person's name that slipped into the column.
_ID = re.compile(r"[A-Za-z0-9_\-=.:+/]{1,250}")
_BLANKS = re.compile(r"[\s_\-.]+")
_CSV_REMEDY = "give it the columns review_id, rating, create_time, and location where there are several"
_SETTINGS = ("account", "client_id", "client_secret", "refresh_token")


def _digits(value: Any) -> str:
    text = str(value).rpartition("/")[2]
    if not re.fullmatch(r"\d{1,24}", text):
        raise ValueError("write the number behind accounts/ or locations/")
    return text


def _locations(value: Any) -> Any:
    """`{number: branch}`; a list of numbers names no branches. YAML reads a bare number as one."""
    if isinstance(value, list):
        value = dict.fromkeys(map(str, value))
    return {_digits(key): branch for key, branch in value.items()} if isinstance(value, dict) else value


AccountId = Annotated[
    str, BeforeValidator(lambda v: str(v) if type(v) is int else v), AfterValidator(_digits)
]


class GoogleReviewsOptions(SourceOptions):
    """The clinic's Business Profile.

    `account` is the number of the Business Profile account, `locations` the number of each location with the
    branch that it is. `client_id`, `client_secret` and `refresh_token` are of an OAuth client with the scope
    business.manage. `date_format` is the strptime format of a CSV's times where they are not ISO 8601.
    """

    reach: ClassVar[frozenset[str]] = frozenset({"base_url", "token_url", "client_id"})

    account: AccountId | None = None
    locations: Annotated[dict[str, str | None], BeforeValidator(_locations)] = Field(default_factory=dict)
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    date_format: DateFormat | None = None
    base_url: str = "https://mybusiness.googleapis.com"
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    @model_validator(mode="after")
    def _whole(self) -> GoogleReviewsOptions:
        credentials = (self.client_id, self.client_secret, self.refresh_token)
        if all(part is None for part in credentials):
            return self
        missing = [name for name in _SETTINGS if getattr(self, name) is None]
        missing += [] if self.locations else ["locations"]
        if missing:
            raise ValueError(
                f"the API needs {', '.join(_SETTINGS)}, locations; missing: {', '.join(missing)}"
            )
        return self


class GoogleReviews(Connector[GoogleReviewsOptions]):
    """Reviews on Google."""

    kind = "google_reviews"
    title = "Google reviews"
    options = GoogleReviewsOptions
    feeds = ("reviews",)

    def streams(self, source: GoogleReviewsOptions) -> tuple[Stream, ...]:
        """One stream: reviews."""
        return (REVIEWS,)

    def read(
        self, file: InboxFile, stream: Stream, source: GoogleReviewsOptions, log: ReadLog
    ) -> Iterator[Row]:
        """Yield a file's reviews. Raises FileRefused for what is no list of reviews with ids and dates."""
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; export it again")
        if first == "<":
            raise FileRefused(f"{file.name}: is a web page, no list of reviews; save the answer itself")
        if first in "[{":
            return _answer_rows(file, source)
        return _Sheet(file, source, log).rows()

    def route(self, source: GoogleReviewsOptions, stream: Stream) -> Route | None:
        """The whole list: only so is a deleted review gone."""
        return None if source.refresh_token is None else Route(by="whole")

    def fetch(
        self, source: GoogleReviewsOptions, stream: Stream, window: Window, log: ReadLog
    ) -> Iterator[Row]:
        """Yield every review of every location.

        Raises IncompleteError when a location lists fewer reviews than it counts.
        """
        api = _api(source)
        number = 0
        counted = 0
        seen: set[str] = set()
        for location in source.locations:
            before = len(seen)
            announced = 0
            for page, total in _pages(api, source, location):
                announced = max(announced, total)
                for row in _answer_rows(page, source, location):
                    review_id = row.values["review_id"]
                    # What is written meanwhile moves the rest to later pages.
                    if review_id in seen:
                        continue
                    if review_id is not None:
                        seen.add(review_id)
                    number += 1
                    yield Row(number, row.values, row.refused)
            _check_count(api, location, len(seen) - before, announced, log)
            counted += announced
        log.control_totals["locations", "rows"] = Decimal(counted)

    def probe(self, source: GoogleReviewsOptions) -> str:
        """Ask each location for one review. Raises ApiError."""
        api = _api(source)
        counts = [next(_pages(api, source, location, size=1))[1] for location in source.locations]
        return f"answers; {sum(counts)} reviews of {len(counts)} location{'s' * (len(counts) != 1)}"


# --- the API -----------------------------------------------------------------------------------------


def _api(source: GoogleReviewsOptions) -> Api:
    assert source.client_id is not None
    assert source.client_secret is not None
    token = RefreshedToken(
        source.name,
        source.token_url,
        client_id=source.client_id,
        client_secret=source.client_secret,
        refresh_token=source.refresh_token,
    )
    # 300 requests a minute are allowed.
    return Api(
        source.name,
        source.base_url,
        per_second=4.5,
        secrets=[source.client_secret, source.refresh_token],
        setting="refresh_token",
        judge=_judge,
        authorisation=token,
    )


def _pages(
    api: Api, source: GoogleReviewsOptions, location: str, size: int = _PAGE_SIZE
) -> Iterator[tuple[Answer, int]]:
    """(page, reviews that the location counts), newest edit first. Raises ApiError."""
    path = f"/v4/accounts/{source.account}/locations/{location}/reviews"
    token = ""
    seen: set[str] = set()
    while True:
        params = {"pageSize": str(size), "orderBy": "updateTime desc"}
        page = api.get(path, {**params, "pageToken": token} if token else params)
        body = page.json()
        if not isinstance(body, dict) or not isinstance(body.get("reviews", []), list):
            raise api.error(PermanentError, f"location {location}: answered with no list of reviews")
        yield page, int(body.get("totalReviewCount") or 0)
        token = str(body.get("nextPageToken") or "")
        if not token:
            return
        if token in seen:
            raise api.error(IncompleteError, f"location {location}: the pages go round in a circle")
        seen.add(token)


def _check_count(api: Api, location: str, listed: int, announced: int, log: ReadLog) -> None:
    short = announced - listed
    if short > 1 and short > _DRIFT * announced:
        raise api.error(IncompleteError, f"location {location}: lists {listed} of {announced} reviews")
    if short > 0:
        log.notes.append(f"location {location} lists {listed} of the {announced} reviews that it counts")


def _judge(answer: Answer) -> ApiError | None:
    """What Google says beyond the status; a project without access has a quota of nought."""
    if answer.status < 400:
        return None
    try:
        error = answer.json()["error"]
        said = f"{error.get('status')} ({' '.join(str(error.get('message')).split())[:200]})"
        details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    limits = [(detail.get("metadata") or {}).get("quota_limit_value") for detail in details]
    if answer.status == 429 and "0" in limits:
        return AuthError(f"{said}: the project has no access to the API yet, which is asked for with a form")
    if answer.status in (401, 403):
        return AuthError(said)
    if answer.status == 404:
        return PermanentError(
            f"{said}: no such verified location; mend `account` or `locations` of the source"
        )
    return None


# --- answers, saved or asked -------------------------------------------------------------------------


def _answer_rows(file: InboxFile, source: GoogleReviewsOptions, location: str | None = None) -> Iterator[Row]:
    """The reviews of one answer, or of an array of answers; `location` is the one that was asked about."""
    prefix = "item.reviews.item" if file.first_character() == "[" else "reviews.item"
    found = False
    for number, review in file.json_items(prefix):
        found = True
        if not isinstance(review, dict):
            raise FileRefused(
                f"{file.name}: item {number} of `reviews` is no review; save the answer unchanged"
            )
        yield _review(number, review, source, location)
    if not found and location is None:
        _require_empty_answer(file)


def _require_empty_answer(file: InboxFile) -> None:
    """A location without reviews answers `{}`; anything else without reviews is no answer."""
    names = {name.partition(".")[0] for name, _, _ in file.json_head()}
    if file.first_character() == "[" or not names <= {"reviews", "averageRating", "totalReviewCount"}:
        raise FileRefused(f"{file.name}: is no answer of reviews.list; save the answer unchanged")


def _review(number: int, review: dict[str, Any], source: GoogleReviewsOptions, location: str | None) -> Row:
    match = _NAME.fullmatch(str(review.get("name") or ""))
    location_id = location if location is not None or match is None else match[1]
    values = {
        "review_id": review.get("reviewId") or (None if match is None else match[2]),
        "location_id": location_id,
        "branch": None if location_id is None else source.locations.get(location_id),
        "reviewed_at": review.get("createTime"),
        "updated_at": review.get("updateTime"),
    }
    try:
        _require_id(values["review_id"])
        values["rating"] = _rating(str(review.get("starRating") or ""))
    except RowRefused as error:
        return Row(number, values, (error.column, error.reason))
    return Row(number, values)


def _require_id(review_id: Any) -> None:
    if review_id and not _ID.fullmatch(str(review_id)):
        raise RowRefused("review_id", "is not shaped like an id")


def _rating(text: str) -> float | None:
    """1 to 5 of `FIVE`, `5` or `5.0`. Raises RowRefused for anything else."""
    word = text.strip().upper()
    if word in ("", _NO_STARS):
        return None
    if word in _STARS:
        return float(_STARS[word])
    if re.fullmatch(r"[1-5](?:[.,]0+)?", word):
        return float(word[0])
    raise RowRefused("rating", "is none of one to five stars")


# --- a CSV ------------------------------------------------------------------------------------------


class _Sheet:
    """A CSV or XLSX of reviews, one a line, under a header in the first line."""

    def __init__(self, file: InboxFile, source: GoogleReviewsOptions, log: ReadLog) -> None:
        self._file = file
        self._source = source
        self._log = log
        formats = [] if source.date_format is None else [source.date_format]
        self._moments = Moments(formats, [], source.zone)

    def rows(self) -> Iterator[Row]:
        table = self._file.table(fallback="utf-8")
        _, header = next(table, (0, []))
        at = self._columns(header)
        for number, cells in table:
            if not any(cell_text(cell) for cell in cells):
                self._log.skip("blank line")
                continue
            if len(cells) != len(header):
                raise FileRefused(
                    f"{self._file.name}: line {number} has {len(cells)} cells under {len(header)} headings; "
                    "the file is cut short or misquoted, export it again"
                )
            yield self._row(number, {name: cells[place] for name, place in at.items()})

    def _columns(self, header: list[Cell]) -> dict[str, int]:
        meanings = {heading: name for name, headings in _HEADINGS.items() for heading in headings}
        at: dict[str, int] = {}
        for place, cell in enumerate(header):
            text = cell_text(cell)
            heading = _BLANKS.sub("", header_key(text))
            if (name := meanings.get(heading)) is not None:
                at.setdefault(name, place)
            elif heading and heading not in _NEVER_READ:
                self._log.unknown_columns.add(text)
        missing = [name for name in ("review_id", "rating", "reviewed_at") if name not in at]
        if missing:
            raise FileRefused(f"{self._file.name}: has no column {', '.join(missing)}; {_CSV_REMEDY}")
        return at

    def _row(self, number: int, cells: dict[str, Cell]) -> Row:
        values: dict[str, Any] = {}
        try:
            values |= self._ids(cells)
            for name in ("reviewed_at", "updated_at"):
                values[name] = self._moment(name, cells.get(name))
            values["rating"] = _rating(cell_text(cells["rating"]))
        except RowRefused as error:
            return Row(number, values, (error.column, error.reason))
        return Row(number, values)

    def _ids(self, cells: dict[str, Cell]) -> dict[str, Any]:
        try:
            name, place = id_text(cells["review_id"]), id_text(cells.get("location"))
        except ValueError as error:
            raise RowRefused("review_id", str(error)) from None
        _require_id(name)
        match = _NAME.fullmatch(name)
        location = place.rpartition("/")[2] if match is None else match[1]
        is_number = re.fullmatch(r"\d+", location) is not None
        return {
            "review_id": name if match is None else match[2],
            "location_id": location if is_number else None,
            "branch": self._source.locations.get(location) or (None if is_number else place or None),
        }

    def _moment(self, name: str, cell: Cell) -> datetime | None:
        try:
            found = self._moments.read(cell)
        except ValueError as error:
            raise RowRefused(name, str(error)) from None
        return None if found is None else self._moments.moment(found)


CONNECTOR = GoogleReviews()

if __name__ == "__main__":
    cli.main(CONNECTOR)
