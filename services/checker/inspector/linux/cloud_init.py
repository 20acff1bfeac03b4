# SPDX-License-Identifier: AGPL-3.0-or-later
"""cloud-init: whether it is installed, whether it runs, what its configuration says.

Sources: cloud-init's documentation, Disable cloud-init, Base configuration, Modules reference (Growpart, Resizefs).
"""

from dataclasses import dataclass, field
from typing import Any

from facts import Facts
from findings import Evidence, FileText, Unreadable, attempt
from linux.boot import boot_entries
from linux.boot.model import Boot
from linux.services import is_enabled, is_masked
from linux.text import as_yaml
from tree import Tree

_PROGRAMS = ("/usr/bin/cloud-init", "/bin/cloud-init", "/usr/local/bin/cloud-init")
_NAMES = ("cloud-init", "cloud-init-local", "cloud-init-main", "cloud-init-network")
_GENERATORS = ("/usr/lib/systemd/system-generators/cloud-init-generator", "/lib/systemd/system-generators/cloud-init-generator")
_FILES_MAX = 64


@dataclass(slots=True)
class CloudInit:
    """`program` is None where it is not installed; `disabled` is where it is told not to run, and how in words.

    `config` is cloud.cfg and what lies in cloud.cfg.d, top-level keys of later files over earlier ones, each with its file.
    """

    program: str | None
    is_enabled: bool = False
    disabled: tuple[Evidence, str] | None = None
    config: dict[str, tuple[FileText, Any]] = field(default_factory=dict)
    problem: Unreadable | None = None

    @property
    def runs(self) -> bool:
        """Whether it runs at the first boot."""
        return self.program is not None and self.is_enabled and self.disabled is None

    def value(self, *keys: str) -> Any:  # noqa: ANN401 - a configuration's values are whatever they are
        """Return what stands beneath `keys`, None where nothing does."""
        found = self.config.get(keys[0], (None, None))[1]
        for key in keys[1:]:
            found = found.get(key) if isinstance(found, dict) else None
        return found


def cloud_init(facts: Facts) -> CloudInit:
    """Probe: cloud-init as installed."""
    tree = facts.files()
    found = CloudInit(next((path for path in _PROGRAMS if tree.find_file(path) is not None), None))
    if found.program is None:
        return found
    found.disabled = _disabled(tree, facts.get(boot_entries))
    generator = any(tree.find_file(path) is not None for path in _GENERATORS)
    found.is_enabled = generator or any(is_enabled(tree, name) for name in _NAMES)
    paths = ["/etc/cloud/cloud.cfg"]
    paths += [f"/etc/cloud/cloud.cfg.d/{name}" for name in tree.names("/etc/cloud/cloud.cfg.d") if name.endswith(".cfg")]
    for path in paths[:_FILES_MAX]:
        file = tree.read_text(path)
        if file is None:
            continue
        content = attempt(lambda file=file: as_yaml(file))  # type: ignore[misc]
        if isinstance(content, Unreadable):
            found.problem = found.problem or content
        elif isinstance(content, dict):
            found.config |= {key: (file, value) for key, value in content.items()}
    return found


def _disabled(tree: Tree, boot: Boot | Unreadable) -> tuple[Evidence, str] | None:
    if tree.exists("/etc/cloud/cloud-init.disabled"):
        return Evidence("/etc/cloud/cloud-init.disabled"), "the file that disables it is there"
    units = [*(f"{name}.service" for name in _NAMES), "cloud-init.target", "cloud-config.service", "cloud-final.service"]
    masked = [unit for unit in units if is_masked(tree, unit)]
    if masked:
        return Evidence(f"/etc/systemd/system/{masked[0]}"), f"its unit {masked[0]} is masked"
    file = tree.read_text("/etc/cloud/ds-identify.cfg")
    for number, line in enumerate(file.lines if file is not None else (), start=1):
        if file is not None and line.replace(" ", "") == "policy:disabled":
            return file.evidence(number), "the identification of its data source disables it"
    if isinstance(boot, Boot):
        for entry in boot.entries:
            if entry.options is not None and entry.option("cloud-init") == "disabled":
                return entry.options.file.evidence(entry.options.line), "the kernel's command line disables it"
    return None
