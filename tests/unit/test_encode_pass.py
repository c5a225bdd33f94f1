"""What one more pass of an encoder counts, and when nothing is stated."""

import torch
from torch import nn
from torch.nn import functional

from tracekit.models.huggingface.encode_pass import EncodePass, counted


def test_products_and_the_attention_of_the_cpu_are_counted() -> None:
    linear, table = nn.Linear(8, 6), nn.Embedding(100, 8)
    heads = torch.randn(1, 2, 5, 4)

    def run() -> None:
        linear(table(torch.arange(5)))
        functional.scaled_dot_product_attention(heads, heads, heads)

    pairs = 2 * 2 * 5 * 5 * (4 + 4)
    assert counted(run) == (2 * 5 * 8 * 6 + pairs, 8 * 6 + 6)  # of a table, rows are read


def test_requests_that_differ_in_shape_have_no_floor_and_say_so() -> None:
    linear, found = nn.Linear(8, 6), EncodePass("float32")
    assert (found.dims(), found.notes()) == ({}, ())  # nothing has run
    found.saw(lambda: linear(torch.ones(2, 8)), ((2, 8),), 2)
    assert found.dims() == {"flops": 2 * 8 * 6, "weight_parameters": 54, "bytes_per_value": 4}
    found.saw(lambda: linear(torch.ones(3, 8)), ((3, 8),), 2)
    assert found.dims() == {}
    assert "differ in their shapes" in found.notes()[0]


def test_a_count_that_fails_is_a_note_and_no_fault() -> None:
    found = EncodePass("float32")
    found.saw(lambda: nn.Linear(8, 6)(torch.ones(1, 7)), ((1, 7),), 1)
    assert found.dims() == {}
    assert "counting failed" in found.notes()[0]
