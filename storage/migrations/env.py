"""Alembic's entry: it works on the connection that `storage.migrate` hands over."""

from alembic import context

import storage.campaign_tables
import storage.client_tables
import storage.customer_tables
import storage.desk_tables
import storage.figures_tables
import storage.knowledge_tables
import storage.learning_tables
import storage.order_tables
import storage.platform_tables
import storage.protection_tables
import storage.review_tables
import storage.rule_tables
import storage.task_tables  # noqa: F401  they register their tables with Row.metadata
from storage.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
