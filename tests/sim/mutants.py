"""Faulty engines made from the emitted Verilog, to show that the benches see what they must."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

Change = Callable[[str], str]


def mutant(verilog: Path, folder: Path, change: Change, *, everywhere: bool = False) -> Path:
    """Write the Verilog with its top module, the first of the file, changed, or all of it.

    Raises
    ------
    ValueError
        If that changes nothing.
    """
    text = verilog.read_text()
    top, end, rest = (text, "", "") if everywhere else text.partition("endmodule")
    changed = change(top)
    if changed == top:
        raise ValueError(f"{change.__name__} changes nothing in {verilog}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / verilog.name
    path.write_text(changed + end + rest)
    return path


def _rewire(top: str, pin: str, wire: str) -> str:
    """Connect a pin of the core with another wire."""
    return re.sub(rf"\.m_axi_{pin}\(\w+\)", f".m_axi_{pin}({wire})", top)


def withdraws_writes_at_a_soft_reset(top: str) -> str:
    """AWVALID and WVALID fall for the first cycle of a soft reset, also before they are taken."""
    for name in ("aw", "w"):
        top = _rewire(top, f"{name}valid", f"x_{name}valid")
        top = _rewire(top, f"{name}ready", f"m_axi_{name}ready & ~glitch")
    return top + (
        "  wire x_awvalid, x_wvalid;\n"
        "  reg resetting_before = 0;\n"
        "  always @(posedge clk) resetting_before <= resetting;\n"
        "  wire glitch = resetting & ~resetting_before;\n"
        "  assign m_axi_awvalid = x_awvalid & ~glitch;\n"
        "  assign m_axi_wvalid = x_wvalid & ~glitch;\n"
    )


def inverts_wlast(top: str) -> str:
    """WLAST is high on every beat but the last of a burst."""
    return _rewire(top, "wlast", "x_wlast") + "  wire x_wlast;\n  assign m_axi_wlast = ~x_wlast;\n"


def counts_every_response(text: str) -> str:
    """A write response is counted also if no burst is outstanding."""
    return re.sub(r"(assign answer = m_axi_bvalid) & \w+;", r"\1;", text)


def writes_ahead(first: int, words: int) -> Change:
    """Return a change: before the first write, ``words`` bus words from ``first`` on are written.

    What an engine that begins a later layer too early does. The core's bursts wait meanwhile.
    """

    def writes_ahead(top: str) -> str:
        for name in ("awaddr", "awlen", "awvalid", "wdata", "wstrb", "wlast", "wvalid"):
            width = re.search(rf"output wire (\[\d+:0\] )?m_axi_{name},", top)
            assert width, name
            top = _rewire(top, name, f"x_{name}") + f"  wire {width[1] or ''}x_{name};\n"
        for name in ("awready", "wready"):
            top = _rewire(top, name, f"m_axi_{name} & ahead[1]")
        top = _rewire(top, "bvalid", "m_axi_bvalid & owned")
        return (
            top
            + f"""
  reg [1:0] ahead = 0; // nothing yet, address taken, done
  reg [8:0] beat = 0;
  reg owned = 0; // the burst ahead has been answered
  always @(posedge clk) begin
    if (ahead == 0 && m_axi_awvalid && m_axi_awready) ahead <= 1;
    if (ahead == 1 && m_axi_wready) begin
      beat <= beat + 1;
      if (beat == {words - 1}) ahead <= 2;
    end
    if (m_axi_bvalid) owned <= 1;
  end
  assign m_axi_awvalid = ahead == 0 ? running : ahead == 2 && x_awvalid;
  assign m_axi_awaddr = ahead == 0 ? 32'd{first} : x_awaddr;
  assign m_axi_awlen = ahead == 0 ? 8'd{words - 1} : x_awlen;
  assign m_axi_wvalid = ahead == 1 || ahead == 2 && x_wvalid;
  assign m_axi_wdata = ahead == 1 ? 0 : x_wdata;
  assign m_axi_wstrb = ahead == 1 ? ~0 : x_wstrb;
  assign m_axi_wlast = ahead == 1 ? beat == {words - 1} : x_wlast;
"""
        )

    return writes_ahead
