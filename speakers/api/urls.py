"""Routes of voices and people, mounted at the root: no trailing slashes (docs/reference/app-protocol.md)."""

from __future__ import annotations

from django.urls import path

from speakers.api.people import PeopleViewSet
from speakers.api.profile import SpeechProfileViewSet, sample_audio

_PERSON = "v1/users/people/<str:person_id>"

urlpatterns = [
    path("v3/speech-profile", SpeechProfileViewSet.as_view({"get": "has_profile", "delete": "destroy"})),
    path("v4/speech-profile", SpeechProfileViewSet.as_view({"get": "url"})),
    path("v3/speech-profile/status", SpeechProfileViewSet.as_view({"get": "status"})),
    path("v3/speech-profile/expand", SpeechProfileViewSet.as_view({"get": "samples", "delete": "remove_sample"})),
    path("v3/upload-audio", SpeechProfileViewSet.as_view({"post": "upload"})),
    path("v3/upload-bytes", SpeechProfileViewSet.as_view({"post": "upload_packets"})),
    path("v1/users/people", PeopleViewSet.as_view({"get": "list", "post": "create"})),
    path(_PERSON, PeopleViewSet.as_view({"get": "retrieve", "delete": "destroy"})),
    path(f"{_PERSON}/name", PeopleViewSet.as_view({"patch": "rename"})),
    path(f"{_PERSON}/samples", PeopleViewSet.as_view({"get": "list_samples", "post": "add_sample"})),
    path(f"{_PERSON}/samples/<uuid:sample_id>", PeopleViewSet.as_view({"delete": "remove_sample"})),
    path(f"{_PERSON}/samples/<uuid:sample_id>/confirm", PeopleViewSet.as_view({"post": "confirm_sample"})),
    path("v3/speech-samples/<str:token>", sample_audio, name="sample-audio"),
]
