"""Patterns that are compiled when they are first tried."""

import pickle
import re

import pytest

from tracekit.patterns import later


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
