"""What a file is that is no Kineto trace, in words, and what to do with it.

By the first bytes (the magic numbers of the formats' own documents), by how the text begins, by the
keys of its JSON, and by its first events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tracekit.patterns import later
from tracekit.trace.categories import CATS, UNDECIDED

WANTED = "give a torch.profiler trace (.json, .json.gz)"
_CAPTURE = "capture the PyTorch program with torch.profiler and give what export_chrome_trace wrote"
_UNPACK = "unpack it, then: tracekit analyze FOLDER/*.json.gz"


class Foreign(NamedTuple):
    """A file that is no trace of ours."""

    what: str
    hint: str = WANTED


_PICKLE = Foreign(
    "a Python pickle, as torch.cuda.memory._dump_snapshot writes it (a memory snapshot): it has no "
    "slices",
    "`tracekit analyze` answers a memory snapshot; for times, " + WANTED,
)
_PERFETTO = Foreign(
    "a Perfetto protobuf trace (rocprofv3, rocprof-sys and Perfetto itself write such), not a "
    "Kineto trace",
    f"open it at ui.perfetto.dev; {_CAPTURE}",
)
_XPLANE = Foreign(
    "an XPlane profile of JAX, TensorFlow or PyTorch/XLA (protobuf), not a Kineto trace",
    f"open it in TensorBoard's profile plugin or XProf; {_CAPTURE}",
)
_NSYS = "an Nsight Systems"
# what is in them says more: `inputs.archives.told`
ZIP = Foreign("a zip archive", _UNPACK)
TAR = Foreign("a tar archive", _UNPACK)

MAGIC: Mapping[bytes, Foreign] = {
    b"PK\x05\x06": Foreign("an empty zip archive"),
    b"SQLite format 3": Foreign(
        f"an SQLite database ({_NSYS} or rocprofv3 export is one), not a Kineto trace", _CAPTURE
    ),
    b"\x28\xb5\x2f\xfd": Foreign("compressed with zstd: unpack it first", "unzstd FILE"),
    # `analyze` reads it; what rewrites events has none of them here
    b"PAR1": Foreign(
        "a Parquet file: columns, and no events to rewrite",
        "give the trace (.json, .json.gz) that it was made of",
    ),
    b"BZh": Foreign("compressed with bzip2: unpack it first", "bunzip2 FILE"),
    b"\xfd7zXZ": Foreign("compressed with xz: unpack it first", "unxz FILE"),
    b"\x04\x22\x4d\x18": Foreign("compressed with lz4: unpack it first", "unlz4 FILE"),
    b"7z\xbc\xaf\x27\x1c": Foreign("a 7-Zip archive: unpack it first", _UNPACK),
    b"\xff\xfe": Foreign("UTF-16 text: save it as UTF-8"),
    b"\xfe\xff": Foreign("UTF-16 text: save it as UTF-8"),
    b"\x89HDF": Foreign("an HDF5 file, not a trace"),
    b"\x7fELF": Foreign("a program, not a trace"),
    b"%PDF": Foreign("a PDF, not a trace"),
    b"\x1f\x8b": Foreign("compressed twice: unpack it once", "gunzip FILE"),
    b"\x93NUMPY": Foreign("a NumPy array, not a trace"),
    b"NVR\0": Foreign("an Nsight Compute report (.ncu-rep), not a Kineto trace", _CAPTURE),
    b"GGUF": Foreign("weights of a model (GGUF), not a trace"),
}  # fmt: skip

# By the ending of the name, for binary files whose first bytes say nothing
_ENDINGS: Mapping[str, Foreign] = {
    ".nsys-rep": Foreign(f"{_NSYS} report, not a Kineto trace", _CAPTURE),
    ".qdrep": Foreign(f"{_NSYS} report, not a Kineto trace", _CAPTURE),
    ".ncu-rep": Foreign("an Nsight Compute report, not a Kineto trace", _CAPTURE),
    ".xplane.pb": _XPLANE,
    ".pftrace": _PERFETTO,
    ".perfetto-trace": _PERFETTO,
    ".pickle": _PICKLE,
    ".pkl": _PICKLE,
}

_PLANE = later(rb"/(?:host|device):|XPlane|Task Environment")
# the first lines of what other profilers print or export
_TEXTS: tuple[tuple[bytes, Foreign], ...] = (
    (
        rb"(?m)\A[^;\n]+(?:;[^;\n]*)* \d+(?:\n[^;\n]+(?:;[^;\n]*)+ \d+)*(?:\n|\Z)",
        Foreign(
            "stacks of torch.profiler's export_stacks (a line a stack, for flame graphs): they "
            "have no times of their own",
            "give what export_chrome_trace of the same profiler wrote",
        ),
    ),
    (
        rb"(?m)\A-{5,}[ \-]*\n +Name +(?:Self |CPU )",
        Foreign(
            "the table that key_averages().table() prints, not a trace",
            "give what export_chrome_trace of the same profiler wrote",
        ),
    ),
    (
        rb'\A"?(?:Kind|Index|Name|Agent_Id|Dispatch_Id|Correlation_Id|Domain|Stat)"?,'
        rb".*(?:KernelName|Agent|Queue_Id|DurationNs|TotalDurationNs|Function)",
        Foreign("a rocprof CSV export, not a Kineto trace", _CAPTURE),
    ),
    (
        rb'\A"?(?:Time \(%\)|Start \(ns\)|Total Time \(ns\))"?,',
        Foreign(f"{_NSYS} CSV export, not a Kineto trace", _CAPTURE),
    ),
    (rb"\A[^\n,]+(?:,[^\n,]*){2,}\n", Foreign("a CSV table, not a trace")),
)  # fmt: skip
_HTML = (b"<!doctype html", b"<html", b"<head", b"<!--")


def of_bytes(head: bytes, start: int, name: str) -> Foreign:
    """What a file is that starts with neither brace nor bracket.

    `head`: at least its first kilobyte; `start`: its first byte that is no white space.
    """
    if not head[start:]:
        return Foreign("an empty file" if not head else "a file of nothing but white space")
    if head[257:262] == b"ustar":
        return TAR
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(head)
    for magic, found in MAGIC.items():
        if head.startswith(magic):
            return found
    if re.match(rb"\x80[\x02-\x05]", head):
        return _PICKLE
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 28:
        return Foreign("weights of a model (safetensors), not a trace")
    low = head[start : start + 200].lower()
    if low.startswith(_HTML) or b"<html" in low:
        return Foreign(
            "an HTML page, not a trace: perhaps a login or error page was saved instead",
            "download the trace again, with the right to do so",
        )
    if low.startswith(b"<"):
        return Foreign("XML, not a trace")
    if low.startswith(b"version https://git-lfs"):
        return Foreign("a Git LFS pointer, not the file itself: run `git lfs pull`", "git lfs pull")
    return _of_binary(head, name) or _of_text(head[start:])


def _of_zip(head: bytes) -> Foreign:
    """A zip by the names of its first members."""
    if b"data.pkl" in head:
        return Foreign("a PyTorch checkpoint (torch.save), not a trace")
    if re.match(rb"PK\x03\x04.{26}[^\0]*?\.npy", head, re.DOTALL):
        return Foreign("NumPy arrays (.npz), not a trace")
    return ZIP


def _of_binary(head: bytes, name: str) -> Foreign | None:
    """None for text."""
    named = next((f for ending, f in _ENDINGS.items() if name.lower().endswith(ending)), None)
    some = head[:1024]
    if head[:1] == b"\n" and re.search(rb"[\0-\x08\x0e-\x1f\x80-\xff]", some):
        # field 1, of some length: the packets of Perfetto, the planes of XPlane
        return _XPLANE if named is _XPLANE or _PLANE.search(head) else _PERFETTO
    if named or b"\0" in some:
        return named or Foreign("a binary file, not a trace")
    return None


def _of_text(text: bytes) -> Foreign:
    lines = b"\n".join(text[:4096].split(b"\n")[:3])
    for pattern, found in _TEXTS:
        if re.match(pattern, lines):
            return found
    return Foreign("text, not JSON")


_NSYS_KEYS = later(
    r"^(?:CudaEvent|NvtxEvent|TraceProcessEvent|GpuContext\w*|OsrtEvent|DiagnosticEvent|"
    r"NV_\w+|CUPTI_\w+|StringIds|TARGET_INFO_\w+)$"
)


def of_keys(meta: Mapping[str, object]) -> Foreign:
    """What a JSON object without `traceEvents` is, by its keys."""
    keys = set(meta)
    if {"nodes", "schema"} <= keys:
        return Foreign(
            "a PyTorch execution trace (`nodes`, no `traceEvents`), not a Kineto trace",
            "give the Kineto trace that the profiler wrote beside it",
        )
    if "traceEvents" in keys:
        return Foreign("`traceEvents` is no list")
    if {"cells", "nbformat"} <= keys:
        return Foreign("a Jupyter notebook, not a trace")
    if str(meta.get("schema", "")).startswith("tracekit/"):
        return Foreign("the answers of `tracekit analyze --json`, not a trace")
    if "rocprofiler-sdk-tool" in keys:
        return Foreign("a rocprofv3 JSON export, not a Kineto trace", _CAPTURE)
    if "segments" in keys and keys & {"device_traces", "allocator_settings"}:
        return Foreign(
            "a PyTorch memory snapshot, not a Kineto trace",
            "give the pickle that torch.cuda.memory._dump_snapshot writes; for times, " + WANTED,
        )
    if any(map(_NSYS_KEYS.match, keys)):
        return Foreign(f"{_NSYS} JSON export, not a Kineto trace", _CAPTURE)
    some = ", ".join(sorted(keys)[:6]) or "none"
    return Foreign(f"JSON without `traceEvents` (keys: {some})")


_OURS = later(
    rb'"cat"\s*:\s*"(?:'
    + b"|".join(re.escape(word.encode()) for word in (*CATS, *UNDECIDED))
    + rb')"'
)
_XLA_PROCESS = later(rb'"name"\s*:\s*"(?:/job:[^"]*)?/(?:device|host):')
_XLA_ARGUMENT = later(rb'"(?:hlo_op|hlo_module|hlo_category)"\s*:')


_PERFETTO_OPENS = f"open it at ui.perfetto.dev; {_CAPTURE}"
# ONNX Runtime calls a category of its own `Kernel`, as the oldest files of Kineto do
_ONNX = later(rb'"cat"\s*:\s*"(?:Session|Node)"')
_ONNX_NAME = later(rb'"(?:[^"]*_kernel_time|model_loading[^"]*|session_initialization)"')
# Proton lists the calls around each kernel; some of its files have one JSON object a stream
_PROTON = later(rb'"call_stack"\s*:\s*\[|"cat"\s*:\s*"call_path"')
# trace events of others, by what nobody else writes
_EVENTS: tuple[tuple[bytes, Foreign], ...] = (
    (
        rb'"cat"\s*:\s*"[^"]*devtools\.timeline',
        Foreign("a performance profile of Chrome's DevTools, not a Kineto trace", _CAPTURE),
    ),
    (
        rb'"cat"\s*:\s*"FEE"',
        Foreign("a VizTracer trace of Python functions, not a Kineto trace", _PERFETTO_OPENS),
    ),
    (
        rb'"cat"\s*:\s*"(?:task::?|ray::)',
        Foreign("a timeline of Ray's tasks, not a Kineto trace", _PERFETTO_OPENS),
    ),
    (
        rb'"cat"\s*:\s*"sglang"',
        Foreign(
            "a timeline of SGLang's requests (of OpenTelemetry spans), not a Kineto trace",
            _PERFETTO_OPENS,
        ),
    ),
    (
        rb'"pid"\s*:\s*"(?:CPU|CUDA) functions"',
        Foreign("a trace of the profiler that PyTorch had before Kineto", _CAPTURE),
    ),
)


def of_events(sample: bytes) -> Foreign | None:
    """What trace-event JSON of another profiler is, by its first events; None where it is ours."""
    if b'"X"' not in sample:
        return None
    if _ONNX.search(sample) and _ONNX_NAME.search(sample):
        return Foreign("a profile of ONNX Runtime, not a Kineto trace", _PERFETTO_OPENS)
    if _PROTON.search(sample):
        return Foreign("a trace of Triton's Proton, not a Kineto trace", _PERFETTO_OPENS)
    if _OURS.search(sample):
        return None
    for mark, found in _EVENTS:
        if re.search(mark, sample):
            return found
    if _XLA_PROCESS.search(sample) or _XLA_ARGUMENT.search(sample):
        return Foreign(
            "a profile of JAX, TensorFlow or PyTorch/XLA (XLA's processes, no category of "
            "Kineto), not a Kineto trace",
            f"open it in TensorBoard's profile plugin or XProf; {_CAPTURE}",
        )
    return None
