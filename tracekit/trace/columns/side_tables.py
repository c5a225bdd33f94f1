"""Side tables: which arguments of an event each needs, and how they become columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tracekit.patterns import later
from tracekit.trace.columns.numbers import decimals, integer, integers, narrow
from tracekit.trace.columns.texts import Texts
from tracekit.trace.trace import GPU_WORK, Cat

Array = npt.NDArray[np.generic]
Cats = npt.NDArray[np.uint8]  # of the events whose arguments are given
Column = Callable[[list[Any]], Array]

# table: {attribute of the struct: key in the file}
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "copies": {
        "bytes": "bytes",
        "copy_kind": "copy kind",  # of torch's cupti_monitor, with the next two
        "source_kind": "src kind",
        "target_kind": "dst kind",
        "rocm_kind": "kind",
    },
    "grids": {
        "grid": "grid",
        "block": "block",
        "shared": "shared memory",
        "registers": "registers per thread",
        "warps_per_sm": "warps per SM",
        "occupancy": "est. achieved occupancy %",
    },
    "shapes": {
        "dims": "Input Dims",
        "dims_old": "Input dims",
        "types": "Input type",
        "concrete": "Concrete Inputs",
        "strides": "Input Strides",
    },
    "ops": {
        "external": "External id",
        "external_old": "external id",
    },
    "python": {
        "python_id": "Python id",
        "parent_id": "Python parent id",
        "module_id": "Python module id",
    },
    "memory": {
        "memory_bytes": "Bytes",
        "allocated": "Total Allocated",
        "reserved": "Total Reserved",
        "device_type": "Device Type",
        "memory_device": "Device Id",
        "address": "Addr",
    },
    "syncs": {
        "wait_stream": "wait_on_stream",
        "wait_event": "wait_on_cuda_event_record_corr_id",
    },
    "collectives": {
        "collective": "Collective name",
        "dtype": "dtype",
        "in_elements": "In msg nelems",
        "out_elements": "Out msg nelems",
        "group_size": "Group size",
        "group_name": "Process Group Name",
        "group_of": "Process Group Description",
        "members": "Process Group Ranks",
        "call_number": "Seq",
    },
    "kernel_modules": {"module_fqn": "module_fqn"},  # on the nodes of a replayed CUDA graph
    "op_modules": {"hierarchy": "Module Hierarchy"},  # on the ops of TorchScript modules
    "graph_nodes": {"graph_node": "graph node id"},  # the same
    "launched": {"kernel": "kernel", "grid": "grid", "block": "block"},
}
KEPT_AS_TEXT = {"shapes"}  # tables whose arguments are not decoded


class Part(Struct):
    """The rows of one side table that a piece holds."""

    rows: npt.NDArray[np.integer[Any]]  # of the piece's slices; -1 where a row is no slice
    columns: dict[str, Array]
    strings: list[str] = field(default_factory=list)  # that int32 columns index
    shared: bool = False  # they index the texts of the trace instead

    def __len__(self) -> int:
        return len(self.rows)

    def share(self, texts: Texts) -> None:
        """Makes the columns of texts index those of the trace."""
        if not self.shared:
            codes = np.append(texts.indices(self.strings), np.int32(-1))  # -1 is the last, itself
            for name, column in self.columns.items():
                if column.dtype == np.int32:
                    self.columns[name] = codes[column]
            self.strings, self.shared = [], True

    def narrow(self) -> None:
        """Makes what waits for the last piece smaller, once the texts are shared."""
        if len(self.rows):
            self.rows = self.rows.astype(np.int32)
            self.columns = {name: narrow(column) for name, column in self.columns.items()}


def _first(one: str, two: str) -> Callable[[Any], Any]:
    def get(args: object) -> Any:
        value = getattr(args, one)
        return getattr(args, two) if value is None else value

    return get


def triples(values: Sequence[Any]) -> Array:
    """[K, 3] int64, 0 where a dimension is not given."""
    out = np.zeros((len(values), 3), np.int64)
    try:
        whole = np.array(values, np.int64)
        if whole.shape == out.shape and not any(isinstance(v[0], float) for v in values[:1]):
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    for row, value in enumerate(values):
        if isinstance(value, str):  # "grid(100,)"
            value = [part for part in value.strip("grid()[] ").split(",") if part.strip()]
        for at, one in enumerate(value[:3] if isinstance(value, list) else ()):
            out[row, at] = integer(one.strip() if isinstance(one, str) else one, 0)
    return out


class _Strings:
    """Texts of one part as indices."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def of_raw(self, values: list[Any]) -> Array:
        """[K] int32 of JSON text; -1 for none."""
        put = self.index.setdefault
        texts = [None if v is None else bytes(v).decode("utf-8", "replace") for v in values]
        return np.array(
            [-1 if t is None or t == "null" else put(t, len(self.index)) for t in texts], np.int32
        )

    def of_any(self, values: list[object]) -> Array:
        """[K] int32 of plain values as text; -1 for none."""
        put = self.index.setdefault
        return np.array(
            [-1 if v is None else put(str(v), len(self.index)) for v in values], np.int32
        )


