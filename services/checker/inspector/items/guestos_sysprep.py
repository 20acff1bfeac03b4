# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether Sysprep ran to its end. Sources: Microsoft, Windows Setup States, Sysprep process overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from findings import Evidence, Item, Unreadable

if TYPE_CHECKING:
    from facts import Facts
    from windows.hive import Key

NAME = "GUESTOS.Sysprep"
FAMILIES = frozenset({"windows"})
_GENERALIZED, _AUDIT = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"
_IN_USE = ("IMAGE_STATE_COMPLETE", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT")
_SETUP_AT_START = 2
_DONE = {"GeneralizationState": 7, "CleanupState": 2}
_AGAIN = "make the image again, and let Sysprep shut the system down by itself"


def judge(facts: Facts) -> Item:
    """Compare the image's state with what the next start will do, and with Sysprep's own marks."""
    from windows.registry import known, software, system

    key = known(facts, software).key("Microsoft\\Windows\\CurrentVersion\\Setup\\State")
    state = None if key is None else key.text("ImageState")
    setup = known(facts, system).key("Setup")
    if key is None or state is None or setup is None:
        raise Unreadable("NoState", "the registry names no ImageState, or has no key Setup")
    shown = key.evidence(f"ImageState = {state}")
    if state in (_GENERALIZED, _AUDIT):
        return _of_generalized(state, setup, shown)
    return _of_used(setup, shown) if state in _IN_USE else _interrupted(shown)


def _of_generalized(state: str, setup: Key, shown: Evidence) -> Item:
    kind = setup.number("SetupType")
    if kind != _SETUP_AT_START:
        return _interrupted(shown, setup.evidence(f"SetupType = {kind}, where the next start should run Setup: 2"))
    if state == _AUDIT:
        advice = "run sysprep /generalize /oobe: instances would start in audit mode"
        return Item(NAME, "warning", "Sysprep.Audit", state, (shown,), advice)
    return Item(NAME, "ok", value="generalized", evidence=(shown,))


def _of_used(setup: Key, shown: Evidence) -> Item:
    status = setup.key("Status\\SysprepStatus")
    for name, done in _DONE.items():
        number = None if status is None else status.number(name)
        if status is not None and number not in (None, done):
            return _interrupted(shown, status.evidence(f"{name} = {number}, where {done} would say that it is done"))
    if setup.number("SystemSetupInProgress"):
        return _interrupted(shown, setup.evidence("SystemSetupInProgress is not 0"))
    advice = "run sysprep /generalize /oobe /shutdown before making the image: instances would share one security identifier"
    return Item(NAME, "warning", "Sysprep.NotGeneralized", "in use", (shown,), advice)


def _interrupted(*evidence: Evidence) -> Item:
    return Item(NAME, "failed", "Sysprep.Interrupted", evidence=evidence, advice=_AGAIN)
