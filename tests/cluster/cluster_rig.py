"""Three hosts on this machine, with their own addresses, processes and sshd, for a real ``ray up``."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
_TOOLS = {"ip": "iproute2", "sshd": "openssh-server", "rsync": "rsync", "ps": "procps"}
_SLOW_S = 300


def missing() -> str:
    """Tell why hosts cannot be made here; empty: they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts need Linux and root: they are network, mount and process namespaces"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    packages = [package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None]
    if packages:
        return f"hosts need Debian's packages: apt-get install -y {' '.join(packages)}"
    name, env = f"rsprobe{os.getpid()}", {**os.environ, "PATH": path}
    probe = subprocess.run(["ip", "netns", "add", name], capture_output=True, env=env)
    if probe.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], env=env, check=True)
        words = ["unshare", "--net", "--mount", "--pid", "--fork", "true"]
        probe = subprocess.run(words, capture_output=True, env=env)
    return (
        "" if probe.returncode == 0 else f"namespaces are not allowed here: {probe.stderr.decode().strip()}"
    )


@dataclass(frozen=True)
class Rig:
    """Hosts 1 to 3; 0 is this machine on their network, the laptop of whoever starts a cluster.

    Attributes:
        home: the laptop's home directory.
    """

    env: dict[str, str]
    home: Path

    @property
    def state(self) -> Path:
        """Return where the script keeps all that is the hosts'."""
        return Path("/var/lib", f"{self.env['RIG']}-hosts")

    @property
    def shared(self) -> Path:
        """Return a directory that all hosts see."""
        place = self.state / "shared"
        place.mkdir(exist_ok=True)
        return place

    def hosts(self, *words: str, timeout: float = _SLOW_S, check: bool = True, place: Path = PROJECT) -> str:
        """Run a verb of the script in a directory; return what it printed."""
        done = subprocess.run(
            [str(HERE / "hosts"), *words],
            env=self.env,
            cwd=place,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(
                f"hosts {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def on(self, host: int, *words: str, **named: object) -> str:
        """Run a command on a host's console."""
        return self.hosts("exec", str(host), *words, **named)  # type: ignore[arg-type]

    def begin(self, host: int, *words: str) -> subprocess.Popen[str]:
        """Begin a command on a host's console."""
        return subprocess.Popen(
            [str(HERE / "hosts"), "exec", str(host), *words],
            env=self.env,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def address(self, host: int) -> str:
        return self.hosts("ip", str(host)).strip()


def wait_for(holds: Callable[[], bool], what: str, timeout_s: float = 300.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.5)


@contextlib.contextmanager
def hosts_up(home: Path) -> Iterator[Rig]:
    """Make three hosts, and a laptop with a home directory; they go again."""
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "RAYSEARCH_"))},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "RIG": f"rs{os.getpid()}",
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
    }
    made = Rig(env, home)
    try:
        made.hosts("up", "3")
        yield made
    finally:
        made.hosts("down")


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    if why := missing():
        pytest.skip(why)
    with hosts_up(tmp_path_factory.mktemp("laptop")) as made:
        yield made


def page() -> list[str]:
    """Return the commands of docs/clusters.md, block by block."""
    text = (PROJECT / "docs" / "clusters.md").read_text()
    return [textwrap.dedent(block) for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]


def cluster_file(rig: Rig, place: Path) -> Path:
    """Fill in the project's own cluster.yaml, as docs/clusters.md says; nodes get one core each."""
    plain = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    plain["provider"].update(head_ip=rig.address(1), worker_ips=[rig.address(2), rig.address(3)])
    plain["auth"] = {"ssh_user": "root", "ssh_private_key": str(rig.state / "ssh" / "id_ed25519")}
    plain["file_mounts"]["~/raysearch"] = str(PROJECT)
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        plain[commands] = [
            line.replace("ray start", "ray start --num-cpus=1 --object-store-memory=200000000")
            for line in plain[commands]
        ]
    file = place / "cluster.yaml"
    file.write_text(yaml.safe_dump(plain))
    return file