def parts(
    arguments: Sequence[object], cat: npt.NDArray[np.uint8], tables: frozenset[str]
) -> dict[str, Part]:
    """The side tables of slices, from their arguments (None where absent) and Cat, both [N]."""
    if not len(arguments):
        none = _empty(tables)
        return {name: Part(one.rows, dict(one.columns), shared=True) for name, one in none.items()}
    return {name: _MAKERS[name](arguments, cat) for name in tables if name in _MAKERS}


@cache
def _empty(tables: frozenset[str]) -> Mapping[str, Part]:
    """The parts of no slices: most pieces have many such, and the columns need only their types."""
    none = np.empty(0, np.uint8)
    return {name: _MAKERS[name]([], none) for name in tables if name in _MAKERS}


@cache
def allowed(cats: tuple[Cat, ...]) -> npt.NDArray[np.bool_]:
    """[256] whether each Cat is one of these."""
    return np.isin(np.arange(256), cats)


def _rows(
    arguments: Sequence[Any], cat: npt.NDArray[np.uint8], cats: tuple[Cat, ...], *present: str
) -> list[int]:
    """Slices of these categories (any, where none is named) with one of these arguments."""
    found = np.flatnonzero(allowed(cats)[cat]).tolist() if cats else range(len(cat))
    get = attrgetter(*present)  # of one name it is a value, of several a tuple
    none = None if len(present) == 1 else (None,) * len(present)
    return [row for row in found if (a := arguments[row]) is not None and get(a) != none]


def _part(rows: list[int], columns: dict[str, Array], strings: _Strings | None = None) -> Part:
    return Part(np.array(rows, np.int64), columns, list(strings.index) if strings else [])


def _values(arguments: Sequence[object], rows: list[int], name: str) -> list[Any]:
    return [getattr(arguments[row], name) for row in rows]


def _copies(arguments: Sequence[Any], cat: Cats) -> Part:
    kinds = ("copy_kind", "source_kind", "target_kind")
    rows = _rows(arguments, cat, (Cat.MEMCPY, Cat.MEMSET), "bytes", *kinds, "rocm_kind")
    strings = _Strings()
    kind = _first("copy_kind", "rocm_kind")
    columns = {
        "bytes": integers(_values(arguments, rows, "bytes")),
        "kind": strings.of_any([kind(arguments[row]) for row in rows]),
    }
    for column, name in (("source", "source_kind"), ("target", "target_kind")):
        columns[column] = strings.of_any(_values(arguments, rows, name))
    return _part(rows, columns, strings)


def _grids(arguments: Sequence[Any], cat: Cats) -> Part:
    rows = _rows(arguments, cat, (Cat.KERNEL,), "grid", "block", "registers", "shared")
    columns = {name: triples(_values(arguments, rows, name)) for name in ("grid", "block")}
    for name in ("shared", "registers"):
        columns[name] = integers(_values(arguments, rows, name))
    for name in ("warps_per_sm", "occupancy"):
        columns[name] = decimals(_values(arguments, rows, name))
    return _part(rows, columns)


def _shapes(arguments: Sequence[Any], cat: Cats) -> Part:
    rows = _rows(
        arguments, cat, (Cat.CPU_OP, Cat.ANNOTATION), "dims", "dims_old", "types", "concrete"
    )
    strings = _Strings()
    dims = _first("dims", "dims_old")
    columns = {"dims": strings.of_raw([dims(arguments[row]) for row in rows])}
    for name in ("types", "concrete", "strides"):
        columns[name] = strings.of_raw(_values(arguments, rows, name))
    return _part(rows, columns, strings)


def _ops(arguments: Sequence[Any], cat: Cats) -> Part:
    rows = _rows(arguments, cat, (), "external", "external_old")
    external = _first("external", "external_old")
    return _part(rows, {"external": integers([external(arguments[row]) for row in rows])})


