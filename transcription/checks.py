"""``manage.py check`` (and so every start of ``serve``): a local speech model that can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from omi.core.errors import ProviderError
from transcription.engines.registry import check
from transcription.engines.whisper.files import bundled_is_at_hand


@register("transcription")
def speech_model(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """W001: the model of the local speech engine cannot be used. The server starts all the same: it keeps the audio."""
    if "local" not in {*settings.OMI_LIVE, *settings.OMI_PRERECORDED}:
        return []
    try:
        if settings.OMI_SPEECH_MODEL:
            check(Path(settings.OMI_SPEECH_MODEL))
        else:
            bundled_is_at_hand()
    except ProviderError as error:
        return [
            Warning(
                f"Speech is not transcribed on this machine, audio is kept: {error.message}.",
                hint="manage.py doctor tries it again; manage.py models lists models.",
                id="transcription.W001",
            )
        ]
    return []
