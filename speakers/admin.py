"""The gallery for support staff: each sample with its audio, how alike they are, accept and remove."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from omi.core import reveal
from omi.core.errors import ProviderError
from omi.core.readonly_admin import ReadOnlyAdmin
from omi.core.sent_files import sent
from omi.stores import audio
from omi.stores.audio import AudioNotFound
from speakers import gallery, people
from speakers.models import USER, ProfileVersion, SpeakerDecision, VoiceConsent, VoiceSample
from speakers.reasons import SENTENCES, Reason

REVEALED = "revealed_voices"
JUDGE = "console.judge_voices"
"""The permission of the console to accept and remove samples."""
ALIKE, UNLIKE = 0.80, 0.65
"""Cosines from which the matrix shows two samples as one voice, and below which as two."""


@admin.register(VoiceSample)
class VoiceSampleAdmin(ReadOnlyAdmin):
    """The list of voice samples; support hears, compares, accepts and removes them in a voice's gallery."""

    list_display = ["created_at", "uid", "owner", "source", "status", "voiced_seconds", "gallery_link"]
    list_filter = ["status", "source", "confirmed"]
    search_fields = ["=uid", "=person_id", "=memory_id"]
    list_per_page = 50

    @admin.display(description="whose")
    def owner(self, sample: VoiceSample) -> str:
        return sample.person_id or "the user"

    @admin.display(description="gallery")
    def gallery_link(self, sample: VoiceSample) -> str:
        return format_html('<a href="{}">samples of this voice</a>', gallery_url(sample.uid, sample.person_id))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("gallery/", wrap(self.gallery_view), name="speakers_gallery"),
            path("reveal/", wrap(require_POST(self.reveal_view)), name="speakers_voice_reveal"),
            path("audio/<uuid:sample_id>/", wrap(self.audio_view), name="speakers_sample_audio"),
            path("judge/<uuid:sample_id>/", wrap(require_POST(self.judge_view)), name="speakers_judge"),
        ]
        return own + list(super().get_urls())

    def gallery_view(self, request: HttpRequest) -> HttpResponse:
        """One voice: its samples, their likeness to each other, its profile versions and consents. Whose it is and how
        it sounds only for a while after a reason was given (``reveal_view``)."""
        if not self.has_view_permission(request):
            raise Http404
        uid, person_id = request.GET.get("uid", ""), request.GET.get("person", USER)
        if not uid:
            return redirect("admin:speakers_voicesample_changelist")
        revealed = self._revealed(request, uid, person_id)
        samples, matrix, problem = _matrix(uid, person_id)
        profiles = ProfileVersion.objects.filter(uid=uid, person_id=person_id).order_by("-created_at")[:20]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Voice of {_name(uid, person_id) if revealed else _nameless(uid, person_id)}",
            "opts": self.model._meta,
            "uid": uid,
            "person_id": person_id,
            "revealed": revealed,
            "heard": revealed and request.user.has_perm(reveal.HEAR),
            "minutes": reveal.MINUTES,
            "rows": [
                {"sample": sample, "cells": [_cell(value) for value in matrix[index]], "number": index + 1}
                for index, sample in enumerate(samples)
            ],
            "problem": problem,
            "removed": VoiceSample.objects.filter(
                uid=uid, person_id=person_id, status=VoiceSample.Status.REMOVED
            ).order_by("-removed_at")[:20],
            "profiles": profiles,
            "consents": VoiceConsent.objects.filter(uid=uid, person_id=person_id).order_by("-given_at")[:20],
            "may_reveal": request.user.has_perm(reveal.READ),
            "may_judge": request.user.has_perm(JUDGE),
        }
        return TemplateResponse(request, "admin/speakers/gallery.html", context)

    def audio_view(self, request: HttpRequest, sample_id: str) -> HttpResponseBase:
        sample = get_object_or_404(VoiceSample, pk=sample_id)
        if not self._revealed(request, sample.uid, sample.person_id) or not request.user.has_perm(reveal.HEAR):
            raise Http404
        try:
            file = audio.open(sample.audio)
        except AudioNotFound as error:
            raise Http404 from error
        response = sent(file, content_type="audio/wav")
        response["Cache-Control"] = "private, no-store"
        self.log_change(request, sample, "listened")
        return response

    def reveal_view(self, request: HttpRequest) -> HttpResponseRedirect:
        """A name is read and a voice is heard for a while, by this session, after the reason was written down."""
        if not request.user.has_perm(reveal.READ):
            raise PermissionDenied
        uid, person_id = request.POST.get("uid", ""), request.POST.get("person", USER)
        reason = request.POST.get("reason", "").strip()[:300]
        sample = VoiceSample.objects.filter(uid=uid, person_id=person_id).first()
        if sample is None:
            raise Http404
        if reason:
            self.log_change(request, sample, f"Voice revealed. Reason: {reason}")
            reveal.open_for(request, REVEALED, _key(uid, person_id))
        else:
            messages.warning(request, "A reason is needed to show name and recordings.")
        return HttpResponseRedirect(gallery_url(uid, person_id))

    def _revealed(self, request: HttpRequest, uid: str, person_id: str) -> bool:
        """Whether this session may read whose voice it is: it gave a reason, and still has the permission."""
        return request.user.has_perm(reveal.READ) and reveal.is_open(request, REVEALED, _key(uid, person_id))

    def judge_view(self, request: HttpRequest, sample_id: str) -> HttpResponseRedirect:
        """Accept a candidate, or remove a sample, with an entry in the admin's log."""
        sample = get_object_or_404(VoiceSample.objects.exclude(status=VoiceSample.Status.REMOVED), pk=sample_id)
        if not request.user.has_perm(JUDGE):
            raise Http404
        if request.POST.get("verdict") == "accept":
            try:
                gallery.accept_sample(sample)
            except gallery.SampleGone as error:  # a colleague was faster
                raise Http404 from error
            done = "accepted"
        elif request.POST.get("verdict") == "remove":
            gallery.remove_sample(sample, reason=f"removed by {request.user.get_username()}")
            done = "removed"
        else:
            raise Http404
        self.log_change(request, sample, done)
        messages.success(request, f"The sample was {done}, and the profile was made again.")
        return HttpResponseRedirect(gallery_url(sample.uid, sample.person_id))


