"""A head without cores, and Ray's own autoscaler, which starts nodes for it: real raylets on this machine.

Ray's helper for that, ``AutoscalingCluster``, ends every Ray of the machine, before and after.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos import family_tree
from fault_rig import free_port, wait_until
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE

_RAY = str(Path(sys.executable).with_name("ray"))
_HERE = Path(__file__).parent
_STORE = 80_000_000
_IDLE_S = 4


@dataclass(frozen=True)
class GrowingCluster:
    """A cluster of which only the head runs until somebody asks for more.

    Attributes:
        newer: its autoscaler is Ray's second one.
    """

    address: str
    env: dict[str, str]
    newer: bool

    def tune(self, place: Path, *words: str) -> subprocess.Popen[str]:
        """Begin a study on it, as a user would, without a record."""
        command = [sys.executable, "-m", "raysearch", "tune", "--address", self.address, "--no-tracking"]
        return subprocess.Popen(
            [*command, "--home", str(place / "studies"), *words],
            env=self.env,
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def drive(self, place: Path) -> subprocess.Popen[str]:
        """Begin a search whose trials are slow until a second node runs some."""
        command = [sys.executable, str(_HERE / "growing_driver.py"), str(place), self.address]
        return subprocess.Popen(
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def status(self) -> str:
        """Return what the autoscaler tells of the nodes, and of what it is asked for."""
        command = [_RAY, "status", "--address", self.address]
        for last in (False, False, True):  # the head may not answer at once
            told = subprocess.run(command, env=self.env, check=last, capture_output=True, text=True)
            if told.returncode == 0:
                break
        return told.stdout

    def is_asked(self) -> bool:
        return "pending placement groups" in self.status()

    def wait_until_not_asked(self) -> None:
        """Wait until nobody asks: its status is told anew once a second, or later on a busy machine."""
        wait_until(lambda: not self.is_asked(), "nothing is asked for", 120)

    def nodes(self) -> int:
        """Return how many nodes run beside the head."""
        told = self.status().partition("Pending:")[0]
        return sum(int(line.split()[0]) for line in told.splitlines() if line.endswith(" small"))


@contextlib.contextmanager
def growing_cluster(place: Path, *, newer: bool) -> Iterator[GrowingCluster]:
    """Start a head whose autoscaler may start two nodes of one core; all that it has started ends again."""
    port, scratch = free_port(), tempfile.mkdtemp(prefix="rs-", dir="/tmp")  # sockets take no long path
    (place / "autoscaling.json").write_text(json.dumps(_settings(f"127.0.0.1:{port}")))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "RAYSEARCH_"))}
    env = {**kept, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    own = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "AUTOSCALER_METRIC_PORT": "0"}
    own |= {
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        "PYTHONPATH": f"{_HERE}:{_HERE.parents[1]}",
    }
    if newer:  # as `ray up` and KubeRay start it
        own |= {"RAY_enable_autoscaler_v2": "1", "RAY_NODE_TYPE_NAME": FAKE_HEAD_NODE_TYPE}
        own["RAY_CLOUD_INSTANCE_ID"] = FAKE_HEAD_NODE_ID
    command = [_RAY, "start", "--head", "--block", f"--port={port}", "--node-ip-address=127.0.0.1"]
    command += [
        "--num-cpus=0",
        f"--object-store-memory={_STORE}",
        "--include-dashboard=false",
        f"--dashboard-port={free_port()}",
    ]
    command += [
        f"--temp-dir={scratch}",
        "--dashboard-agent-listen-port=0",
        f"--ray-client-server-port={free_port()}",
    ]
    command += [
        "--min-worker-port=0",
        "--max-worker-port=0",
        f"--autoscaling-config={place}/autoscaling.json",
    ]
    with (place / "head.log").open("w") as log:
        head = subprocess.Popen(
            command, env={**env, **own}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        cluster = GrowingCluster(f"127.0.0.1:{port}", env, newer)
        wait_until(lambda: _is_up(cluster, head), "the autoscaler tells of its head")
        yield cluster
    finally:
        _end(head)
        shutil.rmtree(scratch, ignore_errors=True)


def _is_up(cluster: GrowingCluster, head: subprocess.Popen[bytes]) -> bool:
    assert head.poll() is None, "the head does not start"
    with contextlib.suppress(subprocess.CalledProcessError):
        return f" {FAKE_HEAD_NODE_TYPE}" in cluster.status()
    return False


def _settings(address: str) -> dict[str, object]:
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    small = {"CPU": 1, "memory": 1_000_000_000, "object_store_memory": _STORE}
    nodes = {"resources": small, "node_config": {}, "min_workers": 0, "max_workers": 2}
    empty: dict[str, object] = {
        **{key: {} for key in ("auth", "docker", "file_mounts")},
        **{key: [] for key in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
        **{key: [] for key in ("initialization_commands", "setup_commands")},
        **{f"{kind}_setup_commands": [] for kind in ("head", "worker")},
        **{f"{kind}_start_ray_commands": [] for kind in ("head", "worker")},
    }
    return {
        **empty,
        "cluster_name": "grows",
        "provider": {
            "type": "external",
            "module": "growing_provider.Provider",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "gcs_address": address,
            "head_node_id": FAKE_HEAD_NODE_ID,
        },
        "max_workers": 2,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": _IDLE_S / 60,
        "available_node_types": {FAKE_HEAD_NODE_TYPE: head, "small": nodes},
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "file_mounts_sync_continuously": False,
    }


def _end(head: subprocess.Popen[bytes]) -> None:
    """End a head with all that is below it, which would be nobody's after its own end."""
    below = {pid: _begun(pid) for pid in family_tree(head.pid)}
    head.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(10)
    until = time.monotonic() + 3
    while (left := [pid for pid, begun in below.items() if begun and _begun(pid) == begun]) and (
        time.monotonic() < until
    ):
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    head.wait()


def _begun(pid: int) -> str:
    """Return when a process began; empty: it lives no more. An id alone can be another's later."""
    with contextlib.suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else fields[18]
    return ""
