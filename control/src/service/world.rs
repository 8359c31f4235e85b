//! All objects as they are now: the template's and the store's, on one appliance.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use ring::rand::{SecureRandom, SystemRandom};

use super::tools::{laid_over, settled};
use super::{Ground, Refusal, tags};
use crate::compile::settle_vnis;
use crate::config::{Appliance, Tool};
use crate::health::HealthMap;
use crate::model::{
    Destination, Filter, Kind, Model, Notes, Object, Rule, Session, Target, ToolEdits,
};
use crate::store::{Change, Contents, PLACES_PER_REVISION, Record, Token};

/// Hexadecimal digits behind the prefix of an id, as EC2 has them.
const ID_DIGITS: usize = 17;

/// All objects at one revision. Ids are unique over all kinds.
#[derive(Debug)]
pub struct World {
    ground: Ground,
    revision: u64,
    /// Of each kind, by their places: the order in which they were made, the template's first.
    records: HashMap<Kind, BTreeMap<u64, Record>>,
    places: HashMap<String, (Kind, u64)>,
    /// The places of the tools in the appliance file, by their ids.
    tools: HashMap<String, usize>,
    /// The places of each filter's rules.
    rules: HashMap<String, BTreeSet<u64>>,
    /// The tools as the appliance file has them; the ground's are laid over with what follows.
    file_tools: Vec<Tool>,
    /// What was said of tools at run time, by their ids.
    edits: BTreeMap<String, ToolEdits>,
    health: HealthMap,
}

impl World {
    /// All of it together. Tells in `notes` what of it contradicts the appliance file and is left out.
    pub(super) fn new(
        ground: Ground,
        contents: Contents,
        health: HealthMap,
        notes: &mut Vec<String>,
    ) -> Self {
        let mut world = Self {
            file_tools: ground.appliance.tools.clone(),
            edits: BTreeMap::new(),
            health,
            ground,
            revision: contents.revision,
            records: Kind::ALL.into_iter().map(|kind| (kind, BTreeMap::new())).collect(),
            places: HashMap::new(),
            tools: HashMap::new(),
            rules: HashMap::new(),
        };
        let tools = world.ground.appliance.tools.iter().enumerate();
        world.tools = tools.map(|(at, tool)| (tool.id.clone(), at)).collect();
        let mut model = world.ground.template.clone();
        settle_vnis(&mut model.sessions);
        // Revision 0 has made nothing, so its places are free.
        for (object, created) in model.into_objects().zip(0..PLACES_PER_REVISION) {
            let owner = world.ground.account.clone();
            world.put(Record { owner, created, token: None, object });
        }
        for record in contents.records {
            world.put(record);
        }
        world.edits = contents.tools.into_iter().map(|it| (it.tool.clone(), it)).collect();
        world.lay_over(notes);
        world
    }

    fn put(&mut self, record: Record) {
        let kind = record.object.kind();
        self.remove(record.id());
        self.places.insert(record.id().to_owned(), (kind, record.created));
        if let Object::Rule(rule) = &record.object {
            self.rules.entry(rule.filter.clone()).or_default().insert(record.created);
        }
        self.records.entry(kind).or_default().insert(record.created, record);
    }

    fn remove(&mut self, id: &str) {
        let Some((kind, place)) = self.places.remove(id) else { return };
        let gone = self.records.get_mut(&kind).and_then(|records| records.remove(&place));
        if let Some(Record { object: Object::Rule(rule), .. }) = gone
            && let Some(rules) = self.rules.get_mut(&rule.filter)
        {
            rules.remove(&place);
            if rules.is_empty() {
                self.rules.remove(&rule.filter);
            }
        }
    }

    /// Takes over what the store has taken.
    pub(super) fn apply(&mut self, change: &Change, revision: u64) {
        for id in &change.remove {
            self.remove(id);
        }
        for record in &change.put {
            self.put(record.clone());
        }
        if !change.tools.is_empty() {
            self.edits = self.edits_after(change);
            self.lay_over(&mut Vec::new());
        }
        self.revision = revision;
    }

    fn lay_over(&mut self, notes: &mut Vec<String>) {
        let Self { file_tools, edits, health, ground, .. } = self;
        let tools = laid_over(file_tools, &ground.appliance.ports, edits, health, notes);
        ground.appliance.tools = tools;
    }

    fn edits_after(&self, change: &Change) -> BTreeMap<String, ToolEdits> {
        let mut edits = self.edits.clone();
        for of_tool in &change.tools {
            if of_tool.members.is_empty() {
                edits.remove(&of_tool.tool);
            } else {
                edits.insert(of_tool.tool.clone(), of_tool.clone());
            }
        }
        edits
    }

