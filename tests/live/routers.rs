//! Routers between the appliance and a tool: the lab's `tool` becomes the switch that the tool port is
//! plugged into, with two routers on it, and behind both of them a tool.
//!
//! ```text
//!  appliance tool0 ── mirror0 [tool: bridge] ─┬─ near0 [r1] far0 ── r1 ┐
//!   192.0.2.1                                 └─ near0 [r2] far0 ── r2 ┴ [far]  203.0.113.10, 2001:db8:3::10
//! ```

use std::fmt::Write as _;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::lab::Lab;
use crate::process::{output, run};

/// What differs between the families.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Underlay {
    /// The option of `ip` that means it.
    pub(crate) ip: &'static str,
    /// The file's name of the tool behind the routers.
    pub(crate) target: &'static str,
    /// The tool's address.
    pub(crate) tool: &'static str,
    /// The routers, on the tool port's subnet.
    pub(crate) routers: [&'static str; 2],
    /// The tool port's address, and another for it.
    pub(crate) sources: [&'static str; 2],
    /// The length of that subnet.
    len: u8,
}

impl Underlay {
    /// An address of the tool port's subnet with its length.
    pub(crate) fn with_len(self, address: &str) -> String {
        format!("{address}/{}", self.len)
    }
}

/// Over IPv4.
pub(crate) const V4: Underlay = Underlay {
    ip: "-4",
    target: "eni-0b000000000000054",
    tool: "203.0.113.10",
    routers: ["192.0.2.251", "192.0.2.252"],
    sources: ["192.0.2.1", "192.0.2.7"],
    len: 24,
};

/// Over IPv6.
pub(crate) const V6: Underlay = Underlay {
    ip: "-6",
    target: "eni-0b000000000000056",
    tool: "2001:db8:3::10",
    routers: ["2001:db8:2::251", "2001:db8:2::252"],
    sources: ["2001:db8:2::1", "2001:db8:2::7"],
    len: 64,
};

/// The routers' link-layer addresses on the tool port's network.
pub(crate) const MACS: [&str; 2] = ["02:00:00:00:b1:01", "02:00:00:00:b1:02"];

/// The routers, up, and the tools in the appliance file. They go before the lab does.
pub(crate) struct Routers<'lab> {
    lab: &'lab Lab,
}

