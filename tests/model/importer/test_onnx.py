"""ONNX operations torch does not write, against ONNX's own reference; quantisers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from shiftwork.model.graph import ConvNode, Graph
from shiftwork.model.importer import UnsupportedError, from_onnx

from .nets import assert_close, pictures

Node = onnx.NodeProto
Constants = dict[str, Any]
QONNX = "qonnx.custom_op.general"


def random(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def node(op: str, inputs: str, output: str, name: str = "", **marks: Any) -> Node:
    """Return a node; inputs are separated by blanks, ``-`` is one left out."""
    names = ["" if part == "-" else part for part in inputs.split()]
    return helper.make_node(op, names, [output], name=name or output, **marks)


def save(
    path: Path, nodes: list[Node], constants: Constants, shape: tuple[Any, ...] = (1, 3, 9, 9),
    *, opset: int = 18, rank: int = 4, kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"][:rank])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, path)
    return model


def compare(path: Path, model: onnx.ModelProto, size: int = 9) -> Graph:
    """Compare the graph of a file with ONNX's reference implementation, and return it."""
    x = pictures(1, 3, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (want,) = ReferenceEvaluator(model).run(None, {"x": x.float().numpy()})  # type: ignore[misc]
    graph = from_onnx(path)
    assert_close(graph.run(x)[graph.output], torch.from_numpy(np.array(want)), 1e-5)
    return graph


W = random(4, 3, 3, 3)
CONV = node("Conv", "x w", "a")
CASES: dict[str, tuple[list[Node], Constants]] = {
    "same_upper": ([node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
                   {"w": random(4, 3, 4, 4)}),
    "same_lower": ([node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 2])],
                   {"w": random(4, 3, 4, 4)}),
    "valid": ([node("MaxPool", "x", "y", auto_pad="VALID", kernel_shape=[2, 2])], {}),
    "uneven_pads": ([node("Conv", "x w", "y", pads=[0, 1, 2, 3])], {"w": W}),
    "pool_pads": ([node("MaxPool", "x", "y", kernel_shape=[3, 2], pads=[1, 0, 2, 1],
                        strides=[2, 1])], {}),
    "average": ([node("AveragePool", "x", "y", kernel_shape=[2, 2], pads=[0, 1, 1, 0],
                      count_include_pad=1)], {}),
    "clip_inputs": ([CONV, node("Clip", "a low high", "y")],
                    {"w": W, "low": np.float32(0), "high": np.float32(60)}),
    "clip_above": ([CONV, node("Clip", "a - high", "y")], {"w": W, "high": np.float32(60)}),
    "leaky_default": ([CONV, node("LeakyRelu", "a", "y")], {"w": W}),
    "norm": ([CONV, node("BatchNormalization", "a g b m v", "y", epsilon=0.01)],
             {"w": W, "g": random(4), "b": random(4), "m": random(4), "v": random(4) ** 2}),
    "matmul": ([node("GlobalAveragePool", "x", "a"), node("Flatten", "a", "f"),
                node("MatMul", "f m", "d"), node("Add", "b d", "y")],
               {"m": random(3, 5), "b": random(5)}),
    "gemm": ([node("ReduceMean", "x axes", "a", keepdims=0),
              node("Gemm", "a m b", "y", alpha=0.5, beta=2.0)],
             {"m": random(3, 5), "b": random(1, 5), "axes": np.array([2, 3])}),
    "pad_axes": ([node("Pad", "x pads - axes", "p"), node("Conv", "p w", "y")],
                 {"w": W, "pads": np.array([1, 2]), "axes": np.array([3])}),
    "pad": ([node("Pad", "x pads", "p"), node("Conv", "p w", "y")],
            {"w": W, "pads": np.array([0, 0, 1, 2, 0, 0, 3, 0])}),
    "resize_sizes": ([node("Resize", "x - - sizes", "y", mode="nearest",
                           coordinate_transformation_mode="half_pixel")],
                     {"sizes": np.array([1, 3, 18, 18])}),
    "resize_scales": ([node("Resize", "x - scales", "y", mode="nearest", nearest_mode="floor",
                            coordinate_transformation_mode="asymmetric")],
                      {"scales": np.array([1, 1, 4, 4], np.float32)}),
    "reshape_zero": ([node("GlobalMaxPool", "a", "b"), node("Reshape", "b shape", "y")],
                     {"w": W, "shape": np.array([0, -1])}),
    "shape_arithmetic": ([CONV, node("Shape", "a", "s"), node("Gather", "s zero", "n"),
                          node("Concat", "n rest", "t", axis=0), node("Reshape", "a t", "f"),
                          node("Gemm", "f m", "y")],
                         {"w": W, "zero": np.array([0]), "rest": np.array([-1]),
                          "m": random(196, 2)}),
    "constant_weights": ([node("Transpose", "v", "w", perm=[3, 2, 0, 1]), node("Conv", "x w", "y")],
                         {"v": random(3, 3, 3, 4)}),
    "unread_nodes": ([CONV, node("Softplus", "a", "unread"), node("Relu", "a", "y")], {"w": W}),
    "identity": ([CONV, node("Identity", "a", "b"), node("Cast", "b", "c", to=1),
                  node("Dropout", "c", "y")], {"w": W}),
    "sum": ([CONV, node("Relu", "a", "b"), node("Sum", "a b", "y")], {"w": W}),
}  # fmt: skip
CASES["reshape_zero"][0].insert(0, CONV)
RANKS = {"matmul": 2, "gemm": 2, "reshape_zero": 2, "shape_arithmetic": 2}


