"""A device that is not there: what a model does on it, op by op, without a value computed.

torch lets a backend be written in Python; this one has none but a name, `pretend`, and fake tensors
stand for its memory. So a model of full size is built and run in a second: every op has the shapes,
dtypes and devices that it would have on a GPU, and nothing is allocated. What would make the host
wait for the device shows, since there is no value that the host could read.

A backend is of the whole process and stays: call it in a process of its own (`fresh.called`).
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tracekit.capture import plan as planning
from tracekit.capture.recorder import Recorder, request

NAME = "pretend"
ROOT = Path(__file__).resolve().parents[1]
# ops that read the device on the host to know a shape, or to check what they were given
READERS = {"nonzero", "masked_select", "multinomial", "equal", "is_nonzero", "_unique2",
           "unique_dim", "bincount", "linalg_vector_norm_out"}  # fmt: skip
# ops that do a model's FLOPs: they say in which dtype it computes
MATRIX = {"mm", "addmm", "bmm", "baddbmm", "convolution", "_thnn_fused_gru_cell"}
QUIET = {"device", "lift_fresh", "detach", "alias"}  # no work of a device


class Backend:
    """What torch asks of `torch.pretend`."""

    synchronised: ClassVar[int] = 0

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def manual_seed_all(self, seed: int) -> None: ...

    def _is_in_bad_fork(self) -> bool:
        return False

    def synchronize(self) -> None:
        Backend.synchronised += 1


@dataclass
class Seen:
    """What one stage did; what is counted has the place in the code that asked for it."""

    ops: int = 0
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)  # (what the host did, place)
    mixed: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (op, of what, place)
    matrix: Counter[str] = field(default_factory=Counter)  # dtype of ops with a model's FLOPs

    def to_json(self) -> dict[str, Any]:
        return {
            "ops": self.ops,
            "waits": [[*key, count] for key, count in sorted(self.waits.items())],
            "mixed": [[*key, count] for key, count in sorted(self.mixed.items())],
            "matrix": dict(self.matrix),
        }


class Watch(TorchDispatchMode):
    """Every op, in the stage that `at` names; stands above the fake tensors' own mode."""

    def __init__(self) -> None:
        super().__init__()
        self.at = "build"
        self.seen: dict[str, Seen] = {}

    @property
    def now(self) -> Seen:
        return self.seen.setdefault(self.at, Seen())

    def wait(self, what: str) -> None:
        self.now.waits[what, place()] += 1

    def __torch_dispatch__(
        self, op: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = op.overloadpacket.__name__
        if name in QUIET:
            return op(*args, **kwargs)
        tensors = list(within(args))
        if kwargs:
            tensors += within(tuple(kwargs.values()))
        self.now.ops += 1
        if name == "_local_scalar_dense":
            return self._read(tensors[0]) if on_it(tensors[0]) else op(*args, **kwargs)
        if name in ("_to_copy", "copy_"):
            return self._copied(op, name, tensors, args, kwargs)
        if name in READERS or indexed_by_mask(name, args):
            self.wait(f"{name} reads the device")
        self._compare(name, tensors)
        if name == "_thnn_fused_gru_cell":  # a kernel of CUDA, which fake tensors do not know
            hidden = args[2]
            return torch.empty_like(hidden), hidden.new_empty(len(hidden), 5 * hidden.shape[1])
        return op(*args, **kwargs)

    def _read(self, tensor: torch.Tensor) -> Any:
        self.wait("read")
        if tensor.dtype == torch.bool:
            return True  # what a check wants to hear
        return 0.0 if tensor.is_floating_point() else 0

    def _copied(
        self, op: Any, name: str, tensors: Sequence[torch.Tensor], args: Any, kwargs: Any
    ) -> Any:
        """A copy between host and device waits for what was launched before it."""
        source = tensors[-1]
        goal = kwargs.get("device") if name == "_to_copy" else tensors[0].device
        kind = source.device.type if goal is None else torch.device(goal).type
        if kind == source.device.type:
            return op(*args, **kwargs)
        if source.numel():
            self.wait("copy to the device" if kind == NAME else "read")
        if name == "copy_":
            return args[0]
        dtype = kwargs.get("dtype") or source.dtype
        return torch.empty(source.shape, dtype=dtype, device=goal)

    def _compare(self, name: str, tensors: Sequence[torch.Tensor]) -> None:
        floats = {str(one.dtype)[6:] for one in tensors if one.is_floating_point()}
        devices = {one.device.type for one in tensors}
        for found in (floats, devices):
            if len(found) > 1:
                self.now.mixed[name, " and ".join(sorted(found)), place()] += 1
        if name in MATRIX or name == "attention":
            self.now.matrix.update(floats)

    def attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
        attn_mask: torch.Tensor | None = None, *_more: Any, **_named: Any,
    ) -> torch.Tensor:  # fmt: skip
        """Fused attention as the one op that it is on a GPU; a float mask has the dtype of q."""
        self.now.ops += 1
        self._compare("attention", [one for one in (q, k, v, attn_mask) if one is not None])
        return torch.empty((*q.shape[:-1], v.shape[-1]), dtype=q.dtype, device=q.device)

    def lists(self, tensor: torch.Tensor) -> Any:
        """`tolist` is one copy to the host, however many values there are."""
        self.now.ops += 1
        if on_it(tensor):
            self.wait("read")
        return zeros(list(tensor.shape))


