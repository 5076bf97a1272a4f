"""Text for terminals: what stored strings, times and lengths of time look like."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["compact", "parse_span", "pretty", "safe", "span", "utc", "when"]


def safe(text: str) -> str:
    r"""
    *text* on one line, harmless to a terminal.

    Everything that does not print as itself (control characters, line breaks, text direction marks) becomes `\x1b`
    or `\u202e`.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def compact(value: Any, limit: int = 60) -> str:
    """JSON on one line, cut to *limit* characters."""
    text = safe(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def pretty(value: Any) -> str:
    """JSON for people: indented, readable in every language, harmless to a terminal."""
    lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")
    return "\n".join(safe(line) for line in lines)


def utc(at: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def when(at: datetime, now: datetime) -> str:
    """How long ago *at* was; the time itself when it lies ahead."""
    seconds = (now - at).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"{at:%Y-%m-%d %H:%M:%S} UTC"


_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def span(seconds: float) -> str:
    """A length of time in its two largest units: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `9 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def parse_span(text: str) -> float:
    """
    Read `30s`, `30m`, `2h`, `7d` or `1w` as seconds.

    Raises:
        ValueError: It is no such length of time.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])", text.strip())
    if match is None:
        raise ValueError("must be a number with a unit: 30s, 30m, 2h, 7d or 1w")
    return float(match[1]) * _UNITS[match[2]]
