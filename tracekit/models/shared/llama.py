"""A causal language model of transformers as prefill and decode steps, with its KV cache.

The model is transformers' own (LLaMA for OneLLM, LLaSA and EventGPT; any other for `hf:`). This
adds what a request needs around it: a cache that stays in place between requests, the choice of
attention, the next token, the end of the text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.shared import checkpoints
from tracekit.models.shared.build_options import IGNORE_EOS, flag
from tracekit.models.shared.experts import DENSE, Experts
from tracekit.models.shared.sampling import choose
from tracekit.records import dataclass

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch
    from torch import nn

F = TypeVar("F", bound=Callable[..., Any])

VICUNA_7B: Mapping[str, Any] = {  # the LLaMA-2 7B shape that all models of the field share
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "rope_theta": 10000.0,
}
TINY: Mapping[str, Any] = {
    **VICUNA_7B,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 512,
    "max_position_embeddings": 2048,
}

CACHE_KINDS = ("dynamic", "static")  # those that keep every position, and can be rolled back
CACHES = ("cache", "past_key_values", "cache_params", "state")  # names in forward, newest first


@dataclass(slots=True)
class Request:
    """A request between tokens; what `catalog.State` asks for, and the cache."""

    ids: list[list[int]]  # [B][n] generated so far, end token included
    finished: bool
    prompt_tokens: int  # positions that prefill filled: text and sensor tokens, of each row
    logits: torch.Tensor  # [B, V] float32, of the last position
    next: torch.Tensor  # [B] the token to feed next, on the device
    cache: Any
    length: int  # positions in the cache
    done: list[bool] = field(default_factory=list)  # [B] rows that met their end token
    prompt: str = ""  # as the model saw it, markers included
    sensor_tokens: int | None = None  # of the encoder, in each row, where only the model knows


def without_gradients(method: F) -> F:
    """The method under `torch.no_grad`; torch is imported when it is first called."""

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        import torch

        with torch.no_grad():
            return method(*args, **named)

    return cast("F", call)


def llama(config: Mapping[str, Any]) -> nn.Module:
    """LlamaForCausalLM of a configuration, without values: fill it, then call `Decoder`.

    `config` holds the fields of transformers' LlamaConfig; `rope_scaling` is honoured.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    fields = {key: value for key, value in config.items() if value is not None}
    with checkpoints.on_meta():
        model: Any = LlamaForCausalLM(LlamaConfig(**fields))
    return cast("nn.Module", model.eval())


def restore_buffers(model: nn.Module, device: str) -> None:
    """Give every RoPE module of a model built on `meta` its frequencies, on the device.

    They are in no checkpoint: they follow from the configuration.
    """
    for name, module in list(model.named_modules()):
        config = getattr(module, "config", None)
        if "inv_freq" in module._buffers and config is not None:
            fresh = type(module)(config=config).to(device)
            path, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(path), leaf, fresh)


def read_frequencies(name: str) -> bool:
    """Whether a checkpoint's name is of RoPE frequencies, which old files hold needlessly."""
    return name.endswith("rotary_emb.inv_freq")


def fill(
    model: nn.Module,
    options: BuildOptions,
    weights: checkpoints.Weights | None,
    *,
    where: object = "",
    ignore: Callable[[str], bool] = read_frequencies,
    names: Callable[[str], str] = lambda name: name,
) -> None:
    """Values for a model built on `meta`: of `weights`, or random where there are none.

    Raises: TracekitError where the weights do not fit.
    """
    dtype = checkpoints.dtype_named(options.dtype)
    if weights is None:
        checkpoints.randomize(model, device=options.device, dtype=dtype, seed=options.seed)
    else:
        checkpoints.load_into(
            model,
            weights,
            device=options.device,
            dtype=dtype,
            where=where,
            ignore=ignore,
            names=names,
        )
    restore_buffers(model, options.device)


