"""What `tracekit capture` wrote into a trace, with the types that its readers count on.

Metadata is input: any key may hold anything. What is of another kind than the writer writes is
left out here, so that it is absent everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.records import Record
from tracekit.taxonomy import Stage
from tracekit.trace.trace import Source

_LONGEST_NS = 10**18  # a longer time is none


class PlainRun(Record, frozen=True):
    """A request without the profiler, by the stages that it went through."""

    ttft_ns: int  # all stages before decode
    decode_ns: int
    tokens: int | None  # generated, the first included

    @property
    def wall_ns(self) -> int:
        return self.ttft_ns + self.decode_ns

    @property
    def tpot_ns(self) -> float | None:
        """Decode over the tokens after the first."""
        return self.decode_ns / (self.tokens - 1) if self.tokens and self.tokens > 1 else None


class RoundFacts(Record, frozen=True):
    """What one round made, added up over the rows of the batch that were not done."""

    drafted: int
    accepted: int
    judged: int | None  # draft tokens up to and with the first that was refused
    rows: int  # of the batch


class RequestFacts(Record, frozen=True):
    """One request: `rounds` by their number."""

    same_as_target: bool | None
    plain: PlainRun | None  # the pair, unprofiled
    alone: PlainRun | None  # the target alone on the same sample, in turns with `plain`
    rounds: tuple[RoundFacts, ...]


class PairFacts(Record, frozen=True):
    """Which models ran, and what each request gave."""

    draft: str | None
    target: str | None
    gamma: int | None
    requests: tuple[RequestFacts, ...]  # by the number of the sample


class CaptureFacts(Record, frozen=True):
    """What ran, and how it was recorded. None, or empty: the trace does not say."""

    model: str | None
    title: str | None
    size: str | None
    dtype: str | None
    attention: str | None
    cache: str | None
    checkpoint: str | None
    command: str | None
    text: str  # that the model made, of the first sample
    batch_size: int | None
    compile: bool
    random_weights: bool
    interrupted: bool
    synchronised: bool  # the device, after each stage
    device: str | None
    memory_bytes: int | None
    parameters: Mapping[str, int]  # by component
    versions: Mapping[str, str]  # by package
    tokens: Mapping[str, int]  # of the prompt, of a sensor, of tags
    prefill_tokens: int | None
    prefill_each: tuple[int | None, ...]  # of each sample, where they differ
    generated: tuple[int | None, ...]  # of each sample
    samples: int | None
    dataset: str | None
    spec: str | None  # of the data, as it was asked for
    synthetic: bool
    absent_stages: tuple[str, ...]  # that the model lacks
    options: Mapping[str, bool]  # of the profiler; empty where they are not said
    pair: PairFacts | None  # of speculative decoding

    @property
    def data(self) -> str | None:
        """The data set, else what was asked for."""
        return self.dataset or self.spec


def caution(title: str, size: str | None, random: bool, *, several: bool = False) -> str:
    """What must be known before a time of this run is quoted; empty for a published network.

    `title` is of one model, of a pair, or of `several` with commas between.
    """
    if size != "tiny" or not random:
        return ""
    draft, drafts, target = title.partition(":")[0].partition(", γ = ")[0].partition(" drafts for ")
    name = f"{draft} and {target}" if drafts else draft
    if drafts or several:
        return f"Tiny random networks: times are of these, not of {name}."
    return f"Tiny random network: times are of this network, not of {name}."


def captured(source: Source) -> CaptureFacts | None:
    """What `tracekit capture` wrote into the trace; None for a foreign one."""
    run = source.meta.get("tracekit")
    return _read(run) if isinstance(run, Mapping) and run else None


def _read(run: Mapping[str, object]) -> CaptureFacts:
    device, tokens, data, options = (
        _part(run, key) for key in ("device", "tokens", "data", "options")
    )
    return CaptureFacts(
        model=_text(run.get("model")),
        title=_text(run.get("title")),
        size=_text(run.get("size")),
        dtype=_text(run.get("dtype")),
        attention=_text(run.get("attention")),
        cache=_text(run.get("cache")),
        checkpoint=_text(run.get("checkpoint")),
        command=_text(run.get("command")),
        text=_first_text(run.get("text")),
        batch_size=whole(run.get("batch_size")),
        compile=bool(run.get("compile")),
        random_weights=bool(run.get("random_weights")),
        interrupted=bool(run.get("interrupted")),
        synchronised=options.get("sync") is not False,
        device=_text(device.get("name")),
        memory_bytes=whole(device.get("memory_bytes")),
        parameters=_counts(_part(run, "parameters")),
        versions={key: str(v) for key, v in _part(run, "versions").items() if v},
        tokens=_counts({key: tokens.get(key) for key in ("prompt", "sensor", "tags")}),
        prefill_tokens=whole(tokens.get("prefill")),
        prefill_each=_each(tokens.get("prefill_each")),
        generated=_each(tokens.get("generated")),
        samples=whole(_part(run, "schedule").get("samples")),
        dataset=_text(data.get("dataset")),
        spec=_text(data.get("spec")),
        synthetic=bool(data.get("synthetic")),
        absent_stages=tuple(v for v in _items(run.get("absent_stages")) if isinstance(v, str)),
        options={key: bool(value) for key, value in options.items()},
        pair=_pair(run),
    )


def _part(run: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = run.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def whole(value: object) -> int | None:
    """A whole number; None for all else, True and False too."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _counts(part: Mapping[str, object]) -> dict[str, int]:
    found = {key: whole(value) for key, value in part.items()}
    return {key: number for key, number in found.items() if number is not None}


