"""The commands that run many networks: what they show, write, and refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shiftwork.flow import emit, zoo
from shiftwork.flow import zoo_page as flow_page
from shiftwork.flow.cli import main
from shiftwork.flow.zoo_page import update, zoo_page
from shiftwork.hw.config import preset
from shiftwork.model.codebook import Codebook
from shiftwork.model.graph import ConvNode, GlobalAverageNode, Graph
from shiftwork.model.network import Conv
from shiftwork.model.zoo import Loader
from shiftwork.sim import fault_campaign
from shiftwork.sim import fuzz as fuzzer
from shiftwork.sim.fault_bench import Outcome
from tests.networks import NetworkBuilder

Capture = pytest.CaptureFixture[str]
ENGINE = ["--preset", "tiny", "--simulator", "icarus"]


@pytest.fixture
def small_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of one network that runs, and one that is too large for the engine."""

    def loader(kernel: int):
        builder = NetworkBuilder(3, 5, 8, 9)
        builder.conv(6, (kernel, kernel), terms=2)
        network, x = builder.build(), builder.picture()
        return SimpleNamespace(load_quantized=lambda book: network, input=lambda: x)

    monkeypatch.setattr(zoo, "MODELS", {"good": loader(3), "deep": wide()})


def wide():
    builder = NetworkBuilder(3, 300, 4, 4)
    builder.conv(4, (3, 3))
    network, x = builder.build(), builder.picture()
    return SimpleNamespace(load_quantized=lambda book: network, input=lambda: x)


