"""Folders of the installation. Part of ``omi.settings``, which takes every name over."""

from __future__ import annotations

from pathlib import Path

from omi.core.env import env_str

BASE_DIR = Path(__file__).resolve().parent.parent
OMI_DATA_DIR = Path(env_str("OMI_DATA_DIR", str(BASE_DIR / "var"))).resolve()
OMI_DATA_DIR.mkdir(parents=True, exist_ok=True)
