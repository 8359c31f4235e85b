"""Every command of the AWS command line for traffic mirroring, with every option that it has.

usage: every_option.py ENDPOINT-URL

The command line runs in this process: it takes a second to start. What has options that were not used, by
the service model that it brings along, is a failure. The appliance behind the endpoint is that of
scenarios.py, without objects of this account.
"""

import contextlib
import io
import json
import os
import sys

URL = sys.argv[1]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-example-key", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": URL, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
}

from awscli.clidriver import create_clidriver  # noqa: E402
from botocore import xform_name  # noqa: E402
from botocore.session import get_session  # noqa: E402

NLB = "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/net/nlb/0123456789abcdef"
GWLBE = "vpce-0123456789abcdef0"
OPERATIONS = [
    f"{verb}TrafficMirror{what}"
    for verb, whats in (
        ("Create", ("Filter", "FilterRule", "Session", "Target")), ("Delete", ("Filter", "FilterRule", "Session", "Target")),
        ("Describe", ("Filters", "FilterRules", "Sessions", "Targets")), ("Modify", ("FilterNetworkServices", "FilterRule", "Session")),
    )
    for what in whats
] + ["CreateTags", "DeleteTags", "DescribeTags", "DescribeNetworkInterfaces"]
# Of the interfaces' command, what has no meaning for an appliance.
PASSED_OVER = {("describe-network-interfaces", "include-managed-resources")}
driver = create_clidriver()
used = {xform_name(operation, "-"): set() for operation in OPERATIONS}


def run(command, options):
    words = [word for option, value in options.items() for word in (f"--{option}", *([] if value is True else value if isinstance(value, list) else [str(value)]))]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = driver.main(["ec2", command, "--output", "json", *words])
    used[command] |= set(options)
    return status, out.getvalue(), err.getvalue()


def aws(command, **options):
    options = {name.replace("_", "-"): value for name, value in options.items()}
    status, out, err = run(command, options)
    assert status == 0, f"{command} {options}: {err}"
    return json.loads(out) if out.strip() else {}


def dry(command, **options):
    """It would do it, and doesn't."""
    options = {name.replace("_", "-"): value for name, value in options.items()} | {"dry-run": True}
    _, _, err = run(command, options)
    assert "DryRunOperation" in err, f"{command} {options}: {err}"


def tags(kind):
    return f"ResourceType=traffic-mirror-{kind},Tags=[{{Key=Name,Value=every {kind}}},{{Key=k,Value=v}}]"


def pages(command, name, id_name, ids, **ids_option):
    """All ways to describe: by ids, by a filter, and page by page; there are more than a page has."""
    found = aws(command, **ids_option)[name]
    assert [entry[id_name] for entry in found] == ids, found
    found = aws(command, filters="Name=tag:k,Values=v")[name]
    assert {entry[id_name] for entry in found} >= set(ids), found
    page = aws(command, max_results=5)
    rest = aws(command, max_results=5, next_token=page["NextToken"])
    assert len(page[name]) == 5 and rest[name] and "NextToken" not in rest, (page, rest)
    dry(command)


