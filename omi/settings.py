"""Settings, all from environment variables. With none set, everything is local, needs no key, and works.

docs/settings.md lists every variable; a test holds the two together.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url

from omi.env import env_bool, env_choice, env_choices, env_float, env_int, env_list, env_shares, env_str

BASE_DIR = Path(__file__).resolve().parent.parent
OMI_DATA_DIR = Path(env_str("OMI_DATA_DIR", str(BASE_DIR / "var"))).resolve()
OMI_DATA_DIR.mkdir(parents=True, exist_ok=True)

# --- Django ---------------------------------------------------------------------------------------------------------

INSECURE_SECRET_KEY = "insecure-development-key-do-not-use-where-others-can-reach-you"  # noqa: S105
DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_str("SECRET_KEY", INSECURE_SECRET_KEY)
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
OMI_PUBLIC_URL = env_str("OMI_PUBLIC_URL").rstrip("/")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
OMI_ENVIRONMENT = env_choice("OMI_ENVIRONMENT", "development", ("development", "production"))

INSTALLED_APPS = [
    # Its app is there for `runserver` alone (ASGI instead of WSGI), and loads all of Twisted into every other command.
    *(["daphne"] if "runserver" in sys.argv[1:2] else []),
    "django_prometheus",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "omi",
    "omi.stores",
    "omi.accounts",
    "transcription",
    "speakers",
    "emotions",
    "memories",
    "memories.pipeline",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "omi.logging.RequestContextMiddleware",
    "omi.addresses.refuse_nul",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "omi.urls"
ASGI_APPLICATION = "omi.asgi.application"
APPEND_SLASH = False  # a redirect would lose the body of the app's POST (omi-protocol 1.12)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(
        env_str("DATABASE_URL", f"sqlite:///{OMI_DATA_DIR / 'omi.sqlite3'}"),
        # django-q2 closes and reopens connections around each broker call unless they may live on.
        conn_max_age=None if not env_str("DATABASE_URL") else 600,
        conn_health_checks=bool(env_str("DATABASE_URL")),
    )
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }

REDIS_URL = env_str("REDIS_URL")
if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # The layer waits 5 s for a message, and redis-py gives up reading after as long: it must wait longer.
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 20}], "capacity": 1000, "expiry": 60},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Django-Q2 notes its own state twice a second; nobody reads it, and Redis away must not fill the worker's log.
CACHES["queue"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "queue"}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATIC_ROOT = OMI_DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns at every start where it is missing
WHITENOISE_USE_FINDERS = True  # no collectstatic needed for a first run

if OMI_ENVIRONMENT == "production":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", True)
    SECURE_HSTS_SECONDS = env_int("SECURE_HSTS_SECONDS", 31536000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["omi.accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["omi.json_parser.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "memories.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Omi memory backend",
    "DESCRIPTION": "Live transcription, memories and post-processing. See docs/ in the repository.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

# --- Django-Q2: carries "wake run N" and schedules, nothing else (docs/pipeline.md) ----------------------------------

Q_WORKERS = env_int("OMI_WORKERS", 2)
Q_CLUSTER: dict[str, Any] = {
    "name": "omi",
    "orm": "default",
    "broker_class": "memories.pipeline.broker.RowsBroker",
    "cache": "queue",
    "workers": Q_WORKERS,
    "queue_limit": Q_WORKERS,
    "daemonize_workers": False,  # workers start children for native code
    # A local engine may need three times the length of a six-hour recording. What hangs is found by the runs' leases
    # and by serve's beat, and what a dead worker had is sent again by the reconciler, long before these.
    "timeout": 20 * 3600,
    "retry": 21 * 3600,
    "max_attempts": 0,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "poll": 0.2,
    "recycle": 1000,
    "label": "Queue",
}

# --- Providers ------------------------------------------------------------------------------------------------------

_DOCUMENTS = {
    "local": "omi.stores.documents.local.LocalDocuments",
    "firestore": "omi.stores.documents.firestore.FirestoreDocuments",
}
_VECTORS = {
    "local": "omi.stores.vectors.local.LocalVectors",
    "pinecone": "omi.stores.vectors.pinecone.PineconeVectors",
}
_LIVE = {
    "local": "transcription.live.local.LocalLive",
    "deepgram": "transcription.live.deepgram.DeepgramLive",
    "soniox": "transcription.live.soniox.SonioxLive",
    "speechmatics": "transcription.live.speechmatics.SpeechmaticsLive",
}
LIVE_VENDORS = tuple(_LIVE)
_PRERECORDED = {
    "local": "transcription.prerecorded.local.LocalPrerecorded",
    "fal_whisperx": "transcription.prerecorded.fal_whisperx.FalWhisperX",
    "deepgram": "transcription.prerecorded.deepgram.DeepgramPrerecorded",
    "soniox": "transcription.prerecorded.soniox.SonioxPrerecorded",
}
_STRUCTURERS = {
    "local": "memories.structuring.local.LocalStructurer",
    "openai": "memories.structuring.openai.OpenAIStructurer",
}
_EMBEDDERS = {
    "local": "memories.structuring.local_embedder.LocalEmbedder",
    "openai": "memories.structuring.openai_embedder.OpenAIEmbedder",
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
OMI_CONSENSUS = env_bool("OMI_CONSENSUS", True)
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
STORAGES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": OMI_DATA_DIR / "files"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "audio": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": OMI_DATA_DIR / "audio", "base_url": None, "file_permissions_mode": 0o600},
    }
    if OMI_AUDIO == "local"
    else {
        "BACKEND": "omi.stores.gcs.AudioBucket",
        "OPTIONS": {"bucket_name": OMI_AUDIO_BUCKET, "project_id": GOOGLE_CLOUD_PROJECT or None},
    },
}

# Vendors. Each address defaults to the vendor's own, so that a simulator or a regional host can stand in.
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
OMI_VOICE_RUNTIME = env_choice("OMI_VOICE_RUNTIME", "numpy", ("numpy", "onnx"))

# --- Behaviour ------------------------------------------------------------------------------------------------------

OMI_GAP_SECONDS = env_float("OMI_GAP_SECONDS", 120.0)
OMI_PORT = env_int("OMI_PORT", 8000)
OMI_VAD_GATE = env_bool("OMI_VAD_GATE", True)
OMI_MAX_UPLOAD_BYTES = env_int("OMI_MAX_UPLOAD_BYTES", 512 * 1024 * 1024)
OMI_MIN_RECORDING_SECONDS = env_float("OMI_MIN_RECORDING_SECONDS", 10.0)
OMI_MAX_RECORDING_SECONDS = env_float("OMI_MAX_RECORDING_SECONDS", 6 * 3600.0)
OMI_SOCKETS_PER_USER = env_int("OMI_SOCKETS_PER_USER", 5)
OMI_MAX_SPEED = env_float("OMI_MAX_SPEED", 100.0)
"""A client may send audio at most this many times faster than real time before it is slowed."""
OMI_AUDIO_KEEP = timedelta(hours=env_float("OMI_AUDIO_KEEP_HOURS", 24.0))
"""How long audio that is only needed for processing is kept when the user has not allowed recordings."""
OMI_RESTORE_DAYS = env_float("OMI_RESTORE_DAYS", 0.0)
"""For how long a deleted memory can be restored; 0 erases at once."""
OMI_RUN_MAX_CLAIMS = env_int("OMI_RUN_MAX_CLAIMS", 8)
OMI_RETRIES_PER_DAY = env_int("OMI_RETRIES_PER_DAY", 10)
"""How often the user of the app may have one memory done anew within a day: each time may pay vendors."""
OMI_CALLS_PER_WORKER = env_int("OMI_CALLS_PER_WORKER", 8)
"""Calls to vendors that one worker process may have out at a time."""
OMI_CALL_PATIENCE_SECONDS = env_float("OMI_CALL_PATIENCE_SECONDS", 3.0)
"""How long a worker waits for a vendor before it takes the next run."""
OMI_LEASE_SECONDS = env_float("OMI_LEASE_SECONDS", 60.0)
OMI_STORE_PATIENCE_HOURS = env_float("OMI_STORE_PATIENCE_HOURS", 6.0)
"""How long a run waits for a store of ours that is out of reach before it ends."""
OMI_STORE_RETRY_SECONDS = env_float("OMI_STORE_RETRY_SECONDS", 60.0)
"""The longest pause between two tries of a store that is out of reach."""

DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 8
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_TEMP_DIR = str(OMI_DATA_DIR / "uploads")
Path(FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)

LOGGING_CONFIG = "omi.logging.configure"
LOGGING = {
    "level": env_str("OMI_LOG_LEVEL", "INFO"),
    "format": env_choice("OMI_LOG_FORMAT", "auto", ("auto", "json", "console")),
}
PROMETHEUS_EXPORT_MIGRATIONS = False
TESTING = "pytest" in sys.modules