def test_the_zoo_is_run_counted_and_reported(small_zoo, tmp_path: Path, capsys: Capture) -> None:
    assert main(["sim-zoo", *ENGINE, "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "good" in shown
    assert "deep is refused: layer 'conv0': fan-in must be at most 1152" in shown
    report = json.loads((tmp_path / "report.json").read_text())
    good, deep = report["networks"]
    assert good["bit_exact"] and good["mismatches"] == 0 and good["layers"] == 1
    assert good["values"] == 6 * 6 * 7
    assert good["macs"] == 6 * 6 * 7 * 5 * 9
    assert good["ideal_cycles"] == -(-good["macs"] * 2 // preset("tiny").lanes)
    assert good["utilisation"] == pytest.approx(good["ideal_cycles"] / good["cycles"])
    assert abs(good["prediction_error"]) < 0.03
    assert good["bytes_read"] > 0 and good["bytes_written"] > 0
    assert set(good["stalls"]) == set(zoo.STALLS)
    assert not deep["bit_exact"] and deep["cycles"] == 0
    assert good["predicted_read"] == good["bytes_read"]
    assert good["predicted_written"] == good["bytes_written"]
    (layer,) = good["costly"]
    assert layer["cycles"] <= good["cycles"] and layer["ideal_cycles"] == good["ideal_cycles"]

    page = (tmp_path / "zoo.md").read_text()
    assert page == zoo_page(report)
    assert page.count("| good |") == 4
    assert f"| {good['utilisation']:.1%} |" in page and "+0.00%" in page
    assert "`deep` is refused: layer 'conv0'" in page
    assert max(map(len, page.splitlines()[:15])) <= 100


def test_an_integer_engine_gets_integer_weights(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks of the zoo are quantised for the engine, which has no terms to choose."""
    w = torch.randn(7, 5, 3, 3, generator=torch.Generator().manual_seed(2))
    nodes = [ConvNode("a", "x", "a", w, torch.zeros(7), relu=True)]
    graph = Graph("toy", "x", "a", (5, 6, 6), [nodes[0]])
    x = torch.randint(256, (2, 5, 6, 6), dtype=torch.uint8)
    toy = Loader(name="toy", title="Toy", load_float=lambda: graph, demo=lambda: None,  # type: ignore[arg-type, return-value]
                 calibration=lambda count: x, pictures=2)  # fmt: skip
    monkeypatch.setattr(Loader, "input", lambda self: x[:1])
    monkeypatch.setattr(zoo, "MODELS", {"toy": toy})
    engine = [*ENGINE, "--set", "arithmetic=int8", "-o", str(tmp_path)]
    assert main(["sim-zoo", *engine]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["config"]["arithmetic"], report["terms"], report["bits"]) == ("int8", 1, 8)
    (row,) = report["networks"]
    assert row["bit_exact"] and row["values"] == 7 * 4 * 4
    assert "int8 weights, Icarus." in (tmp_path / "zoo.md").read_text()
    capsys.readouterr()
    assert main(["sim-zoo", *engine, "--terms", "1"]) == 1
    assert "no terms: leave out terms 1" in capsys.readouterr().err


def test_the_page_wants_every_network_exact(
    small_zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, source = tmp_path / "zoo.md", tmp_path / "report.json"
    with pytest.raises(ValueError, match="make sim-zoo writes it"):
        update(page, source)
    row = zoo.ZooRow(network="squeezenet1_1", cycles=10, stalls=dict.fromkeys(zoo.STALLS, 0),
                     trouble=[])  # fmt: skip
    report = zoo.to_json(preset("tiny"), [row], book=Codebook(2, 4), simulator="icarus")
    source.write_text(json.dumps(report))
    with pytest.raises(ValueError, match="not there or not bit-exact: efficientnet_lite0,"):
        update(page, source)
    assert not page.exists()
    monkeypatch.setattr(flow_page, "MODELS", ["squeezenet1_1"])
    update(page, source)
    assert page.read_text() == zoo_page(report)


def test_coded_networks_run_beside_plain_ones(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randint(256, (4, 3, 7, 6), generator=generator, dtype=torch.uint8)

    def conv(name: str, source: str, cin: int, cout: int, size: int) -> ConvNode:
        weight = torch.randn(cout, cin, size, size, generator=generator)
        return ConvNode(name, source, name, weight, torch.zeros(cout))

    nodes = [conv("a", "x", 3, 9, 3), conv("b", "a", 9, 5, 1), GlobalAverageNode("c", "b", "c")]
    graph = Graph("toy", "x", "c", (3, 7, 6), [nodes[0], nodes[1], nodes[2]])
    toy = Loader(name="toy", title="Toy", load_float=lambda: graph, demo=lambda: None,  # type: ignore[arg-type, return-value]
                 calibration=lambda count: x, pictures=4)  # fmt: skip
    monkeypatch.setattr(Loader, "input", lambda self: x[:1])
    monkeypatch.setattr(zoo, "MODELS", {"toy": toy})
    coded_engine = ["--set", "codec_bits=3", "--set", "codec_planes=4"]
    run = ["sim-zoo", "toy", "--codec", "3", *ENGINE, "-o", str(tmp_path), "--json"]
    assert main([*run, *coded_engine]) == 0
    plain, coded = json.loads(capsys.readouterr().out)["networks"]
    assert (plain["network"], coded["network"]) == ("toy", "toy, 3-bit maps")
    assert plain["bit_exact"] and coded["bit_exact"] and coded["values"] < plain["values"]
    assert coded["bytes_written"] < plain["bytes_written"]
    assert coded["table_bytes"] > plain["table_bytes"] == 0
    page = (tmp_path / "zoo.md").read_text()
    assert "With coded maps:" in page and page.count("| toy, 3-bit maps |") == 6
    assert main(run) == 1
    assert "tiny's has 0: add --set codec_bits=3" in capsys.readouterr().err
    assert main(["sim-zoo", "--codec", "8"]) == 1
    assert "--codec must be 1..7 or zvc, not 8" in capsys.readouterr().err
    assert main(["sim-zoo", "--codec", "zvc"]) == 1
    assert "base does not: add --set zero_maps=true" in capsys.readouterr().err


def test_maps_without_zeros_run_beside_whole_ones(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = NetworkBuilder(3, 5, 8, 9)
    builder.conv(6, terms=2)
    builder.conv(3, terms=1)
    network = builder.build()
    first = network.layers[0]
    assert isinstance(first, Conv)
    rq = replace(first.requantiser, bias=first.requantiser.bias - (1 << 24), lo=0)
    layers = [replace(first, requantiser=rq), *network.layers[1:]]  # all outputs of it are 0
    network = replace(network, layers=layers)
    toy = SimpleNamespace(load_quantized=lambda book: network, input=builder.picture,
                          pictures=2, calibration=lambda count: builder.picture())  # fmt: skip
    monkeypatch.setattr(zoo, "MODELS", {"toy": toy})
    run = ["sim-zoo", "toy", "--codec", "zvc", *ENGINE, "--set", "zero_maps=true"]
    assert main([*run, "-o", str(tmp_path), "--json"]) == 0
    plain, less = json.loads(capsys.readouterr().out)["networks"]
    assert less["network"] == f"{plain['network']}, maps without zeros"
    assert plain["bit_exact"] and less["bit_exact"]
    assert plain["without_zeros"] == [] and less["without_zeros"] == [first.output]
    for moved in ("read", "written"):
        assert less[f"bytes_{moved}"] == less[f"predicted_{moved}"]
    assert less["bytes_written"] < plain["bytes_written"]
    assert "Maps without zeros:" in (tmp_path / "zoo.md").read_text()


def test_a_named_network_that_cannot_run_is_an_error(
    small_zoo, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["sim-zoo", "deep", *ENGINE, "-o", str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["networks"][0]["refused"]
    assert "engine tiny cannot run deep" in captured.err


def test_a_mismatch_is_an_error(
    small_zoo, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off_by_one(network, x, **options):
        found = run(network, x, **options)
        found[network.output] = found[network.output] ^ 1
        return found

    run = zoo.golden.run
    monkeypatch.setattr(zoo.golden, "run", off_by_one)
    assert main(["sim-zoo", "good", *ENGINE, "-o", str(tmp_path)]) == 1
    assert "differs from the golden model: good" in capsys.readouterr().err


def test_a_wrong_prediction_of_cycles_is_an_error(
    small_zoo, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls: dict[str, int] = {name: 0 for name in zoo.STALLS}
    row = zoo.ZooRow(network="good", cycles=100, prediction_error=-0.04, stalls=stalls, trouble=[])
    monkeypatch.setattr(zoo, "run_network", lambda *args, **options: row)
    assert main(["sim-zoo", "good", *ENGINE, "-o", str(tmp_path)]) == 1
    assert "the cycle model is off by -4.0% on good" in capsys.readouterr().err


@pytest.mark.parametrize(("cycles", "status"), [(100, 0), (112, 1)])
def test_an_idle_engine_is_an_error(
    cycles: int, status: int, small_zoo, tmp_path: Path, capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stalls: dict[str, int] = {name: 0 for name in zoo.STALLS}
    row = zoo.ZooRow(network="good", cycles=cycles, utilisation=90 / cycles, stalls=stalls,
                     trouble=[])  # fmt: skip
    monkeypatch.setattr(zoo, "run_network", lambda *args, **options: row)
    monkeypatch.setitem(zoo.LEAST_UTILISATION, "good", 0.9)
    monkeypatch.setattr(emit, "emit", lambda *_: SimpleNamespace(verilog=tmp_path))
    assert main(["sim-zoo", "good", "-o", str(tmp_path)]) == status
    captured = capsys.readouterr()
    assert ("80.4% < 90%" in captured.out) == bool(status)
    assert ("utilisation of good is 80.4%, below 90%" in captured.err) == bool(status)


def test_utilisation_is_asked_for_where_it_is_promised() -> None:
    base = preset("base")
    assert set(zoo.LEAST_UTILISATION) <= set(zoo.MODELS)
    assert zoo.least_utilisation("squeezenet1_1", base, 2) == 0.9
    assert zoo.least_utilisation("resnet8", base, 2) == 0.85
    assert zoo.least_utilisation("efficientnet_lite0", base, 2) == 0.6
    assert zoo.least_utilisation("nanodet", base, 2) == 0
    assert zoo.least_utilisation("resnet8", base, 3) == 0
    assert zoo.least_utilisation("resnet8", base.replace(hold=128), 2) == 0


def test_an_unknown_network_is_refused_before_any_work(tmp_path: Path, capsys: Capture) -> None:
    assert main(["sim-zoo", "lenet", "-o", str(tmp_path / "zoo")]) == 1
    assert "no network 'lenet' in the zoo" in capsys.readouterr().err
    assert not (tmp_path / "zoo").exists()


def test_fuzz_reports_and_prints_how_to_run_a_failure_again(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cases(engines, *, count, seed, simulator):
        assert [config.hold for config, _ in engines] == [32]
        for number in range(seed, seed + count):
            trouble = "2 of 9 bytes differ" if number == 8 else ""
            seen = frozenset({"convolution"})
            yield fuzzer.Case(
                "tiny", number, ("Conv",), True, seen, fuzzer.FAST, 9, 100, trouble, 0.1
            )

    monkeypatch.setattr(fuzzer, "fuzz_engines", cases)
    options = [*ENGINE, "--set", "hold=32", "-o", str(tmp_path)]
    assert main(["fuzz", "--count", "3", "--seed", "7", *options]) == 1
    captured = capsys.readouterr()
    again = "shiftwork fuzz --count 1 --preset tiny --set hold=32 --simulator icarus --seed 8"
    assert again in captured.err
    assert "3 networks, 3 layers, 27 values, 300 cycles on tiny" in captured.out
    assert "convolution 3, depthwise 0," in captured.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["coverage"]["convolution"] == 3
    assert "leaky ReLU" not in report["coverage"]  # tiny has none
    assert [failure["again"] for failure in report["failures"]] == [again]


def test_fuzz_takes_engines_in_turn(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cases(engines, *, count, seed, simulator):
        for number in range(seed, seed + count):
            name = engines[number % 2][0].name
            seen = frozenset({"several bands"})
            yield fuzzer.Case(name, number, ("Conv",), True, seen, fuzzer.FAST, 9, 9, "odd", 0.1)

    monkeypatch.setattr(fuzzer, "fuzz_engines", cases)
    monkeypatch.setattr(emit, "emit", lambda *_: SimpleNamespace(verilog=tmp_path))
    options = ["--simulator", "icarus", "-o", str(tmp_path)]
    assert main(["fuzz", "--engines", "2", "--count", "3", "--seed", "5", *options]) == 1
    captured = capsys.readouterr()
    assert "shiftwork fuzz --count 1 --engines 2 --simulator icarus --seed 5" in captured.err
    assert "several bands 3, input beyond the buffer 0" in captured.out
    assert "cycles on 2 engines in icarus" in captured.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["engines"] == {"fuzz1": 2, "fuzz0": 1}
    assert main(["fuzz", "--engines", "99", *options]) == 1
    assert main(["fuzz", "--engines", "2", "--preset", "tiny", *options]) == 1
    assert "leave --preset and --set away" in capsys.readouterr().err


FAULTS = ["faults", "--count", "16", "--simulator", "icarus"]


def test_faults_are_injected_counted_and_reported(tmp_path: Path, capsys: Capture) -> None:
    assert main([*FAULTS, "-o", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "report.json").read_text())
    assert shown["faults"] == 16 and shown["wrong"] == 0
    assert [engine["name"] for engine in shown["engines"]] == ["faults", "stored"]
    assert [kind["faults"] for kind in shown["kinds"]] == [2] * 8  # of either engine
    assert all(kind["stated"] == kind["recovered"] == kind["faults"] for kind in shown["kinds"])


def test_a_fault_that_ends_otherwise_is_an_error(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(system, verilog, faults, simulator):
        yield Outcome(faults[0], 5, 0, True, False, 0, 0, True)
        yield Outcome(faults[1], 0, 0, False, True, 7, 3, False, "no end; 7 stray writes")

    monkeypatch.setattr(fault_campaign, "run_campaign", run)
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["faults", "--preset", "tiny", "--count", "2", "-o", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "no end; 7 stray writes" in captured.err
    assert "1 of 2 faults did not end as they must" in captured.err
    assert [int(n) for n in captured.out.split("all ")[1].split("s")[1].split() if n.isdigit()] == [
        2, 1, 7, 3, 1, 1,
    ]  # fmt: skip
    short = json.loads((tmp_path / "report.json").read_text())["engines"][0]["watchdog_bits"]
    options = ["--preset", "tiny", "--set", "watchdog_bits=9", "-o", str(tmp_path)]
    assert main(["faults", "--count", "2", *options]) == 1
    longer = json.loads((tmp_path / "report.json").read_text())["engines"][0]["watchdog_bits"]
    assert (short, longer) == (fault_campaign.WATCHDOG_BITS, 9)


def test_faults_of_an_engine_of_its_own_cannot_be_set(tmp_path: Path, capsys: Capture) -> None:
    assert main(["faults", "--set", "rows=4", "-o", str(tmp_path / "faults")]) == 1
    assert "--set needs --preset" in capsys.readouterr().err
    assert not (tmp_path / "faults").exists()
