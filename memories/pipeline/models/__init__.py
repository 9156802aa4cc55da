"""Rows of the pipeline. The documents are the truth about memories; these rows are the truth about the work on them."""

from __future__ import annotations

from memories.pipeline.models.budgets import DailyUse, UserTurn
from memories.pipeline.models.cluster import ClusterBeat
from memories.pipeline.models.history import RunEvent, StepArtifact, StepAttempt
from memories.pipeline.models.runs import PostProcessingRun, RequestKey, RunStep
from memories.pipeline.models.vendors import FigureTotal, MonthlyCallFigures, VendorBreaker, VendorCall

__all__ = [
    "ClusterBeat",
    "DailyUse",
    "FigureTotal",
    "MonthlyCallFigures",
    "PostProcessingRun",
    "RequestKey",
    "RunEvent",
    "RunStep",
    "StepArtifact",
    "StepAttempt",
    "UserTurn",
    "VendorBreaker",
    "VendorCall",
]
