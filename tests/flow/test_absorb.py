"""Tables that vanish into adders: every way a half can be used, and whole netlists."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftwork.flow.absorb import Fit, absorb, fit
from shiftwork.flow.array_fpga import DEVICES
from shiftwork.flow.netlist import module_of, read_netlist
from shiftwork.flow.synth import run_yosys

from .mapped import Bits, evaluate, half

TABLES = {
    n: [tuple(t >> i & 1 for i in range(1 << n)) for t in range(1 << (1 << n))] for n in (2, 3)
}
CARRIES = [np.zeros(1, bool), np.ones(1, bool)]


def adds(found: Fit, count: int, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Return whether a half adds two numbers of one bit, tables over the inputs, and a carry."""
    init = "".join(str(bit) for bit in reversed(found.init))
    for values in range(1 << count):
        pins = [np.array([values >> p & 1 if p >= 0 else p == -2], bool) for p in found.pins]
        for carry in CARRIES:
            total, out = half(init, pins, carry)
            want = first[values] + second[values] + int(carry[0])
            if int(total[0]) + 2 * int(out[0]) != want:
                return False
    return True


def over(count: int, inputs: list[int], table: tuple[int, ...]) -> tuple[int, ...]:
    """Return a table of some of ``count`` inputs as one of all."""
    return tuple(
        table[sum((v >> at & 1) << i for i, at in enumerate(inputs))] for v in range(1 << count)
    )


