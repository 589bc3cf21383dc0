"""template.yaml makes what the code expects, keeps what people gave it, and says nothing in logs that it must not."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.core.management import call_command
from moto import mock_aws

from tests.deploy.conftest import REGION, STAND_INS, TEMPLATE, physical, translated

TABLES = (settings.USERS_TABLE, settings.RECORDINGS_TABLE, settings.CHANGES_TABLE)
SECRET = re.compile(r"\{\{resolve:secretsmanager:test:SecretString:(\w+)\}\}")


def of_type(*types: str) -> dict[str, dict[str, Any]]:
    return {name: made for name, made in translated()["Resources"].items() if made["Type"] in types}


def described(name: str) -> dict[str, Any]:
    """What matters of a table to the code."""
    client = boto3.client("dynamodb", region_name=REGION)
    table = client.describe_table(TableName=name)["Table"]
    indexes = [
        (each["IndexName"], each["KeySchema"], {**each["Projection"], "NonKeyAttributes": attributes})
        for each in table.get("GlobalSecondaryIndexes", [])
        for attributes in [sorted(each["Projection"].get("NonKeyAttributes", []))]
    ]
    return {
        "keys": table["KeySchema"],
        "types": sorted(table["AttributeDefinitions"], key=str),
        "indexes": sorted(indexes, key=str),
        "billing": table["BillingModeSummary"]["BillingMode"],
    }


def bucket() -> dict[str, Any]:
    """The bucket's properties; moto's stacks leave most of them out."""
    properties: dict[str, Any] = translated()["Resources"]["Bucket"]["Properties"]
    return properties


def test_tables_are_what_create_tables_makes() -> None:
    by_stack = [described(name) for name in TABLES]
    with mock_aws():
        call_command("create_tables", verbosity=0)
        assert by_stack == [described(name) for name in TABLES]


def test_what_expires_is_forgotten_as_create_tables_has_it() -> None:
    client = boto3.client("dynamodb", region_name=REGION)
    by_stack = {
        table["Properties"]["TableName"]["Fn::Sub"].rpartition("-")[2]: table["Properties"].get(
            "TimeToLiveSpecification", {}
        )
        for table in of_type("AWS::DynamoDB::Table").values()
    }
    with mock_aws():
        call_command("create_tables", verbosity=0)
        for name in TABLES:
            ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
            of_stack = by_stack[name.rpartition("-")[2]]
            assert of_stack.get("AttributeName") == ttl.get("AttributeName")
            assert of_stack.get("Enabled", False) == (ttl["TimeToLiveStatus"] == "ENABLED")


def test_the_bucket_is_what_create_tables_makes() -> None:
    client: Any = boto3.client("s3", region_name=REGION)
    name, properties = settings.RECORDINGS_BUCKET, bucket()
    with mock_aws():
        call_command("create_tables", verbosity=0)
        public = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        (cors,) = client.get_bucket_cors(Bucket=name)["CORSRules"]
        (rule,) = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        assert client.get_bucket_versioning(Bucket=name)["Status"] == properties["VersioningConfiguration"]["Status"]
    assert properties["PublicAccessBlockConfiguration"] == public
    (in_template,) = properties["CorsConfiguration"]["CorsRules"]
    assert in_template.pop("AllowedOrigins")
    assert cors.pop("AllowedOrigins")
    assert in_template == {
        {"ExposeHeaders": "ExposedHeaders", "MaxAgeSeconds": "MaxAge"}.get(key, key): value
        for key, value in cors.items()
    }
    (in_template,) = properties["LifecycleConfiguration"]["Rules"]
    assert in_template["NoncurrentVersionExpiration"] == rule["NoncurrentVersionExpiration"]
    assert in_template["AbortIncompleteMultipartUpload"] == rule["AbortIncompleteMultipartUpload"]
    assert in_template["ExpiredObjectDeleteMarker"] == rule["Expiration"]["ExpiredObjectDeleteMarker"]


def test_tables_can_be_restored_and_neither_they_nor_the_recordings_go_with_the_stack() -> None:
    tables = of_type("AWS::DynamoDB::Table")
    for table in tables.values():
        assert table["Properties"]["DeletionProtectionEnabled"] is True
        assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    kept = {**tables, **of_type("AWS::S3::Bucket", "AWS::SecretsManager::Secret")}
    assert len(kept) == 5
    assert {(each["DeletionPolicy"], each["UpdateReplacePolicy"]) for each in kept.values()} == {("Retain", "Retain")}


def test_the_bucket_is_encrypted_and_takes_no_plain_http() -> None:
    (rule,) = bucket()["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (policy,) = of_type("AWS::S3::BucketPolicy").values()
    conditions = [each["Condition"] for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_s3_tells_the_event_function_of_new_objects_and_may_call_it() -> None:
    (told,) = bucket()["NotificationConfiguration"]["LambdaConfigurations"]
    assert (told["Event"], told["Function"]) == ("s3:ObjectCreated:*", {"Fn::GetAtt": ["EventFunction", "Arn"]})
    permission = of_type("AWS::Lambda::Permission")["BucketMayInvoke"]["Properties"]
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    function = translated()["Resources"]["EventFunction"]["Properties"]
    assert function["DeadLetterConfig"]["TargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}


def environment(function: str) -> dict[str, str]:
    """A function's environment as Lambda would have it, with a fresh secret."""
    client = boto3.client("lambda", region_name=REGION)
    found = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    found = {name: str(value) for name, value in found.items()}
    template = translated()["Resources"]["Secret"]["Properties"]["GenerateSecretString"]
    secret = {**json.loads(template["SecretStringTemplate"]), template["GenerateStringKey"]: "k" * 64}
    assert secret.keys() == {match[1] for value in found.values() if (match := SECRET.fullmatch(value))}
    return {name: SECRET.sub(lambda match: secret[match[1]], value) for name, value in found.items()}


