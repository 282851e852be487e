"""Build hook: what `sentinel init` copies out travels inside the wheel, as `sentinel/_starter/`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STARTER = ("config", "probes", "grafana", "prometheus", "systemd")


class StarterFiles(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's generic argument is its own config class
    """Adds the shipped top-level directories to a wheel; an editable install reads them where they lie."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Map every shipped directory to its place in the wheel (`version` is "standard" or "editable")."""
        if version == "editable":
            return
        for name in STARTER:
            if (Path(self.root) / name).is_dir():
                build_data["force_include"][name] = f"sentinel/_starter/{name}"
