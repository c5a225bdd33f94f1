"""Records are the dataclasses of the standard library, made another way."""

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import pytest

from tracekit import records


class Row:
    name: str
    count: int = 3
    parts: list[int] = field(default_factory=list, compare=False)
    note: str = field(default="", repr=False, hash=False)
    seen: int = field(default=7, init=False)
    of: ClassVar[str] = "all"

    def __post_init__(self) -> None:
        assert self.count >= 0


Ours: Any = records.dataclass(frozen=True, slots=True)(type("Ours", (), dict(vars(Row))))
Plain: Any = dataclasses.dataclass(frozen=True, slots=True)(type("Plain", (), dict(vars(Row))))
Loose: Any = records.dataclass(type("Loose", (), dict(vars(Row))))


@records.dataclass(frozen=True, kw_only=True)
class Named:
    one: int
    two: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Below(Named):
    """A dataclass of the standard library below a record."""

    three: int = 3


@pytest.mark.parametrize("given", [("a",), ("a", 5), ("a", 5, [1], "x")])
def test_a_record_is_what_a_dataclass_is(given: tuple[Any, ...]) -> None:
    one, other = Ours(*given), Plain(*given)
    assert repr(one) == repr(other).replace("Plain", "Ours")
    assert dataclasses.asdict(one) == dataclasses.asdict(other)
    assert hash(one) == hash(other)
    assert one == Ours(given[0], *given[1:2], note=one.note) != Ours("b")
    assert dataclasses.replace(one, name="b").name == "b"
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert Ours.__match_args__ == Plain.__match_args__
    assert Ours.__slots__ == Plain.__slots__
    assert one != other
    assert Ours("a").parts is not Ours("a").parts


def test_a_frozen_one_refuses_to_change() -> None:
    one = Ours("a")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
        one.name = "b"
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del one.name
    loose = Loose("a")
    loose.name = "b"
    assert loose == Loose("b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(loose)


def test_wrong_arguments_name_the_class() -> None:
    for _ in range(2):  # at first, and when its own `__init__` is there
        with pytest.raises(TypeError, match=r"Ours.__init__\(\) missing 1 .*'name'"):
            Ours()
    with pytest.raises(TypeError):
        Named(1)  # type: ignore[misc]
    with pytest.raises(AssertionError):
        Ours("a", -1)


def test_the_standard_library_builds_on_a_record() -> None:
    below = Below(one=1, three=4)
    assert (below.one, below.two, below.three) == (1, (), 4)
    assert [f.name for f in dataclasses.fields(below)] == ["one", "two", "three"]
    assert {below: 1}[Below(one=1, three=4)] == 1
