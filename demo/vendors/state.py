"""What all simulated vendors share: truth, keys, timers, the fault scripts and the record of everything received."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from demo.vendors.truth import Library

VENDORS = ("deepgram", "soniox", "speechmatics", "fal", "openai", "hume", "pinecone", "fcm")
KEY = "sim-key"
Entry = dict[str, Any]
Fault = dict[str, Any]
STATE: web.AppKey[State] = web.AppKey("state")


class State:
    """One per server. ``scale`` multiplies every vendor timer (0.01: 10 s of idle becomes 0.1 s)."""

    def __init__(self, library: Library | None = None, scale: float = 1.0, **options: Any) -> None:
        self.library = library or Library()
        self.scale = scale
        self.initial = {"scale": scale}
        self.options: dict[str, Any] = options  # vendor-specific switches, e.g. pinecone_delay, fal_seconds
        self.keys: dict[str, set[str]] = {v: {KEY} for v in VENDORS}
        self.base = ""  # http://127.0.0.1:PORT, set when listening
        self.faults: dict[str, list[Fault]] = {v: [] for v in VENDORS}
        self.log: dict[str, list[Entry]] = {v: [] for v in VENDORS}
        self.store: dict[str, dict[str, Any]] = {v: {} for v in VENDORS}  # each vendor's own memory
        self.tasks: set[asyncio.Task[Any]] = set()
        self.answered = asyncio.Event()
        self._numbers = itertools.count(1)

    def answer_held(self) -> None:
        """Let the requests go on that wait by the fault "held" now; those that come later wait again."""
        self.answered.set()
        self.answered = asyncio.Event()

    def reset(self, vendor: str | None = None) -> None:
        """Forget faults, logs and stored data (recordings and keys stay)."""
        for v in (vendor,) if vendor else VENDORS:
            self.faults[v].clear()
            self.log[v].clear()
            self.store[v].clear()
        if vendor is None:
            self.scale = self.initial["scale"]
            self.answer_held()

    def add_faults(self, vendor: str, *faults: Fault) -> None:
        """Queue faults. Each is taken by the next request or connection (``op`` restricts which), ``times`` times
        (default 1, -1 for ever). ``{"script": [...]}`` gives one connection several."""
        for fault in faults:
            for part in fault.get("script", [fault]):
                if part.get("kind") not in KINDS:
                    raise ValueError(f"unknown fault kind {part.get('kind')!r}; known: {', '.join(sorted(KINDS))}")
        self.faults[vendor] += [dict(f) for f in faults]

    def take(self, vendor: str, op: str) -> list[Fault]:
        """The fault script of the request that has just come in."""
        queue = self.faults[vendor]
        for fault in queue:
            if fault.get("op") in (None, op):
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] == 0:
                    queue.remove(fault)
                return list(fault.get("script", [fault]))
        return []

    def entry(self, vendor: str, op: str, request: web.Request) -> Entry:
        made: Entry = {
            "id": next(self._numbers),
            "vendor": vendor,
            "op": op,
            "method": request.method,
            "url": str(request.rel_url),
            "path": request.path,
            "query": [list(pair) for pair in request.query.items()],
            "headers": {k.lower(): v for k, v in request.headers.items()},
            "time": time.time(),
            "body_bytes": 0,
            "text": None,
            "status": None,
        }
        self.log[vendor].append(made)
        return made

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def authorised(self, vendor: str, key: str | None) -> bool:
        return key in self.keys[vendor]


KINDS = {
    # any request, also a socket's handshake
    "refuse",  # status, retry_after?, code?, message?, headers?
    "html",  # 200 (or status) with an HTML page
    "truncated",  # half of the JSON answer
    "body",  # this answer instead: text or size (bytes), status?, content_type?, gzip?
    "garbage",  # the answer's body replaced by bytes that are not JSON
    "reset",  # connection cut in the middle of the answer's body
    "hang",  # no answer (seconds, default until the client leaves)
    "drop",  # TCP reset; on a socket after_frames / after_audio / after_results / after_seconds
    "held",  # answered once the test says so (VendorServer.answer_held)
    "delay",  # seconds before the answer, or before every message of a socket
    "slow",  # the answer's body trickles: seconds in all
    # sockets, with the same after_*
    "stall",  # reads, but sends nothing any more
    "unread",  # stops reading
    "malformed",  # one frame that is not JSON (after_results)
    "garbage_frame",  # one binary frame (after_results)
    "duplicate_finals",  # every final twice
    "out_of_order",  # finals in pairs, later one first
    "close",  # code, reason
    "error",  # the vendor's in-band error: code, type, message
    "ignore_finalize",
    # speech results
    "null_speakers",
    "null_ends",
    "empty",  # nothing recognised
    # fal
    "failed",  # COMPLETED with error; status, error_type, retryable
    "stuck",  # stays IN_QUEUE (or IN_PROGRESS: at)
    "unknown",  # accepted, then 404
    "webhook",  # mode: twice | late | never | bad_signature | unsigned | old | other_id; seconds
    # openai
    "quota",  # 429 insufficient_quota
    "rate",  # 429 rate_limit_exceeded, retry_after?
    "refusal",
    "length",
    "content_filter",
    "invalid_json",
    "answer",  # content: this object (or text) instead of the derived one
    "wrong_size",  # embeddings of another length
    "zeros",
    # pinecone
    "lost",  # upsert answered, nothing kept
    "invisible",  # seconds until this write is seen
    # fcm
    "unregistered",
}
