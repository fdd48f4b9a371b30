"""An engine as a package for the tools of others: FuseSoC, IP-XACT (IEEE 1685-2014), Vivado."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..hw.config import EngineConfig
from ..hw.descriptor import ErrorCode
from ..hw.registers import IDENTITY, REGISTER
from .emit import EmitResult
from .files import write_atomic
from .ipxact import component_xml

VENDOR, LIBRARY = "shiftwork", "engines"
_TB = """\
// SPDX-License-Identifier: Apache-2.0
// Smoke test of {top}: who it is, and that it reads memory, stops on what is no program and
// interrupts. It ends with "PASS" or "FAIL".
`timescale 1ns / 1ps
module {top}_tb;
    reg clk = 0, rst = 1;
    always #5 clk = !clk;

    reg [11:0] araddr = 0, awaddr = 0;
    reg [31:0] wdata = 0;
    reg arvalid = 0, awvalid = 0, wvalid = 0;
    wire arready, awready, wready, rvalid, bvalid, irq;
    wire [31:0] rdata;
    wire [1:0] rresp, bresp;

    // A memory of zeros.
    wire m_arvalid;
    wire [7:0] m_arlen;
    wire [31:0] m_araddr;
    reg m_rvalid = 0, m_rlast = 0;
    reg [7:0] left = 0;
    integer bursts = 0;
    wire m_arready = !m_rvalid;
    always @(posedge clk)
        if (rst) m_rvalid <= 0;
        else if (m_arvalid && m_arready) begin
            m_rvalid <= 1;
            m_rlast <= m_arlen == 0;
            left <= m_arlen;
            bursts <= bursts + 1;
        end else if (m_rvalid) begin
            m_rvalid <= left != 0;
            m_rlast <= left == 1;
            left <= left - 1;
        end

    {top} dut (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axil_araddr(araddr), .s_axil_arprot(3'b000), .s_axil_arvalid(arvalid),
        .s_axil_arready(arready), .s_axil_rdata(rdata), .s_axil_rresp(rresp),
        .s_axil_rvalid(rvalid), .s_axil_rready(1'b1),
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(awvalid),
        .s_axil_awready(awready), .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111),
        .s_axil_wvalid(wvalid), .s_axil_wready(wready), .s_axil_bresp(bresp),
        .s_axil_bvalid(bvalid), .s_axil_bready(1'b1),
        .m_axi_araddr(m_araddr), .m_axi_arlen(m_arlen), .m_axi_arvalid(m_arvalid),
        .m_axi_arready(m_arready), .m_axi_rdata({bus_bits}'d0), .m_axi_rresp(2'b00),
        .m_axi_rlast(m_rlast), .m_axi_rvalid(m_rvalid),
        .m_axi_awready(1'b1), .m_axi_wready(1'b1), .m_axi_bresp(2'b00), .m_axi_bvalid(1'b0)
    );

    integer wrong = 0;
    task expect_register(input [11:0] address, input [31:0] want);
        begin
            @(posedge clk) #1 araddr = address;
            arvalid = 1;
            @(posedge clk) while (!arready) @(posedge clk);
            #1 arvalid = 0;
            while (!rvalid) @(posedge clk);
            if (rdata !== want || rresp !== 2'b00) begin
                $display("register %h: %h, not %h", address, rdata, want);
                wrong = wrong + 1;
            end
            @(posedge clk);
        end
    endtask
    task write_register(input [11:0] address, input [31:0] value);
        begin
            @(posedge clk) #1 awaddr = address;
            wdata = value;
            awvalid = 1;
            wvalid = 1;
            @(posedge clk) #1 awvalid = 0;
            wvalid = 0;
            while (!bvalid) @(posedge clk);
            @(posedge clk);
        end
    endtask

    initial begin
        repeat (4) @(posedge clk);
        #1 rst = 0;
        expect_register(12'h{id:03x}, 32'h{identity:08x});
        expect_register(12'h{fingerprint:03x}, 32'h{crc:08x});
        expect_register(12'h{status:03x}, 32'h00000000);
        write_register(12'h{program:03x}, 32'h00001000);
        write_register(12'h{control:03x}, 32'h00000101);
        while (!irq) @(posedge clk);
        expect_register(12'h{error:03x}, 32'h{code:08x});
        if (bursts == 0) wrong = wrong + 1;
        if (wrong == 0) $display("PASS");
        else $display("FAIL");
        $finish;
    end
    initial begin
        #1000000 $display("FAIL: no end");
        $finish;
    end
endmodule
"""
_TCL = """\
# Packages {top} as an IP of Vivado, with its AXI interfaces:
#   vivado -mode batch -source {top}_vivado.tcl
set folder [file normalize [file dirname [info script]]]
create_project -in_memory -part xc7z020clg400-1
add_files -norecurse [file join $folder {top}.v]
set_property top {top} [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir [file join $folder {top}_ip] -vendor {vendor} -library {library} \\
    -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name {top} $core
set_property version {version} $core
set_property display_name "{top}" $core
set_property description "Convolutional networks without multipliers" $core
# Clock, reset and interrupt; Vivado infers m_axi and s_axil from the names of their ports.
foreach bus {{m_axi s_axil}} {{
    if {{[ipx::get_bus_interfaces $bus -of_objects $core] eq ""}} {{
        error "{top}: Vivado did not infer the bus interface $bus"
    }}
    ipx::associate_bus_interfaces -busif $bus -clock clk $core
}}
set reset [ipx::get_bus_interfaces rst -of_objects $core]
set polarity [ipx::get_bus_parameters POLARITY -of_objects $reset]
if {{$polarity eq ""}} {{ set polarity [ipx::add_bus_parameter POLARITY $reset] }}
set_property value ACTIVE_HIGH $polarity
ipx::infer_bus_interface irq xilinx.com:signal:interrupt_rtl:1.0 $core
set space [ipx::get_address_spaces m_axi -of_objects $core]
if {{$space ne ""}} {{ set_property range 4G $space }}
set map [ipx::get_memory_maps s_axil -of_objects $core]
foreach block [ipx::get_address_blocks -of_objects $map] {{
    set_property range 4096 $block
}}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
"""


@dataclass(frozen=True)
class Package:
    """The files of a package.

    Attributes
    ----------
    core : Path
        Of FuseSoC (CAPI 2), targets ``default`` and ``sim`` (Icarus).
    testbench : Path
        What ``sim`` runs.
    component : Path
        IP-XACT component with bus interfaces, registers and ports.
    vivado : Path
        Tcl that packages the engine in Vivado.
    """

    core: Path
    testbench: Path
    component: Path
    vivado: Path


def write_package(config: EngineConfig, emitted: EmitResult) -> Package:
    """Write the package of an emitted engine beside its Verilog.

    Parameters
    ----------
    config : EngineConfig
        The engine's parameters.
    emitted : EmitResult
        What `emit` wrote.
    """
    top, folder = emitted.top, emitted.verilog.parent
    number = version("shiftwork")
    description: dict[str, Any] = json.loads(emitted.description.read_bytes())
    offsets = {
        name.lower(): REGISTER[name].offset
        for name in ("ID", "FINGERPRINT", "STATUS", "PROGRAM", "CONTROL", "ERROR")
    }
    testbench = _TB.format(
        top=top, bus_bits=config.bus_bits, identity=IDENTITY, crc=config.fingerprint,
        code=ErrorCode.VERSION.value, **offsets,
    )  # fmt: skip
    tcl = _TCL.format(top=top, vendor=VENDOR, library=LIBRARY, version=number)
    return Package(
        write_atomic(folder / f"{top}.core", core_file(top, number)),
        write_atomic(folder / f"{top}_tb.v", testbench),
        write_atomic(
            folder / f"{top}.xml",
            component_xml(config, description["ports"], VENDOR, LIBRARY, top, number),
        ),
        write_atomic(folder / f"{top}_vivado.tcl", tcl),
    )


def core_file(top: str, number: str) -> str:
    """Return the FuseSoC core of an engine."""
    return f"""CAPI=2:
name: {VENDOR}:{LIBRARY}:{top}:{number}
description: Convolutional networks without multipliers, AXI4 master and AXI4-Lite slave

filesets:
  rtl:
    files: [{top}.v]
    file_type: verilogSource-2005
  testbench:
    files: [{top}_tb.v]
    file_type: verilogSource-2005

targets:
  default:
    description: The engine alone, for cores that depend on it
    filesets: [rtl]
    toplevel: {top}
  sim:
    description: Smoke test
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2005]
    filesets: [rtl, testbench]
    toplevel: {top}_tb
"""
