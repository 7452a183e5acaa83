"""What people searched for: the keywords of search campaigns, their spend, and the terms that links carry.

Everything random comes from a stream of its own, so that the rest of the world is what it was without it.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from simulator.model import Campaign, Spend, World

_PLAIN: Final = re.compile(r'["\[\]!+]')
_MINUS_WORD: Final = re.compile(r"\s-\S+")

# campaign key -> (ad group, keyword as the platform writes it, per cent of the campaign's figures). What is
# left of a hundred was not shown for any keyword.
_KEYWORDS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    "brand": (("Brand", "northgate zagreb", 60), ("Brand", "northgate orl", 30)),
    # One keyword in two ad groups: a term cannot tell which.
    "ent": (
        ("ENT doctor", "otorinolaringolog zagreb", 40),
        ("ENT doctor", "orl zagreb", 20),
        ("Private", "orl zagreb", 10),
        ("ENT doctor", "ispiranje uha", 20),
    ),
    "kids": (("Tonsils", "krajnici djeca", 55), ("Adenoids", "treći krajnik", 30)),
    "allergy": (("Allergy", "alergolog zagreb", 90),),
    "ya_ent": (
        ("Врачи", '"лор загреб" -бесплатно -вакансии', 50),
        ("Врачи", "otorinolaringolog zagreb", 20),
        ("Врачи", "---autotargeting", 20),
    ),
    "ya_nose": (("Нос", "+ринопластика [загреб]", 70), ("Нос", "!септопластика", 20)),
    "ya_brand": (("Бренд", "northgate", 90),),
}
# Terms that only old links carry: no keyword of these campaigns.
_FORGOTTEN: Final = {"ent": "orl ordinacija centar", "ya_ent": "врач лор"}
# From this day on the keyword stands in another ad group.
_MOVED: Final = ("ent", "ispiranje uha", "Ears")
_MOVED_AFTER: Final = timedelta(days=200)


def plain(keyword: str) -> str:
    """A keyword as a term carries it: without marks of match types, operators and minus words."""
    return " ".join(_PLAIN.sub(" ", _MINUS_WORD.sub(" ", keyword.lower())).split())


class Words:
    """What the people who clicked had searched for."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"{seed}:keyword_performance")

    def term(self, campaign: Campaign) -> str | None:
        """The term of a click's link, written in one of the ways that links are; None beyond search."""
        if campaign.kind != "search":
            return None
        rng = self._rng
        known = _KEYWORDS[campaign.key]
        word = plain(rng.choices([w for _, w, _ in known], [share for *_, share in known])[0])
        if campaign.key in _FORGOTTEN and rng.random() < 0.1:
            word = _FORGOTTEN[campaign.key]
        roll = rng.random()
        if roll < 0.1:
            return word.upper()
        return word.replace(" ", "+") if roll < 0.15 else word


@dataclass(frozen=True, slots=True)
class KeywordSpend:
    """One day of one keyword. Cents of the account's currency."""

    spend: Spend
    ad_group: str
    keyword: str


def keyword_spend(world: World) -> list[KeywordSpend]:
    """The part of search campaigns' spend that reports by keyword hold; they leave out what is zero."""
    campaign_key, moved, ad_group_since = _MOVED
    found = []
    for spend in world.spend:
        for ad_group, keyword, share in _KEYWORDS.get(spend.campaign.key, ()):
            part = Spend(
                spend.day,
                spend.campaign,
                spend.impressions * share // 100,
                spend.clicks * share // 100,
                spend.cents * share // 100,
            )
            is_moved = (spend.campaign.key, keyword) == (campaign_key, moved)
            if is_moved and spend.day >= world.start + _MOVED_AFTER:
                ad_group = ad_group_since
            if part.impressions or part.clicks or part.cents:
                found.append(KeywordSpend(part, ad_group, keyword))
    return found


def click_keywords(world: World) -> dict[str, str]:
    """Click id -> keyword, as far as the report of clicks tells it, which it does not always."""
    rng = random.Random(f"{world.seed}:keyword_performance/clicks")
    origins = [s.origin for s in world.sessions] + [c.own for c in world.contacts if c.own is not None]
    terms = {o.click_id: o.term for o in origins if o.click_id is not None and o.term is not None}
    return {
        click: plain(terms[click]) for click, _, _ in world.clicks if click in terms and rng.random() < 0.9
    }


def reports(world: World) -> Iterator[tuple[str, str, bytes, date]]:
    """(source, file name, content, day of the export) of the reports by keyword, a file a month."""
    months: dict[tuple[str, date], list[KeywordSpend]] = defaultdict(list)
    for row in keyword_spend(world):
        months[row.spend.campaign.platform, row.spend.day.replace(day=1)].append(row)
    for (platform, month), rows in sorted(months.items()):
        last = min((month + timedelta(days=32)).replace(day=1) - timedelta(days=1), world.end)
        rows.sort(key=lambda r: (r.spend.day, r.spend.campaign.campaign_id, r.ad_group, r.keyword))
        if platform == "google":
            yield "google_ads", f"keyword_view_{month:%Y-%m}.json", _google(rows, last), last
        else:
            yield "yandex_direct", f"keywords_{month:%Y-%m}.tsv", _yandex(rows, month, last), last


def _google(rows: list[KeywordSpend], last: date) -> bytes:
    """A saved searchStream answer of keyword_view, which leaves out zeros."""
    results = []
    for row in rows:
        spend = row.spend
        metrics: dict[str, Any] = {
            "impressions": spend.impressions,
            "clicks": spend.clicks,
            "costMicros": spend.cents * 10_000,
        }
        results.append(
            {
                "customer": {"currencyCode": "EUR"},
                "campaign": {
                    "id": spend.campaign.campaign_id,
                    "name": spend.campaign.name_on(last),
                    "advertisingChannelType": "SEARCH",
                },
                "adGroup": {"name": row.ad_group},
                "adGroupCriterion": {"keyword": {"text": row.keyword, "matchType": "PHRASE"}},
                "segments": {"date": spend.day.isoformat()},
                "metrics": {name: str(value) for name, value in metrics.items() if value},
            }
        )
    return json.dumps([{"results": results}], ensure_ascii=False).encode()


def _yandex(rows: list[KeywordSpend], first: date, last: date) -> bytes:
    """A report by display criteria, as TSV with title and row count."""
    lines = [
        f"keywords_{first:%Y-%m} ({first} - {last})",
        "Date\tCampaignId\tCampaignName\tCampaignType\tAdGroupName\tCriterion\tImpressions\tClicks\tCost",
    ]
    for row in rows:
        spend = row.spend
        lines.append(
            "\t".join(
                (
                    spend.day.isoformat(),
                    spend.campaign.campaign_id,
                    spend.campaign.name_on(last),
                    "TEXT_CAMPAIGN",
                    row.ad_group,
                    row.keyword,
                    str(spend.impressions),
                    str(spend.clicks),
                    f"{spend.cents / 100:.2f}",
                )
            )
        )
    lines.append(f"Total rows: {len(rows)}")
    return ("\n".join(lines) + "\n").encode()
