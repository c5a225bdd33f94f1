"""What is asked of the reader and of the commands, beside what `bench_reader.py` measured."""

from __future__ import annotations

# by reader or command: wall, cpu (s), peak (bytes); of a load also the bytes of its columns
Medians = dict[str, dict[str, float]]

HELP = "`tracekit --help`"
ANALYZE = "`tracekit analyze` of plain"
COMPARE = "`tracekit compare` of plain and its like"
EXPORT = "`tracekit export` of plain"
SEVERAL = {"eight": 8, "forty": 40}  # traces in one call
SMALL = "`tracekit analyze` of 9 MB"
PAGE = "analyze with its page"
TABLES = "ours, with side tables"
# an event: 2.5 times what a load took when this was asked (2.45 s of 1.32 million events)
ASKED_US = 4.6
ANSWERS_MB = 2  # of a trace: what its answers take as a pickle
GB = 1e9


def of_several(word: str) -> str:
    """The command that explains so many traces."""
    return f"`tracekit analyze` of {word} like plain"


class Goals:
    """Rows of a table: what is asked, what was measured, whether that is enough."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def least(self, what: str, unit: str, asked: float, value: float | None) -> None:
        self._add(what, f"at least {asked:g}{unit}", value, value is not None and value >= asked)

    def most(self, what: str, unit: str, asked: float, value: float | None) -> None:
        self._add(what, f"at most {asked:g}{unit}", value, value is not None and value <= asked)

    def _add(self, what: str, asked: str, value: float | None, met: bool) -> None:
        shown = "not measured" if value is None else f"{value:.2f}"
        reached = "" if value is None else "yes" if met else "no"
        self.rows.append(f"| {what} | {asked} | {shown} | {reached} |")


def table(layouts: dict[str, Medians], commands: Medians, huge: Medians, events: int) -> list[str]:
    """The goals, as Markdown; `huge` is what was measured of 5 GB, `events` are those of plain."""
    goals = Goals()
    for name, one in layouts.items():
        goals.least(f"{name}: load, HTA's wall ÷", " ×", 60, ratio(one, "hta", "ours", "wall"))
        goals.least(f"{name}: load, HTA's memory ÷", " ×", 15, ratio(one, "hta", "ours", "peak"))
        page = ratio(one, "hta", PAGE, "wall")
        goals.least(f"{name}: {PAGE}, HTA's load ÷", " ×", 20, page)
    loads = {name: one.get("ours", {}) for name, one in layouts.items()}
    goals.most("gzip ÷ plain: load", " ×", 1.3, ratio(loads, "gzip", "plain", "wall"))
    goals.most(HELP, " s", 0.2, at(commands, HELP, "wall"))
    goals.most(SMALL, " s", 0.8, at(commands, SMALL, "wall"))
    goals.most("compare of two ÷ analyze of one: memory", " ×", 1.1,
               ratio(commands, COMPARE, ANALYZE, "peak"))  # fmt: skip
    goals.most("analyze of eight ÷ analyze of one: memory", " ×", 1.1,
               ratio(commands, of_several("eight"), ANALYZE, "peak"))  # fmt: skip
    goals.most("analyze of forty: memory beyond one, a trace", " MB", ANSWERS_MB, beyond(commands))
    peak = at(commands, EXPORT, "peak")
    goals.most("export: memory an event", " B", 350, None if peak is None else peak / events)
    of_5_gb(goals, layouts.get("plain", {}), huge, events)
    return ["### Goals", "", "| what | asked | measured | reached |",
            "| --- | --- | ---: | --- |", *goals.rows, ""]  # fmt: skip


def beyond(commands: Medians) -> float | None:
    """What each trace but the first adds to the memory of forty in one call, in MB."""
    one, forty = at(commands, ANALYZE, "peak"), at(commands, of_several("forty"), "peak")
    return None if one is None or forty is None else (forty - one) / 1e6 / (SEVERAL["forty"] - 1)


def of_5_gb(goals: Goals, plain: Medians, huge: Medians, events: int) -> None:
    """How 5 GB compare with the trace of usual size, an event."""
    load, many = at(huge, "ours", "wall"), at(huge, "ours", "events")
    small, page = at(plain, "ours", "wall"), at(huge, PAGE, "wall")
    columns, peak = at(huge, "ours", "columns"), at(huge, "ours", "peak")
    apart = None if columns is None or peak is None else (peak - columns) / GB
    goals.most("5 GB: load, memory beyond its columns", " GB", 1, apart)
    usual = None if small is None else small / events
    each = None if load is None or many is None else load / many
    goals.most("5 GB: load an event ÷ that of plain", " ×", 1.1, over(each, usual))
    each = None if page is None or many is None else page / many
    goals.most(f"5 GB: {PAGE}, an event", " µs", ASKED_US, None if each is None else 1e6 * each)
    goals.most(f"5 GB: {PAGE}, an event ÷ the load of plain", " ×", 2.5, over(each, usual))
    read = at(plain, TABLES, "wall")
    usual = None if read is None else read / events
    goals.most(f"5 GB: {PAGE}, an event ÷ the load of plain with side tables", " ×", 2.5,
               over(each, usual))  # fmt: skip
    peak = at(huge, PAGE, "peak")
    goals.most(f"5 GB: {PAGE}, memory", " GB", 3, None if peak is None else peak / GB)


def ratio(found: Medians, one: str, other: str, key: str) -> float | None:
    return over(at(found, one, key), at(found, other, key))


def over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def at(found: Medians, name: str, key: str) -> float | None:
    return found.get(name, {}).get(key)
