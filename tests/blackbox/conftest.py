"""Black-box tests: one scenario per file, from simple to complex; they speak only HTTP to a server started for them."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from client import Client, register as register_user  # noqa: E402
from fed.hearth import FedServer  # noqa: E402
from fed.peer import Peer  # noqa: E402
from server import Server  # noqa: E402

# Files that take a minute or more: begun first, so that none of them is what everybody waits for in the end.
LONGEST = ["990_synapse.py", "60_bad_input.py", "71_race.py", "991_three_hearths.py", "96_fed_admit.py", "61_hostile_state.py", "992_hostile_server.py"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def hs():
    """The server that most scenarios share, on the embedded store."""
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pg_hs():
    """The same on PostgreSQL."""
    server = Server(store="postgres")
    yield server
    server.close()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def each_hs(request):
    """A scenario that asks for this runs on both stores."""
    return request.getfixturevalue("hs" if request.param == "sqlite" else "pg_hs")


@pytest.fixture(scope="session")
def fed():
    """The server that most scenarios of federation share, on the embedded store."""
    server = FedServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pg_fed():
    """The same on PostgreSQL."""
    server = FedServer(store="postgres")
    yield server
    server.close()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def each_fed(request):
    """A scenario of federation that asks for this runs on both stores."""
    return request.getfixturevalue("fed" if request.param == "sqlite" else "pg_fed")


@pytest.fixture
def peer():
    """Another homeserver, in Python. What it was asked must have been well signed."""
    p = Peer()
    yield p
    p.close()
    assert not p.faults, p.faults


@pytest.fixture
def user(hs):
    """user() makes a new registered user with a device on the shared server."""
    return lambda name=None, **kw: register_user(hs, name, **kw)


@pytest.fixture
def alice(user):
    return user()


@pytest.fixture
def bob(user):
    return user()


@pytest.fixture
def nobody(hs):
    return Client(hs)
