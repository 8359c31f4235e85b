//! Where copies go on the wire: the kernel's routes, neighbours and addresses, followed as they change.
//!
//! For each tool the kernel is asked for its route ([`route`]). The next hops of it that leave by the
//! tool port's interface, or by a VLAN device on top of that ([`interfaces`]), are looked up among the
//! kernel's neighbours ([`neighbours`]); together they are the way to the tool ([`ways`]). Without a
//! route the next hop is that of the file. The kernel resolves only what it sends to itself, so it is
//! made to: a request with `NTF_USE` starts resolution, or proves a stale entry again.
//!
//! Changes are only triggers: after each, everything is read anew. So nothing is lost when the
//! kernel drops messages (an overrun), and a broken connection is simply made again.
//!
//! What routers say of the sizes that ways take ([`too_big`]) lowers what the kernel knows of them, for
//! a time ([`path_mtu`]).

mod interfaces;
mod neighbours;
mod nexthops;
mod path_mtu;
mod route;
mod told;
mod too_big;
mod ways;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use engine::neighbors::Way;
use engine::units::{Mac, PortIndex};
use futures_util::{Stream, StreamExt as _};
use rtnetlink::{Error, Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use self::interfaces::Interfaces;
use self::neighbours::{Neighbours, resolve};
use self::nexthops::Nexthops;
use self::told::Told;
use self::too_big::TooBigs;
use self::ways::{route_by_port, way};

/// Unknown and stale neighbours are asked for this often.
const RETRY: Duration = Duration::from_secs(1);
/// Changes come in flocks: they are read together, when none has come for so long …
const PAUSE: Duration = Duration::from_millis(2);
/// … and no later than this: copies go the old way meanwhile.
const FLOCK: Duration = Duration::from_millis(20);
/// The kernel answers at once, unless the answer was dropped.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A tool whose way is to be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The tool port.
    pub(crate) port: PortIndex,
    /// The kernel's index of its interface.
    pub(crate) interface: u32,
    /// The tool.
    pub(crate) address: IpAddr,
    /// The next hop, where the kernel has no route by the interface. `None`: the neighbour is
    /// configured, and only the MTU of the way is followed.
    pub(crate) via: Option<IpAddr>,
    /// The IP MTU of the port.
    pub(crate) mtu: u16,
    /// The outer source, where the kernel does not say another.
    pub(crate) source: IpAddr,
}

/// What the kernel knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The ways to tools.
    pub(crate) neighbors: HashMap<(PortIndex, IpAddr), Way>,
    /// The tool ports' own link-layer addresses.
    pub(crate) port_macs: HashMap<PortIndex, Mac>,
    /// All addresses of the tool ports and of VLAN devices on top of them, each once.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What is asked of the thread.
#[derive(Debug, Clone, Default)]
struct Wants {
    tools: Vec<Wanted>,
    vxlan_port: u16,
}

/// The handle to the thread that follows the kernel; it ends with the handle.
#[derive(Debug)]
pub(crate) struct Resolver {
    wants: watch::Sender<Wants>,
}

impl Resolver {
    /// Starts following; `tell` is called with everything known after each change of it.
    pub(crate) fn start(tell: impl Fn(Known) + Send + 'static) -> io::Result<Self> {
        let (wants, inbox) = watch::channel(Wants::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let errors = {
            let _inside = runtime.enter();
            TooBigs::open()
        };
        let told = Told::new(tell);
        thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || runtime.block_on(follow(inbox, errors, told)))?;
        Ok(Self { wants })
    }

    /// Replaces the list of tools, and the UDP port that copies go to.
    pub(crate) fn want(&self, tools: Vec<Wanted>, vxlan_port: u16) {
        self.wants.send_replace(Wants { tools, vxlan_port });
    }
}

/// Follows over one connection after the other, until nobody wants to know.
async fn follow(
    mut inbox: watch::Receiver<Wants>,
    errors: TooBigs,
    mut told: Told<impl Fn(Known)>,
) {
    loop {
        match connected(&mut inbox, &errors, &mut told).await {
            Ok(()) => return,
            Err(error) => log::warn!("the kernel's neighbours can't be read: {error}; again soon"),
        }
        sleep(RETRY).await;
    }
}

