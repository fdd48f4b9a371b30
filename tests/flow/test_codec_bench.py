"""The figures of the codec's circuits: what they are of, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from shiftwork.flow import codec_bench
from shiftwork.flow.codec_bench import (
    EBPC,
    STORAGE,
    blocks,
    cell_area,
    measure,
    measure_engine,
    to_table,
)
from shiftwork.flow.codec_hardware_page import write_hardware_page
from shiftwork.flow.netlist import Area
from shiftwork.flow.progress import Stages
from shiftwork.hw.config import EngineConfig

LIBERTY = """
library (x) {
  cell (NAND2X1) { area : 24; pin(A) { capacitance : 1; } }
  cell ("DFFPOSX1") {
    area : 96.5;
  }
}
"""

ENGINE = {"name": "small", "storage": {"codec_bits": 4}, "target": "ECP5-25F speed 6", "lut": 23456,
          "ff": 789, "bram": 40, "dsp": 0, "fmax_mhz": 98.7}  # fmt: skip


def test_a_cells_area_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cells.lib"
    path.write_text(LIBERTY)
    assert cell_area(path, "NAND2X1") == 24
    assert cell_area(path, "DFFPOSX1") == 96.5
    with pytest.raises(ValueError, match="has no cell INVX1"):
        cell_area(path, "INVX1")


@pytest.mark.parametrize(("text", "said"), [(None, ": no such file; name"), ("x", "has no cell")])
def test_a_library_asked_for_must_be_one(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cells.lib"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("SHIFTWORK_LIBERTY", str(path))
    with pytest.raises(ValueError, match=said) as caught:
        codec_bench.bench_codec(tmp_path / "out", Stages(Console()))
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_tables_are_counted() -> None:
    found = {block.name: block.tables for block in blocks()}
    assert found["encoder"] == 16 * 15 * 8 and found["decoder"] == 16 * 16 * 8
    assert found["encoder_64"] == 64 * found["encoder"]
    assert found["packer"] == found["unpacker"] == 0
    assert found["switched_decoder_4"] == 16 * 4 * 16 * (8 + 2)
    assert found["switched_decoder_2"] == 16 * 2 * 16 * (8 + 1)
    assert found["switched_encoder_4"] == 16 * (4 * 15 * 8 + 15 * 8 + 16 * 4 * 2)
    assert found["switched_encoder_2"] == 16 * (2 * 15 * 8 + 3 * 8 + 4 * 2 * 1)
    assert found["switched_encoder_4x16"] == 16 * found["switched_encoder_4"]
    flat = {block.name for block in blocks() if block.flat and block.tables}
    assert flat == {"encoder", "decoder", "switched_encoder_2", "switched_decoder_2",
                    "switched_encoder_4", "switched_decoder_4"}  # fmt: skip
    # 2 bits a weight, 8 a threshold of 128 inputs, 7 of 64, 6 of 32, 5 of 16
    assert found["plane_encoder_16"] == 64 * (2 * 128 + 8)
    assert found["plane_decoder_16"] == 128 * (2 * 64 + 7)
    assert found["plane_encoder_g4"] == 64 * (2 * 32 + 6)
    assert found["plane_decoder_g4"] == 128 * (2 * 16 + 5)
    assert {block.words for block in blocks() if block.name.endswith("_16")} == {1 / 16}


def test_the_table_shows_published_figures_beside_measured_ones() -> None:
    row = {"name": "encoder", "words_per_cycle": 1, "table_bits": 1920, "lut": 1234, "ff": 567,
           "bram": 0, "fmax_mhz": 99.5, "kge": None, "kge_logic": 4.25}  # fmt: skip
    console = Console(width=160)
    with console.capture() as captured:
        console.print(to_table({"blocks": [row], "ebpc": EBPC, "engines": [ENGINE]}))
    text = captured.get()
    assert "1,234" in text and "4.25" in text and "99.5" in text
    assert "small, codec_bits=4" in text and "23456" in text
    assert "EBPC encoder (published)" in text and "784" in text and "3.8" in text


def test_the_page_has_every_circuit_and_the_published_ones(tmp_path: Path) -> None:
    rows = [
        {"name": "encoder_64", "words_per_cycle": 1, "table_bits": 122880, "target": "ECP5-25F",
         "lut": 5216, "ff": 2181, "bram": 32, "dsp": 0, "fmax_mhz": 117.5, "kge_logic": 18.08,
         "kge": None},
        {"name": "packer", "words_per_cycle": 1, "table_bits": 0, "target": "ECP5-25F",
         "lut": 436, "ff": 123, "bram": 0, "dsp": 0, "fmax_mhz": 79.1, "kge_logic": 1.34,
         "kge": 1.34},
        {"name": "plane_encoder_16", "words_per_cycle": 1 / 16, "table_bits": 16896,
         "target": "ECP5-25F", "lut": 4063, "ff": 1578, "bram": 0, "dsp": 0, "fmax_mhz": 126.5,
         "kge_logic": 15.13, "kge": None},
    ]  # fmt: skip
    report = {"lanes": 16, "act_bits": 8, "code_bits": 4, "bus_bits": 64, "library": "cells",
              "blocks": rows, "ebpc": EBPC,
              "engines": [ENGINE, {**ENGINE, "storage": {}, "fmax_mhz": 101.0}]}  # fmt: skip
    write_hardware_page(report, tmp_path)
    page = (tmp_path / "codec-hardware.md").read_text()
    assert "| `encoder_64` | 1 | 15,360 | 5,216 | 2,181 | 32 | 117.5 | 18.08 |  | 1.13 |" in page
    assert "| `packer` | 1 |  | 436 | 123 | 0 | 79.10 | 1.34 | 1.34 | 0.08 |" in page
    assert "| `plane_encoder_16` | 1/16 | 2,112 | 4,063 | 1,578 | 0 | 126.5 | 15.13 |  |" in page
    assert "| EBPC decoder, published | 1/16 |  | 974 |  |  | 85.00 | 4.00 | 4.00 | 4.00 |" in page
    assert "(2x)" in page and "**FPGA**: ECP5-25F" in page and "cells, mapped" in page
    assert "`shiftwork bench-codec --engine small --page docs/reference` writes" in page
    assert "| `small`, codec_bits=4 | ECP5-25F speed 6 | 23,456 | 789 | 40 | 98.70 |" in page
    assert "| `small`, plain | ECP5-25F speed 6 | 23,456 | 789 | 40 | 101.0 |" in page
    report["engines"] = []
    rows[0]["kge_logic"] = None  # no library there
    write_hardware_page(report, tmp_path)
    page = (tmp_path / "codec-hardware.md").read_text()
    assert "| 117.5 |  |  |  |" in page and "Whole engines" not in page


def test_an_engine_is_emitted_as_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def placed(path: Path, top: str, *, target: object) -> SimpleNamespace:
        seen.append(path.read_text())
        return SimpleNamespace(target="ECP5-25F speed 6", area=Area(lut=5, ff=6, bram=7, dsp=0),
                               fmax_mhz=70.26)  # fmt: skip

    monkeypatch.setattr(codec_bench, "synthesise", placed)
    config = EngineConfig(name="x", rows=2, cols=2, hold=8, buffer_words=64)
    rows = [measure_engine(config, storage, tmp_path) for storage in STORAGE]
    assert [row["storage"] for row in rows] == [*STORAGE]
    assert rows[0]["lut"] == 5 and rows[0]["bram"] == 7 and rows[0]["fmax_mhz"] == 70.3
    assert ["encoder" in text for text in seen] == [False, True, False]
    assert ["zero_loader" in text for text in seen] == [False, False, True]


@pytest.mark.slow
def test_a_circuit_is_measured(tmp_path: Path) -> None:
    block = next(block for block in blocks() if block.name == "packer")
    row = measure(block, tmp_path)
    assert row["lut"] > 100 and row["ff"] > 100 and row["bram"] == 0 and row["dsp"] == 0
    assert 20 < row["fmax_mhz"] < 600
    if row["kge"] is not None:
        assert row["kge"] == row["kge_logic"] > 0.5
