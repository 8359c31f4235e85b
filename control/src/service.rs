//! The only writer: everything that changes mirror objects, and what they are now.
//!
//! A change goes through these steps, one change at a time:
//!
//! ```text
//!  plan     what it means for the world as it is now, and whether it may be   (pure; may refuse)
//!  compile  the model as it would be, to a snapshot                           (pure; may refuse)
//!  commit   to the store: durable from here on
//!  apply    to the world: readers see it from here on
//!  publish  to the data plane: in force when this returns
//! ```
//! What is refused has changed nothing. What is committed stays, also when the data plane can't take
//! it up at once: the caller is told so ([`Refusal::NotInForce`]), and it is published again until
//! it is in force.

mod edit;
mod filters;
mod health;
mod plan;
mod refusal;
mod rules;
mod sessions;
mod tags;
mod targets;
mod tools;
mod world;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use engine::snapshot::Snapshot;
pub use engine::snapshot::{Cause, Health, HealthState};
use tokio::sync::watch;

use crate::compile::{compile, compile_with_rules};
use crate::config::{Appliance, Quotas};
use crate::model::{Kind, Model, Object};
use crate::store::{Change, Record, Store, Token, place};

pub use crate::health::HealthMap;
pub use edit::Edit;
use plan::Plan;
pub use refusal::{Limit, Refusal};
pub use rules::RulePatch;
pub use sessions::SessionPatch;
pub use tags::{SHARED_WITH, TagPatch};
pub use tools::{Expect, Leave, Registration};
pub use world::World;

/// Takes snapshots to the data plane.
pub trait Publish: Send + Sync {
    /// Puts a snapshot in force and returns when every worker polls with it; `epoch` is the
    /// publisher's to choose. Errors: it is not in force (yet).
    fn publish(&self, snapshot: &Snapshot) -> Result<(), NotYet>;
}

impl<P: Publish + ?Sized> Publish for Arc<P> {
    fn publish(&self, snapshot: &Snapshot) -> Result<(), NotYet> {
        (**self).publish(snapshot)
    }
}

/// Why a snapshot is not in force, a sentence each: which worker is late, or that nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet(pub Vec<String>);

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// What the two files say: the ground on which the API's objects stand.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The appliance file.
    pub appliance: Appliance,
    /// The template's objects: shown by the API, but not to be changed by it.
    pub template: Model,
    /// The account that the template's objects belong to.
    pub account: String,
}

/// Who asks for a change, and how.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The caller's account.
    pub account: &'a str,
    /// Only tell whether it could be done.
    pub is_dry: bool,
}

/// The objects, and the way to change them. All methods may be called by any thread.
pub struct Service {
    store: Box<dyn Store>,
    publish: Box<dyn Publish>,
    /// Held for a whole change, so that they come one after another.
    writer: Mutex<Writer>,
    world: RwLock<World>,
    /// Counts changes of the tools' members and of how they are checked.
    tools: watch::Sender<u64>,
}

/// What only the writer needs.
#[derive(Debug)]
struct Writer {
    /// The appliance for which models are compiled: without quotas, which the plan has judged.
    compiled_for: Appliance,
    /// What the data plane polls with, as far as we know.
    in_force: Option<Arc<Snapshot>>,
    /// What is to be in force.
    wanted: Option<Arc<Snapshot>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("writer", &self.writer).finish_non_exhaustive()
    }
}

impl Service {
    /// Reads the store and stands its objects on the ground; nothing is published yet. Errors: the
    /// store can't be read, or its objects and the files don't go together.
    pub fn open(
        store: Box<dyn Store>,
        publish: Box<dyn Publish>,
        ground: Ground,
    ) -> Result<Self, Refusal> {
        let mut notes = Vec::new();
        let world = World::new(ground, store.read()?, HealthMap::new(), &mut notes);
        tell(&notes);
        let compiled_for = lifted(world.appliance());
        let writer = Writer { compiled_for, in_force: None, wanted: None };
        let (writer, world) = (Mutex::new(writer), RwLock::new(world));
        let service = Self { store, publish, writer, world, tools: watch::Sender::new(0) };
        service.settle(&mut *service.writer()?)?;
        Ok(service)
    }

    /// What there is now. Changes wait while this is held: let go of it soon.
    pub fn world(&self) -> Result<RwLockReadGuard<'_, World>, Refusal> {
        self.world.read().map_err(|_| Refusal::Poisoned)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, Refusal> {
        self.writer.lock().map_err(|_| Refusal::Poisoned)
    }

