from pyarvo.events.short_cache import CACHED_LENGTH, cached_if_short

calls: list[str] = []


@cached_if_short(2)
def length(text: str) -> int:
    """Count."""
    calls.append(text)
    return len(text)


def test_short_texts_are_kept_and_long_ones_are_not() -> None:
    calls.clear()
    longest, longer = "x" * CACHED_LENGTH, "x" * (CACHED_LENGTH + 1)
    for text in (longest, longer):
        assert length(text) == len(text)
        assert length(text) == len(text)
    assert calls == [longest, longer, longer]
    assert length.__doc__ == "Count."


def test_the_least_recently_used_goes_first() -> None:
    calls.clear()
    for text in ("a", "b", "a", "c", "a", "b"):
        length(text)
    assert calls == ["a", "b", "c", "b"]