class Decoder:
    """Prefill and decode of one causal language model.

    Shapes: B rows of the batch, T positions, D hidden size, V vocabulary.
    """

    def __init__(
        self, model: Any, options: BuildOptions, *, eos: Sequence[int], most: int | None = None
    ) -> None:
        """`most` positions fit the model; None asks its configuration.

        Raises: TracekitError where the attention or cache asked for cannot be had here.
        """
        self.model = model
        self.options = options
        self.eos = frozenset() if flag(options, IGNORE_EOS) else frozenset(eos)
        text = model.config.get_text_config(decoder=True)
        self.most: int = most or int(getattr(text, "max_position_embeddings", 0) or 1 << 30)
        self.cache_kind: str = "static" if options.compile else options.cache
        self.attention = set_attention(model, options, self.cache_kind)
        if options.shard is not None:
            options.shard(model)
        self._takes_cache = cache_argument(model)
        self._static: Any = None  # (rows, positions, cache): its addresses stay, for CUDA graphs
        self._step: Any
        self._step, self.compiled = compiled(self.forward, options, "decode step")

    @without_gradients
    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, T, D] of token ids [B, T]."""
        found: torch.Tensor = self.model.get_input_embeddings()(ids)
        return found

    @without_gradients
    def prefill(
        self,
        embeds: torch.Tensor | None = None,
        *,
        ids: torch.Tensor | None = None,
        forget: int = 0,
        **more: Any,
    ) -> Request:
        """The first token, and the cache. Takes embeddings [B, T, D] or ids [B, T].

        `forget` cached positions are dropped again from the end, see OneLLM. `more` goes to the
        model (`pixel_values` of a vision-language model).

        Raises: TracekitError for a prompt that leaves no room for the tokens asked for.
        """
        given = embeds if embeds is not None else ids
        if given is None:
            raise ValueError("embeds or ids")
        rows, length = int(given.shape[0]), int(given.shape[1])
        wanted = length + self.options.max_new_tokens
        if wanted > self.most:
            raise TracekitError(
                f"{length} prompt positions and {self.options.max_new_tokens} new tokens are more "
                f"than the model's {self.most}",
                where="--max-new-tokens",
                hint="ask for fewer, or shorten the prompt",
            )
        cache = self.empty_cache(rows, wanted)
        named = {"inputs_embeds": embeds} if embeds is not None else {"input_ids": ids}
        logits = self.forward(cache, **named, **self.pass_inputs(rows, 0, length), **more)
        if forget:
            drop(cache, forget)
        request = Request(
            ids=[[] for _ in range(rows)],
            finished=False,
            prompt_tokens=length,
            logits=logits,
            next=logits.new_zeros(rows).long(),
            cache=cache,
            length=length - forget,
            done=[False] * rows,
        )
        self._append(request)
        return request

    @without_gradients
    def decode(self, request: Request) -> Request:
        """One more token for every row that is not done. The request is changed in place."""
        if self.options.compile:  # CUDA graphs: what the last step gave is about to be reused
            import torch

            compiler: Any = torch.compiler
            compiler.cudagraph_mark_step_begin()
        more = self.pass_inputs(len(request.ids), request.length, 1)
        request.logits = self._step(request.cache, input_ids=request.next[:, None], **more)
        request.length += 1
        self._append(request)
        return request

    @without_gradients
    def feed(self, request: Request, ids: torch.Tensor) -> torch.Tensor:
        """Logits [B, k, V] float32 of k given tokens [B, k], which enter the cache."""
        more = self.pass_inputs(len(request.ids), request.length, int(ids.shape[1]))
        logits = self.forward(request.cache, keep=0, input_ids=ids, **more)
        request.length += int(ids.shape[1])
        return logits

    def pass_inputs(self, rows: int, start: int, length: int) -> Mapping[str, Any]:
        """What a pass over positions `start` … takes with its tokens; LLaMA counts by itself."""
        return {}

    def forward(self, cache: Any, keep: int = 1, **given: Any) -> torch.Tensor:
        """Logits [B, V] float32 of the last position; [B, T, V] of all where `keep` is 0."""
        with self._backend():
            given[self._takes_cache] = cache
            out = self.model(use_cache=True, logits_to_keep=keep, **given)
        logits: torch.Tensor = out.logits.float()
        return logits[:, -1] if keep == 1 else logits

    def _backend(self) -> AbstractContextManager[None]:
        return flash_backend() if self.attention.startswith("flash (torch") else nullcontext()

    def _append(self, request: Request) -> None:
        """Choose the next token of each row, and see which rows are done."""
        # drawn from torch's own generator, which capture seeds for every request
        request.next = self.chosen(request)
        for row, token in enumerate(request.next.tolist()):
            if not request.done[row]:
                request.ids[row].append(token)
                request.done[row] = token in self.eos
        most = max(map(len, request.ids))
        request.finished = all(request.done) or most >= self.options.max_new_tokens

    def chosen(self, request: Request) -> torch.Tensor:
        """The next token of each row, [B], from the logits of the last pass."""
        return choose(request.logits, self.options.temperature, self.options.top_p)

    def empty_cache(self, rows: int, positions: int) -> Any:
        """A cache without positions; a static one has room for so many, and stays in place."""
        from transformers import DynamicCache, StaticCache

        if self.cache_kind == "dynamic":
            return DynamicCache(config=self.model.config)
        if self._static is None or self._static[0] != rows or self._static[1] < positions:
            room = -(-positions // 8) * 8  # masks of whole vectors
            self._static = (rows, room, StaticCache(config=self.model.config, max_cache_len=room))
        cache = self._static[2]
        cache.reset()
        return cache


def cache_argument(model: Any) -> str:
    """What the model's forward calls its KV cache, or its recurrent state; transformers renamed it
    in 5.24, and drops the old name in 5.40.
    """
    named = inspect.signature(model.forward).parameters
    return next((name for name in CACHES if name in named), "past_key_values")


def decoded(decoder: Decoder, request: Request, label: str, steps: int) -> dict[str, torch.Tensor]:
    """`steps` more tokens of a one-row request as goldens name them: ids fed, logits after each."""
    import torch

    logits = []
    for _ in range(steps):
        decoder.decode(request)
        logits.append(request.logits[0])
    return {
        f"{label}.decode_ids": torch.tensor([request.ids[0][:steps]]),
        f"{label}.decode_logits": torch.stack(logits),
    }


def drop(cache: Any, positions: int) -> None:
    """Drop the newest `positions` of a dynamic or static cache of transformers.

    Raises: TracekitError for layers that cannot forget (recurrent ones).
    """
    if not positions:
        return
    for layer in cache.layers:
        if hasattr(layer, "crop"):
            layer.crop(-positions)
        elif hasattr(layer, "cumulative_length"):
            layer.cumulative_length.sub_(positions)
        else:
            raise TracekitError(
                "this kind of cache cannot be rolled back",
                where=type(layer).__name__,
                hint="use --cache dynamic",
            )


def set_attention(model: Any, options: BuildOptions, cache: str) -> str:
    """Choose the model's attention; says which it is, in words for the metadata.

    Raises: TracekitError where flash attention cannot be had.
    """
    kind = options.attention
    if kind != "flash":
        try:
            model.set_attn_implementation(kind)
        except ValueError:  # transformers: this architecture has no fused attention
            model.set_attn_implementation("eager")
            return f"eager ({type(model).__name__} has no {kind})"
        return kind
    if cache == "static":
        raise TracekitError(
            "flash attention takes no mask, and a static cache needs one",
            where="--attention flash",
            hint="use --cache dynamic without --compile, or --attention sdpa",
        )
    from transformers import utils

    half = options.dtype in ("float16", "bfloat16")
    found = getattr(utils, "is_flash_attn_2_available", lambda: False)()
    if found and options.device.startswith("cuda") and half:
        model.set_attn_implementation("flash_attention_2")
        return "flash (package flash-attn)"
    if options.device.startswith("cuda") and not half:
        raise TracekitError(
            "flash attention computes in half precision only",
            where="--attention flash",
            hint="add --dtype bfloat16",
        )
    model.set_attn_implementation("sdpa")
    return "flash (torch SDPA's flash backend)"


@contextmanager
def flash_backend() -> Iterator[None]:
    """SDPA inside uses its flash kernels or fails."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
        yield


