"""Leave out of the image what Recorder never loads: python3 image/prune.py DIRECTORY-OF-PACKAGES

boto3 and botocore describe 400 services and Django speaks 100 languages; Recorder uses three and one.
"""

import shutil
import sys
from pathlib import Path

SERVICES = {"dynamodb", "s3", "sts"}  # sts: the roles of those who host it themselves


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


def main(packages: Path) -> None:
    for path in directories(packages):
        if path.is_dir():  # some lie within others, and are gone
            shutil.rmtree(path)
    for path in packages.glob("bin/*"):
        path.unlink()  # their first lines name the Python of another directory


if __name__ == "__main__":
    main(Path(sys.argv[1]))