def _python(arguments: Sequence[Any], cat: Cats) -> Part:
    names = ("python_id", "parent_id", "module_id")
    rows = _rows(arguments, cat, (Cat.PYTHON,), *names)
    return _part(rows, {name: integers(_values(arguments, rows, name)) for name in names})


def _syncs(arguments: Sequence[Any], cat: Cats) -> Part:
    rows = _rows(arguments, cat, (), "wait_stream", "wait_event")
    return _part(rows, {
        "wait_stream": integers(_values(arguments, rows, "wait_stream")),
        "wait_event_correlation": integers(_values(arguments, rows, "wait_event")),
    })  # fmt: skip


def _collectives(arguments: Sequence[Any], cat: Cats) -> Part:
    rows = _rows(arguments, cat, (), "collective")
    strings = _Strings()
    columns = {name: strings.of_any(_values(arguments, rows, name))
               for name in ("collective", "dtype", "members")}  # fmt: skip
    columns["group"] = strings.of_any([_group(arguments[row]) for row in rows])
    for name in ("in_elements", "out_elements", "group_size"):
        columns[name] = integers(_values(arguments, rows, name))
    columns["sequence"] = integers(_values(arguments, rows, "call_number"))
    return _part(rows, columns, strings)


def _group(one: Any) -> str | None:
    """`0, default_pg`: names of groups are numbers, and what they are for is said beside."""
    said = [str(text) for text in (one.group_name, one.group_of)
            if isinstance(text, str | int) and str(text) not in ("", "undefined")]  # fmt: skip
    return ", ".join(dict.fromkeys(said)) or None


def _kernel_modules(arguments: Sequence[Any], cat: Cats) -> Part:
    """Names of modules; what is no text, or empty, names none."""
    rows = [
        row
        for row in _rows(arguments, cat, GPU_WORK, "module_fqn")
        if isinstance(name := arguments[row].module_fqn, str) and name.strip()
    ]
    strings = _Strings()
    names = [name.strip() for name in _values(arguments, rows, "module_fqn")]
    return _part(rows, {"path": strings.of_any(names)}, strings)


# The stack of calls of a TorchScript module, the outermost first: `TOP()::<forward op>.` and one
# `name(Class)::method.` a level; `SELF(…)` is another method of the same module.
# Source: torch/csrc/jit/runtime/interpreter.cpp, torch/csrc/profiler/util.cpp
_CALL = later(r"(?P<name>[^.()]+)\([^()]*\)::[^.]*\.")


def _op_modules(arguments: Sequence[Any], cat: Cats) -> Part:
    """Modules of ops by their dotted names, from the outermost, TOP, on."""
    rows: list[int] = []
    paths: list[object] = []
    for row in _rows(arguments, cat, (Cat.CPU_OP,), "hierarchy"):
        said = arguments[row].hierarchy
        parts = _CALL.findall(said) if isinstance(said, str) else []
        if path := ".".join(part for part in parts if part != "SELF"):
            rows.append(row)
            paths.append(path)
    strings = _Strings()
    return _part(rows, {"path": strings.of_any(paths)}, strings)


def _graph_nodes(arguments: Sequence[Any], cat: Cats) -> Part:
    """Nodes by their number; CUPTI gives 0 to work of no graph."""
    rows = _rows(arguments, cat, GPU_WORK, "graph_node")
    node = integers(_values(arguments, rows, "graph_node"))
    known = np.flatnonzero(node > 0)
    return Part(np.array(rows, np.int64)[known], {"node": node[known]})


def _launched(arguments: Sequence[Any], cat: Cats) -> Part:
    rows = _rows(arguments, cat, (Cat.RUNTIME,), "kernel", "grid")
    strings = _Strings()
    columns = {"kernel": strings.of_any(_values(arguments, rows, "kernel"))}
    columns |= {name: triples(_values(arguments, rows, name)) for name in ("grid", "block")}
    return _part(rows, columns, strings)


_MAKERS: Mapping[str, Callable[[Sequence[Any], Cats], Part]] = {
    "copies": _copies,
    "grids": _grids,
    "shapes": _shapes,
    "ops": _ops,
    "python": _python,
    "syncs": _syncs,
    "collectives": _collectives,
    "kernel_modules": _kernel_modules,
    "op_modules": _op_modules,
    "graph_nodes": _graph_nodes,
    "launched": _launched,
}
