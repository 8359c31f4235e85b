//! Errors as EC2 puts them on the wire: a code, a sentence, an HTTP status.
//!
//! Where AWS's page of error codes and what clients see differ, the wire decides: Terraform and
//! others look for those.

use std::io;

use super::encode;
use super::endpoint::{Answer, Dialect};
use crate::fault::quoted;
use crate::model::{Destination, Kind};
use crate::service::{Limit, Refusal};

/// An error of EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: &'static str,
    status: u16,
    message: String,
}

impl Error {
    /// An error with a code of EC2.
    pub fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into() }
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// As it goes back to the client.
    pub fn answer(&self, dialect: Dialect, request_id: &str) -> Answer {
        let code = if dialect == Dialect::Elb { elb_code(self.code) } else { self.code };
        let body = encode::error(dialect, code, &self.message, request_id);
        Answer { status: self.status, body }
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}");
        Self::new("MissingParameter", 400, message)
    }

    pub(super) fn unknown_parameter(parameter: &str) -> Self {
        let parameter = shortened(parameter);
        Self::new("UnknownParameter", 400, format!("The parameter {parameter} is not recognized"))
    }

    pub(super) fn unknown_action(action: &str, version: &str) -> Self {
        let (action, version) = (shortened(action), shortened(version));
        let message =
            format!("The action {action} is not valid for this web service, version {version}.");
        Self::new("InvalidAction", 400, message)
    }

    pub(super) fn invalid(parameter: &str, value: &str, why: &str) -> Self {
        let value = shortened(value);
        let message = format!("Value ({value}) for parameter {parameter} is invalid. {why}");
        Self::new("InvalidParameterValue", 400, message)
    }

    pub(super) fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", 400, message)
    }

    pub(super) fn dry_run() -> Self {
        Refusal::DryRun.into()
    }
}

/// ELB's code for what EC2 has another one for (ELB API Reference, "Common errors").
fn elb_code(code: &'static str) -> &'static str {
    match code {
        "MissingParameter"
        | "UnknownParameter"
        | "InvalidParameterValue"
        | "InvalidParameterCombination" => "ValidationError",
        "UnauthorizedOperation" => "AccessDenied",
        "InternalError" => "InternalFailure",
        "Unavailable" => "ServiceUnavailable",
        same => same,
    }
}

/// Text of a request, fit for a message: not endless.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    quoted(text)
}

impl From<io::Error> for Error {
    /// An answer could not be written into memory.
    fn from(error: io::Error) -> Self {
        Self::new("InternalError", 500, format!("The answer could not be written: {error}"))
    }
}

/// The table from the service's refusals to EC2's codes.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let (code, status) = match &refusal {
            Refusal::NotFound(Kind::Filter, _) => ("InvalidTrafficMirrorFilterId.NotFound", 400),
            Refusal::NotFound(Kind::Rule, _) => ("InvalidTrafficMirrorFilterRuleId.NotFound", 400),
            Refusal::NotFound(Kind::Target, _) => ("InvalidTrafficMirrorTargetId.NotFound", 400),
            Refusal::NotFound(Kind::Session, _) => ("InvalidTrafficMirrorSessionId.NotFound", 400),
            Refusal::UnknownInterface(_)
            | Refusal::UnknownTool(Destination::NetworkInterface(_)) => {
                ("InvalidNetworkInterfaceID.NotFound", 400)
            }
            Refusal::UnknownTool(Destination::NetworkLoadBalancer(_)) => {
                ("InvalidNetworkLoadBalancerArn.NotFound", 400)
            }
            Refusal::UnknownTool(Destination::GatewayLoadBalancerEndpoint(_)) => {
                ("InvalidVpcEndpointId.NotFound", 400)
            }
            Refusal::InUse { kind: Kind::Target, .. } => ("TrafficMirrorTargetInUse", 400),
            Refusal::InUse { .. } => ("TrafficMirrorFilterInUse", 400),
            Refusal::RuleTaken { .. } => ("TrafficMirrorFilterRuleAlreadyExists", 400),
            Refusal::Over { limit, .. } => (limit_code(*limit), 400),
            Refusal::Invalid { .. } | Refusal::Unfit(_) | Refusal::Unsound(_) => {
                ("InvalidParameterValue", 400)
            }
            Refusal::Combination(_) => ("InvalidParameterCombination", 400),
            Refusal::TokenReused(_) => ("IdempotentParameterMismatch", 400),
            Refusal::OfTemplate(_) => ("OperationNotPermitted", 400),
            Refusal::OfOther(_) => ("UnauthorizedOperation", 403),
            Refusal::NoTool { .. } => ("TargetGroupNotFound", 400),
            Refusal::AlreadyMember { .. } => ("TargetAlreadyRegistered", 400),
            Refusal::NoMember { .. } => ("TargetNotRegistered", 400),
            Refusal::Member { .. } => ("InvalidTarget", 400),
            Refusal::TooManyMembers { .. } => ("TooManyTargets", 400),
            Refusal::OfAppliance(_) => ("AccessDenied", 403),
            Refusal::DryRun => ("DryRunOperation", 412),
            Refusal::Store(_) | Refusal::NoRandomness | Refusal::Poisoned => ("InternalError", 500),
            Refusal::NotInForce { .. } => ("Unavailable", 503),
        };
        Self::new(code, status, refusal.to_string())
    }
}

fn limit_code(limit: Limit) -> &'static str {
    match limit {
        Limit::Filters => "TrafficMirrorFilterLimitExceeded",
        Limit::RulesPerFilter => "TrafficMirrorFilterRuleLimitExceeded",
        Limit::Targets => "TrafficMirrorTargetLimitExceeded",
        Limit::TargetsPerLoadBalancer => "NlbInUseByTrafficMirrorTargetException",
        Limit::Sessions => "TrafficMirrorSessionLimitExceeded",
        Limit::SessionsPerSource => "TrafficMirrorSessionsPerInterfaceLimitExceeded",
        Limit::SourcesPerTarget => "TrafficMirrorSourcesPerTargetLimitExceeded",
        Limit::Tags => "TagLimitExceeded",
    }
}
