"""The real driver on a virtual board: engine, memory, link and line in Verilator."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftwork.boards.host import Board, LinkError
from shiftwork.boards.icebreaker import ICEBREAKER
from shiftwork.boards.top import Board as Described
from shiftwork.boards.ulx3s import ULX3S_85F
from shiftwork.flow.board_commands import tell
from shiftwork.flow.boards_run import arrivals
from shiftwork.flow.virtual import VirtualRun, build_virtual
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.registers import COUNTERS
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.sim.builder import NetworkBuilder

ENGINE = EngineConfig(
    name="virtual", rows=4, cols=4, max_fan_in=256, hold=16, buffer_words=256, burst_beats=8,
    weight_fifo=16, max_terms=2, max_layers=8,
)  # fmt: skip
BOARD = replace(ULX3S_85F, config=ENGINE, memory_bytes=24 << 10)


def pictures_come(folder: Path) -> list[str]:
    found = []

    def pause(_: float) -> None:
        if len(found) == 1:
            Image.new("L", (4, 4)).save(folder / "b.png")
        if len(found) == 2:
            raise StopIteration

    try:
        for path in arrivals(folder, pause=pause):
            found.append(path.name)
    except RuntimeError:
        pass
    return found


def test_a_watched_folder_yields_what_is_there_and_what_comes(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.png").touch()
    assert pictures_come(tmp_path) == ["a.png", "b.png"]


def test_a_port_that_is_not_there_is_told() -> None:
    with pytest.raises(LinkError, match="/dev/none: cannot open it"):
        Board.open("/dev/none")


def test_damage_is_a_probability() -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1, not 1"):
        VirtualRun(Path("none"), damage=1.0)


@pytest.mark.parametrize("counters", [{"busy": 5}, {"busy": 5, "compute": 3, "read": 2}])
def test_only_what_was_counted_is_told(
    counters: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"picture": "a.png", "label": "shoe", "class": 7, "seconds": 0.5,
               "engine_seconds": 0.25, "cycles": 5, "counters": counters}  # fmt: skip
    tell(figures, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a.png: shoe (7), 500.0 ms, engine 250.00 ms, 5 cycles"
    assert lines[1:] == (["  compute 3, read 2"] if len(counters) > 1 else [])


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_virtual(BOARD, tmp_path_factory.mktemp("virtual"))


@pytest.fixture(scope="module", params=[BOARD, ICEBREAKER], ids=lambda board: board.name)
def either(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Described, Path]:
    """Return a board with the pipelined engine and one with the serial, and its simulation."""
    return request.param, build_virtual(request.param, tmp_path_factory.mktemp("either"))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [0.0, 0.01])
def test_the_driver_runs_networks_bit_exact_on_good_and_bad_lines(
    either: tuple[Described, Path], damage: float
) -> None:
    described, virtual = either
    builder = NetworkBuilder(4, 3, 8, 8)
    builder.conv(8, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    builder.max_pool((2, 2), (2, 2))
    builder.conv(10)
    network = builder.build()
    counted = {"busy"} if described.serial else {name for name, _ in COUNTERS}
    program = compile_network(network, described.config)
    with VirtualRun(virtual, damage=damage, seed=5) as run:
        with Board.open(run.port, patience_s=120) as board:
            board.load(program, network)
            for _ in range(5):
                x = builder.picture()
                want = golden.run(network, x)[network.output][0].numpy()
                result = board.run(x[0].numpy())
                assert np.array_equal(result.outputs[network.output], want)
                assert result.cycles > 100
                assert set(result.counters) == counted
            info, traffic = board.info, board.link.traffic
    assert (info.memory_bytes, info.clock_hz) == (described.memory_bytes, described.clock_hz)
    assert run.counts["sent"] >= traffic.received
    if damage:
        assert run.counts["damaged"] > 20 and traffic.retries > 20
    else:
        assert (run.counts["damaged"], traffic.retries - traffic.timeouts) == (0, 0)


@pytest.mark.slow
def test_the_command_line_classifies_on_the_virtual_board(virtual: Path, tmp_path: Path) -> None:
    builder = NetworkBuilder(4, 3, 8, 8)
    builder.conv(10, (3, 3))
    network = builder.build()
    network.save(tmp_path / "net")
    x = builder.picture()[0].numpy()
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "engine.json").write_text(json.dumps(ENGINE.to_dict()))
    with VirtualRun(virtual) as run:
        done = subprocess.run(
            [sys.executable, "-m", "shiftwork.flow.cli", "run", "--port", run.port, "--preset",
             str(tmp_path / "engine.json"), "--json", str(tmp_path / "net"),
             str(tmp_path / "x.npy")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    told = json.loads(done.stdout)
    scores = golden.run(network, torch.from_numpy(x)[None])[network.output].flatten().numpy()
    assert told["class"] == int(scores.argmax())
    assert told["cycles"] == told["counters"]["busy"] > 0
