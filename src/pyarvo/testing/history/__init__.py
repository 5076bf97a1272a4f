"""Histories: write down what callers of a memory saw, and check that one order of the calls explains it."""

from pyarvo.testing.history.calls import Call, load_calls, save_calls
from pyarvo.testing.history.checking import assert_linearizable, check_calls
from pyarvo.testing.history.recording import History, RecordedMemory
from pyarvo.testing.history.verdict import Verdict, Violation
from pyarvo.testing.history.view import to_html, to_text

__all__ = [
    "Call",
    "History",
    "RecordedMemory",
    "Verdict",
    "Violation",
    "assert_linearizable",
    "check_calls",
    "load_calls",
    "save_calls",
    "to_html",
    "to_text",
]
