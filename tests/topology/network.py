"""The network of the hosts: a namespace each, on one bridge; without root's rights the loopback instead, said aloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SUBNET = "10.77"


@dataclass
class Network:
    """``base``: the address of this machine's side, on which the services listen."""

    base: str
    tag: str = ""
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def separate(self) -> bool:
        return bool(self.tag)

    def add(self, name: str, number: int) -> str:
        """Make the network of a host; its address."""
        if not self.separate:
            self.hosts[name] = "127.0.0.1"
            return "127.0.0.1"
        address = f"{self.base.rpartition('.')[0]}.{10 + number}"
        space, outer, inner = f"{self.tag}-{number}", f"{self.tag}o{number}", f"{self.tag}i{number}"
        _ip("netns", "add", space)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        _ip("link", "set", inner, "netns", space)
        _ip("link", "set", outer, "master", self.tag, "up")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", inner)
        _ip("-n", space, "link", "set", inner, "up")
        self.hosts[name] = address
        return address

    def prefix(self, name: str) -> list[str]:
        """The words before a command that is to run in the host's network."""
        return ["ip", "netns", "exec", f"{self.tag}-{self._number(name)}"] if self.separate else []

    def cut(self, name: str) -> None:
        """Pull the cable of a host."""
        _ip("link", "set", f"{self.tag}o{self._number(name)}", "down")

    def mend(self, name: str) -> None:
        _ip("link", "set", f"{self.tag}o{self._number(name)}", "up")

    def _number(self, name: str) -> int:
        return int(self.hosts[name].rpartition(".")[2]) - 10

    def remove(self) -> None:
        for name in self.hosts if self.separate else ():
            _ip("netns", "del", f"{self.tag}-{self._number(name)}", check=False)
        if self.separate:
            _ip("link", "del", self.tag, check=False)


@contextmanager
def network() -> Iterator[Network]:
    """A network of our own until the block ends."""
    made = _separate() or Network("127.0.0.1")
    if not made.separate:
        print(
            "\n*** NO NETWORK NAMESPACES HERE (root and `ip` are needed): the hosts share the loopback, and nothing is "
            "cut off from the network.",
            file=sys.stderr,
        )
    try:
        yield made
    finally:
        made.remove()


def _separate() -> Network | None:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return None
    tag = f"omi{uuid.uuid4().hex[:5]}"
    for third in range(1, 250):  # a subnet that nobody uses here
        base = f"{SUBNET}.{third}.1"
        if base in subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True, check=False).stdout:
            continue
        try:
            _ip("link", "add", tag, "type", "bridge")
            _ip("addr", "add", f"{base}/24", "dev", tag)
            _ip("link", "set", tag, "up")
            _ip("netns", "add", f"{tag}-0")
            _ip("netns", "del", f"{tag}-0")
        except OSError:
            _ip("link", "del", tag, check=False)
            return None
        return Network(base, tag)
    return None


def _ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def members(marker: str) -> list[int]:
    """The processes whose environment holds ``marker`` (``NAME=value``)."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marker.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
