"""Addresses of stored samples: the bucket's own signed ones, or ours, signed the same way, where audio is on disk."""

from __future__ import annotations

from django.core import signing
from django.urls import reverse
from rest_framework.request import Request

from omi.stores import audio
from omi.stores.audio import AudioNotFound
from speakers.models import VoiceSample

SECONDS = 300
"""How long a link works. It opens a recording by itself, and is asked for right before it is played."""
_SALT = "speakers.sample"


def sample_url(request: Request, sample: VoiceSample) -> str | None:
    """An address that plays the sample for ``SECONDS``; None where its audio is gone."""
    if not sample.audio:
        return None
    try:
        signed = audio.signed_url(sample.audio, SECONDS)
    except AudioNotFound:
        return None
    if signed is not None:
        return signed
    token = signing.dumps([sample.uid, sample.audio], salt=_SALT)
    return request.build_absolute_uri(reverse("sample-audio", args=[token]))


def read_token(token: str) -> str | None:
    """The audio object's name; None for a token that is forged, too old, or of a sample that its user has not any
    more."""
    try:
        uid, name = signing.loads(token, salt=_SALT, max_age=SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    kept = VoiceSample.objects.filter(uid=uid, audio=name).exclude(status=VoiceSample.Status.REMOVED)
    return str(name) if kept.exists() else None
