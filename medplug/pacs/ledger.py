"""What the listener has promised, in SQLite: the studies, their instances, the answers and the results to deliver.

No state is stored that the facts do not say: a study is answered when the revision that a model answered is its own.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS study (
    uid TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,            -- counts changes of its instances
    heard REAL NOT NULL,                  -- when the last of them came
    dropped INTEGER NOT NULL DEFAULT 0    -- a human wants it forgotten
);
CREATE TABLE IF NOT EXISTS instance (
    study TEXT NOT NULL REFERENCES study(uid) ON DELETE CASCADE,
    uid TEXT NOT NULL,                    -- unique in its study: a device that repeats it in another takes nothing away
    sha256 TEXT NOT NULL,                 -- of its content, and the name of its file
    PRIMARY KEY (study, uid)
);
CREATE TABLE IF NOT EXISTS answer (
    study TEXT NOT NULL REFERENCES study(uid) ON DELETE CASCADE,
    model TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0,  -- of the study that was answered last
    begun INTEGER NOT NULL DEFAULT 0,     -- runs since then, those that a kill cut off among them
    failed INTEGER NOT NULL DEFAULT 0,    -- those of them that ended in a failure
    after REAL NOT NULL DEFAULT 0,        -- when to try again
    reason TEXT,
    PRIMARY KEY (study, model)
);
CREATE TABLE IF NOT EXISTS result (
    uid TEXT PRIMARY KEY,
    study TEXT NOT NULL,                  -- outlives it: the same answer is not sent again
    model TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    sent REAL,                            -- when the destination had it
    tried INTEGER NOT NULL DEFAULT 0,
    after REAL NOT NULL DEFAULT 0,
    reason TEXT
);
CREATE TABLE IF NOT EXISTS ours (
    uid TEXT PRIMARY KEY                  -- of a result before it was sent: what comes back must be known
);
CREATE INDEX IF NOT EXISTS result_unsent ON result(after) WHERE sent IS NULL;
"""

CUT_OFF = 20
"""A study that a model began so often and never ended, because the process died each time, is set aside as well."""


