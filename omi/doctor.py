"""Checks behind ``manage.py doctor``: each dependency, tried for real, with the exact fix."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.files.base import ContentFile

from omi.core import providers, secret_key
from omi.core.errors import ProviderError
from omi.serving import admission
from omi.stores.vectors import namespace, vectors

LEAST_FREE_BYTES = 1024**3
CONNECT_SECONDS = 3.0

VENDOR_SETTINGS: dict[str, tuple[str, str]] = {
    "deepgram": ("DEEPGRAM_API_KEY", "DEEPGRAM_URL"),
    "soniox": ("SONIOX_API_KEY", "SONIOX_URL"),
    "speechmatics": ("SPEECHMATICS_API_KEY", "SPEECHMATICS_URL"),
    "fal_whisperx": ("FAL_KEY", "FAL_QUEUE_URL"),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "hume": ("HUME_API_KEY", "HUME_URL"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor found about one dependency. ``fix`` is what to type or set; empty where all is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def findings() -> Iterator[Finding]:
    """Yield one finding per dependency that is in use; never raises, and no check takes longer than a few seconds."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("disk", _disk),
        ("admission", _admission),
        ("database", _database),
        ("migrations", _migrations),
        ("cache and channel layer", _redis),
        ("documents", _documents),
        ("vectors", _vectors),
        ("audio objects", _audio),
        ("secret key", _secret),
    ]
    checks += [(name, lambda name=name: _vendor(name)) for name in _vendors_in_use()]  # type: ignore[misc]
    checks += [(f"backend {port}", lambda port=port: _backend(port)) for port in settings.PROVIDERS]  # type: ignore[misc]
    for name, check in checks:
        try:
            yield check()
        except ProviderError as error:
            yield Finding(name, False, error.message, getattr(error, "fix", "See docs/settings.md."))
        except Exception as error:
            yield Finding(name, False, f"{type(error).__name__}: {error}", "See docs/settings.md.")


def _disk() -> Finding:
    free = shutil.disk_usage(settings.OMI_DATA_DIR).free
    detail = f"{free / 1024**3:.1f} GiB free in OMI_DATA_DIR"
    return Finding("disk", free > LEAST_FREE_BYTES, detail, "Free some room, or set OMI_DATA_DIR to another disk.")


def _admission() -> Finding:
    """Whether a new upload or socket would be let in, by one look of this process."""
    admission.look()
    over = [gate.refusal.code for gate in admission.gates() if gate.last >= 1.0]
    said = ", ".join(f"{gate.refusal.code} {gate.last:.0%} of its limit" for gate in admission.gates())
    fix = "New uploads and sockets are refused until this is better: docs/scaling.md, OMI_ADMIT_* in docs/settings.md."
    return Finding("admission", not over, said, fix)


def _database() -> Finding:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Finding("database", True, connection.vendor)


def _migrations() -> Finding:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    detail = f"{waiting} to apply" if waiting else "all applied"
    return Finding("migrations", not waiting, detail, "manage.py migrate")


def _redis() -> Finding:
    name = "cache and channel layer"
    if not settings.REDIS_URL:
        return Finding(name, True, "in-process (set REDIS_URL for more than one web process)")
    import redis

    redis.Redis.from_url(settings.REDIS_URL, socket_timeout=CONNECT_SECONDS).ping()
    return Finding(name, True, "Redis answers")


def _documents() -> Finding:
    providers.one("documents").get("health/doctor")
    return Finding("documents", True, f"{settings.OMI_DOCUMENTS} answers")


def _vectors() -> Finding:
    count = vectors().count(namespace=namespace())
    return Finding("vectors", True, f"{settings.OMI_VECTORS} answers: {count} vectors")


def _audio() -> Finding:
    from django.core.files.storage import storages

    storage = storages["audio"]
    name = storage.save("doctor/probe", ContentFile(b"probe"))
    storage.delete(name)
    return Finding("audio objects", True, f"{settings.OMI_AUDIO}: written and deleted")


def _secret() -> Finding:
    ok = settings.SECRET_KEY_GIVEN or settings.OMI_ENVIRONMENT != "production"
    detail = "set" if settings.SECRET_KEY_GIVEN else f"generated, in OMI_DATA_DIR/{secret_key.FILE} (loopback only)"
    return Finding("secret key", ok, detail, "Set SECRET_KEY to a long random text.")


def _vendors_in_use() -> list[str]:
    names = {*settings.OMI_LIVE, *settings.OMI_PRERECORDED, settings.OMI_STRUCTURER, settings.OMI_EMBEDDER}
    return sorted((names | {settings.OMI_EMOTIONS}) & VENDOR_SETTINGS.keys())


def _vendor(name: str) -> Finding:
    """A key is set and the address takes a connection. No paid call is made."""
    key, address = VENDOR_SETTINGS[name]
    if not getattr(settings, key):
        return Finding(name, False, f"{key} is not set", f"Set {key}, or take {name} out of the settings.")
    url = urlsplit(getattr(settings, address))
    port = url.port or (80 if url.scheme in ("http", "ws") else 443)
    try:
        socket.create_connection((url.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return Finding(name, False, f"{url.hostname}:{port}: {error}", f"Check the network and {address}.")
    return Finding(name, True, f"key set, {url.hostname} takes connections")


def _backend(port: str) -> Finding:
    """What stands behind a port is there. A backend with an ``about`` method says what it is, or what is wrong."""
    loaded = providers.many(port)
    said = [backend.about() if hasattr(backend, "about") else type(backend).__name__ for backend in loaded]
    return Finding(f"backend {port}", True, ", ".join(said))
