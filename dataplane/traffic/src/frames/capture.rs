//! The frames of a capture, each with a stamp over its last bytes.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::flow_key::Addresses;
use engine::parse::{Headers, Parsed, dissect, parse};
use engine::wire::ethernet;

use super::made::hops;
use super::{ADDRESSES_LEN, FRAME_LEN_MIN, FrameSet, FramesError, Path, Template};
use crate::captures::Captures;
use crate::replay::Joining;
use crate::stamp::STAMP_LEN;

/// All frames are held in memory: so many bytes at most.
const BYTES_MAX: usize = 512 << 20;
/// And so many frames.
const FRAMES_MAX: usize = 1 << 22;

/// No router changes more than the addresses.
const NO_HOPS: [(usize, usize); 2] = [(ADDRESSES_LEN, 0); 2];

/// What makes a flow.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Flow {
    src: IpAddr,
    dst: IpAddr,
    protocol: Option<u8>,
    ports: Option<[u8; 4]>,
}

/// Reads a capture. Errors: it can't be read, holds nothing, or too much.
pub(super) fn compile(file: &std::path::Path, path: &Path) -> Result<FrameSet, FramesError> {
    let wrong = |cause: String| FramesError::Capture { path: file.display().to_string(), cause };
    let mut reader = Captures::new(vec![file.to_owned()], Joining::Concatenated, None);
    let (mut templates, mut flows, mut bytes) = (Vec::new(), HashMap::new(), 0);
    while reader.advance().map_err(|damage| FramesError::Damage(damage.sentence))?.is_some() {
        let template = template(reader.frame(), &mut flows);
        path.take(template.bytes.len(), template.is_tagged_at(ADDRESSES_LEN))?;
        bytes += template.bytes.len();
        templates.push(template);
        if bytes > BYTES_MAX || templates.len() > FRAMES_MAX {
            return Err(wrong(format!(
                "it has more than {} MiB or {FRAMES_MAX} frames, and all are held in memory; take a part of it",
                BYTES_MAX >> 20
            )));
        }
    }
    if templates.is_empty() {
        return Err(wrong("it holds no frames".to_owned()));
    }
    Ok(FrameSet {
        turns: (0..templates.len() as u32).collect(),
        templates: templates.into(),
        made: None,
        // That of frames without one is the first.
        flows: flows.len() as u32 + 1,
    })
}

fn template(frame: &[u8], flows: &mut HashMap<Flow, u32>) -> Template {
    let mut bytes = frame.to_vec();
    bytes.resize(frame.len().max(FRAME_LEN_MIN), 0);
    let headers = dissect(frame).ok().flatten();
    let next = flows.len() as u32 + 1;
    let flow = headers.map_or(0, |headers| *flows.entry(Flow::of(&headers)).or_insert(next));
    let hops = headers.map_or(NO_HOPS, |headers| {
        let mut parsed = Parsed::EMPTY;
        // Known to be sound, and all there: the tags are wanted.
        let _ = parse(frame, frame.len(), &mut parsed);
        let ip_at = ethernet::HEADER_LEN + usize::from(parsed.tags_len);
        hops(ip_at, matches!(headers.addresses, Addresses::V6 { .. }))
    });
    let stamp_at = bytes.len() - STAMP_LEN;
    Template { bytes: bytes.into(), stamp_at, flow, hops, sums: [0; 2] }
}

impl Flow {
    fn of(headers: &Headers) -> Self {
        let [src, dst] = match headers.addresses {
            Addresses::V4 { src, dst } => [src, dst].map(IpAddr::V4),
            Addresses::V6 { src, dst } => [src, dst].map(IpAddr::V6),
        };
        // All fragments of a datagram are of one flow.
        let ports = headers.ports.filter(|_| headers.fragment.is_none());
        Self { src, dst, protocol: headers.fragment.or(headers.protocol), ports }
    }
}
