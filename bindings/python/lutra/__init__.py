"""Inference and quantization-aware training of LUT-quantized neural networks.

docs/python.md walks through it. lutra.qat is imported when it is first used.
"""

from ._errors import (
    CancelledError,
    ContextFullError,
    DamagedError,
    Error,
    InternalError,
    InvalidArgumentError,
    IoError,
    NoPermissionError,
    NoThreadsError,
    NotFoundError,
    OutOfMemoryError,
    UnsupportedError,
)
from ._lutra import (
    CalibrationReport,
    Generation,
    ImportReport,
    LanguageModel,
    Model,
    PackedTensor,
    PackReport,
    Sequence,
    Session,
    TensorInfo,
    TextScore,
    Tokenizer,
    Value,
    Weight,
    __version__,
    calibrate,
    import_model,
    pack,
    perplexity,
    write_model,
)

__all__ = [
    "CalibrationReport",
    "CancelledError",
    "ContextFullError",
    "DamagedError",
    "Error",
    "Generation",
    "ImportReport",
    "InternalError",
    "InvalidArgumentError",
    "IoError",
    "LanguageModel",
    "Model",
    "NoPermissionError",
    "NoThreadsError",
    "NotFoundError",
    "OutOfMemoryError",
    "PackReport",
    "PackedTensor",
    "Sequence",
    "Session",
    "TensorInfo",
    "TextScore",
    "Tokenizer",
    "UnsupportedError",
    "Value",
    "Weight",
    "__version__",
    "calibrate",
    "import_model",
    "pack",
    "perplexity",
    "qat",
    "write_model",
]


def __getattr__(name):
    if name == "qat":
        import importlib

        return importlib.import_module(".qat", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
