"""Patterns that are compiled when they are first tried."""

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.patterns import Words, later, needed


def test_a_pattern_says_what_one_that_is_compiled_says() -> None:
    text, flags = r"(?P<one>a+)|b", re.IGNORECASE
    lazy, real = later(text, flags), re.compile(text, flags)
    for name in ("xAAb", "b", "c", ""):
        assert lazy.findall(name) == real.findall(name)
        assert (lazy.search(name) is None) == (real.search(name) is None)
        assert lazy.sub("-", name) == real.sub("-", name)
    assert (lazy.groupindex, lazy.flags) == (real.groupindex, real.flags)
    assert later(rb"\d").split(b"a1b") == [b"a", b"b"]


def test_it_is_compiled_when_it_is_first_tried() -> None:
    unsound = later("(")
    assert unsound.pattern == "("
    with pytest.raises(re.error):
        unsound.search("a")


def test_it_goes_to_another_process() -> None:
    used = later("a")
    assert used.search("ba")
    assert pickle.loads(pickle.dumps(used)).search("ba")


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("all[-_]?reduce", "reduce"),
        (r"cross_device_(reduce|store)", "cross_device_"),
        (r"(?<![a-z])m?rope(?![a-z])", "rope"),
        (r"deep_?ep(::|\d)+x{2}y", "deep"),
        (r"[(]abc?[\]|]+(a(b|c)?)*\(de", "ab"),
        ("ab|cd", ""),
        ("(ab|cd)?", ""),
    ],
)
def test_what_a_pattern_needs_is_in_all_that_it_finds(pattern: str, word: str) -> None:
    assert needed(pattern) == word

    @given(st.from_regex(pattern))
    def found(text: str) -> None:
        assert word in text

    found()


def test_words_are_found_whatever_they_need() -> None:
    words = Words("plain", "all[-_]?reduce", "ab|cd", exact="Q$")
    for name in ("Plain", "x_all_Reduce", "xCDx", "all", "q", "Q"):
        joined = re.search("plain|all[-_]?reduce|ab|cd", name.lower()) or re.search("Q$", name)
        assert words.search(name) == (joined is not None)
