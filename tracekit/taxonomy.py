"""The words that all rooms share: the stages of a request, their markers, the kinds of GPU work."""

from enum import StrEnum

PREFIX = "tracekit::"


class Stage(StrEnum):
    """In the order in which a request passes through them."""

    LOAD = "load"
    PREPROCESS = "preprocess"
    ENCODE = "encode"
    PREFILL = "prefill"
    DECODE = "decode"

    @property
    def marker(self) -> str:
        """The `record_function` name that marks this stage."""
        return f"{PREFIX}{self.value}"

    @property
    def draft_marker(self) -> str:
        """The marker of this stage of a draft model; nested in the same stage of its target.

        Its decode has none: draft steps lie in the rounds of the target's.
        """
        return f"{PREFIX}draft_{self.value}"


class Whole(StrEnum):
    """Names of rows that add up all others; an annotation of the same name is plain text."""

    STAGES = "all stages"
    TRACE = "whole trace"


SAMPLE = f"{PREFIX}sample#"  # followed by the sample's number
DECODE_STEP = f"{PREFIX}decode_step#"  # followed by the number of the decoded token

# speculative decoding, inside the target's decode stage
ROUND = f"{PREFIX}round#"  # followed by the round's number; what follows lies in rounds
DRAFT_STEP = f"{PREFIX}draft_step#"  # followed by the number of the draft token in its round
TRANSLATE = f"{PREFIX}translate"  # tokens of the one model through text to those of the other
VERIFY = f"{PREFIX}verify"  # the target's pass over the draft tokens
ACCEPT = f"{PREFIX}accept"  # how many of them stay: by comparison, or by rejection sampling
ROLL_BACK = f"{PREFIX}roll_back"  # what was refused leaves the caches


class Category(StrEnum):
    """Kinds of GPU work, in the order in which every table and chart shows them."""

    GEMM = "gemm"
    ATTENTION = "attention"
    NORM = "normalisation"
    SSM = "state space"  # scans of state-space and linear-attention layers
    ROTARY = "rotary"
    EMBEDDING = "embedding"  # look-ups in tables, and their gradients
    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    SAMPLING = "softmax/sampling"
    SORT = "sort/scan"
    OPTIMIZER = "optimizer"
    COPY = "copy/layout"  # kernels that move or reshape data
    COMMUNICATION = "communication"
    OTHER = "other"
    MEMCPY = "memcpy"  # by the trace's own category, not by name
    MEMSET = "memset"


class FindingKind(StrEnum):
    """What a finding claims; docs/findings.md says how each is computed and what it leaves open."""

    # idle time of a device
    LAUNCH_BOUND = "launch_bound"
    BETWEEN_STEPS = "between_steps"
    HOST_WORK = "host_work"
    HOST_SYNC = "host_sync"
    DATA_LOADING = "data_loading"
    ALLOCATION = "allocation"
    INITIALISATION = "initialisation"
    COMPILED = "compiled_region_overhead"
    LAUNCH_LATENCY = "launch_latency"
    STREAM_WAIT = "stream_wait"
    DEVICE_IDLE = "device_idle"
    # communication and copies that nothing covers
    COLLECTIVE = "collective_wait"
    COPY = "copy"
    # kernel time
    MEMORY_BANDWIDTH = "memory_bandwidth"
    GEMM = "gemm_efficiency"
    ATTENTION = "attention_efficiency"
    EXPERT_GEMM = "expert_gemm"
    UNFUSED_ATTENTION = "unfused_attention"
    UNFUSED_ELEMENTWISE = "unfused_elementwise"
    EMBEDDING = "embedding"
    OPTIMIZER = "optimizer"
    ONE_KERNEL = "one_kernel"
    # the rest
    SATURATED = "saturated"
    ABOVE_FLOOR = "above_floor"
    LARGEST_STAGE = "largest_stage"
    SLOW_TOKENS = "slow_tokens"
    # speculative decoding
    NOT_THE_TARGETS = "not_the_targets_output"
    DRAFT_COST = "draft_cost"
    DRAFT_PREFILL = "draft_prefill"
    DRAFT_LENGTH = "draft_length"
    MEMORY = "memory"
    RECORD_MORE = "record_more"


class OwnKind(str):
    """A kind of finding that an analysis of another package adds and its entry declares."""

    __slots__ = ()
