"""Short ways to write CloudFormation resources."""

V4, V6 = "0.0.0.0/0", "::/0"


def resource(kind: str, **properties) -> dict:
    return {"Type": f"AWS::EC2::TrafficMirror{kind}", "Properties": properties}


def filter(*services: str) -> dict:
    return resource("Filter", **({"NetworkServices": list(services)} if services else {}))


def rule(filter: str, direction: str, number: int, action: str, cidr: str = V4, **more) -> dict:
    properties = {
        "TrafficMirrorFilterId": {"Ref": filter},
        "TrafficDirection": direction,
        "RuleNumber": number,
        "RuleAction": action,
        "SourceCidrBlock": cidr,
        "DestinationCidrBlock": cidr,
    }
    return resource("FilterRule", **(properties | more))


def everything(filter: str) -> dict:
    """Rules behind all others that accept both families in both directions."""
    return {
        f"{filter}{direction}{version}": rule(filter, direction.lower(), 30000 + n, "accept", cidr)
        for direction in ("Ingress", "Egress")
        for n, (version, cidr) in enumerate([("V4", V4), ("V6", V6)])
    }


def ports(first: int, last: int) -> dict:
    return {"FromPort": first, "ToPort": last}


def session(source: str, filter: str, number: int, target: str = "T", **more) -> dict:
    return resource(
        "Session",
        NetworkInterfaceId=source,
        TrafficMirrorTargetId={"Ref": target},
        TrafficMirrorFilterId={"Ref": filter},
        SessionNumber=number,
        **more,
    )


def interface_target(tool: str) -> dict:
    return resource("Target", NetworkInterfaceId=tool)


def balancer_target(tool: str) -> dict:
    return resource("Target", NetworkLoadBalancerArn=tool)