@admin.register(SpeakerDecision)
class SpeakerDecisionAdmin(ReadOnlyAdmin):
    """The list of what was decided about voices, with the numbers that decided."""

    list_display = [
        "created_at", "uid", "memory_id", "voice", "who", "sentence", "probability", "margin", "evidence_seconds",
    ]  # fmt: skip
    list_filter = ["reason", "is_user", "manual"]
    search_fields = ["=uid", "=memory_id"]
    list_per_page = 50

    @admin.display(description="decided")
    def who(self, row: SpeakerDecision) -> str:
        return "the user" if row.is_user else row.person_id or "unknown"

    @admin.display(description="why")
    def sentence(self, row: SpeakerDecision) -> str:
        return SENTENCES[Reason(row.reason)]


@admin.register(VoiceConsent)
class VoiceConsentAdmin(ReadOnlyAdmin):
    """The list of consents to learning a voice, and of their withdrawals."""

    list_display = ["given_at", "uid", "person_id", "version", "source", "withdrawn_at"]
    search_fields = ["=uid", "=person_id"]


def _key(uid: str, person_id: str) -> str:
    return f"{uid}/{person_id}"


def _nameless(uid: str, person_id: str) -> str:
    return f"the user {uid}" if person_id == USER else f"person {person_id}"


def gallery_url(uid: str, person_id: str) -> str:
    """Return the address of the admin page with all samples of one voice."""
    from urllib.parse import urlencode

    return reverse("admin:speakers_gallery") + "?" + urlencode({"uid": uid, "person": person_id})


def _matrix(uid: str, person_id: str) -> tuple[list[VoiceSample], Any, str]:
    """Samples and likenesses; where the engine cannot be asked the samples are shown without, and why."""
    try:
        samples, matrix = gallery.similarities(uid, person_id)
    except ProviderError as error:
        samples = list(
            VoiceSample.objects.filter(uid=uid, person_id=person_id).exclude(status=VoiceSample.Status.REMOVED)
        )
        return samples, np.full((len(samples), len(samples)), np.nan), error.message
    return samples, matrix, ""


def _cell(value: float) -> dict[str, str]:
    if not np.isfinite(value):
        return {"text": "-", "kind": "none"}
    kind = "alike" if value >= ALIKE else "unlike" if value < UNLIKE else "between"
    return {"text": f"{value:.2f}", "kind": kind}


def _name(uid: str, person_id: str) -> str:
    if person_id == USER:
        return f"the user {uid}"
    try:
        return people.get_person(uid, person_id).name
    except people.PersonNotFound:
        return f"a deleted person ({person_id})"
