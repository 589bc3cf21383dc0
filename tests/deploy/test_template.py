"""template.yaml makes what the code expects, keeps what people gave it, and says nothing in logs that it must not."""

import ast
import hashlib
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

from operations import lambda_handler
from recordings.analysis import orders
from recordings.analysis.decoding import SECONDS
from recordings.library import PROOF_DAYS
from recordings.models import SHARDS
from tests.deploy.conftest import REGION, STAND_INS, TEMPLATE, make_stack, physical, translated
from tests.project.test_documentation import MEANINGLESS, read_by_settings

TABLES = (settings.USERS_TABLE, settings.RECORDINGS_TABLE, settings.CHANGES_TABLE)
SECRET = re.compile(r"\{\{resolve:secretsmanager:test:SecretString:(\w+)\}\}")

ON_AMAZONS = "tables and bucket are the stack's own, at Amazon's addresses"
DEVELOPMENT = "of `make run` alone"
LAMBDAS = "Lambda sets it, and refuses it from anybody else"
LEFT_OUT = {
    "LOCAL": "refused on Lambda: it opens debug pages and guest login",
    "LOCAL_DIR": DEVELOPMENT,
    "EMBEDDED_AWS_PORT": DEVELOPMENT,
    "AWS_REGION": LAMBDAS,
    "AWS_DEFAULT_REGION": LAMBDAS,
    "AWS_LAMBDA_FUNCTION_NAME": LAMBDAS,
    "AWS_ENDPOINT_URL": ON_AMAZONS,
    "AWS_ENDPOINT_URL_DYNAMODB": ON_AMAZONS,
    "AWS_ENDPOINT_URL_S3": ON_AMAZONS,
    "S3_PUBLIC_ENDPOINT_URL": ON_AMAZONS,
    "THROTTLE": "on; nobody on the internet should be without",
}


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


@pytest.mark.usefixtures("stack")
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


@pytest.mark.usefixtures("stack")
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
    days = leftover_days(translated()["Parameters"]["UploadDays"]["Default"])
    assert {"DaysAfterInitiation": days} == rule["AbortIncompleteMultipartUpload"]
    assert in_template["ExpiredObjectDeleteMarker"] == rule["Expiration"]["ExpiredObjectDeleteMarker"]


def leftover_days(upload_days: str) -> int:
    """When S3 ends an upload by itself; moto's stacks leave the rule out."""
    (rule,) = bucket()["LifecycleConfiguration"]["Rules"]
    days = rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
    name, parameter, key = days["Fn::FindInMap"]
    assert parameter == {"Ref": "UploadDays"}
    found: int = translated()["Mappings"][name][upload_days][key]
    return found


