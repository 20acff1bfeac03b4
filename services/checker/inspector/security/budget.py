# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much CPU time a part of the inspection may take. Source: setrlimit(2), RLIMIT_CPU."""

import resource
import time


def cpu_budget_s(most_s: float) -> float:
    """Return `most_s`, or half of what the limit on this process leaves, when that is less: others have work to do too."""
    limit_s, _ = resource.getrlimit(resource.RLIMIT_CPU)
    if limit_s == resource.RLIM_INFINITY:
        return most_s
    return max(0.0, min(most_s, (limit_s - time.process_time()) / 2))
