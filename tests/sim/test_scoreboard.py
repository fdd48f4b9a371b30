import numpy as np
import pytest

from shiftwork.sim.host import COUNTER_NAMES
from shiftwork.sim.result import layer_counters
from shiftwork.sim.scoreboard import FAST, SLOW, Faults, Latency, simulate

from .copying import CONFIG, MODULE, WIDE, CopyProgram, Layer, stand_in

both = pytest.mark.parametrize("simulator", ["icarus", "verilator"])


def run(program, simulator, tmp_path, *, config=CONFIG, engine=CONFIG, expected=None, **options):
    inputs, golden = program.example()
    golden = expected(golden) if expected else golden
    return simulate(
        program, config, stand_in(engine), inputs, golden, simulator, module=MODULE,
        work=tmp_path / "run", **{"max_cycles": 50_000, **options},
    )  # fmt: skip


@both
def test_right_writes_pass_and_come_back(simulator, tmp_path):
    program = CopyProgram()
    _, golden = program.example()
    result = run(program, simulator, tmp_path)
    assert result.ok, result.summary()
    np.testing.assert_array_equal(result.outputs["y"], golden["y"])
    assert result.checked_bytes == golden["y"].size
    assert result.write_beats == result.layers[0].counters["written"] == 128
    assert result.read_beats == 128 + 4
    assert list(result.totals) == list(COUNTER_NAMES)
    assert result.layers[0].cycles == result.totals["busy"]
    assert result.waveform is None


@both
def test_full_speed_moves_a_beat_each_way_in_every_cycle(simulator, tmp_path):
    program = CopyProgram(height=64, width=32)
    result = run(program, simulator, tmp_path)
    assert result.ok, result.summary()
    beats = 2048
    # register write, descriptor, first read, last write and its answer: nothing per beat or burst
    assert beats < result.cycles < beats + 60


def test_both_simulators_agree_to_the_cycle(tmp_path):
    program = CopyProgram(height=16, width=16)
    for latency in (FAST, SLOW):
        results = [
            run(program, simulator, tmp_path / simulator, latency=latency, seed=7)
            for simulator in ("icarus", "verilator")
        ]
        assert all(result.ok for result in results)
        assert results[0].cycles == results[1].cycles
    assert results[0].cycles > 1.5 * 256


@pytest.mark.parametrize("seed", range(4))
def test_random_waits_change_time_and_nothing_else(seed, tmp_path):
    program = CopyProgram(height=16, width=16)
    latency = Latency(read=seed, write=3 * seed, random=10 * seed, stall=0.2 * seed)
    result = run(program, "icarus", tmp_path, latency=latency, seed=seed)
    assert result.ok, result.summary()


