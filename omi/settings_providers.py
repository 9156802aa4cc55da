"""Which adapter stands behind each port. Part of ``omi.settings``, which takes every name over."""

from __future__ import annotations

from typing import Any

from omi.core.env import env_bool, env_choice, env_choices, env_shares, env_str
from omi.settings_paths import OMI_DATA_DIR

_DOCUMENTS = {
    "local": "omi.stores.documents.local.LocalDocuments",
    "firestore": "omi.stores.documents.firestore.FirestoreDocuments",
}
_VECTORS = {
    "local": "omi.stores.vectors.local.LocalVectors",
    "pinecone": "omi.stores.vectors.pinecone.PineconeVectors",
}
_LIVE = {
    "local": "transcription.vendors.live.local.LocalLive",
    "deepgram": "transcription.vendors.live.deepgram.DeepgramLive",
    "soniox": "transcription.vendors.live.soniox.SonioxLive",
    "speechmatics": "transcription.vendors.live.speechmatics.SpeechmaticsLive",
}
LIVE_VENDORS = tuple(_LIVE)
_PRERECORDED = {
    "local": "transcription.vendors.batch.local.LocalPrerecorded",
    "fal_whisperx": "transcription.vendors.batch.fal_whisperx.FalWhisperX",
    "deepgram": "transcription.vendors.batch.deepgram.DeepgramPrerecorded",
    "soniox": "transcription.vendors.batch.soniox.SonioxPrerecorded",
}
PRERECORDED_VENDORS = tuple(_PRERECORDED)
PRERECORDED = dict(_PRERECORDED)
"""Which there are, by name: one that is tried in shadow mode need not be in use."""
_STRUCTURERS = {
    "local": "memories.structuring.local.LocalStructurer",
    "openai": "memories.structuring.openai.OpenAIStructurer",
}
STRUCTURERS = dict(_STRUCTURERS)
"""Which there are, by name: an experiment may ask for another than the configured one."""
_EMBEDDERS = {
    "local": "memories.structuring.local_embedder.LocalEmbedder",
    "openai": "memories.structuring.openai_embedder.OpenAIEmbedder",
    "lexical": "memories.structuring.lexical_embedder.LexicalEmbedder",
}
_EMOTIONS = {
    "local": "emotions.local.LocalEmotions",
    "hume": "emotions.hume.HumeEmotions",
    "none": "emotions.none.NoEmotions",
}
_PUSH = {"none": "omi.push.none.NoPush", "fcm": "omi.push.fcm.FcmPush"}

OMI_DOCUMENTS = env_choice("OMI_DOCUMENTS", "local", tuple(_DOCUMENTS))
OMI_VECTORS = env_choice("OMI_VECTORS", "local", tuple(_VECTORS))
OMI_AUDIO = env_choice("OMI_AUDIO", "local", ("local", "gcs"))
OMI_LIVE = env_choices("OMI_LIVE", "local", tuple(_LIVE))
OMI_LIVE_MODE = env_choice("OMI_LIVE_MODE", "parallel", ("parallel", "failover"))
OMI_CONSENSUS = env_bool("OMI_CONSENSUS", False)
OMI_VENDOR_ACCURACY = env_shares("OMI_VENDOR_ACCURACY", tuple(_LIVE))
OMI_PRERECORDED = env_choices("OMI_PRERECORDED", "local", tuple(_PRERECORDED))
OMI_STRUCTURER = env_choice("OMI_STRUCTURER", "local", tuple(_STRUCTURERS))
OMI_EMBEDDER = env_choice("OMI_EMBEDDER", "local", tuple(_EMBEDDERS))
OMI_EMOTIONS = env_choice("OMI_EMOTIONS", "local", tuple(_EMOTIONS))
OMI_PUSH = env_choice("OMI_PUSH", "none", tuple(_PUSH))

PROVIDERS: dict[str, Any] = {
    "documents": {"BACKEND": _DOCUMENTS[OMI_DOCUMENTS]},
    "vectors": {"BACKEND": _VECTORS[OMI_VECTORS]},
    "live": [{"BACKEND": _LIVE[name]} for name in OMI_LIVE],
    "prerecorded": [{"BACKEND": _PRERECORDED[name]} for name in OMI_PRERECORDED],
    "structurer": {"BACKEND": _STRUCTURERS[OMI_STRUCTURER]},
    "embedder": {"BACKEND": _EMBEDDERS[OMI_EMBEDDER]},
    "emotions": {"BACKEND": _EMOTIONS[OMI_EMOTIONS]},
    "push": {"BACKEND": _PUSH[OMI_PUSH]},
    "voices": {"BACKEND": "speakers.engines.registry.ConfiguredVoices"},
    "session_sink": {"BACKEND": "memories.capture.sink.CaptureSink"},
    "voice_labeller": {"BACKEND": "speakers.live.LiveLabeller"},
}

GOOGLE_CLOUD_PROJECT = env_str("GOOGLE_CLOUD_PROJECT")
OMI_AUTH = env_choice("OMI_AUTH", "firebase" if GOOGLE_CLOUD_PROJECT else "dev", ("firebase", "dev"))

OMI_AUDIO_BUCKET = env_str("OMI_AUDIO_BUCKET")
OMI_AUDIO_FOLDER = env_str("OMI_AUDIO_FOLDER")
"""A folder that all hosts mount, for ``OMI_AUDIO=local``; unset: in the data folder."""
STORAGES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": OMI_DATA_DIR / "files"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "audio": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": OMI_AUDIO_FOLDER or OMI_DATA_DIR / "audio",
            "base_url": None,
            "file_permissions_mode": 0o600,
        },
    }
    if OMI_AUDIO == "local"
    else {
        "BACKEND": "omi.stores.gcs.AudioBucket",
        "OPTIONS": {"bucket_name": OMI_AUDIO_BUCKET, "project_id": GOOGLE_CLOUD_PROJECT or None},
    },
}
