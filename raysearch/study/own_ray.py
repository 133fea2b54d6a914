"""How an own local Ray starts quickly, and ends whole: what Ray itself leaves to be wished for there."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def node_beside_dashboard() -> Iterator[None]:
    """Let an own local Ray start its node before it waits for its dashboard, which takes as long again.

    Ray waits for the dashboard first.
    """
    try:
        from ray._private.node import Node

        dashboard, node = Node.start_api_server, Node.start_ray_processes
    except (ImportError, AttributeError):  # another version of Ray
        yield
        return
    wanted: dict[str, Any] = {}

    def start_dashboard(self: Any, **words: Any) -> None:
        self._webui_url = ""  # not known yet
        wanted.update(words)

    def start_node(self: Any) -> None:
        try:
            node(self)
            if wanted:
                with _deaf_to_ctrl_c():
                    dashboard(self, **wanted)
        except BaseException:
            # ray.shutdown does not know of a node that is not whole yet.
            self.kill_all_processes(check_alive=False, allow_graceful=False)
            raise

    Node.start_api_server, Node.start_ray_processes = start_dashboard, start_node
    try:
        yield
    finally:
        Node.start_api_server, Node.start_ray_processes = dashboard, node


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that Ray starts inside ignore Ctrl-C, which a terminal sends to all of a command.

    Ray has it blocked for them. In its dashboard Python lifts that again: half started, it would stay so, and
    Ray would wait a minute for it.
    """
    from ray._private import services

    own = getattr(services, "ConsolePopen", None)
    if own is None or os.name != "posix":  # another version of Ray
        yield
        return

    def start(*words: Any, preexec_fn: Callable[[], None] | None = None, **named: Any) -> Any:
        def begin() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if preexec_fn is not None:
                preexec_fn()

        return own(*words, preexec_fn=begin, **named)

    services.ConsolePopen = start
    try:
        yield
    finally:
        services.ConsolePopen = own


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


def end_autoscaler() -> None:
    """End the autoscaler of an own local Ray, which has nothing to scale.

    Ray ends it after the process that it wants to report its end to, and so waits for it a second in vain.
    """
    with contextlib.suppress(Exception):  # another version of Ray: then it waits
        from ray._private import worker

        for monitor in getattr(worker._global_node, "all_processes", {}).get("monitor", ()):
            monitor.process.kill()
