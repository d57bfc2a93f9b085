"""A wire in front of a server, which can be cut: connections are refused and the open ones end."""
import contextlib
import select
import socket
import threading

from server import free_port


class Wire:
    """Wire(port of the server): `port` is where others find it."""

    def __init__(self, to):
        self.to, self.port = to, free_port()
        self.lock, self.open, self.listener = threading.Lock(), set(), None
        self.mend()

    def mend(self):
        if self.listener:
            return
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        if not self.listener:
            return
        with self.lock:
            listener, self.listener = self.listener, None
            for s in self.open:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
        # Whoever waits in accept() holds the socket open: shutdown wakes them.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near, listener), daemon=True).start()

    def _carry(self, near, listener):
        with near, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to)) as far:
            with self.lock:
                if self.listener is not listener:
                    return
                self.open |= {near, far}
            try:
                other = {near: far, far: near}
                while True:
                    for s in select.select([near, far], [], [])[0]:
                        data = s.recv(65536)
                        if not data:
                            return
                        other[s].sendall(data)
            finally:
                with self.lock:
                    self.open -= {near, far}