@pytest.mark.parametrize("function", ["HttpFunction", "EventFunction"])
def test_a_function_starts_in_its_environment(function: str) -> None:
    """With every parameter at its default. Lambda itself adds the region and the function's name."""
    environ = environment(physical(function))
    assert STAND_INS["Api"] in environ["PUBLIC_URL"]
    made = translated()["Resources"][function]["Properties"]
    module, _, name = made["ImageConfig"]["Command"][0].rpartition(".")
    start = f"import {module}; {module}.{name}; from django.conf import settings; print(settings.RECORDINGS_BUCKET)"
    lambdas = {"AWS_REGION": REGION, "AWS_LAMBDA_FUNCTION_NAME": function, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", start], env={**environ, **lambdas}, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == settings.RECORDINGS_BUCKET
    source = (TEMPLATE.parent / "recorder_project/settings.py").read_text()
    unknown = [name for name in environ if f'"{name}"' not in source and "_CLIENT_" not in name]
    assert unknown == []


def test_the_gateway_logs_routes_and_no_paths() -> None:
    (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
    line = stage["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in line
    json.loads(line)
    assert not re.search(r"path|sourceIp|userAgent|authorizer|querystring|\$request", line, re.IGNORECASE)
    assert stage["Properties"]["DefaultRouteSettings"].keys() == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}


def test_every_log_group_forgets_and_every_function_has_one() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    assert len(groups) == 3
    assert all(each["Properties"]["RetentionInDays"] == {"Ref": "LogDays"} for each in groups.values())
    functions = of_type("AWS::Lambda::Function")
    assert [each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for each in functions.values()] == [
        "HttpLog",
        "EventLog",
    ]


def test_there_is_an_alarm_for_each_thing_that_needs_a_person() -> None:
    alarms = [each["Properties"] for each in of_type("AWS::CloudWatch::Alarm").values()]
    watched = {(each["Namespace"], each["MetricName"]) for each in alarms if isinstance(each["Namespace"], str)}
    assert watched >= {
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/Lambda", "Duration"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/ApiGateway", "5xx"),
    }
    assert all(len(each["AlarmDescription"]) > 40 for each in alarms)
    ours = {each["MetricName"] for each in alarms if each["Namespace"] == {"Ref": "AWS::StackName"}}
    source = (TEMPLATE.parent / "recordings/handlers.py").read_text()
    assert len(ours) == 2
    assert all(f'count("{name}"' in source for name in ours)


def test_every_parameter_says_what_it_is_and_is_used() -> None:
    text = TEMPLATE.read_text()
    for name, parameter in translated()["Parameters"].items():
        assert len(parameter["Description"]) > 10, name
        assert re.search(rf"!Ref {name}\b|\$\{{{name}\}}", text), name
    assert not re.search(r": [&*]\w|<<:", text), "CloudFormation knows no YAML aliases"
    assert "Certificate" in translated()["Rules"]


def test_outputs_say_what_comes_next() -> None:
    outputs = translated()["Outputs"]
    assert {"Url", "SecretName", "Logs"} <= outputs.keys()
    assert any("Next" in each["Description"] for each in outputs.values())
