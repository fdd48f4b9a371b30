"""Lookup tables per lane: measured on a small column, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from shiftwork.flow.absorb import absorb
from shiftwork.flow.array_fpga import DEVICES, WAYS, capacity, map_column, measure_luts
from shiftwork.flow.array_fpga_page import fpga_markdown, fpga_table, fpga_verdicts, write_fpga
from shiftwork.flow.asic.mapping import emit_column
from shiftwork.flow.cli import app
from shiftwork.flow.synth import run_yosys
from shiftwork.flow.tools import run_tool
from shiftwork.hw.arrays.circuits import FPGA_CIRCUITS

from ..hw.arrays.test_lanes import weights_of


def row(name: str, luts: float) -> dict[str, Any]:
    found = {"luts": luts, "apart": luts + 4, "ways": {"chains": [luts + 4, luts]}, "mhz": 61.4}
    families = dict.fromkeys(DEVICES, found)
    return {"name": name, "title": FPGA_CIRCUITS[name].title, "families": families}


ROWS = [row("int8_plain", 180.0), row("int8_digits", 100.0), row("n1_rows", 50.0)]
DOCUMENT: dict[str, Any] = {
    "circuits": ROWS, "rows": 16, "device": "ECP5-85F", "device_luts": 83640, "dsps": 156,
    "products": 2, "capacity": capacity(ROWS),
}  # fmt: skip


def test_a_column_has_tables_for_selecting_and_adding(tmp_path: Path) -> None:
    found = measure_luts(FPGA_CIRCUITS["n1_b3_rows"], rows=2, cache=tmp_path)
    for family in found["families"].values():
        apart, absorbed = (min(way[i] for way in family["ways"].values()) for i in (0, 1))
        assert (family["apart"], family["luts"]) == (apart, absorbed)
        # Per lane 9 + 10 multiplexers at most, an addition of 11 bits, half an accumulator.
        assert 20 < family["luts"] <= family["apart"] < 60
    ecp5, ice40 = (found["families"][name] for name in ("ecp5", "ice40"))
    assert ecp5["luts"] < ecp5["apart"] - 2
    assert 40 < ecp5["mhz"] < 300
    assert (ice40["luts"], ice40["mhz"]) == (ice40["apart"], None)
    assert measure_luts(FPGA_CIRCUITS["n1_b3_rows"], rows=2, cache=tmp_path) == found
    assert len(list(tmp_path.iterdir())) == 1


BENCH = """\
module bench;
  reg clk = 0, clk_weights = 0;
  reg [{inputs}-1:0] stimuli [0:{count}-1];
  wire [{x}-1:0] x;
  wire [{held}-1:0] held;
  wire [{acc}-1:0] sum_in, sum_out;
  reg [{inputs}-1:0] now;
  assign {{sum_in, held, x}} = now;
  column dut (.clk(clk), .clk_weights(clk_weights), .x(x), .inverse(~x), .held(held),
    .sum_in(sum_in), .sum_out(sum_out));
  integer i;
  initial begin
    $readmemh("stimuli.hex", stimuli);
    for (i = 0; i < {count}; i = i + 1) begin
      now = stimuli[i];
      #1 clk_weights = 1; #1 clk_weights = 0;
      #1 clk = 1; #1 clk = 0;
      $display("%h", sum_out);
    end
  end
