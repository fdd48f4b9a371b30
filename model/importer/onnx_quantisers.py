"""ONNX quantisers of activations: QuantizeLinear and DequantizeLinear, QONNX's Quant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from . import ops
from .onnx_file import levels
from .ops import Op, Site

if TYPE_CHECKING:
    from .onnx_ops import Reader

Marks = dict[str, Any]


def quantize(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    """Read QuantizeLinear."""
    scale, zero = r.constant(site, node, 1, "scale"), r.constant(site, node, 2, "zero point")
    step, (low, high) = _step(site, scale), _span(site, zero, m)
    start = 0.0 if zero is None else _one(site, zero)
    r.quantised[node.output[0]] = step, start
    name = r.value(site, node)
    return _quantiser(site, name, node.output[0], step, low - start, high - start)


def dequantize(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    """Read DequantizeLinear behind the quantiser it belongs to."""
    known = r.quantised.get(node.input[0])
    scale, zero = r.constant(site, node, 1, "scale"), r.constant(site, node, 2, "zero point")
    start = 0.0 if zero is None else _one(site, zero)
    if known != (_step(site, scale), start):
        raise site.refuse(
            "does not follow a QuantizeLinear of the same scale and zero point",
            "use pairs of QuantizeLinear and DequantizeLinear",
        )
    return ops.Reshape(site, (r.value(site, node),), node.output[0])


def quant(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    """Read a QONNX quantiser of an activation."""
    if node.op_type == "BipolarQuant":
        raise site.refuse("makes signs of activations", "use a quantiser of 2 bits or more")
    scale, zero, bits = (
        r.constant(site, node, i, what)
        for i, what in ((1, "scale"), (2, "zero point"), (3, "width"))
    )
    step, start = _step(site, scale), _one(site, zero)
    low, high = levels(node, _one(site, bits))
    name = r.value(site, node)
    return _quantiser(site, name, node.output[0], step, low - start, high - start)


def _quantiser(site: Site, source: str, out: str, step: float, low: float, high: float) -> Op:
    if not low <= 0 < high:
        raise site.refuse(
            f"has levels {low:g}..{high:g}", "0 must be a level, and not the highest one"
        )
    return ops.Quantiser(site, (source,), out, step, low, high)


def _span(site: Site, zero: Any, marks: Marks) -> tuple[float, float]:
    """Return the lowest and the highest level of QuantizeLinear: those of its zero point's type."""
    kind = "uint8" if zero is None else str(np.asarray(zero).dtype)
    if zero is None and marks.get("output_dtype"):
        kind = onnx.TensorProto.DataType.Name(marks["output_dtype"]).lower()
    found = re.fullmatch(r"(u?)int(\d+)", kind)
    if not found:
        raise site.refuse(f"quantises to {kind}", "quantise to integers")
    count = 2.0 ** int(found[2])
    return (0.0, count - 1) if found[1] else (-count / 2, count / 2 - 1)


def _one(site: Site, value: Any) -> float:
    """Return a zero point or width that is the same for all channels."""
    values = np.reshape(np.asarray(value, np.float64), -1)
    if not values.size or not np.all(values == values[0]):
        raise site.refuse(
            f"has {values.size} zero points or widths", "use one zero point per tensor"
        )
    return float(values[0])


def _step(site: Site, scale: Any) -> float:
    values = np.reshape(np.asarray(scale, np.float64), -1)
    if values.size != 1 or not np.isfinite(values[0]) or values[0] <= 0:
        raise site.refuse(
            f"quantises an activation with {values.size} scales, the first "
            f"{values[0] if values.size else None}",
            "use one positive scale per tensor",
        )
    return float(values[0])
