"""Who may do what in the console: four groups, each of which may do all that the one before it may.

A view or an action asks ``may(user, RETRY)``. Which permissions a group has is decided here once; an installation
may change its groups in the admin afterwards, because only the permission is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

APP: Final = "console"

VIEW_MASKED: Final = "view_masked"
REVEAL: Final = "reveal"
PLAY_AUDIO: Final = "play_audio"
RETRY: Final = "retry"
CANCEL: Final = "cancel"
SET_STATUS: Final = "set_status"
ACTIVATE_VERSION: Final = "activate_version"
IDENTIFY_AGAIN: Final = "identify_again"
DELETE_AUDIO: Final = "delete_audio"
RESTORE: Final = "restore"
REPLAY: Final = "replay"
MANAGE_FAILURES: Final = "manage_failures"
MANAGE_BREAKERS: Final = "manage_breakers"
VIEW_AUDIT: Final = "view_audit"
JUDGE_VOICES: Final = "judge_voices"
CLOSE_REPORTS: Final = "close_reports"

PERMISSIONS: Final[tuple[tuple[str, str], ...]] = (
    (VIEW_MASKED, "Sees the console: ids, times, states and counts, no words"),
    (REVEAL, "Reads words of a memory after giving a reason"),
    (PLAY_AUDIO, "Hears recordings of a memory after giving a reason"),
    (RETRY, "Has a memory processed again"),
    (CANCEL, "Stops the runs of a memory"),
    (SET_STATUS, "Sets what a memory says of its post-processing"),
    (ACTIVATE_VERSION, "Chooses which transcript of a memory is shown"),
    (IDENTIFY_AGAIN, "Has the speakers of a memory identified again"),
    (DELETE_AUDIO, "Deletes recordings of a memory before their time"),
    (RESTORE, "Brings back a memory that its user deleted"),
    (REPLAY, "Starts, pauses, stops and undoes incident replays"),
    (MANAGE_FAILURES, "Assigns, ignores and resolves groups of failures"),
    (MANAGE_BREAKERS, "Opens and closes the circuit breakers of vendors"),
    (VIEW_AUDIT, "Reads the log of what staff did"),
    (JUDGE_VOICES, "Accepts and removes samples of a voice"),
    (CLOSE_REPORTS, "Closes what users reported"),
)

_VIEWER: Final = (VIEW_MASKED,)
_SUPPORT: Final = (*_VIEWER, REVEAL, PLAY_AUDIO, RETRY, CANCEL, IDENTIFY_AGAIN, MANAGE_FAILURES, CLOSE_REPORTS)
_SENIOR: Final = (*_SUPPORT, SET_STATUS, ACTIVATE_VERSION, RESTORE, REPLAY, MANAGE_BREAKERS, JUDGE_VOICES)
_ADMIN: Final = (*_SENIOR, DELETE_AUDIO, VIEW_AUDIT)

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "viewer": _VIEWER,
    "support": _SUPPORT,
    "senior": _SENIOR,
    "admin": _ADMIN,
}

VIEWED: Final[dict[str, tuple[str, ...]]] = {
    "memories": ("memoryrow", "processingmemoryrow", "userevent", "vendorcallback", "erasurereceipt"),
    "pipeline": ("postprocessingrun", "vendorcall", "vendorbreaker", "dailyuse"),
    "stores": ("damageddocument",),
    "speakers": ("voicesample", "voiceconsent", "speakerdecision"),
    "feedback": ("report",),
}
"""Models whose read-only pages in the admin every group may see: they hold ids, times and counts."""


def may(user: Any, permission: str) -> bool:
    """Whether the staff member ``user`` has ``permission``, one of the names above. A superuser has all."""
    return bool(user.is_active and user.is_staff and user.has_perm(f"{APP}.{permission}"))


def ensure(apps: Any, using: str = "default") -> None:
    """Create the groups, and the permissions that they need, where they are not there. ``apps``: a migration's."""
    groups = apps.get_model("auth", "Group").objects.using(using)
    own, seen = _permissions(apps, using)
    for name, codenames in GROUPS.items():
        group, made = groups.get_or_create(name=name)
        if made:
            group.permissions.set([*(own[codename] for codename in codenames), *seen])


def widen(apps: Any, using: str, codenames: Collection[str], models: Collection[str]) -> None:
    """Give the groups that are there what a later version added: of ``codenames`` what each has by ``GROUPS``, and
    the pages of ``models``. What an installation took from a group stays taken."""
    own, seen = _permissions(apps, using)
    for group in apps.get_model("auth", "Group").objects.using(using).filter(name__in=GROUPS):
        added = [own[codename] for codename in GROUPS[group.name] if codename in codenames]
        group.permissions.add(*added, *(item for item in seen if item.codename.removeprefix("view_") in models))


def _permissions(apps: Any, using: str) -> tuple[dict[str, Any], list[Any]]:
    """The console's own by name, and those of the pages in ``VIEWED``; made where they are not there."""
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(using)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    console, _ = content_types.get_or_create(app_label=APP, model="console")
    own = {
        codename: permissions.get_or_create(content_type=console, codename=codename, defaults={"name": name})[0]
        for codename, name in PERMISSIONS
    }
    seen = []
    for app, models in VIEWED.items():
        for model in models:
            kind, _ = content_types.get_or_create(app_label=app, model=model)
            seen.append(
                permissions.get_or_create(
                    content_type=kind, codename=f"view_{model}", defaults={"name": f"Can view {model}"}
                )[0]
            )
    return own, seen
