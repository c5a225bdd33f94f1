"""The words that all rooms share: the stages of a request, their markers, the kinds of GPU work."""

from enum import StrEnum

PREFIX = "tracekit::"


class Stage(StrEnum):
    """In the order in which a request passes through them."""

    LOAD = "load"
    PREPROCESS = "preprocess"
    ENCODE = "encode"
    PREFILL = "prefill"
    DECODE = "decode"

    @property
    def marker(self) -> str:
        """The `record_function` name that marks this stage."""
        return f"{PREFIX}{self.value}"


class Whole(StrEnum):
    """Names of rows that add up all others; an annotation of the same name is plain text."""

    STAGES = "all stages"
    TRACE = "whole trace"


SAMPLE = f"{PREFIX}sample#"  # followed by the sample's number
DECODE_STEP = f"{PREFIX}decode_step#"  # followed by the number of the decoded token


class Category(StrEnum):
    """Kinds of GPU work, in the order in which every table and chart shows them."""

    GEMM = "gemm"
    ATTENTION = "attention"
    NORM = "normalisation"
    SSM = "state space"  # scans of state-space and linear-attention layers
    ROTARY = "rotary"
    EMBEDDING = "embedding"  # look-ups in tables, and their gradients
    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    SAMPLING = "softmax/sampling"
    SORT = "sort/scan"
    OPTIMIZER = "optimizer"
    COPY = "copy/layout"  # kernels that move or reshape data
    COMMUNICATION = "communication"
    OTHER = "other"
    MEMCPY = "memcpy"  # by the trace's own category, not by name
    MEMSET = "memset"
