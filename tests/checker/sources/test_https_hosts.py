"""Which hosts and addresses are asked for an image: those that are allowed, wherever a name or a redirection leads."""

import pytest

from services.checker.adapters.sources.spool import Spool
from tests.checker.sources.conftest import CONTENT, Authority
from tests.checker.sources.https_world import Serve, World, all_of, once
from tests.checker.sources.server import Reply, Request

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def world(serve: Serve, authority: Authority, spool: Spool) -> World:
    return World(await serve(tls=authority.server), authority, spool)


ELSEWHERE = [
    ("https://other.test/one.img", "images from this host are not allowed"),
    ("https://images.test/one.img", "images from this host are not allowed"),
    ("https://sub.images.test:{port}/one.img", "images from this host are not allowed"),
    ("https://images.test.:{port}/one.img", "images from this host are not allowed"),
    ("https://images.test:{port}@other.test/one.img", "a user"),
    ("https://user:pass@images.test:{port}/one.img", "a user"),
    ("https://images.test:{port}\\@other.test/", "a user"),
    ("https://images.test:{port}/one.img#part", "a fragment"),
    ("https://images.test:{port}/ö", "percent-encoded"),
    ("https://images.test:{port}/a b", "percent-encoded"),
    ("https://images.test:99999/", "no https:// address"),
    ("https://[::1/one.img", "no https:// address"),
    ("https:///one.img", "no https:// address"),
    ("http://images.test:{port}/one.img", "only locations of file://, https:// are opened"),
]


@pytest.mark.parametrize(("location", "reason"), ELSEWHERE)
async def test_a_location_that_is_not_allowed(world: World, location: str, reason: str) -> None:
    refused = str(await world.client().refused(location.format(port=world.server.port), "x"))
    assert reason in refused
    assert "pass" not in refused
    assert (world.resolved, world.server.requests) == ([], [])


LEADS = [
    ("https://cdn.test:{port}/two.img", None),
    ("/two.img", None),
    ("https://other.test/two.img", "leads to another place, which is refused: images from this host are not allowed"),
    ("http://cdn.test:{port}/two.img", "leads to another place, which is refused: it is no https"),
    ("https://127.0.0.1:{port}/", "leads to another place, which is refused: images from this host are not allowed"),
    ("file:///etc/passwd", "leads to another place, which is refused: it is no https"),
    ("https://me@cdn.test:{port}/", "leads to another place, which is refused: an address with a user"),
    ("/one.img", "leads on more than 5 times"),
]


@pytest.mark.parametrize(("to", "reason"), LEADS)
async def test_where_a_server_leads(world: World, to: str, reason: str | None) -> None:
    target = to.format(port=world.server.port)

    def twist(request: Request, reply: Reply) -> Reply:
        return Reply(302, {"location": target, "content-length": "0"}) if request.target == "/one.img" else reply

    world.server.twist = twist
    if reason is None:
        assert all_of(await world.client().open(world.url(), world.server.etag)) == CONTENT
    else:
        assert reason in await world.refused()


@pytest.mark.parametrize("private", ["10.0.0.1", "::ffff:10.0.0.1", "169.254.169.254", "fe80::1%lo", "::1", "100.64.0.1"])
async def test_where_a_name_leads(world: World, private: str) -> None:
    world.names["cdn.test"] = ["127.0.0.1", private]
    refused = str(await world.client().refused(world.url(host="cdn.test"), world.server.etag))
    assert "not a public one" in refused
    assert private not in refused
    assert world.server.requests == []
    # And no more so after a redirection.
    world.server.twist = once(Reply(302, {"location": world.url(host="cdn.test"), "content-length": "0"}))
    assert "not a public one" in await world.refused()
    assert len(world.server.requests) == 1


async def test_without_the_operators_word_this_machine_is_not_connected_to(world: World) -> None:
    refused = await world.client(networks=()).refused(world.url(), world.server.etag)
    assert "not a public one" in str(refused)
    assert world.server.requests == []


async def test_a_name_that_means_another_address_the_next_time(world: World) -> None:
    def twist(_request: Request, reply: Reply) -> Reply:
        world.names["images.test"] = ["10.0.0.1"]
        # So that the next one needs a connection of its own.
        return reply.with_headers(connection="close")

    world.server.twist = twist
    assert "not a public one" in await world.refused()
    assert (len(world.server.requests), world.resolved) == (1, ["images.test"] * 2) or len(world.resolved) > 2


async def test_the_address_that_was_judged_is_connected_to(world: World, serve: Serve) -> None:
    # The name is none of this machine's resolver; a first address that does not answer is passed over.
    beside = await serve(tls=world.authority.server, address="127.0.0.2")
    world.server = beside
    world.names["images.test"] = ["127.0.0.3", "127.0.0.2"]
    assert all_of(await world.client().open(world.url(), beside.etag)) == CONTENT


async def test_who_is_not_vouched_for(world: World) -> None:
    refused = await world.client(ca_file=None).refused(world.url(), world.server.etag)
    assert "certificate is not one that the checker trusts" in str(refused)
    world.names["third.test"] = ["127.0.0.1"]
    stranger = await world.client(hosts=(f"third.test:{world.server.port}",)).refused(world.url(host="third.test"), "x")
    assert "certificate is not one that the checker trusts" in str(stranger)
    assert world.server.requests == []


async def test_nobody_there(world: World) -> None:
    world.names["images.test"] = []
    assert "cannot be reached, 3 times" in await world.refused()
    world.names["images.test"] = ["127.0.0.9"]
    assert "cannot be reached, 3 times" in await world.refused()


async def test_what_the_query_holds_is_not_told(world: World) -> None:
    world.server.twist = lambda _request, _reply: Reply(403, {"content-length": "0"})
    assert "s3cr3t" not in str(await world.client().refused(world.url("/one.img?token=s3cr3t"), "x"))
