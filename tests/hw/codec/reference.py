"""The codec in plain Python: slow, and by its definition."""

from __future__ import annotations

from random import Random


def encode(value: int, thresholds: list[int]) -> int:
    """Return the number of thresholds that a value reaches."""
    return sum(value >= threshold for threshold in thresholds)


def to_planes(codes: list[int], bits: int) -> int:
    """Return the coded word: the codes' lowest bits, then the next ones."""
    word, at = 0, 0
    for plane in range(bits):
        for code in codes:
            word |= (code >> plane & 1) << at
            at += 1
    return word


def random_table(rng: Random, bits: int, act_bits: int) -> tuple[list[int], list[int]]:
    """Return sorted thresholds and levels of one channel; some repeat."""
    top = (1 << act_bits) - 1
    thresholds = sorted(rng.randint(0, top) for _ in range((1 << bits) - 1))
    return thresholds, sorted(rng.randint(0, top) for _ in range(1 << bits))


def heap(thresholds: list[int]) -> list[int]:
    """Return the entries 1.. of a balanced search tree, root first, level by level."""
    found: list[int] = []
    level = [thresholds]
    while level[0]:
        found += [part[len(part) // 2] for part in level]
        halves = [(part[: len(part) // 2], part[len(part) // 2 + 1 :]) for part in level]
        level = [half for pair in halves for half in pair]
    return found


def zero_bits(word: list[int], act_bits: int) -> list[int]:
    """Return the bits of a word behind a mask of zeros, the first stored first."""
    bits = [int(value != 0) for value in word]
    return bits + [value >> n & 1 for value in word if value for n in range(act_bits)]
