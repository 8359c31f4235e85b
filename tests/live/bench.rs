//! `linetap bench` between the ports of a device whose faults are known: what it finds is what was injected.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{binary, turn};
use crate::process::run;

/// A frame that was sent later than this did not meet the device as it was meant to: others had the cores.
const LATE_NS_MAX: u64 = 2_000_000;
const ATTEMPTS: usize = 5;

/// `examples/impaired` of the driver, running. It does not outlive its test.
struct Device {
    child: Child,
    sockets: TempDir,
}

impl Device {
    fn start(faults: &[&str]) -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let mut command = Command::new("nice");
        command.args(["-n", "-15"]).arg(binary("examples/impaired"));
        for port in 0..2 {
            command.args(["--port", &memif(sockets.path(), port, "server")]);
        }
        let mut child =
            command.args(faults).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, sockets }
    }

    /// The only series of a report about it.
    fn bench(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new("nice");
        command.args(["-n", "-15"]).arg(binary("linetap")).arg("bench");
        for port in 0..2 {
            command.args(["--port", &memif(self.sockets.path(), port, "client")]);
        }
        let common = ["--sizes=64", "--flows=50", "--duration=200ms", "--json=-", "--quiet"];
        let report = run(command.args(common).args(arguments));
        let report: Value = serde_json::from_str(&report).unwrap();
        report["series"][0].clone()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn memif(sockets: &Path, port: usize, role: &str) -> String {
    let socket = sockets.join(port.to_string());
    format!("net_memif{port},role={role},socket={},socket-abstract=no", socket.display())
}

/// A series whose sender had its core when it needed it; else, after some, the last one. `None`: none can run here.
fn undisturbed(faults: &[&str], arguments: &[&str]) -> Option<Value> {
    let _turn = turn()?;
    let is_late = |trial: &Value| {
        trial["load"].is_f64() && trial["late_ns_max"].as_u64().unwrap() > LATE_NS_MAX
    };
    let mut series = Value::Null;
    for _ in 0..ATTEMPTS {
        series = Device::start(faults).bench(arguments);
        if !series["trials"].as_array().unwrap().iter().any(is_late) {
            break;
        }
    }
    Some(series)
}

#[test]
fn the_rate_and_the_latency_of_a_known_device_are_found() {
    // 20,000 a second, and 400 at once: 22,000 a second for 0.2 seconds. Each is held for 3 ms.
    let device = ["--rate=20000", "--bucket=400", "--delay-us=3000"];
    let asked = ["--method=mlr,latency", "--trials=1", "--precision=5%", "--max-load=50kpps"];
    let Some(series) = undisturbed(&device, &asked) else { return };
    let ndr = &series["goals"][0];
    let bound = |which: &str| ndr[which].as_f64().unwrap();
    assert!(ndr["is_regular"].as_bool().unwrap(), "{ndr}");
    assert!(bound("lower") <= 22_100.0 && bound("upper") >= 20_900.0, "{ndr}");
    assert!(bound("upper") - bound("lower") <= bound("upper") * 0.05, "{ndr}");
    for point in series["latency"].as_array().unwrap() {
        let min = point["latency"]["min"].as_u64().unwrap();
        assert!((3_000_000..3_200_000).contains(&min), "{min} ns");
    }
}

#[test]
fn the_loss_of_a_known_device_is_found_and_no_rate_without_it() {
    let asked = ["--method=mlr,loss,latency", "--trials=1", "--max-load=20kpps"];
    let Some(series) = undisturbed(&["--lose=10"], &asked) else { return };
    for point in series["loss"].as_array().unwrap() {
        let ratio = point["loss_ratio"].as_f64().unwrap();
        assert!((ratio - 0.1).abs() < 0.003, "{point}");
    }
    assert_eq!(series["loss"].as_array().unwrap().len(), 10);
    for goal in series["goals"].as_array().unwrap() {
        assert!(goal["lower"].is_null(), "{goal}");
    }
    let notes = series["notes"].to_string();
    assert!(notes.contains("latency: not measured"), "{notes}");
}
