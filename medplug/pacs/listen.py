"""The listener as a whole: receives, answers, delivers, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from .. import state
from ..errors import CallError
from ..nodes import dicomweb, dimse
from ..nodes.needs import needs
from ..nodes.tls import client_context, server_context
from .answering import Answering, load_models
from .config import ListenConfig
from .delivering import Delivering
from .ledger import Ledger, Line
from .spool import Spool

_LOG = logging.getLogger("medplug.pacs")


def listen(config: ListenConfig, stop: threading.Event) -> None:
    """Serve until `stop` is set. Raises `CallError` for what the configuration names and cannot be used.

    Takes over the process: where medplug keeps its state, who may read what it writes, and what pynetdicom logs (it
    quotes what callers send).
    """
    os.environ[state.ENVIRONMENT] = str(config.state)  # the writers' record lies beside the queue
    os.umask(0o077)  # SQLite's files too: they hold UIDs of patients' studies
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    needs("pynetdicom")
    _look_at_certificates(config)
    from .receiver import Receiver

    with _usable(config.state):
        spool = Spool(config.state)
    with spool.alone(), ExitStack() as ending:
        ending.callback(spool.ledger.close)
        with _usable(config.state):
            spool.recover()
        receiver = Receiver(config, spool)
        try:
            receiver.start()  # before the models are loaded: callers need not wait for them
        except OSError as error:
            raise CallError(f"port: {config.bind}:{config.port} cannot be listened on: {error.strerror}") from None
        _LOG.info(
            "%s listens on %s:%d; results go to %s", config.ae_title, config.bind, config.port, config.destination
        )
        wake = threading.Event()
        delivering = Delivering(config, spool, wake)
        ending.callback(delivering.stop)
        delivering.start()
        ending.callback(receiver.stop)
        answering = Answering(config, spool, load_models(config), wake)
        ending.callback(answering.stop)
        answering.start()
        _LOG.info("models are loaded")
        stop.wait()
        _LOG.info("stopping")
        receiver.stop()


def check(config: ListenConfig, *, echo: bool = False) -> None:
    """Load the models and the certificates; with `echo`, ask the destination too. Raises what is wrong."""
    load_models(config)
    _look_at_certificates(config)
    if echo and config.destination.web:
        with dicomweb.talking(config.destination):
            dicomweb.client(config.destination).search_for_studies(limit=1)
    elif echo:
        dimse.echo(config.destination)


def queue(config: ListenConfig) -> list[Line]:
    """The studies of a listener, whether it runs or not."""
    with _ledger(config) as ledger:
        return ledger.lines(
            tuple(str(model.path) for model in config.models), config.quiet_seconds, config.retry.attempts
        )


def retry(config: ListenConfig, study: str) -> int:
    """Try again what failed or waits of a study, which is named as `queue` names it, or of `all`. Returns how many."""
    return _for_each(config, study, Ledger.retry)


def drop(config: ListenConfig, study: str) -> int:
    """Have the listener forget a study, and what of it has not been delivered. Returns how many there were."""
    return _for_each(config, study, Ledger.drop)


def _for_each(config: ListenConfig, study: str, act: Callable[[Ledger, str], None]) -> int:
    chosen = [line.study for line in queue(config) if study in ("all", line.study, line.short)]
    if not chosen and study != "all":
        raise CallError(f"no study {study} is in the queue; --status lists those that are")
    with _ledger(config) as ledger:
        for uid in chosen:
            act(ledger, uid)
    return len(chosen)


def _look_at_certificates(config: ListenConfig) -> None:
    """Raise `CallError` for a certificate, or its key, that cannot be used: ours, or one for the destination."""
    node = config.destination
    if config.tls is not None:
        server_context(config.tls.cert, config.tls.key, config.tls.ca)
    if node.tls:
        try:
            client_context(node.ca, node.cert, node.key)
        except CallError as error:
            raise CallError(f"send_to: {error}") from None


@contextmanager
def _ledger(config: ListenConfig) -> Iterator[Ledger]:
    file = config.state / "queue.sqlite"
    if not file.exists():
        raise CallError(f"state: no listener has worked in {config.state} yet")
    with _usable(file), closing(Ledger(file)) as ledger:
        yield ledger


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Raise `CallError` for a folder or a queue that cannot be used."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise CallError(f"state: {path} is no folder; name one") from None
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CallError(f"state: {path} cannot be used ({why}); free it, or name another folder") from None
