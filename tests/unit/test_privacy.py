"""Phones and e-mails become keyed hashes: the same person under one key, nobody else's."""

from __future__ import annotations

from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConnectorError
from connectors.privacy import KEY_VARIABLE, Privacy, load_key, split_phones, to_e164

PRIVACY = Privacy(b"0123456789abcdef", "HR")


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("8 (916) 123-45-67", "RU", "+79161234567"),
        ("79161234567", "RU", "+79161234567"),
        ("9161234567", "RU", "+79161234567"),
        # Calltouch writes international digits without a plus, whatever the clinic's country.
        ("79161234567", "HR", "+79161234567"),
        ("091 555 0100", "HR", "+385915550100"),
        ("00385915550100", "HR", "+385915550100"),
        ("моб. 8 916 123 45 67 доб. 12", "RU", "+79161234567"),
        ("tel:+385915550100", "HR", "+385915550100"),
        ("+7 916 123-45-67 (доб. 12)", "RU", "+79161234567"),
        ("89161234567 (мама)", "RU", "+79161234567"),
        ("8 916 123-45-67 мама", "RU", "+79161234567"),
        ("тел. моб. 89161234567", "RU", "+79161234567"),
        ("+79161234567 Иван Петрович", "RU", "+79161234567"),
        ("+385 91 555 0100 ext. 7", "HR", "+385915550100"),
        ("7XXXXXXXXXX", "RU", None),
        ("XXX 1234567", "RU", None),
        ("+7 916 123 xx xx", "RU", None),
        ("0912345x67", "HR", None),
        ("+7 916 *** ** 67", "RU", None),
        ("anonymous", "RU", None),
        ("скрыт", "RU", None),
        ("7,9161E+10", "RU", None),
        ("112", "HR", None),
        ("", "HR", None),
    ],
)
def test_numbers_as_exports_write_them(raw: str, region: str, expected: str | None) -> None:
    assert to_e164(raw, region) == expected


def test_every_way_of_writing_a_number_gives_one_key() -> None:
    ways = ["091 555 0100", "+385 91 555-0100", "00385 91 5550100", "385915550100", "(091) 555.0100"]
    assert len({PRIVACY.phone_key(way) for way in ways}) == 1
    assert PRIVACY.phone_key("0915550101") != PRIVACY.phone_key("0915550100")


def test_keys_depend_on_the_clinics_key_and_on_their_purpose() -> None:
    other = Privacy(b"another key, 16+", "HR")
    assert other.phone_key("0915550100") != PRIVACY.phone_key("0915550100")
    hashing = Privacy(b"0123456789abcdef", "HR", hash_record_ids=True)
    assert hashing.record_id("+385915550100") != hashing.phone_key("+385915550100")
    assert PRIVACY.record_id("A-17") == "A-17"


def test_emails_are_compared_without_case_and_brackets() -> None:
    assert PRIVACY.email_key("Ana <Ana.Horvat@Example.com>") == PRIVACY.email_key("ana.horvat@example.com")
    assert PRIVACY.email_key("no address") is None


def test_several_numbers_in_a_cell_are_told_apart() -> None:
    assert len(split_phones("+7 916 123-45-67; 8 (495) 111-22-33, 84951112244 или 89161112233")) == 4


@given(st.integers(10**6, 10**8 - 1), st.sampled_from(["0{}", "+385{}", "00385{}", "+385 {}"]))
def test_a_key_never_contains_the_number(digits: int, way: str) -> None:
    key = PRIVACY.phone_key(way.format(f"91{digits % 10**7:07d}"))
    assert key is not None
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader_and_what_it_finds_is_a_possible_number(text: str) -> None:
    number = to_e164(text, "HR")
    if number is not None:
        assert phonenumbers.is_possible_number(phonenumbers.parse(number))


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    first = load_key(tmp_path)
    path = tmp_path / "secret" / "hash.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(tmp_path) == first
    path.chmod(0o644)
    with pytest.raises(ConnectorError, match="chmod 600"):
        load_key(tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, "from the environment")
    assert load_key(tmp_path) == b"from the environment"
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(ConnectorError, match="at least 16 bytes"):
        Privacy(load_key(tmp_path), "HR")
