"""Typed readers for environment variables: the only place where the project reads ``os.environ``.

A value may also come from a file: ``NAME_FILE=/run/secrets/name`` is read when ``NAME`` is unset, the convention of
container secrets.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def env_str(name: str, default: str = "") -> str:
    """Return the variable without surrounding spaces, else what ``NAME_FILE`` holds, else ``default``."""
    if name in os.environ:
        return os.environ[name].strip()
    file = os.environ.get(f"{name}_FILE")
    if file:
        return Path(file).read_text(encoding="utf-8").strip()
    return default


def env_default(name: str, value: str) -> None:
    """Give this process, and those that it starts, a variable that the operator left out: for libraries that read it
    when they are imported."""
    os.environ.setdefault(name, value)


def env_int(name: str, default: int) -> int:
    """Return the variable as a whole number; raises ImproperlyConfigured."""
    text = env_str(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}") from error


def env_float(name: str, default: float) -> float:
    """Return the variable as a number; raises ImproperlyConfigured."""
    text = env_str(name)
    if not text:
        return default
    try:
        return float(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}") from error


def env_bool(name: str, default: bool = False) -> bool:
    """Return the variable as a boolean (true/false, 1/0, yes/no, on/off); raises ImproperlyConfigured."""
    text = env_str(name).lower()
    if not text:
        return default
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of true/false/1/0/yes/no/on/off, not {text!r}")


def env_list(name: str, default: str = "") -> list[str]:
    """Comma list; blanks around the commas and empty items are dropped."""
    return [item.strip() for item in env_str(name, default).split(",") if item.strip()]


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return the variable, which must be one of ``choices``; raises ImproperlyConfigured."""
    value = env_str(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def env_choices(name: str, default: str, choices: tuple[str, ...]) -> list[str]:
    """Return the list in the variable, all of whose items must be among ``choices``; raises ImproperlyConfigured."""
    values = env_list(name, default)
    for value in values:
        if value not in choices:
            raise ImproperlyConfigured(f"{name} may list {', '.join(choices)}, not {value!r}")
    return values


def env_shares(name: str, keys: tuple[str, ...]) -> dict[str, float]:
    """Return numbers by key from ``deepgram=0.92,soniox=0.9``, all between 0 and 1 (both excluded)."""
    shares = {}
    for item in env_list(name):
        key, _, text = item.partition("=")
        try:
            shares[key.strip()] = float(text)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be a list of name=number, not {item!r}") from error
    for key, value in shares.items():
        if key not in keys:
            raise ImproperlyConfigured(f"{name} may name {', '.join(keys)}, not {key!r}")
        if not 0.0 < value < 1.0:
            raise ImproperlyConfigured(f"{name}: {key} must be between 0 and 1, not {value:g}")
    return shares


def env_amounts(name: str) -> dict[str, float]:
    """Return amounts over 0 by key from ``deepgram=300,openai=120.5``."""
    amounts = {}
    for item in env_list(name):
        key, _, text = item.partition("=")
        try:
            amounts[key.strip()] = float(text)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be a list of name=number, not {item!r}") from error
        if not 0.0 < amounts[key.strip()] < float("inf"):
            raise ImproperlyConfigured(f"{name}: {key} must be a number over 0, not {text}")
    return amounts
