"""The place of a call in its layer, by order alone, where the order says it."""

import numpy as np
import pytest
from tracekit.analyses.roles import layer_pattern
from tracekit.analyses.roles.layer_pattern import (
    ATTENTION,
    FRONT,
    GEMM,
    HEAD,
    NOWHERE,
    Layout,
    Order,
)


def order(*passes: str, blind: bool = False) -> Order:
    """Calls drawn as text: A is attention, any other letter a GEMM of that kind."""
    text = "".join(passes)
    return Order(
        run=np.repeat(np.arange(len(passes)), [len(p) for p in passes]),
        kind=np.array([ATTENTION if c == "A" else GEMM for c in text], np.int64),
        sign=np.array([0 if blind else ord(c) for c in text], np.int64),
    )


LLAMA = "qkvAogud"


def test_a_layer_is_read_off_what_repeats_around_attention() -> None:
    calls = order(LLAMA * 3 + "h")
    assert layer_pattern.layouts({"prefill": calls}) == {"prefill": Layout(3, 4)}
    want = [0, 1, 2, 3, 4, 5, 6, 7] * 3 + [HEAD]
    assert layer_pattern.places(calls, Layout(3, 4)).tolist() == want


@pytest.mark.parametrize(
    ("layer", "want"), [("qkvAogud", (3, 4)), ("qAogd", (1, 3)), ("qAo", (1, 1))]
)
def test_calls_that_cannot_be_told_apart_are_placed_by_count(
    layer: str, want: tuple[int, int]
) -> None:
    calls = order(layer * 4 + "h", layer * 4 + "h", blind=True)
    assert layer_pattern.layouts({"decode": calls}) == {"decode": Layout(*want)}
    assert (layer_pattern.places(calls, Layout(*want)) == HEAD).sum() == 2


def test_calls_before_the_first_layer_are_no_part_of_it() -> None:
    calls = order("r" + LLAMA * 3 + "h")
    found = layer_pattern.layouts({"prefill": calls})
    assert found == {"prefill": Layout(3, 4)}
    assert layer_pattern.places(calls, found["prefill"])[:4].tolist() == [FRONT, 0, 1, 2]


def test_a_product_that_no_layer_has_leaves_it_sure_what_the_layer_is() -> None:
    alike = order("r" + "lllAllll" * 3 + "l")  # RoPE's frequencies, then linears without shapes
    assert layer_pattern.layouts({"prefill": alike})["prefill"].sure
    unclear = order("l" + "lllAllll" * 3 + "l")
    assert not layer_pattern.layouts({"prefill": unclear})["prefill"].sure


def test_a_phase_that_is_clear_decides_for_one_that_is_not() -> None:
    unclear = order("x" + LLAMA * 3, blind=True)  # x may be one of four before attention
    assert layer_pattern.layouts({"prefill": unclear})["prefill"] == Layout(4, 3)
    both = layer_pattern.layouts({"prefill": unclear, "decode": order(LLAMA * 3 + "h", blind=True)})
    assert both == {"prefill": Layout(3, 4), "decode": Layout(3, 4)}


def test_tokens_of_one_unmarked_pass_are_told_apart_by_the_head() -> None:
    calls = order((LLAMA * 3 + "h") * 5)
    assert layer_pattern.layouts({"decode": calls}) == {"decode": Layout(3, 4)}
    assert layer_pattern.places(calls, Layout(3, 4)).tolist() == ([*range(8)] * 3 + [HEAD]) * 5


def test_a_layer_of_another_kind_is_placed_nowhere() -> None:
    calls = order(LLAMA * 3 + "qkvAoxyzd" + LLAMA * 3 + "h")
    found = layer_pattern.places(calls, layer_pattern.layouts({"prefill": calls})["prefill"])
    odd = slice(3 * 8, 3 * 8 + 9)
    assert set(found[odd].tolist()) == {NOWHERE}
    assert (found == NOWHERE).sum() == 9


@pytest.mark.parametrize("text", ["", "qkv", "A", "AAAA", "qAo", "qAqAqA"])
def test_what_repeats_no_layer_has_no_layout(text: str) -> None:
    assert layer_pattern.layouts({"prefill": order(text)}) == {}


