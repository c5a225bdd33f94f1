"""Answers on two cores are the answers of one, and what both need is computed once."""

import threading
from collections import Counter
from typing import Any

import pytest

from tests.drawing import draw
from tracekit.records import replace
from tracekit.results import at_once, catalog, engine
from tracekit.trace.trace import Cat, Trace

PICTURE = """
mark      pppppppppppp....dddddddd
op        .xxxxx...xxx...xxx......
host      ..a..b....a....c........
stream 7  ...AAA..BBB.AA...CC.....
"""


def picture() -> Trace:
    return draw(PICTURE, names={"p": "prefill", "d": "decode"})


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each analysis was computed, and on which thread."""
    seen: Counter[tuple[str, str]] = Counter()
    answered = catalog._answer  # type: ignore[attr-defined]

    def counted(trace: Trace, entry: Any, parameters: Any) -> Any:
        seen[entry.title, threading.current_thread().name] += 1
        return answered(trace, entry, parameters)

    monkeypatch.setattr(catalog, "_answer", counted)
    return seen


def test_two_threads_give_what_one_gives_and_compute_nothing_twice(
    computed: Counter[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = engine.of_trace(picture(), processes=1)
    assert {thread for _, thread in computed} == {"MainThread"}
    alone = Counter(title for title, _ in computed.elements())
    computed.clear()
    monkeypatch.setattr(at_once, "_LARGE", 0)
    two = engine.of_trace(picture(), processes=2)
    assert {thread for _, thread in computed} == {"MainThread", "tracekit answers"}
    assert Counter(title for title, _ in computed.elements()) == alone
    assert list(two.answers) == list(one.answers)
    assert two.to_json() == one.to_json()
    assert "tracekit answers" not in {thread.name for thread in threading.enumerate()}


def test_a_fault_is_that_of_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "_LARGE", 0)
    last = list(catalog.entries())[-1]
    broken = replace(catalog.analysis(last), run=lambda _trace: 1 / 0)
    entry = catalog.analysis

    monkeypatch.setattr(catalog, "analysis", lambda name: broken if name == last else entry(name))
    with pytest.raises(ZeroDivisionError):
        engine.of_trace(picture(), [last, "stages"], processes=2)


def test_who_asks_while_another_thread_computes_waits_for_it() -> None:
    trace, begun, asked = picture(), threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> int:
        begun.set()
        asked.wait(10)
        made.append(1)
        return len(made)

    thread = threading.Thread(target=trace.once, args=("slow", make))
    thread.start()
    begun.wait(10)
    assert trace.is_making("slow"), "who has a choice takes another one"
    threading.Timer(0.05, asked.set).start()
    assert trace.once("slow", make) == 1
    thread.join()
    assert made == [1]
    assert not trace.is_making("slow")
    assert not trace.is_making("never asked")


def test_a_selection_weighs_what_was_taken_of_it() -> None:
    part = picture().of(Cat.CPU_OP)
    assert part.taken == 0
    size = part.ts.nbytes + part.dur.nbytes
    assert part.taken == size > 0
    assert part.pid.nbytes == part.taken - size
