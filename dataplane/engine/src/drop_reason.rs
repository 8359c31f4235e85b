//! Every way in which a frame, an evaluation or a copy can end without being sent, by name.
//!
//! Three levels, each counted in one place: a *frame* that is not forwarded ([`Ended`]), an
//! *evaluation* of a frame for one source that mirrors nothing ([`Unmirrored`]), and a *copy* that a
//! session wanted and did not get ([`Skipped`]). The names are those of reports and metrics.

/// Declares an enum of reasons with a stable name for each, usable as an array index.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many reasons there are: the length of a counter array.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in reports and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

reasons! {
    /// Why a received frame was not forwarded.
    Ended {
        /// The port only listens (a span port, or a link with `forward = false`): the normal end.
        Tap = "tap",
        /// The link's other port did not take the frame (its transmit queue was full).
        WireCongested = "wire_congested",
        /// The frame lies in several segments, which the link's other port can't send: it would
        /// send other bytes. A data plane sizes its buffers so that this does not happen.
        Chained = "chained",
        /// The worker of the frame's flow is another than the one that received it, and did not keep
        /// up: as many frames as may were waiting for it ([`crate::spreader`]).
        WorkerCongested = "worker_congested",
        /// The frame came in on a port that is neither in a link nor a span (a tool port), and the kernel
        /// has no part in it, or the frame is longer than its interface there takes.
        NotTapped = "not_tapped",
        /// It came in on a tool port and was given to the kernel, as all is there that is no copy.
        ToKernel = "to_kernel",
        /// The kernel did not keep up with what came in on a tool port: as many frames as may were
        /// waiting for it.
        KernelCongested = "kernel_congested",
    }
}

reasons! {
    /// Why an evaluation (one frame for one source) mirrored nothing.
    Unmirrored {
        /// The frame belongs to no configured interface; counted once for the frame.
        NoSource = "no_source",
        /// Neither IPv4 nor IPv6: ARP, LLC, MPLS and so on.
        NotIp = "not_ip",
        /// Traffic that AWS never mirrors, and our own VXLAN output (the loop guard).
        NeverMirrored = "never_mirrored",
        /// No rule of any session matched.
        NoMatch = "no_match",
        /// A `reject` rule settled the packet.
        Rejected = "rejected",
        /// The frame's headers contradict themselves or are cut: see [`crate::parse`].
        Malformed = "malformed",
    }
}

reasons! {
    /// What exactly [`Unmirrored::NeverMirrored`] was: these add up to it.
    NeverMirrored {
        /// DHCP, DHCPv6.
        Dhcp = "dhcp",
        /// Instance metadata.
        Metadata = "metadata",
        /// Link-local NTP.
        Ntp = "ntp",
        /// Windows activation.
        Activation = "activation",
        /// Our own VXLAN output.
        LoopGuard = "loop_guard",
    }
}

reasons! {
    /// Why a copy that a session wanted was not sent.
    Skipped {
        /// The tool port's transmit queue did not take it.
        ToolCongested = "tool_congested",
        /// The tool port has no link.
        ToolDown = "tool_down",
        /// The link-layer address of the target's next hop is not known (yet).
        NoNeighbor = "no_neighbor",
        /// The pool of copies was empty.
        NoMbuf = "no_mbuf",
        /// Larger than the tool port's MTU, and the target is one that does not truncate.
        OverMtu = "over_mtu",
        /// No member of the target takes flows, and the target does not fail open.
        NoMember = "no_member",
        /// The flow is not among those that the session samples.
        NotSampled = "not_sampled",
        /// It would have been more than the session's rate limit.
        RateLimited = "rate_limited",
        /// The worker was about to lose frames of the wire for want of time: its receive queue was filling up.
        Overloaded = "overloaded",
    }
}
