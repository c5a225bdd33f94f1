"""What the kernel and its caller share: a block of 64-bit numbers, each at a fixed place.

Some are addresses of columns, some counts, some what is known of the event being read.
"""

from __future__ import annotations

from typing import Any

SYMBOL = "tracekit_scan"  # what the kernel is called as machine code

# status of a call; offsets are never negative, so a step of the kernel returns either
DONE = 0
REFUSED = -1  # not in the form that is read here: the caller reads the text otherwise
FULL = -2  # of texts or their bytes: once more with more room

# how the value of an argument is kept
COLUMN, INTEGER, TEXT, RAW, TRIPLE, DECIMAL, LEFT = range(7)  # LEFT: the event is
POWERS = 5  # bits of the number of decimals in a DECIMAL
# what is done with events of a phase
SLOWLY, COUNT, SLICE, FLOW, MEMORY = range(5)
# what a value was
NOTHING, WHOLE, WORDS, OTHER = range(4)

# what is asked for
(
    SCAN, NEST, STACK, AROUND, UNITE, MEET, COVER, CODE, BUCKET,
) = range(9)  # fmt: skip
# and of all slices of a trace
ENCLOSE, INSIDE, OPENED, CLIMB, GATHER = range(9, 14)
# and of rows that each ask for one before
NEAREST, FRESH, AGAIN, SEEK, CHAIN = range(14, 19)
# and of graphs
GRAPHS = 32  # from here on
ORDER, LONGEST, PATH, REACH, TALLY, FILL = range(GRAPHS, GRAPHS + 6)
NEVER = -(1 << 60)  # no bound: sooner than any time, and than any that some edges lead to

# numbers of keys: those of an event, and others of it; of arguments those that are kept, by slot,
# and others; what stands for one where an object opens, or is over
(
    OF_TS, OF_DUR, OF_PH, OF_NAME, OF_CAT, OF_PID, OF_TID, OF_ID, OF_ARGS, OF_OTHER, OPENS_EVENT,
) = range(11)  # fmt: skip
OPENS_ARGS, FIRST_SLOT, MOST_SLOTS, OTHER_ARGS, OVER = 16, 17, 64, 32, 127
NUMBERS, SORTS = 128, 32  # of keys, and sorts of events: what follows what is kept for each
JOINT_ROW = 64  # what follows, 32 bytes; which bits of a comparison say nothing, length, number
LIST_ROWS, LIST_ROW = 1024, 32  # lists that were read: place, length, text, number of the key

KEYS = 256  # places in the table of the names of arguments
KEY_BYTES = 40  # of each name; eight words hold the rest of its row
KEY_ROW = KEY_BYTES + 32

(
    # given: what is asked for, and for it spans, or a graph; else a text
    JOB, TRACKS, ENDS, CANDIDATES, ABOVE,
    POINTS, FIRST, EDGE_END, WAITING, SORTED, WEIGHT, WIDE, EXTRA, WHEN, COST, FROM, UNTIL, RESULT,
    # spans in order of time, what is asked of each of other spans, and where answers go
    BEGINS, STRIDE, LASTS, LANES, ASKED, ASKED_TRACKS, ASKED_BEGINS, ASKED_ENDS, SUMS, ROOM, OUT,
    MARKS, STATUS,
    # slices of a trace: their categories, groups of these; of which track, in which bins
    CATS, GROUP_OF, GROUPS, TRACK, BINS, WIDTH,
    BASE, LENGTH, LAST, PHASES, KEY_TABLE, SLOT_KINDS, MEMORY_NAME, JOINTS, LISTS,
    # counted
    ROWS, RECORDS, ODD_ONES, EVENTS, END, COUNTS, FIRSTS,
    # texts: an open table of indices (32 bits, 1 more than the index), hash, start, size and kind
    PLACES, PLACE_MASK, HASHES, STARTS, SIZES, KINDS, ARENA, ARENA_USED, ARENA_ROOM, TEXTS,
    TEXTS_ROOM,
    # columns of rows, of records (an argument each), of events that are read slowly
    ROW_EVENT, ROW_PHASE, ROW_TS, ROW_DUR, ROW_NAME, ROW_CAT, ROW_PID, ROW_TID, ROW_DEVICE,
    ROW_STREAM, ROW_LINK, RECORD_ROW, RECORD_SLOT, RECORD_VALUE, ODD_START, ODD_STOP, ODD_EVENT,
    # of the event at hand
    IS_ODD, ESCAPED, SEEN, SEEN_ARGS, RECORDS_BEFORE, PHASE, NAME_START, NAME_STOP, CAT_START,
    CAT_STOP, SORT, PID, TID, TS, DUR, HAS_TS, HAS_DUR, ID, HAS_ID, DEVICE, STREAM, LINK,
    # of the value at hand
    KEY, KIND, VALUE, START, STOP, KEY_STOP,
    FIELDS,
) = range(110)  # fmt: skip


def target_machine(llvm: Any) -> Any:
    """LLVM's idea of the processor that makes the machine code and runs it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="default",
        codemodel="jitdefault",
        jit=True,
    )