@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, tmp_path: Path) -> None:
    nodes, constants = CASES[name]
    size = 7 + 2 * (name != "shape_arithmetic")
    path, rank = tmp_path / "net.onnx", RANKS.get(name, 4)
    if name == "shape_arithmetic":
        constants = constants | {"m": random(100, 2)}
    model = save(path, nodes, constants, (1, 3, size, size), rank=rank)
    graph = compare(path, model, size)
    assert graph.name == "net" and graph.input == "x"


@pytest.mark.parametrize(("marks", "right"), [
    ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, True),
    ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"}, False),
    ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "round_prefer_floor"}, True),
    ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "round_prefer_ceil"}, False),
    ({"coordinate_transformation_mode": "half_pixel", "nearest_mode": "floor"}, False),
    ({"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}, True),
    ({"coordinate_transformation_mode": "align_corners", "nearest_mode": "floor"}, False),
    ({}, True),
])  # fmt: skip
def test_resizing_that_repeats_pixels_is_told_from_other(
    marks: dict[str, str], right: bool, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Resize", "x - scales", "y", mode="nearest", **marks)]
    model = save(path, nodes, {"scales": np.array([1, 1, 2, 2], np.float32)})
    if right:
        compare(path, model)
    else:
        with pytest.raises(UnsupportedError, match="picks other pixels"):
            from_onnx(path)


def test_open_sizes_are_given_by_the_user(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    save(path, [CONV, node("Relu", "a", "y")], {"w": W}, ("batch", 3, "rows", "columns"))
    with pytest.raises(UnsupportedError, match="give rows and columns with --size"):
        from_onnx(path)
    assert from_onnx(path, size=(12, 14)).shape == (3, 12, 14)


def test_pixels_may_be_bytes(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Cast", "x", "f", to=1), node("Conv", "f w", "y")]
    save(path, nodes, {"w": W}, kind=TensorProto.UINT8)
    graph, x = from_onnx(path), pictures(2, 3, 9)
    want = torch.nn.functional.conv2d(x.float(), torch.from_numpy(W))
    assert_close(graph.run(x)["y"], want, 1e-6)


def pairs(source: str, target: str, scale: str, zero: str) -> list[Node]:
    return [node("QuantizeLinear", f"{source} {scale} {zero}", f"{target}_q"),
            node("DequantizeLinear", f"{target}_q {scale} {zero}", target)]  # fmt: skip


def test_quantisers_are_calibration(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    levels = np.random.default_rng(2).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    steps = np.array([0.5, 0.25, 0.125, 0.03], np.float32)
    nodes = [
        *pairs("x", "xd", "one", "u0"),
        node("DequantizeLinear", "w steps zeros", "wd", axis=0),
        node("Conv", "xd wd", "a", name="first"), *pairs("a", "ad", "s1", "u0"),
        node("MaxPool", "ad", "p", kernel_shape=[2, 2]), *pairs("p", "pd", "s1", "u0"),
        node("Conv", "pd v", "b", name="second"), *pairs("b", "y", "s2", "i0"),
    ]  # fmt: skip
    constants = {
        "w": levels, "steps": steps, "zeros": np.zeros(4, np.int8), "v": random(2, 4, 1, 1),
        "one": np.float32(1), "s1": np.float32(2), "s2": np.float32(0.4),
        "u0": np.uint8(0), "i0": np.int8(0),
    }  # fmt: skip
    save(path, nodes, constants)
    graph = from_onnx(path)
    first, _, second = graph.nodes
    assert isinstance(first, ConvNode) and isinstance(second, ConvNode)
    exact = levels.astype(np.float32) * steps.reshape(-1, 1, 1, 1)
    assert np.array_equal(first.weight.numpy(), exact)
    assert first.relu and not second.relu  # levels 0..255 cut what is negative
    assert graph.known_frac_bits == {"first": -1, "p": -1, "second": 1}
    assert graph.notes == ("second: the quantiser's step 0.4 becomes 2^-1, which cuts nothing off",)


def test_qonnx_quantisers_are_calibration(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    weight = random(4, 3, 3, 3)

    def quant(source: str, target: str, step: str, bits: str, signed: int, narrow: int) -> Node:
        return node("Quant", f"{source} {step} zero {bits}", target, domain=QONNX, signed=signed,
                    narrow=narrow, rounding_mode="ROUND")  # fmt: skip

    nodes = [
        quant("w", "wq", "ws", "three", 1, 1), node("Conv", "x wq", "a", name="first"),
        node("Relu", "a", "r"), quant("r", "rq", "s1", "four", 0, 0),
        node("Flatten", "rq", "f"), node("Gemm", "f m", "b", name="second"),
        quant("b", "y", "s2", "eight", 1, 0),
    ]  # fmt: skip
    constants = {
        "w": weight, "ws": np.float32(0.25), "zero": np.float32(0), "three": np.float32(3),
        "four": np.float32(4), "eight": np.float32(8), "s1": np.float32(0.5),
        "s2": np.float32(0.125), "m": random(196, 5),
    }  # fmt: skip
    save(path, nodes, constants, rank=2)
    graph = from_onnx(path)
    first, second = graph.nodes
    assert isinstance(first, ConvNode) and isinstance(second, ConvNode)
    want = np.clip(np.rint(weight / 0.25), -3, 3) * 0.25  # three bits, narrow: -3..3
    assert np.array_equal(first.weight.numpy(), want.astype(np.float32))
    assert first.relu and first.ceiling == 7.5  # four bits: 15 steps of 1/2
    assert graph.known_frac_bits == {"first": 1, "second": 3}
    assert second.weight.shape == (5, 4, 7, 7) and graph.notes == ()


def test_dequantising_with_another_scale_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [CONV, node("QuantizeLinear", "a one", "q"), node("DequantizeLinear", "q two", "y")]
    save(path, nodes, {"w": W, "one": np.float32(1), "two": np.float32(2)})
    with pytest.raises(UnsupportedError, match="node 'y': DequantizeLinear at ONNX node 'y' of"):
        from_onnx(path)
