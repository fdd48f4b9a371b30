"""Counting changes in a VCD."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.flow.asic.simulate import count_toggles
from shiftwork.flow.tools import ToolError

HEAD = """$timescale 1ps $end
$scope module bench $end
$scope module dut $end
$var wire 1 ! clk $end
$var wire 1 " net_0 $end
$var wire 4 # bus [3:0] $end
$scope module column0 $end
$var wire 1 " x $end
$var wire 1 $ quiet $end
$upscope $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
$dumpvars
0!
1"
b10 #
0$
$end
"""
BODY = """#10
1!
0"
b111 #
#20
0!
#30
1!
b0 #
"""


def test_changes_are_counted_and_first_values_are_not(tmp_path: Path) -> None:
    vcd = tmp_path / "d.vcd"
    vcd.write_text(HEAD + BODY + '$dumpoff\nx!\nx"\nbx #\nx$\n$end\n')
    counted = {
        "clk": 3, "net_0": 1, "column0/x": 1, "column0/quiet": 0,
        "bus[0]": 2, "bus[1]": 1, "bus[2]": 2, "bus[3]": 0,
    }  # fmt: skip
    assert count_toggles(vcd) == (counted, frozenset())


def test_nets_without_a_value_are_told_apart(tmp_path: Path) -> None:
    """x gets its first value in the end, quiet none; bus has three bits from #0, two of them on."""
    vcd = tmp_path / "d.vcd"
    head = HEAD.replace('1"\n', 'x"\n').replace("0$\n", "x$\n").replace("b10 #", "bx10 #")
    vcd.write_text(head + '#10\nb1x #\n#20\nb1x1x #\n1"\n$dumpoff\n$end\n')
    found, unknown = count_toggles(vcd, undefined=True)
    assert unknown == {"column0/quiet"}
    assert (found["net_0"], found["column0/x"], found["column0/quiet"]) == (1, 1, 0)
    vcd.write_text(head + "$dumpoff\n$end\n")
    assert count_toggles(vcd, undefined=True)[1] == {
        "net_0", "column0/x", "column0/quiet", "bus[2]", "bus[3]"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + BODY, "cut short"),
        ("nothing\n", "not a VCD"),
        (HEAD.replace('1"\n', 'x"\n') + BODY + "$dumpoff\n$end\n", "net_0 has no value"),
        (HEAD + "#1\nbx0 #\n$dumpoff\n$end\n", "no value in the simulation"),
    ],
)
def test_what_cannot_be_counted_is_refused(text: str, message: str, tmp_path: Path) -> None:
    vcd = tmp_path / "d.vcd"
    vcd.write_text(text)
    with pytest.raises(ToolError, match=message):
        count_toggles(vcd)