def _each(value: object) -> tuple[int | None, ...]:
    return tuple(map(whole, _items(value)))


def _first_text(value: object) -> str:
    """Of texts of samples, and of rows of a batch, the first."""
    while isinstance(value, list) and value:
        value = value[0]
    return value.strip() if isinstance(value, str) else ""


def _pair(run: Mapping[str, object]) -> PairFacts | None:
    said = _part(run, "speculative")
    if not said:
        return None
    made = _each(_part(run, "tokens").get("generated"))
    plain = list(_objects(_part(run, "unprofiled").get("samples")))
    requests = []
    for place, one in enumerate(_objects(said.get("requests"))):
        count = made[place] if place < len(made) else None
        own = plain[place] if place < len(plain) else {}
        requests.append(_request(one, _plain(own, count)))
    return PairFacts(
        _text(said.get("draft")), _text(said.get("target")), whole(said.get("gamma")),
        tuple(requests),
    )  # fmt: skip


def _request(said: Mapping[str, object], plain: PlainRun | None) -> RequestFacts:
    same, alone = said.get("same_as_target"), _part(said, "alone")
    rounds = [_round(one) for one in _objects(said.get("rounds"))]
    known = tuple(one for one in rounds if one is not None)
    return RequestFacts(
        same if isinstance(same, bool) else None, plain,
        _plain(alone, whole(alone.get("tokens"))), known if len(known) == len(rounds) else (),
    )  # fmt: skip


def _plain(said: Mapping[str, object], tokens: int | None) -> PlainRun | None:
    """None where decode, or any stage, is no time."""
    stages = [said.get(stage.value) for stage in Stage]
    times = [whole(ns) for ns in stages if ns is not None]
    decode = whole(said.get(Stage.DECODE.value))
    known = [ns for ns in times if ns is not None and 0 <= ns < _LONGEST_NS]
    if not decode or len(known) < len(stages) - stages.count(None):
        return None
    return PlainRun(sum(known) - decode, decode, tokens)


def _round(said: Mapping[str, object]) -> RoundFacts | None:
    """None where the counts are not there, or cannot be true."""
    drafted, accepted = whole(said.get("drafted")), whole(said.get("accepted"))
    judged, rows = whole(said.get("judged")), whole(said.get("rows"))
    if drafted is None or accepted is None or not 0 <= accepted <= drafted:
        return None
    if rows is None:
        rows = 1
    if judged is None and rows == 1:
        judged = min(accepted + 1, drafted)
    fits = judged is None or accepted <= judged <= drafted
    return RoundFacts(drafted, accepted, judged if fits else None, max(rows, 1))


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    for one in value if isinstance(value, list) else ():
        yield one if isinstance(one, Mapping) else {}
