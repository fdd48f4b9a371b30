"""AXI4 read master shared by several clients."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import (
    ADDR_BITS,
    BURST_INCREMENT,
    CACHE_BUFFERABLE,
    LAST_BYTE,
    LAYER_BITS,
    PROTECTION,
    REQUEST,
    read_members,
)
from .burst import BurstSplitter
from .config import EngineConfig
from .geometry import READS, burst_block
from .queue import Queue


class Reader(wiring.Component):
    """Serve the read requests of several clients from one AXI4 port, in bursts.

    A request is cut at multiples of the client's block: the largest power of two of beats within
    ``burst_beats`` and within the client's FIFO, so no burst crosses 4 KiB. A burst goes out only
    when its client's FIFO has room for a whole block; the bus is never held up by a client that
    does not take its data (`m_axi_rready` is always high). Clients whose burst can go take turns
    (round robin). Up to 16 bursts are outstanding; data come back in order.

    Latency 3 cycles from request to `m_axi_arvalid`, then 1 (FIFO up to 16 beats) or 3 cycles
    from `m_axi_rvalid` to `data`. Throughput one beat per cycle with bursts of 2 beats and more
    and FIFOs of two blocks and more; one burst per 2 cycles. One request of a client waits while
    the one before is cut; a client can get a burst for a new request every 3 cycles.

    A beat with an error response is delivered like any other, and reported by `error`; one that
    comes while no burst is outstanding is dropped. A burst
    that would leave `base`..`limit` is not issued, nor is anything of its client after it:
    `outside` is high until `halt`.
    Reset: idle, FIFOs empty; only to be applied when `idle` (raise `halt` first and wait).

    Parameters
    ----------
    config : EngineConfig
        Gives ``bus_bits`` and ``burst_beats``.
    depths : tuple of int
        FIFO depth of each client, in beats, at least 1.

    Members
    -------
    request{i} : In(stream.Signature(REQUEST))
        Bus-aligned byte address, 1 or more beats.
    data{i} : Out(stream.Signature(bus_bits))
        The beats asked for, in order.
    halt : In(1)
        Start no new burst, drop all requests. Bursts under way come in to the end. Keep it high
        until reset.
    idle : Out(1)
        No request at hand, no burst outstanding.
    layer{i} : In(16)
        What the request is for; taken with it, and told when it goes wrong.
    base, limit : In(32)
        First and last byte that may be read.
    beat, error : Out(1), error_layer : Out(16)
        Pulse the cycle after a beat came in, and after one with an error response; whose it was.
    outside : Out(1), outside_layer : Out(16)
        A request leaves the window; whose it is.
    m_axi_ar*, m_axi_r* : AXI4 read channels
    """

    halt: Signal
    idle: Signal
    beat: Signal
    error: Signal
    error_layer: Signal
    base: Signal
    limit: Signal
    outside: Signal
    outside_layer: Signal

    def __init__(self, config: EngineConfig, depths: tuple[int, ...]) -> None:
        if not depths or min(depths) < 1:
            raise ValueError(f"depths must be one or more FIFO depths of 1 and more, not {depths}")
        self.config = config
        self.depths = tuple(depths)
        members: dict[str, Any] = read_members(config.bus_bits)
        for i in range(len(depths)):
            members[f"request{i}"] = In(stream.Signature(REQUEST))
            members[f"data{i}"] = Out(stream.Signature(config.bus_bits))
            members[f"layer{i}"] = In(LAYER_BITS)
        members |= {
            "halt": In(1),
            "idle": Out(1),
            "beat": Out(1),
            "error": Out(1),
            "error_layer": Out(LAYER_BITS),
            "base": In(ADDR_BITS),
            "limit": In(ADDR_BITS, init=LAST_BYTE),  # pyright: ignore[reportCallIssue]
            "outside": Out(1),
            "outside_layer": Out(LAYER_BITS),
        }
        super().__init__(members)

    def request(self, client: int) -> Any:
        """Return the request stream of a client."""
        return getattr(self, f"request{client}")

    def data(self, client: int) -> Any:
        """Return the data stream of a client."""
        return getattr(self, f"data{client}")

    def elaborate(self, platform: Any) -> Module:
        """Build the reader."""
        m = Module()
        bus: Any = self
        clients = range(len(self.depths))
        beats_bits = ADDR_BITS - (self.config.bus_bytes - 1).bit_length()
        tag_bits = max(1, (len(clients) - 1).bit_length())
        tag = data.StructLayout({"client": tag_bits, "layer": LAYER_BITS})
        m.submodules.tags = tags = Queue(tag, READS)
        client = tags.i.payload.client
        bursts: list[Any] = []
        offers: list[Signal] = []
        takes: list[Signal] = []
        idles: list[Signal] = []
        layers: list[Signal] = []

        m.d.comb += bus.m_axi_rready.eq(1)
        for i in clients:
            depth = self.depths[i]
            block = burst_block(self.config.burst_beats, depth)
            splitter = BurstSplitter(self.config.bus_bytes, block, beats_bits)
            queue = Queue(self.config.bus_bits, depth)
            m.submodules[f"splitter{i}"] = splitter
            m.submodules[f"fifo{i}"] = queue
            wiring.connect(m, wiring.flipped(self.request(i)), splitter.i)
            wiring.connect(m, queue.o, wiring.flipped(self.data(i)))
            m.d.comb += [
                splitter.halt.eq(self.halt),
                splitter.base.eq(self.base),
                splitter.limit.eq(self.limit),
            ]
            layer = Signal(LAYER_BITS, name=f"layer_{i}")
            with m.If(splitter.i.valid & splitter.i.ready):
                m.d.sync += layer.eq(getattr(self, f"layer{i}"))
            with m.If(splitter.outside):
                m.d.comb += [self.outside.eq(1), self.outside_layer.eq(layer)]

            offer, take, pop = (Signal(name=f"{n}{i}") for n in ("offer", "take", "pop"))
            used = Signal(range(depth + 1), name=f"used{i}")  # beats in the FIFO or on their way
            m.d.comb += [
                offer.eq(splitter.o.valid & (used <= depth - block)),
                splitter.o.ready.eq(take),
                queue.i.payload.eq(bus.m_axi_rdata),
                queue.i.valid.eq(bus.m_axi_rvalid & tags.o.valid & (tags.o.payload.client == i)),
            ]
            # A cycle late: the client is far, and room that is not seen at once does no harm.
            m.d.sync += [
                pop.eq(queue.o.valid & queue.o.ready),
                used.eq(used + Mux(take, splitter.o.p.len + 1, 0) - pop),
            ]
            bursts.append(splitter.o.p)
            offers.append(offer)
            takes.append(take)
            idles.append(splitter.idle)
            layers.append(layer)

        # Address channel: a new burst is chosen only while arvalid is low, so that arready
        # reaches one flip-flop.
        turn = Signal(tag_bits)
        with m.If(bus.m_axi_arvalid):
            m.d.sync += bus.m_axi_arvalid.eq(~bus.m_axi_arready)
        with m.Elif(tags.i.ready):
            m.d.sync += bus.m_axi_arvalid.eq(Cat(offers).any())
            m.d.comb += tags.i.valid.eq(Cat(offers).any())
            with m.Switch(turn):
                for last in clients:
                    with m.Case(last):
                        self._choose(m, last, offers, takes, client)
        with m.If(tags.i.valid):
            m.d.sync += turn.eq(client)
        with m.Switch(client):
            for i in clients:
                with m.Case(i):
                    m.d.comb += tags.i.payload.layer.eq(layers[i])
                    with m.If(takes[i]):
                        m.d.sync += [
                            bus.m_axi_araddr.eq(bursts[i].addr),
                            bus.m_axi_arlen.eq(bursts[i].len),
                        ]
        m.d.comb += [
            bus.m_axi_arsize.eq((self.config.bus_bytes - 1).bit_length()),
            bus.m_axi_arburst.eq(BURST_INCREMENT),
            bus.m_axi_arprot.eq(PROTECTION),
            bus.m_axi_arcache.eq(CACHE_BUFFERABLE),
            tags.o.ready.eq(bus.m_axi_rvalid & bus.m_axi_rlast),
            self.idle.eq(Cat(idles).all() & ~bus.m_axi_arvalid & ~tags.o.valid),
        ]
        m.d.sync += [
            self.beat.eq(bus.m_axi_rvalid & tags.o.valid),
            self.error.eq(bus.m_axi_rvalid & tags.o.valid & bus.m_axi_rresp[1]),
            self.error_layer.eq(tags.o.payload.layer),
        ]
        return m

    def _choose(self, m: Module, last: int, offers: Any, takes: Any, chosen: Any) -> None:
        """Take the first client on offer after the one that had its turn `last`."""
        count = len(self.depths)
        for step in range(count):
            client = (last + 1 + step) % count
            with m.If(offers[client]) if step == 0 else m.Elif(offers[client]):
                m.d.comb += [takes[client].eq(1), chosen.eq(client)]
