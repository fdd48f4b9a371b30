"""Networks and folders that `convert` must refuse, each made in an empty folder."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from PIL import Image

Shape = tuple[int | str, ...]
Initializer = tuple[str, Any]
IMPORTS = "import torch\nfrom torch import nn\n"
CONV = "self.conv = nn.Conv2d(3, 4, 3)"


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def model(
    nodes: list[onnx.NodeProto],
    initializers: list[Initializer],
    *,
    shape: Shape = (1, 3, 8, 8),
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    inputs: tuple[str, ...] = ("x",),
    output: str = "y",
    rank: int = 4,
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info(output, kind, ["n", "c", "h", "w"][:rank])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def conv(weight: str = "w", name: str = "first", **marks: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", ["x", weight], ["a"], name=name, **marks)


def one(op: str, *more: str, name: str = "culprit", **marks: Any) -> list[onnx.NodeProto]:
    """Return a convolution and one node behind it."""
    return [conv(), helper.make_node(op, ["a", *more], ["y"], name=name, **marks)]


W = ("w", random(4, 3, 3, 3))


@dataclass(frozen=True)
class Case:
    """One input: what makes it in a folder, the arguments, and what the one line says.

    ``make`` returns the source; ``{}`` in an argument is the folder.
    """

    name: str
    make: Callable[[Path], str]
    says: tuple[str, ...]
    arguments: tuple[str, ...] = ("--calibration", "{}/photos")


def onnx_case(name: str, net: Callable[[], onnx.ModelProto], *says: str) -> Case:
    def make(folder: Path) -> str:
        path = folder / "net.onnx"
        onnx.save(net(), path)
        return str(path)

    return Case(name, make, says)


def bytes_case(name: str, file: str, content: Callable[[], bytes], *says: str) -> Case:
    def make(folder: Path) -> str:
        path = folder / file
        path.write_bytes(content())
        return str(path)

    return Case(name, make, says)


def code_case(name: str, code: str, *says: str, factory: str = "Net", size: int | None = 8) -> Case:
    """Return a module of the user's; its factory is called ``Net``."""
    module = f"bad_{name}"

    def make(folder: Path) -> str:
        text = IMPORTS + textwrap.dedent(code)
        (folder / f"{module}.py").write_text(text)
        return f"{module}:{factory}"

    sizes = () if size is None else ("--size", str(size))
    return Case(name, make, says, ("--calibration", "{}/photos", *sizes))


def forward_case(name: str, forward: str, *says: str, layers: str = CONV) -> Case:
    body = f"""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            {layers}
        def forward(self, x):
            {forward}
    """
    return code_case(name, body, *says)


def good_bytes() -> bytes:
    return model(one("Relu"), [W]).SerializeToString()


def pictures_case(name: str, fill: Callable[[Path], None], *says: str) -> Case:
    """Return a good network with a bad folder ``own``."""

    def make(folder: Path) -> str:
        fill(folder / "own")
        onnx.save(model(one("Relu"), [W]), folder / "net.onnx")
        return str(folder / "net.onnx")

    return Case(name, make, says, ("--calibration", "{}/own"))


def option_case(name: str, arguments: tuple[str, ...], *says: str) -> Case:
    def make(folder: Path) -> str:
        onnx.save(model(one("Relu"), [W]), folder / "net.onnx")
        return str(folder / "net.onnx")

    return Case(name, make, says, ("--calibration", "{}/photos", *arguments))


def broken(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.reshape(-1)[:2] = np.nan, np.inf
    return array


def without_weights() -> bytes:
    net = model(one("Relu"), [("w", random(64, 3, 3, 3))])
    tensor = net.graph.initializer[0]
    external_data_helper.set_external_data(tensor, "weights.bin", 0, len(tensor.raw_data))
    tensor.ClearField("raw_data")
    return net.SerializeToString()


def short_weights() -> bytes:
    net = model(one("Relu"), [W])
    net.graph.initializer[0].raw_data = net.graph.initializer[0].raw_data[:-8]
    return net.SerializeToString()


def empty_folder(folder: Path) -> None:
    folder.mkdir()


def text_only(folder: Path) -> None:
    folder.mkdir()
    (folder / "labels.txt").write_text("cat")


def no_picture(folder: Path) -> None:
    folder.mkdir()
    (folder / "cat.jpg").write_text("no picture")


def cut_picture(folder: Path) -> None:
    folder.mkdir()
    Image.effect_noise((64, 64), 50.0).save(folder / "cut.png")
    content = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])


def a_file(folder: Path) -> None:
    folder.write_text("no folder")
