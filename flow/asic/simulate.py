"""A mapped array simulated with delays, its sums compared, its toggles counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...hw.arrays.circuits import Circuit
from ..tools import ToolError, run_tool
from .library import Library
from .mapping import TOP, Netlist
from .stimulus import LEAD, Workload, write_memories

INPUT_DELAY = 0.5  # ns after the clock at which inputs change, as from registers outside
_UNDEFINED = bytes.maketrans(b"xz", b"00")
_DEFINED = bytes.maketrans(b"01xz", b"1100")
_CHUNK = 1 << 24  # bytes of a VCD read at once


class Mismatch(RuntimeError):
    """The netlist computes other sums than the golden model."""


@dataclass(frozen=True)
class Toggles:
    """Changes of every net of a netlist over a run.

    Attributes
    ----------
    nets : dict of str to int
        Changes by net, bits of ports as ``name[index]``.
    cycles : int
        Clock cycles they were counted over.
    sums : int
        Sums compared with the golden model's; all were equal.
    """

    nets: dict[str, int]
    cycles: int
    sums: int


def bench(
    circuit: Circuit, rows: int, columns: Sequence[str], beats: int, loads: int, period: float
) -> str:
    """Return the bench as Verilog.

    The sums of beat i leave the array two edges after its activations entered. Toggles are
    counted from the middle of the cycle before the first measured beat's sums settle, over as
    many cycles as there are measured beats.
    """
    cols = len(columns)
    scopes = ", ".join(["dut", *(f"dut.{name}" for name in columns)])
    widths = {
        "acts": rows * circuit.act_bits, "held": rows * cols * circuit.held_bits, "load": 1,
        "sum_in": cols * circuit.acc_bits, "sum_out": cols * circuit.acc_bits,
    }  # fmt: skip
    depth = {name: loads if name == "held" else beats for name in widths}
    memories = "\n".join(
        f"  reg [{bits - 1}:0] {name}_of [0:{depth[name] - 1}];" for name, bits in widths.items()
    )
    reads = "\n".join(f'    $readmemh("{name}.hex", {name}_of);' for name in widths)
    return f"""`timescale 1ns/1ps
module bench;
{memories}
  reg clk = 0, gate = 0;
  wire clk_weights = clk & gate;
  reg [{widths["acts"] - 1}:0] acts;
  reg [{widths["held"] - 1}:0] held;
  reg [{widths["sum_in"] - 1}:0] sum_in;
  wire [{widths["sum_out"] - 1}:0] sum_out;
  integer i, block = 0, wrong = 0;
  {TOP} dut(.clk(clk), .clk_weights(clk_weights), .acts(acts), .held(held), .sum_in(sum_in),
    .sum_out(sum_out));
  always #{period / 2} clk = ~clk;
  initial begin
    $sdf_annotate("netlist.sdf", dut);
{reads}
    $dumpfile("dump.vcd");
    for (i = 0; i < {beats} + 2; i = i + 1) begin
      // Before the edge at which beat i's activations enter.
      #{INPUT_DELAY};
      if (i < {beats}) begin
        acts = acts_of[i];
        sum_in = sum_in_of[i];
        if (load_of[i]) begin
          held = held_of[block];
          block = block + 1;
        end
      end
      if (i >= 2 && i < {beats} + 2) begin
        #{period / 4};
        if (sum_out !== sum_out_of[i - 2]) begin
          wrong = wrong + 1;
          if (wrong == 1) $display("beat %0d gave %h, not %h", i - 2, sum_out, sum_out_of[i - 2]);
        end
      end
      @(negedge clk);
      gate = i < {beats} ? load_of[i] : 0;
      if (i == {LEAD}) $dumpvars(1, {scopes});
      if (i == {beats}) $dumpoff;
      @(posedge clk);
    end
    $display("DONE %0d beats %0d wrong", {beats}, wrong);
    $finish;
  end
endmodule
"""


def simulate(
    circuit: Circuit, rows: int, netlist: Netlist, workload: Workload, library: Library,
    work: Path, period: float,
) -> Toggles:  # fmt: skip
    """Run a netlist with its delays (``netlist.sdf`` in ``work``) over a workload.

    Raises
    ------
    Mismatch
        If a sum differs from the golden model's.
    ToolError
        If Icarus is missing or fails.
    """
    beats = write_memories(circuit, workload, work)
    loads = len(workload.codes) + LEAD
    (work / "bench.v").write_text(bench(circuit, rows, netlist.columns, beats, loads, period))
    models = fine_models(library, work)
    defines = [f"-D{name}" for name in library.defines]
    arguments = ["-g2012", "-gspecify", "-Tmax", *defines, "-s", "bench", "-o", "bench.vvp"]
    # The SDF has no typical values: with -Ttyp loads would silently not count.
    run_tool(
        "iverilog", [*arguments, "bench.v", netlist.verilog.name, *map(str, models)], cwd=work,
        log=work / "iverilog.log",
    )  # fmt: skip
    log = work / "simulate.log"
    run_tool("vvp", ["-n", "bench.vvp"], cwd=work, log=log)
    text = log.read_text("utf-8", "replace")
    done = re.search(r"^DONE (\d+) beats (\d+) wrong", text, re.M)
    if done is None:
        raise ToolError(f"vvp ended without a result: {(text.splitlines() or ['no output'])[-1]}")
    if int(done[2]):
        first = re.search(r"^beat .*", text, re.M)
        raise Mismatch(f"{circuit.name}: {done[2]} of {done[1]} beats differ; {first and first[0]}")
    nets, _ = count_toggles(work / "dump.vcd")
    (work / "dump.vcd").unlink()
    return Toggles(nets, beats - LEAD, int(done[1]) * len(netlist.columns))


def fine_models(library: Library, work: Path) -> list[Path]:
    """Copy a library's Verilog models: delays in their own, coarser unit would be rounded to it."""
    models = []
    for index, path in enumerate(library.cells):
        text = re.sub(r"`timescale\s+\S+\s*/\s*\S+", "`timescale 1ns/1ps", path.read_text())
        models.append(work / f"models{index}.v")
        models[-1].write_text(text)
    return models


def count_toggles(vcd: Path, undefined: bool = False) -> tuple[dict[str, int], frozenset[str]]:
    """Return how often each one-bit net of a VCD changed, and each bit of its vectors.

    Changes between ``$dumpoff`` and ``$dumpon`` do not count, and the file must end there. With
    ``undefined`` a net may have no value yet; its first one then counts as a change. The nets that
    never had one while changes counted are returned beside.

    Raises
    ------
    ToolError
        If the file is no VCD, is cut short, or a net still was unknown where counting began.
    """
    names: dict[bytes, list[str]] = {}
    wide: dict[bytes, list[tuple[str, int]]] = {}
    scopes: list[str] = []
    with vcd.open("rb") as file:
        for line in file:
            words = line.split()
            if words[:1] == [b"$scope"]:
                scopes.append(words[2].decode())
            elif words[:1] == [b"$upscope"]:
                scopes.pop()
            elif words[:1] == [b"$var"]:
                width, code = int(words[2]), words[3]
                name = "/".join([*scopes[2:], words[4].decode()])  # below bench and dut
                if width == 1 and words[5:6] == [b"$end"]:
                    names.setdefault(code, []).append(name)
                else:
                    wide.setdefault(code, []).append((name, width))
            elif words[:1] == [b"$enddefinitions"]:
                break
        else:
            raise ToolError(f"{vcd.name} is not a VCD")
        changes: Counter[bytes] = Counter()
        found: Counter[str] = Counter()
        last: dict[bytes, int] = {}
        bit_changes: Counter[tuple[bytes, int]] = Counter()
        known: set[bytes] = set()
        known_bits: dict[bytes, int] = {}
        counting = counted = False
        for part, lines in _parts(file):
            if part == b"$dumpoff":
                counting = False
            elif part in (b"$dumpvars", b"$dumpon"):  # values, not changes
                counting = counted = True
                known.update(line[1:] for line in lines if line[:1] in (b"0", b"1"))
                for line in lines:
                    if line[:1] == b"b":
                        bits, code = line[1:].split()
                        last[code] = _number(bits, undefined)
                        known_bits[code] = known_bits.get(code, 0) | _known(bits)
                    elif not undefined and line[:1] in b"xz" and line[1:] in names:
                        raise ToolError(f"net {names[line[1:]][0]} has no value in the simulation")
            elif counting:
                vectors = [line for line in lines if line[:1] == b"b"]
                changes.update(line for line in lines if line[:1] in (b"0", b"1"))
                for line in vectors:
                    bits, code = line[1:].split()
                    number = _number(bits, undefined)
                    changed, last[code] = number ^ last.get(code, number), number
                    known_bits[code] = known_bits.get(code, 0) | _known(bits)
                    while changed:
                        bit_changes[code, changed.bit_length() - 1] += 1
                        changed &= ~(1 << (changed.bit_length() - 1))
    if counting or not counted:
        raise ToolError(f"{vcd.name} was cut short")
    for line, count in changes.items():
        known.add(line[1:])
        for name in names[line[1:]]:
            found[name] += count
    unknown: set[str] = set()
    for code, same in names.items():
        for name in same:
            found[name] += 0  # nets that never change count too
        unknown.update(same if code not in known else ())
    for code, same in wide.items():
        for name, width in same:
            for index in range(width):
                found[f"{name}[{index}]"] += bit_changes[code, index]
                if not known_bits.get(code, 0) >> index & 1:
                    unknown.add(f"{name}[{index}]")
    return dict(found), frozenset(unknown)


def _parts(file: BinaryIO) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield the lines between the keywords of a VCD's body, with the keyword before them.

    What stands behind a keyword's ``$end`` has none.
    """
    rest, part = b"", b""
    while chunk := file.read(_CHUNK):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        at = 0
        for index in [i for i, line in enumerate(lines) if line[:1] == b"$"]:
            yield part, lines[at:index]
            part, at = (b"" if lines[index] == b"$end" else lines[index]), index + 1
        yield part, lines[at:]
    yield part, []


def _known(bits: bytes) -> int:
    """Return which bits of a vector have a value; what stands before the first is as it is.

    A VCD leaves out zeros before a one or zero, and values like an x before an x.
    """
    return int(bits.translate(_DEFINED), 2) | (0 if bits[:1] in b"xz" else -1 << len(bits))


def _number(bits: bytes, undefined: bool) -> int:
    """Return a vector's value; with ``undefined`` bits without one are 0.

    Raises
    ------
    ToolError
        If a bit is unknown.
    """
    try:
        return int(bits.translate(_UNDEFINED) if undefined else bits, 2)
    except ValueError:
        raise ToolError("a port has no value in the simulation") from None
