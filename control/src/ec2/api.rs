//! One request in, one answer out: which action, and who may.

use std::sync::Arc;

use super::caller::{Access, Caller};
use super::decode::Request;
use super::encode::Xml;
use super::endpoint::{Answer, Dialect, Endpoint, Params};
use super::error::Error;
use super::{filter, interface, member, rule, session, tag, target, tool};
use crate::service::{Ask, Service};

/// A request on its way through a handler.
pub(super) struct Call<'c> {
    pub(super) service: &'c Service,
    pub(super) caller: &'c Caller,
    pub(super) request: Request<'c>,
    is_dry: bool,
}

impl<'c> Call<'c> {
    /// The caller's account.
    pub(super) fn account(&self) -> &'c str {
        &self.caller.account
    }

    /// How the service is asked.
    pub(super) fn ask(&self) -> Ask<'c> {
        Ask { account: &self.caller.account, is_dry: self.is_dry }
    }
}

/// What an action does.
type Handler = fn(&Call<'_>, &mut Xml) -> Result<(), Error>;

/// Every action, what it takes, and who does it.
const ACTIONS: [(&str, Access, Handler); 23] = [
    ("CreateTrafficMirrorFilter", Access::ReadWrite, filter::create),
    ("DeleteTrafficMirrorFilter", Access::ReadWrite, filter::delete),
    ("DescribeTrafficMirrorFilters", Access::ReadOnly, filter::describe),
    ("ModifyTrafficMirrorFilterNetworkServices", Access::ReadWrite, filter::modify_services),
    ("CreateTrafficMirrorFilterRule", Access::ReadWrite, rule::create),
    ("DeleteTrafficMirrorFilterRule", Access::ReadWrite, rule::delete),
    ("DescribeTrafficMirrorFilterRules", Access::ReadOnly, rule::describe),
    ("ModifyTrafficMirrorFilterRule", Access::ReadWrite, rule::modify),
    ("CreateTrafficMirrorTarget", Access::ReadWrite, target::create),
    ("DeleteTrafficMirrorTarget", Access::ReadWrite, target::delete),
    ("DescribeTrafficMirrorTargets", Access::ReadOnly, target::describe),
    ("CreateTrafficMirrorSession", Access::ReadWrite, session::create),
    ("DeleteTrafficMirrorSession", Access::ReadWrite, session::delete),
    ("DescribeTrafficMirrorSessions", Access::ReadOnly, session::describe),
    ("ModifyTrafficMirrorSession", Access::ReadWrite, session::modify),
    ("CreateTags", Access::ReadWrite, tag::create),
    ("DeleteTags", Access::ReadWrite, tag::delete),
    ("DescribeTags", Access::ReadOnly, tag::describe),
    ("DescribeNetworkInterfaces", Access::ReadOnly, interface::describe),
    ("RegisterTargets", Access::ReadWrite, member::register),
    ("DeregisterTargets", Access::ReadWrite, member::deregister),
    ("DescribeTargetHealth", Access::ReadOnly, member::describe),
    ("DescribeTargetGroups", Access::ReadOnly, tool::describe),
];

/// The API over a service.
#[derive(Debug, Clone)]
pub struct Api {
    service: Arc<Service>,
}

impl Api {
    /// The API over this service.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    fn try_answer(&self, caller: &Caller, params: &Params, id: &str) -> Result<String, Error> {
        let request = Request::of(params)?;
        let Some(action) = request.text("Action")?.filter(|action| !action.is_empty()) else {
            let message = "The request is missing an action or operation parameter.";
            return Err(Error::new("MissingAction", 400, message));
        };
        let version = request.required("Version")?;
        let Some(&(action, needs, handle)) = ACTIONS.iter().find(|(name, ..)| *name == action)
        else {
            return Err(Error::unknown_action(&action, &version));
        };
        let dialect = Dialect::of_action(action);
        if version != dialect.version() {
            return Err(Error::unknown_action(action, &version));
        }
        if needs == Access::ReadWrite && caller.access == Access::ReadOnly {
            let message = "You are not authorized to perform this operation.";
            return Err(Error::new("UnauthorizedOperation", 403, message));
        }
        let is_dry = request.boolean("DryRun")?.unwrap_or(false);
        let call = Call { service: &self.service, caller, request, is_dry };
        let mut xml = Xml::begin(dialect, action, id)?;
        handle(&call, &mut xml)?;
        if is_dry {
            return Err(Error::dry_run());
        }
        Ok(xml.finish(action)?)
    }
}

impl Endpoint for Api {
    fn answer(&self, caller: &Caller, params: &Params, request_id: &str) -> Answer {
        match self.try_answer(caller, params, request_id) {
            Ok(body) => Answer { status: 200, body },
            Err(error) => {
                let mut versions = params.0.iter().filter(|(name, _)| name == "Version");
                let version = versions.next().map_or("", |(_, version)| version.as_str());
                let dialect = Dialect::of_version(version).unwrap_or(Dialect::Ec2);
                error.answer(dialect, request_id)
            }
        }
    }
}
