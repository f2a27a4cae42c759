"""What an exception or a native message is called among the causes."""

from __future__ import annotations

import re
from typing import Literal, get_args

Cause = Literal[
    "cuda_oom",
    "host_oom",
    "oom_killer",
    "nccl",
    "cuda_runtime",
    "device_mismatch",
    "nan_loss",
    "segfault",
    "missing_module",
    "file_not_found",
    "permission",
    "assertion",
    "div_zero",
    "runtime_error",
    "traceback",
    "none",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)

GENERIC: frozenset[Cause] = frozenset({"runtime_error", "traceback", "assertion"})
"""Causes that say little: a special one in the same chain, or a loss that had been no number, says more."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_BY_MESSAGE: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    (
        "cuda_oom",
        _any(
            r"(cuda|hip|xpu|npu|mps|gpu)( backend)?( error:)? out of memory",
            r"CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|hipErrorOutOfMemory",
            r"\bOutOfMemoryError: (?!Java)(CUDA|HIP|XPU|NPU|Allocation on device|Out of memory allocating)",
            r"\bResourceExhaustedError\b|out of memory error on GPU",
            r"RESOURCE_EXHAUSTED: .*(out of memory|failed to allocate|while trying to allocate)",
            r"CU(BLAS|DNN)_STATUS_ALLOC_FAILED|CUSPARSE_STATUS_ALLOC_FAILED",
            r"OOM when allocating tensor with shape.* (GPU|device:GPU)",
            r"OOM when allocating tensor with shape(?!.*(CPU|cpu))",
            r"Failed to allocate memory for requested buffer of size .*|failed to allocate .* from device: ",
            r"no available memory for the cache blocks",
        ),
    ),
    (
        "host_oom",
        _any(
            r"DefaultCPUAllocator: (can't allocate|not enough) memory",
            r"\[Errno 12\]|Cannot allocate memory",
            r"std::bad_alloc|ArrayMemoryError|ArrowMemoryError|Unable to allocate [\d.]+ [KMGTP]?i?B",
            r"unable to mmap \d+ bytes|insufficient shared memory|out of shared memory\b",
            r"unable to (allocate|open|write to) (shared memory|file </torch_)|shm_open.*No space left",
            r"java\.lang\.OutOfMemoryError",
        ),
    ),
    (
        "oom_killer",
        _any(
            r"killed by signal: Killed|(?-i:\bSIGKILL\b)|signal 9\b|Signals\.SIGKILL",
            r"node running low on memory|memory monitor .*kill",
        ),
    ),
    (
        "segfault",
        _any(r"\bsegmentation fault\b|SIGSEGV|signal 11\b", r"SIGBUS|SIGILL|signal 7\b"),
    ),
    (
        "device_mismatch",
        _any(
            r"expected all tensors to be on the same device",
            r"(tensors|indices|buffers|weights?) .*\bon the same device\b(?!.*meta)",
            r"expected .{1,80}\bdevice( type)? \S+ but got .{0,80}device",
            r"but found one of them on device",
            r"are not at the same device|not on the same device|on different devices",
            r"is on (cpu|cuda:?\d*|mps\S*),? but expected .{0,40}\b(on )?(gpu|cuda|cpu|mps)",
            r"expected .{0,60}(to be|is) on (the )?(gpu|cuda|cpu).{0,40}\bbut (got|is|found|was)",
            r"only work with single-device/multiple-device",
            r"pointer argument .* cannot be accessed from triton",
            r"Placeholder storage has not been allocated on MPS device",
            r"Expected a '?(cuda|cpu|mps)\S*'? device type for generator but found",
        ),
    ),
    (
        "nan_loss",
        _any(
            r"\bloss\b.{0,40}\b(is|was|became|becomes|of|are|=|:|turned|went|has become)\b "
            r"?.{0,20}(\bnan\b|\binf\b|infinite|non-?finite|not finite|invalid)",
            r"\b(nan|inf|infinite|non-?finite|invalid)\b[^.;]{0,30}\bloss(es)?\b",
            r"returned nan values in its \d+th output",
            r"minimum loss scale reached|loss scale already at minimum",
            r"found (nan|inf) in (local )?(forward|backward|grad)|nan (in|for) (the )?(gradients?|grad norm)",
            r"gradient( norm)?s? (is|are|contains?) (nan|inf|non-?finite|not finite)|non-?finite "
            r"(grad|total norm)",
            r"the total norm .* is non-finite",
        ),
    ),
    (
        "cuda_runtime",
        _any(
            r"device-side assert",
            r"(cuda|hip) (runtime |driver )?error\b",
            r"\b(cublas|cudnn|cusolver|cufft|cusparse|curand|miopen|hipblas)(Lt)?( error|_STATUS_|: )",
            r"illegal (memory access|instruction was encountered)|unspecified launch failure"
            r"|misaligned address",
            r"uncorrectable (nvlink|ecc)|uncorrectable ECC|fallen off the bus|NVRM: Xid",
            r"no kernel image is available|no cuda gpus are available|invalid device ordinal",
            r"found no nvidia driver|nvidia driver on your system",
            r"cuda (unknown error|initialization|driver version|driver initialization)",
            r"not compiled with cuda|unable to find (a valid cudnn algorithm|an engine to execute)",
            r"CUDA_ERROR_\w+|cudaError\w+|cuda-capable device.* (busy|detected)|driver shutting down",
            r"nvml(error|_error)|Failed to initialize NVML",
            r"failed call to cuInit|CUDNN_STATUS",
        ),
    ),
    (
        "nccl",
        _any(
            r"\b[NR]CCL\b.{0,40}(error|abort|timed? ?-?out|failure|failed|unhandled)|nccl\w*Error\b|HCCL",
            r"collective operation time-?out|ProcessGroup(NCCL|Gloo|MPI).*(time|error|abort|terminat)",
            r"gloo.{0,200}(connection|timed? ?out|reset|refused|closed|socket)",
            r"(TCPStore|client socket|store).{0,120}(timed? ?out|timeout|broken pipe|connection "
            r"(reset|closed|refused))",
            r"(timed? ?out|timeout).{0,80}(barrier|store|clients joined|rendezvous|TCPStore)",
            r"recvValue failed|sendBytes failed|recvBytes failed|failed to recv, got 0 bytes",
            r"Connection closed by (remote )?peer|rendezvous.{0,40}(closed|time)|barrier.{0,60}timed out",
            r"DistBackendError|DistNetworkError|DistStoreError",
        ),
    ),
    (
        "missing_module",
        _any(
            r"\bNo module named\b|cannot import name|specified module could not be found",
            r"cannot open shared object file|undefined symbol|DLL load failed",
        ),
    ),
    (
        "permission",
        _any(
            r"\[Errno (13|1|30)\]|Permission denied|Read-only file system|AccessDenied",
            r"gated repo|access to (model|dataset) .* is restricted|You don't have permission"
            r"|Operation not permitted",
        ),
    ),
    (
        "file_not_found",
        _any(
            r"\[Errno 2\]|No such file or directory|does not appear to have a file named|no file named",
            r"\bfile .*\b(not found|does not exist|doesn't exist)|(not find|find no) (any )?(file"
            r"|checkpoint)",
            r"is not a local folder and is not a valid model identifier|FileNotFoundError",
            r"(checkpoint|dataset|path|directory|folder|weights?|config)\b.{0,200}\b(does not exist"
            r"|doesn't exist|not found)\b",
        ),
    ),
    ("div_zero", _any(r"ZeroDivisionError|(?:integer )?division by zero")),
)

_BY_CLASS: dict[str, Cause] = {
    "MemoryError": "host_oom",
    "_ArrayMemoryError": "host_oom",
    "ArrowMemoryError": "host_oom",
    "OutOfMemoryError": "cuda_oom",
    "ResourceExhaustedError": "cuda_oom",
    "ModuleNotFoundError": "missing_module",
    "ImportError": "missing_module",
    "PackageNotFoundError": "missing_module",
    "DistributionNotFound": "missing_module",
    "FileNotFoundError": "file_not_found",
    "MissingConfigException": "file_not_found",
    "PermissionError": "permission",
    "GatedRepoError": "permission",
    "AssertionError": "assertion",
    "ZeroDivisionError": "div_zero",
    "RuntimeError": "runtime_error",
    "error": "runtime_error",
    "DistBackendError": "nccl",
    "DistNetworkError": "nccl",
    "DistStoreError": "nccl",
    "RendezvousTimeoutError": "nccl",
    "RendezvousConnectionError": "nccl",
}

_SAY_ALL = frozenset(
    {"ModuleNotFoundError", "ImportError", "FileNotFoundError", "PermissionError", "ZeroDivisionError"}
    | {"MemoryError", "_ArrayMemoryError", "GatedRepoError", "PackageNotFoundError", "KeyError", "NameError"}
    | {
        "AttributeError",
        "IndexError",
        "SyntaxError",
        "IndentationError",
        "UnicodeDecodeError",
        "JSONDecodeError",
    }
)
"""Classes whose message changes nothing: a missing file may be called what it likes."""

_OF_NO_PLACE: dict[str, frozenset[Cause]] = {
    "AssertionError": frozenset({"nan_loss", "cuda_runtime"}),
    "ValueError": frozenset({"nan_loss", "device_mismatch", "file_not_found", "cuda_oom"}),
    "TypeError": frozenset({"device_mismatch"}),
}
"""What the message of a general class may make of it; of others, anything."""

_TENSOR_TYPES = re.compile(
    r"(?:Input|weight|bias|expected|argument) type \(?'?(?P<one>[\w.]+)'?\)? .*?type "
    r"\(?'?(?P<other>[\w.]+)'?\)? should be"
)


def cause_of_exception(name: str, message: str) -> Cause:
    """What an exception is as a cause of death.

    Args:
        name: Its class, with or without modules; ``RayTaskError(OutOfMemoryError)`` is what is in the brackets.
        message: What it says.
    """
    inner = re.search(r"\((\w[\w.]*)\)$", name)
    short = (inner[1] if inner else name).rsplit(".", 1)[-1]
    if short in _SAY_ALL:
        known = _BY_CLASS.get(short, "traceback")
        linked = known == "file_not_found" and "shared object file" in message
        return "missing_module" if linked else known
    if short == "OutOfMemoryError" and name.startswith("ray.") and inner is None:
        return "oom_killer"
    by_message = cause_of_message(message)
    allowed = _OF_NO_PLACE.get(short)
    if by_message is not None and (allowed is None or by_message in allowed):
        return by_message
    if short.endswith("RuntimeError"):
        return "runtime_error"
    return "nccl" if short.startswith("nccl") else _BY_CLASS.get(short, "traceback")


def cause_of_message(message: str) -> Cause | None:
    """What a message is known to mean, whatever said it; ``None`` where it says nothing special."""
    if types := _TENSOR_TYPES.search(message):
        on_gpu = {"cuda" in kind.lower() or "mps" in kind.lower() for kind in (types["one"], types["other"])}
        if len(on_gpu) == 2:
            return "device_mismatch"
    # "NCCL error in: …, unhandled cuda error" is NCCL's.
    if "NCCL error in" in message:
        return "nccl"
    return next((cause for cause, pattern in _BY_MESSAGE if pattern.search(message)), None)