    /// The tools as they are once a change is made.
    pub(super) fn tools_after(&self, change: &Change) -> Vec<Tool> {
        let ports = &self.ground.appliance.ports;
        let edits = self.edits_after(change);
        laid_over(&self.file_tools, ports, &edits, &self.health, &mut Vec::new())
    }

    /// A tool as the appliance file has it.
    pub(super) fn file_tool(&self, id: &str) -> Option<&Tool> {
        self.file_tools.get(*self.tools.get(id)?)
    }

    /// What was said of a tool at run time.
    pub(super) fn edits_of(&self, tool: &str) -> Option<&ToolEdits> {
        self.edits.get(tool)
    }

    /// What the checks of members have found.
    pub fn health(&self) -> &HealthMap {
        &self.health
    }

    /// Takes over what the checks have found. True when other members get copies than before.
    pub(super) fn set_health(&mut self, health: HealthMap) -> bool {
        self.health = health;
        let before = std::mem::take(&mut self.ground.appliance.tools);
        self.lay_over(&mut Vec::new());
        self.ground.appliance.tools != before
    }

    /// The store's revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The appliance file, with the members of its tools as they are now.
    pub fn appliance(&self) -> &Appliance {
        &self.ground.appliance
    }

    /// The account of the template's objects.
    pub fn template_account(&self) -> &str {
        &self.ground.account
    }

    /// The object with this id, whoever's it is.
    pub fn find(&self, id: &str) -> Option<&Record> {
        let (kind, place) = self.places.get(id)?;
        self.records.get(kind)?.get(place)
    }

    /// All objects of a kind whose places are behind one, in order.
    pub fn records_behind(&self, kind: Kind, place: Option<u64>) -> impl Iterator<Item = &Record> {
        let behind = place.map_or(Bound::Unbounded, Bound::Excluded);
        let records = self.records.get(&kind);
        records
            .into_iter()
            .flat_map(move |records| records.range((behind, Bound::Unbounded)))
            .map(|(_, record)| record)
    }

    fn records(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.records_behind(kind, None)
    }