def short(uid: str) -> str:
    """A study as logs name it."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Work:
    """A study that a model is to answer."""

    study: str
    revision: int
    begun: int
    failed: int


@dataclass(frozen=True)
class Due:
    """A result that is to be delivered, and how often that has been tried."""

    uid: str
    study: str
    sha256: str
    tried: int


@dataclass(frozen=True)
class Line:
    """A study as `--status` shows it."""

    study: str
    short: str
    state: str
    instances: int
    unsent: int
    sent: int
    reason: str | None


class Ledger:
    """The queue. Its threads share one connection; another process may read it, and ask for a retry.

    Whoever creates or removes files that it names holds `lock` from before until the transaction is committed.
    """

    def __init__(self, file: Path) -> None:
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or, after an exception, nothing."""
        with self.lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask."""
        with self.lock:
            return self._connection.execute(query, values).fetchall()

    # Receiving

    def has(self, study: str, uid: str, sha256: str) -> bool:
        """Whether a study has an instance with this content, or it is a result of ours that comes back."""
        return bool(
            self.rows(
                "SELECT 1 FROM instance WHERE study = ? AND uid = ? AND sha256 = ? "
                "UNION SELECT 1 FROM ours WHERE uid = ?",
                *(study, uid, sha256, uid),
            )
        )

    def received(self, study: str, uid: str, sha256: str) -> None:
        """An instance is here: its study has changed, what failed on it may be tried anew, and nobody dropped this."""
        with self.change() as tables:
            tables.execute(
                "INSERT INTO study (uid, revision, heard) VALUES (?, 1, ?) "
                "ON CONFLICT (uid) DO UPDATE SET revision = revision + 1, heard = excluded.heard, dropped = 0",
                (study, time.time()),
            )
            tables.execute(
                "INSERT OR REPLACE INTO instance (study, uid, sha256) VALUES (?, ?, ?)", (study, uid, sha256)
            )
            tables.execute(
                "UPDATE answer SET begun = 0, failed = 0, after = 0, reason = NULL WHERE study = ?", (study,)
            )

    # Answering

    def due(self, model: str, quiet: float, attempts: int) -> Work | None:
        """The study that has waited longest for a model."""
        found = self.rows(
            "SELECT uid, study.revision, COALESCE(begun, 0), COALESCE(failed, 0) "
            "FROM study LEFT JOIN answer ON study = uid AND model = ? "
            "WHERE heard + ? <= ? AND NOT dropped AND COALESCE(answer.revision, 0) < study.revision "
            "AND COALESCE(failed, 0) < ? AND COALESCE(begun, 0) < ? AND COALESCE(after, 0) <= ? "
            "ORDER BY COALESCE(begun, 0), heard LIMIT 1",
            *(model, quiet, time.time(), attempts, CUT_OFF, time.time()),
        )
        return Work(*found[0]) if found else None

    def instances(self, study: str) -> list[str]:
        """The content's SHA-256 of each of a study's instances, by their UIDs."""
        return [sha256 for (sha256,) in self.rows("SELECT sha256 FROM instance WHERE study = ? ORDER BY uid", study)]

    def begin(self, work: Work, model: str, after: float) -> None:
        """A run begins; should the process die in it, the next is not before `after`."""
        with self.change() as tables:
            tables.execute(
                "INSERT INTO answer (study, model, begun, after) VALUES (?, ?, 1, ?) "
                "ON CONFLICT (study, model) DO UPDATE SET begun = begun + 1, after = excluded.after",
                (work.study, model, after),
            )

    def interrupted(self, work: Work, model: str, after: float = 0, reason: str | None = None) -> None:
        """A run was broken off, on purpose or for a reason that does not lie in its study; it does not count."""
        with self.change() as tables:
            tables.execute(
                "UPDATE answer SET begun = MAX(begun - 1, 0), after = ?, reason = ? WHERE study = ? AND model = ?",
                (after, reason, work.study, model),
            )

    def failed(self, work: Work, model: str, after: float, reason: str, results: dict[str, str]) -> bool:
        """A run failed; what it answered nevertheless goes out. False, and nothing, if the study changed."""
        with self.change() as tables:
            if not self._is_of_now(tables, work):
                return False
            tables.execute(
                "UPDATE answer SET failed = failed + 1, after = ?, reason = ? WHERE study = ? AND model = ?",
                (after, reason, work.study, model),
            )
            self._results(tables, work, model, results)
            return True

    def answered(self, work: Work, model: str, results: dict[str, str], reason: str | None = None) -> bool:
        """A run ended: its results, SHA-256 by UID, are to be delivered, and of those before none that still waits.

        `reason` says why there are none. False, and nothing, if the study changed.
        """
        with self.change() as tables:
            if not self._is_of_now(tables, work):
                return False
            tables.execute(
                "UPDATE answer SET revision = ?, begun = 0, failed = 0, after = 0, reason = ? "
                "WHERE study = ? AND model = ?",
                (work.revision, reason, work.study, model),
            )
            waiting = tables.execute(
                "SELECT uid FROM result WHERE study = ? AND model = ? AND sent IS NULL", (work.study, model)
            ).fetchall()
            tables.executemany("DELETE FROM result WHERE uid = ?", [(uid,) for (uid,) in waiting if uid not in results])
            self._results(tables, work, model, results)
            return True

    @staticmethod
    def _is_of_now(tables: sqlite3.Connection, work: Work) -> bool:
        """Whether a study is as it was when a run of it began."""
        now = tables.execute("SELECT revision FROM study WHERE uid = ?", (work.study,)).fetchone()
        return now is not None and now[0] == work.revision

    @staticmethod
    def _results(tables: sqlite3.Connection, work: Work, model: str, results: dict[str, str]) -> None:
        """A result that has been sent as it is stays sent; the same answer has the same UID and the same bytes."""
        for uid, sha256 in results.items():
            tables.execute(
                "INSERT INTO result (uid, study, model, sha256) VALUES (?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE "
                "SET sha256 = excluded.sha256, sent = NULL, tried = 0, after = 0 WHERE sha256 <> excluded.sha256",
                (uid, work.study, model, sha256),
            )

    # Delivering

    def outbox(self, most: int) -> list[Due]:
        """Results that are to be delivered now: first those that failed least, of them those that wait longest.

        So one on which the destination breaks off each time does not stand before the others each time.
        """
        found = self.rows(
            "SELECT uid, study, sha256, tried FROM result WHERE sent IS NULL AND after <= ? "
            "AND NOT EXISTS (SELECT 1 FROM study WHERE study.uid = result.study AND dropped) "
            "ORDER BY tried, after, rowid LIMIT ?",
            *(time.time(), most),
        )
        return [Due(*one) for one in found]

    def sending(self, results: list[Due]) -> None:
        """These are about to be sent: whatever becomes of that and of their study, they may come back."""
        with self.change() as tables:
            tables.executemany("INSERT OR IGNORE INTO ours (uid) VALUES (?)", [(one.uid,) for one in results])

    def delivered(self, uid: str, sha256: str) -> None:
        """The destination has it; what has been made anew with this UID meanwhile is still to be sent."""
        with self.change() as tables:
            tables.execute(
                "UPDATE result SET sent = ?, reason = NULL WHERE uid = ? AND sha256 = ?", (time.time(), uid, sha256)
            )

    def undelivered(self, uid: str, sha256: str, after: float, reason: str) -> None:
        """The destination does not have it yet."""
        with self.change() as tables:
            tables.execute(
                "UPDATE result SET tried = tried + 1, after = ?, reason = ? WHERE uid = ? AND sha256 = ?",
                (after, reason, uid, sha256),
            )

    def postponed(self, results: list[Due], after: float, reason: str) -> None:
        """The destination is away, and these wait for it together."""
        with self.change() as tables:
            tables.executemany(
                "UPDATE result SET after = ?, reason = ? WHERE uid = ? AND sha256 = ?",
                [(after, reason, one.uid, one.sha256) for one in results],
            )

    def lost(self, uid: str, sha256: str) -> bool:
        """The file of a result that waits is gone: have its study answered anew. False if it waits no more."""
        with self.change() as tables:
            gone = tables.execute(
                "DELETE FROM result WHERE uid = ? AND sha256 = ? AND sent IS NULL RETURNING study, model", (uid, sha256)
            ).fetchone()
            if gone is not None:
                tables.execute("UPDATE answer SET revision = 0, after = 0 WHERE study = ? AND model = ?", gone)
            return gone is not None

    # Keeping and forgetting

    def finished(self, models: tuple[str, ...], keep: float) -> list[str]:
        """Studies whose answers all were delivered `keep` seconds ago, and those that a human dropped."""
        condition, values = self._finished(models, keep)
        return [uid for (uid,) in self.rows(f"SELECT uid FROM study WHERE {condition}", *values)]

    def forget(self, study: str, models: tuple[str, ...], keep: float) -> bool:
        """Remove a study if it is finished still; False, and nothing, where something came to it meanwhile.

        Of its results, the UIDs of those that may have been sent stay, so that they are known when they come back.
        """
        condition, values = self._finished(models, keep)
        with self.change() as tables:
            if not tables.execute(f"DELETE FROM study WHERE uid = ? AND ({condition})", (study, *values)).rowcount:
                return False
            tables.execute("DELETE FROM result WHERE study = ? AND sent IS NULL", (study,))
            return True

    @staticmethod
    def _finished(models: tuple[str, ...], keep: float) -> tuple[str, tuple[object, ...]]:
        """What `finished` asks of a study, in SQL, and the values in it."""
        marks = ", ".join("?" * len(models))
        answered = (
            "SELECT COUNT(*) FROM answer WHERE answer.study = study.uid AND answer.revision = study.revision "
            f"AND model IN ({marks})"
        )
        condition = (
            f"dropped OR (({answered}) = ? "
            "AND NOT EXISTS (SELECT 1 FROM result WHERE result.study = study.uid AND sent IS NULL) "
            "AND MAX(heard, COALESCE((SELECT MAX(sent) FROM result WHERE result.study = study.uid), 0)) + ? <= ?)"
        )
        return condition, (*models, len(models), keep, time.time())

    # For a human

    def lines(self, models: tuple[str, ...], quiet: float, attempts: int) -> list[Line]:
        """Every study, the oldest first, with its state: collecting, waiting, sending, failed, or done."""
        found = []
        for uid, revision, heard in self.rows("SELECT uid, revision, heard FROM study ORDER BY heard"):
            answers = {
                model: (done, begun, failed, reason)
                for model, done, begun, failed, reason in self.rows(
                    "SELECT model, revision, begun, failed, reason FROM answer WHERE study = ?", uid
                )
            }
            asked = [answers.get(model, (0, 0, 0, None)) for model in models]
            open_ = [one for one in asked if one[0] < revision]
            aside = [one for one in open_ if one[2] >= attempts or one[1] >= CUT_OFF]
            [(count,)] = self.rows("SELECT COUNT(*) FROM instance WHERE study = ?", uid)
            [(unsent, sent)] = self.rows(
                "SELECT COALESCE(SUM(sent IS NULL), 0), COUNT(sent) FROM result WHERE study = ?", uid
            )
            waits = self.rows("SELECT reason FROM result WHERE study = ? AND sent IS NULL AND reason IS NOT NULL", uid)
            if heard + quiet > time.time() and open_:
                state = "collecting"
            elif len(open_) > len(aside):
                state = "waiting"
            elif unsent:
                state = "sending"
            else:
                state = "failed" if aside else "done"
            cut = "the process died in each of its runs" if any(one[1] >= CUT_OFF for one in aside) else None
            reasons = [one[3] for one in open_], [cut], [one for (one,) in waits], [one[3] for one in asked]
            reason = next((one for some in reasons for one in some if one), None)
            found.append(Line(uid, short(uid), state, count, unsent, sent, reason))
        return found

    def retry(self, study: str) -> None:
        """Try now what failed, or waits, of a study."""
        with self.change() as tables:
            tables.execute("UPDATE answer SET begun = 0, failed = 0, after = 0 WHERE study = ?", (study,))
            tables.execute("UPDATE result SET after = 0 WHERE study = ? AND sent IS NULL", (study,))

    def drop(self, study: str) -> None:
        """Have the listener forget a study and what of it has not been delivered."""
        with self.change() as tables:
            tables.execute("UPDATE study SET dropped = 1 WHERE uid = ?", (study,))
