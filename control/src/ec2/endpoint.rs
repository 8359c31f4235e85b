//! What the HTTP server calls: one request in, one answer out.

use super::caller::Caller;

/// The services whose requests are answered: their forms differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// EC2: mirror objects.
    Ec2,
    /// `ELBv2`: the members of tools.
    Elb,
}

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ec2, Self::Elb];

    /// The version of the API, and of its XML.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::Elb => "2015-12-01",
        }
    }

    /// The service with this version.
    pub fn of_version(version: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.version() == version)
    }

    /// The service that has an action, by its name.
    pub fn of_action(action: &str) -> Self {
        const ELB: [&str; 3] = ["RegisterTargets", "DeregisterTargets", "DescribeTarget"];
        if ELB.iter().any(|start| action.starts_with(start)) { Self::Elb } else { Self::Ec2 }
    }
}

/// One request of the Query protocol as decoded pairs, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// XML.
    pub body: String,
}

/// What the HTTP server calls with an authenticated request. It may block: for as long as the store
/// and the data plane take.
pub trait Endpoint: Send + Sync + 'static {
    /// Does what is asked, and tells.
    fn answer(&self, caller: &Caller, params: &Params, request_id: &str) -> Answer;
}
