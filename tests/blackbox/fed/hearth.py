"""A Hearth that speaks federation: named localhost:PORT, with a certificate of the tests' authority, and no address forbidden."""
import requests

from fed import ca
from server import Server, free_port


class FedServer(Server):
    """FedServer(): its `name` is where it is reached."""

    def __init__(self, store="sqlite", start=True, **options):
        super().__init__(store, start=False, **options)
        self.fed_port = free_port()
        self.name = f"localhost:{self.fed_port}"
        self.authority = ca.shared()
        cert, key = self.authority.issue("localhost")
        self.config.update({
            "server_name": self.name,
            "tls_certificate_path": str(cert),
            "tls_private_key_path": str(key),
            "federation_custom_ca_list": [str(self.authority.pem)],
            "ip_range_blacklist": [],
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "allow_public_rooms_over_federation": True,
            # A server that is stopped and started again by a test is asked again soon.
            "federation": {"destination_min_retry_interval": "100ms", "destination_max_retry_interval": "1s"},
            **options,
        })
        self.config["listeners"].append({"port": self.fed_port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": True,
                                         "resources": [{"names": ["federation"]}]})
        if start:
            self.start()

    def keys(self):
        """(key id, public key) that it signs with."""
        with requests.Session() as http:
            http.trust_env = False  # which would put another authority in its place
            document = http.get(f"https://{self.name}/_matrix/key/v2/server", verify=str(self.authority.pem), timeout=20).json()
        (key_id, key), = document["verify_keys"].items()
        return key_id, key["key"]