def within(values: Any) -> Iterator[torch.Tensor]:
    """The tensors among an op's arguments, which are lists at most."""
    for one in values:
        if isinstance(one, torch.Tensor):
            yield one
        elif isinstance(one, list | tuple):
            yield from within(one)


def on_it(tensor: torch.Tensor) -> bool:
    return tensor.device.type == NAME


def zeros(shape: list[int]) -> Any:
    return [zeros(shape[1:]) for _ in range(shape[0])] if shape else 0


def indexed_by_mask(name: str, args: Any) -> bool:
    if name not in ("index", "index_put", "index_put_") or len(args) < 2:
        return False
    return any(isinstance(one, torch.Tensor) and one.dtype == torch.bool for one in args[1])


def place() -> str:
    """file:function of the innermost caller that is neither torch nor this file."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        named = not frame.f_code.co_name.startswith("<")  # what runs a comprehension differs
        if named and "/torch/" not in file and file != __file__:
            short = file.split("site-packages/")[-1].removeprefix(f"{ROOT}/")
            return f"{short}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"


@contextlib.contextmanager
def device() -> Iterator[Watch]:
    """Inside, `pretend` is a device, and the watch sees what is done on it."""
    if not hasattr(torch, NAME):
        _setup_privateuseone_for_python_backend(NAME, backend_module=Backend())
    watch = Watch()
    host = torch.Generator

    class Generator(host):  # type: ignore[misc, valid-type]
        def __new__(cls, device: Any = "cpu") -> Any:
            return host.__new__(cls, "cpu")

    kept = torch.nn.functional.scaled_dot_product_attention
    torch.Generator = Generator  # type: ignore[misc]
    torch.nn.functional.scaled_dot_product_attention = watch.attention  # type: ignore[assignment]
    FakeTensor.tolist = lambda self: watch.lists(self)  # type: ignore[method-assign]
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), watch:
            # torch.tensor(…, device=…): made on the host, its copy an op that the watch sees
            torch._C._set_only_lift_cpu_tensors(True)
            yield watch
    finally:
        torch.Generator = host  # type: ignore[misc]
        torch.nn.functional.scaled_dot_product_attention = kept


class Staged:
    """An adapter that tells the watch in which stage it is."""

    def __init__(self, adapter: Any, watch: Watch) -> None:
        self.adapter, self.watch = adapter, watch
        self.outputs: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.adapter, name)
        return self._marked(name, found) if name in STAGES else found

    def _marked(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            self.watch.at = name
            out = method(*given)
            self.watch.at = "between"
            self.outputs[name] = tensors_of(out)
            return out

        return call


def of_the_host(processor: Any) -> Any:
    """A processor of pictures, whose values are needed: it works on the host, with real tensors."""

    class Real:
        def __getattr__(self, name: str) -> Any:
            return getattr(processor, name)

        def __call__(self, *given: Any, **named: Any) -> Any:
            with _disable_current_modes():
                return processor(*given, **named)

    return Real()


STAGES = ("load", "preprocess", "encode", "prefill", "decode")


def tensors_of(value: Any) -> list[list[Any]]:
    """[shape, dtype, device] of every tensor in what a stage returned."""
    names = getattr(type(value), "__slots__", None) or ()
    parts = [getattr(value, name) for name in names] if names else [value]
    return [
        [list(one.shape), str(one.dtype)[6:], one.device.type]
        for one in tree_leaves(parts)
        if isinstance(one, torch.Tensor)
    ]


def ran(name: str, given: Mapping[str, Any], tokens: int = 3) -> dict[str, Any]:
    """What a model does, stage by stage, in a request; in two where a cache stays."""
    requests = 2 if given.get("cache") == "static" else 1
    with device() as watch, torch.no_grad():
        made = planning.plan(name, device=NAME, max_new_tokens=tokens, **given)
        adapter = Staged(planning.build(made), watch)
        if hasattr(adapter.adapter, "processor"):
            adapter.adapter.processor = of_the_host(adapter.adapter.processor)
        recorder = Recorder(mark=False, sync=planning.synchroniser(NAME))
        before = Backend.synchronised
        with TemporaryDirectory() as folder:
            (sample,) = planning.feed(made, Path(folder))[:1]
            seen: list[dict[str, Any]] = []
            built = watch.seen.pop("build").to_json()
            for _ in range(requests):
                watch.seen.clear()
                done = request(adapter, sample, 0, recorder, most_steps=tokens - 1)
                seen.append({stage: one.to_json() for stage, one in watch.seen.items()})
        return {
            "build": built,
            "requests": seen,
            "outputs": adapter.outputs,
            "tokens": done.tokens,
            "prefill_tokens": done.prefill_tokens,
            "synchronised": Backend.synchronised - before,
            "dims": dict(adapter.facts.dims),
            "values": sum(adapter.facts.parameters.values()),
            "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def shallow(layers: int = 2) -> None:
    """The published widths with few layers: each layer does what every other does."""
    from tracekit.models.eventgpt import model as eventgpt
    from tracekit.models.llasa import model as llasa
    from tracekit.models.onellm import model as onellm

    sizes: tuple[Any, ...] = (onellm.SIZES, llasa.SIZES, eventgpt.SIZES)
    fewer = {"num_hidden_layers": layers}
    sizes[0]["full"] = replace(
        sizes[0]["full"], n_layers=layers, clip_layers=layers, n_resample_layers=1
    )
    sizes[1]["full"] = {**sizes[1]["full"], **fewer}
    sizes[2]["full"] = {part: {**one, **fewer} for part, one in sizes[2]["full"].items()}


def shallow_runs(name: str, each: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`ran` of every one of these plans, all with two layers."""
    shallow()
    return [ran(name, given) for given in each]


