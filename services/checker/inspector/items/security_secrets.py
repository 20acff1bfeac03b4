# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether secrets of the one who made the image are left in it, and identities that each instance needs for its own."""

from facts import Facts
from family import family_of
from findings import Evidence, Item, Unreadable
from security.leftovers.identity import HostKeys, host_keys, machine_ids
from security.leftovers.search import leftovers
from security.owners import owned, unchanged
from security.places import homes
from security.troubles import Trouble, item_of, unjudged

NAME = "SECURITY.Secrets"
FAMILIES = frozenset({"linux", "windows"})
_NOT_ALL = "Secrets.NotAllSeen"
_KINDS = (
    (
        "PrivateKey",
        "failed",
        "everybody who launches the image gets these private keys: remove them, and replace them where used",
    ),
    ("Credentials", "failed", "everybody who launches the image gets these credentials: remove them, and revoke them"),
    ("Token", "failed", "everybody who launches the image gets these tokens and passwords: remove them, and revoke them"),
    (
        "AuthorizedKeys",
        "failed",
        "the keys' owner gets into every instance: remove authorized_keys, first boot adds the user's own",
    ),
    ("PasswordLike", "warning", "words stand where a password does: if they are in use, remove and change them"),
    ("ShellHistory", "warning", "remove the shells' histories: they tell of your machines"),
)
# Made when a package is installed, to have some key at all; it protects nothing, but is the same in every instance.
_GENERATED = frozenset({"/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/pki/tls/private/localhost.key"})


def judge(facts: Facts) -> Item:
    """Search homes, /etc and the places of services; then look at host keys and machine ids."""
    facts.files()
    troubles = []
    found = facts.get(leftovers)
    if isinstance(found, Unreadable):
        troubles.append(unjudged(_NOT_ALL, found, "left-over secrets"))
    else:
        kinds = found.kinds if family_of(facts) == "windows" else _without_public(facts, found.kinds)
        keys = kinds.get("PrivateKey", [])
        generated = tuple(one for one in keys if one.path in _GENERATED)
        kinds["PrivateKey"] = [one for one in keys if one.path not in _GENERATED]
        for kind, level, advice in _KINDS:
            if kinds.get(kind):
                troubles.append(Trouble(level, f"Secrets.{kind}", advice, tuple(kinds[kind])))
        if generated:
            advice = "every instance has this generated key: remove it, and have first boot make one"
            troubles.append(Trouble("warning", "Secrets.GeneratedKey", advice, generated))
        troubles += [unjudged(_NOT_ALL, one, "a part of the files") for one in found.unread[:4]]
    if family_of(facts) == "windows":
        return item_of(NAME, [*troubles, *_of_windows(facts)], "none found")
    return item_of(NAME, [*troubles, *_host_keys(facts), *_machine_ids(facts)], "none found")


def _without_public(facts: Facts, kinds: dict[str, list[Evidence]]) -> dict[str, list[Evidence]]:
    """Take out what came with a package as it is: everybody has it, so it is no secret. What is in a home is the vendor's."""
    known = facts.get(homes)
    at_home = tuple(f"{home}/" for _, home in known) if not isinstance(known, Unreadable) else ()

    def elsewhere(kind: str) -> set[str]:
        return {one.path for one in kinds.get(kind, []) if one.path is not None and not one.path.startswith(at_home)}

    as_it_came = unchanged(facts, elsewhere("PrivateKey") | elsewhere("Token") | elsewhere("PasswordLike"))
    packaged = owned(facts, elsewhere("PrivateKey")) if elsewhere("PrivateKey") else set()
    # Where it cannot be told what came with packages, a key is the vendor's.
    public_keys = set() if isinstance(packaged, Unreadable) else {path for path in packaged if as_it_came.get(path, True)}
    as_packaged = {path for path, is_so in as_it_came.items() if is_so}
    public = {"PrivateKey": public_keys, "Token": as_packaged, "PasswordLike": as_packaged}
    return {kind: [one for one in found if one.path not in public.get(kind, ())] for kind, found in kinds.items()}


def _of_windows(facts: Facts) -> list[Trouble]:
    from windows.leftovers import host_keys as of_windows
    from windows.leftovers import logon_password

    troubles = []
    keys, logon = facts.get(of_windows), facts.get(logon_password)
    if isinstance(keys, Unreadable):
        troubles.append(unjudged(_NOT_ALL, keys, "the SSH host keys"))
    elif keys:
        advice = "every instance would have the same host keys: remove ssh_host_*_key*, the service makes new ones"
        evidence = tuple(Evidence(path, text="SSH host key") for path in keys)
        troubles.append(Trouble("failed", "Secrets.HostKeys", advice, evidence))
    if isinstance(logon, Unreadable):
        troubles.append(unjudged(_NOT_ALL, logon, "the password of automatic logon"))
    elif logon is not None:
        advice = "everybody reads this password: turn automatic logon off, delete DefaultPassword, and change it"
        troubles.append(Trouble("failed", "Secrets.Credentials", advice, (logon,)))
    return troubles


def _host_keys(facts: Facts) -> list[Trouble]:
    found = facts.get(host_keys)
    if not isinstance(found, HostKeys):
        return [unjudged(_NOT_ALL, found, "the SSH host keys")]
    if not found.paths:
        return []
    evidence = tuple(Evidence(path, text="SSH host key") for path in found.paths)
    if found.kept_because is None:
        advice = "cloud-init renews these host keys at first boot; better remove them"
        return [Trouble("warning", "Secrets.HostKeysRenewed", advice, evidence)]
    advice = f"every instance would have the same host keys ({found.kept_because}): remove /etc/ssh/ssh_host_*_key*"
    return [Trouble("failed", "Secrets.HostKeys", advice, evidence)]


def _machine_ids(facts: Facts) -> list[Trouble]:
    found = facts.get(machine_ids)
    if isinstance(found, Unreadable):
        return [unjudged(_NOT_ALL, found, "the machine id")]
    if not found:
        return []
    advice = (
        "every instance would have the same machine id: empty /etc/machine-id, and make /var/lib/dbus/machine-id a link to it"
    )
    return [Trouble("warning", "Secrets.MachineId", advice, tuple(Evidence(path, text="a machine id") for path in found))]
