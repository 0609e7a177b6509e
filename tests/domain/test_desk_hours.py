"""When people are at the desk."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from domain.desk_hours import Hours, HoursRefused, parse_holidays, parse_hours

ZONE = ZoneInfo("Asia/Shanghai")
OFFICE = parse_hours("1-5 09:00-12:00,13:30-18:00; 6 10:00-16:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


# 2026-11-18 is a Wednesday.
@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-18T08:59:59", False),
        ("2026-11-18T09:00:00", True),
        ("2026-11-18T11:59:59", True),
        ("2026-11-18T12:00:00", False),
        ("2026-11-18T13:30:00", True),
        ("2026-11-18T18:00:00", False),
        ("2026-11-21T10:30:00", True),
        ("2026-11-21T09:30:00", False),
        ("2026-11-22T10:30:00", False),
    ],
)
def test_office_hours(when: str, is_open: bool) -> None:
    assert Hours(OFFICE).is_open(at(when)) is is_open


@pytest.mark.parametrize(
    ("when", "opens"),
    [
        ("2026-11-18T10:00:00", "2026-11-18T10:00:00"),
        ("2026-11-18T08:00:00", "2026-11-18T09:00:00"),
        ("2026-11-18T12:10:00", "2026-11-18T13:30:00"),
        ("2026-11-18T18:00:00", "2026-11-19T09:00:00"),
        ("2026-11-20T19:00:00", "2026-11-21T10:00:00"),
        ("2026-11-21T16:00:00", "2026-11-23T09:00:00"),
    ],
)
def test_the_next_opening(when: str, opens: str) -> None:
    assert Hours(OFFICE).next_opening(at(when)) == at(opens)


def test_without_hours_somebody_is_always_there_but_on_holidays() -> None:
    closed, _ = parse_holidays(["2026-10-01"])
    hours = Hours({}, closed)
    assert Hours().is_open(at("2026-11-22T03:00:00"))
    assert not hours.is_open(at("2026-10-01T12:00:00"))
    assert hours.next_opening(at("2026-10-01T12:00:00")) == at("2026-10-02T00:00:00")


def test_a_week_of_holidays_is_passed_over_and_its_worked_weekend_is_not() -> None:
    # The National Day of 2026: 1 to 7 October off, Saturday the 10th worked.
    entries = [f"2026-10-0{day}" for day in range(1, 8)] + ["!2026-10-11"]
    closed, worked = parse_holidays(entries)
    hours = Hours(OFFICE, closed, worked)
    assert hours.next_opening(at("2026-09-30T18:00:00")) == at("2026-10-08T09:00:00")
    assert hours.is_open(at("2026-10-11T14:00:00"))  # a Sunday, with Monday's hours
    assert not hours.is_open(at("2026-10-11T12:30:00"))
    assert not hours.is_open(at("2026-10-18T14:00:00"))


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    hours = Hours(parse_hours("5 20:00-02:00; 7 00:00-24:00"))
    assert hours.is_open(at("2026-11-21T01:59:00"))  # Saturday, of Friday's evening
    assert not hours.is_open(at("2026-11-20T01:00:00"))
    assert not hours.is_open(at("2026-11-21T02:00:00"))
    assert hours.is_open(at("2026-11-22T23:59:00"))
    assert not hours.is_open(at("2026-11-23T00:00:00"))


def test_an_evening_of_sunday_goes_on_into_monday() -> None:
    hours = Hours(parse_hours("7 22:00-06:00"))
    assert hours.is_open(at("2026-11-23T05:00:00"))
    assert not hours.is_open(at("2026-11-24T05:00:00"))


def test_what_never_opens_has_no_next_opening() -> None:
    days = parse_hours("3 09:00-18:00")
    wednesdays = [f"2026-{month:02}-{day:02}" for month in (11, 12) for day in range(1, 31)]
    closed, _ = parse_holidays(wednesdays)
    assert Hours(days, closed).next_opening(at("2026-11-18T10:00:00")) == at("2027-01-06T09:00:00")
    forever = [
        datetime.fromordinal(at("2026-11-01T00:00:00").toordinal() + n).date().isoformat()
        for n in range(500)
    ]
    closed, _ = parse_holidays(forever)
    assert Hours(days, closed).next_opening(at("2026-11-18T10:00:00")) is None


@pytest.mark.parametrize(
    "text",
    [
        "8 09:00-18:00",
        "0 09:00-18:00",
        "5-1 09:00-18:00",
        "1-5",
        "1-5 9-18",
        "1-5 09:00-25:00",
        "1-5 09:00-09:00",
        "1-5 24:00-09:00",
        "1-5 09:60-18:00",
        "09:00-18:00",
        "1-5 09:00-18:00,",
        "mon 09:00-18:00",
    ],
)
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(HoursRefused) as refused:
        parse_hours(text)
    assert refused.value.part in text


@pytest.mark.parametrize("entry", ["2026-13-01", "!x", "01.10.2026", "!!2026-10-01"])
def test_holidays_that_are_no_dates_are_refused(entry: str) -> None:
    with pytest.raises(HoursRefused):
        parse_holidays([entry])
