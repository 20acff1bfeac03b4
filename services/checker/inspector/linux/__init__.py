# SPDX-License-Identifier: AGPL-3.0-or-later
"""Probes of a Linux system: what several items judge, read once."""
