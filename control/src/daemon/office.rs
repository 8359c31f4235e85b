//! The API's side of the daemon: store, service and server, on the ground of the two files.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::Failure;
use super::uplink::Uplink;
use super::ward::Ward;
use crate::config::{Api, Tool};
use crate::ec2;
use crate::ec2::auth::Keyring;
use crate::fault::Faults;
use crate::health::HealthMap;
use crate::load::Loaded;
use crate::server::{self, Handle};
use crate::service::{Ground, Refusal, Service, SharedService};
use crate::store::Sqlite;

/// A running API.
#[derive(Debug)]
pub(super) struct Office {
    service: SharedService,
    api: Api,
    /// `None` after new listeners could not be opened.
    server: Option<Handle>,
    /// What was in the way of the last snapshot: each trouble is logged once.
    trouble: Option<String>,
    /// Tells when tools have other members.
    tools: watch::Receiver<u64>,
}

impl Office {
    /// Opens the store, has the members checked that it knows, puts what it has in force, and serves.
    /// Errors: store, keys or listeners are of no use, or the objects of the store and the files don't
    /// go together.
    pub(super) fn open(
        loaded: Loaded,
        api: Api,
        store: &Path,
        uplink: &Arc<Uplink>,
        ward: &mut Ward,
    ) -> Result<Self, Failure> {
        let keys = Keyring::read(&api.keys).map_err(Failure::Files)?;
        make_folder_of(store, 0o700)?;
        let failed = |error: &dyn std::error::Error| Failure::Api(error.to_string());
        let store = Sqlite::open(store).map_err(|error| failed(&error))?;
        let service =
            Service::open(Box::new(store), Box::new(Arc::clone(uplink)), ground(loaded, &api))
                .map_err(|error| failed(&error))?;
        let service = Arc::new(service);
        let tools = service.watch_tools();
        let mut office = Self { service, api, server: None, trouble: None, tools };
        let tools = office.tools_to_check();
        ward.follow(&tools, &uplink.known_health())?;
        let findings = ward.findings();
        ward.tell(&tools, &findings);
        office.set_health(findings);
        office.publish();
        office.server = Some(office.serve(keys)?);
        Ok(office)
    }

    fn serve(&self, keys: Keyring) -> Result<Handle, Failure> {
        make_folder_of(&self.api.audit, 0o700)?;
        make_folder_of(&self.api.socket, 0o755)?;
        let endpoint = Arc::new(ec2::Api::new(Arc::clone(&self.service)));
        let server = server::serve(&self.api, keys, endpoint);
        let server = server.map_err(|error| Failure::Start(io::Error::other(error)))?;
        for address in server.addresses() {
            log::info!("the API listens on {address}");
        }
        Ok(server)
    }

    /// Takes over what the files say now. Errors: they don't go with the store's objects, or the
    /// server can't do as they say; what is left as it was is told.
    pub(super) fn move_to(&mut self, loaded: Loaded, api: Api) -> Result<(), Failure> {
        match self.service.rebase(ground(loaded, &api)) {
            Ok(()) => {}
            Err(refusal @ Refusal::NotInForce { .. }) => self.note(Some(refusal.to_string())),
            Err(refusal) => return Err(Failure::Api(refusal.to_string())),
        }
        let is_same = self.api == api;
        if let Some(server) = self.server.take_if(|_| !is_same) {
            log::info!("[api] has changed: its listeners are opened anew");
            server.shutdown();
        }
        self.api = api;
        if let Some(server) = &self.server {
            return server.reload().map_err(Failure::Files);
        }
        let keys = Keyring::read(&self.api.keys).map_err(Failure::Files)?;
        self.server = Some(self.serve(keys)?);
        Ok(())
    }

    /// Puts what is to be in force there, if it is not.
    pub(super) fn publish(&mut self) {
        let outcome = self.service.ensure_in_force();
        self.note(outcome.err().map(|refusal| refusal.to_string()));
    }

    /// The same for a data plane that may know nothing of it.
    pub(super) fn publish_again(&mut self) {
        let outcome = self.service.publish_again();
        self.note(outcome.err().map(|refusal| refusal.to_string()));
    }

    /// The tools with their members as they are now.
    pub(super) fn tools(&self) -> Vec<Tool> {
        // A service that has failed answers nobody, and there is nobody to check.
        self.service.tools().unwrap_or_default()
    }

    /// True when tools may have other members than those that are checked.
    pub(super) fn has_other_tools(&self) -> bool {
        self.tools.has_changed().unwrap_or(false)
    }

    /// The tools whose members are to be checked from now on.
    pub(super) fn tools_to_check(&mut self) -> Vec<Tool> {
        self.tools.mark_unchanged();
        self.tools()
    }

    /// Puts in force what the checks of members have found.
    pub(super) fn set_health(&mut self, findings: HealthMap) {
        let outcome = self.service.set_health(findings);
        self.note(outcome.err().map(|refusal| refusal.to_string()));
    }

    fn note(&mut self, trouble: Option<String>) {
        if let Some(why) = &trouble
            && self.trouble != trouble
        {
            log::warn!("{why}");
        }
        self.trouble = trouble;
    }

    /// Lets what is being answered end.
    pub(super) fn close(self) {
        if let Some(server) = self.server {
            server.shutdown();
        }
    }
}

/// Makes the folder of a file, if it is not there.
fn make_folder_of(file: &Path, mode: u32) -> Result<(), Failure> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(mode).create(folder);
    made.map_err(|error| {
        Failure::Api(format!("the folder {} can't be made: {error}", folder.display()))
    })
}

fn ground(loaded: Loaded, api: &Api) -> Ground {
    let Loaded { appliance, model, .. } = loaded;
    Ground { appliance, template: model, account: api.account.clone() }
}

/// What the daemon logs when it can't take the files over.
pub(super) fn log_refusal(failure: &Failure) {
    match failure {
        Failure::Files(Faults(faults)) => {
            for fault in faults {
                log::error!("{fault}");
            }
        }
        other => log::error!("{other}"),
    }
    log::error!("the files are refused; what was in force still is");
}
