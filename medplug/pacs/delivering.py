"""Results go to the destination, again and again until it has them."""

from __future__ import annotations

import logging
import threading
import time

from ..errors import MedplugError, NodeError
from .answering import pause
from .config import ListenConfig
from .ledger import short
from .send import deliver, outgoing
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
        self._reached = True
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
        ledger = self._spool.ledger
        due = {
            self._spool.result(study, sha256): (uid, study, tried)
            for uid, study, sha256, tried in ledger.outbox(_TOGETHER)
        }
        files = [path for path in due if path.exists()]
        for uid, _, _ in (due[path] for path in due if not path.exists()):  # else its study has just been dropped
            ledger.undelivered(uid, time.time() + self._config.retry.longest_seconds, "its file is gone")
        left = dict.fromkeys(files)
        try:
            for sent in deliver(list(outgoing(files)), self._node):
                del left[sent.path]
                uid, study, tried = due[sent.path]
                if sent.refused is None:
                    ledger.delivered(uid)
                    sent.path.unlink(missing_ok=True)
                    _LOG.info("study %s: a result was delivered", short(study))
                else:
                    ledger.undelivered(uid, time.time() + pause(tried, self._config), sent.refused)
                    _LOG.warning("study %s: %s refused a result: %s", short(study), self._node, sent.refused)
                self._say_reached(None)
                if self._stop.is_set():
                    return False
        except NodeError as error:
            self._say_reached(error)
            for path in left:
                uid, _, tried = due[path]
                ledger.undelivered(uid, time.time() + pause(tried, self._config), str(error))
            return False
        return bool(files)

    def _say_reached(self, error: MedplugError | None) -> None:
        """Say once that the destination has gone, and once that it is back."""
        if error is not None and self._reached:
            _LOG.error("%s; results wait and are sent when it is back", error)
        elif error is None and not self._reached:
            _LOG.info("%s is back", self._node)
        self._reached = error is None
