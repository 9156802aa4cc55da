"""Pinecone: data plane (REST, eventually consistent) and the description of the one index."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from aiohttp import web

from demo.vendors.http import body_json, error_maker, fault, refuse, state_of
from demo.vendors.pinecone_filter import BadRequest, check_metadata, matches
from demo.vendors.state import Fault, State

GRPC = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 412: 9, 429: 8, 500: 13, 503: 14, 504: 4}
Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.Response]]
Namespace = dict[str, dict[str, Any]]


@error_maker("pinecone")
def error(status: int, fault: Fault) -> web.Response:
    if status == 401:
        return web.Response(status=401, text=fault.get("message", "Unauthorized"))
    said = fault.get("message", f"simulated error {status}")
    return web.json_response({"code": GRPC.get(status, 2), "message": said, "details": []}, status=status)


class Index:
    """Vectors per namespace; a write is seen only after its delay."""

    def __init__(self, dimension: int | None) -> None:
        self.dimension = dimension
        self.namespaces: dict[str, Namespace] = {}
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []

    def write(self, change: Callable[[], None], delay: float) -> None:
        self._waiting.append((time.monotonic() + delay, len(self._waiting), change))

    def settle(self) -> None:
        """Apply the writes whose time has come, in the order of their times."""
        now = time.monotonic()
        due = sorted((w for w in self._waiting if w[0] <= now), key=lambda w: w[:2])
        self._waiting = [w for w in self._waiting if w[0] > now]
        for _, _, change in due:
            change()


def index_of(state: State) -> Index:
    store = state.store["pinecone"]
    if "index" not in store:
        store["index"] = Index(state.options.get("pinecone_dimension"))
    index: Index = store["index"]
    return index


def _delay(request: web.Request) -> float | None:
    """Seconds until this write is visible; None when it is to be lost."""
    if fault(request, "lost"):
        return None
    asked = fault(request, "invisible")
    return float(asked.get("seconds", 5.0)) if asked else float(state_of(request).options.get("pinecone_delay", 0.0))


def _commit(request: web.Request, change: Callable[[], None]) -> None:
    delay = _delay(request)
    if delay is not None:
        index_of(state_of(request)).write(change, delay)


def guarded(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def check(request: web.Request) -> web.StreamResponse:
        if not state_of(request).authorised("pinecone", request.headers.get("Api-Key")):
            return refuse("pinecone", 401, message="Invalid API Key")
        body = await body_json(request) if await request.read() else {}
        if not isinstance(body, dict):
            return refuse("pinecone", 400, message="request body is not valid JSON")
        index_of(state_of(request)).settle()
        try:
            return await handler(request, body)
        except BadRequest as problem:
            return refuse("pinecone", 400, message=str(problem))

    return check


def _vector(index: Index, values: Any, first: bool = False) -> list[float]:
    if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
        raise BadRequest("values must be a list of numbers")
    if first and index.dimension is None:
        index.dimension = len(values)
    if index.dimension is not None and len(values) != index.dimension:
        raise BadRequest(f"Vector dimension {len(values)} does not match the dimension of the index {index.dimension}")
    if not any(values):
        raise BadRequest("Dense vectors must contain at least one non-zero value.")
    return [float(np.float32(v)) for v in values]


async def upsert(request: web.Request, body: dict[str, Any]) -> web.Response:
    index, vectors = index_of(state_of(request)), body.get("vectors")
    if not isinstance(vectors, list) or not vectors:
        raise BadRequest("vectors are required")
    if len(vectors) > 1000:
        raise BadRequest("upsert accepts at most 1000 vectors")
    if request["entry"]["body_bytes"] > 2 * 1024 * 1024:
        return refuse("pinecone", 413, message="Request size exceeds the maximum supported size of 2097152 bytes")
    records = []
    for one in vectors:
        key = one.get("id")
        if not isinstance(key, str) or not 1 <= len(key) <= 512 or not key.isascii():
            raise BadRequest("vector id must be 1 to 512 ASCII characters")
        record: dict[str, Any] = {"id": key, "values": _vector(index, one.get("values"), first=True)}
        if one.get("metadata") is not None:
            check_metadata(one["metadata"])
            record["metadata"] = one["metadata"]
        records.append(record)
    name = body.get("namespace", "")
    if len(name) > 512:
        raise BadRequest("namespace is too long")

    def change() -> None:
        index.namespaces.setdefault(name, {}).update({r["id"]: r for r in records})

    _commit(request, change)
    return web.json_response({"upsertedCount": len(records)})


async def query(request: web.Request, body: dict[str, Any]) -> web.Response:
    index, name = index_of(state_of(request)), body.get("namespace", "")
    top = body.get("topK")
    if not isinstance(top, int) or not 1 <= top <= 10_000:
        raise BadRequest("topK must be between 1 and 10000")
    kept = index.namespaces.get(name, {})
    if "id" in body and body["id"] is not None:
        vector = kept.get(body["id"], {}).get("values")
    else:
        vector = _vector(index, body.get("vector"))
    condition = body.get("filter") or {}
    matches({}, condition)  # a malformed filter is refused even over nothing
    found = [r for r in kept.values() if matches(r.get("metadata"), condition)]
    out = []
    if vector is not None and found:
        q, table = np.array(vector), np.array([r["values"] for r in found])
        scores = table @ q / (np.linalg.norm(table, axis=1) * np.linalg.norm(q))
        for k in np.argsort(-scores, kind="stable")[:top].tolist():
            match: dict[str, Any] = {"id": found[k]["id"], "score": float(scores[k])}
            if body.get("includeValues"):
                match["values"] = found[k]["values"]
            if body.get("includeMetadata") and "metadata" in found[k]:
                match["metadata"] = found[k]["metadata"]
            out.append(match)
    return web.json_response({"matches": out, "namespace": name, "usage": {"readUnits": 5}})


async def fetch(request: web.Request, body: dict[str, Any]) -> web.Response:
    ids, name = request.query.getall("ids", []), request.query.get("namespace", "")
    if not 1 <= len(ids) <= 1000:
        raise BadRequest("fetch needs 1 to 1000 ids")
    kept = index_of(state_of(request)).namespaces.get(name, {})
    found = {i: kept[i] for i in ids if i in kept}
    return web.json_response({"vectors": found, "namespace": name, "usage": {"readUnits": 1}})


async def update(request: web.Request, body: dict[str, Any]) -> web.Response:
    index, name = index_of(state_of(request)), body.get("namespace", "")
    values = _vector(index, body["values"]) if body.get("values") else None
    metadata = body.get("setMetadata") or {}
    check_metadata(metadata)
    condition = body.get("filter")
    if (body.get("id") is None) == (condition is None):
        raise BadRequest("exactly one of id and filter is required")

    def targets() -> list[dict[str, Any]]:
        kept = index.namespaces.get(name, {})
        if condition is None:
            return [kept[body["id"]]] if body["id"] in kept else []
        return [r for r in kept.values() if matches(r.get("metadata"), condition)]

    def change() -> None:
        for record in targets():
            merged = {**record.get("metadata", {}), **metadata}
            index.namespaces[name][record["id"]] = (
                record | {"metadata": merged} | ({"values": values} if values else {})
            )

    count = len(targets())
    if not body.get("dryRun"):
        _commit(request, change)
    return web.json_response({} if condition is None else {"matchedRecords": count})


async def delete(request: web.Request, body: dict[str, Any]) -> web.Response:
    index, name = index_of(state_of(request)), body.get("namespace", "")
    ids, condition, everything = body.get("ids"), body.get("filter"), bool(body.get("deleteAll"))
    if (ids is not None) + (condition is not None) + everything != 1:
        raise BadRequest("exactly one of ids, filter and deleteAll is required")
    if ids is not None and not 1 <= len(ids) <= 1000:
        raise BadRequest("delete needs 1 to 1000 ids")
    if condition is not None:
        matches({}, condition)

    def change() -> None:
        kept = index.namespaces.get(name, {})
        for key in list(kept):
            if everything or (key in ids if ids is not None else matches(kept[key].get("metadata"), condition)):
                del kept[key]
        if not kept:
            index.namespaces.pop(name, None)

    _commit(request, change)
    return web.json_response({})


async def listing(request: web.Request, body: dict[str, Any]) -> web.Response:
    name, prefix = request.query.get("namespace", ""), request.query.get("prefix", "")
    limit, after = int(request.query.get("limit", 100)), request.query.get("paginationToken", "")
    if not 1 <= limit <= 100:
        raise BadRequest("limit must be between 1 and 100")
    kept = index_of(state_of(request)).namespaces.get(name, {})
    ids = sorted(k for k in kept if k.startswith(prefix) and k > after)
    answer: dict[str, Any] = {"vectors": [{"id": k} for k in ids[:limit]], "namespace": name, "usage": {"readUnits": 1}}
    if len(ids) > limit:
        answer["pagination"] = {"next": ids[limit - 1]}
    return web.json_response(answer)


async def stats(request: web.Request, body: dict[str, Any]) -> web.Response:
    index = index_of(state_of(request))
    counts = {n: {"vectorCount": len(v)} for n, v in index.namespaces.items()}
    total = sum(len(v) for v in index.namespaces.values())
    shape = {"dimension": index.dimension or 3072, "metric": "cosine", "vectorType": "dense"}
    return web.json_response({"namespaces": counts, "indexFullness": 0.0, "totalVectorCount": total, **shape})


async def describe(request: web.Request, body: dict[str, Any]) -> web.Response:
    """The union of what SDK 10 and older ones expect."""
    state, dimension = state_of(request), index_of(state_of(request)).dimension or 3072
    return web.json_response(
        {
            "name": request.match_info["name"],
            "host": f"{state.base}/pinecone",
            "status": {"ready": True, "state": "Ready"},
            "deletion_protection": "disabled",
            "schema": {"fields": {"_values": {"type": "dense_vector", "dimension": dimension, "metric": "cosine"}}},
            "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
            "dimension": dimension,
            "metric": "cosine",
            "vector_type": "dense",
            "spec": {"serverless": {"cloud": "aws", "region": "us-east-1"}},
        }
    )


def routes() -> list[web.RouteDef]:
    base = "/pinecone"
    return [
        web.post(f"{base}/vectors/upsert", guarded(upsert), name="pinecone.upsert"),
        web.post(f"{base}/query", guarded(query), name="pinecone.query"),
        web.get(f"{base}/vectors/fetch", guarded(fetch), name="pinecone.fetch"),
        web.post(f"{base}/vectors/update", guarded(update), name="pinecone.update"),
        web.post(f"{base}/vectors/delete", guarded(delete), name="pinecone.delete"),
        web.get(f"{base}/vectors/list", guarded(listing), name="pinecone.list"),
        web.post(f"{base}/describe_index_stats", guarded(stats), name="pinecone.stats"),
        web.get(f"{base}/indexes/{{name}}", guarded(describe), name="pinecone.describe"),
    ]
