"""The whole chain on a network of seconds; the slow tests run it as a user does."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from shiftwork.flow.check import Checked, check, finish, rest_of
from shiftwork.flow.demo import run_demo
from shiftwork.flow.emit import emit
from shiftwork.flow.progress import Stages
from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from shiftwork.model.predict import to_probabilities
from shiftwork.sim.result import SimResult
from shiftwork.sim.tools import SimulatorError
from tests.networks import NetworkBuilder

ENGINE = EngineConfig(name="demo", rows=2, cols=3, hold=16, buffer_words=256, max_layers=8)


@pytest.fixture(scope="module")
def small() -> tuple[Network, torch.Tensor]:
    builder = NetworkBuilder(7, 3, 9, 8)
    builder.conv(4, (3, 3), (2, 2))
    builder.max_pool((2, 2), (1, 1))
    builder.conv(6, (1, 1))
    return builder.build(), builder.picture()


def test_the_chain_reports_what_it_did(small: tuple[Network, torch.Tensor], tmp_path: Path) -> None:
    network, picture = small
    network.save(tmp_path / "net")
    np.save(tmp_path / "x.npy", picture[0].numpy())
    log = io.StringIO()
    with Stages(Console(file=log)) as stages:
        report = run_demo(
            ENGINE, tmp_path / "out", stages, network=str(tmp_path / "net"),
            picture=str(tmp_path / "x.npy"), until=network.layers[1].name, simulator="icarus",
            target=None,
        )  # fmt: skip
    assert report.bit_exact
    assert (report.layers_checked, report.convolutions_checked, report.pools_checked) == (2, 1, 1)
    assert json.loads((tmp_path / "out/report.json").read_text()) == report.to_dict()
    for name in ("report.html", "program.bin", "rtl/shiftwork_demo.v", "net/network.json"):
        assert (tmp_path / "out" / name).stat().st_size
    assert list(report.seconds)[:4] == ["emit", "quantise", "photo", "simulate"]
    assert "2 layers bit-exact" in log.getvalue()
    assert report.lut is None


def test_layers_are_counted_by_kind() -> None:
    builder = NetworkBuilder(5, 6, 4, 4)
    first = builder.conv(6)
    builder.average_pool((2, 2), (1, 1))
    builder.conv(6, (2, 2), padding=(1, 1, 1, 1))
    builder.add(first, builder.last)
    builder.upsample()
    builder.max_pool((2, 2), (2, 2))
    builder.global_average()
    network = builder.build()
    program = compile_network(network, ENGINE)
    result = SimResult(**{
        **{field.name: 0 for field in fields(SimResult)}, "simulator": "icarus", "layers": [],
        "cycles": 10,
    })  # fmt: skip
    figures = Checked(network, "average", program, result, []).figures(ENGINE)
    counted = [figures[f"{kind}_checked"] for kind in ("layers", "convolutions", "pools")]
    assert counted == [7, 2, 3]


def test_a_missing_simulator_stops_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Stages(Console(file=io.StringIO())) as stages, pytest.raises(SimulatorError):
        run_demo(ENGINE, tmp_path / "out", stages, simulator="icarus")
    assert not (tmp_path / "out").exists()


def test_a_wrong_value_is_found_and_told(
    small: tuple[Network, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, picture = small
    verilog = emit(ENGINE, tmp_path).verilog
    honest = golden.run

    def lying(*args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        tensors = honest(*args, **kwargs)  # type: ignore[arg-type]
        tensors[network.layers[0].output][0, 1, 2, 0] ^= 1
        return tensors

    monkeypatch.setattr(golden, "run", lying)
    checked = check(
        network, picture[0], ENGINE, verilog, until=network.layers[0].name, simulator="icarus",
        work=tmp_path / "work",
    )  # fmt: skip
    figures = checked.figures(ENGINE)
    assert figures["bit_exact"] is False
    assert figures["mismatches"] == 1
    text = "\n".join(figures["mismatch_list"])
    assert "channel 1, y 2, x 0" in text
    assert "waveform:" in text


def test_the_rest_continues_from_the_engines_outputs(
    small: tuple[Network, torch.Tensor],
) -> None:
    network, picture = small
    tensors = golden.run(network, picture)
    want = to_probabilities(network, tensors[network.output])[0]
    for layer in network.layers:
        outputs = {layer.output: tensors[layer.output][0]}
        assert finish(network, layer.name, outputs) == want
    rest = rest_of(network, network.layers[0].name)
    assert rest is not None
    assert [layer.name for layer in rest.layers] == [layer.name for layer in network.layers[1:]]
    assert rest_of(network, network.layers[-1].name) is None
    # Another value from the engine gives another answer: nothing is recomputed from the picture.
    outputs = {network.layers[1].output: 255 - tensors[network.layers[1].output][0]}
    assert finish(network, network.layers[1].name, outputs) != want


def test_the_rest_needs_one_tensor() -> None:
    builder = NetworkBuilder(1, 2, 4, 4)
    first = builder.conv(3, (1, 1))
    second = builder.conv(3, (1, 1), source=first)
    builder.concat(first, second)
    network = builder.build()
    assert rest_of(network, network.layers[1].name) is None
    tensors = golden.run(network, builder.picture())
    outputs = {layer.output: tensors[layer.output][0] for layer in network.layers[:2]}
    assert finish(network, network.layers[1].name, outputs) == []
