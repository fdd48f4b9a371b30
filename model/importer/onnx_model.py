"""ONNX files as graphs."""

from __future__ import annotations

from pathlib import Path

from ..graph import Graph
from .assemble import Choose, to_graph
from .onnx_file import OnnxFile
from .onnx_ops import Reader
from .ops import Program


def from_onnx(
    path: str | Path,
    *,
    preprocess: Choose | None = None,
    name: str | None = None,
    size: tuple[int, int] | None = None,
    frac_bits: int = 0,
    zero_point: int = 0,
    classes: tuple[str, ...] = (),
) -> Graph:
    """Return an ONNX file of opset 13 or later as a graph.

    Quantisers of activations (QuantizeLinear and DequantizeLinear pairs, QONNX's Quant) become
    the graph's ``known_frac_bits``; those of weights leave the weights they stand for.

    Parameters
    ----------
    path : str or Path
    preprocess, name, frac_bits, zero_point, classes
        As in :func:`.exported.from_module`; the name is the file's by default.
    size : tuple[int, int], optional
        Rows and columns of a picture, for a model that leaves them open.

    Raises
    ------
    UnsupportedError
        If something in the model is not supported.
    ValueError
        If the file is missing, damaged or not ONNX.
    """
    path = Path(path)
    file = OnnxFile(path, size)
    reader = Reader(file)
    for node in file.nodes:
        reader.add(node)
    program = Program(name or path.stem, file.input, file.shape, reader.ops, file.outputs,
                      pixels=file.pixels)  # fmt: skip
    return to_graph(
        program, preprocess, frac_bits=frac_bits, zero_point=zero_point, classes=classes
    )
