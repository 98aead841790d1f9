"""Alembic's entry. The product hands its connection over; a developer's command names a catalog:

alembic -x catalog=PATH/catalog.sqlite upgrade head
"""

from alembic import context
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL

from mmsearch.catalog.tables import Base, modelled


def migrate(connection: Connection) -> None:
    # Both engines roll DDL back with its transaction, so a crash leaves the old schema whole.
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        include_object=modelled,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    path = context.get_x_argument(as_dictionary=True).get("catalog")
    if not path:
        raise SystemExit("name the catalog: alembic -x catalog=PATH/catalog.sqlite ...")
    with create_engine(URL.create("sqlite", database=path)).connect() as opened:
        migrate(opened)
        opened.commit()
