use std::time::Duration;

use hdrhistogram::Histogram;
use quick_xml::Reader;
use quick_xml::events::Event;
use traffic::trial::Spread;

use super::{figures, page, table};
use crate::lab::bench::back_to_back::BurstSearch;
use crate::lab::bench::host::Host;
use crate::lab::bench::latency::{LatencyPoint, Times};
use crate::lab::bench::loss::loss_curve;
use crate::lab::bench::mlr::Search;
use crate::lab::bench::model::{Model, goal};
use crate::lab::bench::outcome::{
    Method, Outcome, PortFacts, Series, Settings, Traffic, TrialRecord,
};
use crate::lab::bench::rate::{Load, line_rate};
use crate::lab::bench::reconfiguration::Reconfiguration;
use crate::lab::bench::sizes;
use crate::lab::bench::soak::soak;
use crate::lab::bench::throughput::ThroughputSearch;
use crate::lab::bench::trial::Counts;

/// What a device that forwards a million frames per second and stores a thousand would come to.
#[expect(clippy::cast_sign_loss, reason = "loads are not negative")]
fn series(frames: &str, frame_len: f64, device: &Model) -> Series {
    let line = line_rate(1e9, frame_len);
    let goals = vec![goal("NDR", 0.0), goal("PDR", 0.005)];
    let search = Search { goals, load_max: line, load_min: 100.0, trials_max: 1000 };
    let mut searched = device.clone();
    let goals = search.run(&mut searched).unwrap();
    let trials = searched.trials.iter().map(|&(load, duration)| TrialRecord {
        method: "mlr".to_owned(),
        load: Some(load),
        burst: None,
        duration_s: duration.as_secs_f64(),
        wire: Counts {
            intended: load.round() as u64,
            sent: load.round() as u64,
            received: load.min(device.capacity).round() as u64,
            ..Counts::default()
        },
        streams: Vec::new(),
        copies: None,
        device: None,
        latency: None,
        foreign: 0,
        late_ns_max: 0,
    });
    Series {
        stack: String::new(),
        frames: frames.to_owned(),
        streams: 1,
        frame_len,
        line_rate: Some(line),
        generator: line,
        forwarded: line.min(device.capacity),
        load_max: line,
        goals,
        trials: trials.collect(),
        ..Series::default()
    }
}

fn latency_point(percent: u32, load: f64) -> LatencyPoint {
    let mut histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3).unwrap();
    for ns in 1..=1000_u64 {
        histogram.record_n(u64::from(percent) * 100 + ns * ns / 100, 10).unwrap();
    }
    let counts = Counts { intended: 10_000, sent: 10_000, received: 10_000, ..Counts::default() };
    let times = Times::of(&histogram);
    LatencyPoint { percent, load, trials: 1, counts, latency: times.clone(), jitter: times }
}

fn settings() -> Settings {
    Settings {
        methods: Method::ALL.to_vec(),
        traffic: Traffic {
            sizes: sizes::parse("64,imix", 1500).unwrap(),
            capture: None,
            flows: 1000,
            spread: Spread::Zipf { exponent: 1.1 },
            is_v6: false,
            vlan: None,
            vni: None,
            seed: 7,
        },
        load_max: None,
        load: Load::Part(1.0),
        precision: 0.005,
        mlr_s: 1.0,
        mlr_trials: 21,
        throughput_s: 60.0,
        loss_s: 60.0,
        latency_s: 120.0,
        latency_trials: 20,
        bursts: 50,
        soak_s: 60.0,
        reconfiguration_s: 10.0,
        wait_s: 0.1,
    }
}

