"""Reports as the checker makes them, with everything in them that a report can hold."""

import json
from typing import Any

from shared.contracts.report import Report

HOSTILE = "a\nb\x1b[2J<script>alert(1)</script>\u202egnp.exe\u2066'\"&lt;\U000e0041"
"""A line end, a terminal escape, markup, bidirectional overrides, quotes, an entity, an invisible tag character."""


def item(name: str, level: str = "ok", **different: Any) -> dict[str, Any]:
    """An item; what is not `ok` has code, evidence and advice."""
    short = name.partition(".")[2]
    trouble = {
        "code": f"{short}.Wrong",
        "advice": "correct it",
        "evidence": [{"path": "/etc/x", "line": 3, "text": "y", "sha256": "c" * 64}],
    }
    return {"name": name, "level": level, **({} if level == "ok" else trouble), **different}


def report(*items: dict[str, Any], **different: Any) -> Report:
    """A report of those items."""
    given = {
        "report_id": "01900000-0000-7000-8000-000000000001",
        "image": {"digest": "sha256:" + "a" * 64, "size_bytes": 428_343_296, "virtual_size_bytes": 2**31, "format": "qcow2"},
        "rules_version": "2",
        "started_at": "2026-01-15T10:00:00Z",
        "finished_at": "2026-01-15T10:00:04.21Z",
        "items": items,
        "attributes": {
            "platform": "Debian",
            "os_version": "Debian 12",
            "kernel_version": "6.1.0-18-cloud-amd64",
            "architecture": "x86_64",
            "boot_mode": "UEFI-Preferred",
        },
        "confinement": ["empty network namespace", "no new privileges", "limits on memory, CPU and files"],
        "timings_s": {"digest": 0.91, "inspection": 4.2},
    }
    return Report.model_validate_json(json.dumps({**given, **different}))
