"""Addresses of web pages, taken apart: path, host, tags and click ids; everything else is dropped.

A page's query string may hold what a visitor typed (names, phones), so a URL never leaves this module
whole. The conventions for tags and click ids are those that ad platforms and analytics agree on: keys
and utm_source/utm_medium are lower case, campaign, content, term and click ids keep theirs, the first
non-empty occurrence of a key wins, tags after `#` count too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

# In the order in which one is chosen when an address carries several. fbclid is last: Meta adds it to
# every outbound link, also of unpaid posts.
CLICK_IDS = ("gclid", "gbraid", "wbraid", "yclid", "msclkid", "ttclid", "bd_vid", "fbclid")

_TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id")
# gad_campaignid: Google's auto-tagging names the campaign beside gbraid and gclid.
# calltouch_tm: Calltouch's mark-up for ad links, e.g. `yd_c:74655848_gb:4921839038_ad:…`, c = campaign id.
_WANTED = frozenset((*CLICK_IDS, *_TAGS, "gad_campaignid", "calltouch_tm"))

_SCHEME = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//")
_PAIRS = re.compile(r"[&;?#]")
# Where a path ends: query and fragment, the same written as escapes, matrix parameters, and the query of
# a link that lost its question mark.
_PATH_END = re.compile(r"[?#;&=]|%(?:3[fFbBdD]|23|26)")
_HOST = re.compile(r"[^\s/@:?#=&%\[\]]+")
_MACRO = re.compile(r"^\{.*\}$|^__[A-Z0-9_]+__$|^\[[A-Za-z_]+\]$|^%[A-Za-z_]+%$|^\$\{.*\}$")
_CLICK_ID = re.compile(r"[A-Za-z0-9_.~\-]{4,1024}")
_CAMPAIGN_IN_CALLTOUCH = re.compile(r"(?:^|_)c:(\d{3,20})(?=_|$)")
# `cid|{campaign_id}|gid|{gbid}|…`, the wide-spread template for Yandex Direct links.
_CAMPAIGN_IN_CONTENT = re.compile(r"(?:^|\|)cid\|(\d{3,20})(?=\||$)")
_DIGITS = re.compile(r"\d{1,20}")
# A number as people write it: with a plus or with separators. Bare digits are ids.
_PHONE_LIKE = re.compile(r"\+\d[\d\s().\-]{8,}|\(?\d{1,4}[\s().\-]+[\d\s().\-]{6,}\d")
_PHONE_SEGMENT = re.compile(r"\+?[\d().\-\s]{9,}")
_FEWEST_DIGITS = 9
# `2024-03-01 - 2024-03-31` is a campaign's name.
_DATED = re.compile(r"(?:19|20)\d\d[.\-]\d\d")
_LONGEST = 500


class Address(NamedTuple):
    """What is kept of a page's address. `has_macro` tells of a tag the ad platform did not fill in."""

    host: str | None = None
    path: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_content: str | None = None
    utm_term: str | None = None
    campaign_id: str | None = None
    click_id_type: str | None = None
    click_id: str | None = None
    has_macro: bool = False


_NOTHING = Address()


@lru_cache(maxsize=1 << 14)
def read_address(url: str | None) -> Address:
    """Take a URL apart. Never raises: a text that is no address gives an empty Address."""
    if not url:
        return _NOTHING
    text = url.strip()
    host, rest = _split_host(text)
    if host is None and not text.startswith("/"):
        return _NOTHING
    end = _PATH_END.search(rest)
    path = _clean_path(rest if end is None else rest[: end.start()])
    if end is None:
        return Address(host, path)
    found, has_macro = _tags(rest[end.start() :])
    if not found:
        return Address(host, path, has_macro=has_macro)
    get = found.get
    click_id_type = next((name for name in CLICK_IDS if name in found), None)
    return Address(
        host,
        path,
        _lower(get("utm_source")),
        _lower(get("utm_medium")),
        get("utm_campaign"),
        get("utm_content"),
        get("utm_term"),
        _campaign_id(found),
        click_id_type,
        None if click_id_type is None else found[click_id_type],
        has_macro,
    )


@lru_cache(maxsize=1 << 12)
def read_host(url: str | None) -> str | None:
    """The host of an address, lower case, without port; None when there is none."""
    return None if not url else _split_host(url.strip())[0]


@lru_cache(maxsize=1 << 14)
def clean_tag(value: str | None) -> str | None:
    """A tag's value as it may be kept: None when empty, unexpanded, or an e-mail or phone number."""
    if not value:
        return None
    text = value.strip()
    if not text or "@" in text or _MACRO.match(text):
        return None
    if _PHONE_LIKE.fullmatch(text) and not _DATED.match(text):
        return None
    if "\ufffd" in text:  # escapes of another code page: no name is better than a wrong one
        return None
    return text[:_LONGEST]


def _split_host(text: str) -> tuple[str | None, str]:
    """(host, the rest from the path on)."""
    scheme = _SCHEME.match(text)
    if scheme is not None:
        rest = text[scheme.end() :]
    elif text.startswith("/"):
        return None, text
    else:
        rest = text
    cut = next((i for i, character in enumerate(rest) if character in "/?#"), len(rest))
    authority = rest[:cut].rpartition("@")[2]
    host = authority.partition(":")[0].strip(".").lower()
    if not _HOST.fullmatch(host) or (scheme is None and "." not in host):
        return None, rest[cut:]
    return host, rest[cut:]


def _clean_path(path: str) -> str | None:
    """The path, with segments that hold an e-mail address or a phone number blanked out."""
    if not path:
        return "/"
    if "@" in path or "%" in path or _PHONE_SEGMENT.search(path):
        path = "/".join("…" if _is_personal(segment) else segment for segment in path.split("/"))
    return path[:_LONGEST]


def _is_personal(segment: str) -> bool:
    plain = unquote(segment)
    if "@" in plain or any(c in plain for c in "?#&=;"):
        return True
    # Nine digits and more: a date in a path has eight.
    return _PHONE_SEGMENT.fullmatch(plain) is not None and sum(map(str.isdigit, plain)) >= _FEWEST_DIGITS


def _tags(query: str) -> tuple[dict[str, str], bool]:
    """The wanted parameters of a query and fragment, decoded once, and whether one was a macro."""
    found: dict[str, str] = {}
    has_macro = False
    for pair in _PAIRS.split(query):
        key, _, raw = pair.partition("=")
        key = key.lower()
        if key not in _WANTED or key in found or not raw:
            continue
        value = unquote_plus(raw).strip()
        if _MACRO.match(raw) or _MACRO.match(value):
            has_macro = True
        elif key in CLICK_IDS:
            if _CLICK_ID.fullmatch(value):
                found[key] = value
        elif (kept := clean_tag(value)) is not None:
            found[key] = kept
    return found, has_macro


def _campaign_id(found: dict[str, str]) -> str | None:
    """The ad platform's campaign id, from the most to the least certain place."""
    if (value := found.get("gad_campaignid")) is not None and _DIGITS.fullmatch(value):
        return value
    if (value := found.get("calltouch_tm")) is not None and (hit := _CAMPAIGN_IN_CALLTOUCH.search(value)):
        return hit[1]
    if (value := found.get("utm_content")) is not None and (hit := _CAMPAIGN_IN_CONTENT.search(value)):
        return hit[1]
    return found.get("utm_id")


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()
