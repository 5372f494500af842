"""``python -m threadloom_postgres ddl`` and ``grants``: the SQL that makes tables, and who may."""

from __future__ import annotations

import argparse
import sys

from threadloom_postgres.options import SCHEMA, check_schema
from threadloom_postgres.schema import ddl, grants


def main(argv: list[str] | None = None) -> int:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m threadloom_postgres")
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("ddl", help="print the SQL that makes schema and tables")
    made.add_argument("--schema", default=SCHEMA, help=f"the schema's name ({SCHEMA})")
    made.add_argument("--role", help="a role that is to be let use it")
    more = commands.add_parser("grants", help="print the SQL that lets one more role use them")
    more.add_argument("--schema", default=SCHEMA, help=f"the schema's name ({SCHEMA})")
    more.add_argument("--role", required=True, help="the role")
    given = parser.parse_args(argv)
    schema = check_schema(given.schema)
    told = ddl(schema, given.role) if given.command == "ddl" else grants(schema, given.role)
    statements = ["BEGIN", *told, "COMMIT"]
    sys.stdout.write("".join(f"{statement};\n\n" for statement in statements))
    return 0


if __name__ == "__main__":
    sys.exit(main())
