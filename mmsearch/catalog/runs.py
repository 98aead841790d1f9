"""Runs: one for each ingest."""

from sqlalchemy import Connection, select

from mmsearch.catalog.records import RunRecord
from mmsearch.catalog.tables import Run


def latest_run(connection: Connection) -> RunRecord | None:
    row = connection.execute(select(Run).with_only_columns(*Run.__table__.c).order_by(Run.id.desc()).limit(1)).first()
    if row is None:
        return None
    finished = row.finished_at.isoformat() if row.finished_at else None
    return RunRecord(row.id, row.started_at.isoformat(), finished, row.state, row.pid, row.report)
