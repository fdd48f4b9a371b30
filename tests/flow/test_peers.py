"""ResNet8 on this project's engines beside published figures."""

from __future__ import annotations

import pytest
from rich.console import Console

from shiftwork.flow.peers import PEERS, peers_table, picture_figures


def test_pictures_and_lookup_tables_times_cycles_follow_from_the_clock() -> None:
    figures = picture_figures(500_000, 10_000, 80.0)
    assert figures == {
        "resnet8_cycles": 500_000, "pictures_per_second": 160.0, "lut_megacycles": 5000,
    }  # fmt: skip
    assert set(picture_figures(None, 10_000, 80.0).values()) == {None}


def test_a_peer_s_lookup_tables_times_cycles_need_all_three_figures() -> None:
    by_board = {peer.board: peer for peer in PEERS}
    # 16 000 lookup tables, 125 MHz / 317.5 pictures a second = 393 700 cycles
    assert by_board["ZyBo"].lut_cycles == pytest.approx(6299, rel=1e-3)
    assert by_board["Pynq-Z2"].lut_cycles is None


def test_the_table_says_what_is_estimated_and_leaves_out_what_cannot_run() -> None:
    row = {"target": "ECP5-25F", "lut": 10_000, "dsp": 0, "fmax_mhz": 80.0}
    rows = [
        {"preset": "able", **row, **picture_figures(500_000, 10_000, 80.0)},
        {"preset": "unable", **row, **picture_figures(None, 10_000, 80.0)},
    ]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(peers_table(rows))
    text = capture.get()
    assert "able (estimated)" in text and "160.0" in text
    assert "unable" not in text
    assert all(peer.source in text for peer in PEERS)