def test_s3_ends_no_upload_before_recorder_does() -> None:
    allowed = translated()["Parameters"]["UploadDays"]["AllowedValues"]
    assert translated()["Parameters"]["UploadDays"]["Default"] in allowed
    assert [leftover_days(days) for days in allowed] == [int(days) + 7 for days in allowed]


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
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    conditions = [each["Condition"] for each in statements if "Condition" in each]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_s3_tells_the_event_function_of_new_objects_and_may_call_it() -> None:
    (told,) = bucket()["NotificationConfiguration"]["LambdaConfigurations"]
    assert (told["Event"], told["Function"]) == ("s3:ObjectCreated:*", {"Fn::GetAtt": ["EventFunction", "Arn"]})
    permission = of_type("AWS::Lambda::Permission")["BucketMayInvoke"]["Properties"]
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    function = translated()["Resources"]["EventFunction"]["Properties"]
    assert function["DeadLetterConfig"]["TargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}


def test_the_schedule_sweeps_every_shard_and_no_run_meets_the_next_of_its_part() -> None:
    all_rules = {name: each["Properties"] for name, each in of_type("AWS::Events::Rule").items()}
    assert {each["ScheduleExpression"] for each in all_rules.values()} == {"rate(5 minutes)"}
    closing = all_rules.pop("ClosingFunctionClose")
    assert json.loads(closing["Targets"][0]["Input"]) == {"source": "aws.events"}  # every shard
    rules = list(all_rules.values())
    assert lambda_handler.SWEEP_SECONDS < 5 * 60
    events = [json.loads(each["Targets"][0]["Input"]) for each in rules]
    assert all(lambda_handler.is_schedule(event) for event in events)
    swept = [shard for event in events for shard in SHARDS[event["part"] :: event["of"]]]
    assert sorted(swept) == sorted(SHARDS)
    (timeout,) = {
        translated()["Resources"][f"{each}Function"]["Properties"]["Timeout"] for each in ("Event", "Closing")
    }
    assert timeout - lambda_handler.REST > lambda_handler.SWEEP_SECONDS + SECONDS / 2, (
        "what is begun last has its time"
    )


def environment(function: str) -> dict[str, str]:
    """A function's environment as Lambda would have it, with a fresh secret."""
    found = variables(function)
    template = translated()["Resources"]["Secret"]["Properties"]["GenerateSecretString"]
    secret = {**json.loads(template["SecretStringTemplate"]), template["GenerateStringKey"]: "k" * 64}
    assert secret.keys() == {match[1] for value in found.values() if (match := SECRET.fullmatch(value))}
    return {name: SECRET.sub(lambda match: secret[match[1]], value) for name, value in found.items()}


def variables(function: str) -> dict[str, str]:
    """What the stack gives a function; secrets are references yet."""
    client = boto3.client("lambda", region_name=REGION)
    found = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    return {name: str(value) for name, value in found.items()}


def test_what_decodes_starts_with_nothing() -> None:
    made = translated()["Resources"]["DecodeFunction"]["Properties"]
    module, _, name = made["ImageConfig"]["Command"][0].rpartition(".")
    program = f"import {module}; {module}.{name}"
    subprocess.run([sys.executable, "-c", program], env={"PATH": os.environ["PATH"]}, check=True)


def test_answers_of_what_decodes_reach_the_event_function_and_no_order_is_lost() -> None:
    resources = translated()["Resources"]
    answers = {"Fn::GetAtt": ["DecodeAnswers", "Arn"]}
    mapping, invocations = (
        resources["DecodeAnswersMapping"]["Properties"],
        resources["DecodeInvocations"]["Properties"],
    )
    assert (mapping["EventSourceArn"], mapping["FunctionName"]) == (answers, {"Ref": "EventFunction"})
    destinations = invocations["DestinationConfig"]
    assert destinations["OnSuccess"]["Destination"] == destinations["OnFailure"]["Destination"] == answers
    timeout = resources["EventFunction"]["Properties"]["Timeout"]
    assert resources["DecodeAnswers"]["Properties"]["VisibilityTimeout"] >= timeout
    ended = invocations["MaximumEventAgeInSeconds"] + resources["DecodeFunction"]["Properties"]["Timeout"]
    assert ended <= orders.SECONDS
    assert ended <= PROOF_DAYS * 86400  # when the sweep gives the next one


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("function", ["HttpFunction", "EventFunction", "ClosingFunction"])
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


def test_what_settings_read_comes_from_the_template_or_is_left_out_for_a_reason() -> None:
    assert all(len(reason) > 10 for reason in LEFT_OUT.values())
    read = {name.replace("<NAME>", "SSO") for name in read_by_settings()} - MEANINGLESS
    functions = of_type("AWS::Lambda::Function")
    assert functions.keys() == {"HttpFunction", "EventFunction", "ClosingFunction", "DecodeFunction"}
    assert "Environment" not in functions.pop("DecodeFunction")["Properties"]
    for function in functions.values():
        given = function["Properties"]["Environment"]["Variables"]
        assert given.keys() & LEFT_OUT.keys() == set()
        assert given.keys() | LEFT_OUT.keys() == read
        assert [name for name, value in given.items() if not isinstance(value, dict)] == [], "fixed for everybody"


def test_a_parameter_is_its_variable_in_another_spelling() -> None:
    given = translated()["Resources"]["HttpFunction"]["Properties"]["Environment"]["Variables"]
    for name, value in given.items():
        if "Ref" in value and value["Ref"] != "AWS::StackName":
            assert value["Ref"] == name.title().replace("_", "")


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("function", ["HttpFunction", "EventFunction"])
def test_parameters_reach_the_settings(function: str) -> None:
    parameters = {
        "UploadDays": "14",
        "TrustedProxies": "1",
        "ProxySecret": "p" * 32,
        "ProxyNetworks": "192.0.2.0/24",
        "GoogleClientIds": "web,old",
        "GoogleHiddenNonceClientIds": "old",
        "OidcSsoIssuer": "https://id.example.org",
        "OidcSsoClientIds": "web,phone",
        "OidcSsoAlgorithms": "RS512",
    }
    make_stack("other", **parameters)
    environ = variables(physical(function, "other"))
    secret = {"SECRET_KEY": "k" * 64, "OIDC_SSO_CLIENT_SECRET": "sesame"}
    environ = {name: SECRET.sub(lambda match: secret.get(match[1], " "), value) for name, value in environ.items()}
    shown = (
        "from recorder_project import settings as s; print([s.UPLOAD_DAYS, s.TRUSTED_PROXIES, s.PROXY_SECRETS,"
        " [str(network) for network in s.PROXY_NETWORKS],"
        " s.GOOGLE_HIDDEN_NONCE_CLIENT_IDS, s.OIDC_ISSUERS, s.CLIENT_IDS['sso'], s.CLIENT_SECRETS['sso'],"
        " s.OIDC_ALGORITHMS])"
    )
    done = subprocess.run(
        [sys.executable, "-c", shown],
        env={**environ, "AWS_REGION": REGION, "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ast.literal_eval(done.stdout) == [
        14,
        1,
        ["p" * 32],
        ["192.0.2.0/24"],
        ["old"],
        {"sso": "https://id.example.org"},
        ["web", "phone"],
        "sesame",
        {"sso": ["RS512"]},
    ]


def test_what_makes_the_secret_is_what_it_was() -> None:
    """CloudFormation makes the whole secret anew when any of this changes, SECRET_KEY and providers' secrets with it:
    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2210
    """
    recipe = translated()["Resources"]["Secret"]["Properties"]["GenerateSecretString"]
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    assert digest == "7bf3581d56ef0f0c6ec70f4d09aa23861bf51e19e25070ecca579e73c4677322"


def test_the_gateway_logs_routes_and_no_paths() -> None:
    (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
    line = stage["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in line
    json.loads(line)
    assert not re.search(r"path|sourceIp|userAgent|authorizer|querystring|\$request", line, re.IGNORECASE)
    assert stage["Properties"]["DefaultRouteSettings"].keys() == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}


def test_every_log_group_forgets_and_every_function_has_one() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    assert len(groups) == 5
    assert all(each["Properties"]["RetentionInDays"] == {"Ref": "LogDays"} for each in groups.values())
    functions = of_type("AWS::Lambda::Function")
    assert {name: each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for name, each in functions.items()} == {
        f"{name}Function": f"{name}Log" for name in ("Http", "Event", "Closing", "Decode")
    }


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
    source = (TEMPLATE.parent / "operations/lambda_handler.py").read_text()
    assert len(ours) == 3
    assert all(f'count("{name}"' in source or f'name="{name}"' in source or f'= "{name}"' in source for name in ours)


def test_every_parameter_says_what_it_is_and_is_used() -> None:
    text = TEMPLATE.read_text()
    for name, parameter in translated()["Parameters"].items():
        assert len(parameter["Description"]) > 10, name
        assert re.search(rf"!Ref {name}\b|\$\{{{name}\}}", text), name
    assert not re.search(r": [&*]\w|<<:", text), "CloudFormation knows no YAML aliases"
    assert {"Certificate", "OidcSso"} <= translated()["Rules"].keys()


def test_every_parameter_is_documented_but_those_that_deploying_sets() -> None:
    text = (TEMPLATE.parent / "docs/deploy.md").read_text()
    undocumented = [name for name in translated()["Parameters"] if f"`{name}`" not in text]
    assert sorted(undocumented) == ["Architecture", "Deployed", "ImageUri"]


def test_outputs_say_what_comes_next() -> None:
    outputs = translated()["Outputs"]
    assert {"Url", "SecretName", "Logs"} <= outputs.keys()
    assert any("Next" in each["Description"] for each in outputs.values())
