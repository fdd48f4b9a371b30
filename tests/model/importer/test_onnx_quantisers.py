"""Quantisers of activations in ONNX files: no level is lost, none is invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from shiftwork.model.importer import UnsupportedError, from_onnx

from .nets import pictures
from .test_onnx import CONV, QONNX, W, node, pairs, random, save

F32 = np.float32
WIDE = "a: the quantiser's levels {} of 0.000976562 become 256 of 2^-2"


def quant(source: str, target: str, bits: str, signed: int) -> Any:
    return node("Quant", f"{source} step zero {bits}", target, domain=QONNX, signed=signed,
                narrow=0, rounding_mode="ROUND")  # fmt: skip


@pytest.mark.parametrize(
    ("zero", "step", "f", "note"),
    [
        (np.uint8(0), 0.35, 1, "a: the quantiser's step 0.35 becomes 2^-1, which cuts nothing off"),
        (np.uint16(0), 2.0**-10, 2, WIDE.format("0..65535")),
        (np.int16(0), 2.0**-10, 2, WIDE.format("-32768..32767")),
        (np.uint8(100), 0.25, 1, "a: the quantiser's levels -100..155 of 0.25 become 256 of 2^-1"),
        (np.int8(0), 0.25, 2, None),
    ],
)  # fmt: skip
def test_no_level_is_cut_off(
    zero: Any, step: float, f: int, note: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    save(path, [CONV, *pairs("a", "y", "s", "z")], {"w": W, "s": F32(step), "z": zero}, opset=21)
    graph = from_onnx(path)
    assert graph.known_frac_bits == {"a": f}
    assert list(graph.notes) == ([] if note is None else [note])


@pytest.mark.parametrize("pad", [0, 1])
def test_signed_quantisers_of_few_bits_cut_both_ends(pad: int, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Conv", "x w", "a", name="first"), quant("a", "q", "four", 1),
             node("Conv", "q v", "y", name="second", pads=[pad] * 4)]  # fmt: skip
    v = random(2, 4, 3, 3)
    constants = {"w": W, "v": v, "step": F32(32), "zero": F32(0), "four": F32(4)}
    save(path, nodes, constants)
    graph, x = from_onnx(path), pictures(2, 3, 9)
    inside = torch.nn.functional.conv2d(x.float(), torch.from_numpy(W))
    assert float(inside.min()) < -8 * 32 and float(inside.max()) > 7 * 32
    want = torch.nn.functional.conv2d(
        inside.clamp(-8 * 32, 7 * 32), torch.from_numpy(v), padding=pad
    )
    assert torch.allclose(graph.run(x)[graph.output], want, atol=1e-2)
    assert graph.known_frac_bits["first"] == -5


def test_signed_quantisers_behind_relu_cut_the_top(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Conv", "x w", "a", name="first"), node("Relu", "a", "r"),
             quant("r", "y", "four", 1)]  # fmt: skip
    save(path, nodes, {"w": W, "step": F32(32), "zero": F32(0), "four": F32(4)})
    graph, x = from_onnx(path), pictures(2, 3, 9)
    got = graph.run(x)[graph.output]
    assert (float(got.min()), float(got.max())) == (0.0, 7 * 32.0) and len(graph.nodes) == 1


def test_dequantising_from_another_zero_point_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [CONV, node("QuantizeLinear", "a s z0", "q"), node("DequantizeLinear", "q s z1", "y")]
    save(path, nodes, {"w": W, "s": F32(1), "z0": np.uint8(0), "z1": np.uint8(3)})
    with pytest.raises(UnsupportedError, match=r"'y'.* of the same scale and zero point"):
        from_onnx(path)


def test_quantising_to_floats_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [CONV, node("QuantizeLinear", "a s", "q", output_dtype=TensorProto.FLOAT8E4M3FN),
             node("DequantizeLinear", "q s", "y")]  # fmt: skip
    save(path, nodes, {"w": W, "s": F32(1)}, opset=21)
    with pytest.raises(UnsupportedError, match=r"'q'.*quantises to float8e4m3fn"):
        from_onnx(path)


@pytest.mark.parametrize("domain", ["com.acme", QONNX])
def test_operations_are_known_by_domain_and_name(domain: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = save(path, [CONV, node("Relu", "a", "y", domain=domain)], {"w": W})
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match=f"'y': {domain}.Relu at .* is not supported"):
        from_onnx(path)
