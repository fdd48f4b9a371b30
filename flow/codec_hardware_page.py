"""The codec's circuits as a page of the documentation: ``bench-codec --page``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .codec_bench import told
from .files import write_atomic

NAME = "codec-hardware.md"
PREFACE = """\
# The codec's circuits

`{command}` writes this page and measures
everything on it, in one run; placed circuits that it has placed before come from its cache.

Every circuit by itself, for {lanes} channels of {act_bits} bits, codes of {code_bits} bits
({ratio:g}x) and a bus of {bus_bits} bits. A word is a pixel's {lanes} values.

- **FPGA**: {target}, Yosys and nextpnr as for engines ([decision
  002](../decisions/002-synthesis-figures.md)), in a harness of registers, one seed.
- **Standard cells**: {library}, mapped by Yosys alone, no wires, no timing; thousands of NAND2X1.
  `logic` leaves the tables' memories out; `all` has them as flip-flops, which no chip would do for
  more than one plane, so there it is not given.
- `encoder`, `decoder`: tables of one plane, that is of {lanes} channels; `_64`: of 64 planes, as an
  engine has them by default. `packer` and `unpacker` lay coded words into bus beats and cut
  them out again; a fixed-rate code needs the pair beside encoder and decoder.
- `zero_encoder`, `zero_decoder`: zero-value compression, lossless, whose words have no fixed
  length. The encoder's packer is part of it, and so is the decoder's unpacking.
- `switched_encoder`, `switched_decoder`: tables that the left neighbour switches, `_2` of two and
  `_4` of four tables per channel, of one plane; `_4x16`: of 16 planes, as many tables as `_64` has.
  Table bytes are those of the circuit's memories: in the encoder thresholds, edges and next ranges,
  in the decoder levels, each with its range.
- `plane_encoder`, `plane_decoder`: the paper's code, sums of a pixel's {planes} bits with ternary
  weights against thresholds. `_16`: of all {lanes} channels together, a word in 16 cycles; a unit
  forms 16 bits one after another. `_g4`: of groups of 4 channels, a word per cycle; all
  weights are needed in every cycle, so they are registers, and part of `logic`. Table bytes are
  those of weights, 2 bits each, and thresholds.
- Words per cycle are the most a circuit takes or gives; a word that fills more than a beat takes a
  cycle per beat.
- EBPC: published figures, of one 8-bit value per cycle, FIFOs included, in its own flow and
  process (Cavigelli, Rutishauser and Benini, 2019). Not measured here.
"""
AFTER = """\
An engine with `codec_bits` has encoder, decoder, packer and unpacker in its way to memory
([decision 009](../decisions/009-codec-in-the-engine.md)). The circuits of
zero-value compression are not in the engine, which keeps masks and values apart ([decision
015](../decisions/015-maps-without-zeros.md)), nor are those of switched tables, which lose less and
take more than tables ([decision
009](../decisions/009-codec-in-the-engine.md#tables-that-the-left-neighbour-switches)), nor those of
plane codes, which lose more or take more: all are checked by themselves against the model, on both
simulators, on a map of ResNet8.
"""
ENGINES = """\
## Whole engines

The presets as they are, with `codec_bits=4` (encoder, decoder, packer, unpacker; tables of 64
planes each way in memories) and with `zero_maps=true` (loader and feed of maps without zeros), on
the device that `shiftwork synth` takes; one seed each, which moves a clock by several percent.

| engine | device | LUT | FF | BRAM | MHz |
|---|---|---:|---:|---:|---:|"""
HEAD = ("circuit", "words per cycle", "table bytes", "LUT", "FF", "BRAM", "MHz", "kGE logic",
        "kGE all", "kGE logic per value and cycle")  # fmt: skip


def hardware_page(report: dict[str, Any]) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    report : dict
        Of `codec_bench.bench_codec`.
    """
    whole = dict.fromkeys(row["name"] for row in report["engines"])
    options = "".join(f" --engine {name}" for name in whole)
    preface = PREFACE.format(
        command=f"shiftwork bench-codec{options} --page docs/reference",
        **{name: report[name] for name in ("lanes", "act_bits", "code_bits", "bus_bits")},
        planes=report["lanes"] * report["act_bits"],
        ratio=report["act_bits"] / report["code_bits"], target=report["blocks"][0]["target"],
        library=report["library"] or "no library installed",
    )  # fmt: skip
    lines = [preface, f"| {' | '.join(HEAD)} |", f"|---|{'---:|' * (len(HEAD) - 1)}"]
    for row in report["blocks"]:
        each = row["kge_logic"] and row["kge_logic"] / (row["words_per_cycle"] * report["lanes"])
        lines.append(_line(
            f"`{row['name']}`", _rate(row["words_per_cycle"]), row["table_bits"] // 8 or None,
            row["lut"], row["ff"], row["bram"], row["fmax_mhz"], row["kge_logic"], row["kge"], each,
        ))  # fmt: skip
    for name, row in report["ebpc"].items():
        words = _rate(1 / report["lanes"])
        lines.append(_line(f"EBPC {name}, published", words, None, row["lut"], None, None,
                           row["fmax_mhz"], row["kge"], row["kge"], row["kge"]))  # fmt: skip
    lines += ["", AFTER.rstrip()]
    if whole:
        lines += ["", ENGINES]
        lines += [
            _line(f"`{row['name']}`, {told(row['storage'])}", row["target"], row["lut"], row["ff"],
                  row["bram"], row["fmax_mhz"])
            for row in report["engines"]
        ]  # fmt: skip
    return "\n".join([*lines, ""])


def _line(*cells: Any) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _rate(words: float) -> int | str:
    return int(words) if words >= 1 else f"1/{round(1 / words)}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if value < 100 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_hardware_page(report: dict[str, Any], folder: Path) -> None:
    """Write the page into a folder."""
    write_atomic(folder / NAME, hardware_page(report))
