"""`python -m conformance.faults NAME OPTIONS`: a reference with this fault; the options are those of the reference."""

from __future__ import annotations

import sys

from conformance.errors import UsageError
from conformance.faults import named
from conformance.reference.__main__ import main as run_reference


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print("conformance.faults: name a fault first", file=sys.stderr)
        raise SystemExit(2)
    try:
        named(sys.argv.pop(1)).install()
    except UsageError as error:
        print(f"conformance.faults: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    run_reference()


if __name__ == "__main__":
    main()