def faults() -> dict[str, Any]:
    """What the watch says of code that mixes dtypes, mixes devices, and reads on the host."""

    def mixes_dtypes(x: torch.Tensor) -> None:
        x * torch.ones(3, device=NAME, dtype=torch.float32)

    def mixes_with_a_number_of_the_host(x: torch.Tensor) -> None:
        x * torch.tensor(2.0, dtype=x.dtype)

    def reads_a_value(x: torch.Tensor) -> None:
        if x.sum() > 0:
            x.tolist()
        x[0].item()

    def selects_by_mask(x: torch.Tensor) -> None:
        x.cpu()
        with contextlib.suppress(Exception):  # how many there are, nobody knows here
            x[x > 0]

    def makes_an_input(x: torch.Tensor) -> None:
        torch.tensor([1, 2], device=x.device)

    found: dict[str, Any] = {}
    with device() as watch:
        x = torch.ones(3, device=NAME, dtype=torch.bfloat16)
        for fault in (mixes_dtypes, mixes_with_a_number_of_the_host, reads_a_value,
                      selects_by_mask, makes_an_input):  # fmt: skip
            watch.at = fault.__name__
            fault(x)
            found[watch.at] = watch.seen[watch.at].to_json()
        try:
            x + torch.ones(3, dtype=torch.bfloat16)
            found["mixes_devices"] = "nothing"
        except RuntimeError as error:
            found["mixes_devices"] = str(error)
    return found


def of_transformers(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`ran` of a model of transformers: two layers of published widths, without weights on disk."""
    import transformers

    library: Any = transformers
    made = library.AutoConfig.for_model(kind, **WIDTHS[kind])
    with TemporaryDirectory() as name:
        folder = Path(name)
        made.architectures = [ARCHITECTURES[kind]]
        made.save_pretrained(folder)
        if kind == "llava":
            _processor(library, folder)
        return ran(f"hf:{folder}", given)


def of_weights(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`ran` of a tiny model of the grid with its weights in a folder, which are read."""
    from tests.grid import made
    from tests.grid.families import CAUSAL

    config = made.configured(kind, CAUSAL[kind])
    with TemporaryDirectory() as name:
        made.saved(made.library().AutoModelForCausalLM.from_config(config), Path(name))
        return ran(f"hf:{name}", given)


LLAMA_3_8B: Mapping[str, Any] = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "num_hidden_layers": 2,
}  # fmt: skip
WIDTHS: Mapping[str, Mapping[str, Any]] = {
    "llama": LLAMA_3_8B,
    "mixtral": {**LLAMA_3_8B, "vocab_size": 32000},
    "llava": {
        "text_config": {**LLAMA_3_8B, "model_type": "llama"},
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
            "num_attention_heads": 16, "num_hidden_layers": 3, "image_size": 336, "patch_size": 14,
        },
        "image_token_index": 4,
    },
}  # fmt: skip
ARCHITECTURES = {
    "llama": "LlamaForCausalLM", "mixtral": "MixtralForCausalLM",
    "llava": "LlavaForConditionalGeneration",
}  # fmt: skip


def _processor(library: Any, folder: Path) -> None:
    from tests.unit.test_causal_lm import tokenizer

    size = {"height": 336, "width": 336}
    library.LlavaProcessor(
        image_processor=library.CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=size),
        tokenizer=tokenizer(),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
