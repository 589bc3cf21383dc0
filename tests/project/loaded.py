"""All modules of the app. Hypothesis tries the constants of those that are loaded too, so that what it tries without
any randomness would still depend on which tests came before.
"""

import importlib
import pkgutil
from pathlib import Path

ROOT = Path(__file__).parents[2]

for package in ("lib", "aws", "recordings", "accounts", "operations", "web", "recorder_project"):
    for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
        importlib.import_module(module.name)
