"""What every chat product's rows are made with: rules over its labels, promotion codes, origins, times."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from connectors._cells import Moments
from connectors.web import clean_tag, read_address, read_host

# 推广ID：10000001 in an agent's remark: the ad account (or plan) that a visitor came from.
_PROMOTION_NAMED = re.compile(r"推广\s*ID\s*[:：]?\s*(\d{4,})", re.IGNORECASE)
_PROMOTION_LEADING = re.compile(r"\s*(\d{6,})")
_PROMOTION_IN_QUERY = re.compile(r"[?&#;](?:e_promotion|promotion_?id)=(\d{4,})", re.IGNORECASE)
# https://clinic.example/#baidu01, …/&sogou-2&: codes that clinics put behind the addresses of their ads.
_PLATFORM_CODE = re.compile(
    r"[#&?]((baidu|sogou|360|qihoo360|so|shenma|sm|toutiao|douyin|uc|bing|google)[-_]?\d{1,4})(?=[&#/?]|$)",
    re.IGNORECASE,
)
_MOBILE = re.compile(r"(?<!\d)(?:\+?86[- ]?)?(1[3-9]\d{9})(?!\d)")
_BETWEEN_LABELS = re.compile(r"[,，;；、|\n]+|</?br\s*/?>")
_MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M")
_LATEST_EPOCH = 4_102_444_800  # of the year 2100
_PLACEHOLDERS = frozenset({"...", "-"})


@dataclass(frozen=True)
class Rules:
    """Which labels of a chat say what. A label is compared whole; `*` stands for anything.

    No product knows what a valid chat is: that is the clinic's rule over types, categories and tags.
    """

    valid: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    contact: tuple[str, ...] = ()
    booked: tuple[str, ...] = ()

    def is_valid(self, labels: Iterable[str]) -> bool | None:
        """Whether a label says so and none the contrary; None without a rule."""
        if not self.valid and not self.invalid:
            return None
        if any_matches(labels, self.invalid):
            return False
        return not self.valid or any_matches(labels, self.valid)


def any_matches(labels: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether one of the labels fits one of the patterns."""
    return any(fnmatch.fnmatchcase(label, pattern) for label in labels for pattern in patterns)


def split_labels(text: str) -> list[str]:
    """The labels of a cell, as agents separate them."""
    return [label for part in _BETWEEN_LABELS.split(text) if (label := part.strip())]


class Promotion(NamedTuple):
    """A code that tells which paid promotion brought a visitor, and the platform where the code names it."""

    code: str
    source: str | None = None


def promotion_in_remark(remark: str) -> Promotion | None:
    """The id after 推广ID, else the digits that an agent's remark begins with, if no mobile number."""
    if found := _PROMOTION_NAMED.search(remark):
        return Promotion(found[1])
    found = _PROMOTION_LEADING.match(remark)
    return Promotion(found[1]) if found and not _MOBILE.fullmatch(found[1]) else None


def promotion_in_addresses(*addresses: str | None) -> Promotion | None:
    """The code of the first address that carries one."""
    for address in addresses:
        if not address:
            continue
        if found := _PROMOTION_IN_QUERY.search(address):
            return Promotion(found[1])
        if found := _PLATFORM_CODE.search(address):
            return Promotion(found[1].lower(), found[2].lower())
    return None


def mobile_in(text: str) -> str | None:
    """A Chinese mobile number in a text that a person typed, E.164. No other country's are told from ids."""
    found = _MOBILE.search(_PROMOTION_NAMED.sub(" ", text))
    return f"+86{found[1]}" if found else None


def origin(
    *,
    landing: str | None = None,
    page: str | None = None,
    referrer: str | None = None,
    keyword: str | None = None,
    promotion: Promotion | None = None,
) -> dict[str, Any]:
    """The landed origin columns. `page` is where the chat was opened: its tags count, its path does not."""
    first, then = read_address(landing), read_address(page)
    at = first if first.utm_source or first.click_id or not then.path else then
    tagged = at.utm_source is not None or at.utm_medium is not None
    paid = promotion is not None and not tagged
    return {
        "source": promotion.source if paid and promotion is not None else None,
        # A promotion is paid for; which platform's it is, the referrer tells where the code does not.
        "medium": "cpc" if paid else None,
        "utm_source": at.utm_source,
        "utm_medium": at.utm_medium,
        "utm_campaign": at.utm_campaign or (promotion.code if promotion is not None else None),
        "campaign_id": at.campaign_id,
        "utm_content": at.utm_content,
        "utm_term": at.utm_term or tag(keyword),
        "click_id_type": at.click_id_type,
        "click_id": at.click_id,
        "landing_path": first.path,
        "referrer_host": read_host(referrer),
        "promotion_id": promotion.code if promotion is not None else None,
    }


def text_of(raw: Any) -> str | None:
    """Text of a scalar, None for nothing."""
    if raw is None or isinstance(raw, (bool, dict, list)):
        return None
    text = str(raw).strip()
    return text or None


def tag(raw: Any) -> str | None:
    """A tag's value fit to be kept."""
    text = clean_tag(text_of(raw))
    return None if text in _PLACEHOLDERS else text


def lower(text: str | None) -> str | None:
    """The text in lower case."""
    return None if text is None else text.lower()


def moments(zone: ZoneInfo) -> Moments:
    """Times as Chinese products write them: year first, with slashes or hyphens, with or without seconds."""
    return Moments(_MOMENTS, (), zone)


def from_epoch(raw: Any) -> datetime | None:
    """Epoch seconds or milliseconds as a time; None for anything else."""
    try:
        number = int(raw)
    except (TypeError, ValueError):
        return None
    seconds = number / 1000 if number > _LATEST_EPOCH else number
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST_EPOCH else None
