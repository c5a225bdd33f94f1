"""Which files of Python are the program's own, and which of a library or of Python itself."""

from __future__ import annotations

import sys

from tracekit.patterns import later

# what a program calls and did not write; serving engines are the program
_WORDS = (
    "torch torchvision torchaudio transformers accelerate diffusers peft safetensors tokenizers"
    " huggingface_hub numpy scipy PIL cv2 pandas tqdm triton functorch torch_tensorrt apex"
    " deepspeed lightning lightning_fabric pytorch_lightning einops timm flash_attn xformers"
    " bitsandbytes decorator tracekit aiter csrc sgl_kernel flashinfer vllm_flash_attn liger_kernel"
    " fla mamba_ssm causal_conv1d deep_gemm deep_ep"
)
_LIBRARIES = frozenset(_WORDS.split())
_PACKAGES = later(r"^.*/(?:site|dist)-packages/|^.*/lib/python3(?:\.\d+)?/")
_STANDARD = frozenset(sys.stdlib_module_names) - {"test", "this"}


def is_library(path: str) -> bool:
    """Whether a file is of Python itself or of a library."""
    rest = _PACKAGES.sub("", path)
    top = rest.lstrip("/").split("/")[0].removesuffix(".py").removesuffix(".pyx")
    installed = rest != path and "packages" not in path
    return installed or top in _LIBRARIES or top in _STANDARD


def spoken(path: str, line: int | str, name: str) -> str:
    """A frame as `folder/file.py:12 function`."""
    return f"{'/'.join(path.split('/')[-2:])}:{line} {name}"
