"""Calls that launch work, and calls that block, are known for each vendor's interface."""

import pytest
from tracekit.analyses.audit.analysis import audit

from tests.drawing import Slice, build
from tracekit.attribution.host_calls import BLOCKING, LAUNCHING, WAITING
from tracekit.trace.trace import Cat

LAUNCHES = [
    "cudaLaunchKernel", "cudaLaunchKernelExC", "cudaLaunchCooperativeKernel", "cuLaunchKernelEx",
    "cudaGraphLaunch", "hipLaunchKernel", "hipExtModuleLaunchKernel", "hipModuleLaunchKernel",
    "hipGraphLaunch", "urEnqueueKernelLaunch", "urEnqueueKernelLaunchWithArgsExp",
    "urEnqueueCooperativeKernelLaunchExp", "piEnqueueKernelLaunch",
    "zeCommandListAppendLaunchKernel", "zeCommandListAppendLaunchCooperativeKernel",
    "Node@launch", "aclrtLaunchKernel", "musaLaunchKernel", "topsLaunchKernel", "cnInvokeKernel",
]  # fmt: skip
WAITS = [
    "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cuCtxSynchronize",
    "hipStreamSynchronize", "hipDeviceSynchronize", "urQueueFinish", "urEventWait",
    "zeEventHostSynchronize", "zeCommandQueueSynchronize", "zeCommandListHostSynchronize",
    "zeFenceHostSynchronize", "aclrtSynchronizeStream", "synStreamSynchronize", "synchronize",
]  # fmt: skip
BLOCKS = ["cudaMemcpy", "hipMemcpyWithStream", "cuMemcpyDtoH_v2", "cudaMemcpy_ptds", "aclrtMemcpy"]
NEITHER = [
    "cudaMemcpyAsync", "hipMemcpyAsync", "cuMemcpyHtoDAsync_v2", "cudaMalloc", "cudaEventRecord",
    "cudaStreamWaitEvent", "cuLaunchHostFunc", "cudaLaunchHostFunc", "urEnqueueUSMMemcpy",
    "urEnqueueEventsWaitWithBarrier", "urEventWaitless", "aclrtMemcpyAsync", "cudaMemcpy2DAsync",
]  # fmt: skip


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches_are_known(name: str) -> None:
    assert LAUNCHING.search(name)
    assert not BLOCKING.search(name)


@pytest.mark.parametrize("name", [*WAITS, *BLOCKS])
def test_calls_that_block_are_known(name: str) -> None:
    assert BLOCKING.search(name)
    assert bool(WAITING.search(name)) == (name in WAITS)
    assert not LAUNCHING.search(name)


@pytest.mark.parametrize("name", NEITHER)
def test_calls_that_only_enqueue_are_neither(name: str) -> None:
    assert not BLOCKING.search(name)
    assert not LAUNCHING.search(name)


@pytest.mark.parametrize("name", ["urEnqueueKernelLaunch", "hipLaunchKernel", "Node@launch"])
def test_launches_without_any_work_refuse_whatever_the_vendor(name: str) -> None:
    slices = [Slice(n * 10, 5, name, Cat.RUNTIME, correlation=n) for n in range(1, 20)]
    found = audit(build(slices))
    assert found.verdict == "refused"
    assert found.trust("devices").verdict == "refused"
