"""The appliance file and a template (JSON) as one model. Both are taken to be free of faults."""

import json
import tomllib
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

Address = IPv4Address | IPv6Address

MAC_OF_PORT = "02:00:00:00:00:01"  # offline, without `mac`
MAC_OF_NEIGHBOUR = "02:00:00:00:00:fe"  # offline, without `mac`
LOAD_BALANCER_PACKET_LENGTH = 8500


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", "").replace(":", ""))


@dataclass
class Port:
    name: str
    mac: bytes
    mtu: int
    addresses: list
    vlan: int | None


@dataclass
class Interface:
    id: str
    port: str
    macs: list[bytes]
    vlan: int | None


@dataclass
class Member:
    address: Address
    source: Address
    mac: bytes
    weight: int


@dataclass
class Rule:
    id: str
    filter: str
    direction: str
    number: int
    accepts: bool
    protocol: int | None
    source: Any
    destination: Any
    source_ports: range | None
    destination_ports: range | None


@dataclass
class Session:
    id: str
    interface: str
    number: int
    vni: int
    packet_length: int | None
    filter: str
    port: str
    members: list[Member]
    is_load_balancer: bool


@dataclass
class Model:
    ports: dict[str, Port]
    peers: dict[str, tuple[str, bool]] = field(default_factory=dict)  # port: (other port, forward)
    spans: set[str] = field(default_factory=set)
    interfaces: list[Interface] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    dns_filters: set[str] = field(default_factory=set)
    vxlan_port: int = 4789
    keeps_tags: bool = False
    udp6_zero: bool = False
    exempts: bool = True
    resolvers: set[Address] = field(default_factory=set)

    def underlay(self) -> set[Address]:
        return {address.ip for port in self.ports.values() for address in port.addresses}


def load(config: Path, template: Path) -> Model:
    file = tomllib.loads(config.read_text())
    model = Model(ports={port["name"]: read_port(port) for port in file.get("port", [])})
    for link in file.get("link", []):
        first, second = link["ports"]
        forward = link.get("forward", True)
        model.peers |= {first: (second, forward), second: (first, forward)}
    model.spans = {span["port"] for span in file.get("span", [])}
    for item in file.get("interface", []):
        macs = [mac(text) for text in item.get("mac", [])]
        model.interfaces.append(Interface(item["id"], item["port"], macs, item.get("vlan")))
    vxlan, exempt = file.get("vxlan", {}), file.get("exempt", {})
    model.vxlan_port = vxlan.get("port", 4789)
    model.keeps_tags = vxlan.get("inner_vlan", "strip") == "keep"
    model.udp6_zero = vxlan.get("udp6_checksum", "computed") == "zero"
    model.exempts = exempt.get("never_mirrored", "aws") == "aws"
    resolvers = exempt.get("amazon_dns", ["169.254.169.253", "fd00:ec2::253"])
    model.resolvers = {ip_address(text) for text in resolvers}
    tools = {tool["id"]: tool for tool in file.get("tool", [])}
    read_template(json.loads(template.read_text()), tools, model)
    return model


def read_port(port: dict) -> Port:
    addresses = [ip_interface(text) for text in port.get("address", [])]
    own_mac = mac(port.get("mac", MAC_OF_PORT))
    return Port(port["name"], own_mac, port.get("mtu", 1500), addresses, port.get("vlan"))


def read_template(template: dict, tools: dict, model: Model) -> None:
    parameters = {
        name: parameter.get("Default") for name, parameter in template.get("Parameters", {}).items()
    }

    def value(given):
        """A property's value: parameters for their defaults, resources for their logical ids."""
        if isinstance(given, dict) and set(given) == {"Ref"}:
            return parameters.get(given["Ref"], given["Ref"])
        if isinstance(given, dict) and set(given) == {"Fn::GetAtt"}:
            attribute = given["Fn::GetAtt"]
            return attribute.split(".")[0] if isinstance(attribute, str) else attribute[0]
        return given

    def number(given) -> int | None:
        return None if given is None else int(value(given))

    def ports(given) -> range | None:
        if given is None:
            return None
        return range(number(given["FromPort"]), number(given["ToPort"]) + 1)

    resources = {
        logical_id: (
            resource["Type"].removeprefix("AWS::EC2::TrafficMirror"),
            resource.get("Properties", {}),
        )
        for logical_id, resource in template["Resources"].items()
    }
    given_vnis = {
        number(of["VirtualNetworkId"])
        for kind, of in resources.values()
        if kind == "Session" and "VirtualNetworkId" in of
    }
    free_vnis = (vni for vni in range(1, 2**24) if vni not in given_vnis)
    for logical_id, (kind, of) in resources.items():
        if kind == "Filter" and "amazon-dns" in value(of.get("NetworkServices", [])):
            model.dns_filters.add(logical_id)
        elif kind == "FilterRule":
            model.rules.append(
                Rule(
                    id=logical_id,
                    filter=value(of["TrafficMirrorFilterId"]),
                    direction=value(of["TrafficDirection"]),
                    number=number(of["RuleNumber"]),
                    accepts=value(of["RuleAction"]) == "accept",
                    protocol=number(of.get("Protocol")),
                    source=ip_network(value(of["SourceCidrBlock"]), strict=False),
                    destination=ip_network(value(of["DestinationCidrBlock"]), strict=False),
                    source_ports=ports(of.get("SourcePortRange")),
                    destination_ports=ports(of.get("DestinationPortRange")),
                )
            )
        elif kind == "Session":
            _, target = resources[value(of["TrafficMirrorTargetId"])]
            is_interface = "NetworkInterfaceId" in target
            (tool_id,) = [value(target[key]) for key in target if key in TOOL_PROPERTIES]
            tool = tools[tool_id]
            length = number(of.get("PacketLength"))
            if length is None and not is_interface:
                length = LOAD_BALANCER_PACKET_LENGTH
            vni = number(of.get("VirtualNetworkId"))
            model.sessions.append(
                Session(
                    id=logical_id,
                    interface=value(of["NetworkInterfaceId"]),
                    number=number(of["SessionNumber"]),
                    vni=next(free_vnis) if vni is None else vni,
                    packet_length=length,
                    filter=value(of["TrafficMirrorFilterId"]),
                    port=tool["port"],
                    members=read_members(tool, model.ports[tool["port"]]),
                    is_load_balancer=not is_interface,
                )
            )


TOOL_PROPERTIES = ("NetworkInterfaceId", "NetworkLoadBalancerArn", "GatewayLoadBalancerEndpointId")


def read_members(tool: dict, port: Port) -> list[Member]:
    members = []
    for member in tool.get("members", [tool]):
        address = ip_address(member["address"])
        family = [own for own in port.addresses if own.version == address.version]
        on_subnet = [own for own in family if address in own.network]
        source = (on_subnet + family)[0].ip
        neighbour = mac(member.get("mac", MAC_OF_NEIGHBOUR))
        members.append(Member(address, source, neighbour, member.get("weight", 1)))
    return members
