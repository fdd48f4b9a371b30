"""Networks from elsewhere: PyTorch modules, exported programs, ONNX files."""

from .exported import from_exported, from_module
from .onnx_model import from_onnx
from .ops import UnsupportedError
from .source import load

__all__ = ["UnsupportedError", "from_exported", "from_module", "from_onnx", "load"]
