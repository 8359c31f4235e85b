"""Sessions of a bench case as a CloudFormation template."""

import json

SOURCE, TOOL = "eni-0a000000000000001", "eni-0b000000000000001"


def resource(kind, **properties):
    return {"Type": f"AWS::EC2::TrafficMirror{kind}", "Properties": properties}


def template(sessions):
    """A template of sessions on the one source, all of egress; without any, it holds a filter alone,
    for a template can't be empty."""
    resources = {"Target": resource("Target", NetworkInterfaceId=TOOL)} if sessions else {"Filter1": resource("Filter")}
    for number, session in enumerate(sessions, 1):
        resources[f"Filter{number}"] = resource("Filter")
        resources[f"Session{number}"] = resource(
            "Session",
            NetworkInterfaceId=SOURCE,
            TrafficMirrorTargetId={"Ref": "Target"},
            TrafficMirrorFilterId={"Ref": f"Filter{number}"},
            SessionNumber=number,
            **({"PacketLength": session.length} if session.length else {}),
        )
        for n, rule in enumerate(session.rules, 1):
            resources[f"Rule{number}x{n}"] = filter_rule(f"Filter{number}", n, rule)
    return json.dumps({"Resources": resources})


def filter_rule(filter_id, number, rule):
    optional = {}
    if rule.protocol is not None:
        optional["Protocol"] = rule.protocol
    if rule.ports:
        optional["DestinationPortRange"] = {"FromPort": rule.ports[0], "ToPort": rule.ports[1]}
    return resource(
        "FilterRule",
        TrafficMirrorFilterId={"Ref": filter_id},
        TrafficDirection="egress",
        RuleNumber=number,
        RuleAction="accept" if rule.accept else "reject",
        SourceCidrBlock=rule.source,
        DestinationCidrBlock=rule.dst,
        **optional,
    )
