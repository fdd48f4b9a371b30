from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.model.codebook import pack_codes, unpack_codes
from shiftwork.model.packing import pack_bits, unpack_bits


def test_worked_example() -> None:
    # 4 bits each, low nibble first: 1, -1, 7, -7
    assert pack_bits(np.array([1, -1, 7, -7], np.int8), 4) == bytes([0xF1, 0x97])
    # 3 bits each: 1 | -2 << 3 | 3 << 6, padded to 16 bits
    assert pack_bits(np.array([1, -2, 3], np.int8), 3, 16) == (1 | 6 << 3 | 3 << 6).to_bytes(
        2, "little"
    )


def slow_pack(codes: torch.Tensor, bits: int, rows: int, cols: int, align_bits: int) -> bytes:
    """The stated order as nested loops over one long integer."""
    n, cout, cin, kh, kw = codes.shape
    total, at = 0, 0
    for block_out in range(0, cout, cols):
        for y in range(kh):
            for x in range(kw):
                for block_in in range(0, cin, rows):
                    for term in range(n):
                        for c in range(block_out, block_out + cols):
                            for r in range(block_in, block_in + rows):
                                inside = c < cout and r < cin
                                code = int(codes[term, c, r, y, x]) if inside else 0
                                total |= (code & ((1 << bits) - 1)) << at
                                at += bits
                        at += -at % align_bits
    return total.to_bytes(-(-at // 8), "little")


@given(
    st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3),
    st.integers(2, 5), st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 8, 64]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_packing_is_the_stated_order_and_comes_back(
    n: int, cout: int, cin: int, kh: int, kw: int, bits: int, rows: int, cols: int,
    align: int, seed: int,
) -> None:  # fmt: skip
    m = (1 << (bits - 1)) - 1
    rng = np.random.default_rng(seed)
    codes = torch.from_numpy(rng.integers(-m, m + 1, (n, cout, cin, kh, kw)).astype(np.int8))
    data = pack_codes(codes, bits, rows, cols, align)
    assert data == slow_pack(codes, bits, rows, cols, align)
    shape = (n, cout, cin, kh, kw)
    assert torch.equal(unpack_codes(data, shape, bits, rows, cols, align), codes)


def test_bad_lengths_and_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 3 bits"):
        pack_bits(np.array([4], np.int8), 3)
    pack_bits(np.array([-3, 3], np.int8), 3)
    with pytest.raises(ValueError, match=r"codes -4\.\.1 do not fit 3 bits"):
        pack_bits(np.array([-4, 1], np.int8), 3)
    with pytest.raises(ValueError, match=r"need 4 bytes, not 3"):
        unpack_bits(b"abc", (2, 4), 4)