def fits(count: int, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Fit a sum of two tables; check it exhaustively if it is possible."""
    found = fit(count, tuple(a ^ b for a, b in zip(first, second, strict=True)), first)
    assert found is None or adds(found, count, first, second)
    return found is not None


def test_a_table_of_two_inputs_fits_always() -> None:
    a = over(3, [0], (0, 1))
    assert all(fits(3, a, over(3, [1, 2], table)) for table in TABLES[2])


def test_a_table_of_three_inputs_fits_where_two_can_make_it_0() -> None:
    a = over(4, [0], (0, 1))
    found = {table: fits(4, a, over(4, [1, 2, 3], table)) for table in TABLES[3]}
    for table, fitted in found.items():
        zero = any(table[0] == table[1 << i] == 0 for i in range(3))
        fewer = any(all(table[v] == table[v ^ 1 << i] for v in range(8)) for i in range(3))
        assert fitted == (zero or fewer), table
    multiplexer = tuple(v >> (v >> 2 & 1) & 1 for v in range(8))
    assert found[multiplexer]
    assert not found[tuple(1 - bit for bit in multiplexer)]


def test_two_tables_of_two_inputs_fit_where_one_gives_0_for_0() -> None:
    for one in TABLES[2]:
        for other in TABLES[2]:
            fitted = fits(4, over(4, [0, 1], one), over(4, [2, 3], other))
            assert fitted or (one[0] and other[0])


def test_without_a_carry_every_table_fits() -> None:
    a = over(4, [0], (0, 1))
    for table in TABLES[3]:
        total = tuple(x ^ y for x, y in zip(a, over(4, [1, 2, 3], table), strict=True))
        found = fit(4, total, None)
        assert found is not None
        init = "".join(str(bit) for bit in reversed(found.init))
        for values in range(16):
            pins = [np.array([values >> p & 1], bool) for p in found.pins]
            assert half(init, pins, CARRIES[0])[0][0] == total[values]


def cell(kind: str, parameters: dict[str, str], connections: dict[str, Any]) -> dict[str, Any]:
    outputs = ("Z", "S0", "S1", "COUT")
    return {
        "type": kind, "parameters": parameters, "attributes": {},
        "port_directions": {p: "output" if p in outputs else "input" for p in connections},
        "connections": {port: [net] for port, net in connections.items()},
    }  # fmt: skip


def table(init: int, pins: list[int | str], out: int) -> dict[str, Any]:
    wires = dict(zip("ABCD", pins, strict=True))
    return cell("LUT4", {"INIT": f"{init:016b}"}, {**wires, "Z": out})


def adder(
    pins: list[list[int | str]],
    cin: int | str,
    outs: list[int],
    init: int = 0x96AA,
    inject: str = "NO",
) -> dict[str, Any]:
    wires: dict[str, Any] = {
        f"{pin}{i}": net for i in (0, 1) for pin, net in zip("ABCD", pins[i], strict=True)
    }
    parameters = {f"INIT{i}": f"{init:016b}" for i in (0, 1)}
    parameters |= {f"INJECT1_{i}": inject for i in (0, 1)}
    return cell(
        "CCU2C",
        parameters,
        {**wires, "CIN": cin} | dict(zip(("S0", "S1", "COUT"), outs, strict=True)),
    )


def module(cells: dict[str, Any], inputs: list[int], outputs: list[int]) -> dict[str, Any]:
    ports = {
        "i": {"direction": "input", "bits": inputs},
        "o": {"direction": "output", "bits": outputs},
    }
    return {"ports": ports, "cells": cells, "netnames": {}}


def same(before: dict[str, Any], after: dict[str, Any], given: Bits) -> bool:
    """Return whether outputs are equal, and every sum and carry that is read."""
    old, new = evaluate(before, given), evaluate(after, given)
    cells = after["cells"].values()
    wires = {"input": set(before["ports"]["o"]["bits"]), "output": set()}
    for each in cells:
        for port, nets in each["connections"].items():
            if each["type"] == "CCU2C" or each["port_directions"][port] == "input":
                wires[each["port_directions"][port]].update(nets)
    compared = wires["input"] & wires["output"]
    compared |= set(before["ports"]["o"]["bits"])
    return all(np.array_equal(old[net], new[net]) for net in compared)


def every(inputs: list[int]) -> Bits:
    values = np.arange(1 << len(inputs))
    return {net: (values >> i & 1).astype(bool) for i, net in enumerate(inputs)}


MUX = 0xCACA  # C ? B : A


def one_adder(**more: Any) -> dict[str, Any]:
    """Return two bits of 5 + (4 ? 2 : 3) and of 6 + 7, and what is added."""
    return module({
        "mux": table(MUX, [3, 2, 4, "0"], 10),
        "adder": adder([[5, 10, "0", "1"], [6, 7, "0", "1"]], "0", [20, 21, 22]),
        **more.pop("cells", {}),
    }, [2, 3, 4, 5, 6, 7], [20, 21, 22, *more.pop("outputs", [])])  # fmt: skip


def test_a_multiplexer_vanishes() -> None:
    before = one_adder()
    after = deepcopy(before)
    assert absorb(after) == 1
    assert set(after["cells"]) == {"adder"}
    assert same(before, after, every([2, 3, 4, 5, 6, 7]))


@pytest.mark.parametrize("case", ["port", "table", "inject", "keep", "kept net", "unconnected"])
def test_what_is_needed_elsewhere_stays(case: str) -> None:
    design = one_adder(
        outputs=[10] if case == "port" else [30] if case == "table" else [],
        cells={"other": table(0x0001, [10, 2, 3, 4], 30)} if case == "table" else {},
    )
    cells = design["cells"]
    if case == "inject":
        cells["adder"]["parameters"]["INJECT1_0"] = "YES"
    if case == "keep":
        cells["mux"]["attributes"]["keep"] = "1"
    if case == "kept net":
        design["netnames"]["n"] = {"bits": [10], "attributes": {"keep": "1"}}
    if case == "unconnected":
        cells["adder"]["connections"]["C0"] = ["x"]
    before = deepcopy(design)
    assert absorb(design) == 0
    assert design == before


def test_a_multiplexer_of_inverted_inputs_vanishes_when_their_tables_invert() -> None:
    """5 + (4 ? ~x : ~y): x and y are tables of their own, and x has another reader."""
    inputs = [2, 3, 4, 5, 6, 7, 8]
    before = module({
        "x": table(0x8888, [2, 3, "0", "0"], 11),
        "y": table(0xFEFE, [7, 8, 3, "0"], 12),
        "other": table(0x6666, [11, 8, "0", "0"], 30),
        "mux": table(MUX ^ 0xFFFF, [12, 11, 4, "0"], 10),
        "adder": adder([[5, 10, "0", "1"], [6, 7, "0", "1"]], "0", [20, 21, 22]),
    }, inputs, [20, 21, 22, 30])  # fmt: skip
    after = deepcopy(before)
    assert absorb(after) == 1
    assert set(after["cells"]) == {"x", "y", "other", "adder"}
    assert same(before, after, every(inputs))


def test_a_table_that_several_adders_read_vanishes_into_all() -> None:
    before = one_adder(
        cells={"more": adder([[6, 10, "0", "1"], [10, 5, "0", "1"]], 22, [40, 41, 42])},
        outputs=[40, 41, 42],
    )
    after = deepcopy(before)
    assert absorb(after) == 1
    assert same(before, after, every([2, 3, 4, 5, 6, 7]))


def random_design(rng: np.random.Generator) -> dict[str, Any]:
    """Return tables and adders in a random order, reading anything that was made before."""
    nets = list(range(2, 10))
    cells: dict[str, Any] = {}
    fresh = iter(range(100, 10_000))
    tables = [0x8888, 0x7777, MUX, MUX ^ 0xFFFF, 0x6666, 0x0001, 0x1B1B]
    inits = [0x96AA, 0x9655, 0x66AA, 0x3C3C, 0xA5C3]

    def pick() -> int | str:
        return nets[int(rng.integers(max(0, len(nets) - 12), len(nets)))]

    for index in range(40):
        if rng.random() < 0.6:
            some = int(rng.integers(1, 5))
            pins = [pick() for _ in range(some)] + ["0"] * (4 - some)
            init = int(rng.choice(tables)) if rng.random() < 0.8 else int(rng.integers(1 << 16))
            nets.append(next(fresh))
            cells[f"t{index}"] = table(init, pins, nets[-1])
        else:
            pins = [[pick(), pick(), str(rng.choice(["0", "1"])), "1"] for _ in range(2)]
            outs = [next(fresh) for _ in range(3)]
            init = int(rng.choice(inits, p=[0.6, 0.1, 0.1, 0.1, 0.1]))
            cells[f"a{index}"] = adder(pins, str(rng.choice(["0", "1"])), outs, init)
            nets += outs[: int(rng.integers(1, 4))]
    return module(cells, list(range(2, 10)), nets[-4:])


def test_random_netlists_compute_the_same() -> None:
    rng = np.random.default_rng(5)
    gone = 0
    for _ in range(60):
        before = random_design(rng)
        after = deepcopy(before)
        found = absorb(after)
        assert len(after["cells"]) == len(before["cells"]) - found
        assert same(before, after, every(list(range(2, 10))))
        gone += found
    assert gone > 100


SUMS = """\
module top(input s, t, input [7:0] a, b, c, output [9:0] o, m, output l, output [8:0] e);
  assign o = a - (s ? b : c);
  assign m = s ? a + (b & c) : a - (b & c);
  assign l = (a ^ {8{t}}) < (s ? b : c);
  assign e = {8{t}} & a | (s ? ~b : c) + (a & b);
endmodule
"""


def test_subtractions_and_comparisons_of_a_mapped_design(tmp_path: Path) -> None:
    (tmp_path / "design.v").write_text(SUMS)
    script = DEVICES["ecp5"].script.format(top="top")
    run_yosys(tmp_path, "map", f"read_verilog design.v\n{script}\nwrite_json mapped.json\n")
    before = module_of(read_netlist(tmp_path / "mapped.json"), "top")
    before["ports"]["o"]["bits"] = [
        net for name in "omle" for net in before["ports"][name]["bits"] if isinstance(net, int)
    ]
    after = deepcopy(before)
    assert absorb(after) > 20
    rng = np.random.default_rng(1)
    inputs = [net for name in "stabc" for net in before["ports"][name]["bits"]]
    given: Bits = {net: rng.random(5000) < 0.5 for net in inputs}
    assert same(before, after, given)
    found = evaluate(after, given)

    def number(name: str) -> np.ndarray:
        bits = before["ports"][name]["bits"]
        return np.sum([given[net].astype(int) << i for i, net in enumerate(bits)], axis=0)

    (less,) = before["ports"]["l"]["bits"]
    right = np.where(number("s"), number("b"), number("c"))
    assert np.array_equal(found[less], (number("a") ^ 255 * number("t")) < right)
