# SPDX-License-Identifier: AGPL-3.0-or-later
"""Guessing passwords within a budget of CPU time: the likeliest guesses on every account first, then the next ones.

The list is our own and short, as a policy on weak passwords needs: a cracker's millions of words would cost hours of CPU.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from security.crypts import CRYPT, LIBCRYPT, SCHEMES_WITHOUT_LIBCRYPT, Crypt
from security.hashes import Scheme

BUDGET_CPU_S = 10.0
TARGETS_MAX = 256
_WORDS = Path(__file__).with_name("passwords.txt").read_text(encoding="utf-8").splitlines()
_TELL_EVERY = 16


@dataclass(frozen=True, slots=True)
class Target:
    """A hash to guess: whose it is, and how much it matters (0 most)."""

    account: str
    hash: str
    scheme: Scheme
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What guessing gave: `found` is the kind of guess that fits, never the password; `unjudged` why not all were tried."""

    found: str | None = None
    unjudged: str | None = None


def supports(scheme: Scheme) -> bool:
    """Whether hashes of the scheme can be computed here."""
    return scheme.known and (LIBCRYPT is not None or scheme.name in SCHEMES_WITHOUT_LIBCRYPT)


def guess(
    targets: Sequence[Target],
    *,
    budget_s: float = BUDGET_CPU_S,
    crypt: Crypt = CRYPT,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Outcome]:
    """Return the outcome by account. Guesses go round by round: a costly hash does not keep another from its likeliest ones."""
    ordered = sorted(targets, key=lambda one: (one.rank, one.scheme.guess_s))
    outcomes: dict[str, Outcome] = {}
    running: list[tuple[Target, Iterator[tuple[str, str]]]] = []
    for target in ordered[:TARGETS_MAX]:
        refusal = _refusal(target, crypt)
        if refusal is None:
            running.append((target, guesses_for(target.account)))
        else:
            outcomes[target.account] = Outcome(unjudged=refusal)
    for target in ordered[TARGETS_MAX:]:
        outcomes[target.account] = Outcome(unjudged=f"more than {TARGETS_MAX} hashes")
    began, made, total = time.process_time(), 0, len(running) * len(_WORDS)
    while running:
        for target, words in running:
            if time.process_time() - began >= budget_s:
                late = Outcome(unjudged=f"the budget of {budget_s:g} s of CPU time was used up after {made} guesses")
                return {one.account: late for one, _ in running} | outcomes
            word, kind = next(words, ("", ""))
            made += 1
            if made % _TELL_EVERY == 0:
                tell(min(made, total - 1), total)
            if not kind:
                outcomes[target.account] = Outcome()
            elif crypt(word.encode(), target.hash) == target.hash:
                outcomes[target.account] = Outcome(found=kind)
        running = [one for one in running if one[0].account not in outcomes]
    return outcomes


def _refusal(target: Target, crypt: Crypt) -> str | None:
    scheme = target.scheme
    if not supports(scheme):
        return f"hashes of the scheme {scheme.name} cannot be computed here"
    if not scheme.is_affordable:
        size = f", {scheme.guess_bytes >> 20:,} MiB" if scheme.guess_bytes else ""
        return f"one guess at this {scheme.name} hash would take about {scheme.guess_s:.3g} s{size}"
    # libcrypt answers with nothing, or with a text that starts with *, where it cannot make sense of the hash.
    sample = crypt(b"", target.hash)
    return None if sample and not sample.startswith("*") else f"it is no valid hash of {scheme.name}"


def guesses_for(account: str) -> Iterator[tuple[str, str]]:
    """Yield (password, kind of guess), each password once, the likeliest first."""
    seen: set[str] = set()
    own = (account, f"{account}123", f"{account}1", f"{account}@123", f"{account}1234", account[::-1], account.capitalize())
    everyone, defaults = _words()
    kinds = (
        (("",), "the empty password"),
        (own[:1], "the account's name"),
        (defaults.get(account, ()), "a default password of known images"),
        (own[1:], "a variation of the account's name"),
        (everyone, f"one of the {len(everyone)} most used passwords"),
    )
    for words, kind in kinds:
        for word in words:
            if word not in seen:
                seen.add(word)
                yield word, kind


@cache
def _words() -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the words for every account, and those of particular ones."""
    everyone: list[str] = []
    defaults: dict[str, tuple[str, ...]] = {}
    for line in _WORDS:
        account, separator, word = line.partition(":")
        if line.startswith("#") or not line:
            continue
        if separator:
            defaults[account] = (*defaults.get(account, ()), word)
        else:
            everyone.append(line)
    return tuple(dict.fromkeys(everyone)), defaults
