"""Backends named in ``settings.PROVIDERS``, loaded once per process, the way Django loads ``STORAGES``.

A backend is a class; its ``OPTIONS`` are its keyword arguments. ``one("structurer")`` gives the single backend of a
port, ``many("live")`` all of an ordered list. Tests replace them with ``override_settings(PROVIDERS=...)``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from omi.core import traces

_STORES = ("documents", "vectors")
"""Ports whose calls are spans, where anything is traced."""


def one(port: str) -> Any:
    """The backend of a port that has exactly one. Raises ImproperlyConfigured with the setting's name."""
    return _load(port, 0) if isinstance(_configured(port), list) else _load(port, None)


def many(port: str) -> list[Any]:
    """Every backend of a port, in order of preference. A port configured as one dict gives a list of one."""
    configured = _configured(port)
    if isinstance(configured, list):
        return [_load(port, index) for index in range(len(configured))]
    return [_load(port, None)]


def named(port: str, backend: Any) -> tuple[str, dict[str, Any]]:
    """What loads ``backend`` in another process: its class as a dotted name, and its options where the port is
    configured with it."""
    name = f"{type(backend).__module__}.{type(backend).__qualname__}"
    configured = _configured(port)
    entries = configured if isinstance(configured, list) else [configured]
    options = next((dict(entry.get("OPTIONS", {})) for entry in entries if entry["BACKEND"] == name), {})
    return name, options


def is_configured(port: str) -> bool:
    """Return whether a class is configured for the port."""
    return bool(settings.PROVIDERS.get(port))


def _configured(port: str) -> dict[str, Any] | list[dict[str, Any]]:
    configured: dict[str, Any] | list[dict[str, Any]] | None = settings.PROVIDERS.get(port)
    if not configured:
        raise ImproperlyConfigured(f"settings.PROVIDERS has no backend for {port!r}")
    return configured


@cache
def _load(port: str, index: int | None) -> Any:
    configured = _configured(port)
    entry = configured[index] if isinstance(configured, list) and index is not None else configured
    assert isinstance(entry, dict)
    try:
        backend = import_string(entry["BACKEND"])
    except ImportError as error:
        raise ImproperlyConfigured(f"PROVIDERS[{port!r}]: cannot import {entry['BACKEND']!r}: {error}") from error
    made = backend(**entry.get("OPTIONS", {}))
    return traces.of_store(made, port) if port in _STORES else made


def forget() -> None:
    """Drop the loaded backends: the next use reads the settings again."""
    _load.cache_clear()


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "PROVIDERS":
        forget()


setting_changed.connect(_on_setting_changed)
