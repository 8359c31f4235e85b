//! The kernel's interfaces of tool ports that DPDK owns: made at the start, each with a thread that moves
//! frames between it and the worker of the port, and gone at the end.
//!
//! The threads are no workers: they keep off the workers' cores where there are others, and have no
//! rights, as the interfaces are there already.

mod network;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use driver::exception::{Moved, Mover};
use driver::hardware::{Hardware, LivePort};
use driver::plan::PortPlan;
use driver::{DriverError, Tap};
use engine::exception::exception;
use engine::report::KernelState;
use engine::snapshot::{KernelSpec, PortSpec, Snapshot};
use engine::units::PortIndex;
use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::crew::forgo_capabilities;

/// An interface that is there and does nothing yet.
#[derive(Debug)]
pub(crate) struct Opened {
    port: PortIndex,
    frame_len_max: usize,
    tap: Tap,
}

/// An interface with the thread that serves it; both go with this.
#[derive(Debug)]
pub(crate) struct KernelPort {
    port: PortIndex,
    tap: Arc<Tap>,
    has_carrier: bool,
    moved: Arc<Moved>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Makes the interfaces that ports need. One that nobody has asked for may be missing: without the right to make
/// it, neighbours on that port are not resolved. Errors: all others that can't be made; none is there
/// then.
pub(crate) fn open(
    plans: &[PortPlan],
    specs: &[PortSpec],
) -> Result<Vec<Opened>, Vec<DriverError>> {
    let (mut opened, mut errors) = (Vec::new(), Vec::new());
    for (plan, spec) in plans.iter().zip(specs) {
        let Some(name) = &plan.kernel else { continue };
        let (port, frame_len_max) = (plan.index, plan.frame_len_max());
        match Tap::create(name) {
            Ok(tap) => opened.push(Opened { port, frame_len_max, tap }),
            Err(cause) if spec.kernel == KernelSpec::Auto && is_impossible(&cause) => log::warn!(
                "port {}: the kernel has no part in it, as the interface {name} can't be made \
                 ({cause}): tools there need their `mac`",
                spec.name
            ),
            Err(cause) => errors.push(error(spec, name, cause)),
        }
    }
    if errors.is_empty() { Ok(opened) } else { Err(errors) }
}

/// True where no interface can be made, whatever its name.
fn is_impossible(cause: &io::Error) -> bool {
    let is_missing = matches!(cause.raw_os_error(), Some(libc::ENODEV | libc::ENXIO));
    is_missing || matches!(cause.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}

fn error(spec: &PortSpec, name: &str, cause: io::Error) -> DriverError {
    let remedy = match cause.kind() {
        io::ErrorKind::ResourceBusy => {
            "there is an interface of this name already; remove it, or give the port another \
             kernel_interface"
        }
        io::ErrorKind::InvalidInput => {
            "no interface can have this name; give the port another kernel_interface"
        }
        _ => "it takes /dev/net/tun and CAP_NET_ADMIN",
    };
    let (port, interface) = (spec.name.clone(), name.to_owned());
    DriverError::KernelInterface { port, interface, cause, remedy }
}

/// Gives the interfaces what their ports have (address, MTU, networks), and each a thread between it and
/// the worker of its port. Errors: a thread that can't be started.
pub(crate) fn serve(
    opened: Vec<Opened>,
    snapshot: &Snapshot,
    hardware: &mut Hardware,
) -> Result<Vec<KernelPort>, Vec<String>> {
    let macs = hardware.macs(&snapshot.ports);
    let mut served = Vec::new();
    for Opened { port, frame_len_max, tap } in opened {
        let (Some(spec), Some(mac)) = (snapshot.ports.get(port.at()), macs.get(port.at())) else {
            continue;
        };
        network::set_up(tap.interface(), spec, *mac);
        let (worker, kernel) = exception(port, frame_len_max);
        hardware.give_kernel(worker);
        let tap = Arc::new(tap);
        let mover = Mover::new(Arc::clone(&tap), kernel, spec.vlan);
        let (moved, stop) = (mover.moved(), Arc::new(AtomicBool::new(false)));
        let (is_over, workers) = (Arc::clone(&stop), snapshot.dataplane.workers.clone());
        let thread = thread::Builder::new().name(tap.interface().name().to_owned());
        let thread = thread.spawn(move || {
            keep_off(&workers);
            forgo_capabilities();
            mover.run(&is_over);
        });
        let thread = thread.map_err(|error| {
            vec![format!("port `{}`: no thread for {}: {error}", spec.name, tap.interface().name())]
        })?;
        log::info!("port {}: the kernel's interface is {}", spec.name, tap.interface().name());
        served.push(KernelPort { port, tap, has_carrier: true, moved, stop, thread: Some(thread) });
    }
    Ok(served)
}

/// Lets the calling thread run on all its cores but these, where there are others.
fn keep_off(workers: &[u16]) {
    let this = Pid::from_raw(0);
    let Ok(mut cores) = sched_getaffinity(this) else { return };
    for core in workers {
        // One that it could not run on anyhow.
        let _ = cores.unset((*core).into());
    }
    if (0..CpuSet::count()).any(|core| cores.is_set(core).unwrap_or(false))
        && let Err(error) = sched_setaffinity(this, &cores)
    {
        log::debug!("the thread may run on every core: {error}");
    }
}

impl KernelPort {
    /// The tool port.
    pub(crate) fn port(&self) -> PortIndex {
        self.port
    }

    /// The kernel's index of the interface.
    pub(crate) fn index(&self) -> u32 {
        self.tap.interface().index()
    }

    /// Its name, and what went through it.
    pub(crate) fn state(&self) -> KernelState {
        self.moved.state(self.tap.interface().name())
    }

    /// Gives the interface a carrier, or takes it, as its port has one or not: the kernel routes around a
    /// port without link.
    pub(crate) fn follow(&mut self, ports: &[LivePort]) {
        let Some(live) = ports.get(self.port.at()) else { return };
        let (has_carrier, _) = live.link();
        if has_carrier == self.has_carrier {
            return;
        }
        self.has_carrier = has_carrier;
        if let Err(error) = self.tap.set_carrier(has_carrier) {
            log::debug!("{}: its carrier stays as it is: {error}", self.tap.interface().name());
        }
    }
}

impl Drop for KernelPort {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread of {} has failed", self.tap.interface().name());
        }
    }
}