    /// Stands the objects on new ground, and publishes. Errors: they don't go together, and the old
    /// ground stays; or the new one is not in force yet.
    pub fn rebase(&self, ground: Ground) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        let health = self.world()?.health().clone();
        let mut notes = Vec::new();
        let world = World::new(ground, self.store.read()?, health, &mut notes);
        let compiled_for = lifted(world.appliance());
        compiled(&compiled_for, &world, &world.settled(), None)?;
        tell(&notes);
        writer.compiled_for = compiled_for;
        *self.world.write().map_err(|_| Refusal::Poisoned)? = world;
        self.settle(&mut writer)?;
        self.tools.send_modify(|count| *count += 1);
        self.publish(&mut writer)
    }

    /// Makes the change that the ground asks for ([`World::settled`]), and compiles what is left.
    fn settle(&self, writer: &mut Writer) -> Result<(), Refusal> {
        let change = self.world()?.settled();
        let snapshot = compiled(&writer.compiled_for, &*self.world()?, &change, None)?;
        if !change.is_empty() {
            for id in &change.remove {
                log::warn!("session {id} is deleted: the appliance file has its interface no more");
            }
            self.commit(&change)?;
        }
        writer.wanted = Some(Arc::new(snapshot));
        Ok(())
    }

    /// Publishes what is to be in force, if it is not. Errors: it is not yet.
    pub fn ensure_in_force(&self) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        self.publish(&mut writer)
    }

    /// Publishes what is to be in force, also when it was before: the data plane may have forgotten.
    pub fn publish_again(&self) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        writer.in_force = None;
        self.publish(&mut writer)
    }

    fn publish(&self, writer: &mut Writer) -> Result<(), Refusal> {
        let Some(wanted) = &writer.wanted else { return Ok(()) };
        if writer.in_force.as_ref().is_some_and(|it| Arc::ptr_eq(it, wanted) || it == wanted) {
            return Ok(());
        }
        if let Err(why) = self.publish.publish(wanted) {
            // What it polls with now is not known: it may have been late, not deaf.
            writer.in_force = None;
            return Err(Refusal::NotInForce { revision: self.world()?.revision(), why });
        }
        writer.in_force = Some(Arc::clone(wanted));
        Ok(())
    }

    /// Makes a change of the store and of the world.
    fn commit(&self, change: &Change) -> Result<(), Refusal> {
        let expected = self.world()?.revision();
        let revision = self.store.commit(expected, change)?;
        self.world.write().map_err(|_| Refusal::Poisoned)?.apply(change, revision);
        Ok(())
    }

    /// All steps of one change; see the module's own page.
    fn change<T>(
        &self,
        ask: Ask<'_>,
        plan: impl FnOnce(&World) -> Result<Plan<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let mut writer = self.writer()?;
        let world = self.world()?;
        let (change, outcome) = match plan(&world)? {
            // Done by an earlier request, of which this one is a repetition.
            Plan::Done(outcome) => {
                drop(world);
                return self.publish(&mut writer).map(|()| outcome);
            }
            Plan::Do(change, outcome) => (change, outcome),
        };
        let before = writer.wanted.as_deref();
        let snapshot = compiled(&writer.compiled_for, &world, &change, before)?;
        drop(world);
        if ask.is_dry {
            return Err(Refusal::DryRun);
        }
        self.commit(&change)?;
        writer.wanted = Some(Arc::new(snapshot));
        if !change.tools.is_empty() {
            writer.compiled_for.tools.clone_from(&self.world()?.appliance().tools);
            self.tools.send_modify(|count| *count += 1);
        }
        self.publish(&mut writer)?;
        Ok(outcome)
    }

    /// Makes an object of these properties; its id is chosen here. A repeated token returns what it
    /// made the first time.
    pub fn create(
        &self,
        ask: Ask<'_>,
        object: Object,
        token: Option<Token>,
    ) -> Result<Record, Refusal> {
        self.change(ask, |world| {
            if let Some(token) = &token
                && let Some(made) = world.made_by(ask.account, object.kind(), token)?
            {
                return Ok(Plan::Done(made.clone()));
            }
            let mut object = object;
            object.set_id(world.new_id(object.kind())?);
            world.check_tags(&object)?;
            match &mut object {
                Object::Filter(_) => filters::check_new(world, ask.account)?,
                Object::Rule(rule) => rules::check_new(world, ask.account, rule)?,
                Object::Target(target) => targets::check_new(world, ask.account, target)?,
                Object::Session(session) => sessions::complete_new(world, ask.account, session)?,
            }
            Ok(Plan::put(Record {
                owner: ask.account.to_owned(),
                created: place(world.revision() + 1, 0),
                token,
                object,
            }))
        })
    }

    /// Deletes an object; the rules of a filter go with it. Errors: it is in use.
    pub fn delete(&self, ask: Ask<'_>, kind: Kind, id: &str) -> Result<Record, Refusal> {
        self.change(ask, |world| {
            let record = world.own(ask.account, kind, id)?.clone();
            let mut remove = vec![id.to_owned()];
            match kind {
                Kind::Filter => {
                    filters::check_unused(world, id)?;
                    remove.extend(world.rules_of(id).map(|rule| rule.id().to_owned()));
                }
                Kind::Target => targets::check_unused(world, id)?,
                Kind::Rule | Kind::Session => {}
            }
            let change = Change { remove, ..Change::default() };
            Ok(Plan::Do(change, record))
        })
    }

    /// Adds the network service `amazon-dns` to a filter, or takes it away.
    pub fn set_amazon_dns(&self, ask: Ask<'_>, id: &str, has: bool) -> Result<Record, Refusal> {
        self.change(ask, |world| {
            let mut record = world.own(ask.account, Kind::Filter, id)?.clone();
            if let Object::Filter(filter) = &mut record.object {
                filter.amazon_dns = has;
            }
            Ok(Plan::put(record))
        })
    }

    /// Changes a rule in place.
    pub fn modify_rule(
        &self,
        ask: Ask<'_>,
        id: &str,
        patch: &RulePatch,
    ) -> Result<Record, Refusal> {
        self.change(ask, |world| {
            let mut record = world.own(ask.account, Kind::Rule, id)?.clone();
            if let Object::Rule(rule) = &mut record.object {
                patch.apply(rule);
                rules::check(world, rule)?;
            }
            Ok(Plan::put(record))
        })
    }

    /// Changes a session in place.
    pub fn modify_session(
        &self,
        ask: Ask<'_>,
        id: &str,
        patch: &SessionPatch,
    ) -> Result<Record, Refusal> {
        self.change(ask, |world| {
            let mut record = world.own(ask.account, Kind::Session, id)?.clone();
            if let Object::Session(session) = &mut record.object {
                let before = session.clone();
                patch.apply(session);
                sessions::complete(world, ask.account, session, &before)?;
            }
            Ok(Plan::put(record))
        })
    }

    /// Changes the tags of several objects, of all or of none.
    pub fn tag(&self, ask: Ask<'_>, ids: &[String], patch: &TagPatch) -> Result<(), Refusal> {
        self.change(ask, |world| tags::plan(world, ask.account, ids, patch))
    }
}