def compile_mode(device: str) -> str:
    """How decode steps are compiled: with CUDA graphs where there are any."""
    return "reduce-overhead" if device.startswith("cuda") else "default"


def compiled(run: Any, options: BuildOptions, what: str) -> tuple[Any, str]:
    """`run` as the options want it, and what was compiled how, in words for the metadata.

    Raises: TracekitError where it is to be compiled and cannot be.
    """
    if not options.compile:
        return run, "no"
    import torch

    _needs_compiler(options.device)
    mode = compile_mode(options.device)
    return torch.compile(run, mode=mode), f"{what}, {mode}"


def _needs_compiler(device: str) -> None:
    """Nothing where decode steps can be compiled. Raises: TracekitError where they cannot."""
    import os
    import shutil

    wanted = os.environ.get("CXX", "g++")
    if device == "cpu" and not (shutil.which(wanted) or shutil.which("clang++")):
        raise TracekitError(
            "torch.compile needs a C++ compiler for the CPU",
            where="--compile",
            hint=f"install {wanted}, or leave --compile out",
        )


def fields(config: Any) -> dict[str, int]:
    """The shape of a causal language model, for FLOP and byte formulas: see docs/models.md."""
    text = config.get_text_config(decoder=True)
    heads = int(text.num_attention_heads)
    hidden = int(text.hidden_size)
    return {
        "layers": int(text.num_hidden_layers),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": int(getattr(text, "num_key_value_heads", None) or heads),
        "head_dim": int(getattr(text, "head_dim", None) or hidden // heads),
        "intermediate": int(getattr(text, "intermediate_size", None) or 4 * hidden),
        "vocab": int(text.vocab_size),
    }


def dims(
    config: Any, dtype: str, weight_parameters: int, mixture: Experts = DENSE
) -> dict[str, int]:
    """`Facts.dims["llm"]`: the shape, bytes of one value, and the weights one pass reads.

    `weight_parameters` counts what every forward pass reads once: layers, final norm and head,
    without the embedding table, of which it reads a row a token. Of a mixture it comes with all
    experts; the routed ones are a number of their own here. Where it is not known how many a token
    chooses, no number of weights is given.
    """
    shape = {**fields(config), "bytes_per_value": checkpoints.bytes_per_value(dtype)}
    if not mixture.parameters:
        return {**shape, "weight_parameters": weight_parameters}
    if mixture.number is None or mixture.chosen is None:
        return shape
    return {
        **shape,
        "weight_parameters": weight_parameters - mixture.parameters,
        "expert_parameters": mixture.parameters,
        "experts": mixture.number,
        "experts_per_token": mixture.chosen,
    }


def read_per_pass(model: Any) -> int:
    """Parameters that one forward pass reads whole: all but the embedding table.

    A table that is tied to the head is read whole by the head, and counts once.
    """
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    tied = head is not None and head.weight is table
    return checkpoints.count(model) - (0 if tied else int(table.numel()))
