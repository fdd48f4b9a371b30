import numpy as np
import pytest

from shiftwork.sim import files
from shiftwork.sim.events import read_events


@pytest.mark.parametrize("word_bytes", [8, 16])
def test_words_come_back_as_written(word_bytes, tmp_path):
    data = np.random.default_rng(0).integers(0, 256, 64 * word_bytes, dtype=np.uint8)
    path = tmp_path / "image.hex"
    files.write_words(path, data, word_bytes)
    first = path.read_text().splitlines()[0]
    assert int(first, 16) == int.from_bytes(data[:word_bytes].tobytes(), "little")
    back, undefined = files.read_dump(path, word_bytes)
    np.testing.assert_array_equal(back, data)
    assert not undefined.any()


def test_dump_comments_are_skipped_and_undefined_digits_marked(tmp_path):
    path = tmp_path / "dump.0"
    path.write_text("// 0x00000000\n@0\n00000000000000fF\nxxz30000000000x1\n")
    data, undefined = files.read_dump(path, 8)
    assert data[0] == 0xFF and data[8] == 1
    assert np.flatnonzero(undefined).tolist() == [8, 14, 15]
    path.write_text("00ff\n")
    with pytest.raises(ValueError, match="does not hold words of 8 bytes"):
        files.read_dump(path, 8)


def test_runs_cover_all_marks_and_bridge_short_gaps():
    marked = np.zeros(8 * 1000, bool)
    assert files.runs_of(marked, 8) == []
    marked[[8 * 3 + 1, 8 * 10, 8 * 500, 8 * 999 + 7]] = True
    assert files.runs_of(marked, 8) == [(3, 10), (500, 500), (999, 999)]
    assert files.runs_of(marked, 8, gap=1000) == [(3, 999)]


def test_lanes_are_one_bit_a_byte(tmp_path):
    marked = np.zeros(32, bool)
    marked[[0, 9, 31]] = True
    files.write_lanes(tmp_path / "a", marked, 8)
    assert (tmp_path / "a").read_text().split() == ["01", "02", "00", "80"]
    files.write_lanes(tmp_path / "b", marked, 16)
    assert (tmp_path / "b").read_text().split() == ["0201", "8000"]


def test_events_of_unknown_kind_are_refused(tmp_path):
    path = tmp_path / "events.log"
    path.write_text("stop 9\nmismatch 5 00000100 0x11223344556677 0 0f\ntotal 9 1 2 3 4 5\n")
    events = read_events(path)
    assert events.first_cycle == 5 and events.stop_cycle == 9
    assert list(events.wrong[0].bytes()) == [(0, 0x77), (1, 0x66), (2, 0x55), (3, 0x44)]
    path.write_text("surprise 3\n")
    with pytest.raises(ValueError, match="unknown event 'surprise'"):
        read_events(path)
