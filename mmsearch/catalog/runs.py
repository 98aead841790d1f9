"""Runs: one for each ingest."""

import os

from sqlalchemy import Connection, insert, select, update

from mmsearch.catalog.records import RunRecord
from mmsearch.catalog.tables import Run
from mmsearch.catalog.values import utc_now
from mmsearch.types import Metadata


def latest_run(connection: Connection) -> RunRecord | None:
    """The run that began last; None before the first ingest."""
    row = connection.execute(select(Run).with_only_columns(*Run.__table__.c).order_by(Run.id.desc()).limit(1)).first()
    if row is None:
        return None
    finished = row.finished_at.isoformat() if row.finished_at else None
    return RunRecord(row.id, row.started_at.isoformat(), finished, row.state, row.pid, row.report)


def add_run(connection: Connection, version: str) -> int:
    """Record that an ingest starts; one that never ended was killed, since only one process may write.

    Returns the id of the run.
    """
    connection.execute(update(Run).where(Run.state == "running").values(state="killed"))
    row = {"started_at": utc_now(), "state": "running", "pid": os.getpid(), "version": version, "report": {}}
    return int(connection.execute(insert(Run).values(**row).returning(Run.id)).scalar_one())


def end_run(connection: Connection, run_id: int, state: str, report: Metadata) -> None:
    """Record how a run ended: done, interrupted or failed."""
    values = {"state": state, "report": report, "finished_at": utc_now()}
    connection.execute(update(Run).where(Run.id == run_id).values(values))
