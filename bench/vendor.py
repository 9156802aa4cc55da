"""A vendor that costs next to nothing: Deepgram's socket, one final word for each half second of audio.

Its word is ``connection/arrived/said/seconds``: when the audio before ``seconds`` of the stream had arrived, and when
the word was sent (``time.monotonic``), so that a client can tell its own wait from the vendor's. When a stream ends, a
line is printed: ``{"connection": n, "arrivals": [[seconds of audio, moment], ...]}``.

``python -m bench.vendor PORT [DELAY]``: DELAY is the vendor's own time to a word, seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

from bench.wire import BINARY, TEXT, Peer, accept, unmasked

EVERY = 0.5
_NUMBERS = itertools.count()


class Vendor(Peer):
    def __init__(self, delay: float) -> None:
        super().__init__()
        self.number = next(_NUMBERS)
        self.delay = delay
        self.packets = False
        self.seconds = self.said = 0.0
        self.arrivals: list[tuple[float, float]] = []

    def shaken(self, head: bytes) -> None:
        self.packets = b"packets" in head.split(b"\r\n", 1)[0]  # 10 ms each, as the relay passes them on
        self.transport.write(accept(head))

    def message(self, opcode: int, payload: bytes, mask: bytes) -> None:
        if opcode == TEXT and b"CloseStream" in unmasked(payload, mask):
            self.send(0x8, (1000).to_bytes(2, "big"))
            return
        if opcode != BINARY:
            return
        now = time.monotonic()
        self.seconds += 0.01 if self.packets else len(payload) / 32000
        self.arrivals.append((round(self.seconds, 3), round(now, 5)))
        while self.seconds - self.said >= EVERY - 1e-6:  # at fixed places, however the audio is cut into messages
            start, self.said = self.said, self.said + EVERY
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.say, start, self.said, now)
            else:
                self.say(start, self.said, now)

    def say(self, start: float, end: float, arrived: float) -> None:
        text = f"{self.number}/{arrived:.5f}/{time.monotonic():.5f}/{end:.3f}"
        word = {"word": text, "start": start + 0.05, "end": end - 0.1, "confidence": 1.0, "speaker": 0}
        result = {
            "type": "Results",
            "start": start,
            "duration": end - start,
            "is_final": True,
            "channel": {"alternatives": [{"transcript": text, "words": [word]}]},
        }
        self.send(TEXT, json.dumps(result).encode())

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self.open:
            print(json.dumps({"connection": self.number, "arrivals": self.arrivals}), flush=True)


async def main() -> None:
    delay = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    server = await asyncio.get_running_loop().create_server(
        lambda: Vendor(delay), "127.0.0.1", int(sys.argv[1]), backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
