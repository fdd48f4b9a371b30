"""The command line: what it writes, and that bad input costs one line and leaves nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from shiftwork.flow import cli, doctor
from shiftwork.flow.asic import library, sta
from shiftwork.flow.cli import app, main
from shiftwork.flow.doctor import Finding
from shiftwork.flow.report import Report, write_report
from shiftwork.hw.config import preset
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from tests.networks import NetworkBuilder

COMMANDS = ("doctor", "convert", "generate", "simulate", "synth", "report", "accuracy", "demo",
            "bench", "sim-zoo", "fuzz", "faults")  # fmt: skip
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a small network's folder and an .npy input for it."""
    folder = tmp_path_factory.mktemp("net")
    builder = NetworkBuilder(3, 5, 8, 9)
    builder.conv(6, (3, 3), (1, 1), (1, 1, 1, 1))
    builder.max_pool((2, 2), (2, 2))
    builder.conv(5, (1, 1))
    builder.build().save(folder / "net")
    np.save(folder / "x.npy", builder.picture()[0].numpy())
    return folder / "net", folder / "x.npy"


def fails(arguments: list[str], code: int, says: str, capsys: Capture) -> None:
    """Expect an exit code and exactly one line on standard error that says something."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("shiftwork: error: ")
    assert says in line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_an_example_and_json(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: shiftwork {command}" in result.output
    assert "--json" in result.output


def test_no_arguments_show_the_commands(capsys: Capture) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command} " in shown


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["generate", "huge", "-o", "OUT"], 1, "unknown preset 'huge'; choose from tiny"),
        (["generate", "none.json", "-o", "OUT"], 1, "no such file: none.json"),
        (["generate", "tiny", "--set", "rows=0", "-o", "OUT"], 1, "rows must be an integer in 1"),
        (["generate", "tiny", "--set", "hold=--5", "-o", "OUT"], 1, "hold must be an integer in 4"),
        (["generate", "tiny", "--set", "name=a;b", "-o", "OUT"], 1, "name must be a letter, then"),
        (["generate", "tiny", "--set", "colour=3", "-o", "OUT"], 1, "no parameter 'colour' (did"),
        (
            ["generate", "tiny", "--set", "rows", "-o", "OUT"],
            1,
            "wants parameter=value, not 'rows'",
        ),
        (["generate", "tiny", "--network", "no", "-o", "OUT"], 1, "no such file or network: 'no'"),
        (["generate"], 2, "Missing argument"),
        (["convert", "squeezenet1_1", "-N", "0", "-o", "OUT"], 1, "terms must be an integer in 1"),
        (["convert", "squeezenet1_1", "-N", "5", "-o", "OUT"], 1, "not 5"),
        (["convert", "squeezenet1_1", "-B", "9", "-o", "OUT"], 1, "bits must be an integer in 2"),
        (["convert", "squeezenet1_1", "-B", "x", "-o", "OUT"], 2, "valid integer"),
        (["convert", "missing.pth", "-o", "OUT"], 1, "no such file or network: 'missing.pth'"),
        (["convert", __file__, "-o", "OUT"], 1, "test_cli.py is not a network"),
        (["simulate", "missing", "-o", "OUT"], 1, "no such file or network: 'missing'"),
        (["simulate", "x", "--preset", "huge", "-o", "OUT"], 1, "unknown preset 'huge'"),
        (["simulate", "x", "--simulator", "pen", "-o", "OUT"], 2, "'pen' is not one of"),
        (
            ["simulate", "x", "--seed", "-5", "-o", "OUT"],
            1,
            "--seed must be in 0..2147483647, not -5",
        ),
        (["simulate", "x", "--seed", "2147483648", "-o", "OUT"], 1, "not 2147483648"),
        (["synth", "huge", "-o", "OUT"], 1, "unknown preset 'huge'"),
        (["report", "none.json", "-o", "OUT"], 1, "none.json: No such file"),
        (["demo", "-N", "7", "-o", "OUT"], 1, "terms must be an integer in 1..4, not 7"),
        (["demo", "--preset", "huge", "-o", "OUT"], 1, "unknown preset 'huge'"),
        (["accuracy", "-B", "9", "-o", "OUT"], 1, "bits must be an integer in 2..5, not 9"),
        (["accuracy", "--limit", "0", "-o", "OUT"], 1, "--limit must be at least 1"),
        (["bench", "huge", "-o", "OUT"], 1, "unknown preset 'huge'"),
        (["fuzz", "--count", "-1", "-o", "OUT"], 1, "--count must be at least 1, not -1"),
        (["fuzz", "--seed", "-1", "-o", "OUT"], 1, "--seed must be in 0..2147483347, not -1"),
        (["faults", "--count", "0", "-o", "OUT"], 1, "count must be at least 1, not 0"),
        (["dance"], 2, "No such command"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], code: int, says: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    fails([str(out) if a == "OUT" else a for a in arguments], code, says, capsys)
    assert not out.exists()


@pytest.mark.parametrize("command", [
    ["convert", "squeezenet1_1"], ["generate", "tiny"], ["simulate"], ["synth", "tiny"],
    ["accuracy"], ["demo"], ["bench", "tiny"], ["report", "none.json"],
])  # fmt: skip
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_is_no_folder_to_write_to(
    command: list[str], below: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("mine")
    says = f"Invalid value for '--out' / '-o': {path} is a file, not a folder"
    fails([*command, "-o", str(path / below)], 2, says, capsys)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("command", ["simulate", "generate tiny", "convert fashion_mnist"])
def test_a_folder_that_cannot_be_written_to_is_one_line(
    command: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root may write anywhere: so the system's answer is played
    monkeypatch.setattr("shiftwork.flow.options.os.access", lambda path, _: path != tmp_path)
    says = f"{tmp_path} cannot be written to; choose another folder"
    fails([*command.split(), "-o", str(tmp_path / "a" / "b")], 2, says, capsys)
    assert not list(tmp_path.iterdir())


def test_what_the_system_refuses_is_told_without_numbers(
    net: tuple[Path, Path], capsys: Capture
) -> None:
    # /proc is a folder that says it can be written to
    says = "error: /proc/.none."
    fails(["convert", str(net[0]), "-o", "/proc/none"], 1, says, capsys)


def test_a_quantised_network_cannot_be_quantised_otherwise(
    net: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    folder, out = net[0], tmp_path / "out"
    for options, says in (
        (["-N", "3"], "is quantised already: --terms 3 cannot change it"),
        (["-N", "2"], "--terms 2 cannot change it"),
        (["-B", "4"], "--bits 4 cannot change it"),
        (["--scale", "channel"], "--scale channel cannot change it"),
        (["-N", "0"], "terms must be an integer in 1..4, not 0"),
        (["-B", "9"], "bits must be an integer in 2..5, not 9"),
    ):
        fails(["convert", str(folder), *options, "-o", str(out)], 1, says, capsys)
    assert not out.exists()
    assert main(["convert", str(folder), "-o", str(out)]) == 0
    assert (out / "weights.safetensors").read_bytes() == (
        folder / "weights.safetensors"
    ).read_bytes()


def test_a_network_with_an_impossible_layer_is_one_line(
    net: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "net"
    Network.load(net[0]).save(folder)
    path = folder / "network.json"
    document = json.loads(path.read_text())
    document["layers"][0]["stride"] = [0, 1]
    text = json.dumps(document["layers"], sort_keys=True, separators=(",", ":"))
    document["sha256"]["layers"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))
    says = "layer 'conv0': stride must be 2 integers of at least 1, not (0, 1)"
    for command in ("convert", "simulate"):
        fails([command, str(folder), "-o", str(tmp_path / "o")], 1, says, capsys)


def test_wrong_pictures_and_layers(net: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    folder, _ = net
    out = tmp_path / "out"
    np.save(tmp_path / "wide.npy", np.zeros((5, 8, 10), np.uint8))
    np.save(tmp_path / "real.npy", np.zeros((5, 8, 9), np.float32))
    (tmp_path / "bad.npy").write_text("no array")
    common = ["simulate", str(folder), "--preset", "tiny", "--simulator", "icarus", "-o", str(out)]
    for name, says in (
        ("wide.npy", "must be uint8 (5, 8, 9), not uint8 (5, 8, 10)"),
        ("real.npy", "must be uint8 (5, 8, 9), not float32 (5, 8, 9)"),
        ("bad.npy", "is not an .npy file"),
        ("none.npy", "no picture at"),
        ("none.png", "takes no pictures"),
    ):
        fails([*common, "--picture", str(tmp_path / name)], 1, says, capsys)
    fails([*common, "--until", "nowhere"], 1, "no layer 'nowhere'", capsys)
    assert not out.exists()


def test_a_damaged_network_is_refused(
    net: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "net"
    Network.load(net[0]).save(folder)
    document = folder / "network.json"
    document.write_text(json.dumps({**json.loads(document.read_text()), "version": 99}))
    fails(["simulate", str(folder), "-o", str(tmp_path / "o")], 1, "version", capsys)
    fails(["convert", str(tmp_path), "-o", str(tmp_path / "o")], 1, "network.json", capsys)


def test_a_missing_simulator_is_one_line(
    net: tuple[Path, Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = ["simulate", str(net[0]), "--simulator", "icarus", "-o", str(tmp_path / "o")]
    fails(arguments, 1, "no Icarus Verilog (iverilog, vvp): apt-get install iverilog", capsys)
    assert not (tmp_path / "o").exists()


def test_generate_writes_both_files(tmp_path: Path, capsys: Capture) -> None:
    small = tmp_path / "engine.json"
    small.write_text(json.dumps({"name": "two", "rows": 2, "cols": 2, "hold": 8,
                                 "buffer_words": 64}))  # fmt: skip
    arguments = ["generate", str(small), "--set", "cols=3", "-o", str(tmp_path / "rtl"), "--json"]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    described = json.loads((tmp_path / "rtl" / "shiftwork_two.json").read_text())
    assert shown["sha256"] == described["sha256"]
    assert described["config"]["cols"] == 3
    assert described["modules"]["shiftwork_two_core_array_column"] == 3
    assert {"clk", "rst", "irq", "m_axi_araddr", "s_axil_wdata"} <= {
        port["name"] for port in described["ports"]
    }
    assert described["registers"][0]["name"] == "ID"
    assert (tmp_path / "rtl" / "shiftwork_two.v").stat().st_size == shown["verilog_bytes"]


def test_simulate_compares_and_reports(
    net: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    folder, picture = net
    arguments = ["simulate", str(folder), "--preset", "tiny", "--set", "buffer_words=256",
                 "--picture", str(picture), "--simulator", "icarus", "--slow-memory",
                 "-o", str(tmp_path), "--json"]  # fmt: skip
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "report.json").read_text())
    assert shown["bit_exact"] is True
    assert shown["mismatches"] == 0
    assert (shown["layers_checked"], shown["convolutions_checked"]) == (3, 2)
    assert shown["values_checked"] == 6 * 8 * 9 + 6 * 4 * 4 + 5 * 4 * 4
    assert shown["cycles"] >= shown["ideal_cycles"] > 0
    assert sum(layer["cycles"] for layer in shown["layers"]) <= shown["cycles"]
    assert shown["program_bytes"] > 0
    # the input of 8 x 9 words of 8 bytes, the first map over it, the pool in place of that
    assert 0 < shown["peak_map_bytes"] < shown["unshared_map_bytes"]
    assert shown["lut"] is None


def test_generate_compiles_a_network(
    net: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["generate", "tiny", "--network", str(net[0]), "-o", str(tmp_path), "--json"]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (tmp_path / "program.bin").stat().st_size == shown["program_bytes"]
    assert 0 < shown["peak_map_bytes"] < shown["unshared_map_bytes"]
    described = json.loads((tmp_path / "program.json").read_text())
    network = Network.load(net[0])
    program = compile_network(network, preset("tiny"))
    assert described["fingerprint"] == preset("tiny").fingerprint
    assert described["size"] == program.size
    assert list(described["tensors"]) == [network.input, *network.outputs]
    # What the file says is enough to find every byte of the input.
    place = described["tensors"][network.input]
    pixel = np.arange(place["height"] * place["width"]) * place["word_bytes"]
    found = [
        place["address"] + slot // place["rows"] * place["plane_stride"] + slot % place["rows"]
        + pixel for slot in place["slots"]
    ]  # fmt: skip
    want = program.places[network.input].offsets().reshape(place["channels"], -1)
    assert np.array_equal(found, want)


def test_report_renders_again(tmp_path: Path, capsys: Capture) -> None:
    write_report(Report(preset="tiny", lut=7), tmp_path)
    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path / "report.json")]) == 0
    assert "LUT" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists()
    assert main(["report", str(tmp_path / "report.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lut"] == 7


def test_a_mismatch_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    write_report(Report(preset="tiny", bit_exact=False, mismatch_list=["layer a, x 3"]), tmp_path)
    assert main(["report", str(tmp_path / "report.json")]) == 1
    assert "differs from the golden model: layer a, x 3" in capsys.readouterr().err


def test_doctor_finds_this_environment(capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["amaranth"]["version"].startswith("0.5.")
    assert all(f["good"] and f["version"] and not f["advice"] for f in found.values())


def test_doctor_tells_how_to_call_the_simulators(capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    where = {f["name"]: f["where"] for f in json.loads(capsys.readouterr().out)}
    for name, flag, says in (("verilator", "--help", "--lint-only"), ("icarus", "-V", "Icarus")):
        done = subprocess.run(
            f"{where[name]} {flag}", shell=True, capture_output=True, text=True, check=True
        )
        assert says in done.stdout
    assert where["torch"] == ""


def test_doctor_names_what_is_missing(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Finding("thing", "everything", "", False, "apt-get install thing")
    monkeypatch.setattr(doctor, "examine", lambda: [bad])
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "apt-get" in captured.out
    assert captured.err == "shiftwork: error: missing or too old: thing\n"


def test_doctor_goes_without_standard_cells(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "OSU018", Path("nowhere"))
    monkeypatch.delenv("PDK_ROOT", raising=False)
    monkeypatch.setattr(sta, "find_tool", lambda _: None)
    assert main(["doctor", "--json"]) == 0
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert not found["sta"]["good"] and "apt-get install opensta" in found["sta"]["advice"]
    assert not found["cells"]["good"] and found["cells"]["advice"].startswith("no standard cells")


def test_errors_stay_one_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("first\nsecond")

    monkeypatch.setattr(doctor, "examine", broken)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == "shiftwork: error: first second\n"
    assert cli.log.stderr
