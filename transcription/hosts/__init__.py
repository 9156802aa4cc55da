"""Several hosts: which there are, where each session's journal lies, and what each still has to do for the others.

Where a deployment has one host (``OMI_HOSTS=1``) none of this is used: journals stay on its disk. Where it has several,
``handing`` puts the journal of a session that has ended into the audio store, from where a worker on any host reads it;
``beating`` keeps one row per host, ``asking`` has each host erase its own and confirm it.
"""