/// Follows over one connection. `Ok` when nobody wants to know any more.
async fn connected(
    inbox: &mut watch::Receiver<Wants>,
    errors: &TooBigs,
    told: &mut Told<impl Fn(Known)>,
) -> io::Result<()> {
    let (connection, kernel, changes) = new_multicast_connection(&[
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Ipv6Rule,
    ])?;
    let (nexthops, changes_of_nexthops) = Nexthops::connect()?;
    let connection = tokio::spawn(connection);
    let mut changes = ended(changes, changes_of_nexthops);
    let result = loop {
        let wants = inbox.borrow_and_update().clone();
        told.path_mtus.retain(&wants.tools);
        let known = match timeout(ANSWER_WAIT, read(&kernel, &nexthops, &wants.tools)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => break Err(io::Error::other(error.to_string())),
            Err(_) => break Err(io::ErrorKind::TimedOut.into()),
        };
        told.tell(&known, &wants.tools, Instant::now());
        tokio::select! {
            change = changes.next() => match change {
                Some(()) => settle(&mut changes).await,
                None => break Err(io::ErrorKind::ConnectionReset.into()),
            },
            news = inbox.changed() => if news.is_err() { break Ok(()) },
            () = heed(errors, told, &known, &wants) => {}
        }
    };
    connection.abort();
    result
}

/// Changes of both kinds; ends when either does.
fn ended(
    changes: impl Stream + Unpin + Send + 'static,
    others: impl Stream<Item = ()> + Unpin + Send + 'static,
) -> impl Stream<Item = ()> + Unpin {
    let changes = changes.map(|_| Some(())).chain(end());
    let others = others.map(Some).chain(end());
    let mut both = futures_util::stream::select(changes, others);
    futures_util::stream::poll_fn(move |context| both.poll_next_unpin(context).map(Option::flatten))
}

/// An end that can be seen among others' items.
fn end() -> impl Stream<Item = Option<()>> + Unpin {
    futures_util::stream::once(std::future::ready(None))
}

/// Takes what else comes within [`FLOCK`], as long as it comes within [`PAUSE`].
async fn settle(changes: &mut (impl Stream + Unpin)) {
    let end = Instant::now() + FLOCK;
    while let Ok(Some(_)) = timeout_at(end.min(Instant::now() + PAUSE), changes.next()).await {}
}

/// Heeds ICMP errors until it is time to read again.
async fn heed(errors: &TooBigs, told: &mut Told<impl Fn(Known)>, known: &Known, wants: &Wants) {
    if wants.tools.is_empty() {
        return std::future::pending().await;
    }
    let now = Instant::now();
    let until = told.next_end(now).map_or(now + RETRY, |end| end.min(now + RETRY));
    loop {
        tokio::select! {
            () = sleep_until(until) => return,
            error = errors.next() => {
                let Wants { tools, vxlan_port } = wants;
                let now = Instant::now();
                if told.path_mtus.hear(&error, *vxlan_port, tools, &told.last, now) {
                    told.tell(known, tools, now);
                }
            }
        }
    }
}

/// Reads everything, and makes the kernel resolve what it does not know.
async fn read(kernel: &Handle, nexthops: &Nexthops, tools: &[Wanted]) -> Result<Known, Error> {
    let mut known = Known::default();
    if tools.is_empty() {
        return Ok(known);
    }
    let mut of_ports: Vec<u32> = tools.iter().map(|tool| tool.interface).collect();
    of_ports.sort_unstable();
    of_ports.dedup();
    let interfaces = Interfaces::read(kernel, &of_ports).await?;
    let neighbours = Neighbours::read(kernel).await?;
    let mut unresolved = Vec::new();
    for tool in tools {
        let of_port = interfaces.of_port(tool.interface);
        if let Some(mac) = interfaces.at(tool.interface).and_then(|own| own.mac) {
            known.port_macs.insert(tool.port, mac);
        }
        known.addresses.extend(interfaces.addresses(&of_port).map(ipnet::IpNet::addr));
        let Some(via) = tool.via else { continue };
        let route = route_by_port(kernel, nexthops, tool.address, &of_port).await?;
        let (way, of_way) = way(tool, via, route, &interfaces, &neighbours);
        known.neighbors.insert((tool.port, tool.address), way);
        unresolved.extend(of_way);
    }
    known.addresses.sort_unstable();
    known.addresses.dedup();
    unresolved.sort_unstable();
    unresolved.dedup();
    for (interface, address) in unresolved {
        resolve(kernel, interface, address).await;
    }
    Ok(known)
}
