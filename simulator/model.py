"""What happens at the artificial clinic, as events, before any vendor writes it down.

Every instant is an integer of microseconds since 1970-01-01 UTC, every amount an integer of cents in the
currency named beside it. Nothing here knows of export formats, keyed hashes or warehouse tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

US: Final = 1_000_000
MINUTE: Final = 60 * US
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ZONE: Final = ZoneInfo("Europe/Zagreb")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(day: date, hour: int = 0, minute: int = 0, second: int = 0, *, fold: int = 0) -> int:
    """The instant of a wall-clock time at the clinic; `fold=1` is the repeated hour's second pass."""
    local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=ZONE, fold=fold)
    return microseconds(local)


def microseconds(moment: datetime) -> int:
    """An aware time as microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def utc(moment: int) -> datetime:
    """Microseconds since the epoch as an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=moment)


def local(moment: int) -> datetime:
    """Microseconds since the epoch as wall-clock time at the clinic."""
    return utc(moment).astimezone(ZONE)


def local_day(moment: int) -> date:
    """The clinic's calendar day of an instant."""
    return _day_of_hour(moment // HOUR)


@lru_cache(maxsize=1 << 15)
def _day_of_hour(hour: int) -> date:
    # No zone of whole hours changes its day within an hour of UTC; half a million questions are asked.
    return local(hour * HOUR).date()


def end_of_day(day: date) -> int:
    """The last microsecond of a day at the clinic: what a date without a time means."""
    return instant(day, 23, 59, 59) + US - 1


@dataclass(frozen=True, slots=True)
class Campaign:
    """An advertising campaign. `names` are (first day, name) in order; the last is what reports show."""

    key: str
    platform: str  # as sessions name it: google, yandex, facebook
    account: str
    campaign_id: str
    names: tuple[tuple[date, str], ...]
    kind: str  # search, display, video, social
    channel: str
    daily_cents: int  # of the account's currency
    starts: date | None = None
    ends: date | None = None
    brings_visits: bool = True

    @property
    def name(self) -> str:
        """The newest name."""
        return self.names[-1][1]

    def name_on(self, day: date) -> str:
        """The name the campaign had on a day; before its first, the first."""
        return next((name for since, name in reversed(self.names) if since <= day), self.names[0][1])


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a click or call came from: the truth, and the tags by which a vendor sees it.

    `channel`, `source` and `campaign` are the truth (campaign None stands for no campaign). The rest is
    what reaches the vendors. `style` says by which fields the web export carries it.
    """

    channel: str
    source: str
    campaign: str | None
    style: str
    tag_source: str | None = None
    tag_medium: str | None = None
    tag_campaign: str | None = None
    campaign_id: str | None = None
    term: str | None = None
    content: str | None = None
    click_type: str | None = None
    click_id: str | None = None
    referrer: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether it says nothing of where the person came from."""
        return self.channel in ("direct", "unassigned")


@dataclass(slots=True)
class Session:
    """One visit to the web site."""

    visitor: str  # client id as the browser keeps it, without a system prefix
    ga_session: int
    started_at: int
    origin: Origin
    user: str | None = None
    number: int = 1  # which session of this browser it is
    pages: int = 1
    length: int = 0  # µs from first to last event
    engaged: bool = True
    path: str = "/"
    device: str = "mobile"
    city: str = "Zagreb"
    region: str = "City of Zagreb"

    @property
    def visitor_id(self) -> str:
        """The visitor with its system, as the warehouse names it."""
        return f"ga:{self.visitor}"

    @property
    def session_id(self) -> str:
        """Unique per browser and session."""
        return f"{self.visitor}.{self.ga_session}"


@dataclass(slots=True)
class Contact:
    """Somebody getting in touch: a call, chat, form, message, walk-in, event sign-up or online booking.

    `phone` is E.164, None when withheld. `own` is the origin the contact's own record names, None when it
    names none. `direction` is inbound, outbound or callback; only inbound ones that are not internal count.
    """

    contact_id: str  # of the vendor
    source_name: str
    kind: str
    at: int
    phone: str | None
    own: Origin | None = None
    direction: str = "inbound"
    internal: bool = False
    visitor: str | None = None
    user: str | None = None
    session: Session | None = None  # that it truly came from
    answered: bool = True
    target: bool = True
    talk: int = 120
    wait: int | None = 8
    dialled: str | None = None  # static tracking number; None for one of the dynamic pool
    operator: str | None = None
    branch: str | None = None
    tags: list[tuple[str, str]] = field(default_factory=list)  # type, name: what people set later
    appointment_ref: str | None = None
    contact_ref: str | None = None
    callback_ref: str | None = None
    flags: dict[str, bool] = field(default_factory=dict)
    written_phone: str | None = None  # as the export writes it
    restated_target: bool | None = None  # value before a later export corrected it
    email: str | None = None
    name: str | None = None
    message: str | None = None

    @property
    def global_id(self) -> str:
        """The id that is unique over all sources."""
        return f"{self.source_name}:{self.contact_id}"


@dataclass(slots=True)
class Line:
    """One service of a visit, with what was paid for it at the desk. Cents of EUR."""

    service: str
    amount: int
    paid: int = 0
    refund: int = 0
    payer: str = "card"
    paid_at: int | None = None  # None: at the visit


@dataclass(slots=True)
class Visit:
    """An appointment and, when completed, the visit that came of it."""

    visit_id: str
    appointment_id: str
    card: str
    scheduled_at: int
    branch: str
    doctor: str
    room: str
    status: str
    lines: list[Line]
    booked_at: int | None = None
    booked_on: date | None = None  # only the day of booking is known
    contact_ref: str | None = None
    visitor_id: str | None = None
    user: str | None = None
    says_primary: bool | None = None
    phone: str | None = None  # written in this row; None repeats the card's
    diagnosis: str | None = None
    raw_status: str | None = None  # a text that the status map does not know
    first_export: list[Line] | None = None  # what an earlier export said
    first_status: str | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the patient was seen."""
        return self.status == "completed"


@dataclass(slots=True)
class Payment:
    """Money outside the visit's own lines: prepayments, insurers' transfers, later refunds. Cents."""

    payment_id: str
    card: str
    visit_id: str | None
    paid_at: int
    amount: int
    payer: str


@dataclass(slots=True)
class Card:
    """A patient's card in the clinic's system. One person may have two until they are merged."""

    card: str
    name: str
    sex: str | None
    born: date | None
    phones: list[str]  # E.164
    written: list[str]  # the same numbers, as the card writes them; masked ones besides
    email: str | None = None
    address: str | None = None
    registered_at: int | None = None
    self_reported: str | None = None
    merged_into: str | None = None
    in_index: bool = True  # listed in the patient index export


@dataclass(slots=True)
class Review:
    """A rating on a review site."""

    review_id: str
    at: int
    rating: int
    doctor: str
    branch: str
    platform: str
    text: str


@dataclass(slots=True)
class Spend:
    """One day of one campaign. `cents` are of the account's currency."""

    day: date
    campaign: Campaign
    impressions: int
    clicks: int
    cents: int


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of the marketing cost sheet. `cents` are of `currency`, for the whole period."""

    cost_id: str
    channel: str
    source: str
    campaign: str
    starts: date
    ends: date
    cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class TrackingNumber:
    """A dedicated number and what it stood for between two days, both included."""

    number: str
    channel: str
    source: str
    campaign: str | None
    valid_from: date | None
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Observation:
    """A figure of a day that no other table holds: `hundredths` of its unit, as money is cents."""

    day: date
    metric: str
    scope: str
    scope_value: str
    hundredths: int


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached; None leaves the cell of the clinic's table empty."""

    metric: str
    scope: str
    scope_value: str
    value: float
    baseline: float | None = None
    is_relative: bool = False
    starts: date | None = None
    due: date | None = None
    owner: str | None = None
    horizon: str | None = None


@dataclass(slots=True)
class World:
    """All that happened between `start` and `end`, both days included."""

    seed: int
    start: date
    end: date
    campaigns: list[Campaign] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    planned: list[Visit] = field(default_factory=list)  # appointments of a separate export
    payments: list[Payment] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    spend: list[Spend] = field(default_factory=list)
    costs: list[CostLine] = field(default_factory=list)
    clicks: list[tuple[str, date, Campaign]] = field(default_factory=list)  # click_view rows
    rates: dict[tuple[str, date], int] = field(default_factory=dict)  # currency, day -> millionths of EUR
    tracking: list[TrackingNumber] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    # card -> the contact that truly brought the person, None when nothing did that the clinic could see.
    cause: dict[str, Contact | None] = field(default_factory=dict)
    # card -> the hard case it was planted for.
    case: dict[str, str] = field(default_factory=dict)
    personal: set[str] = field(default_factory=set)

    @property
    def days(self) -> list[date]:
        """Every day, in order."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)]
