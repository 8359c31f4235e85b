//! Where copies go on the wire: the kernel's neighbours and routes, followed as they change.
//!
//! For each tool whose neighbour is to be resolved the kernel is asked for its route through the
//! tool port's interface; the gateway, if there is one, else the configured next hop is looked up
//! among the kernel's neighbours. The kernel resolves only what it sends to itself, so it is made
//! to: a request with `NTF_USE` starts resolution, or proves a stale entry again.
//!
//! Changes are only triggers: after each, everything is read anew. So nothing is lost when the
//! kernel drops messages (an overrun), and a broken connection is simply made again.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use engine::neighbors::{Hop, Way};
use engine::units::{Mac, PortIndex};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Unknown and stale neighbours are asked for this often.
const RETRY: Duration = Duration::from_secs(1);
/// Changes come in flocks: they are read together.
const FLOCK: Duration = Duration::from_millis(20);
/// The kernel answers at once, unless the answer was dropped.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A tool whose neighbour the kernel shall resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The tool port.
    pub(crate) port: PortIndex,
    /// The kernel's index of its interface.
    pub(crate) interface: u32,
    /// The tool.
    pub(crate) address: IpAddr,
    /// The next hop, where the kernel has no route with a gateway through the interface.
    pub(crate) via: IpAddr,
}

/// What the kernel knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Where copies for a tool go.
    pub(crate) neighbors: HashMap<(PortIndex, IpAddr), Way>,
    /// The tool ports' own addresses.
    pub(crate) port_macs: HashMap<PortIndex, Mac>,
}

/// The handle to the thread that follows the kernel; it ends with the handle.
#[derive(Debug)]
pub(crate) struct Resolver {
    wanted: watch::Sender<Vec<Wanted>>,
}

impl Resolver {
    /// Starts following; `tell` is called with everything known after each change of it.
    pub(crate) fn start(tell: impl Fn(Known) + Send + 'static) -> io::Result<Self> {
        let (wanted, inbox) = watch::channel(Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || runtime.block_on(follow(inbox, tell)))?;
        Ok(Self { wanted })
    }

    /// Replaces the list of tools.
    pub(crate) fn want(&self, wanted: Vec<Wanted>) {
        self.wanted.send_replace(wanted);
    }
}

/// Follows over one connection after the other, until nobody wants to know.
async fn follow(mut inbox: watch::Receiver<Vec<Wanted>>, tell: impl Fn(Known)) {
    let mut told = Known::default();
    loop {
        match connected(&mut inbox, &tell, &mut told).await {
            Ok(()) => return,
            Err(error) => log::warn!("the kernel's neighbours can't be read: {error}; again soon"),
        }
        sleep(RETRY).await;
    }
}

/// Follows over one connection. `Ok` when nobody wants to know any more.
async fn connected(
    inbox: &mut watch::Receiver<Vec<Wanted>>,
    tell: &impl Fn(Known),
    told: &mut Known,
) -> io::Result<()> {
    let (connection, kernel, mut changes) = new_multicast_connection(&[
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ])?;
    let connection = tokio::spawn(connection);
    let result = loop {
        let wanted = inbox.borrow_and_update().clone();
        let known = match timeout(ANSWER_WAIT, read(&kernel, &wanted)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => break Err(io::Error::other(error.to_string())),
            Err(_) => break Err(io::ErrorKind::TimedOut.into()),
        };
        if known != *told {
            told.clone_from(&known);
            tell(known);
        }
        let retry = Instant::now() + RETRY;
        tokio::select! {
            change = changes.next() => match change {
                Some(_) => settle(&mut changes).await,
                None => break Err(io::ErrorKind::ConnectionReset.into()),
            },
            news = inbox.changed() => if news.is_err() { break Ok(()) },
            () = sleep_until(retry), if !wanted.is_empty() => {}
        }
    };
    connection.abort();
    result
}

/// Takes what else comes within [`FLOCK`].
async fn settle(changes: &mut (impl Stream + Unpin)) {
    let _ = timeout(FLOCK, async { while changes.next().await.is_some() {} }).await;
}

/// Reads everything, and makes the kernel resolve what it does not know.
async fn read(kernel: &Handle, wanted: &[Wanted]) -> Result<Known, rtnetlink::Error> {
    let mut known = Known::default();
    if wanted.is_empty() {
        return Ok(known);
    }
    let mut neighbors = HashMap::new();
    let mut dump = kernel.neighbours().get().execute();
    while let Some(message) = dump.try_next().await? {
        if let Some(address) = destination(&message) {
            neighbors.insert((message.header.ifindex, address), entry(&message));
        }
    }
    for tool in wanted {
        if !known.port_macs.contains_key(&tool.port)
            && let Some(mac) = interface_mac(kernel, tool.interface).await
        {
            known.port_macs.insert(tool.port, mac);
        }
        let next_hop = gateway(kernel, tool).await.unwrap_or(tool.via);
        let (mac, state) = neighbors
            .get(&(tool.interface, next_hop))
            .copied()
            .unwrap_or((None, NeighbourState::None));
        if let Some(mac) = mac {
            let hops = vec![Hop::only(next_hop, Some(mac))];
            known.neighbors.insert((tool.port, tool.address), Way { hops, ..Way::default() });
        }
        if is_to_be_resolved(state) {
            resolve(kernel, tool.interface, next_hop).await;
        }
    }
    Ok(known)
}

/// The address of a neighbour while it is usable, and its state.
fn entry(message: &NeighbourMessage) -> (Option<Mac>, NeighbourState) {
    let state = message.header.state;
    let usable = matches!(
        state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    );
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok().map(Mac),
        _ => None,
    });
    (mac.filter(|_| usable), state)
}

/// True in the states that the kernel does not leave by itself.
fn is_to_be_resolved(state: NeighbourState) -> bool {
    matches!(state, NeighbourState::None | NeighbourState::Failed | NeighbourState::Stale)
}

fn destination(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    })
}

/// The gateway of the kernel's route to a tool through the tool port's interface, if it has one:
/// the kernel's own choice, metrics and all.
async fn gateway(kernel: &Handle, tool: &Wanted) -> Option<IpAddr> {
    let len = if tool.address.is_ipv4() { 32 } else { 128 };
    let route = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(tool.address, len)
        .ok()?
        .output_interface(tool.interface)
        .build();
    let mut answer = std::pin::pin!(kernel.route().get(route).execute());
    // No route through it is no error here.
    gateway_of(&answer.try_next().await.ok()??)
}

fn gateway_of(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address))
        | RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(address))
        | RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}

async fn interface_mac(kernel: &Handle, interface: u32) -> Option<Mac> {
    let mut answer = std::pin::pin!(kernel.link().get().match_index(interface).execute());
    let link = answer.try_next().await.ok()??;
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok().map(Mac),
        _ => None,
    })
}

/// Makes the kernel resolve a neighbour, or prove it again.
async fn resolve(kernel: &Handle, interface: u32, address: IpAddr) {
    let request = kernel
        .neighbours()
        .add(interface, address)
        .state(NeighbourState::None)
        .flags(NeighbourFlags::Use)
        .replace();
    if let Err(error) = request.execute().await {
        log::debug!("{address} can't be resolved by the kernel: {error}");
    }
}
