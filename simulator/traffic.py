"""Where visits and calls come from: origins with their truth and the tags by which vendors see them."""

from __future__ import annotations

import random
from datetime import date
from typing import Final

from simulator import clinic
from simulator.keywords import Words
from simulator.model import Campaign, Origin, local_day

DIRECT: Final = Origin("direct", "(direct)", None, "direct")
# Tags that no channel rule knows.
UNASSIGNED: Final = Origin("unassigned", "qr_sticker", None, "manual", "qr_sticker", "zzz")
_REFERRERS: Final = ("roditelji.example", "zdravlje-portal.example", "mojdoktor.example")
_GOOGLE_STYLES: Final = (
    ("google_ads", 24), ("collected_gclid", 14), ("gclid_url", 12), ("manual", 18), ("manual_case", 10),
    ("cross", 6), ("params", 6), ("alias", 5), ("utm_id", 3), ("conflict", 2),
)  # fmt: skip
_YANDEX_STYLES: Final = (("manual", 40), ("manual_case", 20), ("macro", 30), ("alias", 10))
_FACEBOOK_STYLES: Final = (("manual", 50), ("manual_case", 20), ("utm_id", 30))


class Traffic:
    """Makes origins. Click ids that Google's click report lists are kept in `clicks`."""

    def __init__(
        self, rng: random.Random, words: Words, campaigns: list[Campaign], start: date, end: date
    ) -> None:
        self._rng = rng
        self._words = words
        self._start = start
        self._end = end
        self.by_key = {campaign.key: campaign for campaign in campaigns}
        self.clicks: list[tuple[str, date, Campaign]] = []
        self._serial = 0
        self._aliases: dict[str, str] = {key: alias for alias, key in clinic.ALIASES.items()}

    def _click_id(self, prefix: str) -> str:
        self._serial += 1
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        # The serial keeps ids apart that chance would make equal but for their case.
        return prefix + "".join(self._rng.choices(alphabet, k=22)) + f"{self._serial:06d}"

    def paid(self, key: str, at: int, style: str | None = None) -> Origin:
        """A click on a campaign at an instant, tagged in one of the ways its platform has."""
        campaign = self.by_key[key]
        table = {"google": _GOOGLE_STYLES, "yandex": _YANDEX_STYLES, "facebook": _FACEBOOK_STYLES}
        if style is None:
            names, weights = zip(*table[campaign.platform], strict=True)
            style = self._rng.choices(names, weights)[0]
            if style == "alias" and key not in self._aliases:
                style = "manual"
        if campaign.platform == "google":
            return self._google(campaign, at, style)
        # The links of a Yandex campaign keep the name they were tagged with, whatever it is called later.
        name = campaign.names[0][1]
        source, medium = ("yandex", "cpc") if campaign.platform == "yandex" else ("facebook", "paid_social")
        click_type, click_id = "yclid", str(10**18 + self._rng.randrange(10**17))
        campaign_id = None
        if campaign.platform == "facebook":
            click_type, click_id = "fbclid", self._click_id("IwAR")
        tag: str | None = name
        if style == "manual_case":
            tag = name.upper()
        elif style == "alias":
            tag = self._aliases[key]
        elif style == "macro":
            tag = campaign.campaign_id
        elif style == "utm_id":
            tag, campaign_id = "wave-2", campaign.campaign_id
        return Origin(
            campaign.channel,
            campaign.platform,
            campaign.name,
            "manual",
            source,
            medium,
            tag,
            campaign_id=campaign_id,
            term=self._words.term(campaign),
            click_type=click_type,
            click_id=click_id,
        )

    def _google(self, campaign: Campaign, at: int, style: str) -> Origin:
        day = local_day(at)
        truth = (campaign.channel, "google", campaign.name)
        if style in ("google_ads", "collected_gclid", "gclid_url", "conflict"):
            click = self._click_id("Cj0KCQ")
            self.clicks.append((click, day, campaign))
            tag = None
            if style == "conflict":
                # The name of another campaign was left in a copied link: the click decides.
                tag = next(
                    c.name for c in self.by_key.values() if c.platform == "google" and c.key != campaign.key
                )
            return Origin(
                *truth,
                "manual" if style == "conflict" else style,
                "google",
                "cpc",
                tag,
                campaign_id=campaign.campaign_id if style == "google_ads" else None,
                term=self._words.term(campaign),
                click_type="gclid",
                click_id=click,
            )
        name = campaign.name_on(day)
        tag, campaign_id = name, None
        if style == "manual_case":
            tag = name.upper() if self._rng.random() < 0.5 else name.lower()
        elif style == "alias":
            tag = self._aliases[campaign.key]
        elif style == "utm_id":
            tag, campaign_id = "spring-wave", campaign.campaign_id
        web = style if style in ("cross", "params") else "manual"
        return Origin(
            *truth,
            web,
            "google",
            "cpc",
            tag,
            campaign_id=campaign_id,
            term=self._words.term(campaign),
        )

    def running(self, at: int) -> list[Campaign]:
        """The campaigns that could bring a visit at that instant."""
        day = local_day(at)
        return [
            c
            for c in self.by_key.values()
            if c.brings_visits and (c.starts is None or c.starts <= day) and (c.ends is None or day <= c.ends)
        ]

    def any_paid(self, at: int) -> Origin:
        """A click on any running campaign, in proportion to its budget's visits."""
        weights = {"brand": 16, "ent": 26, "kids": 16, "sleep": 6, "sinus": 3, "ya_ent": 7, "ya_nose": 5,
                   "ya_brand": 2, "fb_kids": 11, "fb_allergy": 8}  # fmt: skip
        running = self.running(at)
        return self.paid(self._rng.choices(running, [weights[c.key] for c in running])[0].key, at)

    def organic(self) -> Origin:
        """An unpaid search result."""
        engine = self._rng.choices(("google", "bing", "yandex", "duckduckgo"), (84, 7, 6, 3))[0]
        style = self._rng.choice(("collected", "params", "cross"))
        if engine == "google" and self._rng.random() < 0.2:
            return Origin("organic_search", "google", None, "referrer", referrer="https://www.google.com/")
        return Origin(
            "organic_search",
            engine,
            None,
            style,
            engine,
            "organic",
            "(organic)",
            referrer=f"https://www.{engine}.com/",
        )

    def other(self, at: int) -> Origin:
        """Links from elsewhere: referrals, social posts, newsletters, unknown tags and campaigns."""
        roll = self._rng.random()
        if roll < 0.34:
            host = self._rng.choice(_REFERRERS)
            return Origin(
                "referral",
                host,
                None,
                "params",
                host,
                "referral",
                "(referral)",
                referrer=f"https://{host}/clanak",
            )
        if roll < 0.56:
            return Origin("organic_social", "instagram", None, "manual", "instagram", "social")
        if roll < 0.66:
            return Origin(
                "organic_social",
                "m.facebook.com",
                None,
                "params",
                "m.facebook.com",
                "referral",
                "(referral)",
                referrer="http://m.facebook.com/",
            )
        if roll < 0.80:
            name = f"newsletter-{local_day(at):%Y-%m}"
            return Origin("email", "newsletter", name, "manual", "newsletter", "email", name)
        if roll < 0.88:
            return UNASSIGNED
        return self.unmatched(brand=roll > 0.96)

    def unmatched(self, *, brand: bool) -> Origin:
        """A paid click whose campaign no spend report has; with `brand`, the search term names the clinic."""
        return Origin(
            "paid_search_brand" if brand else "paid_search",
            "google",
            "Ljetna akcija",
            "manual",
            "google",
            "cpc",
            "Ljetna akcija",
            term="northgate orl" if brand else "orl akcija",
        )

    def any(self, at: int, *, late: bool = False) -> Origin:
        """The origin of a visit; `late` is one of somebody who knows the clinic already."""
        weights = (22, 34, 34, 10) if late else (58, 24, 8, 10)
        kind = self._rng.choices(("paid", "organic", "direct", "other"), weights)[0]
        if kind == "paid":
            return self.any_paid(at)
        if kind == "organic":
            return self.organic()
        return DIRECT if kind == "direct" else self.other(at)