@both
def test_wrong_byte_is_named_and_leaves_a_waveform(simulator, tmp_path):
    program = CopyProgram(flaw=1, beat=37)
    result = run(program, simulator, tmp_path, window=50)
    assert not result.ok
    assert not result.bit_exact
    assert (result.wrong_bytes, result.wrong_beats, len(result.mismatches)) == (1, 1, 1)
    (found,) = result.mismatches
    _, golden = program.example()
    assert (found.layer, found.channel, found.y, found.x) == ("copy1", 1, 37 // 16, 37 % 16)
    assert found.want == golden["y"][1, 2, 5]
    assert found.got == found.want ^ 1 == result.outputs["y"][1, 2, 5]
    assert f"channel 1, y 2, x 5: got {found.got}, want {found.want}" in result.summary()
    assert result.waveform is not None and found.cycle is not None
    times = waveform_times(result.waveform, "wdata")
    # the clock's period is 10 ns, the VCD counts ps
    assert min(times) >= (found.cycle - 52) * 10_000
    assert (found.cycle - 50) * 10_000 < max(times) <= (found.cycle + 150) * 10_000


def waveform_times(path, signal):
    """Return the times of a VCD; the signal must be declared in it."""
    text = path.read_text()
    assert f" {signal} " in text
    return [int(line[1:]) for line in text.splitlines() if line[:1] == "#" and line[1:].isdigit()]


@both
def test_byte_never_written_is_found(simulator, tmp_path):
    result = run(CopyProgram(flaw=2, beat=9), simulator, tmp_path, waveform=False)
    assert (result.wrong_bytes, result.wrong_beats) == (8, 0)
    assert [m.channel for m in result.mismatches] == list(range(8))
    assert {(m.y, m.x, m.cycle, m.got) for m in result.mismatches} == {(0, 9, None, None)}
    assert "never written" in result.summary()


@both
def test_stray_write_is_found(simulator, tmp_path):
    # the burst of beat 900 goes 4 KiB on: past the tensor, into memory that is nobody's
    program = CopyProgram(height=64, width=16, flaw=3, beat=900, tail=8192)
    result = run(program, simulator, tmp_path, waveform=False)
    assert (result.stray_beats, result.wrong_bytes, result.wrong_beats) == (16, 128, 0)
    assert result.strays[0].address == program.target + 900 // 16 * 128 + 4096
    assert "in no tensor" in result.summary()


@both
def test_write_outside_the_memory_is_found(simulator, tmp_path):
    program = CopyProgram(height=64, width=16, flaw=3, beat=900)
    result = run(program, simulator, tmp_path, waveform=False)
    assert result.broken_rules == 16
    assert "write outside the memory" in result.violations[0]
    assert "error WRITE" in result.trouble


def test_write_to_the_wrong_place_in_a_tensor_is_found(tmp_path):
    program = CopyProgram(height=128, width=16, flaw=3, beat=64)
    result = run(program, "icarus", tmp_path, waveform=False)
    assert (result.stray_beats, result.wrong_beats) == (0, 16)
    assert result.wrong_bytes == 128  # never written; the wrong ones were written again, rightly
    assert {m.y for m in result.mismatches if m.cycle is not None} == {4 + 32}


def test_write_over_the_input_is_forbidden(tmp_path):
    program = CopyProgram()
    program.image = program.image[:68] + (256).to_bytes(4, "little") + program.image[72:]
    result = run(program, "icarus", tmp_path)
    assert result.stray_beats == 128
    assert len(result.strays) == 16
    assert result.strays[0].address == 256
    assert "in no tensor" in str(result.strays[0])
    assert result.wrong_bytes == result.checked_bytes
    assert result.waveform is not None


def test_undefined_bits_are_a_mismatch(tmp_path):
    result = run(CopyProgram(flaw=7, beat=20), "icarus", tmp_path, waveform=False)
    (found,) = result.mismatches
    assert (found.channel, found.y, found.x, found.got) == (2, 1, 4, None)
    assert "undefined" in result.summary()


def test_pad_lanes_are_forbidden(tmp_path):
    class Padded(CopyProgram):
        def _pixels(self, memory, name):
            return super()._pixels(memory, name)[:, :, : self.shape[0]]

    result = run(Padded(channels=5), "icarus", tmp_path, waveform=False)
    assert result.bit_exact
    assert result.stray_beats == 128
    assert result.strays[0].lanes == 0b11100000


@both
def test_hung_engine_ends_with_a_timeout(simulator, tmp_path):
    result = run(CopyProgram(flaw=4, beat=50), simulator, tmp_path, max_cycles=2000)
    assert result.timeout
    assert result.cycles == 2000
    assert "did not end in 2000 cycles" in result.trouble
    assert result.waveform is not None


@both
def test_breach_of_the_handshake_is_found(simulator, tmp_path):
    program = CopyProgram(flaw=5, beat=40)
    latency = Latency(stall=0.7)
    result = run(program, simulator, tmp_path, waveform=False, latency=latency, max_cycles=5000)
    assert result.broken_rules, "pick a seed with which beat 40 waits"
    assert "W changed before WREADY" in result.violations[0]
    assert not result.ok


def test_done_before_the_last_answer_is_found(tmp_path):
    latency = Latency(write=100)
    result = run(CopyProgram(flaw=6), "icarus", tmp_path, waveform=False, latency=latency)
    assert "before every write was answered" in result.trouble


@both
@pytest.mark.parametrize("faults", [Faults(read_beat=30), Faults(write_beat=30, code=3)])
def test_error_answers_reach_the_engine(simulator, faults, tmp_path):
    result = run(CopyProgram(), simulator, tmp_path, faults=faults, waveform=False)
    name = "READ" if faults.read_beat else "WRITE"
    assert result.trouble == f"the engine stopped with error {name} in layer copy1"


def test_wide_bus(tmp_path):
    for latency in (FAST, SLOW):
        program = CopyProgram(bus_bytes=16)
        result = run(program, "icarus", tmp_path, config=WIDE, engine=WIDE, latency=latency)
        assert result.ok, result.summary()
        assert result.write_beats == 64
    program = CopyProgram(flaw=1, beat=3, bus_bytes=16)
    result = run(program, "icarus", tmp_path, config=WIDE, engine=WIDE, waveform=False)
    (found,) = result.mismatches
    assert (found.channel, found.y, found.x) == (1, 0, 6)


def test_a_good_run_cleans_up_after_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("shiftwork.sim.runner.BUILD_ROOT", tmp_path)
    program = CopyProgram()
    inputs, golden = program.example()
    result = simulate(program, CONFIG, stand_in(CONFIG), inputs, golden, module=MODULE)
    assert result.ok
    assert not list((tmp_path / "runs").iterdir())


def test_verilog_of_another_config_is_found(tmp_path):
    result = run(CopyProgram(), "icarus", tmp_path, config=CONFIG.replace(cols=16), waveform=False)
    assert result.trouble == ("host: register CONFIG reads 0x38340808, this config's is 0x38341008")


def test_layers_get_their_own_counts():
    names = [Layer(f"l{i}", 100, 1, 10, i) for i in range(4)]
    totals = {i: [20 * (i + 1), *[i] * 7] for i in range(3)}
    totals[2][1] = 2**32 - 1
    layers = layer_counters(names, {**{str(i): t for i, t in totals.items()}, "3": [0] * 8})
    assert [layer.cycles for layer in layers] == [20, 20, 20]  # the fourth recorded nothing
    assert layers[1].counters["compute"] == 1
    assert layers[2].counters["compute"] == 2**32 - 2
    assert layers[0].utilisation == 0.5


def test_layers_that_end_in_another_order_get_their_own_counts():
    names = [Layer(f"l{i}", 100, 1, 10, i) for i in range(3)]
    recorded = {str(i): [busy] + [0] * 7 for i, busy in enumerate((50, 30, 80))}
    layers = layer_counters(names, recorded)
    assert [(layer.name, layer.cycles) for layer in layers] == [("l0", 20), ("l1", 30), ("l2", 30)]


def test_bad_tensors_are_refused(tmp_path):
    program = CopyProgram()
    inputs, golden = program.example()
    with pytest.raises(ValueError, match="'z' is not in the program; it has x, y"):
        simulate(program, CONFIG, stand_in(CONFIG), inputs, {"z": golden["y"]})
    with pytest.raises(ValueError, match="'y' must be \\(C, H, W\\) uint8"):
        simulate(program, CONFIG, stand_in(CONFIG), inputs, {"y": golden["y"].astype(np.int64)})
    with pytest.raises(ValueError, match="stall must be in 0"):
        Latency(stall=1.5)


def test_shared_memory_of_compared_tensors_is_refused(tmp_path):
    program = CopyProgram()
    program.places["again"] = program.places["y"]
    inputs, golden = program.example()
    both_equal = {"y": golden["y"], "again": golden["y"]}
    result = simulate(program, CONFIG, stand_in(CONFIG), inputs, both_equal, module=MODULE)
    assert result.ok
    with pytest.raises(ValueError, match="'again' shares byte"):
        simulate(
            program, CONFIG, stand_in(CONFIG), inputs, {**both_equal, "again": golden["y"] ^ 1}
        )
