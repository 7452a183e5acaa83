"""What keyword_performance must show: the keywords' own spend, and who came by which keyword."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from simulator.arithmetic import euros, month_of, number, quotient
from simulator.keywords import KeywordSpend, click_keywords, keyword_spend, plain
from simulator.model import Origin, Session, local_day
from simulator.truth import DEFAULT_MODEL, NONE, PAID, Place, Told, Touch, Truth

Cells = dict[str, Any]
SEVERAL: Final = "(several)"
Key = tuple[date, str, str, str, str]  # month, source, campaign, ad group, keyword


@dataclass(slots=True)
class _Cell:
    is_reported: bool = False
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("impressions", "clicks", "cost", "sessions", "contacts"), 0)
    )
    new_patients: Fraction = Fraction(0)


def keyword_performance(truth: Truth) -> list[Cells]:
    """Month, source, campaign, ad group, keyword."""
    found: dict[Key, _Cell] = defaultdict(_Cell)
    words = _Words(truth)
    for row in words.spend:
        spend = row.spend
        campaign = spend.campaign
        key = (month_of(spend.day), campaign.platform, campaign.name, row.ad_group, plain(row.keyword))
        cell = found[key]
        cell.is_reported = True
        cell.counts["impressions"] += spend.impressions
        cell.counts["clicks"] += spend.clicks
        cell.counts["cost"] += truth.cents_of(spend)
    for session in truth.world.sessions:
        place = truth.place_of(session)
        if words.is_advertised(place):
            month = month_of(local_day(session.started_at))
            found[month, *words.group(place, words.of_session(session), month)].counts["sessions"] += 1
    for told in truth.contacts:
        if words.is_advertised(told.place):
            month = month_of(local_day(told.at))
            found[month, *words.group(told.place, words.of_contact(told), month)].counts["contacts"] += 1
    for journey in truth.journeys:
        touches = {touch.at: touch for touch in journey.touches}
        for place, at, credit in journey.credits[DEFAULT_MODEL]:
            if words.is_advertised(place):
                keyword, seen = (None, None) if at is None else words.of_touch(touches[at])
                group = words.group(place, keyword, seen)
                found[month_of(journey.first_day), *group].new_patients += Fraction(credit)
    return [_row(key, cell) for key, cell in sorted(found.items())]


def _row(key: Key, cell: _Cell) -> Cells:
    month, source, campaign, ad_group, keyword = key
    counts, new = cell.counts, cell.new_patients
    cents = counts["cost"]
    return {
        "month": month,
        "source": source,
        "campaign": campaign,
        "ad_group": ad_group,
        "keyword": keyword,
        "is_reported": cell.is_reported,
        "attribution_model": DEFAULT_MODEL,
        "impressions": counts["impressions"],
        "clicks": counts["clicks"],
        "cost": euros(cents),
        "sessions": counts["sessions"],
        "contacts": counts["contacts"],
        "new_patients": number(new),
        "ctr": number(quotient(counts["clicks"], counts["impressions"])),
        "cpc": euros(quotient(cents, counts["clicks"])),
        "cost_per_contact": euros(quotient(cents, counts["contacts"]) if cell.is_reported else None),
        "cost_per_patient": euros(quotient(cents, new) if cell.is_reported else None),
    }


class _Words:
    """Which keyword each session, contact and touch came by."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.spend: list[KeywordSpend] = keyword_spend(truth.world)
        self._clicks = click_keywords(truth.world)
        self._campaigns = {(c.platform, c.name) for c in truth.world.campaigns}
        # source, campaign, keyword -> ad groups: of a month, and of the whole time under None
        self._ad_groups: dict[tuple[str, str, str, date | None], set[str]] = defaultdict(set)
        for row in self.spend:
            campaign = row.spend.campaign
            for month in (None, month_of(row.spend.day)):
                key = campaign.platform, campaign.name, plain(row.keyword), month
                self._ad_groups[key].add(row.ad_group)

    @cached_property
    def _contacts_of_session(self) -> dict[str, list[Told]]:
        found: dict[str, list[Told]] = defaultdict(list)
        for told in sorted(self.truth.contacts, key=lambda t: t.contact.global_id):
            if told.session is not None:
                found[told.session.session_id].append(told)
        return found

    def is_advertised(self, place: Place) -> bool:
        """Whether a place is a campaign of an ad platform, or a paid channel."""
        return (place.source, place.campaign) in self._campaigns or place.channel in PAID

    def group(self, place: Place, keyword: str | None, month: date | None) -> tuple[str, str, str, str]:
        """Source, campaign, ad group and keyword of what came by a keyword."""
        if keyword is None:
            return place.source, place.campaign, NONE, NONE
        for when in (month, None):
            groups = self._ad_groups.get((place.source, place.campaign, keyword, when))
            if groups:
                ad_group = min(groups) if len(groups) == 1 else SEVERAL
                return place.source, place.campaign, ad_group, keyword
        return place.source, place.campaign, NONE, keyword

    def _of_origin(self, origin: Origin, *, is_term_seen: bool) -> str | None:
        """The keyword of the click, else of the term."""
        if origin.click_id in self._clicks:
            return self._clicks[origin.click_id]
        return plain(origin.term) if is_term_seen and origin.term is not None else None

    def of_session(self, session: Session) -> str | None:
        """The web counter sees the term where the link was tagged by hand."""
        return self._of_origin(session.origin, is_term_seen=session.origin.tag_campaign is not None)

    def of_contact(self, told: Told) -> str | None:
        """The keyword of the session, else of the contact's own record, for the campaign that it has."""
        keyword = None
        if told.session is not None and _campaign(self.truth.place_of(told.session)) == _campaign(told.place):
            keyword = self.of_session(told.session)
        if keyword is None and told.contact.own is not None and _campaign(told.own) == _campaign(told.place):
            keyword = self._of_origin(told.contact.own, is_term_seen=True)
        return keyword

    def of_touch(self, touch: Touch) -> tuple[str | None, date | None]:
        """(keyword, its month) of the touch's session, else of its contact, else of the session's others."""
        told: Iterable[Told] = ()
        if touch.session is not None:
            if _campaign(self.truth.place_of(touch.session)) == _campaign(touch.place):
                keyword = self.of_session(touch.session)
                if keyword is not None:
                    return keyword, month_of(local_day(touch.session.started_at))
            told = self._contacts_of_session[touch.session.session_id]
        if touch.contact is not None:
            told = [self.truth.told_by_id[touch.contact.global_id], *told]
        for contact in told:
            if _campaign(contact.place) == _campaign(touch.place):
                keyword = self.of_contact(contact)
                if keyword is not None:
                    return keyword, month_of(local_day(contact.at))
        return None, None


def _campaign(place: Place) -> tuple[str, str]:
    return place.source, place.campaign
