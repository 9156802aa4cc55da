"""What a user decides about the whole account: consent to recordings, export, the end of it."""

from __future__ import annotations

from typing import IO, Any

from memories.pipeline import service
from memories.privacy import erasure
from memories.privacy import export as exports
from omi.accounts import users
from omi.accounts.erased import Fence
from omi.stores import audio


def set_recording_permission(uid: str, value: bool, *, fence: Fence = users.no_fence) -> None:
    """Allow recordings to be kept. Withdrawing erases every kept recording of the user."""
    users.set_recording_permission(uid, value, fence=fence)
    if not value:
        audio.forget_user(uid, "recording")


def delete_account(uid: str) -> dict[str, Any]:
    """Stop what runs for this user, then erase everything. The receipt says what was erased."""
    service.cancel_for_user(uid, actor=f"user:{uid}")
    receipt: dict[str, Any] = erasure.erase_user(uid).model_dump(mode="json")
    return receipt


def export(uid: str) -> IO[bytes]:
    """Return the user's export as a ZIP file to read once; raises ProviderError while a store is out of reach."""
    return exports.export_user(uid)
