# SPDX-License-Identifier: AGPL-3.0-or-later
"""Probes of what the security items judge: accounts, remote access, left-over secrets, privileged files, claims."""
