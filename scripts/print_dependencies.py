"""Print what both distributions need from others, and what the extras that are named need.

python scripts/print_dependencies.py http
"""

import sys
import tomllib
from pathlib import Path

OURS = ("fer-worker",)


def main() -> None:
    """Print one requirement per line."""
    needed: list[str] = []
    for project in ("client/pyproject.toml", "pyproject.toml"):
        described = tomllib.loads(Path(project).read_text(encoding="utf-8"))["project"]
        needed += described["dependencies"]
        for extra in sys.argv[1:]:
            needed += described.get("optional-dependencies", {}).get(extra, [])
    print("\n".join(name for name in needed if not name.startswith(OURS)))


if __name__ == "__main__":
    main()
