"""Small engines of many shapes for the fuzzer, so that not one preset alone is tried."""

from __future__ import annotations

from ..hw.config import EngineConfig

ENGINES = (
    EngineConfig(name="fuzz0", rows=4, cols=4, hold=32, buffer_words=2048, window=4,
                 burst_beats=16, weight_fifo=16, requantise_lanes=2, leaky=True,
                 codec_bits=4, zero_maps=True),
    EngineConfig(name="fuzz1", rows=8, cols=4, hold=16, buffer_words=64, window=2, bus_bits=128,
                 burst_beats=8, weight_fifo=32, requantise_lanes=4),
    EngineConfig(name="fuzz2", rows=4, cols=8, code_bits=3, max_terms=2, max_fan_in=1152, hold=64,
                 buffer_words=128, burst_beats=4, weight_fifo=8, leaky=True, codec_bits=7),
    EngineConfig(name="fuzz3", rows=16, cols=8, hold=32, buffer_words=256, window=4, bus_bits=128,
                 burst_beats=16, weight_fifo=64, requantise_lanes=8),
    EngineConfig(name="fuzz4", rows=2, cols=6, act_bits=6, code_bits=5, max_terms=4, hold=8,
                 buffer_words=128, window=2, burst_beats=32, weight_fifo=32, requantise_lanes=2),
    EngineConfig(name="fuzz5", rows=5, cols=3, hold=16, buffer_words=256, burst_beats=1,
                 weight_fifo=2, select="mux", leaky=True),
    EngineConfig(name="fuzz6", rows=4, cols=4, arithmetic="int8", hold=16, buffer_words=256,
                 window=4, burst_beats=16, weight_fifo=16, leaky=True, codec_bits=4),
    EngineConfig(name="fuzz7", rows=12, cols=6, arithmetic="int4", act_bits=7, hold=32,
                 buffer_words=256, window=2, bus_bits=128, burst_beats=8, weight_fifo=16,
                 requantise_lanes=3),
    EngineConfig(name="fuzz8", rows=8, cols=8, hold=24, buffer_words=512, burst_beats=4,
                 weight_fifo=4, requantise_lanes=4, zero_maps=True),
    EngineConfig(name="fuzz9", rows=3, cols=6, act_bits=7, max_terms=4, hold=12, buffer_words=256,
                 bus_bits=128, burst_beats=8, weight_fifo=8, leaky=True, zero_maps=True),
    EngineConfig(name="fuzz10", rows=4, cols=4, code_bits=3, lane_terms=2, max_terms=4, hold=16,
                 buffer_words=512, window=4, burst_beats=8, weight_fifo=16, requantise_lanes=2),
    EngineConfig(name="fuzz11", rows=6, cols=12, lane_terms=2, hold=24, buffer_words=256, window=2,
                 bus_bits=128, burst_beats=16, weight_fifo=16, requantise_lanes=3, leaky=True,
                 select="mux", zero_maps=True),
    EngineConfig(name="fuzz12", rows=8, cols=8, hold=8, buffer_words=512, window=4, burst_beats=8,
                 weight_fifo=8, requantise_lanes=4, leaky=True, pipeline="shallow"),
)  # fmt: skip
"""Rows more and fewer than columns, buffers of 64 to 2048 words, both buses, every window."""
