"""What support staff can do to a memory. Each action says beforehand what it would do, really does it, and says in one
sentence what happened.

``ACTIONS`` names them. An action is three functions in ``runs`` or ``marks``: ``NAME``, ``NAME_why_not`` and
``NAME_preview``.
"""

from __future__ import annotations

from typing import Final

from memories.support import marks, runs
from memories.support.action import Action, Preview
from memories.support.marks import activate, cancel, delete_audio, restore, set_status
from memories.support.runs import identify, post_process, reprocess, retry
from memories.support.situation import Impossible, Situation

__all__ = [
    "ACTIONS", "Action", "Impossible", "Preview", "Situation", "activate", "cancel", "delete_audio", "identify",
    "post_process", "reprocess", "restore", "retry", "set_status",
]  # fmt: skip

_ALL: Final = (
    Action("retry", "Retry", "Does a run that ended once more, from the step that is chosen.", "retry",
           runs.retry_why_not, runs.retry_preview, runs.retry, ("run", "from_step")),
    Action("post_process", "Post-process again",
           "Transcribes the stored recording again. The better transcript wins; both are kept.", "retry",
           runs.post_process_why_not, runs.post_process_preview, runs.post_process),
    Action("reprocess", "Reprocess",
           "Makes title, overview, action items and search entry again from the transcript that is shown.", "retry",
           runs.reprocess_why_not, runs.reprocess_preview, runs.reprocess),
    Action("identify", "Identify speakers again", "Compares each voice again with the people who are known now.",
           "identify_again", runs.identify_why_not, runs.identify_preview, runs.identify),
    Action("activate", "Activate a version", "Shows another transcript that is kept, and makes the summary from it.",
           "activate_version", marks.activate_why_not, marks.activate_preview, marks.activate, ("version",)),
    Action("cancel", "Cancel", "Stops every run of the memory that has not ended.", "cancel",
           marks.cancel_why_not, marks.cancel_preview, marks.cancel),
    Action("set_status", "Set status",
           "Changes what the memory says of its post-processing. No run is started.", "set_status",
           marks.set_status_why_not, marks.set_status_preview, marks.set_status, ("status",)),
    Action("restore", "Restore", "Brings back a memory that its user deleted.", "restore",
           marks.restore_why_not, marks.restore_preview, marks.restore),
    Action("delete_audio", "Delete audio now", "Deletes the stored recordings before their time.", "delete_audio",
           marks.delete_audio_why_not, marks.delete_audio_preview, marks.delete_audio, grave=True),
)  # fmt: skip
ACTIONS: Final[dict[str, Action]] = {action.name: action for action in _ALL}
"""In the order in which the page of a memory offers them."""