endmodule
"""


@pytest.mark.parametrize("name", ["n1_rows", "int8_bits"])
def test_a_mapped_column_with_tables_absorbed_adds_the_products(name: str, tmp_path: Path) -> None:
    """By Icarus with Yosys' own models of the cells."""
    circuit, rows, count = FPGA_CIRCUITS[name], 4, 300
    module = map_column(emit_column(circuit, rows), DEVICES["ecp5"], WAYS["chains"])
    assert absorb(module) > 20
    (tmp_path / "mapped.json").write_text(json.dumps({"modules": {"column": module}}))
    run_yosys(
        tmp_path,
        "write",
        """read_verilog -overwrite +/lattice/cells_sim_ecp5.v
read_json mapped.json
hierarchy -check -top column
proc
flatten
select column
write_verilog -noattr -selected mapped.v
""",
    )

    rng = np.random.default_rng(9)
    codes, integers = weights_of(circuit)
    chosen = rng.integers(0, len(integers), (count, rows))
    x = rng.integers(0, 256, (count, rows))
    before = rng.integers(0, 1 << 18, count)
    x[0], x[1], x[2:4] = 0, 255, 255
    chosen[2], chosen[3] = integers.argmin(), integers.argmax()
    held, constants = circuit.lane.hold(codes), circuit.lane.constant(codes)
    fields = [(x, 8), (held[chosen], circuit.held_bits), (before[:, None], circuit.acc_bits)]
    lines = []
    width = 8 * rows + rows * circuit.held_bits + circuit.acc_bits
    for at in range(count):
        word = place = 0
        for values, bits in fields:
            for value in values[at]:
                word |= int(value) << place
                place += bits
        lines.append(f"{word:x}")
    (tmp_path / "stimuli.hex").write_text("\n".join(lines) + "\n")
    (tmp_path / "bench.v").write_text(BENCH.format(
        inputs=width, count=count, x=8 * rows, held=rows * circuit.held_bits, acc=circuit.acc_bits,
    ))  # fmt: skip
    arguments = ["-g2005", "-s", "bench", "-o", "bench.vvp", "mapped.v", "bench.v"]
    run_tool("iverilog", arguments, cwd=tmp_path, log=tmp_path / "log")
    run_tool("vvp", ["-n", "bench.vvp"], cwd=tmp_path, log=tmp_path / "sums")
    got = [int(line, 16) for line in (tmp_path / "sums").read_text().split()]
    want = before + (integers[chosen] * x + constants[chosen]).sum(axis=1)
    assert got == (want % (1 << circuit.acc_bits)).tolist()


def test_what_a_device_holds() -> None:
    assert capacity(ROWS) == {
        "int8, plain `*`": 464, "int8, radix-4 digits": 836, "N=1, B=4, rows": 1672,
        "int8 in DSP blocks": 312, "int8 in DSP blocks and lookup tables": 312 + 836,
    }  # fmt: skip


def test_the_section_says_what_is_reached() -> None:
    said = fpga_verdicts(DOCUMENT)
    assert [line.rpartition(": ")[2] for line in said] == ["reached.", "missed by 79%."] * 2
    text = fpga_markdown(DOCUMENT)
    assert all(f"- {line}" in text for line in said)
    assert "| N=1, B=4, rows | 54.0 | 50.0 | 0.28 | 0.50 | 61 | 54.0 | 0.28 | 0.50 |" in text
    assert "| int8 in DSP blocks | 312 |" in text
    assert fpga_table(DOCUMENT).row_count == 3


def test_the_section_alone_is_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "power.md"
    with pytest.raises(ValueError, match="has no section 'Lookup tables on ECP5 and iCE40'"):
        write_fpga(DOCUMENT, tmp_path / "out", tmp_path)
    page.write_text("# Power\n\nas it is\n\n" + fpga_markdown({**DOCUMENT, "circuits": ROWS[:1]}))
    written = write_fpga(DOCUMENT, tmp_path / "out", tmp_path)
    assert page.read_text() == "# Power\n\nas it is\n\n" + fpga_markdown(DOCUMENT)
    assert json.loads(written.read_text()) == DOCUMENT


def test_the_section_alone_takes_no_names() -> None:
    result = CliRunner().invoke(app, ["bench-array", "n1", "--only-fpga"])
    assert isinstance(result.exception, ValueError)
    assert "leave out the names" in str(result.exception)


@pytest.mark.parametrize("name", ["int8_digits", "int4_digits"])
def test_digits_add_up_to_the_weight(name: str) -> None:
    lane: Any = FPGA_CIRCUITS[name].lane
    top = 1 << (lane.weight_bits - 1)
    weights = np.arange(-top, top)
    digits = lane.recode(weights[None])
    assert np.array_equal(sum(digit << (2 * i) for i, digit in enumerate(digits)), weights)
    assert all(digit.min() >= -1 and digit.max() <= 2 for digit in digits[:-1])
    assert digits[-1].min() >= -2
    assert digits[-1].max() <= 2
    assert lane.hold(weights[None]).max() >> lane.held_bits == 0
