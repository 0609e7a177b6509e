"""Rows are the truth: tables, repositories, migrations, and the grouped-commit database."""
