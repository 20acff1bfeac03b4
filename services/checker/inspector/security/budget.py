# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much CPU time a part of the inspection may take."""

import time

import confinement


def cpu_budget_s(most_s: float) -> float:
    """Return `most_s`, or half of what the limit on this process leaves, when that is less: others have work to do too."""
    if confinement.cpu_limit_s is None:
        return most_s
    return max(0.0, min(most_s, (confinement.cpu_limit_s - time.process_time()) / 2))
