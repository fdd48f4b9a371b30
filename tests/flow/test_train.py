"""The training bench on a few hundred pictures: rows, files, page, errors."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from shiftwork.flow import train_bench
from shiftwork.flow.cli import main
from shiftwork.flow.train_data import read_data
from shiftwork.flow.train_export import export_zoo
from shiftwork.flow.train_page import to_markdown, to_table
from shiftwork.flow.train_rows import Variant, variants
from shiftwork.model.zoo import fashion_mnist


def test_the_bench_has_the_rows_it_promises() -> None:
    rows = variants((6, 3, 2), 256)
    named = {(v.method, v.terms, v.bits, v.pretrained) for v in rows if v.method}
    wanted = {
        (method, 1, bits, pretrained)
        for method in ("deepshift_q", "deepshift_ps")
        for bits in (5, 4, 3)
        for pretrained in (False, True)
    }
    assert named == wanted | {("shiftcnn", 2, 4, True)}
    assert [v.name for v in rows[:2]] == ["float", "float, trained on"]
    tuned = [v for v in rows if v.method and v.pretrained]
    assert {v.recipe.epochs for v in tuned} == {2}
    slower = {v.name for v in tuned if v.recipe.rate < 1e-3}
    assert slower == {"DeepShift-Q 4 bits"}
    for v in rows:
        assert (v.recipe.optimiser == "radam") == (v.method == "deepshift_ps")


def test_a_small_bench_writes_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only(v: Variant) -> bool:
        return v.bits == 4 and v.pretrained and v.method == "deepshift_q"

    console = Console(file=io.StringIO())
    document = train_bench.bench_train(
        tmp_path / "out", console, epochs=(1, 1, 1), batch=64, limit=256, jobs=1, only=only, zoo=()
    )
    assert document["complete"] is True
    assert [row["method"] for row in document["rows"]] == ["float", "deepshift_q"]
    row = document["rows"][1]
    assert row["exact_differs"] == 0.0  # the module with the requantisers' numbers is the export
    assert 0.0 <= row["held_out"] <= 100.0
    assert 0.0 <= row["golden_top1"] <= 100.0 and row["cpu_seconds"] > 0
    assert json.loads((tmp_path / "out" / "training.json").read_text()) == json.loads(
        json.dumps(document)
    )
    page = (tmp_path / "out" / "training.md").read_text()
    assert page == to_markdown(document)
    assert page.count("\n| ") == 3 and "235 training pictures, 21 more held out" in page
    assert (tmp_path / "out" / "deepshift_q-1x4-pre-trained.safetensors").exists()
    assert to_table(document["rows"]).row_count == 2
    again = train_bench.bench_train(
        tmp_path / "out", console, epochs=(1, 1, 1), batch=64, limit=256, jobs=1, only=only, zoo=()
    )
    assert again["rows"] == document["rows"]  # taken up, to the processor second
    code = train_bench.code_key()
    assert document["code"] == code
    monkeypatch.setitem(train_bench.CODE, "flow", ("train_rows",))  # as if a file had changed
    assert train_bench.code_key() != code
    kept = tmp_path / "out" / "float-scratch.json"
    before = kept.stat().st_mtime_ns
    changed = train_bench.bench_train(
        tmp_path / "out", console, epochs=(1, 1, 1), batch=64, limit=256, jobs=1,
        only=lambda _: False, zoo=(),
    )  # fmt: skip
    assert len(changed["rows"]) == 1
    assert kept.stat().st_mtime_ns > before  # trained anew
    document["complete"] = False
    assert "did not come to its end" in to_markdown(document)


def test_networks_of_the_zoo_are_compared_with_their_exports() -> None:
    rows = export_zoo(("resnet8",))
    assert [row.method for row in rows] == ["shiftcnn", "deepshift_q", "deepshift_ps"]
    for row in rows:
        assert row.exact_differs == 0.0
        assert row.differs <= 5.0 and row.max_steps <= 6 and row.pictures > 60


def test_bad_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in [
        (["--epochs", "0", "1", "1"], "epochs must be at least 1, not 0"),
        (["--pictures", "0"], "--pictures"),
        (["--jobs", "0"], "--jobs"),
    ]:
        assert main(["bench-train", "-o", str(tmp_path / "out"), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pictures_are_held_out_of_training_and_test() -> None:
    data = read_data(600)
    assert [len(part.x) for part in (data.train, data.held_out, data.test)] == [550, 50, 600]
    x, y = fashion_mnist.read("train")
    both = torch.cat([data.held_out.x, data.train.x])
    assert {p.numpy().tobytes() for p in both} == {p.numpy().tobytes() for p in x[:600]}
    pictures = {p.numpy().tobytes() for p in data.train.x}
    assert not pictures & {p.numpy().tobytes() for p in data.held_out.x}
    assert torch.equal(torch.bincount(torch.cat([data.held_out.y, data.train.y])),
                       torch.bincount(y[:600]))  # fmt: skip
    again = read_data(600)
    assert torch.equal(again.train.x, data.train.x) and torch.equal(
        again.held_out.y, data.held_out.y
    )


@pytest.mark.slow
def test_the_command_trains_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    options = ["--pictures", "128", "--epochs", "1", "1", "1", "--page", str(page), "--json"]
    assert main(["bench-train", "-o", str(tmp_path / "out"), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["complete"] is True and len(document["rows"]) == 15
    assert {row["exact_differs"] for row in document["rows"]} == {None, 0.0}
    assert [row["exact_differs"] for row in document["export"]] == [0.0] * 6
    assert page.read_text() == to_markdown(document)
