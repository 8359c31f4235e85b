//! The members of tools: what the file says, what was said at run time over it, and what the checks
//! have found over both.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use engine::snapshot::{MemberHealth, MemberSpec, NeighborSpec, PortSpec};
use engine::units::Mac;

use super::plan::Plan;
use super::refusal::Refusal;
use super::world::World;
use super::{Ask, Service};
use crate::config::{MEMBERS_MAX, Mode, Tool, WEIGHTS, fault_of, member_at};
use crate::fault::did_you_mean;
use crate::health::{HealthMap, lay_over};
use crate::model::{MemberEdit, Setting, ToolEdits};
use crate::store::Change;

/// What tools with one member have their ids begin with: a network interface is one.
const INTERFACE: &str = "eni-";

/// A member as it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Where it is.
    pub address: IpAddr,
    /// Its weight; absent: as it was, else 1.
    pub weight: Option<u16>,
    /// Its fixed neighbour address; absent: as it was, else resolved.
    pub mac: Option<Mac>,
}

/// Which members may be named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Those that are there and those that are not, as ELB has it.
    Any,
    /// Those that are not there.
    New,
    /// Those that are there.
    Known,
}

/// How members leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// They are none any more.
    AtOnce,
    /// They get no new flows, until they are registered again or leave.
    Draining,
}

impl Service {
    /// Makes members of a tool, of all or of none: those that come take flows when this returns, those
    /// that drained do again.
    pub fn register(
        &self,
        ask: Ask<'_>,
        tool: &str,
        members: &[Registration],
        expect: Expect,
    ) -> Result<(), Refusal> {
        self.change(ask, |world| register(world, ask.account, tool, members, expect))
    }

    /// Has members of a tool leave it, all or none. [`Expect::New`] names nobody.
    pub fn deregister(
        &self,
        ask: Ask<'_>,
        tool: &str,
        addresses: &[IpAddr],
        how: Leave,
        expect: Expect,
    ) -> Result<(), Refusal> {
        self.change(ask, |world| deregister(world, ask.account, tool, addresses, (how, expect)))
    }
}

/// The tools as they are to be. Tells in `notes` what of the edits contradicts the file and is left
/// out.
pub(super) fn laid_over(
    file: &[Tool],
    ports: &[PortSpec],
    edits: &BTreeMap<String, ToolEdits>,
    health: &HealthMap,
    notes: &mut Vec<String>,
) -> Vec<Tool> {
    for id in edits.keys().filter(|id| !file.iter().any(|tool| tool.id == **id)) {
        notes.push(format!(
            "tool {id}: members were changed at run time, and the appliance file has the tool no \
             more; the changes wait for it"
        ));
    }
    let tool = |tool: &Tool| {
        let mut members = match (edits.get(&tool.id), ports.get(tool.port.at())) {
            (Some(edits), Some(port)) => members(tool, port, edits, notes),
            _ => tool.members.clone(),
        };
        if !members.iter().any(takes_flows) {
            members.clone_from(&tool.members);
            notes.push(format!(
                "tool {}: of what the appliance file says the changes at run time leave no member \
                 that takes flows; they are left out",
                tool.id
            ));
        }
        let mut tool = Tool { members, ..tool.clone() };
        lay_over(&mut tool, health);
        tool
    };
    file.iter().map(tool).collect()
}

/// The members of one tool: the file's in its order, then those that were added.
fn members(
    tool: &Tool,
    port: &PortSpec,
    edits: &ToolEdits,
    notes: &mut Vec<String>,
) -> Vec<MemberSpec> {
    let mut members = Vec::new();
    for member in &tool.members {
        match edits.members.get(&member.address) {
            None => members.push(member.clone()),
            Some(MemberEdit::Removed) => {}
            Some(MemberEdit::Added(setting) | MemberEdit::Changed(setting)) => {
                members.push(set(member.clone(), setting));
            }
        }
    }
    for (&address, edit) in &edits.members {
        if find(&tool.members, address).is_some() {
            continue;
        }
        let why = match edit {
            MemberEdit::Removed => continue,
            MemberEdit::Changed(_) => {
                "was changed at run time, and the appliance file has it no more".to_owned()
            }
            MemberEdit::Added(setting) => match member_at(port, address, setting.mac, Mode::Online)
            {
                Ok(member) => {
                    members.push(set(member, setting));
                    continue;
                }
                Err(why) => format!("was added at run time, and can't be reached any more: {why}"),
            },
        };
        notes.push(format!("tool {}: member {address} {why}; it is left out", tool.id));
    }
    members
}

