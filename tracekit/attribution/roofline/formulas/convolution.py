"""Convolutions, forward and backward: 2 FLOPs for each value of the result and of its window.

Source: the arguments of aten::convolution and aten::convolution_backward, torch 2; those of
aten::cudnn_convolution and its backward, torch 1.
"""

from __future__ import annotations

from math import prod

from tracekit.attribution.roofline.formulas.work import Call, Family, Formula, Known, Work, entries


def _work(call: Call, at: int, places: int, kernel: list[int], flops: int, bytes_: int) -> Work:
    shape = f"{places}×{kernel[0]}×{prod(kernel[1:])}"
    return Work(flops, bytes_, call.dtype(at), shape, None, Family.CONVOLUTION)


def forward(call: Call) -> Work:
    """input [N, C, …], weights [K, C / groups, …]; of a transposed one [C, K / groups, …]."""
    source, kernel = list(call.dims[0]), list(call.dims[1])
    spatial = len(source) - 2
    stride, padding, dilation, more = (
        many * spatial if len(many) == 1 else many
        for many in (*(call.numbers(at) for at in (3, 4, 5)), _more(call, spatial))
    )
    size = call.size(0)
    if call.flag(6):
        out = [
            (source[i + 2] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i + 2] - 1)
            + more[i] + 1
            for i in range(spatial)
        ]  # fmt: skip
        pairs, wide = prod(source) * prod(kernel[1:]), kernel[1] * call.number(8)
    else:
        out = [
            (source[i + 2] + 2 * padding[i] - dilation[i] * (kernel[i + 2] - 1) - 1) // stride[i]
            + 1
            for i in range(spatial)
        ]
        wide = kernel[0]
        pairs = source[0] * prod(out) * wide * prod(kernel[1:])
    places = source[0] * prod(out)
    bytes_ = (prod(source) + prod(kernel) + places * wide) * size
    return _work(call, 0, places, [wide, *kernel[1:]], 2 * pairs, bytes_)


def _more(call: Call, spatial: int) -> list[int]:
    """What is added to the size of a transposed result."""
    return call.numbers(7) if call.flag(6) else [0] * spatial


def backward(call: Call) -> Work:
    """gradient, input, weights …; the mask says which of input, weights and bias get one.

    Each gradient has as many products as the forward pass.
    """
    out, source, kernel = (list(call.dims[at]) for at in range(3))
    of_input, of_weights, of_bias = call.flags(10)
    transposed = call.flag(7)
    pairs = (prod(source) if transposed else prod(out)) * prod(kernel[1:])
    size = call.size(0)
    bytes_ = prod(out) * size
    if of_input:
        bytes_ += (prod(kernel) + prod(source)) * size
    if of_weights:
        bytes_ += (prod(source) + prod(kernel)) * size
    bytes_ += out[1] * size if of_bias else 0
    places = prod(out) // out[1]
    return _work(call, 0, places, kernel, 2 * pairs * (of_input + of_weights), bytes_)


def of_input(call: Call) -> Work:
    """sizes, gradient [N, K, …], weights [K, C / groups, …]; those of the input are not recorded.

    The gradient of the input, which is written, has as many values as the product leaves open.
    """
    out, kernel = list(call.dims[1]), list(call.dims[2])
    flops = 2 * prod(out) * prod(kernel[1:])
    bytes_ = (prod(out) + prod(kernel)) * call.size(1)
    shape = f"{prod(out) // out[1]}×{kernel[0]}×{prod(kernel[1:])}"
    return Work(flops, bytes_, call.dtype(1), shape, None, Family.CONVOLUTION, Known.LEAST)


def of_weights(call: Call) -> Work:
    """sizes, gradient [N, K, …], input [N, C, …]: the sizes of the weights are not recorded.

    The least kernel is of one value, over all the input's channels of one group.
    """
    out, source = list(call.dims[1]), list(call.dims[2])
    bytes_ = (prod(out) + prod(source)) * call.size(1)
    shape = f"{prod(out) // out[1]}×{out[1]}, input {source[1]}"
    return Work(2 * prod(out), bytes_, call.dtype(1), shape, None, Family.CONVOLUTION, Known.LEAST)


def bare(call: Call) -> Work:
    """input, weights, and no stride: the result's size is not known, what is read is."""
    source, kernel = list(call.dims[0]), list(call.dims[1])
    bytes_ = (prod(source) + prod(kernel)) * call.size(0)
    shape = f"input {'×'.join(map(str, source))}, weights {'×'.join(map(str, kernel))}"
    return Work(2 * prod(kernel), bytes_, call.dtype(0), shape, None,
                Family.CONVOLUTION, Known.LEAST)  # fmt: skip


def forward_or_bare(call: Call) -> Work:
    """As `forward`; traces of torch 1 hold no values of arguments."""
    return forward(call) if any(call.values) else bare(call)


_TORCH = "aten::convolution, torch/csrc native_functions.yaml"
FORMULAS: dict[str, Formula] = {
    **entries(_TORCH, forward_or_bare, "aten::_convolution aten::convolution"),
    **entries(_TORCH, backward, "aten::convolution_backward"),
    **entries("aten::cudnn_convolution_backward_input, torch 1.8", of_input,
              "aten::cudnn_convolution_backward_input"),
    **entries("aten::cudnn_convolution_backward_weight, torch 1.8", of_weights,
              "aten::cudnn_convolution_backward_weight"),
}  # fmt: skip
