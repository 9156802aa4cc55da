"""What one user, one stranger and one process may use up. Part of ``omi.settings``, which takes every name over.

docs/security.md says of each bound what it keeps from happening; a test holds the two together.
"""

from __future__ import annotations

from omi.core.env import env_amounts, env_float, env_int, env_str

OMI_ANSWER_BYTES = env_int("OMI_ANSWER_BYTES", 16 * 1024 * 1024)
"""Of a list, a search or the transcripts of a memory: what goes beyond it is listed without its segments."""
OMI_MAX_SEGMENTS = env_int("OMI_MAX_SEGMENTS", 20_000)
"""Segments of a memory that a client posts: a day of talk has some 17,000 of five seconds."""
OMI_LOGIN_TRIES = env_int("OMI_LOGIN_TRIES", 5)
"""Wrong passwords of one address for one name before it has to wait for a quarter of an hour."""
OMI_LOGIN_TRIES_OF_ADDRESS = env_int("OMI_LOGIN_TRIES_OF_ADDRESS", 20)
"""The same for all names together."""
OMI_METRICS_TOKEN = env_str("OMI_METRICS_TOKEN")
"""Bearer token of /metrics and of the details of /readyz from other machines; unset: this machine only."""
OMI_VENDOR_BUDGET = env_amounts("OMI_VENDOR_BUDGET")
"""US dollars that 30 days of a vendor may cost, by vendor: the alerts compare the ledger's estimate with it."""
OMI_TOKEN_CACHE_SECONDS = env_int("OMI_TOKEN_CACHE_SECONDS", 30)
"""How long Firebase is not asked again whether a token was revoked. `manage.py signout` does not wait for it."""
OMI_DECODERS_PER_USER = env_int("OMI_DECODERS_PER_USER", 2)
OMI_DECODERS_PER_PROCESS = env_int("OMI_DECODERS_PER_PROCESS", 4)
"""Uploads that are decoded at a time; the others wait a few seconds for their turn, or are told to come back."""
OMI_REQUESTS_PER_MINUTE = env_int("OMI_REQUESTS_PER_MINUTE", 600)
"""Requests of one user; 0: no limit. So for those that follow."""
OMI_STRANGERS_PER_MINUTE = env_int("OMI_STRANGERS_PER_MINUTE", 120)
"""Requests of one address for shared and public memories, without a token; 0: no limit."""
OMI_SEARCHES_PER_MINUTE = env_int("OMI_SEARCHES_PER_MINUTE", 30)
"""Each asks the embedder, which may cost money."""
OMI_CREATES_PER_MINUTE = env_int("OMI_CREATES_PER_MINUTE", 30)
"""Posted memories: each is a run with a language model and an embedding."""
OMI_SOCKETS_PER_MINUTE = env_int("OMI_SOCKETS_PER_MINUTE", 120)
"""Live sockets that one user opens."""
OMI_ADMIT_FREE_BYTES = env_int("OMI_ADMIT_FREE_BYTES", 1536 * 1024**2)
"""With less free on the data folder's disk no new upload and no new socket is let in: the journals' reserve and one of
the largest uploads. 0: no limit, here and in the three that follow."""
OMI_ADMIT_FREE_SHARE = env_float("OMI_ADMIT_FREE_SHARE", 0.01)
"""The same as a share of the disk; the larger of the two counts."""
OMI_ADMIT_DATABASE_SECONDS = env_float("OMI_ADMIT_DATABASE_SECONDS", 3.0)
"""A sampled read that takes this long, three times in a row: nobody new is let in."""
OMI_ADMIT_QUEUE_SECONDS = env_float("OMI_ADMIT_QUEUE_SECONDS", 6 * 3600.0)
"""Work that no worker has taken for this long: nobody new is let in."""
