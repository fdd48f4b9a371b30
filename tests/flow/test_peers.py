"""ResNet8 on this project's engines beside published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from shiftwork.flow.peers import PEERS, peers_table, picture_figures, write_page

ROW = {
    "how": "estimated", "target": "ECP5-25F", "lut": 10_000, "dsp": 0, "fmax_mhz": 80.0, "terms": 2,
}  # fmt: skip
ROWS = [
    {"preset": "able", **ROW, **picture_figures(500_000, 10_000, 80.0)},
    {"preset": "unable", **ROW, **picture_figures(None, 10_000, 80.0)},
    {
        "preset": "whole",
        **ROW,
        "how": "simulated",
        "terms": 1,
        **picture_figures(1_000_000, 10_000, 80.0),
    },
]


def test_pictures_and_lookup_tables_times_cycles_follow_from_the_clock() -> None:
    figures = picture_figures(500_000, 10_000, 80.0)
    assert figures == {
        "resnet8_cycles": 500_000, "pictures_per_second": 160.0, "lut_megacycles": 5000,
    }  # fmt: skip
    assert set(picture_figures(None, 10_000, 80.0).values()) == {None}


def test_a_peer_s_lookup_tables_times_cycles_need_all_three_figures() -> None:
    by_board = {peer.board: peer for peer in PEERS}
    zybo, arty = by_board["ZyBo"], by_board["Arty A7-100T"]
    assert zybo.cycles == pytest.approx(393_700, rel=1e-3)  # 125 MHz / 317.5 pictures a second
    assert zybo.lut_cycles == pytest.approx(6299, rel=1e-3)  # of 16 000 lookup tables
    assert (arty.cycles, arty.lut_cycles) == (None, None)


def test_the_table_says_what_is_estimated_and_leaves_out_what_cannot_run() -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(peers_table(ROWS))
    text = capture.get()
    assert "able (estimated)" in text and "160.0" in text
    assert "unable" not in text
    assert all(peer.source in text for peer in PEERS)


def test_the_page_has_a_row_for_each_and_where_it_is_from(tmp_path: Path) -> None:
    text = write_page(ROWS, tmp_path, "shiftwork bench small").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert "Made by `shiftwork bench small`." in text
    assert len(rows) == 3 + len(PEERS)  # the heading, an engine and a board that can run it
    assert rows[1] == (
        "| able (estimated) | ECP5-25F | ResNet8, N = 2 | 160.0 | 10,000 | 0 | 80.0 | 500,000 "
        "| 5,000 |"
    )
    assert rows[2].startswith("| whole (simulated) | ECP5-25F | ResNet8, N = 1 | 80.0 |")
    assert all(peer.url in text for peer in PEERS)
