"""All simulated vendors as one aiohttp application, with the control endpoints under /_sim."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from demo.vendors import deepgram, fal, fcm, hume, openai, pinecone, soniox, soniox_async, speechmatics
from demo.vendors.http import body_json, record_and_inject
from demo.vendors.state import KEY, STATE, VENDORS, State

MODULES: dict[str, tuple[Any, ...]] = {
    "deepgram": (deepgram,),
    "soniox": (soniox, soniox_async),
    "speechmatics": (speechmatics,),
    "fal": (fal,),
    "openai": (openai,),
    "hume": (hume,),
    "pinecone": (pinecone,),
    "fcm": (fcm,),
}


def settings(base: str, vendors: tuple[str, ...] = VENDORS) -> dict[str, str]:
    """Environment of a process that is to talk to the simulators at ``base`` (http://host:port)."""
    ws = base.replace("http", "ws", 1)
    every = {
        "deepgram": {"DEEPGRAM_URL": f"{base}/deepgram", "DEEPGRAM_API_KEY": KEY},
        "soniox": {
            "SONIOX_URL": f"{ws}/soniox/transcribe-websocket",
            "SONIOX_API_URL": f"{base}/soniox",
            "SONIOX_API_KEY": KEY,
        },
        "speechmatics": {"SPEECHMATICS_URL": f"{ws}/speechmatics/v2", "SPEECHMATICS_API_KEY": KEY},
        "fal": {"FAL_QUEUE_URL": f"{base}/fal", "FAL_JWKS_URL": f"{base}/fal/.well-known/jwks.json", "FAL_KEY": KEY},
        "openai": {"OPENAI_BASE_URL": f"{base}/openai/v1", "OPENAI_API_KEY": KEY},
        "hume": {"HUME_URL": f"{base}/hume", "HUME_API_KEY": KEY},
        "pinecone": {"PINECONE_INDEX_HOST": f"{base}/pinecone", "PINECONE_API_KEY": KEY},
        "fcm": {"FCM_URL": f"{base}/fcm"},
    }
    return {"SIM_URL": base, **{k: v for vendor in vendors for k, v in every[vendor].items()}}


async def _faults(request: web.Request) -> web.Response:
    """POST {"vendor", "faults": [...]} (or one fault inline); {"clear": true} empties the queue first."""
    state, body = request.app[STATE], await body_json(request)
    if not isinstance(body, dict) or body.get("vendor") not in VENDORS:
        return web.json_response({"error": f"vendor must be one of {', '.join(VENDORS)}"}, status=400)
    inline = {k: v for k, v in body.items() if k not in ("vendor", "faults", "clear")}
    faults = body.get("faults", [inline] if inline else [])
    if body.get("clear"):
        state.faults[body["vendor"]].clear()
    try:
        state.add_faults(body["vendor"], *faults)
    except ValueError as problem:
        return web.json_response({"error": str(problem)}, status=400)
    return web.json_response({"queued": len(state.faults[body["vendor"]])})


async def _faults_waiting(request: web.Request) -> web.Response:
    return web.json_response(request.app[STATE].faults)


async def _log(request: web.Request) -> web.Response:
    """GET ?vendor=&op=&after=ID: what was received, oldest first."""
    state, query = request.app[STATE], request.query
    vendors = [query["vendor"]] if "vendor" in query else list(VENDORS)
    entries = [e for v in vendors for e in state.log.get(v, [])]
    after, op = int(query.get("after", 0)), query.get("op")
    chosen = [e for e in entries if e["id"] > after and op in (None, e["op"])]
    return web.json_response({"entries": sorted(chosen, key=lambda e: e["id"])})


async def _reset(request: web.Request) -> web.Response:
    body = await body_json(request) if await request.read() else {}
    request.app[STATE].reset((body or {}).get("vendor"))
    return web.json_response({"ok": True})


async def _options(request: web.Request) -> web.Response:
    """POST {"scale": 0.01, "fal_seconds": 2, "pinecone_delay": 1, ...}: timers and vendor switches."""
    state, body = request.app[STATE], await body_json(request)
    if not isinstance(body, dict):
        return web.json_response({"error": "JSON object expected"}, status=400)
    state.scale = float(body.pop("scale", state.scale))
    state.options.update(body)
    return web.json_response({"ok": True})


async def _truth(request: web.Request) -> web.Response:
    """POST {"path": truth file} registers recordings while running."""
    body = await body_json(request)
    loaded = request.app[STATE].library.load(body["path"])
    return web.json_response({"loaded": [r.name for r in loaded]})


async def _end(app: web.Application) -> None:
    for task in list(app[STATE].tasks):
        task.cancel()


def build(state: State, vendors: tuple[str, ...] = VENDORS) -> web.Application:
    """The application; ``state.base`` must be set to its address once it is known."""
    app = web.Application(middlewares=[record_and_inject], client_max_size=256 * 1024 * 1024)
    app[STATE] = state
    control = "/_sim"
    app.add_routes(
        [
            web.post(f"{control}/faults", _faults),
            web.get(f"{control}/faults", _faults_waiting),
            web.get(f"{control}/log", _log),
            web.post(f"{control}/reset", _reset),
            web.post(f"{control}/options", _options),
            web.post(f"{control}/truth", _truth),
        ]
    )
    for vendor in vendors:
        for module in MODULES[vendor]:
            app.add_routes(module.routes())
    app.on_shutdown.append(_end)
    return app
