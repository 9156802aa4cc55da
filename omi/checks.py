"""``manage.py check --deploy``: refuses what is unsafe or cannot work. The same rules stop a production start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from omi.core.env import env_str
from omi.core.secret_key import MIN_LENGTH
from omi.stores.google import EMULATOR_VARIABLES

_KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    "OMI_DOCUMENTS": {"firestore": ("GOOGLE_CLOUD_PROJECT",)},
    "OMI_VECTORS": {"pinecone": ("PINECONE_API_KEY", "PINECONE_INDEX_HOST")},
    "OMI_AUDIO": {"gcs": ("OMI_AUDIO_BUCKET",)},
    "OMI_LIVE": {
        "deepgram": ("DEEPGRAM_API_KEY",),
        "soniox": ("SONIOX_API_KEY",),
        "speechmatics": ("SPEECHMATICS_API_KEY",),
    },
    "OMI_PRERECORDED": {
        "fal_whisperx": ("FAL_KEY",),
        "deepgram": ("DEEPGRAM_API_KEY",),
        "soniox": ("SONIOX_API_KEY",),
    },
    "OMI_STRUCTURER": {"openai": ("OPENAI_API_KEY",)},
    "OMI_EMBEDDER": {"openai": ("OPENAI_API_KEY",)},
    "OMI_EMOTIONS": {"hume": ("HUME_API_KEY",)},
    "OMI_PUSH": {"fcm": ("GOOGLE_CLOUD_PROJECT",)},
    "OMI_AUTH": {"firebase": ("GOOGLE_CLOUD_PROJECT",)},
}
"""What a choice needs."""


@register("providers")
def missing_keys(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """A chosen vendor without its key: every command says so, at once and by name."""
    found: list[CheckMessage] = []
    for setting, needs in _KEYS.items():
        chosen = getattr(settings, setting, ())
        for choice in [chosen] if isinstance(chosen, str) else chosen:
            for name in needs.get(choice, ()):
                if not getattr(settings, name, ""):
                    found.append(
                        Error(f"{setting}={choice} needs {name}, which is not set.", hint=f"Set {name}.", id="omi.E001")
                    )
    return found


@register(Tags.security, deploy=True)
def unsafe_in_production(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Return a Django check error for every setting that must not go into production."""
    found: list[CheckMessage] = [
        Error(
            f"{name} is set: an emulator checks no identity and keeps nothing safe.",
            hint=f"Unset {name} (an emulated identity service takes unsigned and expired tokens).",
            id="omi.E002",
        )
        for name in EMULATOR_VARIABLES
        if env_str(name)
    ]
    if env_str("OMI_FAULTS_DIR"):
        found.append(
            Error(
                "OMI_FAULTS_DIR is set: whoever can write there kills and freezes workers.",
                hint="Unset OMI_FAULTS_DIR; it is for the tests of the pipeline.",
                id="omi.E005",
            )
        )
    if not settings.SECRET_KEY_GIVEN or len(settings.SECRET_KEY) < MIN_LENGTH:
        found.append(
            Error(
                f"SECRET_KEY is not set or shorter than {MIN_LENGTH} characters: whoever knows it can sign tokens.",
                hint="Set SECRET_KEY to a long random text.",
                id="omi.E003",
            )
        )
    if settings.DEBUG:
        found.append(Error("DEBUG shows settings and source to strangers.", hint="Unset DEBUG.", id="omi.E004"))
    if settings.OMI_AUTH == "dev":
        found.append(
            Error(
                "OMI_AUTH is dev: whoever may run a command on the server signs in as anybody, and nothing is revoked.",
                hint="Set GOOGLE_CLOUD_PROJECT and OMI_AUTH=firebase.",
                id="omi.E009",
            )
        )
    if settings.OMI_WEBHOOK_LOOPBACK:
        found.append(
            Error(
                "OMI_WEBHOOK_LOOPBACK is set: users may have this machine ask its own services.",
                hint="Unset OMI_WEBHOOK_LOOPBACK; it is for development and tests.",
                id="omi.E010",
            )
        )
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        found.append(Warning("SQLite serves one machine.", hint="Set DATABASE_URL for more than one.", id="omi.W002"))
    return found


@register(deploy=True)
def loses_audio_on_several_hosts(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Hosts share PostgreSQL, Redis and the audio store, and nothing else: without one of them they lose audio, or do
    not hear of each other."""
    if settings.OMI_HOSTS <= 1:
        return []
    found: list[CheckMessage] = []
    if settings.OMI_AUDIO == "local" and not settings.OMI_AUDIO_FOLDER:
        found.append(
            Error(
                "OMI_AUDIO=local keeps recordings, and the journals of live audio that are handed over, on the disk of "
                "one host: a worker on another one cannot read them, and a host that is lost takes them along.",
                hint="Set OMI_AUDIO=gcs, or OMI_AUDIO_FOLDER to a folder that all hosts mount.",
                id="omi.E006",
            )
        )
    if not settings.REDIS_URL:
        found.append(
            Error(
                "Without REDIS_URL each host has limits of its own, and learns of what happens on others by looking.",
                hint="Set REDIS_URL.",
                id="omi.E007",
            )
        )
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        found.append(Error("SQLite serves one host.", hint="Set DATABASE_URL.", id="omi.E008"))
    return found


def refuse_unsafe_production() -> None:
    """Stop a production whose settings are unsafe (ImproperlyConfigured). Called when the project starts: production
    does not come up with an emulator, without a secret of its own, with development tokens, with webhooks to itself or
    with DEBUG."""
    from django.core.exceptions import ImproperlyConfigured

    if settings.OMI_ENVIRONMENT != "production":
        return
    found = [*unsafe_in_production(None), *loses_audio_on_several_hosts(None)]
    errors = [item for item in found if isinstance(item, Error)]
    if errors:
        raise ImproperlyConfigured("; ".join(f"{item.id}: {item.msg}" for item in errors))
