"""The agents of a Linux system's cloud: found and started, or what is missing of them; which ones, `agents.toml` says."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from items import guestos_cloud_assistant, guestos_security_center_agent
from linux import agents
from tests.inspector.linux_roots import AGENTS, ENABLED, judged, link, program, where, with_changes


@pytest.mark.parametrize(
    ("module", "path", "wants"),
    [
        (guestos_cloud_assistant, "/usr/local/share/aliyun-assist/2.2.3.100/aliyun-service", "aliyun"),
        (guestos_security_center_agent, "/usr/local/aegis/aegis_client/aegis_12_01/AliYunDun", "aegis"),
    ],
)
def test_agents(module: ModuleType, path: str, wants: str) -> None:
    short = module.NAME.partition(".")[2]
    whole = judged(module, AGENTS)
    assert (whole.level, where(whole)[0]) == ("ok", path)
    assert judged(module, {}).code == f"{short}.NotInstalled"
    assert judged(module, with_changes(AGENTS, **{path: None})).code == f"{short}.NotInstalled"
    asleep = judged(module, with_changes(AGENTS, **{f"{ENABLED}{wants}.service": None}))
    assert (asleep.level, asleep.code, where(asleep)[0]) == ("warning", f"{short}.NotEnabled", path)


OWN = b"""
[[agent]]
item = "CloudAssistant"
name = "own"
paths = ["/opt/own/*/agent-*"]
services = ["own"]
advice = "install it"
"""


@pytest.fixture
def own_agents() -> Iterator[None]:
    before = agents.load((agents.Path(agents.__file__).parent.parent / "agents.toml").read_bytes())
    agents.use(agents.load(OWN))
    yield
    agents.use(before)


@pytest.mark.usefixtures("own_agents")
def test_another_clouds_agents_take_their_place() -> None:
    files = {"/opt/own/2/agent-x": program(), "/etc/runlevels/default/own": link("/etc/init.d/own")}
    assert (judged(guestos_cloud_assistant, files).value, judged(guestos_security_center_agent, {}).value) == (
        "own",
        "none asked for",
    )
    assert judged(guestos_cloud_assistant, AGENTS).advice == "install it"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"[[agent",
        b"other = 1",
        b"agent = 5",
        OWN.replace(b"CloudAssistant", b"Other"),
        OWN.replace(b'"own"\npaths', b'""\npaths'),
        OWN.replace(b'"/opt', b'"opt'),
        OWN.replace(b'["own"]', b'"own"'),
        OWN.replace(b'["own"]', b'["a/b"]'),
        OWN.replace(b"install it", b"x" * 300),
        OWN.replace(b"/*/", b"/*/*/*/*/*/"),
        OWN.replace(b"advice", b"other"),
        OWN * 40,
        b"#" * 70_000,
    ],
)
def test_agents_that_make_no_sense_are_refused(data: bytes) -> None:
    with pytest.raises(agents.AgentsError):
        agents.load(data)
