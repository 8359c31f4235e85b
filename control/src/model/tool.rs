//! What was said at run time of the members of tools; it is laid over what the appliance file says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::units::Mac;
use serde::{Deserialize, Serialize};

/// All edits of one tool, by the members' addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolEdits {
    /// The tool's id.
    pub tool: String,
    /// What was said of each member; of the others the file alone speaks.
    pub members: BTreeMap<IpAddr, MemberEdit>,
}

/// What was said of one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberEdit {
    /// The file does not name it, and it is one.
    Added(Setting),
    /// The file names it, and has it otherwise.
    Changed(Setting),
    /// The file names it, and it is none.
    Removed,
}

/// How a member is to be; what is absent is as in the file, or as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its fixed neighbour address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// It keeps the flows that it has, and gets no others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_draining: bool,
}
