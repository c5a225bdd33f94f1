"""What one host thread was doing, as flat spans by class, the strongest reason first."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.host_calls import BLOCKING
from tracekit.attribution.idle import first_calls
from tracekit.attribution.idle.cause_names import Cause
from tracekit.patterns import Words, later
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import (
    Spans,
    covered,
    intersect,
    spans,
    subtract,
    union,
    union_of,
)
from tracekit.trace.trace import I64, Cat, Mask, Trace

ITEM = later(r"^aten::(?:item|_local_scalar_dense|is_nonzero|equal)$")
# a program's own words, those of Megatron and Lightning, and the libraries that read samples;
# engines get their next batch of requests from a scheduler, which loads nothing
LOADING = Words(
    "DataLoader", "data_?load", "load_?(?:data|batch|sample)",
    r"(?:^|[^a-z])data[ _-]?(?:fetch|prefetch|iter|wait|read|queue)\w*",
    r"(?:prefetch|fetch|read)[ _-]?data\b", r"(?:wait_for|fetch|next)_(?:\w+_)?batch\b",
    "batch[ _-](?:generator|fetch)", r"get_(?:train_|val_|test_|eval_|mini_?)?batch\b",
    "^tracekit::load$", "(?:^|/)datasets/", "(?:^|/)webdataset/", "(?:^|/)h5py/",
    "(?:^|/)decord/", "(?:^|/)nvidia/dali/", "(?:^|/)torchdata/", "(?:^|/)petastorm/",
    r"PIL/Image\.py.*: (?:open|load)", "pandas/io/", "torchvision/io/", "torchaudio/.*: load",
    "torchcodec/", r"numpy/lib/\w*npyio\w*\.py.*: (?:load|loadtxt|genfromtxt)", r"soundfile\.py",
    r"librosa/core/audio\.py", "<built-in (?:function|method) imread",
)  # fmt: skip
# CUDA, HIP, Unified Runtime, Level Zero, AscendCL: memory of the device, pinned memory
ALLOCATING = later(
    r"^(?:cuda|cu|hip)(?:(?:Mem)?(?:Malloc|Alloc|Free)\w*|Host(?:Alloc|Malloc|Free"
    r"|Register|Unregister)\w*|Mem(?:Create|Map|Unmap|Release|AddressReserve|SetAccess)\w*|ExtMallocWithFlags)$"
    r"|^(?:urUSM(?:(?:Device|Host|Shared)Alloc|Free)|zeMem(?:Alloc|Free)|aclrt(?:Malloc|Free))\w*$"
)
# CUDA: lazy loading of modules and libraries, which no warm process does
MODULES = later(
    r"^(?:cuda|cu|hip)(?:ModuleLoad\w*|LibraryLoad\w*|LinkCreate\w*|LinkAdd\w*|LinkComplete\w*)$"
    r"|^(?:urProgram(?:Build|Create|Compile|Link)|zeModuleCreate)\w*$"
    r"|^(?:(?:nv|hip)rtc\w*Compile\w*|(?:cublas|cublasLt|cudnn|hipblas|rocblas|miopen)Create(?:_v2)?"
    r"|(?:nccl|rccl)CommInit\w*)$"
)
# Contexts, streams, graphs made from a capture; some are asked at every launch in a microsecond
SETTING_UP = later(
    r"^(?:cuda|cu|hip)(?:LibraryGet\w*|Init|Ctx(?:Create|Detach)\w*"
    r"|DevicePrimaryCtx\w*|SetDevice|FuncGetAttributes|FuncLoad|StreamCreate\w*"
    r"|GetDeviceProperties\w*|GetDeviceCount|GraphInstantiate\w*|StreamBeginCapture\w*"
    r"|StreamEndCapture\w*)$"
    r"|^(?:ur(?:KernelCreate|ContextCreate|QueueCreate)"
    r"|ze(?:KernelCreate|ContextCreate|CommandQueueCreate)|aclInit)\w*$"
)
# Kineto's names of CUPTI_ACTIVITY_OVERHEAD kinds; torch.compile and Triton at work
LAZY = later(r"Lazy Function Loading|Runtime Triggered Module Loading|^Driver Compiler")
COMPILING = later(
    r"\(dynamo_timed\)|_dynamo/convert_frame\.py.*: _?compile|_inductor/\S*compile_fx\.py"
    r"|_inductor/(?:async_compile\.py.*: wait|codecache\.py.*: (?:load|compile))"
    r"|triton/compiler/compiler\.py.*: compile|triton/runtime/jit\.py.*: _do_compile"
    r"|triton/runtime/autotuner\.py.*: (?:run|_bench)"
    r"|^(?:cudnn|triton)_?autotun|^_?compile_(?:fx|inner)|^fx_codegen_and_compile"
    r"|^(?:torch\.)?_?(?:inductor|dynamo)[_.:]+(?:\w+[_.:]+)*compil",
)
# what torch.compile puts around a graph of its own: guards, prologues, wrappers
COMPILED = later(
    r"^(?:Torch-Compiled Region|TorchDynamo Cache Lookup|Pregraph bytecode"
    r"|AOTDispatcher Runtime Wrapper Prologue|CompiledFunction(?:Backward)?$"
    r"|## Call CompiledFxGraph)"
)

GRAPH_LAUNCH = later(r"^(?:cuda|cu|hip)GraphLaunch")

# What sets up, and what is asked at every launch in a microsecond
SETUP_NS = 100_000
# No guard or wrapper of torch.compile holds the host this long: it compiles
COMPILES_NS = 50_000_000
# A copy whose launch returns only when it is done, and not because a launch takes as long
BLOCKS_NS = 50_000
# A call whose first use lasts this long sets something up: a module, a context, a library
FIRST_NS = 1_000_000
# No allocation on an idle device takes the first time at its first use, or the second at any: it
# makes the context, or loads what is missing
ALLOCATION_NS = 10_000_000
ANY_ALLOCATION_NS = 100_000_000


def host_causes(trace: Trace, thread: int, rest: Spans) -> list[tuple[Cause, Spans]]:
    """Disjoint spans before a launch, cut by what its thread was doing; the first that fits."""
    found = []
    for cause, where in host_activity(trace, thread).items():
        found.append((cause, intersect(rest, where)))
        rest = subtract(rest, where)
    return [*found, (Cause.HOST_OUTSIDE, rest)]


def host_activity(trace: Trace, thread: int) -> dict[Cause, Spans]:
    """Flat spans of what a thread (a value of `links.thread`) does, the strongest reason first."""

    def make() -> dict[Cause, Spans]:
        # of all threads, and first: what they need beside is gone before much else is there
        first, first_ops, blocks = first_use(trace), first_calls.of(trace), blocking(trace)
        own = links.thread(trace) == thread
        calls, ops = trace.is_(Cat.RUNTIME), trace.is_(Cat.CPU_OP)

        def flat(rows: Mask) -> Spans:
            return union_of(trace.ts, trace.end, rows & own)

        code = trace.is_(Cat.CPU_OP, Cat.ANNOTATION, Cat.PYTHON)
        allocating = calls & trace.named(ALLOCATING)
        slow = allocating & (trace.dur >= ANY_ALLOCATION_NS)
        setting_up = calls & trace.named(SETTING_UP) & (trace.dur >= SETUP_NS)
        setting_up |= calls & trace.named(MODULES)
        compiling = code & trace.named(COMPILING)
        wrapper = ops | trace.is_(Cat.ANNOTATION)
        compiled = wrapper & own & trace.named(COMPILED)
        lazy = trace.is_(Cat.OVERHEAD) & trace.named(LAZY)
        around = flat(compiled)
        if len(around):
            around = subtract(around, flat((ops & ~compiled) | calls))
        allocates, waits = flat(allocating), flat(blocks)
        loads = flat(code & trace.named(LOADING))
        ops_first = flat(first_ops)
        for other in (allocates, waits, loads):
            ops_first = subtract(ops_first, other)
        setup = [flat(setting_up | compiling | slow | first), ops_first,
                 around[around[:, 1] - around[:, 0] >= COMPILES_NS],
                 spans(trace.ts[lazy], trace.dur[lazy])]  # fmt: skip
        return {
            Cause.HOST_INITIALISATION: union(np.concatenate(setup)),
            Cause.HOST_ALLOCATION: allocates,
            Cause.HOST_SYNC: waits,
            Cause.HOST_DATA: loads,
            Cause.HOST_COMPILED: around,
            Cause.HOST_CALL: flat(calls),
            Cause.HOST_OP: flat(ops),
        }  # fmt: skip

    return trace.once(("host activity", thread), make)


def blocking(trace: Trace) -> Mask:
    """[N] slices in which the host waits for a device: calls by their name, `.item()`, and calls of
    BLOCKS_NS or more that launch one copy and return when it is done, or later.
    """

    def make() -> Mask:
        gpu, launch = links.work(trace), links.launch_row(trace)
        copies = np.flatnonzero(gpu.is_(Cat.MEMCPY) & (launch >= 0))
        copies = copies[gpu.end[copies] <= links.launch_end(trace)[copies]]
        rows = links.call_rows(trace)[launch[copies]]
        out = trace.is_(Cat.RUNTIME) & trace.named(BLOCKING)
        out |= trace.is_(Cat.CPU_OP) & trace.named(ITEM)
        out[rows[trace.dur[rows] >= BLOCKS_NS]] = True
        return np.asarray(out, bool)

    return trace.once("blocking", make)


def first_use(trace: Trace) -> Mask:
    """[N] runtime calls that last FIRST_NS or more and are the first of their kind;
    allocations from ALLOCATION_NS on, and no call that blocks by its purpose, or for a copy, while
    a device works most of the time.

    Of a call that launches a kernel the kind is the kernel's name, else the call's own. A graph
    launch takes as long as its nodes need (HIP sends them one by one): it sets up where later
    launches of the graph take half as long at most.
    """

    def make() -> Mask:
        calls, gpu = links.calls(trace), links.work(trace)
        launch = links.launch_row(trace)
        kernel = np.full(len(calls), -1, np.int64)
        linked = np.flatnonzero(launch >= 0)[::-1]  # the earliest kernel of a call is written last
        kernel[launch[linked]] = gpu.name[linked]
        kind = np.where(kernel >= 0, kernel + len(trace.strings), calls.name)
        _, first = segments.firsts(kind)  # calls are sorted by start
        out = np.zeros(len(trace), bool)
        rows = np.flatnonzero(trace.is_(Cat.RUNTIME))[first]
        out[rows] = trace.dur[rows] >= FIRST_NS
        out[links.call_rows(trace)[_usual_graphs(calls, kind)]] = False
        short = trace.named(ALLOCATING) & (trace.dur < ALLOCATION_NS)
        out &= ~trace.named(BLOCKING) & ~short
        waits = np.flatnonzero(out & blocking(trace))
        if len(waits):
            works = covered(union(spans(gpu.ts, gpu.dur)), spans(trace.ts[waits], trace.dur[waits]))
            out[waits[2 * works >= trace.dur[waits]]] = False
        return out

    return trace.once("first use", make)


def _usual_graphs(calls: Trace, kind: I64) -> I64:
    """First launches of a graph that take no longer than twice its later ones, as rows of calls.

    `kind` is [R], of each call; the one launch of a graph is not known to be longer than others.
    """
    graphs = np.flatnonzero(calls.named(GRAPH_LAUNCH))
    usual = []
    for one in segments.sorted_unique(kind[graphs]).tolist():
        mine = graphs[kind[graphs] == one]
        later = calls.dur[mine[1:]]
        if not len(later) or calls.dur[mine[0]] < 2 * float(np.median(later)):
            usual.append(mine[0])
    return np.array(usual, np.int64)
