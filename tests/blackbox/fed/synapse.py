"""A Synapse from PyPI, as a living peer: named localhost:PORT, with a certificate of the tests' authority."""
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from fed import ca
from server import RATES, free_port

MORE_RATES = {"rc_3pid_validation": RATES["rc_message"], "rc_third_party_invite": RATES["rc_message"],
              "rc_delayed_event_mgmt": RATES["rc_message"],
              "rc_federation": {"window_size": 1000, "sleep_limit": 100000, "sleep_delay": 1, "reject_limit": 100000, "concurrent": 100}}
LOG = {"version": 1, "formatters": {"f": {"format": "%(asctime)s %(name)s %(levelname)s %(request)s %(message)s"}},
       "handlers": {"file": {"class": "logging.FileHandler", "formatter": "f", "filename": "homeserver.log"}},
       "root": {"level": "INFO", "handlers": ["file"]}, "disable_existing_loggers": False}


def python():
    """The interpreter that has Synapse: the tests' own, or that of SYNAPSE_VENV."""
    if "SYNAPSE_VENV" in os.environ:
        return f"{os.environ['SYNAPSE_VENV']}/bin/python"
    assert importlib.util.find_spec("synapse"), "matrix-synapse is not installed: tests/requirements.txt"
    return sys.executable


class Synapse:
    """The parts of server.Server that clients and tests of federation use."""

    keeps_the_schema = False  # its answers to clients are not what is tested

    def __init__(self, start=True, **options):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hearth-synapse-"))
        self.port, self.fed_port = free_port(), free_port()
        self.url, self.name = f"http://127.0.0.1:{self.port}", f"localhost:{self.fed_port}"
        self.authority = ca.shared()
        cert, key = self.authority.issue("localhost")
        self.process = None
        self.config = {
            "server_name": self.name, "public_baseurl": self.url + "/", "pid_file": "synapse.pid", "report_stats": False,
            "listeners": [
                {"port": self.port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False, "resources": [{"names": ["client"]}]},
                {"port": self.fed_port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": True, "resources": [{"names": ["federation"]}]}],
            "tls_certificate_path": str(cert), "tls_private_key_path": str(key), "federation_custom_ca_list": [str(self.authority.pem)],
            "database": {"name": "sqlite3", "args": {"database": str(self.dir / "homeserver.db")}},
            "log_config": str(self.dir / "log.yaml"), "media_store_path": str(self.dir / "media"), "signing_key_path": str(self.dir / "signing.key"),
            "registration_shared_secret": "blackbox-secret", "macaroon_secret_key": "m", "form_secret": "f",
            "enable_registration": True, "enable_registration_without_verification": True, "bcrypt_rounds": 4,
            "trusted_key_servers": [], "suppress_key_server_warning": True, "ip_range_blacklist": [],
            "allow_public_rooms_over_federation": True, "room_list_publication_rules": [{"action": "allow"}], "url_preview_enabled": False,
            # Who is away is asked again soon: retries within a request would wait for seconds.
            "federation": {"destination_min_retry_interval": "1s", "destination_max_retry_interval": "2s", "max_long_retries": 0, "max_short_retries": 0,
                           "max_long_retry_delay": "1s", "max_short_retry_delay": "1s"},
            **RATES, **MORE_RATES, **options,
        }
        if start:
            self.start()

    def start(self):
        (self.dir / "homeserver.yaml").write_text(json.dumps(self.config, indent=1))
        (self.dir / "log.yaml").write_text(json.dumps(LOG))
        run = [python(), "-m", "synapse.app.homeserver", "-c", "homeserver.yaml"]
        if not (self.dir / "signing.key").exists():
            subprocess.run([*run, "--generate-keys"], cwd=self.dir, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(str(self.dir / "notify"))
            s.settimeout(90)
            out = open(self.dir / "stdout.log", "ab")
            self.process = subprocess.Popen(run, cwd=self.dir, stdout=out, stderr=out, env={**os.environ, "NOTIFY_SOCKET": str(self.dir / "notify")})
            out.close()
            try:
                while b"READY=1" not in s.recv(4096):
                    pass
            except socket.timeout:
                raise AssertionError("Synapse did not become ready:\n" + self.output()) from None
            finally:
                (self.dir / "notify").unlink()

    def output(self):
        log = self.dir / "homeserver.log"
        return (self.dir / "stdout.log").read_text(errors="replace") + (log.read_text(errors="replace") if log.exists() else "")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
            self.process = None

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
