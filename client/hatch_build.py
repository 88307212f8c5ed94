"""Take the wire contract along: in a checkout it lies beside this project, in an sdist within.

An editable installation has it by `dev-mode-dirs`.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WireContract(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the package `fer_schemas`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name its folder to the builder."""
        if version == "editable":
            return
        root = Path(self.root)
        folder = root / "fer_schemas"
        if not folder.is_dir():
            folder = root.parent / "schemas" / "fer_schemas"
        build_data["force_include"][str(folder)] = "fer_schemas"
