"""Routes of the memories' REST API: no trailing slashes (docs/reference/app-protocol.md)."""

from __future__ import annotations

from django.urls import path

from memories.api.action_items import CalendarViewSet, FeedViewSet, TaskViewSet
from memories.api.asking import AskViewSet
from memories.api.changes import ChangeViewSet
from memories.api.downloads import DownloadViewSet
from memories.api.edits import EditViewSet
from memories.api.event_stream import event_stream
from memories.api.feedback import FeedbackViewSet, ImprovementViewSet, VocabularyViewSet
from memories.api.finding import FindingViewSet
from memories.api.healing import HealingViewSet
from memories.api.insights import InsightsViewSet
from memories.api.labels import LabelViewSet, MemoryLabelViewSet
from memories.api.links import LinkViewSet, SharedViewSet
from memories.api.local_files import LocalFilesViewSet
from memories.api.memories import MemoryViewSet
from memories.api.postprocessing import PostProcessingViewSet
from memories.api.processing_memories import ProcessingMemoryViewSet
from memories.api.recaps import RecapViewSet
from memories.api.recordings import RecordingViewSet
from memories.api.reshaping import ReshapingViewSet
from memories.api.retention import RetentionViewSet
from memories.api.search import SearchViewSet
from memories.api.sharing import PublicViewSet
from memories.api.sync import SyncFileViewSet, SyncViewSet
from memories.api.templates import MemoryTemplateViewSet, TemplateViewSet
from memories.api.transcripts import TranscriptViewSet
from memories.api.trash import TrashViewSet
from memories.api.user_settings import UserSettingsViewSet
from memories.api.users import UserViewSet
from memories.api.vendors import FalWebhook, vendor_audio
from memories.api.webhooks import WebhookViewSet

_MEMORY = "v1/memories/<str:memory_id>"
_WEBHOOK = "v1/webhooks/<str:webhook_id>"

