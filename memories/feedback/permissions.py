"""What a user permits beyond the product itself, and what goes when it is withdrawn."""

from __future__ import annotations

from collections.abc import Mapping

from memories.experiments.models import ShadowResult
from memories.feedback.models import LabelledCase, Report
from omi.accounts.erased import Fence
from omi.accounts.users import Improvement, get_user, no_fence, update_user


def change(uid: str, chosen: Mapping[str, bool], *, fence: Fence = no_fence) -> Improvement:
    """Set what is given. What is withdrawn takes with it what it had brought: shared cases, results kept aside."""
    before = get_user(uid).improvement
    now = before.model_copy(update=dict(chosen))
    update_user(uid, fence=fence, improvement=now.model_dump())
    if not now.cases:
        Report.objects.filter(uid=uid).update(audio_consent=False)
        if now.learning:
            LabelledCase.objects.filter(uid=uid).update(shared=False, context={})
    if not now.learning and not now.cases:
        LabelledCase.objects.filter(uid=uid).delete()
    if not now.shadow:
        ShadowResult.objects.filter(uid=uid).delete()
    return now
