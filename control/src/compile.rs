//! Appliance file and mirror objects to one [`Snapshot`]: pure, and with every fault that the two
//! have together. What each says alone is checked where it is read.

mod rules;
mod sessions;
mod targets;

use std::sync::Arc;

use engine::rule::FilterRule;
use engine::snapshot::{FilterSpec, Snapshot};

use crate::config::{Appliance, Quotas};
use crate::model::policing::check_tag;
use crate::model::{Kind, Listing, Model, ModelFault, Notes, Property};

pub use sessions::{LOAD_BALANCER_PACKET_LENGTH, settle_vnis};

/// Compiles what the data plane needs. Errors: all faults, in no order; nothing is compiled then.
///
/// Cost: linear in the number of objects.
pub fn compile(
    appliance: &Appliance,
    model: &Model,
    epoch: u64,
) -> Result<Snapshot, Vec<ModelFault>> {
    compile_with(appliance, model, None, epoch)
}

/// The same for a model without rules: they are those that the same filters compiled to before.
/// There are many more rules than anything else, and most changes are of something else.
pub fn compile_with_rules(
    appliance: &Appliance,
    model: &Model,
    rules: Arc<[FilterRule]>,
) -> Result<Snapshot, Vec<ModelFault>> {
    compile_with(appliance, model, Some(rules), 0)
}

fn compile_with(
    appliance: &Appliance,
    model: &Model,
    rules: Option<Arc<[FilterRule]>>,
    epoch: u64,
) -> Result<Snapshot, Vec<ModelFault>> {
    let mut faults = Faults::default();
    let quotas = &appliance.quotas;
    faults.quota("filters", model.filters.len(), quotas.filters, last(&model.filters, |it| &it.id));
    let rules = rules.unwrap_or_else(|| rules::compile(model, quotas, &mut faults).into());
    let targets = targets::compile(model, appliance, &mut faults);
    let sessions = sessions::compile(model, appliance, &mut faults);
    count_tags(model, quotas.tags_per_resource, &mut faults);
    check_tags(model, &mut faults);
    if !faults.0.is_empty() {
        return Err(faults.0);
    }
    let filter = |filter: &crate::model::Filter| FilterSpec {
        id: filter.id.clone(),
        amazon_dns: filter.amazon_dns,
    };
    Ok(Snapshot {
        epoch,
        appliance_id: appliance.id.clone(),
        dataplane: appliance.dataplane.clone(),
        ports: appliance.ports.clone(),
        links: appliance.links.clone(),
        spans: appliance.spans.clone(),
        interfaces: appliance.interfaces.clone(),
        targets,
        filters: model.filters.iter().map(filter).collect(),
        rules,
        sessions,
        vxlan: appliance.vxlan.clone(),
        exempt: appliance.exempt.clone(),
    })
}

/// What is wrong among the objects themselves, on whatever appliance with whatever quotas.
pub fn faults_among(model: &Model) -> Vec<ModelFault> {
    let mut faults = Faults::default();
    rules::compile(model, &Quotas::unlimited(), &mut faults);
    sessions::check_among(model, &mut faults);
    check_tags(model, &mut faults);
    faults.0
}

/// Kinds, ids and notes of all objects.
fn notes(model: &Model) -> impl Iterator<Item = (Kind, &String, &Notes)> {
    let filters = model.filters.iter().map(|it| (Kind::Filter, &it.id, &it.notes));
    let rules = model.rules.iter().map(|it| (Kind::Rule, &it.id, &it.notes));
    let targets = model.targets.iter().map(|it| (Kind::Target, &it.id, &it.notes));
    let sessions = model.sessions.iter().map(|it| (Kind::Session, &it.id, &it.notes));
    filters.chain(rules).chain(targets).chain(sessions)
}

fn count_tags(model: &Model, tags_max: u32, faults: &mut Faults) {
    for (_, id, notes) in notes(model) {
        let count = notes.tags.len();
        if exceeds(count, tags_max) {
            let message = over("tags_per_resource", &format!("{count} tags"), tags_max);
            faults.add(Property::new(id, "Tags"), message, []);
        }
    }
}

/// Tags that say something must say what can be.
fn check_tags(model: &Model, faults: &mut Faults) {
    for (kind, id, notes) in notes(model) {
        let wrong = |(key, value): &(String, String)| check_tag(kind, key, value).err();
        for message in notes.tags.iter().filter_map(wrong) {
            faults.add(Property::new(id, "Tags"), message, []);
        }
    }
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<ModelFault>);

impl Faults {
    /// Notes a fault of one property that other ones make one.
    fn add(
        &mut self,
        at: Property,
        message: impl Into<String>,
        rests_on: impl IntoIterator<Item = Property>,
    ) {
        let rests_on = rests_on.into_iter().collect();
        self.0.push(ModelFault { at, message: message.into(), rests_on, unknown_in: None });
    }

    /// Notes that the appliance file has no such id.
    fn unknown_id(&mut self, at: Property, list: Listing, message: String) {
        let rests_on = Vec::new();
        self.0.push(ModelFault { at, message, rests_on, unknown_in: Some(list) });
    }

    /// Notes when all objects of a kind are more than a quota, at the last of them.
    fn quota(&mut self, quota: &str, count: usize, max: u32, last: &str) {
        if exceeds(count, max) {
            self.add(Property::new(last, ""), over(quota, &format!("{count} {quota}"), max), []);
        }
    }
}

fn last<T>(list: &[T], id: impl Fn(&T) -> &String) -> &str {
    list.last().map_or("", |it| id(it))
}

fn exceeds(count: usize, max: u32) -> bool {
    u32::try_from(count).map_or(true, |count| count > max)
}

/// The sentence about a quota.
fn over(quota: &str, found: &str, max: u32) -> String {
    format!("{found} are more than the quota of {max}; use fewer, or raise {quota} in [quotas]")
}
