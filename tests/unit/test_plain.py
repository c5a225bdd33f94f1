"""Foreign text as text."""

import html
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tracekit import plain

OBEYED = ["\x1b[31m", "\x07", "\x08", "\x7f", "\x9b1m", "\x85", "\u2028", "\u202e", "\u2066",
          "\u200f", "\ud800", "\U000e0041", "\ufeff", "\x00"]  # fmt: skip


@pytest.mark.parametrize("bad", OBEYED)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(bad: str) -> None:
    for shown in (plain.line(f"a{bad}b"), plain.lines(f"a{bad}b"), plain.dumps([f"a{bad}b"])):
        assert bad[0] not in shown
        shown.encode()
    assert json.loads(plain.dumps({bad: bad})) == {bad: bad}


def test_each_control_and_mark_is_shown_as_an_escape() -> None:
    spans = [
        (0, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200E, 0x200F),
        (0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xD800, 0xDFFF),
        (0xE0000, 0xE007F),
    ]  # fmt: skip
    every = {chr(code) for low, high in spans for code in range(low, high + 1)}
    assert {one for one in every if one in plain.line(one)} == set()
    assert {one for one in every if one in plain.lines(one)} == {"\n", "\t"}


def test_a_line_has_no_breaks_and_a_document_keeps_them() -> None:
    assert plain.line("a\n\tb\r") == "a\\n\\tb\\r"
    assert plain.lines("a\n\tb\r") == "a\n\tb\\r"
    assert plain.line("µs × 日本 é") == "µs × 日本 é"


@examples(30)
@given(st.recursive(st.text() | st.floats(allow_nan=False), st.lists), st.booleans())
def test_json_stays_the_same_value(value: object, ascii_only: bool) -> None:
    text = plain.dumps(value, ascii_only=ascii_only)
    assert json.loads(text) == value
    assert text.isascii() or not ascii_only


@given(st.text(alphabet="<>&\"'ab\u00e9"), st.booleans())
def test_markup_is_what_html_shows_as_the_text(text: str, quote: bool) -> None:
    assert plain.markup(text, quote=quote) == html.escape(text, quote=quote)
