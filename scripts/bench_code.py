"""What `bench_reader.py` runs in processes of their own: each reader, and how it is timed."""

LOAD = "from tracekit.trace import kineto; made = lambda: kineto.load(path{})"
PAGE_OF = (
    "from tracekit.results import engine\nfrom tracekit.report import facts, traces\n"
    "made = lambda: (facts.sha256_soon(path), traces.render([engine.answers(path{})], command=''))"
)
OPENED = "(gzip.open if path.endswith('.gz') else open)(path, 'rb')"
READERS = {
    "ours": LOAD.format(""),
    "ours, with side tables": (  # which analyses read
        "from tracekit.results import engine\nfrom tracekit.trace import kineto\n"
        "names = engine.tables(None); made = lambda: kineto.load(path, tables=names)"
    ),
    "ours, one thread": LOAD.format(", processes=1"),
    "ours, without [fast]": (
        "from tracekit.trace.scan import machine; machine.kernel = lambda: None\n" + LOAD.format("")
    ),
    "analyze with its page": PAGE_OF.format(""),
    "analyze with its page, one core": PAGE_OF.format(", processes=1"),
    "analyze --only devices": PAGE_OF.format(", ['devices']"),
    "hta": (
        "import logging; logging.disable(logging.CRITICAL)\n"
        "from hta.trace_analysis import TraceAnalysis\n"
        "made = lambda: TraceAnalysis(trace_files={0: path}, trace_dir='')"
    ),
    "tracelens": (
        "from TraceLens import TreePerfAnalyzer\nmade = lambda: TreePerfAnalyzer.from_file(path)"
    ),
    "json": f"import json, gzip\nmade = lambda: json.load({OPENED})",
    "the bytes alone": f"import gzip\nmade = lambda: len({OPENED}.read())",
    "the bytes, piece by piece": (
        "import os\nfrom isal import igzip\nbuffer = bytearray(2 << 20)\n"
        "opened = igzip.open if path.endswith('.gz') else open\n"
        "def made():\n    with opened(path, 'rb') as file:\n"
        "        while file.readinto(buffer):\n            pass"
    ),
}
TIMED = """
import sys, time, os, json
path = sys.argv[1]
{code}
def cpu():
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system
before, start = cpu(), time.perf_counter()
kept = made()
found = dict(wall=time.perf_counter() - start, cpu=cpu() - before)
if hasattr(kept, "taken"):
    found["columns"] = kept.taken
print(json.dumps(found))
"""
SHARES = """
import sys, time, json
from collections import Counter
from tracekit.trace import kineto
from tracekit.trace.columns.assemble import Assembly
from tracekit.trace.scan import rows, scanner, threads
spent, inside = Counter(), []
def timed(cls, name, what):
    plain = getattr(cls, name)
    def one(*given, **named):
        start = time.thread_time()
        inside.append(0.0)
        try:
            return plain(*given, **named)
        finally:
            own = time.thread_time() - start
            spent[what] += own - inside.pop()
            if inside:
                inside[-1] += own
    setattr(cls, name, one)
timed(threads.Shared, "next", "the bytes: cut into pieces and read")
timed(scanner.Scanner, "scan", "the compiled pass over the text")
timed(rows.Rows, "read", "columns of a piece, and events that are read one by one")
timed(Assembly, "add", "texts and categories of a piece into those of the trace")
timed(Assembly, "trace", "joining, sorting")
start = time.process_time()
kineto.load(sys.argv[1], processes=1)
spent["the rest"] = time.process_time() - start - sum(spent.values())
print(json.dumps(spent))
"""
