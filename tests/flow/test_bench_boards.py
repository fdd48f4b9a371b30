"""A board's row of the bench: ResNet8 with as many terms as fit, built and simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shiftwork.boards.icebreaker import ICEBREAKER
from shiftwork.boards.ulx3s import ULX3S_85F
from shiftwork.flow.bench_boards import bench_board, terms_for


def test_a_board_gets_as_many_terms_as_its_memory_has_room_for() -> None:
    assert terms_for(ULX3S_85F) == 2
    assert terms_for(ICEBREAKER) == 1
    with pytest.raises(ValueError, match="icebreaker has 8,192: leave the board out"):
        terms_for(replace(ICEBREAKER, memory_bytes=8 << 10))


@pytest.mark.slow
def test_a_row_is_of_the_bitstream_and_of_the_simulated_board(tmp_path: Path) -> None:
    row = bench_board(ICEBREAKER, tmp_path)
    assert (tmp_path / "icebreaker.bin").stat().st_size > 100_000
    assert (row["how"], row["terms"], row["dsp"]) == ("simulated", 1, 0)
    assert row["fmax_mhz"] == 27 and 3_000 < row["lut"] <= 5_280
    assert row["resnet8_cycles"] == pytest.approx(6_183_460, rel=1e-3)
    assert row["pictures_per_second"] == round(27e6 / row["resnet8_cycles"], 1)
