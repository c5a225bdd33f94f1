"""What a formula is given, one call of an op, and what it gives, the work of that call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from math import prod

from tracekit.attribution.roofline.devices import BYTES, DTYPES
from tracekit.records import Record


class Family(StrEnum):
    """What formulas of one file describe."""

    GEMM = "GEMM"
    CONVOLUTION = "convolution"
    ATTENTION = "attention"
    NORM = "normalisation"
    SOFTMAX = "softmax"
    ROTARY = "rotary"
    POINTWISE = "elementwise"
    COPY = "copy/layout"
    REDUCTION = "reduction"
    TABLE = "look-up"  # rows of a table, chosen by indices
    FUSED = "fused by the compiler"
    COMMUNICATION = "communication"


# whose FLOPs matrix units do, at the peak of the inputs' dtype; all others run on vector units
MATRIX = frozenset((Family.GEMM, Family.CONVOLUTION, Family.ATTENTION))


class Known(StrEnum):
    """How far the arguments say the work."""

    EXACT = "exact"
    LEAST = "at least"  # what they do not say can only add to it
    MOST = "at most"  # what they do not say can only take from it: no floor


class Weights(Record, frozen=True):
    """A matrix of weights [k, n] and the rows that the call multiplies with it."""

    rows: int  # tokens, all batch rows counted
    k: int
    n: int
    bytes: int  # of the matrix


class Work(Record, frozen=True):
    """What one call of an op has to do at least."""

    flops: int
    bytes: int
    dtype: str  # of the inputs: a key of devices.BYTES where peaks are known for it
    shape: str  # for a reader: m×n×k, B×H×Sq×Sk×D, else the sizes of the largest argument
    weights: Weights | None = None  # where a matrix of weights is multiplied, one in the call
    family: Family = Family.GEMM
    known: Known = Known.EXACT


class Lengths(Record, frozen=True):
    """Lengths of the sequences of a step, as its annotation says: sums over requests.

    vLLM's and SGLang's `sq…sk…sqsq…sqsk…`: queries, keys, queries squared, queries × keys.
    """

    queries: int
    keys: int
    query_squares: int
    pairs: int

    @property
    def causal_pairs(self) -> int:
        """Pairs that a mask aligned to the last key leaves: q·(k - q) + q·(q + 1) / 2 each."""
        return self.pairs - (self.query_squares - self.queries) // 2


Dims = Sequence[Sequence[int]]
_SIZES: Mapping[str, int] = {
    "long int": 8, "long": 8, "int": 4, "short": 2, "short int": 2, "bool": 1, "unsigned int": 4,
    "unsigned long": 8, "c10::complex<double>": 16, "c10::complex<c10::Half>": 4,
    "signed char": 1, "unsigned char": 1, "unsigned short": 2,
}  # fmt: skip
_NAMES: Mapping[str, str] = {
    "long int": "int64", "long": "int64", "int": "int32", "short int": "int16", "short": "int16",
    "unsigned int": "uint32",
}  # fmt: skip
_NO_TENSOR = frozenset(("", "Scalar", "ScalarList", "TensorList", "GenericList", "Int", "Bool",
                        "Double", "None", "Device", "String", "Generator"))  # fmt: skip


class Call(Record, frozen=True, dict=True):
    """Arguments of one call, by position."""

    dims: Dims
    types: Sequence[str]
    values: Sequence[str]  # concrete inputs as text, empty where there are none
    strides: Sequence[Sequence[int]] = ()  # empty where they are not recorded
    hint: str = ""  # what says the dtype of a list of tensors: see Formula.asks_hint
    lengths: Lengths | None = None  # of the step around it, the same

    def size(self, at: int) -> int:
        """Bytes of one value of an argument. Raises: KeyError for an unknown dtype."""
        return size_of(self.types[at])

    def dtype(self, at: int) -> str:
        """The dtype of an argument, as peaks are listed by it."""
        return dtype_of(self.types[at])

    def is_tensor(self, at: int) -> bool:
        return at < len(self.dims) and self.types[at] not in _NO_TENSOR

    @cached_property
    def tensors(self) -> tuple[int, ...]:
        """The arguments that are tensors."""
        return tuple(at for at in range(len(self.dims)) if self.is_tensor(at))

    def count(self, at: int) -> int:
        """Values of a tensor. Raises: ValueError where the argument is none."""
        if not self.is_tensor(at):
            raise ValueError("no tensor")
        return prod(self.dims[at])

    def bytes(self, at: int) -> int:
        """Bytes of a tensor in memory: what it repeats by a stride of 0 is there once."""
        sizes = list(self.dims[at])
        if at < len(self.strides) and len(self.strides[at]) == len(sizes):
            sizes = [1 if s == 0 else n for n, s in zip(sizes, self.strides[at], strict=True)]
        self.count(at)
        return prod(sizes) * self.size(at)

    def optional(self, at: int) -> int:
        """Bytes of a tensor that may be left out."""
        return self.bytes(at) if self.is_tensor(at) else 0

    def batches(self, at: int) -> int:
        """Matrices of a batch [b, m, n] that are in memory: one where all are the same."""
        known = at < len(self.strides) and len(self.strides[at]) == len(self.dims[at])
        return 1 if known and self.strides[at][0] == 0 else self.dims[at][0]

    def flag(self, at: int) -> bool:
        """A Boolean argument. Raises: KeyError where the trace does not hold it."""
        return {"True": True, "False": False}[self.values[at]]

    def number(self, at: int) -> int:
        """A whole number. Raises: ValueError, IndexError."""
        return int(self.values[at])

    def numbers(self, at: int) -> list[int]:
        """A list of whole numbers. Raises: ValueError, IndexError."""
        return [int(n) for n in json.loads(self.values[at])]

    def flags(self, at: int) -> list[bool]:
        """A list of Booleans. Raises: ValueError, IndexError."""
        words = self.values[at].strip("[] ").split(",")
        return [{"True": True, "False": False}[word.strip()] for word in words]

    def lists(self, at: int) -> list[list[int]]:
        """Sizes of the tensors of a list. Raises: ValueError where they are not recorded."""
        parts: Sequence[object] = self.dims[at]
        found = [[int(n) for n in part] for part in parts if isinstance(part, list)]
        if self.types[at] != "TensorList" or not found or len(found) < len(parts):
            raise ValueError("the sizes of a list of tensors are not recorded")
        return found


def size_of(kind: str) -> int:
    """Bytes of one value of a dtype as torch writes it. Raises: KeyError for an unknown one."""
    return _SIZES[kind] if kind in _SIZES else BYTES[DTYPES[kind]]


def dtype_of(kind: str) -> str:
    return _NAMES.get(kind) or DTYPES.get(kind, kind)


def sizes(dims: Sequence[int]) -> str:
    """For a reader: 16×559×1024."""
    return "×".join(str(n) for n in dims) or "1"


class Formula(Record, frozen=True):
    """How the work of one op is computed, and whose words its arguments are in."""

    run: Callable[[Call], Work]
    source: str
    asks_hint: bool = False  # for the name of its first kernel, or its collective's dtype
    asks_lengths: bool = False  # lengths of sequences are in the annotation of the step alone


def entries(
    source: str, run: Callable[[Call], Work], names: str, *, asks_hint: bool = False,
    asks_lengths: bool = False,
) -> dict[str, Formula]:  # fmt: skip
    """The same formula for each of these names, which have blanks between."""
    one = Formula(run, source, asks_hint, asks_lengths)
    return dict.fromkeys(names.split(), one)


def same(one: int, two: int) -> int:
    """Raises: ValueError where two sizes that must be the same are not."""
    if one != two:
        raise ValueError("shapes do not fit")
    return one
