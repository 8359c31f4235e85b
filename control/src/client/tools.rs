//! Tools and their members, as `ELBv2` has target groups and targets: read by their wire, beside EC2's.

use super::shape::{Member, Shape};
use super::{CallError, Ec2, Element};
use crate::ec2::endpoint::Params;

/// Pages of the list of tools: far more than a file can have.
const PAGES_MAX: usize = 1000;

const fn text(name: &'static str) -> Member {
    Member { element: name, key: name, shape: Shape::Text }
}

const fn number(name: &'static str) -> Member {
    Member { element: name, key: name, shape: Shape::Number }
}

const fn flag(name: &'static str) -> Member {
    Member { element: name, key: name, shape: Shape::Flag }
}

const fn structure(name: &'static str, members: &'static [Member]) -> Member {
    Member { element: name, key: name, shape: Shape::Structure(members) }
}

/// A tool as `aws elbv2 describe-target-groups` prints it, and what is ours below.
pub static TOOL: Shape = Shape::Structure(&[
    text("TargetGroupArn"),
    text("TargetGroupName"),
    text("Protocol"),
    number("Port"),
    text("HealthCheckProtocol"),
    text("HealthCheckPort"),
    flag("HealthCheckEnabled"),
    number("HealthCheckIntervalSeconds"),
    number("HealthCheckTimeoutSeconds"),
    number("HealthyThresholdCount"),
    number("UnhealthyThresholdCount"),
    text("HealthCheckPath"),
    structure("Matcher", &[text("HttpCode")]),
    Member {
        element: "LoadBalancerArns",
        key: "LoadBalancerArns",
        shape: Shape::List(&Shape::Text),
    },
    text("TargetType"),
    text("IpAddressType"),
    text("ToolPort"),
    text("Affinity"),
    flag("Inner"),
    flag("Sticky"),
    text("AllDown"),
    number("MemberCount"),
    number("DrainingCount"),
    number("DownCount"),
]);

/// A member as `aws elbv2 describe-target-health` prints it, and what is ours below.
pub static MEMBER: Shape = Shape::Structure(&[
    structure("Target", &[text("Id"), number("Port")]),
    text("HealthCheckPort"),
    structure("TargetHealth", &[text("State"), text("Reason"), text("Description")]),
    number("Weight"),
    text("MacAddress"),
    text("Since"),
]);

/// All tools that hold for `params`.
pub fn tools(ec2: &mut dyn Ec2, params: &Params) -> Result<Vec<Element>, CallError> {
    let mut found = Vec::new();
    let mut marker: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut page = params.clone();
        page.0.extend(marker.iter().map(|marker| ("Marker".to_owned(), marker.clone())));
        let reply = ec2.call("DescribeTargetGroups", &page)?;
        let result = reply.child("DescribeTargetGroupsResult").cloned().unwrap_or_default();
        found.extend(result.items("TargetGroups").cloned());
        match result.text_of("NextMarker").filter(|next| !next.is_empty()) {
            None => return Ok(found),
            Some(next) if Some(next) == marker.as_deref() => break,
            Some(next) => marker = Some(next.to_owned()),
        }
    }
    let why = "DescribeTargetGroups has no end: its pages name no further one, again and again";
    Err(CallError::Unanswered(why.to_owned()))
}

/// The members of one tool.
pub fn members(ec2: &mut dyn Ec2, tool: &str) -> Result<Vec<Element>, CallError> {
    let params = Params(vec![("TargetGroupArn".to_owned(), tool.to_owned())]);
    let reply = ec2.call("DescribeTargetHealth", &params)?;
    let result = reply.child("DescribeTargetHealthResult").cloned().unwrap_or_default();
    Ok(result.items("TargetHealthDescriptions").cloned().collect())
}
