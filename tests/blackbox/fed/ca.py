"""A certificate authority of the tests' own."""
import atexit
import functools
import pathlib
import shutil
import subprocess
import tempfile


def _openssl(*args, cwd):
    done = subprocess.run(["openssl", *args], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def _san(name):
    bare = name.strip("[]")
    return f"IP:{bare}" if ":" in bare or bare.replace(".", "").isdigit() else f"DNS:{bare}"


class CA:
    """ca.pem is for clients; issue("localhost") gives (certificate, key) of a server."""

    def __init__(self, name="Hearth tests"):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hearth-ca-"))
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        self.pem = self.dir / "ca.pem"
        self._serial = 0
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                 "-keyout", "ca.key", "-out", "ca.pem", cwd=self.dir)

    def issue(self, *names):
        self._serial += 1
        stem = f"s{self._serial}"
        (self.dir / f"{stem}.ext").write_text(f"subjectAltName={','.join(map(_san, names))}\nbasicConstraints=CA:FALSE\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=a server",
                 "-keyout", f"{stem}.key", "-out", f"{stem}.csr", cwd=self.dir)
        _openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", str(1000 + self._serial), "-days", "30",
                 "-extfile", f"{stem}.ext", "-out", f"{stem}.pem", cwd=self.dir)
        return self.dir / f"{stem}.pem", self.dir / f"{stem}.key"


@functools.cache
def shared():
    """The one that the servers of a whole run trust."""
    return CA()
