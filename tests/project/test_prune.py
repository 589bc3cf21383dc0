"""image/prune.py: what is left of botocore's descriptions says the same of the services that Recorder uses."""

import shutil
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from image import prune

DATA = Path(botocore.__file__).parent / "data"


@pytest.fixture(scope="module")
def loaders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Of what botocore brings, and of what is left of it."""
    data = tmp_path_factory.mktemp("data")
    for service in prune.SERVICES:
        shutil.copytree(DATA / service, data / service)
    for path in DATA.glob("*.json"):
        shutil.copy(path, data)
    prune.shorten(data)
    return Loader([str(DATA)], include_default_search_paths=False), Loader(
        [str(data)], include_default_search_paths=False
    )


@pytest.mark.parametrize("service", sorted(prune.SERVICES))
def test_services_are_the_same_without_their_documentation(loaders: tuple[Any, Any], service: str) -> None:
    before, after = (loader.load_service_model(service, "service-2") for loader in loaders)
    assert {"documentation"} <= set(before["operations"].popitem()[1])
    assert "documentation" not in repr(after["operations"])
    assert before["shapes"].keys() == after["shapes"].keys()
    assert {name: shape.get("members", {}).keys() for name, shape in before["shapes"].items()} == {
        name: shape.get("members", {}).keys() for name, shape in after["shapes"].items()
    }
    assert after["metadata"] == before["metadata"]


@pytest.mark.parametrize("region", ["us-east-1", "ap-northeast-2", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("service", sorted(prune.SERVICES))
def test_services_are_where_they_were(loaders: tuple[Any, Any], service: str, region: str) -> None:
    before, after = (EndpointResolver(loader.load_data("endpoints")) for loader in loaders)
    assert after.construct_endpoint(service, region) == before.construct_endpoint(service, region)
    assert after.get_available_endpoints(service) == before.get_available_endpoints(service)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        *(("dynamodb", "list_tables"), ("lambda", "list_functions")),
        *(("s3", "list_buckets"), ("sts", "get_caller_identity")),
    ],
)
def test_clients_work_with_it(loaders: tuple[Any, Any], service: str, operation: str) -> None:
    session = botocore.session.Session()
    session.register_component("data_loader", loaders[1])
    client: Any = session.create_client(service, region_name="eu-west-1")
    assert client.generate_presigned_url(operation).startswith("https://")
    assert client.meta.endpoint_url == f"https://{service}.eu-west-1.amazonaws.com"