fn outcome() -> Outcome {
    let mut device = Model { buffer: 1000, ..Model::ideal(1e6) };
    let mut small = series("64", 64.0, &device);
    let rate = small.rate().unwrap();
    small.loss = loss_curve(small.load_max, Duration::from_mins(1), &mut device).unwrap();
    small.latency =
        [10, 50, 90, 100].map(|it| latency_point(it, rate * f64::from(it) / 100.0)).into();
    let bursts = BurstSearch {
        frames_max: 1 << 20,
        precision: 1,
        repeats: 50,
        rate_max: small.load_max,
        throughput: rate,
    };
    small.back_to_back = bursts.run(&mut device).unwrap();
    let search = ThroughputSearch {
        load_max: small.load_max,
        load_min: 100.0,
        width: 0.005,
        duration: Duration::from_mins(1),
        repeats: 2,
        transient_loss_ratio: 1e-4,
    };
    small.throughput = Some(search.run(&mut device).unwrap());
    small.soak = soak(rate, Duration::from_mins(1), &mut device).unwrap();
    let counts = |lost: u64| Counts {
        intended: 9_950_000,
        sent: 9_950_000,
        received: 9_950_000 - lost,
        ..Counts::default()
    };
    small.reconfiguration = Some(Reconfiguration {
        load: rate,
        duration_s: 10.0,
        before: counts(0),
        during: counts(4975),
        copies: None,
        change_s: 0.0123,
        is_within: true,
        blocked_s: 4975.0 / rate,
        fault: None,
    });
    small.notes.push("a note with <markup> & more".to_owned());
    let mut mixed = series("imix", 353.83, &Model::ideal(1e6));
    mixed.stack = "3 sessions".to_owned();
    let slow = Model { generator: 50_000.0, ..Model::ideal(1e6) };
    let limited = series("1518", 1518.0, &slow);
    let port = |name: &str| PortFacts {
        name: name.to_owned(),
        device: format!("net_memif0,socket=/run/{name}"),
        driver: "net_memif".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        speed_mbps: None,
    };
    Outcome {
        version: "0.1.0".to_owned(),
        dpdk: "DPDK 22.11.3".to_owned(),
        command: ["linetap", "bench", "--reconfigure", "echo 'a' \"b\""].map(str::to_owned).into(),
        started: "2026-11-26T18:00:00Z".to_owned(),
        elapsed_s: 123.4,
        host: Host { cpu: "Some Processor".to_owned(), ..Host::default() },
        cores: vec![1],
        ports: vec![port("lan"), port("wan")],
        device: vec![("frames go".to_owned(), "from A to B".to_owned())],
        settings: settings(),
        series: vec![small, mixed, limited],
        was_stopped: false,
        faults: Vec::new(),
    }
}

#[test]
fn the_table_reads_well() {
    insta::assert_snapshot!(table::render(&outcome()));
}

#[test]
fn json_holds_everything_and_is_read_back() {
    let outcome = outcome();
    let text = serde_json::to_string(&outcome).unwrap();
    let back: Outcome = serde_json::from_str(&text).unwrap();
    assert_eq!(page::render(&back), page::render(&outcome));
    assert_eq!((back.settings, back.host), (outcome.settings, outcome.host));
    for part in ["\"seed\":7", "\"command\"", "\"kernel\"", "\"intended\"", "\"loss_ratio\""] {
        assert!(text.contains(part), "{part}");
    }
}

/// What is wrong with a page as XML.
fn faults_of(page: &str) -> Option<String> {
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_i32;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return (depth != 0).then(|| format!("{depth} are open")),
            Ok(Event::Start(element)) => {
                depth += 1;
                if let Some(error) = element.attributes().find_map(Result::err) {
                    return Some(error.to_string());
                }
            }
            Ok(Event::End(_)) => depth -= 1,
            Ok(_) => {}
            Err(error) => return Some(error.to_string()),
        }
    }
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_from_elsewhere() {
    let page = page::render(&outcome());
    assert_eq!(faults_of(&page), None);
    assert!(faults_of(&page.replace("</main>", "")).is_some(), "the check can fail");
    for foreign in ["http:", "https:", "//cdn", "<script", "src=", "@import", "<link", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("a note with &lt;markup&gt; &amp; more"));
    // Rates, loss, latency, and a way of the search for each series.
    assert_eq!(page.matches("<svg").count(), 3 + 3);
    assert!(page.contains(
        "linetap bench --reconfigure 'echo '\\''a'\\'' \"b\"'".replace('"', "&quot;").as_str()
    ));
}

#[test]
fn an_outcome_without_anything_is_still_a_report() {
    let empty = Outcome { series: Vec::new(), faults: vec!["it died".to_owned()], ..outcome() };
    let page = page::render(&empty);
    assert_eq!(faults_of(&page), None);
    assert!(page.contains("it died"));
    assert!(table::render(&empty).starts_with("lan (net_memif) to wan"));
}

#[test]
fn figures_have_as_many_digits_as_they_need() {
    let shown = [1.488e7, 1.234_567_8e6, 123.0].map(figures::mpps);
    assert_eq!(shown, ["14.88", "1.235", "0.000123"]);
    assert_eq!([0.0, 1e-7, 0.0005, 0.25].map(figures::percent), ["0", "1.0e-5", "0.0500", "25.00"]);
    // 14.88 Mpps of 64 bytes fill ten gigabits; a third of the time nothing but gaps pass.
    let rate = line_rate(10e9, 64.0);
    assert_eq!(
        (figures::gbps_l1(rate, 64.0), figures::gbps_l2(rate, 64.0)),
        ("10.00".into(), "7.62".into())
    );
}
