"""How long an Opus packet is, by its first two bytes (RFC 6716 3.1 and 3.2), without decoding it. Pure."""

from __future__ import annotations

RATE = 16_000
MAX_SAMPLES = RATE * 120 // 1000
"""RFC 6716 3.2.5 (R5): no packet holds more than 120 ms."""
MAX_FRAME = 1275
"""Bytes of one frame at most (RFC 6716 3.4, R2)."""
MAX_PACKET = 2 + 48 * (MAX_FRAME + 2)
"""Bytes: 48 frames of 2.5 ms, each at its largest, with their lengths. Padding beyond that is nobody's speech."""


def _frame_samples(config: int) -> int:
    if config < 12:  # SILK: 10, 20, 40 or 60 ms
        return (160, 320, 640, 960)[config & 3]
    if config < 16:  # hybrid: 10 or 20 ms
        return 160 << (config & 1)
    return 40 << (config & 3)  # CELT: 2.5, 5, 10 or 20 ms


_ONE_FRAME = tuple(_frame_samples(toc >> 3) for toc in range(256))


def samples(packet: bytes) -> int:
    """Samples at 16 kHz that the packet decodes to; 0 where it is no Opus packet (its frames may still not decode)."""
    if not packet:
        return 0
    toc = packet[0]
    code = toc & 3
    if code == 0:
        frames = 1
    elif code < 3:
        frames = 2
    else:
        frames = packet[1] & 63 if len(packet) > 1 else 0
    found = _ONE_FRAME[toc] * frames
    if not 0 < found <= MAX_SAMPLES or len(packet) > frames * (MAX_FRAME + 2) + 2:
        return 0
    return found
