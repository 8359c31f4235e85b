//! EC2's refusals in the CLI's own words: what to do about them.

use anyhow::anyhow;

use crate::cli::Failure;
use crate::client::CallError;
use crate::fault::printable;

/// EC2's parameters by the options that give them.
const OPTIONS: [(&str, &str); 21] = [
    ("TrafficMirrorFilterId", "--filter"),
    ("TrafficMirrorTargetId", "--target"),
    ("NetworkInterfaceId", "--interface"),
    ("NetworkLoadBalancerArn", "--load-balancer"),
    ("GatewayLoadBalancerEndpointId", "--gateway-endpoint"),
    ("TrafficDirection", "--direction"),
    ("RuleNumber", "--number"),
    ("SessionNumber", "--number"),
    ("RuleAction", "--action"),
    ("SourceCidrBlock", "--source"),
    ("DestinationCidrBlock", "--destination"),
    ("SourcePortRange", "--source-ports"),
    ("DestinationPortRange", "--destination-ports"),
    ("Protocol", "--protocol"),
    ("PacketLength", "--packet-length"),
    ("VirtualNetworkId", "--vni"),
    ("Description", "--description"),
    ("RemoveField", "--remove"),
    ("AddNetworkService", "--add-service"),
    ("RemoveNetworkService", "--remove-service"),
    ("TagSpecification", "--tag"),
];

/// What to do about a code, if the message does not tell it already.
const REMEDIES: [(&str, &str); 26] = [
    ("InvalidTrafficMirrorFilterId.NotFound", "`linetap filter list` shows those that there are"),
    ("InvalidTrafficMirrorFilterRuleId.NotFound", "`linetap rule list` shows those that there are"),
    ("InvalidTrafficMirrorTargetId.NotFound", "`linetap target list` shows those that there are"),
    ("InvalidTrafficMirrorSessionId.NotFound", "`linetap session list` shows those that there are"),
    (
        "InvalidNetworkInterfaceID.NotFound",
        "a source is an [[interface]] of the appliance file, a target a [[tool]]; add it there",
    ),
    ("InvalidNetworkLoadBalancerArn.NotFound", "add it to the appliance file, as a [[tool]]"),
    ("InvalidVpcEndpointId.NotFound", "add it to the appliance file, as a [[tool]]"),
    ("TrafficMirrorFilterInUse", "delete the session, or give it another with --filter"),
    ("TrafficMirrorTargetInUse", "delete the session, or give it another with --target"),
    ("TrafficMirrorFilterRuleAlreadyExists", "give another --number, or `linetap rule modify` it"),
    ("TrafficMirrorFilterLimitExceeded", "raise filters under [quotas] in the appliance file"),
    (
        "TrafficMirrorFilterRuleLimitExceeded",
        "raise rules_per_filter under [quotas] in the appliance file",
    ),
    ("TrafficMirrorTargetLimitExceeded", "raise targets under [quotas] in the appliance file"),
    (
        "NlbInUseByTrafficMirrorTargetException",
        "use the target that there is, or raise targets_per_load_balancer under [quotas]",
    ),
    ("TrafficMirrorSessionLimitExceeded", "raise sessions under [quotas] in the appliance file"),
    (
        "TrafficMirrorSessionsPerInterfaceLimitExceeded",
        "raise sessions_per_source under [quotas] in the appliance file",
    ),
    (
        "TrafficMirrorSourcesPerTargetLimitExceeded",
        "raise sources_per_target under [quotas] in the appliance file",
    ),
    ("TagLimitExceeded", "raise tags_per_resource under [quotas] in the appliance file"),
    ("AuthFailure", "compare key id and secret with the keys file of the appliance ([api] keys)"),
    (
        "UnauthorizedOperation",
        "ask with a key whose access is \"read-write\" and whose account has the object; on the \
         socket, as root or a member of linetapd's group",
    ),
    (
        "AccessDenied",
        "ask with a key whose access is \"read-write\" and whose account is that of [api]; or on the \
         appliance itself, by the socket",
    ),
    ("TargetGroupNotFound", "`linetap tool list` shows those that there are"),
    ("TargetNotRegistered", "`linetap tool show` shows those that there are"),
    ("TargetAlreadyRegistered", "`linetap tool modify` and `linetap tool undrain` do so"),
    ("SignatureDoesNotMatch", "give the region of [api] with --region"),
    (
        "RequestLimitExceeded",
        "ask less often, or raise requests_per_second under [api.limits] in the appliance file",
    ),
];

/// Why a call came to nothing, with what to do about it.
pub(super) fn failure(error: CallError) -> Failure {
    match error {
        CallError::Refused { code, message } => {
            let option = option_in(&message).map(|option| format!(" ({option})"));
            let remedy = REMEDIES.iter().find(|(known, _)| *known == code);
            let remedy = remedy.map(|(_, remedy)| format!("; {remedy}"));
            let told = message.trim_end_matches('.');
            let (option, remedy) = (option.unwrap_or_default(), remedy.unwrap_or_default());
            let text = format!("{told}{option} ({code}){remedy}");
            anyhow!(printable(&text).into_owned()).into()
        }
        CallError::Unanswered(why) => anyhow!(printable(&why).into_owned()).into(),
    }
}

/// The option behind the parameter that a message names.
fn option_in(message: &str) -> Option<&'static str> {
    let (_, rest) = message.split_once("parameter ")?;
    let name = rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next()?;
    OPTIONS.iter().find(|(known, _)| *known == name).map(|(_, option)| *option)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: &str, message: &str) -> String {
        let refused = CallError::Refused { code: code.to_owned(), message: message.to_owned() };
        match failure(refused) {
            Failure::Runtime(error) => error.to_string(),
            Failure::Usage(faults) => panic!("{faults}"),
        }
    }

    #[test]
    fn options_and_remedies_are_named_where_they_are_known() {
        assert_eq!(
            told("InvalidParameterValue", "Value (0) for parameter RuleNumber is invalid. Why."),
            "Value (0) for parameter RuleNumber is invalid. Why (--number) (InvalidParameterValue)"
        );
        assert_eq!(
            told("TrafficMirrorFilterInUse", "Cannot delete tmf-1. Filter is in use by tms-1"),
            "Cannot delete tmf-1. Filter is in use by tms-1 (TrafficMirrorFilterInUse); delete the \
             session, or give it another with --filter"
        );
        assert_eq!(told("Other", "a\u{1b}b"), "a\\u{1b}b (Other)");
    }
}
