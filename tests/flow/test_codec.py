"""The command ``codec``: its page and plot of given rows, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shiftwork.flow import codec_bytes, codec_detector
from shiftwork.flow.cli import main
from shiftwork.flow.codec_report import to_markdown, write
from shiftwork.flow.codec_traffic import Traffic, measure_traffic
from shiftwork.model.calibrate import calibrate
from shiftwork.model.codec.bench import Row
from shiftwork.model.codec.by_bytes import MIXED, PLAIN, ByteRow
from shiftwork.model.codec.detector_bench import DetectorRow
from shiftwork.model.codec.plain import truncation
from shiftwork.model.graph import ConvNode, Graph
from shiftwork.model.quantize import quantize

ROWS = [
    Row("SQ2", "raw", 8.0, True, 30, 38, 0, 0, 40, 0.0, 40),
    Row("SQ2", "table", 4.0, True, 29, 38, 2, 1, 36, 0.031, 40, 992),
    Row("SQ2", "table", 3.0, True, 27, 36, 4, 1, 33, 0.12, 40, 480),
    Row("ALL", "raw", 8.0, True, 30, 38, 0, 0, 40, 0.0, 40),
    Row("ALL", "chosen per map, masks", 2.5, False, 31, 38, 1, 2, 38, 0.05, 40, 9000),
    Row("ALL", "table, tuned", 4.0, True, 30, 38, 1, 1, 38, 0.02, 40, 9000, 20),
]
TRAFFIC = [
    Traffic("values of 8 bits", 1000, 3000, 0, 9_000_000, 3_000_000, 5000),
    Traffic("tables of 4 bits", 600, 1600, 200, 7_000_000, 1_500_000, 4900, 4, 64),
]


def test_rows_become_tables_json_plot_and_page(tmp_path: Path) -> None:
    document = write(
        ROWS, TRAFFIC, "squeezenet1_1", tmp_path, tmp_path / "page", crops=240, steps=40,
        command="shiftwork codec --steps 40",
    )  # fmt: skip
    assert json.loads((tmp_path / "codec.json").read_text()) == document
    assert document["rows"][1]["divergence"] == 0.031
    assert document["traffic"][0]["millijoules"] == pytest.approx(12e6 * 8 * 20.3125e-9)
    table = to_markdown(ROWS)
    assert "| table | 4 | 2.00 | 29 (-2.5) | 2 | 1 | 38 | 90.0 | 0.0310 | 1.0 |" in table
    assert "| table, tuned, 20 steps | 4 | 2.00 | 30 (+0.0) |" in table
    assert "| raw | 8 | 1.00 | 30 (+0.0) | 0 | 0 | 38 | 100.0 | 0.0000 |  |" in table
    page = (tmp_path / "page" / "codec.md").read_text()
    assert "\n`shiftwork codec --steps 40` writes this page" in page
    assert "40 labelled pictures" in page and "30 right" in page and "for\n  40 steps" in page
    assert table in page and "  5, 4 or 3 bits" in page and "at most 3, 2.7, 2.25 or 2" in page
    assert "Of other networks" not in page
    other = [row for row in ROWS if row.maps == "ALL"]
    write(other, TRAFFIC, "efficientnet_lite0", tmp_path, tmp_path / "page", crops=24, steps=0,
          command="shiftwork codec --crops 24")  # fmt: skip
    page = (tmp_path / "page" / "codec-efficientnet_lite0.md").read_text()
    assert "\n`shiftwork codec --crops 24` writes this page" in page
    assert "Of other networks: [squeezenet1_1](codec.md).\n" in page
    assert "## SQ2" not in page and "  4.5, 4 or 3.5 bits" in page
    picture = (tmp_path / "page" / "codec_squeezenet1_1.svg").read_text()
    assert "chosen per map, masks<" in picture and "table, tuned<" in picture
    assert picture == (tmp_path / "codec_squeezenet1_1.svg").read_text()


def test_codes_by_bytes_have_a_page_of_their_own(tmp_path: Path) -> None:
    table = [
        ByteRow(replace(ROWS[1], divergence=0.01), 80_000, 1_024),
        ByteRow(replace(ROWS[2], divergence=0.16), 60_000, 512),
    ]
    middle = (81_024 + 60_512) // 2
    switched = Row("SQ2", "table, 4 by left neighbour", 3.0, True, 30, 38, 1, 1, 38, 0.02, 40)
    each = [ByteRow(ROWS[0], 160_000, 0), *table, ByteRow(switched, 60_000, middle - 60_000)]
    plain = ByteRow(replace(ROWS[4], code=PLAIN), 900_000, 90_000, 3.0, 0.08, {})
    mixed = ByteRow(
        replace(ROWS[4], code=MIXED, divergence=0.04), 800_000, 190_000, 3.0, 0.05,
        {"fire2_squeeze1x1": (4, 3)}, 0.01, 0.002, 0.03, 0.004,
    )  # fmt: skip
    chosen = [plain, mixed]
    document = codec_bytes.write(each, "squeezenet1_1", tmp_path, tmp_path / "page", crops=240)
    assert json.loads((tmp_path / "codec_bytes_SQ2.json").read_text()) == document
    assert not (tmp_path / "page").exists()
    document = codec_bytes.write(chosen, "squeezenet1_1", tmp_path, tmp_path / "page", crops=240)
    assert document["rows"][1]["held_gain"] == 0.03
    page = (tmp_path / "page" / "codec-bytes.md").read_text()
    assert "| 3 | plain tables | 900.0 | 90.0 | 31 | 1 | 2 | 95.0 | 0.0500 |  | 0.0800 |  |" in page
    assert "| 0.0400 | 0.0100 ± 0.0020 (20%) | 0.0500 | 0.0300 ± 0.0040 (38%) |" in page
    assert "- 3 bits: `fire2_squeeze1x1` 4 tables of 3 bits\n" in page
    assert "| 60.0 | 10.8 | 70.8 | 30 | 95.0 | 0.0200 | 0.0400 |" in page  # between 0.16 and 0.01
    assert "| raw | 8 | 160.0 | 0.0 | 160.0 | 30 | 100.0 | 0.0000 |  |" in page  # beyond the tables
    assert "on 24 held-out crops" in page and "72 other" in page
    picture = (tmp_path / "page" / "codec_bytes_squeezenet1_1.svg").read_text()
    assert "plain or switched tables<" in picture and "table, 4 by left neighbour<" in picture
    codec_bytes.write(each, "squeezenet1_1", tmp_path, tmp_path / "again", crops=240)
    assert (tmp_path / "again" / "codec-bytes.md").read_text() == page
    with pytest.raises(ValueError, match=r"SQ2\.json: measured on other pictures or crops"):
        codec_bytes.write(chosen, "squeezenet1_1", tmp_path, tmp_path / "page", crops=24)
    (tmp_path / "codec_bytes_ALL.json").write_text("[]")
    with pytest.raises(ValueError, match=r"ALL\.json: not what codec --bytes wrote"):
        codec_bytes.write(each, "squeezenet1_1", tmp_path, tmp_path / "page", crops=240)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bytes", "SQ3"], "--bytes must be ALL or SQ2, not 'SQ3'"),
        (["nanodet", "--bytes", "ALL"], "codec --bytes knows squeezenet1_1, not 'nanodet'"),
        (["resnet8"], "codec knows squeezenet1_1, efficientnet_lite0, nanodet, not 'resnet8'"),
        (["--limit", "0"], "--limit must be at least 1, not 0"),
        (["--crops", "3"], "--crops must be at least 12, not 3"),
        (["--steps", "-1"], "--steps must not be negative, not -1"),
        (["--bytes", "SQ2", "--steps", "5"], "--steps tunes codes and --bytes compares untuned"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["codec", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_detector_has_a_page_of_its_own(tmp_path: Path) -> None:
    rows = [
        DetectorRow("8-bit activations, no code", 8.0, 0.75, 150, 261),
        DetectorRow("table", 4.0, 0.725, 150, 261, 67456),
    ]
    document = codec_detector.write(
        rows, TRAFFIC, tmp_path, tmp_path / "page", crops=72, command="shiftwork codec nanodet"
    )
    assert json.loads((tmp_path / "codec.json").read_text()) == document
    assert document["rows"][1]["precision"] == 0.725
    page = (tmp_path / "page" / "codec-nanodet.md").read_text()
    assert "\n`shiftwork codec nanodet` writes this page" in page
    assert "on 150 composed scenes with 261 objects" in page and "to 72 random crops" in page
    assert "| table | 4 | 2.00 | 0.725 | 67.5 |" in page
    assert "Of other networks" not in page and "| tables of 4 bits | 600 |" in page


def test_codes_save_the_traffic_that_programs_tell() -> None:
    generator = torch.Generator().manual_seed(2)
    weights = [torch.randn(c, k, 1, 1, generator=generator) for c, k in ((64, 3), (16, 64))]
    nodes = [
        ConvNode("a", "x", "a", weights[0], torch.zeros(64), relu=True),
        ConvNode("b", "a", "b", weights[1], torch.zeros(16)),
    ]
    graph = Graph("two", "x", "b", (3, 32, 32), nodes, frac_bits=5)  # type: ignore[arg-type]
    x = torch.randint(256, (4, 3, 32, 32), generator=generator, dtype=torch.uint8)
    network = quantize(graph, calibrate(graph, [x]))
    told: list[int] = []
    plain, coded = measure_traffic(
        network, {"tables": {"a": truncation(64, 4)}}, lambda what, done, total: told.append(done)
    )
    assert (plain.codec_bits, plain.table_bytes) == (0, 0)
    assert (coded.codec_bits, coded.codec_planes) == (4, 64) and coded.table_bytes > 0
    assert plain.written - coded.written == 32 * 32 * 64 // 2
    assert plain.unshared_bytes - coded.unshared_bytes == 32 * 32 * 64 // 2
    assert coded.read < plain.read and told == [1, 2]
    bits = 8 * (coded.read + coded.written)
    assert coded.millijoules == pytest.approx(bits * 1300e-12 / 64 * 1e3)
