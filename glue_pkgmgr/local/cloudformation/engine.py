"""Which operation works on which stack: one at a time for each stack, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import Any

from glue_pkgmgr.local.cloudformation.maker import Inventory, Maker
from glue_pkgmgr.local.cloudformation.stacks import ChangeSet, Stack
from glue_pkgmgr.local.cloudformation.template import Blueprint
from glue_pkgmgr.local.cloudformation.work import Work

_log = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0


class Engine:
    """Works on stacks. `lock` guards what is told of them; `clients` returns boto3 clients of the stand-in."""

    def __init__(self, lock: threading.RLock, *, clients: Callable[[str], Any], inventory: Inventory) -> None:
        self._lock = lock
        self._clients = clients
        self._inventory = inventory
        self._closing = threading.Event()
        self._workers: list[threading.Thread] = []

    def close(self) -> None:
        """Let no further resource be made."""
        self._closing.set()
        for worker in self._workers:
            worker.join(_CLOSE_SECONDS)

    def execute(self, stack: Stack, change_set: ChangeSet) -> None:
        """Begin to make `stack` what `change_set` says; with the lock held."""
        work = self._work(stack, change_set.blueprint)
        if stack.blueprint is None:
            stack.turn("CREATE_IN_PROGRESS", "User Initiated")
            self._start(stack, lambda: work.create(change_set))
        else:
            stack.turn("UPDATE_IN_PROGRESS", "User Initiated")
            self._start(stack, lambda: work.update(change_set))

    def delete(self, stack: Stack, retained: Collection[str]) -> None:
        """Begin to remove `stack`, `retained` resources excepted; with the lock held."""
        stack.turn("DELETE_IN_PROGRESS", "User Initiated")
        work = self._work(stack, stack.last_blueprint)
        self._start(stack, lambda: work.delete(frozenset(retained)))

    def continue_rollback(self, stack: Stack, skipped: Collection[str]) -> None:
        """Begin once more to undo what a rollback has left, `skipped` resources excepted; with the lock held."""
        work = self._work(stack, stack.last_blueprint)
        work.steps = [step for step in stack.left if step.now.declared.id not in skipped]
        stack.left = []
        stack.turn("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self._start(stack, work.undo_update)

    def _work(self, stack: Stack, blueprint: Blueprint | None) -> Work:
        maker = Maker(blueprint.pseudo, self._clients, self._inventory) if blueprint else None
        return Work(stack=stack, blueprint=blueprint, maker=maker, lock=self._lock, closing=self._closing)

    def _start(self, stack: Stack, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception:  # the stack would be in progress for ever
                _log.exception("stack %s", stack.name)
                with self._lock:
                    stack.turn(stack.status.replace("_IN_PROGRESS", "_FAILED"), "the stand-in failed: see its log")

        worker = threading.Thread(target=run, name=f"stack {stack.name}", daemon=True)
        self._workers = [one for one in self._workers if one.is_alive()]
        self._workers.append(worker)
        worker.start()
