"""``python -m threadloom_postgres ddl``: the SQL that makes schema and tables."""

from __future__ import annotations

import argparse
import sys

from threadloom_postgres.options import SCHEMA, check_schema
from threadloom_postgres.schema import ddl


def main(argv: list[str] | None = None) -> int:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m threadloom_postgres")
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("ddl", help="print the SQL that makes schema and tables")
    made.add_argument("--schema", default=SCHEMA, help=f"the schema's name ({SCHEMA})")
    made.add_argument("--role", help="a role that is to be let use it")
    given = parser.parse_args(argv)
    statements = ["BEGIN", *ddl(check_schema(given.schema), given.role), "COMMIT"]
    sys.stdout.write("".join(f"{statement};\n\n" for statement in statements))
    return 0


if __name__ == "__main__":
    sys.exit(main())
