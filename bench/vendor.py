"""A vendor that costs next to nothing: Deepgram's socket, one final word for each half second of audio.

The word is the moment at which it was said (``time.monotonic``), so that the client can tell how long it took. The
moments at which audio arrived are printed when a stream ends: ``[[seconds of audio, moment], ...]``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from websockets.asyncio.server import ServerConnection, serve

EVERY = 0.5


async def stream(socket: ServerConnection) -> None:
    # ``packets``: 10 ms each, as the relay passes them on; else 16 kHz PCM.
    packets = "packets" in (socket.request.path if socket.request else "")
    seconds, said, arrivals = 0.0, 0.0, []
    async for frame in socket:
        if isinstance(frame, str):
            if "CloseStream" in frame:
                break
            continue
        seconds += 0.01 if packets or len(frame) < 200 else len(frame) / 32000
        now = time.monotonic()
        arrivals.append((round(seconds, 3), round(now, 5)))
        if seconds - said >= EVERY:
            word = {"word": f"{now:.5f}", "start": said + 0.05, "end": said + 0.4, "confidence": 1.0, "speaker": 0}
            await socket.send(
                json.dumps(
                    {
                        "type": "Results",
                        "start": said,
                        "duration": seconds - said,
                        "is_final": True,
                        "channel": {"alternatives": [{"transcript": word["word"], "words": [word]}]},
                    }
                )
            )
            said = seconds
    print(json.dumps(arrivals), flush=True)
    await socket.close(1000)


async def main() -> None:
    async with serve(stream, "127.0.0.1", int(sys.argv[1]), compression=None, max_size=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
