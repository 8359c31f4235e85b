//! Both ends of the wire and the tool, watched together: what crossed is what was copied.

use crate::capture::{Capture, Flows, count};
use crate::lab::Lab;
use crate::process::wait_for;
use crate::report::Report;

/// Captures of what both ends of the wire receive from linetap, and of what the tool does. To be
/// started before the first packet crosses.
pub(crate) struct Witness {
    client: Capture,
    server: Capture,
    tool: Capture,
}

impl Witness {
    /// Of the copies as they arrive.
    pub(crate) fn of_copies(lab: &Lab) -> Self {
        Self::new(lab, Capture::copies(lab))
    }

    /// Of what the kernel's own VXLAN device makes of the copies.
    pub(crate) fn of_decapsulated(lab: &Lab) -> Self {
        Self::new(lab, Capture::decapsulated(lab))
    }

    fn new(lab: &Lab, tool: Capture) -> Self {
        let client = Capture::received(lab, "client");
        Self { client, server: Capture::received(lab, "server"), tool }
    }

    /// Packets that the server has received so far.
    pub(crate) fn at_server(&self) -> u64 {
        self.server.seen()
    }

    /// Panics unless every packet that crossed was copied by the session `All`, byte for byte and in
    /// order within its flow, and linetap's report says so. Returns how many there were.
    pub(crate) fn assert_all_copied(self, report: &Report) -> u64 {
        report.assert_conservation();
        assert_eq!(report.skipped_in_all("All"), 0, "skipped in {:#}", report.0);
        let mirrored = report.mirrored("All");
        // On the wire but never mirrored: ARP alone, which the captures leave out too.
        let arp = report.number("/unmirrored/not_ip");
        let forwarded =
            report.number("/ports/lan/forwarded") + report.number("/ports/wan/forwarded");
        assert_eq!(forwarded - arp, mirrored, "packets that crossed, and copies: {:#}", report.0);

        wait_for("both ends' captures", || self.client.seen() + self.server.seen() >= mirrored);
        let crossed = join(self.client.finish(0), self.server.finish(0));
        assert_same(&crossed, &self.tool.finish(mirrored));
        mirrored
    }
}

/// Both together; no flow may be in both.
fn join(mut one: Flows, other: Flows) -> Flows {
    for (flow, frames) in other {
        assert!(one.insert(flow, frames).is_none(), "a flow that runs in both directions");
    }
    one
}

/// Panics unless both hold the same flows, with the same frames in the same order.
pub(crate) fn assert_same(wire: &Flows, tool: &Flows) {
    assert_eq!(count(wire), count(tool), "packets at the ends of the wire, and copies at the tool");
    for (flow, frames) in wire {
        let copies = tool.get(flow).unwrap_or_else(|| panic!("no copies of flow {flow:x?}"));
        let differing = frames.iter().zip(copies).position(|(frame, copy)| frame != copy);
        assert_eq!(differing, None, "the first copy of flow {flow:x?} that is not the frame");
        assert_eq!(frames.len(), copies.len(), "copies of flow {flow:x?}");
    }
    assert_eq!(wire.len(), tool.len(), "flows");
}
