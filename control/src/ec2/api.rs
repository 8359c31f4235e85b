//! One request in, one answer out: which action, and who may.

use std::sync::Arc;

use super::caller::{Access, Caller};
use super::decode::Request;
use super::encode::Xml;
use super::endpoint::{Answer, Endpoint, Params, VERSION};
use super::error::Error;
use super::{filter, interface, rule, session, tag, target};
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
const ACTIONS: [(&str, Access, Handler); 19] = [
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
        if version != VERSION {
            return Err(Error::unknown_action(action, &version));
        }
        if needs == Access::ReadWrite && caller.access == Access::ReadOnly {
            let message = "You are not authorized to perform this operation.";
            return Err(Error::new("UnauthorizedOperation", 403, message));
        }
        let is_dry = request.boolean("DryRun")?.unwrap_or(false);
        let call = Call { service: &self.service, caller, request, is_dry };
        let mut xml = Xml::begin(action, VERSION, id)?;
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
            Err(error) => error.answer(request_id),
        }
    }
}
