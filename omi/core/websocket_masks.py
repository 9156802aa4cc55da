"""WebSocket masks (RFC 6455 5.3), with the C function of the ``websockets`` package where it was built."""

from __future__ import annotations

from secrets import token_bytes

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiler and no wheel for this platform: the same in Python, thirty times slower
    from websockets.utils import apply_mask

__all__ = ["apply_mask", "masked"]


def masked(data: bytes) -> bytes:
    """A whole binary message as a client writes it (RFC 6455 5.2), under a mask that nobody can foretell."""
    size, mask = len(data), token_bytes(4)
    if size < 126:
        head = bytes((0x82, 0x80 | size))
    elif size < 65536:
        head = b"\x82\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x82\xff" + size.to_bytes(8, "big")
    return head + mask + apply_mask(data, mask)
