from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.cli.exits import redacted
from pyarvo.cli.text import compact, parse_span, pretty, safe, span, utc, when


@given(st.text())
def test_safe_text_prints_as_itself(text: str) -> None:
    assert safe(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [red] ü 漢", "plain [red] ü 漢"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x9b1m\x7f", r"\x9b1m\x7f"),
        ("\u202egnp", r"\u202egnp"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_json_for_people_keeps_its_lines_and_escapes_the_rest() -> None:
    assert pretty({"a": "ü\x9b\n"}) == '{\n  "a": "ü\\x9b\\n"\n}'
    assert compact({"a": [1, "x" * 100]}, 12) == '{"a": [1, "…'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("30m", 1_800.0),
        ("2h", 7_200.0),
        ("7d", 604_800.0),
        ("1w", 604_800.0),
        ("1.5h", 5_400.0),
    ],
)
def test_spans_are_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-1h", "1y", "1h30m", "1e3s", "9999999999d"])
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unit"):
        parse_span(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.4, "9.4 s"),
        (59.9, "59 s"),
        (185, "3 min 5 s"),
        (7_800, "2 h 10 min"),
        (8e5, "9 d 6 h"),
    ],
)
def test_spans_are_shown_in_two_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_ages_and_times_ahead() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert when(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), now) == "5.0 s ago"
    assert when(datetime(2026, 1, 2, 3, 5, tzinfo=UTC), now) == "2026-01-02 03:05:00 UTC"
    assert utc(0.0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert utc(None) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://me:s3cret@host:1/0", "redis://me:***@host:1/0"),
        ("see redis://:s3cret@host and x://a:b:c@d", "see redis://:***@host and x://a:***@d"),
        ("nats://host?user=me&password=s3cret&x=1", "nats://host?user=me&password=***&x=1"),
        ("nats://me:s3cret@one,me:s3cret@two/b", "nats://me:***@two/b"),
        ("at nats://t0ken@host/b and NATS://t0/ken@host", "at nats://***@host/b and NATS://***@host"),
        ("nats://me:s3/cret@host:4222/b", "nats://me:***@host:4222/b"),
        ("nats://host:4222/b?credentials=/a@b", "nats://host:4222/b?credentials=/a@b"),
        ("pg://host/db?sslpassword=a&authToken=b", "pg://host/db?sslpassword=***&authToken=***"),
        ("sqlite:////var/db?history=5", "sqlite:////var/db?history=5"),
        ("http://host:80/a@b", "http://host:***@b"),
        ("redis://u:pa/ss@h/0", "redis://u:***@h/0"),
        ("no postgresql://u:p/a?s#s@h:5432/db here", "no postgresql://u:***@h:5432/db here"),
        ("redis://u:12/34@h/0", "redis://u:***@h/0"),
        ("postgresql://h:5432/db?user=me@srv", "postgresql://h:5432/db?user=me@srv"),
        ("rediss://:/@h", "rediss://:***@h"),
        ("sqlite:////var/a:b@c.db", "sqlite:////var/a:b@c.db"),
    ],
)
def test_secrets_of_urls_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown
