"""What Terraform's AWS provider asserts of traffic mirroring, step by step with boto3.

usage: scenarios.py ENDPOINT-URL

The names are those of its acceptance tests (prefix TestAccVPCTrafficMirror). The appliance behind the
endpoint has the sources eni-a and eni-b, the tools eni-tool and eni-tool2, a network load balancer
and a gateway load balancer endpoint, and no objects.
"""

import json
import subprocess
import sys
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL = sys.argv[1]
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret-of-the-example-key"}
NLB = "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/net/nlb/0123456789abcdef"
GWLBE = "vpce-0123456789abcdef0"
ec2 = boto3.client(
    "ec2", endpoint_url=URL, region_name="us-east-1", **KEYS,
    config=Config(retries={"max_attempts": 2, "mode": "standard"}),
)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found}, not {code}: {error}"
    else:
        raise AssertionError(f"{call.__name__} was not refused with {code}")


def only(answer, name, id_name, identity):
    """The provider wants exactly one entry, with the id that it asked for."""
    (entry,) = answer[name]
    assert entry[id_name] == identity, entry
    return entry


def show_filter(identity):
    answer = ec2.describe_traffic_mirror_filters(TrafficMirrorFilterIds=[identity])
    return only(answer, "TrafficMirrorFilters", "TrafficMirrorFilterId", identity)


def show_rule(filter_id, identity):
    """The provider reads rules out of their filter."""
    entry = show_filter(filter_id)
    rules = entry["IngressFilterRules"] + entry["EgressFilterRules"]
    (rule,) = [rule for rule in rules if rule["TrafficMirrorFilterRuleId"] == identity]
    return rule


def show_session(identity):
    answer = ec2.describe_traffic_mirror_sessions(TrafficMirrorSessionIds=[identity])
    return only(answer, "TrafficMirrorSessions", "TrafficMirrorSessionId", identity)


def show_target(identity):
    answer = ec2.describe_traffic_mirror_targets(TrafficMirrorTargetIds=[identity])
    return only(answer, "TrafficMirrorTargets", "TrafficMirrorTargetId", identity)


def tags_of(show, identity):
    return {tag["Key"]: tag["Value"] for tag in show(identity)["Tags"]}


def new_filter(**arguments):
    return ec2.create_traffic_mirror_filter(**arguments)["TrafficMirrorFilter"]["TrafficMirrorFilterId"]


def new_target(**arguments):
    return ec2.create_traffic_mirror_target(**arguments)["TrafficMirrorTarget"]["TrafficMirrorTargetId"]


def new_session(**arguments):
    answer = ec2.create_traffic_mirror_session(NetworkInterfaceId="eni-a", **arguments)
    return answer["TrafficMirrorSession"]["TrafficMirrorSessionId"]


def drop_filter(identity):
    ec2.delete_traffic_mirror_filter(TrafficMirrorFilterId=identity)


def drop_target(identity):
    ec2.delete_traffic_mirror_target(TrafficMirrorTargetId=identity)


def drop_session(identity):
    ec2.delete_traffic_mirror_session(TrafficMirrorSessionId=identity)


def tags_come_and_go(show, identity):
    change = {"Resources": [identity]}
    assert tags_of(show, identity) == {"key1": "value1"}
    ec2.create_tags(**change, Tags=[{"Key": "key1", "Value": "updated"}, {"Key": "key2", "Value": ""}])
    assert tags_of(show, identity) == {"key1": "updated", "key2": ""}
    ec2.delete_tags(**change, Tags=[{"Key": "key1"}])
    assert tags_of(show, identity) == {"key2": ""}


def with_tag(kind):
    tags = [{"Key": "key1", "Value": "value1"}]
    return [{"ResourceType": f"traffic-mirror-{kind}", "Tags": tags}]


def filter_basic():
    made = new_filter(Description="test filter")
    services = ec2.modify_traffic_mirror_filter_network_services
    for change, want in [("Add", ["amazon-dns"]), ("Remove", []), ("Add", ["amazon-dns"])]:
        services(TrafficMirrorFilterId=made, **{f"{change}NetworkServices": ["amazon-dns"]})
        shown = show_filter(made)
        assert (shown["NetworkServices"], shown["Tags"]) == (want, []), shown
    assert shown["Description"] == "test filter"
    drop_filter(made)


def filter_tags():
    made = new_filter(TagSpecifications=with_tag("filter"))
    tags_come_and_go(show_filter, made)
    drop_filter(made)


def filter_disappears():
    made = new_filter()
    drop_filter(made)
    code = "InvalidTrafficMirrorFilterId.NotFound"
    refused(code, ec2.describe_traffic_mirror_filters, TrafficMirrorFilterIds=[made])
    refused(code, ec2.delete_traffic_mirror_filter, TrafficMirrorFilterId=made)


def new_rule(filter_id):
    answer = ec2.create_traffic_mirror_filter_rule(
        TrafficMirrorFilterId=filter_id, TrafficDirection="ingress", RuleNumber=1, RuleAction="accept",
        DestinationCidrBlock="10.0.0.0/8", SourceCidrBlock="0.0.0.0/0",
    )
    return answer["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"]


def rule_basic():
    of = new_filter()
    made = new_rule(of)
    bare = {
        "TrafficMirrorFilterRuleId": made, "TrafficMirrorFilterId": of, "TrafficDirection": "ingress",
        "RuleNumber": 1, "RuleAction": "accept", "DestinationCidrBlock": "10.0.0.0/8",
        "SourceCidrBlock": "0.0.0.0/0", "Tags": [],
    }
    assert show_rule(of, made) == bare, show_rule(of, made)
    options = {
        "Protocol": 6, "SourcePortRange": {"FromPort": 32000, "ToPort": 64000},
        "DestinationPortRange": {"FromPort": 10000, "ToPort": 10001}, "Description": "test rule",
    }
    modify = ec2.modify_traffic_mirror_filter_rule
    modify(TrafficMirrorFilterRuleId=made, **options)
    assert show_rule(of, made) == {**bare, **options}
    modify(TrafficMirrorFilterRuleId=made, RuleNumber=2)
    assert show_rule(of, made) == {**bare, **options, "RuleNumber": 2}
    removed = ["destination-port-range", "source-port-range", "protocol", "description"]
    modify(TrafficMirrorFilterRuleId=made, RuleNumber=1, RemoveFields=removed)
    assert show_rule(of, made) == bare
    drop_filter(of)


def rule_disappears():
    of = new_filter()
    made = new_rule(of)
    ec2.delete_traffic_mirror_filter_rule(TrafficMirrorFilterRuleId=made)
    code = "InvalidTrafficMirrorFilterRuleId.NotFound"
    refused(code, ec2.delete_traffic_mirror_filter_rule, TrafficMirrorFilterRuleId=made)
    assert show_filter(of)["IngressFilterRules"] == []
    drop_filter(of)


def session_basic():
    of, to = new_filter(), new_target(NetworkLoadBalancerArn=NLB)
    made = new_session(TrafficMirrorTargetId=to, TrafficMirrorFilterId=of, SessionNumber=4711)
    bare = show_session(made)
    assert "Description" not in bare and "PacketLength" in bare and bare["Tags"] == []
    assert bare["SessionNumber"] == 4711 and bare["OwnerId"] == "111111111111"
    options = {"Description": "test session", "PacketLength": 77, "VirtualNetworkId": 16777215}
    modify = ec2.modify_traffic_mirror_session
    modify(TrafficMirrorSessionId=made, **options)
    assert show_session(made) == {**bare, **options}
    removed = ["description", "packet-length", "virtual-network-id"]
    modify(TrafficMirrorSessionId=made, RemoveFields=removed)
    shown = show_session(made)
    assert shown.pop("VirtualNetworkId") < 16777216 and "Description" not in shown
    bare.pop("VirtualNetworkId")
    assert shown == bare
    refused("TrafficMirrorTargetInUse", ec2.delete_traffic_mirror_target, TrafficMirrorTargetId=to)
    drop_session(made), drop_target(to), drop_filter(of)


def session_tags():
    of, to = new_filter(), new_target(NetworkInterfaceId="eni-tool")
    names = {"TrafficMirrorTargetId": to, "TrafficMirrorFilterId": of}
    made = new_session(SessionNumber=1, TagSpecifications=with_tag("session"), **names)
    tags_come_and_go(show_session, made)
    drop_session(made), drop_target(to), drop_filter(of)


def session_disappears():
    of, to = new_filter(), new_target(NetworkInterfaceId="eni-tool")
    made = new_session(SessionNumber=1, TrafficMirrorTargetId=to, TrafficMirrorFilterId=of)
    drop_session(made)
    code = "InvalidTrafficMirrorSessionId.NotFound"
    refused(code, ec2.describe_traffic_mirror_sessions, TrafficMirrorSessionIds=[made])
    drop_target(to), drop_filter(of)


def session_update_traffic_mirror_target():
    of = new_filter()
    one, other = (new_target(NetworkInterfaceId=tool) for tool in ("eni-tool", "eni-tool2"))
    made = new_session(SessionNumber=1, TrafficMirrorTargetId=one, TrafficMirrorFilterId=of)
    ec2.modify_traffic_mirror_session(TrafficMirrorSessionId=made, TrafficMirrorTargetId=other)
    assert show_session(made)["TrafficMirrorTargetId"] == other
    drop_target(one), drop_session(made), drop_target(other), drop_filter(of)


def target_nlb():
    made = new_target(NetworkLoadBalancerArn=NLB, Description="test target")
    shown = show_target(made)
    assert (shown["NetworkLoadBalancerArn"], shown["Type"]) == (NLB, "network-load-balancer")
    assert (shown["OwnerId"], shown["Description"], shown["Tags"]) == ("111111111111", "test target", [])
    drop_target(made)


