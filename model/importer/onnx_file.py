"""ONNX files: opened, checked, with known shapes and constants."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from .ops import Site, UnsupportedError

OPSET_MIN = 13
STANDARD = ("", "ai.onnx")
QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "qonnx.custom_op.brevitas")


class OnnxFile:
    """One checked model.

    Parameters
    ----------
    path : Path
    size : tuple[int, int], optional
        Rows and columns of a picture, for a model that leaves them open.

    Attributes
    ----------
    nodes : list of NodeProto
        Those that depend on the input and that a result depends on.
    constants : dict[str, ndarray]
        By value.
    shapes : dict[str, tuple[int, ...]]
        Of values; the batch is 1.
    input : str
    shape : tuple[int, int, int]
        Of the input, without the batch.
    pixels : bool
        The input is uint8.
    outputs : tuple[str, ...]

    Raises
    ------
    UnsupportedError
        If the model does not read one picture-shaped tensor of one size.
    ValueError
        If the file is missing, damaged, or not ONNX.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.path = path
        model = self._open()
        self._check_opset(model)
        if model.functions:
            model = inline_local_functions(model)
        graph = model.graph
        self.outputs = tuple(value.name for value in graph.output)
        self.constants = {t.name: self._array(t) for t in graph.initializer}
        self.input, self.shape = self._fix_input(graph, size)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.nodes = self._live(list(graph.node))
        left = None
        while left != len(self.nodes):  # constants give shapes, and shapes constants
            left = len(self.nodes)
            self._infer(model)
            self.nodes = [node for node in self.nodes if not self._fold(node, model)]

    def _open(self) -> onnx.ModelProto:
        path = self.path
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        try:
            model = onnx.load(path)
        except Exception as error:  # protobuf's, and ONNX's about weights in other files
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            if any(word in first for word in ("external", "stored in", "doesn't exist")):
                raise ValueError(f"{path}: weights in another file are missing: {first}") from None
            raise ValueError(f"{path}: not an ONNX file, or cut off ({first})") from None
        if not model.graph.node or not model.graph.output:
            raise ValueError(f"{path}: not an ONNX file, or it has no nodes")
        return model

    def _check_opset(self, model: onnx.ModelProto) -> None:
        versions = [e.version for e in model.opset_import if e.domain in STANDARD]
        if not versions or versions[0] < OPSET_MIN:
            raise UnsupportedError(
                f"{self.path}: opset {versions[0] if versions else 'missing'}; at least "
                f"{OPSET_MIN} is read: export again, or use onnx.version_converter"
            )
        for function in model.functions:
            for entry in function.opset_import:
                if entry.domain in STANDARD and entry.version < OPSET_MIN:
                    raise UnsupportedError(
                        f"{self.path}: function {function.name!r} has opset {entry.version}; at "
                        f"least {OPSET_MIN} is read: export again"
                    )
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ValueError(f"{self.path}: damaged: {' '.join(lines)[:300]}") from None

    def _array(self, tensor: TensorProto) -> np.ndarray:
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:  # wrong lengths and types raise nearly anything
            raise ValueError(
                f"{self.path}: initializer {tensor.name!r} is damaged ({error})"
            ) from None

    def _fix_input(
        self, graph: onnx.GraphProto, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, int]]:
        """Return the input's name and shape, after writing its open dimensions into the graph."""
        inputs = [value for value in graph.input if value.name not in self.constants]
        names = ", ".join(repr(value.name) for value in inputs)
        if len(inputs) != 1:
            raise UnsupportedError(
                f"{self.path}: has {len(inputs)} inputs ({names}); networks of one picture are "
                "supported: make the others constants (initializers)"
            )
        value = inputs[0]
        kind = value.type.tensor_type
        self.pixels = kind.elem_type == TensorProto.UINT8
        if kind.elem_type not in (TensorProto.FLOAT, TensorProto.UINT8):
            raise UnsupportedError(
                f"{self.path}: input {value.name!r} is "
                f"{TensorProto.DataType.Name(kind.elem_type).lower()}; export the network in "
                "float32"
            )
        dims = list(kind.shape.dim)
        shown = tuple(d.dim_param or d.dim_value or "?" for d in dims)
        if len(dims) != 4:
            raise UnsupportedError(
                f"{self.path}: input {value.name!r} must be (batch, channels, rows, columns), "
                f"not {shown}"
            )
        if dims[0].HasField("dim_value") and dims[0].dim_value != 1:
            raise UnsupportedError(
                f"{self.path}: input {value.name!r} has a fixed batch of {dims[0].dim_value}; "
                "export with batch 1 or an open one"
            )
        dims[0].dim_value = 1
        for dim, wanted in zip(dims[2:], size or (None, None), strict=True):
            if not dim.HasField("dim_value") and wanted is not None:
                dim.dim_value = wanted
        if not all(dim.dim_value > 0 for dim in dims):
            raise UnsupportedError(
                f"{self.path}: input {value.name!r} has dynamic dimensions {shown}; "
                "give rows and columns with --size, and export with a fixed number of channels"
            )
        return value.name, (dims[1].dim_value, dims[2].dim_value, dims[3].dim_value)

    def _infer(self, model: onnx.ModelProto) -> None:
        """Fill ``shapes``; QONNX quantisers, which inference does not know, keep shapes."""
        plain = onnx.ModelProto()
        plain.CopyFrom(model)
        for field in ("node", "initializer", "value_info"):
            plain.graph.ClearField(field)
        for node in self.nodes:
            known = helper.make_node("Identity", node.input[:1], list(node.output))
            plain.graph.node.append(known if node.domain in QONNX else node)
        needed = {name for node in self.nodes for name in node.input} & self.constants.keys()
        plain.graph.initializer.extend(
            numpy_helper.from_array(self.constants[name], name) for name in sorted(needed)
        )
        for value in plain.graph.output:
            value.type.tensor_type.ClearField("shape")  # may hold the old batch
        try:
            graph = shape_inference.infer_shapes(plain, data_prop=True).graph
        except shape_inference.InferenceError as error:
            text = " ".join(str(error).split())
            raise ValueError(f"{self.path}: its shapes do not fit together: {text[:300]}") from None
        for value in (*graph.value_info, *graph.input, *graph.output):
            dims = value.type.tensor_type.shape.dim
            if value.type.tensor_type.HasField("shape") and all(
                dim.HasField("dim_value") for dim in dims
            ):
                self.shapes[value.name] = tuple(dim.dim_value for dim in dims)
        self.shapes |= {name: array.shape for name, array in self.constants.items()}

    def _live(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Return the nodes that a result depends on."""
        needed, kept = set(self.outputs), []
        for node in reversed(nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        return kept[::-1]

    def _fold(self, node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
        """Compute what depends on constants and shapes alone; False for everything else."""
        inputs = [name for name in node.input if name]
        if node.op_type == "Shape" and node.domain in STANDARD and inputs[0] in self.shapes:
            dims = self.shapes[inputs[0]]
            marks = attributes(node)
            found = [np.array(dims[marks.get("start", 0) : marks.get("end", len(dims))], np.int64)]
        elif node.op_type == "CastLike" and inputs[0] in self.constants:
            found = [self.constants[inputs[0]].astype(np.float32)]  # like the picture's tensors
        elif not all(name in self.constants for name in inputs):
            return False
        elif node.domain in QONNX:
            found = [quantise(node, [self.constants[name] for name in inputs], self.site(node))]
        else:
            found = self._evaluate(node, inputs, model)
        self.constants |= dict(zip(node.output, found, strict=False))
        self.shapes |= {
            name: np.shape(array) for name, array in zip(node.output, found, strict=False)
        }
        return True

    def _evaluate(
        self, node: onnx.NodeProto, inputs: list[str], model: onnx.ModelProto
    ) -> list[np.ndarray]:
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # divisions by zero give what is refused later
                evaluator = ReferenceEvaluator(node, opsets=opsets)
                result: Any = evaluator.run(None, {name: self.constants[name] for name in inputs})
        except Exception as error:  # unknown operations and bad constants raise nearly anything
            first = " ".join(str(error).split())[:200]
            raise self.site(node).refuse(
                f"cannot be computed from its constants ({first})", "export the network again"
            ) from None
        return [np.asarray(array) for array in result]

    def site(self, node: onnx.NodeProto) -> Site:
        """Return where a node stands."""
        output = node.output[0] if node.output else "?"
        name = node.name or output
        weight = node.input[1] if len(node.input) > 1 else ""
        path, _, last = weight.rpartition(".")
        if not (path and last == "weight" and weight in self.constants):
            path = _path(name, node.op_type)
        where = f"ONNX node {node.name!r}" if node.name else f"the ONNX node that makes {output!r}"
        op = f"{node.domain}.{node.op_type}" if node.domain not in STANDARD else node.op_type
        return Site(path, op, f"{where} of {self.path.name}")


def _path(name: str, op: str) -> str:
    """Return a layer's name for a node's.

    torch's older exporter writes ``/layer1/layer1.0/conv1/Conv``: the calls, one after another,
    where a call of an element of a container has the container's name before its own.
    """
    path, last = "", ""
    for part in name.strip("/").split("/"):
        if last and part.startswith(f"{last}."):
            path = path.removesuffix(last) + part
        else:
            path = f"{path}.{part}" if path else part
        last = part
    if op in ("Conv", "Gemm", "MatMul") and name.startswith("/"):
        path = path.removesuffix(f".{op}")  # the module is called, not what it does
    return path or op


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes; byte strings as text."""
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}


