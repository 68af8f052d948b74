"""Results go to the destination, again and again until it has them."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from ..errors import CallError, MedplugError, NodeError
from .answering import pause
from .config import ListenConfig
from .ledger import Due, short
from .send import DUPLICATE, Sent, deliver, outgoing
from .spool import Spool

_LOG = logging.getLogger("medplug.pacs")
_TOGETHER = 100
_IDLE_SECONDS = 0.5


class Delivering:
    """The thread that sends. What it sent and could not note, because the process died, it sends again."""

    def __init__(self, config: ListenConfig, spool: Spool, wake: threading.Event) -> None:
        self._config, self._spool, self._wake = config, spool, wake
        self._node = config.destination
        self._stop = threading.Event()
        self._reached, self._away = True, 0  # how often in a row nothing could be sent
        self._thread = threading.Thread(target=self._work, name="medplug-deliver")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End when the instance that is being sent is sent."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            busy = False
            try:
                busy = self._deliver()
            except Exception:  # a full disk, say: the results wait, and the thread lives
                _LOG.exception("results cannot be delivered")
            if not busy:
                self._wake.wait(_IDLE_SECONDS)
                self._wake.clear()

    def _deliver(self) -> bool:
        """Send what is due; False where nothing is, or the node cannot be reached."""
        left = self._due()
        if left:
            self._spool.ledger.sending(list(left.values()))
        broken: list[Due] = []  # on these the node broke off, without taking anything between them
        taken = False
        while left:
            try:
                for sent in deliver(list(outgoing(left)), self._node):
                    self._say_reached(None)
                    self._note(sent, left.pop(sent.path))
                    broken, taken, self._away = [], True, 0
                    if self._stop.is_set():
                        return False
            except (NodeError, CallError) as error:  # a certificate that is not there, say, is a wrong call
                path = next(iter(left))
                one = left.pop(path)
                self._undelivered(one, str(error))
                if taken:
                    _LOG.warning("study %s: a result waits: %s", short(one.study), error)
                else:
                    self._say_reached(error)
                broken.append(one)
                if len(broken) == 2 or self._stop.is_set():  # then it is the node, and not one of them
                    reason = f"{self._node}: broke off" if path.name in str(error) else str(error)
                    self._away += 1
                    after = time.time() + pause(self._away, self._config)
                    self._spool.ledger.postponed([*broken, *left.values()], after, reason)
                    return False
        return taken

    def _due(self) -> dict[Path, Due]:
        """What is to be sent now, by its file."""
        found = {}
        for one in self._spool.ledger.outbox(_TOGETHER):
            path = self._spool.result(one.study, one.sha256)
            if path.exists():
                found[path] = one
            elif self._spool.ledger.lost(one.uid, one.sha256):  # else its study has just been dropped
                _LOG.error("study %s: the file of a result is gone; the study is answered anew", short(one.study))
        return found

    def _note(self, sent: Sent, one: Due) -> None:
        """Note what became of a result. A node that says that it has its UID has it: the bytes follow from that."""
        if sent.refused is None or sent.status == DUPLICATE:
            self._spool.ledger.delivered(one.uid, one.sha256)
            sent.path.unlink(missing_ok=True)
            _LOG.info("study %s: a result was delivered", short(one.study))
        else:
            self._undelivered(one, sent.refused)
            _LOG.warning("study %s: %s refused a result: %s", short(one.study), self._node, sent.refused)

    def _undelivered(self, one: Due, reason: str) -> None:
        after = time.time() + pause(one.tried, self._config)
        self._spool.ledger.undelivered(one.uid, one.sha256, after, reason)

    def _say_reached(self, error: MedplugError | None) -> None:
        """Say once that the destination has gone, and once that it is back."""
        if error is not None and self._reached:
            _LOG.error("%s; results wait and are sent when it is back", error)
        elif error is None and not self._reached:
            _LOG.info("%s is back", self._node)
        self._reached = error is None
