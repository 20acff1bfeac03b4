# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people leave behind in an image: keys, credentials, tokens, histories, identities.

Written here and not taken from a scanner of source code: those find by name and entropy what looks like a secret, and a check
that blocks needs few false hits, bounded reading, and the few files that a system keeps its credentials in.
"""