fn set(mut member: MemberSpec, setting: &Setting) -> MemberSpec {
    if let Some(mac) = setting.mac {
        member.neighbor = NeighborSpec::Fixed(mac);
    }
    if let Some(weight) = setting.weight {
        member.weight = weight;
    }
    if setting.is_draining {
        member.health = MemberHealth::Draining;
    }
    member
}

fn find(members: &[MemberSpec], address: IpAddr) -> Option<&MemberSpec> {
    members.iter().find(|member| member.address == address)
}

/// True for a member that new flows may go to, if it is well.
fn takes_flows(member: &MemberSpec) -> bool {
    member.weight > 0 && member.health != MemberHealth::Draining
}

/// The edits without those that the file has come to say itself: who was removed there too would
/// otherwise stay away when the file names him again.
pub(super) fn settled(file: &[Tool], edits: &BTreeMap<String, ToolEdits>) -> Vec<ToolEdits> {
    let mut changed = Vec::new();
    for tool in file {
        let Some(before) = edits.get(&tool.id) else { continue };
        let mut after = before.clone();
        after.members.retain(|&address, edit| {
            *edit != MemberEdit::Removed || find(&tool.members, address).is_some()
        });
        if after != *before {
            changed.push(after);
        }
    }
    changed
}

/// Members come, come back, or have another weight. Errors: see [`Refusal`].
pub(super) fn register(
    world: &World,
    account: &str,
    id: &str,
    members: &[Registration],
    expect: Expect,
) -> Result<Plan<()>, Refusal> {
    let mut draft = Draft::of(world, account, id)?;
    check_distinct(id, members.iter().map(|member| member.address))?;
    for member in members {
        draft.register(member, expect)?;
    }
    draft.into_plan()
}

/// Members go, or get no new flows. Errors: see [`Refusal`].
pub(super) fn deregister(
    world: &World,
    account: &str,
    id: &str,
    addresses: &[IpAddr],
    (how, expect): (Leave, Expect),
) -> Result<Plan<()>, Refusal> {
    let mut draft = Draft::of(world, account, id)?;
    check_distinct(id, addresses.iter().copied())?;
    for &address in addresses {
        draft.deregister(address, how, expect)?;
    }
    draft.into_plan()
}

fn check_distinct(tool: &str, addresses: impl Iterator<Item = IpAddr>) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    let mut count = 0;
    for address in addresses {
        count += 1;
        if !seen.insert(address) {
            return refuse(tool, format!("{address} is named twice; name each member once"));
        }
    }
    if count == 0 {
        return refuse(tool, "no member is named; name one by its address".to_owned());
    }
    Ok(())
}

fn refuse<T>(tool: &str, why: String) -> Result<T, Refusal> {
    Err(Refusal::Member { tool: tool.to_owned(), why })
}

/// One tool while a request changes it.
struct Draft<'w> {
    /// As the file has it.
    file: &'w Tool,
    /// Its members as they are now.
    now: &'w [MemberSpec],
    port: &'w PortSpec,
    before: Option<&'w ToolEdits>,
    after: ToolEdits,
}

impl<'w> Draft<'w> {
    fn of(world: &'w World, account: &str, id: &str) -> Result<Self, Refusal> {
        if account != world.template_account() {
            return Err(Refusal::OfAppliance(id.to_owned()));
        }
        let appliance = world.appliance();
        let found = world.file_tool(id).zip(appliance.tools.iter().find(|tool| tool.id == id));
        let found = found.and_then(|it| Some((it, appliance.ports.get(it.0.port.at())?)));
        let Some(((file, now), port)) = found else {
            let known = appliance.tools.iter().map(|tool| tool.id.as_str());
            return Err(Refusal::NoTool { id: id.to_owned(), hint: did_you_mean(id, known) });
        };
        if id.starts_with(INTERFACE) {
            return refuse(
                id,
                "it is a network interface, which is one tool; give a [[tool]] of several the ARN \
                 of a load balancer as its id"
                    .to_owned(),
            );
        }
        let before = world.edits_of(id);
        let mut after = before.cloned().unwrap_or_default();
        id.clone_into(&mut after.tool);
        Ok(Self { file, now: &now.members, port, before, after })
    }

