//! Why a request is not done, or not quite.

use std::net::IpAddr;

use thiserror::Error;

use super::NotYet;
use crate::model::{Destination, Kind, ModelFault};
use crate::store::StoreError;

/// Why a request is refused. Nothing was changed, except where a variant says so.
#[derive(Debug, Error)]
pub enum Refusal {
    /// There is no such object, or it is somebody else's.
    #[error("The traffic mirror {0} ID '{1}' does not exist")]
    NotFound(Kind, String),
    /// The appliance file has no such interface.
    #[error("The networkInterface ID '{0}' does not exist")]
    UnknownInterface(String),
    /// The appliance file has no such tool.
    #[error("{}", unknown_tool(.0))]
    UnknownTool(Destination),
    /// A session needs it.
    #[error("Cannot delete {id}. {} is in use by {by}", capital(*.kind))]
    InUse {
        /// What was to be deleted.
        kind: Kind,
        /// Its id.
        id: String,
        /// A session that uses it.
        by: String,
    },
    /// The rule number has another rule already, in this direction.
    #[error("The rule number {number} is taken by {by} in this direction of {filter}")]
    RuleTaken {
        /// The number.
        number: u16,
        /// The filter.
        filter: String,
        /// The rule that has it.
        by: String,
    },
    /// There would be more than a quota allows.
    #[error("The limit of {max} {} is reached{}", .limit.counted(), in_what(.of))]
    Over {
        /// Which quota.
        limit: Limit,
        /// How many there may be.
        max: u32,
        /// Of what: an id, or empty for an account.
        of: String,
    },
    /// A value that can't be.
    #[error("Value ({value}) for parameter {parameter} is invalid. {why}")]
    Invalid {
        /// The parameter as EC2 names it.
        parameter: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it, and the remedy: a sentence.
        why: String,
    },
    /// Values that can't be together.
    #[error("{0}")]
    Combination(String),
    /// The token made something else before.
    #[error("The client token '{0}' was used with other parameters before; use a new one")]
    TokenReused(String),
    /// The template has it.
    #[error("'{0}' comes from the template that linetapd was started with; change it there")]
    OfTemplate(String),
    /// It can be seen, and belongs to another account.
    #[error("'{0}' belongs to another account, which alone can change it")]
    OfOther(String),
    /// The appliance file has no tool with this id.
    #[error("No [[tool]] of the appliance file has the id '{id}'{hint}")]
    NoTool {
        /// The id.
        id: String,
        /// Another one that may be meant, as the end of the sentence.
        hint: String,
    },
    /// The tool has this member.
    #[error("tool {tool}: {address} is a member {how}")]
    AlreadyMember {
        /// The tool.
        tool: String,
        /// The member.
        address: IpAddr,
        /// How it is one, and the remedy.
        how: &'static str,
    },
    /// The tool has no such member.
    #[error("tool {tool}: {address} is no member of it{hint}")]
    NoMember {
        /// The tool.
        tool: String,
        /// Whoever is meant.
        address: IpAddr,
        /// Another one that may be meant, as the end of the sentence.
        hint: String,
    },
    /// A member of a tool can't be as it is asked for.
    #[error("tool {tool}: {why}")]
    Member {
        /// The tool.
        tool: String,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// A tool would have more members than it can.
    #[error("tool {tool} would have more than {max} members; make several tools of it")]
    TooManyMembers {
        /// The tool.
        tool: String,
        /// How many it may have.
        max: usize,
    },
    /// Tools are the appliance's own account's.
    #[error("'{0}' is the appliance's: only the account of [api] can change it")]
    OfAppliance(String),
    /// It would have been done.
    #[error("Request would have succeeded, but DryRun flag is set.")]
    DryRun,
    /// It does not go with the other objects, or with the appliance file.
    #[error("{}", sentences(.0))]
    Unfit(Vec<ModelFault>),
    /// The data plane could not take it.
    #[error("The data plane can't take this: {}", .0.join("; "))]
    Unsound(Vec<String>),
    /// The store did not take it.
    #[error(
        "The change could not be stored and is not in force; ask again when this is mended \
         (a fault of the disk may leave it stored for the next start all the same): {0}"
    )]
    Store(#[from] StoreError),
    /// It is stored, and will be in force; it is not yet.
    #[error(
        "The change is stored (revision {revision}) but not in force yet: {why}. It is tried again \
         until it is; repeat the request to learn whether it is in force"
    )]
    NotInForce {
        /// The store's revision.
        revision: u64,
        /// Who is late.
        why: NotYet,
    },
    /// No random numbers are to be had.
    #[error("The machine gives no random numbers; nothing was changed")]
    NoRandomness,
    /// A thread failed in the middle of a change.
    #[error("A thread of linetapd failed before; restart it")]
    Poisoned,
}

/// What there can be too many of. The quotas are those of `[quotas]`, with AWS's numbers by default
/// (VPC guide, "Traffic Mirroring quotas").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Filters of an account.
    Filters,
    /// Rules of a filter.
    RulesPerFilter,
    /// Targets of an account.
    Targets,
    /// Targets of a load balancer.
    TargetsPerLoadBalancer,
    /// Sessions of an account.
    Sessions,
    /// Sessions of a source.
    SessionsPerSource,
    /// Sources of an interface that is a target.
    SourcesPerTarget,
    /// Tags of an object.
    Tags,
}

impl Limit {
    fn counted(self) -> &'static str {
        match self {
            Self::Filters => "traffic mirror filters",
            Self::RulesPerFilter => "rules per filter",
            Self::Targets => "traffic mirror targets",
            Self::TargetsPerLoadBalancer => "targets per load balancer",
            Self::Sessions => "traffic mirror sessions",
            Self::SessionsPerSource => "sessions per source",
            Self::SourcesPerTarget => "sources per target",
            Self::Tags => "tags per resource",
        }
    }
}

fn in_what(of: &str) -> String {
    if of.is_empty() { String::new() } else { format!(" for {of}") }
}

fn capital(kind: Kind) -> &'static str {
    match kind {
        Kind::Filter => "Filter",
        Kind::Rule => "Filter rule",
        Kind::Target => "Target",
        Kind::Session => "Session",
    }
}

fn unknown_tool(destination: &Destination) -> String {
    let id = destination.id();
    match destination {
        Destination::NetworkInterface(_) => format!("The interface ID '{id}' does not exist"),
        Destination::NetworkLoadBalancer(_) => {
            format!("The network load balancer '{id}' does not exist")
        }
        Destination::GatewayLoadBalancerEndpoint(_) => {
            format!("The vpcEndpoint ID '{id}' does not exist")
        }
    }
}

fn sentences(faults: &[ModelFault]) -> String {
    let sentence = |fault: &ModelFault| {
        let at = &fault.at;
        let place = if at.name.is_empty() { String::new() } else { format!("{}: ", at.name) };
        format!("{place}{}", fault.message)
    };
    faults.iter().map(sentence).collect::<Vec<_>>().join("; ")
}
