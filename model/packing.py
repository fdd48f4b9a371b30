"""Weight codes as bytes: dense, little-endian, in the order the engine reads them."""

from __future__ import annotations

import numpy as np
import torch


def pack_bits(codes: np.ndarray, bits: int, align_bits: int = 8) -> bytes:
    """Pack rows of codes, two's complement, lowest code in the lowest bits.

    Parameters
    ----------
    codes : ndarray int8 (..., n)
        Codes; each row of n codes is padded with zero bits to a multiple of ``align_bits``.
    bits : int
        Width of one code, in bits, 1..8.
    align_bits : int
        Alignment of a row, in bits: 1 packs rows densely (the end is padded to a whole byte).

    Raises
    ------
    ValueError
        If a code does not fit ``bits``; -2^(bits - 1) is no code.
    """
    codes = np.asarray(codes, np.int8)
    top = 1 << (bits - 1)
    if codes.size and not (-top < codes.min() and codes.max() < top):
        raise ValueError(f"codes {codes.min()}..{codes.max()} do not fit {bits} bits")
    columns = np.unpackbits(codes.view(np.uint8)[..., None], axis=-1, bitorder="little")
    stream = columns[..., :bits].reshape(-1, codes.shape[-1] * bits)
    spare = -stream.shape[1] % align_bits
    if spare:
        stream = np.pad(stream, ((0, 0), (0, spare)))
    return np.packbits(stream, bitorder="little").tobytes()


def unpack_bits(data: bytes, shape: tuple[int, ...], bits: int, align_bits: int = 8) -> np.ndarray:
    """Return the int8 codes of ``shape`` that :func:`pack_bits` packed.

    Raises
    ------
    ValueError
        If the length is not that of ``shape``.
    """
    rows, width = int(np.prod(shape[:-1])), shape[-1] * bits
    stride = width + -width % align_bits
    if len(data) != -(-rows * stride // 8):
        raise ValueError(f"codes of shape {shape} need {-(-rows * stride // 8)} bytes, "
                         f"not {len(data)}")  # fmt: skip
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: rows * stride]
    columns = stream.reshape(rows, stride)[:, :width].reshape(*shape, bits).astype(np.int8)
    weights = (1 << np.arange(bits)).astype(np.int8)
    weights[-1] = -(1 << (bits - 1))
    return (columns * weights).sum(-1, dtype=np.int8)


def block_codes(codes: torch.Tensor | np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Arrange codes in the engine's order of reading, channels padded with code 0.

    Parameters
    ----------
    codes : Tensor or ndarray int8 (N, Cout, Cin, kh, kw)
    rows, cols : int
        Input and output channels of one block.

    Returns
    -------
    ndarray int8 (cols-blocks, kh, kw, rows-blocks, N, cols x rows)
        A column's ``rows`` codes are consecutive.
    """
    n, cout, cin, kh, kw = codes.shape
    blocks_out, blocks_in = -(-cout // cols), -(-cin // rows)
    padded = np.zeros((n, blocks_out * cols, blocks_in * rows, kh, kw), np.int8)
    padded[:, :cout, :cin] = np.asarray(codes)
    split = padded.reshape(n, blocks_out, cols, blocks_in, rows, kh, kw)
    ordered = split.transpose(1, 5, 6, 3, 0, 2, 4)
    return np.ascontiguousarray(ordered).reshape(blocks_out, kh, kw, blocks_in, n, cols * rows)


def pack_codes(codes: torch.Tensor, bits: int, rows: int, cols: int, align_bits: int = 1) -> bytes:
    """Pack a layer's codes in the order (cols-block, ky, kx, rows-block, n, col, row).

    Parameters
    ----------
    codes : Tensor int8 (N, Cout, Cin, kh, kw)
    bits : int
        Width of one stored code, in bits, at least the codebook's B.
    rows, cols : int
        Input and output channels of one block.
    align_bits : int
        Each block of cols x rows codes of one n is padded to a multiple of this many bits.
    """
    return pack_bits(block_codes(codes, rows, cols), bits, align_bits)


def unpack_codes(
    data: bytes,
    shape: tuple[int, int, int, int, int],
    bits: int,
    rows: int,
    cols: int,
    align_bits: int = 1,
) -> torch.Tensor:
    """Return the int8 codes (N, Cout, Cin, kh, kw) = ``shape`` of :func:`pack_codes`.

    Raises
    ------
    ValueError
        If the length of ``data`` is not that of ``shape``.
    """
    n, cout, cin, kh, kw = shape
    blocks_out, blocks_in = -(-cout // cols), -(-cin // rows)
    stored = (blocks_out, kh, kw, blocks_in, n, cols * rows)
    codes = unpack_bits(data, stored, bits, align_bits)
    split = codes.reshape(blocks_out, kh, kw, blocks_in, n, cols, rows)
    ordered = split.transpose(4, 0, 5, 3, 6, 1, 2).reshape(
        n, blocks_out * cols, blocks_in * rows, kh, kw
    )
    return torch.from_numpy(np.ascontiguousarray(ordered[:, :cout, :cin]))