    /// All targets.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&Record, &Target)> {
        self.records(Kind::Target).filter_map(|record| match &record.object {
            Object::Target(target) => Some((record, target)),
            _ => None,
        })
    }

    /// All sessions.
    pub(super) fn sessions(&self) -> impl Iterator<Item = (&Record, &Session)> {
        self.records(Kind::Session).filter_map(|record| match &record.object {
            Object::Session(session) => Some((record, session)),
            _ => None,
        })
    }

    /// The rules of a filter, in the order in which they were made.
    pub fn rules_of(&self, filter: &str) -> impl Iterator<Item = &Record> {
        let places = self.rules.get(filter).into_iter().flatten();
        let rules = self.records.get(&Kind::Rule);
        places.filter_map(move |place| rules?.get(place))
    }

    /// How many objects of a kind an account has.
    pub(super) fn count(&self, account: &str, kind: Kind) -> usize {
        self.records(kind).filter(|record| record.owner == account).count()
    }

    /// The target with this id.
    pub(super) fn target(&self, id: &str) -> Option<(&Record, &Target)> {
        match self.find(id)? {
            record @ Record { object: Object::Target(target), .. } => Some((record, target)),
            _ => None,
        }
    }

    /// True when an account may know of an object: its own, a target shared with it, a session that
    /// sends to its target.
    pub fn is_visible(&self, account: &str, record: &Record) -> bool {
        record.owner == account
            || match &record.object {
                Object::Target(target) => tags::is_shared_with(target, account),
                Object::Session(session) => {
                    self.target(&session.target).is_some_and(|(target, _)| target.owner == account)
                }
                Object::Filter(_) | Object::Rule(_) => false,
            }
    }

    /// The object with this id, if it is of this kind and the account may know of it.
    pub fn seen(&self, account: &str, kind: Kind, id: &str) -> Result<&Record, Refusal> {
        let found = self.find(id).filter(|record| record.object.kind() == kind);
        let seen = found.filter(|record| self.is_visible(account, record));
        seen.ok_or_else(|| Refusal::NotFound(kind, id.to_owned()))
    }

    /// The same, if the account may change it.
    pub(super) fn own(&self, account: &str, kind: Kind, id: &str) -> Result<&Record, Refusal> {
        let record = self.seen(account, kind, id)?;
        if record.owner != account {
            return Err(Refusal::OfOther(id.to_owned()));
        }
        if record.created < PLACES_PER_REVISION {
            return Err(Refusal::OfTemplate(id.to_owned()));
        }
        Ok(record)
    }

    /// What an earlier request of the account with the same token made. Errors: that request had
    /// other parameters.
    pub(super) fn made_by(
        &self,
        account: &str,
        kind: Kind,
        token: &Token,
    ) -> Result<Option<&Record>, Refusal> {
        let is_it = |record: &&Record| {
            record.owner == account
                && record.token.as_ref().is_some_and(|it| it.token == token.token)
        };
        match self.records(kind).find(is_it) {
            Some(record) if record.token.as_ref() != Some(token) => {
                Err(Refusal::TokenReused(token.token.clone()))
            }
            found => Ok(found),
        }
    }

    /// An id that nobody has.
    pub(super) fn new_id(&self, kind: Kind) -> Result<String, Refusal> {
        loop {
            let digits = hex::encode(random::<9>()?);
            let id = format!("{}{}", kind.prefix(), digits.get(..ID_DIGITS).unwrap_or_default());
            if self.find(&id).is_none() {
                return Ok(id);
            }
        }
    }

    /// The tool that a target means, if it can be used.
    pub(super) fn tool(&self, destination: &Destination) -> Option<&Tool> {
        let tool = self.ground.appliance.tools.get(*self.tools.get(destination.id())?)?;
        (tool.members.len() == 1 || !destination.is_interface()).then_some(tool)
    }

    /// True when the appliance file has this interface.
    pub(super) fn has_interface(&self, id: &str) -> bool {
        self.ground.appliance.interfaces.iter().any(|interface| interface.id == id)
    }

    /// The change that the ground asks for: the store's sessions whose interfaces are gone are deleted
    /// (VPC guide: the sessions of a deleted network interface are deleted with it), and what the file
    /// itself has come to say of tools is forgotten.
    pub(super) fn settled(&self) -> Change {
        let interfaces: HashSet<&str> =
            self.ground.appliance.interfaces.iter().map(|it| it.id.as_str()).collect();
        let lost = self.sessions().filter(|(record, session)| {
            record.created >= PLACES_PER_REVISION && !interfaces.contains(&*session.interface)
        });
        Change {
            put: Vec::new(),
            remove: lost.map(|(record, _)| record.id().to_owned()).collect(),
            tools: settled(&self.file_tools, &self.edits),
        }
    }

    /// True when a change leaves filters and their rules as they are.
    pub(super) fn leaves_rules(&self, change: &Change) -> bool {
        let touched = change.remove.iter().filter_map(|id| self.find(id));
        let mut kinds = touched.chain(&change.put).map(|record| record.object.kind());
        kinds.all(|kind| matches!(kind, Kind::Target | Kind::Session))
    }

    /// What is to be compiled once a change is made. A target whose tool is gone rests, and with it
    /// the sessions that use it, until the tool is back or the sessions have another.
    ///
    /// Without rules if `kinds` has not theirs. Cost: linear in the number of objects of these kinds.
    pub(super) fn model_after(&self, change: &Change, kinds: &[Kind]) -> Model {
        let removed: HashSet<&str> = change.remove.iter().map(String::as_str).collect();
        let put: HashMap<&str, &Record> =
            change.put.iter().map(|record| (record.id(), record)).collect();
        let is_new = |record: &&Record| !self.places.contains_key(record.id());
        let mut model = Model::default();
        for &kind in kinds {
            let old = self.records(kind).filter(|record| !removed.contains(record.id()));
            let kept = old.map(|record| put.get(record.id()).copied().unwrap_or(record));
            let new = change.put.iter().filter(is_new);
            for record in kept.chain(new.filter(|record| record.object.kind() == kind)) {
                add(&mut model, &record.object);
            }
        }
        let rests = |target: &mut Target| self.tool(&target.destination).is_none();
        let resting: HashSet<String> =
            model.targets.extract_if(.., rests).map(|target| target.id).collect();
        model.sessions.retain(|session| !resting.contains(&session.target));
        model
    }
}

fn add(model: &mut Model, object: &Object) {
    match object {
        Object::Filter(it) => {
            model.filters.push(Filter { notes: Notes::default(), ..it.clone() });
        }
        Object::Rule(it) => model.rules.push(Rule { notes: Notes::default(), ..it.clone() }),
        Object::Target(it) => model.targets.push(it.clone()),
        Object::Session(it) => model.sessions.push(it.clone()),
    }
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Refusal::NoRandomness)?;
    Ok(bytes)
}
