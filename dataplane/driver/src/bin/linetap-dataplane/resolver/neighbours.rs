//! The kernel's neighbours: ARP's and neighbour discovery's tables of all interfaces.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::units::Mac;
use futures_util::TryStreamExt as _;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::{Error, Handle};

/// All neighbours, by the index of their interface and their address.
#[derive(Debug, Default)]
pub(super) struct Neighbours(HashMap<(u32, IpAddr), (Option<Mac>, NeighbourState)>);

impl Neighbours {
    /// Reads all.
    pub(super) async fn read(kernel: &Handle) -> Result<Self, Error> {
        let mut all = HashMap::new();
        let mut dump = kernel.neighbours().get().execute();
        while let Some(message) = dump.try_next().await? {
            if let Some(address) = destination(&message) {
                all.insert((message.header.ifindex, address), entry(&message));
            }
        }
        Ok(Self(all))
    }

    /// The link-layer address of a neighbour while it is usable.
    pub(super) fn mac(&self, interface: u32, address: IpAddr) -> Option<Mac> {
        self.0.get(&(interface, address))?.0
    }

    /// True in the states that the kernel does not leave by itself.
    pub(super) fn is_to_be_resolved(&self, interface: u32, address: IpAddr) -> bool {
        let state = self.0.get(&(interface, address)).map(|&(_, state)| state);
        matches!(
            state.unwrap_or(NeighbourState::None),
            NeighbourState::None | NeighbourState::Failed | NeighbourState::Stale
        )
    }

    #[cfg(test)]
    pub(super) fn of(entries: &[(u32, &str, Option<Mac>)]) -> Self {
        let entry = |&(interface, address, mac): &(u32, &str, Option<Mac>)| {
            let state = mac.map_or(NeighbourState::Failed, |_| NeighbourState::Reachable);
            ((interface, address.parse().unwrap()), (mac, state))
        };
        Self(entries.iter().map(entry).collect())
    }
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

fn destination(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    })
}

/// Makes the kernel resolve a neighbour, or prove it again.
pub(super) async fn resolve(kernel: &Handle, interface: u32, address: IpAddr) {
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
