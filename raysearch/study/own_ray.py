"""How an own local Ray starts quickly, and ends whole: what Ray itself leaves to be wished for there."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before a driver may go on, Ray starts as many workers as there are cores; trials come too early to take one
# of them. Workers give way to the driver, which gives them their work, but not as far as Ray lets them (15):
# there whatever else there is goes first.
SETTINGS = {
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_niceness": "5",
    # A node that asks its own object store a moment too early, as most do, sleeps for a second.
    "RAY_raylet_client_connect_timeout_milliseconds": "50",
    "RAY_raylet_client_num_connect_attempts": "200",
}
# A head on this very machine that does not answer has died: Ray by itself waits a minute for it to come back.
ALONE = {"RAY_gcs_rpc_server_reconnect_timeout_s": "10"}
_DASHBOARD_NICENESS = 10  # while all cores train it comes a few seconds later, and watching it costs less
# Of these, an own Ray needs neither the autoscaler, which has nothing to scale and whose end Ray waits a
# second for, nor the one that sends the workers' logs to a driver that does not show them.
_STEPS = ("start_api_server", "start_ray_processes", "start_monitor", "start_log_monitor")
_LONGEST_START_S = 60.0
_LOOK_EVERY_S = 0.05
_ONE_STARTS = threading.Lock()

Stands = Callable[[str], None]  # told the dashboard's address, HOST:PORT, when it stands; "": it never will


class OwnRay:
    """A local Ray while it starts: its node first, and its dashboard behind the search's back.

    Ray waits for its dashboard before it starts its node, then in steps of a second for that.
    """

    def __init__(self, stands: Stands) -> None:
        self._stands = stands
        self._left = threading.Event()
        self._thread: threading.Thread | None = None
        self._node: Any = None
        self._dashboard: Callable[[], None] | None = None

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Let ``ray.init`` inside start no more than its node."""
        try:
            from ray._private.node import Node

            methods = {name: getattr(Node, name) for name in _STEPS}
        except (ImportError, AttributeError):  # another version of Ray
            yield
            _keep_token_private()
            return

        def later(node: Any, **words: Any) -> None:
            node._webui_url = ""  # not known yet
            self._node, self._dashboard = node, lambda: methods["start_api_server"](node, **words)

        def start(node: Any) -> None:
            _keep_token_private()
            try:
                methods["start_ray_processes"](node)
                importlib.import_module("raysearch.study.ray_engine")  # needed next, and there is time now
                _wait_for(node)
            except BaseException:
                # ray.shutdown does not know of a node that is not whole yet.
                node.kill_all_processes(check_alive=False, allow_graceful=False)
                raise

        changed = {"start_api_server": later, "start_ray_processes": start}
        with _ONE_STARTS, _replaced(Node, **{name: changed.get(name, _nothing) for name in _STEPS}):
            yield

    def started(self) -> None:
        """Begin to start the dashboard, now that the driver is connected."""
        if self._dashboard is None:
            return
        with _in_the_background(), _not_waited_for():
            self._dashboard()
        self._thread = threading.Thread(target=self._watch, name="raysearch-dashboard", daemon=True)
        self._thread.start()

    def left(self) -> None:
        """End the dashboard with all its processes; Ray would leave those of one that is half started."""
        self._left.set()
        for process in self._processes():
            with contextlib.suppress(OSError):
                if os.getpgid(process.pid) == process.pid:
                    os.killpg(process.pid, signal.SIGKILL)
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        from ray._private import ray_constants as names

        until = time.monotonic() + _LONGEST_START_S
        address = ""
        while not address and time.monotonic() < until and self._processes() and not self._left.is_set():
            time.sleep(_LOOK_EVERY_S)
            with contextlib.suppress(Exception):  # it is asked again
                store = self._node.get_gcs_client()
                found = store.internal_kv_get(
                    names.DASHBOARD_ADDRESS.encode(), names.KV_NAMESPACE_DASHBOARD, timeout=5
                )
                address = (found or b"").decode()
                self._node._webui_url = address
                store.internal_kv_put(b"webui:url", address.encode(), True, names.KV_NAMESPACE_DASHBOARD)
        if not self._left.is_set():
            self._stands(address)

    def _processes(self) -> list[Any]:
        """Return those of the dashboard's that Ray knows, as far as they live."""
        known = self._node.all_processes.get("dashboard", ()) if self._node is not None else ()
        return [one.process for one in known if one.process.poll() is None]


def _keep_token_private() -> None:
    """Let nobody else of the machine read the token that Ray has made for its clusters, and use them."""
    token = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError, RuntimeError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


@contextlib.contextmanager
def _replaced(place: Any, **parts: Any) -> Iterator[None]:
    """Let a module or class have other parts inside, and put back what was there."""
    before = {name: getattr(place, name) for name in parts}
    try:
        for name, part in parts.items():
            setattr(place, name, part)
        yield
    finally:
        for name, part in before.items():
            setattr(place, name, part)


def _nothing(node: Any) -> None:
    pass


def _wait_for(node: Any) -> None:
    """Wait until a node is known to the cluster. Ray looks once a second."""
    until = time.monotonic() + _LONGEST_START_S
    with contextlib.suppress(Exception):  # another version of Ray: then it looks by itself
        store = node.get_gcs_client()
        (raylet,) = node.all_processes["raylet"]
        while not store.get_all_node_info(timeout=5) and time.monotonic() < until:
            if raylet.process.poll() is not None:
                return  # Ray tells what is wrong
            time.sleep(_LOOK_EVERY_S)


@contextlib.contextmanager
def _not_waited_for() -> Iterator[None]:
    """Let Ray start its dashboard without waiting until that tells where it is."""
    from ray._private.ray_constants import DASHBOARD_ADDRESS
    from ray.experimental import internal_kv

    asked = internal_kv._internal_kv_get

    def answer(key: Any, **words: Any) -> Any:
        return b"" if key == DASHBOARD_ADDRESS else asked(key, **words)

    with _replaced(internal_kv, _internal_kv_get=answer):
        yield


@contextlib.contextmanager
def _in_the_background() -> Iterator[None]:
    """Let processes that Ray starts inside give way to workers, in a group of their own.

    Ctrl-C, which a terminal sends to all of its foreground group, does not reach them: half started, Ray's
    dashboard would stay so.
    """
    from ray._private import services

    own = getattr(services, "ConsolePopen", None)
    if own is None or os.name != "posix":  # another version of Ray
        yield
        return

    def start(*words: Any, preexec_fn: Callable[[], None] | None = None, **named: Any) -> Any:
        def begin() -> None:
            os.setpgid(0, 0)
            os.nice(_DASHBOARD_NICENESS)
            if preexec_fn is not None:
                preexec_fn()

        return own(*words, preexec_fn=begin, **named)

    with _replaced(services, ConsolePopen=start):
        yield


@contextlib.contextmanager
def garbage_left() -> Iterator[None]:
    """Let no thread collect garbage meanwhile.

    An object reference that another thread lets go of while Ray shuts down ends the process, without a word.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
