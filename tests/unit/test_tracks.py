"""A large trace holds its slices' processes, threads, devices and streams as numbers of tracks."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.drawing import draw
from tests.machine import compiled
from tests.real import loaded
from tracekit.attribution import links
from tracekit.records import replace
from tracekit.results import engine
from tracekit.trace.columns import tracks
from tracekit.trace.columns.tracks import PLACE, Tracks
from tracekit.trace.tables.packed import packed
from tracekit.trace.trace import COLUMNS, GPU_WORK, Cat, Trace

PICTURE = """
mark      pppppppppppp....dddddddd
op        .xxxxx...xxx...xxx......
host      ..a..b....a....c........
stream 7  ...AAA..BBB.AA...CC.....
"""


@pytest.fixture(autouse=True)
def any_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    monkeypatch.setattr(tracks, "MANY", 0)


def small(plain: Trace) -> Trace:
    """The same trace, as a large one is held."""
    found = tracks.tracks({name: getattr(plain, name) for name in PLACE})
    assert found is not None
    held = Tracks(*found, packed(plain.correlation))
    columns = {name: getattr(plain, name) for name in COLUMNS if name not in Tracks.names}
    return Trace.of_tracks(
        held, plain.source, plain.strings, plain.origin_ns, plain.tables, columns
    )


def repeated(plain: Trace, times: int) -> Trace:
    """So many of the same, one after another in time, since few are not packed."""
    apart = int(plain.end.max()) + 1
    count = len(plain)
    columns: dict[str, Any] = {name: np.tile(getattr(plain, name), times) for name in COLUMNS}
    columns["ts"] = columns["ts"] + np.repeat(np.arange(times) * apart, count)
    columns["id"] = np.arange(count * times, dtype=np.int32)
    return Trace(plain.source, plain.strings, plain.origin_ns, **columns)


@pytest.fixture
def pair() -> tuple[Trace, Trace]:
    plain = repeated(draw(PICTURE), 200)
    return plain, small(plain)


def check(one: Trace, two: Trace, names: Sequence[str] = COLUMNS) -> None:
    for name in names:
        mine, other = getattr(one, name), getattr(two, name)
        assert mine.dtype == other.dtype, name
        assert np.array_equal(mine, other), name


def test_columns_and_those_of_selections_are_as_they_were(pair: tuple[Trace, Trace]) -> None:
    plain, small = pair
    check(small, plain)
    for rows in (plain.is_(*GPU_WORK), np.array([5, 3, 3])):
        check(small.where(rows), plain.where(rows))
    again = small.of(Cat.CPU_OP, Cat.RUNTIME).where(np.arange(7, 50, 3))
    check(again, plain.of(Cat.CPU_OP, Cat.RUNTIME).where(np.arange(7, 50, 3)))
    assert links.threads(small) == links.threads(plain)
    assert np.array_equal(links.thread(small), links.thread(plain))


def test_it_takes_half_the_memory_until_a_column_is_asked_for(pair: tuple[Trace, Trace]) -> None:
    plain, small = pair
    assert 2 * small.taken < plain.taken
    before = small.taken
    assert small.pid is small.pid
    assert small.taken == before  # it is remembered, and may be forgotten


def test_a_copy_has_tracks_unless_what_they_stand_for_is_changed(pair: tuple[Trace, Trace]) -> None:
    plain, small = pair
    other = replace(small, dur=plain.dur + 1, memo={}, aside=())
    assert other.tracks is small.tracks
    assert other.memo is not small.memo
    assert (other.end == plain.end + 1).all()
    check(other, plain, [name for name in COLUMNS if name != "dur"])
    moved = replace(small, device=plain.device + 1, memo={})
    assert moved.tracks is None
    assert np.array_equal(moved.where(np.arange(9)).device, plain.device[:9] + 1)
    check(moved, plain, [name for name in COLUMNS if name != "device"])


def test_its_columns_are_read_only(pair: tuple[Trace, Trace]) -> None:
    _, small = pair
    assert not [name for name in Tracks.names if getattr(small, name).flags.writeable]


def test_it_is_pickled_as_it_is_held_and_without_what_was_computed(
    pair: tuple[Trace, Trace],
) -> None:
    for trace in pair:
        picked = trace.of(*GPU_WORK)
        links.threads(trace)
        for one in (trace, picked):
            other = pickle.loads(pickle.dumps(one))
            assert (other.tracks is None) == (one.tracks is None)
            assert not other.memo
            check(other, one)


def test_more_tracks_than_have_a_number_are_held_as_they_are() -> None:
    count = (1 << 15) + 1
    columns = {name: np.arange(count) for name in PLACE}
    assert tracks.tracks(columns) is None
    few = tracks.tracks({name: column // 2 for name, column in columns.items()})
    assert few is not None
    track, places = few
    assert np.array_equal(places[track], np.stack([np.arange(count) // 2] * 4, axis=1))


def test_tracks_of_later_slices_are_known_and_numbers_may_be_of_any_size() -> None:
    rng = np.random.default_rng(7)
    some = rng.choice([-(1 << 40), -1, 0, 7, 1 << 31, 1 << 62], (5_000, 4))
    some[:, 2] = np.clip(some[:, 2], -1, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracks, "_AT_ONCE", 1_500)
        found = tracks.tracks({name: some[:, k] for k, name in enumerate(PLACE)})
    assert found is not None
    track, places = found
    assert np.array_equal(places[track], some)
    assert len(np.unique(places, axis=0)) == len(places)


@pytest.mark.parametrize("name", ["tl_h100_qwen15_05b", "hta_ns_resolution_v100"])
def test_answers_are_the_same(name: str) -> None:
    plain = loaded(name)
    one = engine.of_trace(replace(plain, memo={}))
    two = engine.of_trace(small(plain))
    assert engine.to_json([two]) == engine.to_json([one])
