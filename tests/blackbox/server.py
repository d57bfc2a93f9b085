"""One Hearth on loopback: its configuration, its process, its database. Readiness is awaited by sd_notify, not by polling."""
import atexit
import contextlib
import json
import os
import pathlib
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("HEARTH_BIN", TOP / "build" / "hearth"))
FREE = {"per_second": 1000000, "burst_count": 1000000}
RATES = {
    "rc_message": FREE,
    "rc_registration": FREE,
    "rc_registration_token_validity": FREE,
    "rc_login": {"address": FREE, "account": FREE, "failed_attempts": FREE},
    "rc_admin_redaction": FREE,
    "rc_joins": {"local": FREE, "remote": FREE},
    "rc_joins_per_room": FREE,
    "rc_invites": {"per_room": FREE, "per_user": FREE, "per_issuer": FREE},
    "rc_presence": {"per_user": FREE},
    "rc_reports": FREE,
    "rc_media_create": FREE,
    "rc_room_creation": FREE,
    "rc_user_directory": FREE,
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postgres:
    """A private cluster on a unix socket, started once for the whole run, a database for each server."""

    _one = None

    @classmethod
    def shared(cls):
        if cls._one is None:
            cls._one = cls()
            atexit.register(cls._one.stop)
        return cls._one

    def __init__(self):
        self.bin = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.dir = tempfile.mkdtemp(prefix="hearth-pg-")
        who = pwd.getpwnam("postgres")
        self.drop = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"] if os.getuid() == 0 else []
        if self.drop:
            os.chown(self.dir, who.pw_uid, who.pw_gid)
        self._run("initdb", "-D", f"{self.dir}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self._run("pg_ctl", "-D", f"{self.dir}/data", "-w", "-l", f"{self.dir}/log", "-o",
                  f"-c listen_addresses= -c unix_socket_directories={self.dir} -c fsync=off -c max_connections=200", "start")

    def _run(self, tool, *args):
        subprocess.run([*self.drop, self.bin / tool, *args], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def database(self):
        name = "h" + secrets.token_hex(6)
        self._run("createdb", "-h", self.dir, "-U", "postgres", "-T", "template0", name)
        return {"name": "psycopg2", "args": {"user": "postgres", "dbname": name, "host": self.dir}}

    def stop(self):
        self._run("pg_ctl", "-D", f"{self.dir}/data", "-m", "immediate", "stop")
        shutil.rmtree(self.dir, ignore_errors=True)


class Server:
    """Server(store="sqlite"|"postgres", **options): a running server; options go into its homeserver.yaml (JSON is YAML)."""

    def __init__(self, store="sqlite", start=True, **options):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hearth-bb-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = "hearth.test"
        self.secret = "blackbox-secret"
        self.process = None
        database = (Postgres.shared().database() if store == "postgres"
                    else {"name": "sqlite3", "args": {"database": str(self.dir / "hearth.db")}})
        self.config = {
            "server_name": self.name,
            "public_baseurl": self.url + "/",
            "listeners": [{"port": self.port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False,
                           "resources": [{"names": ["client", "federation", "metrics", "health"]}]}],
            "database": database,
            "signing_key_path": str(self.dir / "signing.key"),
            "media_store_path": str(self.dir / "media"),
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "registration_shared_secret": self.secret,
            "bcrypt_rounds": 4,
            "report_stats": False,
            **RATES,
            **options,
        }
        if start:
            self.start()

    def write_config(self):
        (self.dir / "homeserver.yaml").write_text(json.dumps(self.config, indent=1))

    def start(self):
        self.write_config()
        self.log = open(self.dir / "log", "ab")
        with self.ready("did not become ready"):
            self.process = subprocess.Popen([BINARY, "serve", "--config", "homeserver.yaml"], cwd=self.dir, stdout=self.log,
                                            stderr=self.log, env={**os.environ, "NOTIFY_SOCKET": str(self.dir / "notify")})

    @contextlib.contextmanager
    def ready(self, otherwise):
        """Waits, after what is done inside, until the server says that it is ready, or has ended."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(str(self.dir / "notify"))
            try:
                yield
                end = os.pidfd_open(self.process.pid)
                try:
                    while s in (readable := select.select([s, end], [], [], 30)[0]) and b"READY=1" not in s.recv(4096):
                        pass
                finally:
                    os.close(end)
                assert s in readable, f"the server {otherwise}:\n" + self.output()
            finally:
                (self.dir / "notify").unlink()

    def signal_reload(self):
        """SIGHUP, with the configuration file as it stands."""
        with self.ready("did not reload"):
            self.process.send_signal(signal.SIGHUP)

    def reload(self):
        self.write_config()
        self.signal_reload()

    def output(self):
        return (self.dir / "log").read_text(errors="replace")

    def kill(self):
        """As a power cut would: nothing is flushed."""
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.process = None

    def stop(self):
        """As an operator would; the exit must be clean."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.log.close()
        self.process = None
        assert code == 0, f"exit status {code}:\n{self.output()}"

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)
