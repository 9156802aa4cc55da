"""Keys, addresses and models of the vendors. Part of ``omi.settings``, which takes every name over.

Each address defaults to the vendor's own, so that a simulator or a regional host can stand in.
"""

from __future__ import annotations

from omi.core.env import env_int, env_str

DEEPGRAM_API_KEY = env_str("DEEPGRAM_API_KEY")
DEEPGRAM_URL = env_str("DEEPGRAM_URL", "https://api.deepgram.com")
DEEPGRAM_MODEL = env_str("DEEPGRAM_MODEL", "nova-3")
SONIOX_API_KEY = env_str("SONIOX_API_KEY")
SONIOX_URL = env_str("SONIOX_URL", "wss://stt-rt.soniox.com/transcribe-websocket")
SONIOX_API_URL = env_str("SONIOX_API_URL", "https://api.soniox.com")
SONIOX_MODEL = env_str("SONIOX_MODEL", "stt-rt-v5")
SONIOX_ASYNC_MODEL = env_str("SONIOX_ASYNC_MODEL", "stt-async-v5")
SPEECHMATICS_API_KEY = env_str("SPEECHMATICS_API_KEY")
SPEECHMATICS_URL = env_str("SPEECHMATICS_URL", "wss://eu.rt.speechmatics.com/v2")
SPEECHMATICS_MODEL = env_str("SPEECHMATICS_MODEL", "enhanced")
FAL_KEY = env_str("FAL_KEY")
FAL_QUEUE_URL = env_str("FAL_QUEUE_URL", "https://queue.fal.run").rstrip("/")
FAL_APP = env_str("FAL_APP", "fal-ai/whisper")
FAL_WEBHOOK_URL = env_str("FAL_WEBHOOK_URL")
FAL_JWKS_URL = env_str("FAL_JWKS_URL", "https://rest.fal.ai/.well-known/jwks.json")
OPENAI_API_KEY = env_str("OPENAI_API_KEY")
OPENAI_BASE_URL = env_str("OPENAI_BASE_URL", "https://api.openai.com/v1")
OMI_OPENAI_MODEL = env_str("OMI_OPENAI_MODEL", "gpt-4o")
OMI_OPENAI_EMBEDDING_MODEL = env_str("OMI_OPENAI_EMBEDDING_MODEL", "text-embedding-3-large")
OMI_OPENAI_EMBEDDING_DIMENSION = env_int("OMI_OPENAI_EMBEDDING_DIMENSION", 0)
HUME_API_KEY = env_str("HUME_API_KEY")
HUME_URL = env_str("HUME_URL", "https://api.cloud.hume.ai")
PINECONE_API_KEY = env_str("PINECONE_API_KEY")
PINECONE_INDEX_HOST = env_str("PINECONE_INDEX_HOST")
OMI_VECTOR_NAMESPACE = env_str("PINECONE_NAMESPACE", "ns1")
FCM_URL = env_str("FCM_URL", "https://fcm.googleapis.com")
OMI_SPEECH_MODEL = env_str("OMI_SPEECH_MODEL")
OMI_LOCAL_STREAMS = env_int("OMI_LOCAL_STREAMS", 3)
OMI_VOICE_MODEL = env_str("OMI_VOICE_MODEL")
# Read only to be refused by `manage.py check` (speakers.E002) where they ask for an engine that was taken out.
OMI_VOICE_ENGINE = env_str("OMI_VOICE_ENGINE")
OMI_VOICE_RUNTIME = env_str("OMI_VOICE_RUNTIME")
