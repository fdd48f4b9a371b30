"""Damaged files and ONNX graphs that `convert` must refuse."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from .bad_networks import (
    Case,
    W,
    broken,
    bytes_case,
    conv,
    good_bytes,
    model,
    one,
    onnx_case,
    random,
    short_weights,
    without_weights,
)

TWO_WAYS = [
    helper.make_node("Relu", ["x"], ["a"]),
    helper.make_node("Mul", ["a", "x"], ["y"], name="gate"),
]
QUANTISED = [
    conv(),
    helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"], name="quant", axis=1),
    helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1),
]

ONNX_CASES = (
    # files
    bytes_case("truncated", "net.onnx", lambda: good_bytes()[:-40], "net.onnx"),
    bytes_case("cut_in_the_middle", "net.onnx", lambda: good_bytes()[:200], "net.onnx"),
    bytes_case("empty", "net.onnx", lambda: b"", "net.onnx: not an ONNX file"),
    bytes_case(
        "text", "net.onnx", lambda: b"hello, this is no network\n" * 9, "net.onnx: not an ONNX file"
    ),
    bytes_case(
        "external_data",
        "net.onnx",
        without_weights,
        "weights in another file are missing",
        "weights.bin",
    ),
    bytes_case("short_weights", "net.onnx", short_weights, "net.onnx: damaged", "tensor name: w"),
    bytes_case(
        "pt2",
        "net.pt2",
        lambda: b"PK\x03\x04 no archive",
        "net.pt2: not a file that torch.export.save wrote",
    ),
    bytes_case(
        "weights_only", "net.pth", lambda: b"weights", "net.pth holds weights without the layers"
    ),
    bytes_case(
        "tflite",
        "net.tflite",
        lambda: b"TFL3",
        "net.tflite is not a network that can be read: export it as ONNX",
    ),
    Case("no_file", lambda folder: str(folder / "gone.onnx"), ("no such file", "gone.onnx")),
    Case("no_pt2", lambda folder: str(folder / "gone.pt2"), ("no such file", "gone.pt2")),
    # ONNX graphs
    onnx_case("opset", lambda: model(one("Relu"), [W], opset=9), "net.onnx: opset 9; at least 13"),
    onnx_case(
        "unknown_op", lambda: model(one("Softplus"), [W]), "'culprit'", "Softplus", "use ReLU"
    ),
    onnx_case(
        "foreign_domain",
        lambda: model(one("Magic", domain="com.acme"), [W], domains=("com.acme",)),
        "'culprit'",
        "com.acme.Magic",
    ),
    onnx_case("not_registered", lambda: model(one("Magic"), [W]), "net.onnx", "Magic"),
    onnx_case(
        "nan_weights",
        lambda: model(one("Relu"), [("w", broken(W[1]))]),
        "'first'",
        "Conv",
        "2 values of 108 in its weight",
    ),
    onnx_case(
        "nan_bias",
        lambda: model(
            [helper.make_node("Conv", ["x", "w", "b"], ["y"], name="first")],
            [W, ("b", broken(random(4)))],
        ),
        "'first'",
        "its bias",
    ),
    onnx_case(
        "nan_norm",
        lambda: model(
            one("BatchNormalization", "g", "g", "g", "v"),
            [W, ("g", random(4)), ("v", np.full(4, -1, np.float32))],
        ),
        "'culprit'",
        "BatchNormalization",
        "NaN",
    ),
    onnx_case(
        "dynamic_size",
        lambda: model(one("Relu"), [W], shape=("n", 3, "h", "w")),
        "'x'",
        "dynamic dimensions ('n', 3, 'h', 'w')",
        "--size",
    ),
    onnx_case(
        "dynamic_channels", lambda: model(one("Relu"), [W], shape=(1, "c", 8, 8)), "'x'", "dynamic"
    ),
    onnx_case(
        "fixed_batch",
        lambda: model(one("Relu"), [W], shape=(4, 3, 8, 8)),
        "'x'",
        "fixed batch of 4",
    ),
    onnx_case(
        "vector_input",
        lambda: model([helper.make_node("Relu", ["x"], ["y"])], [], shape=(1, 10), rank=2),
        "'x'",
        "must be (batch, channels, rows, columns)",
    ),
    onnx_case(
        "float64",
        lambda: model(
            [conv()], [("w", W[1].astype(np.float64))], kind=TensorProto.DOUBLE, output="a"
        ),
        "'x' is double",
        "float32",
    ),
    onnx_case(
        "two_inputs",
        lambda: model([helper.make_node("Add", ["x", "z"], ["y"])], [], inputs=("x", "z")),
        "has 2 inputs ('x', 'z')",
    ),
    onnx_case(
        "conv_3d",
        lambda: model([conv()], [("w", random(4, 3, 3, 3, 3))], output="a"),
        "'first'",
        "is 3-D",
    ),
    onnx_case(
        "transposed",
        lambda: model(
            [helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")],
            [("w", random(3, 4, 2, 2))],
        ),
        "'up'",
        "ConvTranspose",
        "nearest upsampling",
    ),
    onnx_case(
        "kernel_9",
        lambda: model(
            [conv(name="wide")], [("w", random(4, 3, 9, 9))], shape=(1, 3, 16, 16), output="a"
        ),
        "'wide'",
        "kernel 9 x 9",
        "at most 7",
    ),
    onnx_case(
        "stride_5",
        lambda: model([conv(name="far", strides=[5, 5])], [W], output="a"),
        "'far'",
        "stride 5 x 5",
    ),
    onnx_case(
        "too_small",
        lambda: model(
            [conv(name="first")], [("w", random(4, 3, 7, 7))], shape=(1, 3, 4, 4), output="a"
        ),
        "'first'",
        "does not fit a 4 x 4 map",
    ),
    onnx_case(
        "wrong_channels",
        lambda: model([conv()], [("w", random(4, 5, 3, 3))], output="a"),
        "'first'",
        "weights for 5 input channels",
    ),
    onnx_case(
        "four_channels",
        lambda: model([conv()], [("w", random(4, 4, 3, 3))], shape=(1, 4, 8, 8), output="a"),
        "reads 4 channels; pictures have 1 or 3",
    ),
    onnx_case("oblong", lambda: model(one("Relu"), [W], shape=(1, 3, 8, 12)), "8 x 12", "square"),
    onnx_case("two_maps", lambda: model(TWO_WAYS, []), "'gate'", "Mul", "combines two maps"),
    onnx_case(
        "prelu",
        lambda: model(one("PRelu", "s"), [W, ("s", random(4, 1, 1))]),
        "'culprit'",
        "4 slopes",
    ),
    onnx_case(
        "clip",
        lambda: model(one("Clip", "low"), [W, ("low", np.float32(-1))]),
        "'culprit'",
        "Clip",
        "-1.0",
    ),
    onnx_case(
        "bilinear",
        lambda: model(
            one("Resize", "", "s", mode="linear"), [W, ("s", np.array([1, 1, 2, 2], np.float32))]
        ),
        "'culprit'",
        "interpolates by linear",
    ),
    onnx_case(
        "softmax_inside",
        lambda: model(
            [
                *one("Softmax", axis=1)[:1],
                helper.make_node("Softmax", ["a"], ["b"], name="gate", axis=1),
                helper.make_node("Relu", ["b"], ["y"]),
            ],
            [W],
        ),
        "'gate'",
        "inside the network",
    ),
    onnx_case(
        "per_channel_activation",
        lambda: model(
            QUANTISED, [W, ("s", np.full(4, 0.1, np.float32)), ("z", np.zeros(4, np.uint8))]
        ),
        "'quant'",
        "4 scales",
    ),
    onnx_case(
        "flatten_large",
        lambda: model(
            [
                conv(),
                helper.make_node("Flatten", ["a"], ["f"]),
                helper.make_node("Gemm", ["f", "m"], ["y"], name="dense"),
            ],
            [W, ("m", random(4 * 100, 5))],
            shape=(1, 3, 12, 12),
            rank=2,
        ),
        "'dense'",
        "10 x 10 pixels",
        "at most 7 x 7",
    ),
    onnx_case(
        "returns_its_input",
        lambda: model([helper.make_node("Identity", ["x"], ["y"])], []),
        "a result is the input itself",
    ),
)
