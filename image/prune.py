"""Leave out of the image what Recorder never loads: python3 image/prune.py DIRECTORY-OF-PACKAGES

boto3 and botocore describe 400 services and Django speaks 100 languages; Recorder uses four and one. What is left of
the descriptions is read at each cold start, so that their texts for people go too.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

SERVICES = {"dynamodb", "lambda", "s3", "sts"}  # sts: the roles of those who host it themselves


def directories(packages: Path) -> list[Path]:
    services = [path for name in ("boto3", "botocore") for path in (packages / name / "data").iterdir()]
    languages = [*packages.glob("django/**/locale/*"), *packages.glob("rest_framework/locale/*")]
    return [
        *(path for path in packages.rglob("*") if path.name in ("tests", "__pycache__")),
        *(path for path in services if path.name not in SERVICES),
        *(path for path in languages if not path.name.startswith("en")),
        packages / "django/contrib/gis",
        packages / "drf_spectacular_sidecar/static/drf_spectacular_sidecar/redoc",
    ]


def shorten(data: Path) -> None:
    """Botocore's descriptions, without documentation and without what they say of other services."""
    for path in data.rglob("examples-1.json*"):
        path.unlink()
    for path in data.rglob("service-2.json.gz"):
        model = json.loads(gzip.decompress(path.read_bytes()))
        model |= {name: without_documentation(model[name]) for name in ("operations", "shapes")}
        path.with_suffix("").write_text(dumped(model))
        path.unlink()
    endpoints = json.loads((data / "endpoints.json").read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in sorted(SERVICES & services.keys())}
    (data / "endpoints.json").write_text(dumped(endpoints))


def without_documentation(part: Any) -> Any:
    """The part of a model without texts. A member of a shape may be called `documentation` too: that is no text."""
    if isinstance(part, dict):
        kept = {name: value for name, value in part.items() if name != "documentation" or not isinstance(value, str)}
        return {name: without_documentation(value) for name, value in kept.items()}
    return [without_documentation(each) for each in part] if isinstance(part, list) else part


def dumped(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def main(packages: Path) -> None:
    for path in directories(packages):
        if path.is_dir():  # some lie within others, and are gone
            shutil.rmtree(path)
    for path in packages.glob("bin/*"):
        path.unlink()  # their first lines name the Python of another directory
    shorten(packages / "botocore/data")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