/// The appliance without quotas: what the plan let pass is not to be judged again, by other words.
fn lifted(appliance: &Appliance) -> Appliance {
    Appliance { quotas: Quotas::unlimited(), ..appliance.clone() }
}

/// The snapshot of the world after a change; `before` is that of the world as it is, if there is one.
/// Errors: what is in the way of it.
fn compiled(
    appliance: &Appliance,
    world: &World,
    change: &Change,
    before: Option<&Snapshot>,
) -> Result<Snapshot, Refusal> {
    const ALL_BUT_RULES: [Kind; 3] = [Kind::Filter, Kind::Target, Kind::Session];
    let appliance = if change.tools.is_empty() {
        Cow::Borrowed(appliance)
    } else {
        Cow::Owned(Appliance { tools: world.tools_after(change), ..appliance.clone() })
    };
    let snapshot = match before.filter(|_| world.leaves_rules(change)) {
        Some(before) => {
            let model = world.model_after(change, &ALL_BUT_RULES);
            compile_with_rules(&appliance, &model, Arc::clone(&before.rules))
        }
        None => compile(&appliance, &world.model_after(change, &Kind::ALL), 0),
    };
    let snapshot = snapshot.map_err(Refusal::Unfit)?;
    let faults = snapshot.faults();
    if faults.is_empty() { Ok(snapshot) } else { Err(Refusal::Unsound(faults)) }
}

fn tell(notes: &[String]) {
    for note in notes {
        log::warn!("{note}");
    }
}

/// Shared by those who answer requests and those who watch over the data plane.
pub type SharedService = Arc<Service>;
