"""The kinds of GPU work, and the order in which every table and chart shows them."""

from enum import StrEnum


class Category(StrEnum):
    GEMM = "gemm"
    ATTENTION = "attention"
    NORM = "normalisation"
    ROTARY = "rotary"
    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    SAMPLING = "softmax/sampling"
    COPY = "copy/layout"  # kernels that move or reshape data
    COMMUNICATION = "communication"
    OTHER = "other"
    MEMCPY = "memcpy"  # by the trace's own category, not by name
    MEMSET = "memset"