urlpatterns = [
    path("v1/memories", MemoryViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/recaps", RecapViewSet.as_view({"get": "list"})),
    path("v1/recaps/<str:kind>/<str:day>", RecapViewSet.as_view({"get": "retrieve"})),
    path("v1/recaps/<str:kind>/<str:day>/regenerate", RecapViewSet.as_view({"post": "regenerate"})),
    path("v1/insights", InsightsViewSet.as_view({"get": "retrieve"})),
    path("v1/insights/plots/<str:name>.<str:form>", InsightsViewSet.as_view({"get": "plot"})),
    path("v1/action-items", TaskViewSet.as_view({"get": "list"})),
    path("v1/action-items/feed", FeedViewSet.as_view({"get": "retrieve", "post": "create", "delete": "destroy"})),
    path("v1/action-items/feed/<str:token>.ics", CalendarViewSet.as_view({"get": "retrieve"})),
    path("v1/action-items/<str:task_id>", TaskViewSet.as_view({"patch": "partial_update"})),
    path("v1/labels", LabelViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/labels/<str:label_id>", LabelViewSet.as_view({"patch": "partial_update", "delete": "destroy"})),
    path("v1/templates", TemplateViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/templates/default", TemplateViewSet.as_view({"put": "default"})),
    path("v1/templates/<str:template_id>", TemplateViewSet.as_view({"put": "update", "delete": "destroy"})),
    path("v1/trash", TrashViewSet.as_view({"get": "list", "delete": "empty"})),
    path("v1/trash/<str:memory_id>", TrashViewSet.as_view({"delete": "destroy"})),
    path("v1/ask", AskViewSet.as_view({"post": "create"})),
    path("v1/search", FindingViewSet.as_view({"get": "retrieve"})),
    path("v1/memories/search", SearchViewSet.as_view({"post": "create"})),
    path("v1/memories/merge", ReshapingViewSet.as_view({"post": "merge"})),
    path("v1/reshapings", ReshapingViewSet.as_view({"get": "list"})),
    path("v1/reshapings/<str:reshaping_id>", ReshapingViewSet.as_view({"get": "retrieve"})),
    path("v1/reshapings/<str:reshaping_id>/undo", ReshapingViewSet.as_view({"post": "undo"})),
    path(
        _MEMORY,
        MemoryViewSet.as_view({"get": "retrieve", "delete": "destroy", "patch": "partial_update"}),
    ),
    path(f"{_MEMORY}/reprocess", MemoryViewSet.as_view({"post": "reprocess"})),
    path(f"{_MEMORY}/restore", MemoryViewSet.as_view({"post": "restore"})),
    path(f"{_MEMORY}/split", ReshapingViewSet.as_view({"post": "split"})),
    path(f"{_MEMORY}/photos", MemoryViewSet.as_view({"get": "photos"})),
    path(f"{_MEMORY}/emotions", MemoryViewSet.as_view({"get": "emotions"})),
    path(f"{_MEMORY}/transcripts", TranscriptViewSet.as_view({"get": "list"})),
    path(f"{_MEMORY}/transcripts/versions", TranscriptViewSet.as_view({"get": "versions"})),
    path(f"{_MEMORY}/transcripts/<str:model>/activate", TranscriptViewSet.as_view({"post": "activate"})),
    path(f"{_MEMORY}/download/<str:file_format>", DownloadViewSet.as_view({"get": "retrieve"})),
    path(f"{_MEMORY}/recording", RecordingViewSet.as_view({"get": "retrieve"})),
    path(f"{_MEMORY}/recording/audio", RecordingViewSet.as_view({"get": "audio", "head": "audio"})),
    path(f"{_MEMORY}/events", EditViewSet.as_view({"patch": "events"})),
    path(f"{_MEMORY}/visibility", EditViewSet.as_view({"patch": "visibility"})),
    path(f"{_MEMORY}/speakers", EditViewSet.as_view({"get": "speakers"})),
    path(f"{_MEMORY}/segments/assign-bulk", EditViewSet.as_view({"patch": "assign_voice"})),
    path(f"{_MEMORY}/segments/<int:index>/assign", EditViewSet.as_view({"patch": "assign"})),
    path(f"{_MEMORY}/segments/<str:segment_id>/text", ChangeViewSet.as_view({"patch": "text"})),
    path(f"{_MEMORY}/voices/merge", ChangeViewSet.as_view({"post": "merge_voices"})),
    path(f"{_MEMORY}/voices/split", ChangeViewSet.as_view({"post": "split_voice"})),
    path(f"{_MEMORY}/action-items", ChangeViewSet.as_view({"get": "items", "post": "add_item"})),
    path(
        f"{_MEMORY}/action-items/<str:item_id>",
        ChangeViewSet.as_view({"patch": "change_item", "delete": "delete_item"}),
    ),
    path(f"{_MEMORY}/labels", MemoryLabelViewSet.as_view({"patch": "labels"})),
    path(f"{_MEMORY}/comments", MemoryLabelViewSet.as_view({"get": "comments", "post": "add_comment"})),
    path(
        f"{_MEMORY}/comments/<str:comment_id>",
        MemoryLabelViewSet.as_view({"patch": "edit_comment", "delete": "delete_comment"}),
    ),
    path(f"{_MEMORY}/template", MemoryTemplateViewSet.as_view({"put": "update"})),
    path(f"{_MEMORY}/changes", ChangeViewSet.as_view({"get": "list"})),
    path(f"{_MEMORY}/changes/<str:change_id>/undo", ChangeViewSet.as_view({"post": "undo"})),
    path(
        f"{_MEMORY}/post-processing",
        PostProcessingViewSet.as_view({"post": "create", "get": "retrieve"}),
    ),
    path(f"{_MEMORY}/post-processing/cancel", PostProcessingViewSet.as_view({"post": "cancel"})),
    path(f"{_MEMORY}/post-processing/retry", PostProcessingViewSet.as_view({"post": "retry"})),
    path(f"{_MEMORY}/links", LinkViewSet.as_view({"get": "list", "post": "create"})),
    path(f"{_MEMORY}/links/<str:link_id>", LinkViewSet.as_view({"delete": "destroy"})),
    path("v1/shared/<str:token>/audio", SharedViewSet.as_view({"get": "audio", "head": "audio"})),
    path("v1/shared/<str:token>", SharedViewSet.as_view({"get": "retrieve"})),
    path(f"{_MEMORY}/shared", PublicViewSet.as_view({"get": "retrieve"})),
    path("v1/public-memories", PublicViewSet.as_view({"get": "list"})),
    path(
        "v1/processing-memories/<str:processing_memory_id>",
        ProcessingMemoryViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
    path(
        "v1/users/store-recording-permission",
        UserViewSet.as_view({"get": "permission", "post": "set_permission", "delete": "withdraw_permission"}),
    ),
    path("v1/users/delete-account", UserViewSet.as_view({"delete": "delete_account"})),
    path("v1/users/settings", UserSettingsViewSet.as_view({"get": "retrieve", "patch": "partial_update"})),
    path("v1/users/retention", RetentionViewSet.as_view({"get": "retrieve", "patch": "partial_update"})),
    path("v1/users/export", UserViewSet.as_view({"get": "export"})),
    path("v1/users/vault", UserViewSet.as_view({"get": "vault"})),
    path("v1/users/fcm-token", UserViewSet.as_view({"post": "fcm_token"})),
    path("v1/users/improvement", ImprovementViewSet.as_view({"get": "retrieve", "put": "update"})),
    path("v1/users/vocabulary", VocabularyViewSet.as_view({"get": "retrieve", "put": "update"})),
    path("v1/vocabulary/healings", HealingViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/vocabulary/healings/preview", HealingViewSet.as_view({"post": "preview"})),
    path("v1/vocabulary/healings/offers", HealingViewSet.as_view({"get": "offers"})),
    path("v1/vocabulary/healings/<str:healing_id>", HealingViewSet.as_view({"get": "retrieve"})),
    path("v1/vocabulary/healings/<str:healing_id>/go-on", HealingViewSet.as_view({"post": "go_on"})),
    path("v1/vocabulary/healings/<str:healing_id>/undo", HealingViewSet.as_view({"post": "undo"})),
    path("v1/feedback", FeedbackViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/feedback/<str:feedback_id>", FeedbackViewSet.as_view({"delete": "destroy"})),
    path("v1/webhooks", WebhookViewSet.as_view({"get": "list", "post": "create"})),
    path(
        _WEBHOOK,
        WebhookViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path(f"{_WEBHOOK}/rotate", WebhookViewSet.as_view({"post": "rotate"})),
    path(f"{_WEBHOOK}/test", WebhookViewSet.as_view({"post": "test"})),
    path(f"{_WEBHOOK}/deliveries", WebhookViewSet.as_view({"get": "deliveries"})),
    path(f"{_WEBHOOK}/deliveries/<int:number>/resend", WebhookViewSet.as_view({"post": "resend"})),
    path("v1/sync-local-files", LocalFilesViewSet.as_view({"post": "create"})),
    path("v1/sync", SyncViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/sync/<str:batch_id>", SyncViewSet.as_view({"get": "retrieve", "delete": "destroy"})),
    path("v1/sync/<str:batch_id>/finish", SyncViewSet.as_view({"post": "finish"})),
    path(
        "v1/sync/<str:batch_id>/files/<int:number>",
        SyncFileViewSet.as_view({"head": "offset", "patch": "append"}),
    ),
    path("v1/events", event_stream),
    path("v1/vendors/fal/webhook", FalWebhook.as_view()),
    path("v1/vendors/audio/<str:token>", vendor_audio),
]
