"""What an annotation's name says of the step it marks: who wrote it, and prefill or decode.

Sources: vLLM PR 22496 (execute_new_N_cached_M), its later forms execute_context_…_generation_… and
PR 37524 (sums of squares); SGLang PR 23419 and 24911 (step[MODE key=value …]); torch.profiler
(ProfilerStep#N); our own markers (tracekit/taxonomy.py).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from pathlib import PurePath

from tracekit.patterns import later
from tracekit.records import Record
from tracekit.taxonomy import DECODE_STEP, PREFIX, ROUND, SAMPLE, Stage


class Phase(StrEnum):
    """What kind of work a step does. The first five are the stages of a request."""

    LOAD = "load"
    PREPROCESS = "preprocess"
    ENCODE = "encode"
    PREFILL = "prefill"
    DECODE = "decode"
    MIXED = "mixed"  # prefill and decode in one batch: their kernels cannot be separated
    VERIFY = "verify"  # the target model checks drafted tokens: neither prefill nor decode
    DRAFT = "draft"  # the draft model of speculative decoding
    CAPTURE = "capture"  # graph capture at start-up: no real GPU work
    IDLE = "idle"  # a step without requests


class Writer(StrEnum):
    TRACEKIT = "tracekit"
    VLLM = "vllm"
    SGLANG = "sglang"
    TORCH = "torch"  # ProfilerStep#N
    INFERRED = "inferred"  # nobody: see inferred.py


class Step(Record, frozen=True):
    """A recognised annotation. Counts are None where the name does not say."""

    writer: Writer
    phase: Phase | None  # None: the name is a step's, but says no phase
    family: str  # what steps of this kind are called together
    prefill_requests: int | None = None
    prefill_tokens: int | None = None
    decode_requests: int | None = None
    decode_tokens: int | None = None
    index: int | None = None  # of a sample, a decode step, a ProfilerStep


_VLLM_OLD = later(r"^execute_new_(\d+)_cached_(\d+)")
_VLLM = later(r"^execute_(?:\d+_)?context_(\d+)(?:\(([^)]*)\))?_generation_(\d+)(?:\(([^)]*)\))?")
_SGLANG = later(r"^step\[([A-Za-z_0-9]+)([^\]]*)\]?")
_CAPTURE = later(r"^capture_\d+_[A-Z]")
_PROFILER = later(r"^ProfilerStep#(\d+)$")
_QUERY = later(r"^sq(\d+)sk")
_FILE = later(r"-(EXTEND|PREFILL|DECODE)\.(?:pt\.)?trace\.json(?:\.gz)?$", re.IGNORECASE)

# ForwardMode of SGLang; the PR text writes prefill and decode in lower case
_MODES = {
    "EXTEND": Phase.PREFILL,
    "PREFILL": Phase.PREFILL,
    "SPLIT_PREFILL": Phase.PREFILL,
    "DECODE": Phase.DECODE,
    "MIXED": Phase.MIXED,
    "IDLE": Phase.IDLE,
    "DUMMY_FIRST": Phase.IDLE,
    "PREBUILT": Phase.IDLE,  # the cache came from a prefill elsewhere: nothing runs
}
# of speculation the mode, or SpecInputType: TARGET_VERIFY, EAGLE_VERIFY, NGRAM_VERIFY, EAGLE_DRAFT,
# DRAFT_EXTEND, DRAFT_EXTEND_V2, EAGLE_DRAFT_EXTEND …
_SPECULATES = {"VERIFY": Phase.VERIFY, "DRAFT": Phase.DRAFT}

# Regions that libraries mark by themselves: no part of a request that a user named
_LIBRARY = later(
    r"^(?:Optimizer\.|nccl:|gloo:|rccl:|mpi:|ucc:|c10d::|record_param_comms|enumerate\(DataLoader\)"
    r"|DistributedDataParallel\.|FullyShardedDataParallel\.|FSDP::|Torch-Compiled Region"
    r"|## Call CompiledFxGraph|TorchDynamo|PyTorch Profiler|autograd::|_?DDP|Pregraph bytecode"
    r"|Lazy |\[pl\]|\[memory\])"
)


@lru_cache(maxsize=65536)
def recognise(name: str) -> Step | None:
    """What the name of an annotation says, or None for a name that no engine writes."""
    if name.startswith(PREFIX):
        return _ours(name)
    if found := _PROFILER.match(name):
        return Step(Writer.TORCH, None, "ProfilerStep", index=int(found[1]))
    if found := _SGLANG.match(name):
        return _sglang(found[1], found[2])
    if _CAPTURE.match(name):
        return Step(Writer.VLLM, Phase.CAPTURE, Phase.CAPTURE)
    if found := _VLLM_OLD.match(name):
        return _batch(int(found[1]), None, int(found[2]), None)
    if found := _VLLM.match(name):
        return _batch(int(found[1]), _tokens(found[2]), int(found[3]), _tokens(found[4]))
    return None


def _ours(name: str) -> Step | None:
    rest = name.removeprefix(PREFIX)
    if rest in {stage.value for stage in Stage}:
        return Step(Writer.TRACEKIT, Phase(rest), rest)
    for prefix, phase, family in (
        (SAMPLE, None, "sample"), (DECODE_STEP, Phase.DECODE, "decode"),
        (ROUND, Phase.DECODE, "decode"),
    ):  # fmt: skip
        number = name.removeprefix(prefix)
        if name.startswith(prefix) and number.isdecimal():
            return Step(Writer.TRACEKIT, phase, family, index=int(number))
    return None


def _sglang(mode: str, rest: str) -> Step:
    values = dict(re.findall(r"(\w+)=(\d+)", rest))
    batch = int(values["bs"]) if "bs" in values else None
    tokens = int(values["toks"]) if "toks" in values else None
    phase = _mode(mode.upper())
    family = phase.value if phase else f"step[{mode}]"
    if phase is Phase.PREFILL:
        return Step(Writer.SGLANG, phase, family, batch, tokens, 0, 0)
    if phase is Phase.DECODE:
        return Step(Writer.SGLANG, phase, family, 0, 0, batch, batch if tokens is None else tokens)
    return Step(Writer.SGLANG, phase, family)


def _mode(mode: str) -> Phase | None:
    words = mode.split("_")
    speculates = (phase for word, phase in _SPECULATES.items() if word in words)
    return _MODES.get(mode) or next(speculates, None)


def _tokens(text: str | None) -> int | None:
    """Query tokens from `T`, `T_S` or `sqAskB…`."""
    if not text:
        return None
    found = _QUERY.match(text) or re.match(r"(\d+)", text)
    return int(found[1]) if found else None


def _batch(context: int, asked: int | None, generation: int, made: int | None) -> Step:
    if context and generation:
        phase = Phase.MIXED
    elif context:
        phase = Phase.PREFILL
    else:
        phase = Phase.DECODE if generation else Phase.IDLE
    return Step(Writer.VLLM, phase, phase.value, context, asked, generation, made)


def of_file(path: str) -> Phase | None:
    """The one phase of a file that SGLang wrote by stage (…-TP-0-DECODE.trace.json.gz)."""
    found = _FILE.search(PurePath(path).name)
    return _MODES[found[1].upper()] if found else None


def is_library(name: str) -> bool:
    """Whether a library marks this region by itself: optimizers, collectives, data loaders."""
    return _LIBRARY.match(name) is not None


# words beside `prefill` or `decode` that leave an annotation what it is; `decode tokens` and
# `batch decode` are a tokenizer's
_BESIDE_TEXT = (
    "step token phase stage region llm lm model forward pass loop iter iteration generate"
    " generation run do of one next bs ctx pos position"
)
_BESIDE = frozenset(_BESIDE_TEXT.split())
# only a language model prefills
_BESIDE_PREFILL = frozenset(
    ("chunk", "chunked", "batch", "tokens", "len", "length", "seq", "seqlen", "prompt")
)
_SPOKEN = {"prefill": "prefill", "prefilling": "prefill", "decode": "decode", "decoding": "decode"}


@lru_cache(maxsize=65536)
def spoken(name: str) -> str | None:
    """prefill or decode where a program's own name says one and no more: `## Prefill ##`,
    `llm_decode`, `DecodeStep 3`; None for every other name.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    # one letter beside a number is a size: prefill_T512, decode b8
    words = {w for w in re.findall(r"[^\W\d_]+", apart.lower()) if len(w) > 1} - _BESIDE
    if words & {"prefill", "prefilling"}:
        words -= _BESIDE_PREFILL
    return _SPOKEN.get(words.pop()) if len(words) == 1 else None


def family(name: str) -> str:
    """What instances of this annotation are called together: the phase, else the name."""
    step = recognise(name)
    return step.family if step else spoken(name) or name