    /// What was said of a member that is one now.
    fn setting(&self, address: IpAddr) -> Setting {
        match self.after.members.get(&address) {
            Some(MemberEdit::Added(it) | MemberEdit::Changed(it))
                if find(self.now, address).is_some() =>
            {
                it.clone()
            }
            _ => Setting::default(),
        }
    }

    fn put(&mut self, address: IpAddr, mut setting: Setting) {
        let Some(of_file) = find(&self.file.members, address) else {
            self.after.members.insert(address, MemberEdit::Added(setting));
            return;
        };
        setting.weight = setting.weight.filter(|&weight| weight != of_file.weight);
        if setting == Setting::default() {
            self.after.members.remove(&address);
        } else {
            self.after.members.insert(address, MemberEdit::Changed(setting));
        }
    }

    fn register(&mut self, member: &Registration, expect: Expect) -> Result<(), Refusal> {
        let &Registration { address, weight, mac } = member;
        let id = &self.file.id;
        match (find(self.now, address), expect) {
            (Some(it), Expect::New) => {
                let what = if it.health == MemberHealth::Draining {
                    "and drains; undrain it to have it back"
                } else {
                    "already; change its weight if that is what you want"
                };
                return Err(Refusal::AlreadyMember { tool: id.clone(), address, how: what });
            }
            (None, Expect::Known) => return self.unknown(address),
            _ => {}
        }
        if let Some(weight) = weight.filter(|weight| !WEIGHTS.contains(weight)) {
            let (start, end) = (WEIGHTS.start(), WEIGHTS.end());
            return refuse(id, format!("weight {weight} is not from {start} to {end}"));
        }
        if let Some((mac, why)) = mac.and_then(|mac| Some((mac, fault_of(mac)?))) {
            return refuse(id, format!("mac {mac} {why}"));
        }
        let before = self.setting(address);
        let setting = Setting {
            mac: mac.or(before.mac),
            weight: weight.or(before.weight),
            is_draining: false,
        };
        if let Err(why) = member_at(self.port, address, setting.mac, Mode::Online)
            && find(&self.file.members, address).is_none()
        {
            return refuse(id, why);
        }
        self.put(address, setting);
        Ok(())
    }

    fn deregister(&mut self, address: IpAddr, how: Leave, expect: Expect) -> Result<(), Refusal> {
        if find(self.now, address).is_none() {
            return if expect == Expect::Any { Ok(()) } else { self.unknown(address) };
        }
        if how == Leave::Draining {
            let setting = self.setting(address);
            self.put(address, Setting { is_draining: true, ..setting });
        } else if find(&self.file.members, address).is_some() {
            self.after.members.insert(address, MemberEdit::Removed);
        } else {
            self.after.members.remove(&address);
        }
        Ok(())
    }

    fn unknown<T>(&self, address: IpAddr) -> Result<T, Refusal> {
        let known: Vec<String> = self.now.iter().map(|member| member.address.to_string()).collect();
        let hint = did_you_mean(&address.to_string(), known.iter().map(String::as_str));
        Err(Refusal::NoMember { tool: self.file.id.clone(), address, hint })
    }

    fn into_plan(self) -> Result<Plan<()>, Refusal> {
        let Self { file, port, before, after, .. } = self;
        if before.unwrap_or(&ToolEdits { tool: after.tool.clone(), ..ToolEdits::default() })
            == &after
        {
            return Ok(Plan::Done(()));
        }
        let members = members(file, port, &after, &mut Vec::new());
        if members.len() > MEMBERS_MAX {
            return Err(Refusal::TooManyMembers { tool: after.tool, max: MEMBERS_MAX });
        }
        if !members.iter().any(takes_flows) {
            let why = "no member would be left that takes flows; add another one, or undrain one, \
                       first";
            return refuse(&after.tool, why.to_owned());
        }
        Ok(Plan::Do(Change { tools: vec![after], ..Change::default() }, ()))
    }
}
