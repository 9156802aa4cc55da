from __future__ import annotations

from django.apps import AppConfig


class PipelineConfig(AppConfig):
    name = "memories.pipeline"
    label = "pipeline"
    verbose_name = "Post-processing"