def main():
    to = [
        aws("create-traffic-mirror-target", description=f"to {name}", tag_specifications=tags("target"), client_token=f"t-{name}",
            **{name: value})["TrafficMirrorTarget"]["TrafficMirrorTargetId"]
        for name, value in (("network_interface_id", "eni-tool"), ("network_load_balancer_arn", NLB), ("gateway_load_balancer_endpoint_id", GWLBE))
    ]
    dry("create-traffic-mirror-target", network_interface_id="eni-tool2")
    of = [
        aws("create-traffic-mirror-filter", description="d", tag_specifications=tags("filter"), client_token=f"f-{n}")
        ["TrafficMirrorFilter"]["TrafficMirrorFilterId"]
        for n in range(7)
    ]
    dry("create-traffic-mirror-filter")
    rule = {
        "traffic_mirror_filter_id": of[0], "traffic_direction": "ingress", "rule_number": 7, "rule_action": "accept", "protocol": 6,
        "source_port_range": "FromPort=1,ToPort=65535", "destination_port_range": "FromPort=80,ToPort=443",
        "source_cidr_block": "10.0.0.0/8", "destination_cidr_block": "0.0.0.0/0", "description": "web",
        "tag_specifications": tags("filter-rule"), "client_token": "r-1",
    }
    made = aws("create-traffic-mirror-filter-rule", **rule)["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"]
    assert aws("create-traffic-mirror-filter-rule", **rule)["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"] == made
    dry("create-traffic-mirror-filter-rule", **(rule | {"rule_number": 8, "client_token": "r-2"}))
    changed = aws(
        "modify-traffic-mirror-filter-rule", traffic_mirror_filter_rule_id=made, traffic_direction="egress", rule_number=9,
        rule_action="reject", protocol=17, source_port_range="FromPort=5,ToPort=6", destination_port_range="FromPort=53,ToPort=53",
        source_cidr_block="10.1.0.0/16", destination_cidr_block="10.2.0.0/16", description="dns",
    )["TrafficMirrorFilterRule"]
    wanted = {
        "TrafficMirrorFilterRuleId": made, "TrafficMirrorFilterId": of[0], "TrafficDirection": "egress", "RuleNumber": 9,
        "RuleAction": "reject", "Protocol": 17, "SourcePortRange": {"FromPort": 5, "ToPort": 6},
        "DestinationPortRange": {"FromPort": 53, "ToPort": 53}, "SourceCidrBlock": "10.1.0.0/16",
        "DestinationCidrBlock": "10.2.0.0/16", "Description": "dns",
    }
    assert wanted.items() <= changed.items(), changed
    fields = ["destination-port-range", "source-port-range", "protocol", "description"]
    changed = aws("modify-traffic-mirror-filter-rule", traffic_mirror_filter_rule_id=made, remove_fields=fields)["TrafficMirrorFilterRule"]
    assert not {"Protocol", "SourcePortRange", "DestinationPortRange", "Description"} & set(changed), changed
    dry("modify-traffic-mirror-filter-rule", traffic_mirror_filter_rule_id=made, rule_number=10)
    services = aws("modify-traffic-mirror-filter-network-services", traffic_mirror_filter_id=of[0], add_network_services="amazon-dns")
    assert services["TrafficMirrorFilter"]["NetworkServices"] == ["amazon-dns"], services
    services = aws("modify-traffic-mirror-filter-network-services", traffic_mirror_filter_id=of[0], remove_network_services="amazon-dns")
    assert services["TrafficMirrorFilter"]["NetworkServices"] == [], services
    dry("modify-traffic-mirror-filter-network-services", traffic_mirror_filter_id=of[0], add_network_services="amazon-dns")
    session = {
        "network_interface_id": "eni-a", "traffic_mirror_target_id": to[0], "traffic_mirror_filter_id": of[0], "session_number": 1,
        "packet_length": 100, "virtual_network_id": 4711, "description": "s", "tag_specifications": tags("session"), "client_token": "s-1",
    }
    runs = aws("create-traffic-mirror-session", **session)["TrafficMirrorSession"]["TrafficMirrorSessionId"]
    dry("create-traffic-mirror-session", **(session | {"session_number": 2, "virtual_network_id": 4712, "client_token": "s-2"}))
    changed = aws(
        "modify-traffic-mirror-session", traffic_mirror_session_id=runs, traffic_mirror_target_id=to[1], traffic_mirror_filter_id=of[1],
        packet_length=200, session_number=3, virtual_network_id=4713, description="t",
    )["TrafficMirrorSession"]
    wanted = {
        "TrafficMirrorTargetId": to[1], "TrafficMirrorFilterId": of[1], "PacketLength": 200, "SessionNumber": 3,
        "VirtualNetworkId": 4713, "Description": "t", "NetworkInterfaceId": "eni-a",
    }
    assert wanted.items() <= changed.items(), changed
    fields = ["packet-length", "description", "virtual-network-id"]
    changed = aws("modify-traffic-mirror-session", traffic_mirror_session_id=runs, remove_fields=fields)["TrafficMirrorSession"]
    # To a load balancer, 8500 is what no PacketLength means.
    assert changed["PacketLength"] == 8500 and "Description" not in changed and changed["VirtualNetworkId"] != 4713, changed
    dry("modify-traffic-mirror-session", traffic_mirror_session_id=runs, session_number=4)

    # More than a page of each.
    plain = {"traffic_direction": "ingress", "rule_action": "accept", "source_cidr_block": "::/0", "destination_cidr_block": "::/0"}
    rules, sessions = [made], [runs]
    for number in range(11, 16):
        one = aws("create-traffic-mirror-filter-rule", traffic_mirror_filter_id=of[0], rule_number=number, **plain)
        rules.append(one["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"])
        one = aws("create-traffic-mirror-session", network_interface_id="eni-a" if number < 13 else "eni-b",
                  traffic_mirror_target_id=to[0], traffic_mirror_filter_id=of[0], session_number=number)
        sessions.append(one["TrafficMirrorSession"]["TrafficMirrorSessionId"])
    extra = [
        aws("create-traffic-mirror-target", network_interface_id="eni-tool2")["TrafficMirrorTarget"]["TrafficMirrorTargetId"]
        for _ in range(3)
    ]
    pages("describe-traffic-mirror-targets", "TrafficMirrorTargets", "TrafficMirrorTargetId", to, traffic_mirror_target_ids=to)
    pages("describe-traffic-mirror-filters", "TrafficMirrorFilters", "TrafficMirrorFilterId", of, traffic_mirror_filter_ids=of)
    pages("describe-traffic-mirror-sessions", "TrafficMirrorSessions", "TrafficMirrorSessionId", [runs], traffic_mirror_session_ids=runs)
    pages("describe-traffic-mirror-filter-rules", "TrafficMirrorFilterRules", "TrafficMirrorFilterRuleId", [made],
          traffic_mirror_filter_rule_ids=made, traffic_mirror_filter_id=of[0])
    found = aws("describe-network-interfaces", network_interface_ids="eni-a", filters="Name=network-interface-id,Values=eni-*")
    assert [entry["NetworkInterfaceId"] for entry in found["NetworkInterfaces"]] == ["eni-a"], found
    assert aws("describe-network-interfaces", max_results=5)["NetworkInterfaces"]
    aws("describe-network-interfaces", next_token=aws("describe-network-interfaces", max_results=5).get("NextToken", ""))
    dry("describe-network-interfaces")

    aws("create-tags", resources=[runs, made], tags=["Key=a,Value=1", "Key=b,Value=2"])
    dry("create-tags", resources=runs, tags="Key=c,Value=3")
    found = aws("describe-tags", filters=[f"Name=resource-id,Values={runs}", "Name=key,Values=a,b"])["Tags"]
    assert [(tag["Key"], tag["Value"]) for tag in found] == [("a", "1"), ("b", "2")], found
    page = aws("describe-tags", max_results=5)
    assert aws("describe-tags", max_results=5, next_token=page["NextToken"])["Tags"] != page["Tags"]
    dry("describe-tags")
    dry("delete-tags", resources=runs, tags="Key=a")
    aws("delete-tags", resources=[runs, made], tags=["Key=a", "Key=b,Value=2"])
    assert not aws("describe-tags", filters="Name=key,Values=a,b")["Tags"]

    for kind, ids in (("session", sessions), ("filter-rule", rules), ("target", to + extra), ("filter", of)):
        option = f"traffic_mirror_{kind.replace('-', '_')}_id"
        dry(f"delete-traffic-mirror-{kind}", **{option: ids[0]})
        for one in ids:
            aws(f"delete-traffic-mirror-{kind}", **{option: one})
    for what in ("targets", "filters", "sessions", "filter-rules"):
        assert list(aws(f"describe-traffic-mirror-{what}").values()) == [[]], what

    model = get_session().get_service_model("ec2")
    unused = [
        (xform_name(operation, "-"), xform_name(member, "-"))
        for operation in OPERATIONS
        for member in model.operation_model(operation).input_shape.members
        if xform_name(member, "-") not in used[xform_name(operation, "-")]
    ]
    unused = set(unused) - PASSED_OVER
    assert not unused, f"never used: {sorted(unused)}"
    print(f"{len(OPERATIONS)} commands with all {sum(map(len, used.values()))} options")


main()
