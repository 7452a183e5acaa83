"""Numbers, dates and marks as exports write them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._cells import (
    Moments,
    boolean,
    cell_text,
    check_format,
    compile_format,
    date_part,
    fold,
    id_text,
    number_text,
    seconds,
)

ZAGREB = ZoneInfo("Europe/Zagreb")


@pytest.mark.parametrize(
    ("text", "decimal", "expected"),
    [
        ("1 234,56", ",", "1234.56"),
        ("1\u00a0234,56", ",", "1234.56"),
        ("1\u202f234\u202f567,5 ₽", ",", "1234567.5"),
        ("1.234.567,89", ",", "1234567.89"),
        ("1,234.5", ".", "1234.5"),
        ("\u221215,00", ",", "-15.00"),
        ("15,00-", ",", "-15.00"),
        ("(15,00)", ",", "-15.00"),
        ("1 200 руб.", ",", "1200"),
        ("1200,00р.", ",", "1200.00"),
        ("$1,200.00", ".", "1200.00"),
        ("EUR 5", ".", "5"),
        ("1’234.50", ".", "1234.50"),
        (",5", ",", "0.5"),
        ("5,", ",", "5"),
        ("0", ".", "0"),
        ("-", ",", None),
        ("—", ",", None),
        ("", ",", None),
    ],
)
def test_amounts_as_exports_print_them(text: str, decimal: str, expected: str | None) -> None:
    assert number_text(text, decimal) == expected


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("12.50", ","),  # a decimal point where the source says comma: 12 or 1250, nobody knows
        ("1.2.3", "."),
        ("1,23,456", "."),
        ("12 тыс.", ","),
        ("1,23E+10", ","),
        ("--5", "."),
        ("(-5)", "."),
        ("5 %", "."),
        ("n/a", "."),
        ("12/5", "."),
        ("NaN", "."),
    ],
)
def test_what_could_be_read_two_ways_is_no_number(text: str, decimal: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        number_text(text, decimal)


AMOUNTS = st.decimals(min_value=-(10**11), max_value=10**11, places=2)


@given(
    amount=AMOUNTS,
    decimal=st.sampled_from([",", "."]),
    thousands=st.sampled_from(["", " ", "\u00a0", "\u202f", "'", "other"]),
    minus=st.sampled_from(["-", "\u2212", "trailing", "parentheses"]),
    currency=st.sampled_from(["", " ₽", " руб.", "€", " EUR"]),
)
def test_a_printed_amount_is_read_back_to_the_cent(
    amount: Decimal, decimal: str, thousands: str, minus: str, currency: str
) -> None:
    separator = {"other": "." if decimal == "," else ","}.get(thousands, thousands)
    whole, fraction = f"{abs(amount):,.2f}".split(".")
    printed = whole.replace(",", separator) + decimal + fraction
    if amount < 0:
        printed = {
            "trailing": f"{printed}{currency}-",
            "parentheses": f"({printed}{currency})",
        }.get(minus, f"{minus}{printed}{currency}")
    else:
        printed += currency
    text = number_text(printed, decimal)
    assert text is not None
    assert Decimal(text) == amount


@given(st.text(max_size=30), st.sampled_from([",", "."]))
def test_any_text_is_a_number_or_refused_never_something_else(text: str, decimal: str) -> None:
    try:
        found = number_text(text, decimal)
    except ValueError:
        return
    assert found is None or Decimal(found).is_finite()


FORMATS = [
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%y %H:%M",
    "%Y-%m-%dT%H:%M:%SZ",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y%m%d",
    "%d%m%Y",
    "%Y-%m-%dT00:00:00Z",
    "%H:%M %d.%m.%Y",
    "%d. %m. %Y",
    "%d.%m.%Y (%H)",
]


@given(
    moment=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    format_=st.sampled_from(FORMATS),
)
def test_the_fast_parser_reads_what_strptime_reads(moment: datetime, format_: str) -> None:
    text = moment.strftime(format_)
    assert compile_format(format_)(text) == datetime.strptime(text, format_)  # noqa: DTZ007


@given(
    text=st.one_of(
        st.from_regex(
            r"[0-9]{1,2}[./-]?[0-9]{1,2}[./-]?[0-9]{2,4}( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2})?)?",
            fullmatch=True,
        ),
        st.text("0123456789.:/- TZ", max_size=20),
    ),
    format_=st.sampled_from(FORMATS),
)
def test_the_fast_parser_refuses_what_strptime_refuses(text: str, format_: str) -> None:
    try:
        expected = datetime.strptime(text, format_)  # noqa: DTZ007
    except ValueError:
        expected = None
    assert compile_format(format_)(text) == expected


def test_a_format_needs_a_year_and_directives_that_exist() -> None:
    check_format("%d.%m.%Y %H:%M")
    for wrong in ("dd.mm.yyyy", "%H:%M", "%d.%m.%Q %Y", ""):
        with pytest.raises(ValueError, match="format"):
            check_format(wrong)


@pytest.mark.parametrize(
    ("format_", "part"),
    [
        ("%d.%m.%Y %H:%M", "%d.%m.%Y"),
        ("%Y-%m-%dT%H:%M", "%Y-%m-%d"),
        ("%H:%M %d.%m.%Y", None),
        ("%d.%m.%Y", "%d.%m.%Y"),
    ],
)
def test_the_date_part_of_a_format(format_: str, part: str | None) -> None:
    assert date_part(format_) == part


def read(moments: Moments, cell: object) -> str | None:
    found = moments.read(cell)  # type: ignore[arg-type]
    return None if found is None else f"{moments.moment(found).isoformat()} {'day' if found[1] else 'time'}"


def test_a_date_without_a_time_is_the_end_of_the_local_day() -> None:
    moments = Moments(["%d.%m.%Y %H:%M"], [], ZAGREB)
    assert read(moments, "31.01.2026 09:30") == "2026-01-31T09:30:00+01:00 time"
    assert read(moments, "31.01.2026") == "2026-01-31T23:59:59.999999+01:00 day"
    assert read(moments, "1.7.2026 9:05") == "2026-07-01T09:05:00+02:00 time"


def test_the_repeated_hour_is_its_first_pass_and_the_skipped_hour_keeps_the_old_offset() -> None:
    moments = Moments(["%d.%m.%Y %H:%M"], [], ZAGREB)
    assert read(moments, "25.10.2026 02:30") == "2026-10-25T02:30:00+02:00 time"
    found = moments.read("29.03.2026 02:30")
    assert found is not None
    assert moments.moment(found).astimezone(timezone.utc).isoformat() == "2026-03-29T01:30:00+00:00"  # noqa: UP017


def test_a_text_with_an_offset_keeps_it() -> None:
    moments = Moments([], [], ZAGREB)
    assert read(moments, "2026-01-27T16:17:47Z") == "2026-01-27T16:17:47+00:00 time"
    assert read(moments, "2026-01-27 16:17") == "2026-01-27T16:17:00+01:00 time"
    late = moments.read("2026-01-27T23:30:00Z")
    assert late is not None
    assert moments.day(late) == date(2026, 1, 28)


def test_literal_midnight_in_a_format_says_that_the_time_is_no_time() -> None:
    moments = Moments(["%Y-%m-%dT00:00:00Z", "%Y-%m-%dT%H:%M:%SZ"], [], ZAGREB)
    assert read(moments, "2026-04-29T00:00:00Z") == "2026-04-29T23:59:59.999999+02:00 day"
    assert read(moments, "2026-04-29T18:38:08Z") == "2026-04-29T18:38:08+02:00 time"


def test_day_and_month_are_never_swapped() -> None:
    moments = Moments(["%m/%d/%Y"], [], ZAGREB)
    with pytest.raises(ValueError, match="not a date in the format"):
        moments.read("31/01/2026")
    with pytest.raises(ValueError, match="not a date"):
        moments.read("2026-01-31")


def test_dates_of_spreadsheets() -> None:
    moments = Moments(["%d.%m.%Y"], [], ZAGREB)
    assert read(moments, 46053) == "2026-01-31T23:59:59.999999+01:00 day"
    assert read(moments, 46053.395833333336) == "2026-01-31T09:30:00+01:00 time"
    assert read(moments, "46053,395833") == "2026-01-31T09:30:00+01:00 time"
    assert read(moments, datetime(2026, 1, 31, 9, 30)) == "2026-01-31T09:30:00+01:00 time"
    assert read(moments, datetime(2026, 1, 31)) == "2026-01-31T23:59:59.999999+01:00 day"
    assert read(moments, date(2026, 1, 31)) == "2026-01-31T23:59:59.999999+01:00 day"
    with pytest.raises(ValueError, match="is a number"):
        moments.read(12)
    with pytest.raises(ValueError, match="not a date"):
        moments.read(time(9, 30))


@given(st.datetimes(datetime(1900, 3, 1), datetime(2099, 12, 31)))
def test_a_serial_is_the_moment_that_the_spreadsheet_shows(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    serial = (moment - datetime(1899, 12, 30)) / timedelta(days=1)
    found = Moments([], [], ZAGREB).read(serial)
    assert found is not None
    assert found[0] == moment


@pytest.mark.parametrize("cell", ["", "  ", "-", "  .  .    ", "01.01.0001", None])
def test_empty_dates(cell: str | None) -> None:
    assert Moments(["%d.%m.%Y"], [], ZAGREB).read(cell) is None


def test_a_day_and_its_time_in_two_cells() -> None:
    moments = Moments(["%d.%m.%Y"], [], ZAGREB)
    day = datetime(2026, 1, 31)
    for cells in (["31.01.2026", "9:30"], [day, time(9, 30)], [day, "09:30:00"]):
        found = moments.joined(cells)
        assert found is not None
        assert moments.moment(found).isoformat() == "2026-01-31T09:30:00+01:00"
    alone = moments.joined(["31.01.2026", ""])
    assert alone is not None
    assert alone[1]
    assert moments.joined(["", None]) is None
    with pytest.raises(ValueError, match="10:30"):
        moments.joined(["31.01.2026", "утро"])


@pytest.mark.parametrize("text", ["Да", "+", "ИСТИНА", "1", "yes", "V", "true"])
def test_marks_that_mean_yes(text: str) -> None:
    assert boolean(text) is True


@pytest.mark.parametrize("text", ["Нет", "-", "ложь", "0", "No", "FALSE"])
def test_marks_that_mean_no(text: str) -> None:
    assert boolean(text) is False


def test_other_marks_are_neither() -> None:
    with pytest.raises(ValueError, match="neither"):
        boolean("может быть")


def test_whole_numbers_of_spreadsheets_have_no_decimals() -> None:
    assert [id_text(cell) for cell in (12345, 12345.0, "00123", " A-7 ", None)] == [
        "12345",
        "12345",
        "00123",
        "A-7",
        "",
    ]


@pytest.mark.parametrize("cell", ["2,98725E+13", "2.98725E+13", "1E+10", 2.98725e15, 10**15])
def test_ids_that_a_spreadsheet_has_ruined(cell: str | float) -> None:
    with pytest.raises(ValueError, match="spreadsheet"):
        id_text(cell)


@pytest.mark.parametrize("text", ["12E4", "E12", "4e5-11", "3edac2e3-d223-6fae-d515-daf96ef6bc76"])
def test_ids_with_an_e_are_not_numbers(text: str) -> None:
    assert id_text(text) == text


def test_spreadsheet_errors_are_empty_cells() -> None:
    assert cell_text("#N/A") == ""
    assert cell_text("#1 Clinic") == "#1 Clinic"


def test_look_alike_letters_and_case_do_not_tell_values_apart() -> None:
    assert fold("\u0441onfirmed ") == fold("Confirmed")
    assert fold("Приём") == fold("прием")
    assert fold("Выполнен") != fold("Отменен")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1:35", 95),
        ("0:01:35", 95),
        ("75:00", 4500),
        (time(0, 1, 35), 95),
        ("95", None),
        (95, None),
        ("a:b", None),
    ],
)
def test_durations(cell: object, expected: int | None) -> None:
    assert seconds(cell) == expected  # type: ignore[arg-type]