impl<'lab> Routers<'lab> {
    /// Raises them. Neither way is a route of the appliance yet: the first router is the gateway of the file.
    pub(crate) fn raise(lab: &'lab Lab) -> Self {
        let routers = Self { lab };
        let far = routers.name("far");
        add_namespace(&far);
        let mut far_batch = String::from("link set lo up\n");
        for underlay in [V4, V6] {
            writeln!(far_batch, "addr add {} dev lo", underlay.tool).unwrap();
        }
        let mut switch = String::from(
            "link add sw0 type bridge mcast_snooping 0\nlink set sw0 addrgenmode none\n\
             link set mirror0 promisc on master sw0\n",
        );
        for at in 0..2 {
            let (side, number) = (format!("r{}", at + 1), at + 1);
            let router = routers.name(&side);
            add_namespace(&router);
            add_pair(&router, "near0", &format!("{}-tool", lab.name()), &side);
            add_pair(&router, "far0", &far, &side);
            let mac = MACS[at];
            let mut batch = format!(
                "link set near0 address {mac} mtu 1600\nlink set far0 mtu 1600\n\
                 link set near0 up\nlink set far0 up\n\
                 addr add 10.77.{number}.1/24 dev far0\naddr add fd77:{number}::1/64 dev far0 nodad\n\
                 route add 203.0.113.10 via 10.77.{number}.2\n\
                 route add 2001:db8:3::10 via fd77:{number}::2\n"
            );
            for Underlay { routers, len, .. } in [V4, V6] {
                writeln!(batch, "addr add {}/{len} dev near0", routers[at]).unwrap();
            }
            sysctl(&router, &["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
            ip_batch(&router, &batch);
            write!(
                far_batch,
                "link set {side} mtu 1600\nlink set {side} up\naddr add 10.77.{number}.2/24 dev {side}\n\
                 addr add fd77:{number}::2/64 dev {side} nodad\n"
            )
            .unwrap();
            writeln!(switch, "link set {side} mtu 1600 master sw0\nlink set {side} up").unwrap();
        }
        switch.push_str("link set sw0 up\n");
        ip_batch(&far, &far_batch);
        ip_batch(&format!("{}-tool", lab.name()), &switch);
        // What comes by one router and would be answered by the other.
        sysctl(&far, &["net.ipv4.conf.all.rp_filter=0"]);
        routers.add_to_appliance();
        routers
    }

    fn add_to_appliance(&self) {
        let [v4, v6] = [V4, V6].map(|underlay| underlay.routers[0]);
        self.lab.edit_appliance("[[link]]", &format!("gateway = [\"{v4}\", \"{v6}\"]\n\n[[link]]"));
        let tool = |Underlay { target, tool, .. }: Underlay| {
            format!("[[tool]]\nid = \"{target}\"\nport = \"tool\"\naddress = \"{tool}\"\n\n")
        };
        let tools = format!("{}{}[[tool]]", tool(V4), tool(V6));
        let file = self.lab.run_dir().join("appliance.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("[[tool]]", &tools, 1)).unwrap();
        // Neighbours that don't answer are found out within some seconds, not half a minute; those of a busy
        // machine answer late.
        for family in ["ipv4", "ipv6"] {
            let of = |name: &str, value: u32| format!("net.{family}.neigh.tool0.{name}={value}");
            let all = [
                of("base_reachable_time_ms", 500),
                of("delay_first_probe_time", 0),
                of("retrans_time_ms", 200),
                of("ucast_solicit", 3),
                of("mcast_solicit", 3),
            ];
            sysctl(&format!("{}-appliance", self.lab.name()), &all.each_ref().map(String::as_str));
        }
        let appliance = format!("{}-appliance", self.lab.name());
        sysctl(&appliance, &["net.ipv4.conf.tool0.promote_secondaries=1"]);
    }

    /// The namespace of `"r1"`, `"r2"`, `"far"` or a side of the lab.
    pub(crate) fn name(&self, side: &str) -> String {
        format!("{}-{side}", self.lab.name())
    }

    /// `ip` in a namespace, at once: no time passes between its change and its return.
    pub(crate) fn ip(&self, side: &str, line: &str) -> String {
        run(Command::new("ip").args(["-n", &self.name(side)]).args(line.split_whitespace()))
    }

    /// A program in a namespace.
    pub(crate) fn exec(&self, side: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(side), program]);
        command
    }

    /// Frames that the tool has received by each router.
    pub(crate) fn arrived(&self) -> [u64; 2] {
        [1, 2].map(|number| {
            let path = format!("/sys/class/net/r{number}/statistics/rx_packets");
            run(self.exec("far", "cat").arg(path)).trim().parse().unwrap()
        })
    }
}

impl Drop for Routers<'_> {
    fn drop(&mut self) {
        for side in ["r1", "r2", "far"] {
            let name = self.name(side);
            let pids = output(Command::new("ip").args(["netns", "pids", &name])).stdout;
            let pids = String::from_utf8_lossy(&pids).into_owned();
            if !pids.trim().is_empty() {
                output(Command::new("kill").arg("-KILL").args(pids.split_whitespace()));
            }
            output(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}

/// The time, as captures have it.
pub(crate) fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn add_namespace(name: &str) {
    run(Command::new("ip").args(["netns", "add", name]));
    sysctl(name, &["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0"]);
}

fn add_pair(one: &str, device: &str, other: &str, peer: &str) {
    run(Command::new("ip")
        .args(["link", "add", device, "netns", one, "type", "veth", "peer", "name", peer])
        .args(["netns", other]));
}

fn sysctl(namespace: &str, settings: &[&str]) {
    run(Command::new("ip").args(["netns", "exec", namespace, "sysctl", "-qw"]).args(settings));
}

fn ip_batch(namespace: &str, lines: &str) {
    let script = lines.lines().fold(String::new(), |mut all, line| {
        writeln!(all, "ip -n {namespace} {line} || exit 1").unwrap();
        all
    });
    run(Command::new("sh").args(["-exc", &script]));
}