def target_eni():
    made = new_target(NetworkInterfaceId="eni-tool", Description="test target")
    shown = show_target(made)
    assert shown["NetworkInterfaceId"] == "eni-tool" and shown["Description"] == "test target"
    drop_target(made)


def target_tags():
    made = new_target(NetworkInterfaceId="eni-tool", TagSpecifications=with_tag("target"))
    tags_come_and_go(show_target, made)
    drop_target(made)


def target_disappears():
    made = new_target(NetworkInterfaceId="eni-tool")
    drop_target(made)
    code = "InvalidTrafficMirrorTargetId.NotFound"
    refused(code, ec2.describe_traffic_mirror_targets, TrafficMirrorTargetIds=[made])


def target_gwlb():
    made = new_target(GatewayLoadBalancerEndpointId=GWLBE, Description="test target")
    assert show_target(made)["GatewayLoadBalancerEndpointId"] == GWLBE
    drop_target(made)


def paginators():
    token = str(uuid.uuid4())
    first = new_filter(ClientToken=token)
    assert new_filter(ClientToken=token) == first
    made = {first} | {new_filter() for _ in range(11)}
    pages = ec2.get_paginator("describe_traffic_mirror_filters").paginate(PaginationConfig={"PageSize": 5})
    shown = [entry["TrafficMirrorFilterId"] for page in pages for entry in page["TrafficMirrorFilters"]]
    assert len(shown) == 12 and set(shown) == made, shown
    for identity in made:
        drop_filter(identity)
    refused("DryRunOperation", ec2.create_traffic_mirror_filter, DryRun=True)
    assert ec2.describe_traffic_mirror_filters()["TrafficMirrorFilters"] == []
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert {it["NetworkInterfaceId"] for it in interfaces} == {"eni-a", "eni-b", "eni-tool", "eni-tool2"}


def command_line():
    """The announcement's own example, with the commands of the AWS command line."""

    def aws(*words):
        command = [f"{sys.prefix}/bin/aws", "--endpoint-url", URL, "--region", "us-east-1", "ec2", *words]
        environment = {name.upper(): value for name, value in KEYS.items()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else {}

    to = aws("create-traffic-mirror-target", "--network-interface-id", "eni-tool")
    to = to["TrafficMirrorTarget"]["TrafficMirrorTargetId"]
    of = aws("create-traffic-mirror-filter", "--description", "ssh and web")
    of = of["TrafficMirrorFilter"]["TrafficMirrorFilterId"]
    for number, port in enumerate([22, 80, 443], start=1):
        aws("create-traffic-mirror-filter-rule", "--traffic-mirror-filter-id", of,
            "--traffic-direction", "ingress", "--rule-number", str(number), "--rule-action", "accept",
            "--protocol", "6", "--destination-port-range", f"FromPort={port},ToPort={port}",
            "--destination-cidr-block", "0.0.0.0/0", "--source-cidr-block", "0.0.0.0/0")
    made = aws("create-traffic-mirror-session", "--network-interface-id", "eni-a",
               "--traffic-mirror-target-id", to, "--traffic-mirror-filter-id", of,
               "--session-number", "1", "--virtual-network-id", "4242")
    made = made["TrafficMirrorSession"]["TrafficMirrorSessionId"]
    aws("create-tags", "--resources", made, "--tags", "Key=Name,Value=walk")
    (tag,) = aws("describe-tags", "--filters", f"Name=resource-id,Values={made}")["Tags"]
    assert tag == {"Key": "Name", "Value": "walk", "ResourceId": made,
                   "ResourceType": "traffic-mirror-session"}
    rules = aws("describe-traffic-mirror-filter-rules", "--traffic-mirror-filter-id", of)
    assert len(rules["TrafficMirrorFilterRules"]) == 3
    shown = aws("describe-traffic-mirror-sessions", "--page-size", "5")["TrafficMirrorSessions"]
    assert [entry["VirtualNetworkId"] for entry in shown] == [4242]
    aws("delete-traffic-mirror-session", "--traffic-mirror-session-id", made)
    aws("delete-traffic-mirror-target", "--traffic-mirror-target-id", to)
    aws("delete-traffic-mirror-filter", "--traffic-mirror-filter-id", of)


SCENARIOS = [
    filter_basic, filter_tags, filter_disappears, rule_basic, rule_disappears, session_basic,
    session_tags, session_disappears, session_update_traffic_mirror_target, target_nlb, target_eni,
    target_tags, target_disappears, target_gwlb, paginators, command_line,
]
for scenario in SCENARIOS:
    scenario()
    print(f"{scenario.__name__}: as expected", flush=True)
print(f"all {len(SCENARIOS)} scenarios are as expected")