def levels(node: onnx.NodeProto, bits: float) -> tuple[float, float]:
    """Return the lowest and the highest level of a QONNX quantiser."""
    marks = attributes(node)
    signed, narrow = bool(marks.get("signed", 1)), bool(marks.get("narrow", 0))
    if signed:
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - narrow


def quantise(node: onnx.NodeProto, parts: list[np.ndarray], site: Site) -> np.ndarray:
    """Return a constant as a QONNX quantiser leaves it.

    The formulas are those of the QONNX operator specification (Pappalardo et al., arXiv
    2206.07527): ``scale (clip(round(x / scale + zero)) - zero)``.
    """
    if node.op_type == "BipolarQuant":
        return np.where(parts[0] >= 0, 1.0, -1.0).astype(np.float32) * parts[1]
    if node.op_type not in ("Quant", "IntQuant") or len(parts) != 4:
        raise site.refuse("is not supported", "use Quant")
    mode = attributes(node).get("rounding_mode", "ROUND").upper()
    rounding = {"ROUND": np.rint, "FLOOR": np.floor, "CEIL": np.ceil, "ROUND_TO_ZERO": np.trunc}
    if mode not in rounding:
        raise site.refuse(f"rounds by {mode!r}", f"use one of {', '.join(rounding)}")
    values, scale, zero, bits = (part.astype(np.float64) for part in parts)
    low, high = levels(node, float(bits.reshape(-1)[0]))
    steps = rounding[mode](np.clip(values / scale + zero, low, high))
    return ((steps - zero) * scale).astype(np.float32)
