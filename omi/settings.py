"""Settings, all from environment variables. With none set, everything is local, needs no key, and works.

docs/settings.md lists every variable; a test holds the two together. One file per concept (``omi/settings_*.py``);
this module is the whole of them.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url

from omi.core import secret_key
from omi.core.env import env_bool, env_choice, env_default, env_float, env_int, env_list, env_str
from omi.settings_bounds import *
from omi.settings_paths import *
from omi.settings_paths import BASE_DIR, OMI_DATA_DIR
from omi.settings_providers import *
from omi.settings_vendors import *

# Before NumPy is imported: threads of two processes that each take all cores wait for one another, and a search for
# a thousand marks took nine seconds of processor time instead of one. Processes are what there is one of per core.
env_default("OPENBLAS_NUM_THREADS", "1")

# --- Django ---------------------------------------------------------------------------------------------------------

DEBUG = env_bool("DEBUG", False)
SECRET_KEY_GIVEN = bool(env_str("SECRET_KEY"))
"""Whether the operator chose the key. A generated one (``omi.core.secret_key``) serves loopback only."""
SECRET_KEY = env_str("SECRET_KEY") or secret_key.load_or_make(OMI_DATA_DIR)
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
OMI_PUBLIC_URL = env_str("OMI_PUBLIC_URL").rstrip("/")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
OMI_HOSTS = env_int("OMI_HOSTS", 1)
"""On how many hosts web servers and workers run. `check --deploy` holds the rest of the settings against it."""
OMI_HOST_ID = env_str("OMI_HOST_ID")
"""The name of this host among them; unset: made once and kept in the data folder."""
OMI_HOST_LOST_MINUTES = env_float("OMI_HOST_LOST_MINUTES", 60.0)
"""A host that was silent for so long is declared lost."""
OMI_ENVIRONMENT = env_choice("OMI_ENVIRONMENT", "development", ("development", "production"))

INSTALLED_APPS = [
    # Its app is there for `runserver` alone (ASGI instead of WSGI), and loads all of Twisted into every other command.
    *(["daphne"] if "runserver" in sys.argv[1:2] else []),
    "django_prometheus",
    "memories.console.admin_apps.ConsoleAdminConfig",  # django.contrib.admin with our own site
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
    "omi.shared_metrics",
    "omi.stores",
    "omi.accounts",
    "transcription",
    "transcription.hosts",
    "speakers",
    "emotions",
    "memories",
    "memories.pipeline",
    "memories.console",
    "memories.submissions",
    "memories.registry",
    "memories.feedback",
    "memories.experiments",
    "memories.learning",
    "memories.passages",
    "memories.recaps",
    "memories.insights",
    "memories.action_items",
    "memories.links",
    "memories.reshaping",
    "memories.offline",
    "memories.vocabulary",
]

MIDDLEWARE = [
    "omi.core.security_headers.content_security_policy",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "omi.core.logging.RequestContextMiddleware",
    "omi.core.addresses.refuse_nul",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "omi.urls"
ASGI_APPLICATION = "omi.asgi.application"
APPEND_SLASH = False  # a redirect would lose the body of the app's POST (docs/reference/app-protocol.md)
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
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # A database server, or the way to it, that goes without a word would hold every thread for a quarter of an hour
    # (the kernel's own patience). What the address itself says goes first.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 10,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        **DATABASES["default"].get("OPTIONS", {}),
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

# Watched over plain HTTP from this machine; /metrics and the details of /readyz are for operators in any case.
SECURE_REDIRECT_EXEMPT = [r"^(metrics|healthz|readyz)$"]
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
    "DEFAULT_PARSER_CLASSES": ["omi.core.json_parser.StrictJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["omi.accounts.throttles.UserRate"],
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
    "broker_class": "memories.pipeline.engine.broker.InOrder",
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

# --- Behaviour ------------------------------------------------------------------------------------------------------

OMI_GAP_SECONDS = env_float("OMI_GAP_SECONDS", 120.0)
OMI_RETURN_SECONDS = env_float("OMI_RETURN_SECONDS", 5.0)
OMI_PORT = env_int("OMI_PORT", 8000)
OMI_VAD_GATE = env_bool("OMI_VAD_GATE", True)
OMI_MAX_UPLOAD_BYTES = env_int("OMI_MAX_UPLOAD_BYTES", 512 * 1024 * 1024)
OMI_MIN_RECORDING_SECONDS = env_float("OMI_MIN_RECORDING_SECONDS", 10.0)
OMI_MAX_RECORDING_SECONDS = env_float("OMI_MAX_RECORDING_SECONDS", 6 * 3600.0)
OMI_SOCKETS_PER_USER = env_int("OMI_SOCKETS_PER_USER", 5)
OMI_SESSIONS_PER_USER = env_int("OMI_SESSIONS_PER_USER", 10)
"""Live conversations of one user in one process, with those that are being ended."""
OMI_SESSIONS = env_int("OMI_SESSIONS", 2000)
"""The same of all users."""
OMI_STREAMS_PER_USER = env_int("OMI_STREAMS_PER_USER", 5)
OMI_STREAMS = env_int("OMI_STREAMS", 1000)
"""Open event streams (``GET /v1/events``) of one user, and of all, in one process."""
OMI_WEBHOOK_PORTS = env_list("OMI_WEBHOOK_PORTS", "443,8443")
"""Ports of the addresses that users may have webhooks sent to."""
OMI_WEBHOOK_LOOPBACK = env_bool("OMI_WEBHOOK_LOOPBACK", False)
"""Whether webhooks may also go to this machine, over http and to any port: for development and tests."""
OMI_JOURNAL_BYTES_PER_DAY = env_int("OMI_JOURNAL_BYTES_PER_DAY", 10 * 1024**3)
"""Audio that one user may send in a day (UTC) to one process."""
OMI_JOURNAL_BYTES_PER_USER = env_int("OMI_JOURNAL_BYTES_PER_USER", 20 * 1024**3)
"""What the journals of one user may take on the disk."""
OMI_JOURNAL_FREE_BYTES = env_int("OMI_JOURNAL_FREE_BYTES", 1024**3)
"""With less free space than this no audio is written: the database needs the rest."""
OMI_MAX_SPEED = env_float("OMI_MAX_SPEED", 100.0)
"""A client may send audio at most this many times faster than real time before it is slowed."""
OMI_AUDIO_KEEP = timedelta(hours=env_float("OMI_AUDIO_KEEP_HOURS", 24.0))
"""How long audio that is only needed for processing is kept when the user has not allowed recordings."""
OMI_RESTORE_DAYS = env_float("OMI_RESTORE_DAYS", 0.0)
"""For how long a deleted memory can be restored; 0 erases at once."""
OMI_RUN_MAX_CLAIMS = env_int("OMI_RUN_MAX_CLAIMS", 8)
OMI_RETRIES_PER_DAY = env_int("OMI_RETRIES_PER_DAY", 10)
"""How often the user of the app may have one memory done anew within a day: each time may pay vendors."""
OMI_RUNS_PER_DAY = env_int("OMI_RUNS_PER_DAY", 500)
"""Runs that one user may ask for on one day (uploads, memories that the app brings, reprocessing); 0: no bound."""
OMI_PAID_CALLS_PER_DAY = env_int("OMI_PAID_CALLS_PER_DAY", 3000)
"""Paid calls on one user's behalf on one day after which requests are refused; conversations are worked on all the
same. 0: no bound."""
OMI_UPLOAD_BYTES_PER_DAY = env_int("OMI_UPLOAD_BYTES_PER_DAY", 4 * 1024**3)
"""Bytes of recordings that one user may upload on one day; 0: no bound."""
OMI_SYNC_FILES = env_int("OMI_SYNC_FILES", 200)
"""Files of one batch of offline recordings."""
OMI_SYNC_BATCHES = env_int("OMI_SYNC_BATCHES", 100)
"""Batches of one user that are not finished."""
OMI_SYNC_BYTES = env_int("OMI_SYNC_BYTES", 4 * 1024**3)
"""Bytes of the files of these batches together."""
OMI_SYNC_PIECE_BYTES = env_int("OMI_SYNC_PIECE_BYTES", 8 * 1024**2)
"""Bytes that one request may bring of such a file."""
OMI_SYNC_KEEP_DAYS = env_float("OMI_SYNC_KEEP_DAYS", 7.0)
"""For how long a batch that is not finished is kept."""
OMI_SEARCHES_PER_DAY = env_int("OMI_SEARCHES_PER_DAY", 3000)
"""Searches of one user on one day, each of which may pay for an embedding; 0: no bound."""
OMI_ARTIFACT_KEEP_DAYS = env_int("OMI_ARTIFACT_KEEP_DAYS", 7)
"""Days after a run's end that its large results (whole transcripts, vectors) are kept for a retry; 0: for ever."""
OMI_RUN_KEEP_DAYS = env_int("OMI_RUN_KEEP_DAYS", 180)
"""Days after its end that a run is kept with its steps, history and calls; 0: for ever."""
OMI_CASE_KEEP_DAYS = env_int("OMI_CASE_KEEP_DAYS", 365)
"""Days that feedback and labelled cases are kept."""
OMI_LEARNING = env_bool("OMI_LEARNING", True)
"""Whether anything is learned from corrections by itself; each user has a switch of their own, too."""
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

LOGGING_CONFIG = "omi.core.logging.configure"
LOGGING = {
    "level": env_str("OMI_LOG_LEVEL", "INFO"),
    "format": env_choice("OMI_LOG_FORMAT", "auto", ("auto", "json", "console")),
}
OMI_TRACES_URL = env_str("OMI_TRACES_URL")
"""Where spans go (OTLP over HTTP, such as http://127.0.0.1:4318); unset: nothing is traced."""
PROMETHEUS_EXPORT_MIGRATIONS = False
TESTING = "pytest" in sys.modules
