"""Addresses taken apart: what is kept, and that a query string never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.web import CLICK_IDS, Address, clean_tag, read_address, read_host


def test_a_tagged_address_gives_host_path_tags_and_click_id() -> None:
    found = read_address(
        "https://WWW.Clinic.example:443/ENT/Visit?utm_source=Google&utm_medium=CPC&utm_campaign=Brand%20Zagreb"
        "&utm_content=a+b&utm_term=ent&gclid=Cj0KCQ_x-Y"
    )
    assert found == Address(
        host="www.clinic.example",
        path="/ENT/Visit",
        utm_source="google",
        utm_medium="cpc",
        utm_campaign="Brand Zagreb",
        utm_content="a b",
        utm_term="ent",
        click_id_type="gclid",
        click_id="Cj0KCQ_x-Y",
    )


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://clinic.example", "clinic.example", "/"),
        ("//clinic.example/a", "clinic.example", "/a"),
        ("clinic.example/a", "clinic.example", "/a"),
        ("/a/b?c", None, "/a/b"),
        ("https://user:secret@clinic.example/a", "clinic.example", "/a"),
        ("https://clinic.example/a;jsessionid=1F", "clinic.example", "/a"),
        ("https://clinic.example/a&phone=0911234567", "clinic.example", "/a"),
        ("https://clinic.example/a%3Fphone=0911234567", "clinic.example", "/a"),
        ("android-app://com.google.android.gm/", "com.google.android.gm", "/"),
        ("https://клиника.рф/приём", "клиника.рф", "/приём"),
        ("https://[::1/broken", None, None),
        ("(not set)", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_host_and_path(url: str | None, host: str | None, path: str | None) -> None:
    found = read_address(url)
    assert (found.host, found.path) == (host, path)
    assert read_host(url) == host


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://c.example/u/ana.horvat@mail.example/x", "/u/…/x"),
        ("https://c.example/u/ana%40mail.example", "/u/…"),
        ("https://c.example/callback/+385911234567", "/callback/…"),
        ("https://c.example/callback/38591%20123%204567", "/callback/…"),
        ("https://c.example/news/2024-03-10", "/news/2024-03-10"),
        ("https://c.example/%D1%86%D0%B5%D0%BD%D1%8B", "/%D1%86%D0%B5%D0%BD%D1%8B"),
    ],
)
def test_personal_path_segments_are_blanked(url: str, path: str) -> None:
    assert read_address(url).path == path


def test_the_first_filled_occurrence_wins_and_tags_after_the_hash_count() -> None:
    found = read_address("https://c.example/?utm_source=&utm_source=one&UTM_SOURCE=two#utm_medium=email")
    assert (found.utm_source, found.utm_medium) == ("one", "email")


@pytest.mark.parametrize("macro", ["{campaignid}", "{{campaign.name}}", "__CAMPAIGN_ID__", "%campaign%"])
def test_unexpanded_macros_are_dropped_and_reported(macro: str) -> None:
    found = read_address(f"https://c.example/?utm_campaign={macro}&utm_source=google")
    assert (found.utm_campaign, found.utm_source, found.has_macro) == (None, "google", True)


def test_click_ids_keep_their_case_and_fbclid_comes_last() -> None:
    found = read_address("https://c.example/?fbclid=IwAR0aBc&yclid=2418476499800000001")
    assert (found.click_id_type, found.click_id) == ("yclid", "2418476499800000001")
    assert read_address("https://c.example/?fbclid=IwAR0aBc").click_id == "IwAR0aBc"


@pytest.mark.parametrize(
    ("query", "campaign_id"),
    [
        ("gad_source=1&gad_campaignid=20643300404&utm_id=brand", "20643300404"),
        ("calltouch_tm=yd_c:74655848_gb:4921839038_ad:13509690294", "74655848"),
        ("utm_content=38996725681|cid|74655848|gid|4921839038", "74655848"),
        ("utm_id=autumn-24", "autumn-24"),
        ("gad_campaignid={campaignid}", None),
        ("utm_content=acid|12345", None),
        ("utm_campaign=%EA%EB%E8%ED", None),
    ],
)
def test_campaign_ids_in_links(query: str, campaign_id: str | None) -> None:
    assert read_address(f"https://c.example/?{query}").campaign_id == campaign_id


@pytest.mark.parametrize(
    "value",
    ["ana@mail.example", "+385 91 123 4567", "(091) 123-45-67", "8 916 123 45 67", " ", "{keyword}", None],
)
def test_tags_that_are_personal_or_empty_are_not_kept(value: str | None) -> None:
    assert clean_tag(value) is None


@pytest.mark.parametrize(
    "value", ["38996725681", "(direct)", "spring-2024", "<2025", "ent 2024", "2024.03.01-2024.03.31"]
)
def test_ordinary_tags_are_kept(value: str) -> None:
    assert clean_tag(value) == value


_TYPED = st.text(st.characters(categories=["L", "N"]), min_size=12, max_size=30)


@given(
    secret=_TYPED,
    key=st.sampled_from(["phone", "name", "q", "email", "utm_phone", "comment", "gclid_note", ""]),
    around=st.sampled_from(
        ["?{}", "?a=b&{}", "#{}", "#a?{}", ";{}", "&{}", "%3F{}", "?x=1;{}", "?{}&utm_source=g"]
    ),
    path=st.text("abc/-_.", max_size=20),
)
def test_what_a_visitor_typed_is_in_no_field(secret: str, key: str, around: str, path: str) -> None:
    url = "https://clinic.example/" + path + around.format(f"{key}={secret}")
    assert all(secret not in str(part) for part in read_address(url))


@given(st.text(max_size=200))
def test_any_text_is_taken_apart_without_error_and_without_its_query(text: str) -> None:
    found = read_address(text)
    read_host(text)
    assert found.host is None or not set("/?#@ ") & set(found.host)
    assert found.path is None or not set("?#&=;") & set(found.path)
    assert found.click_id_type is None or found.click_id_type in CLICK_IDS
