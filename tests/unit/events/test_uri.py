import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.events import encode_uri, is_uri

VECTORS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "uris.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["input"]))
def test_reference_vectors(vector: Any) -> None:
    assert encode_uri(vector["input"]) == vector["encoded"]
    assert is_uri(vector["input"]) is vector["valid"]


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("%2F", False),  # decodeURI keeps reserved characters escaped, encodeURI escapes the "%" again
        ("%E2%82%AC", True),
        ("%E2%82", False),  # half a character
        ("%C0%AF", False),  # an overlong form
        ("%ED%A0%80", False),  # half of a surrogate pair
        ("%2", False),
        ("a%", False),
        ("%C3%A9%2F%C3%A9", False),
        ("%41", False),  # needs no escape
        ("\ud800", False),
        ("x" * 5000, True),
        ("x" * 5000 + " ", False),
    ],
)
def test_valid_means_encoding_again_changes_nothing(text: Any, valid: Any) -> None:
    assert is_uri(text) is valid


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_uri("\ud800")


@given(st.text("aZ9 %2Fc3é/?#[]\"'日😀\x00\x7f"))
def test_what_was_encoded_is_valid(text: Any) -> None:
    assert is_uri(encode_uri(text))
