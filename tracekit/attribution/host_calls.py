"""Which calls of the host launch work, and which block until the device is done, by their names.

Sources: CUDA's runtime and driver API; HIP's (`hip_runtime_api.h`); Unified Runtime and Level Zero
(oneapi-src/unified-runtime, level-zero `ze_api.h`: what Kineto's xpupti plugin records as
`xpu_runtime` and `xpu_driver`); AscendCL and torch_npu's `Node@launch`; Synapse (`syn…`), TOPS
(`tops…`), CNRT (`cnrt…`); a trace of MTIA's runtime.
"""

from __future__ import annotations

from tracekit.patterns import later

# A kernel, or a graph of them; not functions that run on the host in a stream's order
LAUNCHING = later(
    r"Launch(?:Cooperative)?(?:Multi)?Kernel"  # cuda, hip, musa, tops, zeCommandListAppend…
    r"|GraphLaunch|ModuleLaunch|^cuLaunch(?!HostFunc)|^hipLaunchByPtr"
    r"|Enqueue(?:Cooperative)?KernelLaunch|^clEnqueueNDRangeKernel"  # urEnqueue…, piEnqueue…
    r"|^Node@launch$|^rtKernelLaunch|^aclmdlRIExecute|^syn(?:apse)?Launch|^cn(?:rt)?InvokeKernel"
    r"|^nrt_?[Ee]xecute|^runFunction\b"
)

# Waiting until a stream, a device, a context, a queue or an event is done
WAITING = later(
    r"(?i:synchroni[sz]e)"  # cuda…, hip…, ze…HostSynchronize, aclrtSynchronizeStream, syn…, musa…
    r"|^(?:ur|pi)QueueFinish|^urEventWait(?:\b|_)|^piEventsWait|^clFinish|^clWaitForEvents"
    r"|^cnrtQueueSync|^hsa_signal_wait"
)
# CUPTI's names end in the version and the kind of the default stream, where nobody took them off
_END = r"(?:_v\d+)?(?:_pt[ds]s?z?)?$"
_BLOCKING_COPY = (
    r"^(?:cuda|hip|musa|aclrt|topsrt|tops)Memcpy(?:2D|3D|WithStream|HtoD|DtoH)?" + _END
    + r"|^cuMemcpy(?:DtoH|HtoD|DtoD)?" + _END
)  # fmt: skip
# Waiting, and copies that return only when the bytes are there
BLOCKING = later(f"{WAITING.pattern}|{_BLOCKING_COPY}")
