"""Backup and restore of one installation: its database, journals, audio objects, staff file and secret key.

``archive`` is the file, ``database`` the part that a running server writes to, ``making`` and ``restoring`` the two
ways, ``receipts`` keeps people erased who were erased after a backup was made.
"""
