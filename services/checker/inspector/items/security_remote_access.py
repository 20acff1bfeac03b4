# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether root can be reached by sshd, or be become without a password. Sources: sshd_config(5), sudoers(5), passwd(5)."""

from facts import Facts
from findings import Evidence, Item, Unreadable
from linux.os_release import OsRelease, os_release
from security.accounts import accounts
from security.sshd import Setting, Sshd, sshd
from security.sudoers import Sudoers, sudoers, whom
from security.troubles import Trouble, item_of, said, unjudged

NAME = "SECURITY.RemoteAccess"
FAMILIES = frozenset({"linux"})
_UNREAD = "RemoteAccess.NotReadable"
_DROPBEAR = ("/usr/sbin/dropbear", "/usr/bin/dropbear")
# Their packages of OpenSSH before 8.0 keep the old default of PermitRootLogin, yes.
_KEEP_OLD_DEFAULT = frozenset({"rhel", "centos", "ol", "amzn", "alinux", "scientific", "anolis", "openEuler"})
_DEFAULT_CHANGED_IN = (7, 0)
_DISTRIBUTIONS_CHANGED_IN = (8, 0)


def judge(facts: Facts) -> Item:
    """Look at the SSH server's configuration, at sudo and doas, and at who else is root."""
    facts.files()
    troubles: list[Trouble] = []
    server = facts.get(sshd)
    if isinstance(server, Unreadable):
        troubles.append(unjudged(_UNREAD, server, "the configuration of sshd"))
        value = "sshd not judged"
    else:
        troubles += _of_sshd(facts, server)
        value = _noted(facts, server)
    troubles += _of_sudo(facts)
    troubles += _of_accounts(facts)
    return item_of(NAME, troubles, value)


def _of_sshd(facts: Facts, server: Sshd) -> list[Trouble]:
    if server.program is None:
        if any(facts.files().exists(path) for path in _DROPBEAR):
            advice = "dropbear takes its settings from its command line, which is not read: use OpenSSH, or say -w and -s there"
            return [Trouble("unsupported", "RemoteAccess.OtherServer", advice)]
        return []
    troubles = [unjudged(_UNREAD, one, "a part of the configuration of sshd") for one in server.unread]
    empty = [one for one in _that_hold(server, "permitemptypasswords") if one.value == "yes"]
    if empty:
        advice = "anybody logs in to an account without a password: set PermitEmptyPasswords no"
        troubles.append(Trouble("failed", "RemoteAccess.EmptyPasswords", advice, _places(empty)))
    root = [one for one in _that_hold(server, "permitrootlogin") if one.value == "yes" and one.may_concern("root")]
    by_default = server.everywhere("permitrootlogin") is None and _default_root_login(facts, server) == "yes"
    if (root or by_default) and _takes_passwords(server):
        where = _places(root) or (Evidence(server.program, text="PermitRootLogin is not set; this version's default is yes"),)
        advice = "root logs in by password over the network: set PermitRootLogin prohibit-password, or PasswordAuthentication no"
        troubles.append(Trouble("warning", "RemoteAccess.RootLogin", advice, where))
    return troubles


def _that_hold(server: Sshd, keyword: str) -> list[Setting]:
    """Return the settings that may hold for somebody: the first global one, and those of blocks with criteria."""
    everywhere = server.everywhere(keyword)
    somewhere = [one for one in server.somewhere(keyword) if one is not everywhere]
    return ([everywhere] if everywhere is not None else []) + somewhere


def _places(settings: list[Setting]) -> tuple[Evidence, ...]:
    return tuple(one.evidence for one in settings)


def _takes_passwords(server: Sshd) -> bool:
    """Whether anybody may log in by password: both ways to ask for one are on unless they are switched off."""
    names = (("passwordauthentication",), ("kbdinteractiveauthentication", "challengeresponseauthentication"))
    for aliases in names:
        held = [one for name in aliases for one in _that_hold(server, name)]
        is_global = any(server.everywhere(name) is not None for name in aliases)
        if not is_global or any(one.value == "yes" for one in held):
            return True
    return False


def _default_root_login(facts: Facts, server: Sshd) -> str:
    if server.version is None:
        return "prohibit-password"
    release = facts.get(os_release)
    keeps = isinstance(release, OsRelease) and release.values.get("ID") in _KEEP_OLD_DEFAULT
    is_old = server.version < (_DISTRIBUTIONS_CHANGED_IN if keeps else _DEFAULT_CHANGED_IN)
    return "yes" if is_old else "prohibit-password"


def _noted(facts: Facts, server: Sshd) -> str:
    if server.program is None:
        return "no sshd"
    root = server.everywhere("permitrootlogin")
    how = root.value if root is not None else f"{_default_root_login(facts, server)} (default)"
    return f"sshd: root {how}, passwords {'yes' if _takes_passwords(server) else 'no'}"


def _of_sudo(facts: Facts) -> list[Trouble]:
    found = facts.get(sudoers)
    if not isinstance(found, Sudoers):
        return [unjudged(_UNREAD, found, "sudoers")]
    troubles = [unjudged(_UNREAD, one, "a part of sudoers") for one in found.unread]
    places: list[Evidence] = []
    names: dict[str, None] = {}
    for rule in found.rules:
        able = [account.name for account in whom(facts, rule) if account.can_log_in]
        names |= dict.fromkeys(able)
        places += [rule.evidence] if able else []
    if places:
        shown = ", ".join([*names][:5])
        advice = f"these accounts become root without a password: {shown}; take NOPASSWD away, or the accounts"
        troubles.append(Trouble("warning", "RemoteAccess.RootWithoutPassword", advice, tuple(places)))
    return troubles


def _of_accounts(facts: Facts) -> list[Trouble]:
    found = facts.get(accounts)
    if isinstance(found, Unreadable):
        return [unjudged(_UNREAD, found, "the accounts")]
    roots = [one for one in found if one.uid == 0]
    if len(roots) < 2:
        return []
    others = tuple(said(one.file, one.line, f"{one.name} has uid 0") for one in roots if one.name != "root")
    advice = "only root should have uid 0: give the others a uid of their own"
    return [Trouble("warning", "RemoteAccess.SecondRoot", advice, others)]