def test_kernels_of_one_op_or_of_one_attention_are_one_call() -> None:
    kind = np.array([1, 1, 1, 0, 2, 2, 1, 1, 1])
    key = np.array([5, 5, 6, -1, -1, -1, -1, -1, -1])
    goes_on = np.array([0, 0, 0, 0, 0, 0, 0, 1, 0], bool)
    run = np.zeros(9, np.int64)
    assert layer_pattern.join(run, kind, key, goes_on).tolist() == [0, 0, 1, -1, 2, 2, 3, 3, 4]
    run[5:] = 1
    assert layer_pattern.join(run, kind, key, goes_on).tolist() == [0, 0, 1, -1, 2, 3, 4, 4, 5]


def test_what_opens_a_pass_is_told_from_the_head_where_passes_are_not_marked() -> None:
    calls = order(("r" + LLAMA * 4 + "h") * 3)
    found = layer_pattern.layouts({"decode": calls})["decode"]
    assert found == Layout(3, 4)
    assert layer_pattern.places(calls, found).tolist() == ([FRONT, *[*range(8)] * 4, HEAD]) * 3


def test_layers_with_two_attentions_each_are_not_taken_for_two_kinds_of_layer() -> None:
    encoder_decoder = "qkvAoqAowx"  # its own attention, then that to the encoder
    assert layer_pattern.layouts({"decode": order(encoder_decoder * 6 + "h")}) == {}


def test_of_two_towers_the_one_that_decode_runs_is_the_layer() -> None:
    tower, llm = "cde" + "Afgh" + "cdeAfgh" * 5, LLAMA * 4 + "h"
    one = order(tower + "pp" + llm)
    assert layer_pattern.layouts({"prefill": one}) == {}  # its first layer is not its last
    found = layer_pattern.layouts({"prefill": one, "decode": order(*[llm] * 3, blind=True)})
    assert found == {"prefill": Layout(3, 4), "decode": Layout(3, 4)}
    placed = layer_pattern.places(one, found["prefill"]).tolist()
    assert placed[-1] == HEAD
    assert placed[-33:-1] == [*range(8)] * 4
    assert set(placed[:-33]) == {NOWHERE}


def test_a_division_is_sure_only_where_no_other_is_as_likely() -> None:
    one = order("qAogud" * 4 + "h", blind=True)
    assert layer_pattern.layouts({"decode": one})["decode"].sure
    front = order("r" + "qAogud" * 4 + "h", blind=True)  # or a layer of two and three
    assert not layer_pattern.layouts({"decode": front})["decode"].sure


def test_without_signs_another_tower_is_no_part_of_the_layers_either() -> None:
    tower, llm = "r" + "cdeAfgh" * 6 + "pp", LLAMA * 4 + "h"
    one, two = order(tower + llm, blind=True), order(*[llm] * 3, blind=True)
    found = layer_pattern.layouts({"prefill": one, "decode": two})
    assert found == {"prefill": Layout(3, 4), "decode": Layout(3, 4)}
    placed = layer_pattern.places(one, found["prefill"]).tolist()
    assert placed[len(tower) :] == [*range(8)] * 4 + [HEAD]
    assert set(placed[: len(tower)]) == {NOWHERE}


def test_a_layer_that_is_cut_off_has_no_place() -> None:
    cut = order(LLAMA * 4 + "h", LLAMA * 4 + "h", LLAMA * 2 + "qkvAog")
    found = layer_pattern.places(cut, layer_pattern.layouts({"decode": cut})["decode"]).tolist()
    assert found == ([*range(8)] * 4 + [HEAD]) * 2 + [*range(8)] * 2 + [NOWHERE] * 6


def test_a_phase_that_runs_its_layer_in_other_gemms_keeps_a_layout_of_its_own() -> None:
    two = {"prefill": order(LLAMA * 4 + "h", blind=True), "decode": order("xAogud" * 4 + "h")}
    assert layer_pattern.layouts(two) == {"prefill": Layout(3, 4), "decode": Layout(1, 4)}
    mostly = order("cdeAfgh" * 8 + LLAMA * 3 + "h", blind=True)  # another tower, most of the time
    assert layer_pattern.layouts({**two, "prefill": mostly}) == {"decode": Layout(1, 4)}
