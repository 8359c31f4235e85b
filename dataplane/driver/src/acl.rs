//! DPDK's own classifier (`librte_acl`), which the engine's rule tables are checked and measured
//! against. The product does not use it.

#![expect(unsafe_code, reason = "the library is DPDK's")]

use core::ptr::NonNull;
use std::ffi::CString;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dpdk_sys::{
    RTE_ACL_CLASSIFY_AVX2, RTE_ACL_CLASSIFY_AVX512X16, RTE_ACL_CLASSIFY_AVX512X32,
    RTE_ACL_CLASSIFY_SSE, RTE_ACL_FIELD_TYPE_BITMASK, RTE_ACL_FIELD_TYPE_MASK,
    RTE_ACL_FIELD_TYPE_RANGE, RTE_ACL_MAX_PRIORITY, rte_acl_config, rte_acl_field,
    rte_acl_field_def, rte_acl_param, rte_acl_rule_data,
};
use engine::rule::FilterRule;
use ipnet::IpNet;

use crate::eal::Eal;
use crate::error::words;

/// Fields of IPv6 rules: the protocol, eight words of addresses, two ports. IPv4 has fewer.
const FIELDS: usize = 11;
/// Keys of one call: a burst.
const BURST: usize = 64;

/// A rule as the library wants it.
#[repr(C)]
#[derive(Default)]
struct Rule {
    data: rte_acl_rule_data,
    fields: [rte_acl_field; FIELDS],
}

/// How the library looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Four keys at a time.
    Sse,
    /// Eight.
    Avx2,
    /// Sixteen.
    Avx512x16,
    /// Thirty-two.
    Avx512x32,
}

impl Algorithm {
    /// All of them; some are not for every processor.
    pub const ALL: [Self; 4] = [Self::Sse, Self::Avx2, Self::Avx512x16, Self::Avx512x32];

    /// The processor has the instructions, which the library does not ask.
    fn is_possible(self) -> bool {
        match self {
            Self::Sse => is_x86_feature_detected!("sse4.1"),
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512x16 | Self::Avx512x32 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512cd")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    fn number(self) -> dpdk_sys::rte_acl_classify_alg {
        match self {
            Self::Sse => RTE_ACL_CLASSIFY_SSE,
            Self::Avx2 => RTE_ACL_CLASSIFY_AVX2,
            Self::Avx512x16 => RTE_ACL_CLASSIFY_AVX512X16,
            Self::Avx512x32 => RTE_ACL_CLASSIFY_AVX512X32,
        }
    }
}

/// Keys of one family, laid out as the library reads them.
#[derive(Debug, Clone, Default)]
pub struct AclKeys {
    bytes: Vec<u8>,
    len: usize,
}

impl AclKeys {
    /// Adds a packet's protocol, addresses and ports, source first; all of one family.
    pub fn push(&mut self, protocol: u8, addresses: [IpAddr; 2], ports: [u16; 2]) {
        self.bytes.extend([protocol, 0, 0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(address) => self.bytes.extend(address.octets()),
                IpAddr::V6(address) => self.bytes.extend(address.octets()),
            }
        }
        for port in ports {
            self.bytes.extend(port.to_be_bytes());
        }
        self.len += 1;
    }
}

/// A classifier of one family, built.
#[derive(Debug)]
pub struct Acl {
    context: NonNull<dpdk_sys::rte_acl_ctx>,
    key_len: usize,
    build_time: Duration,
}

impl Drop for Acl {
    fn drop(&mut self) {
        // SAFETY: the context is this value's alone.
        unsafe { dpdk_sys::rte_acl_free(self.context.as_ptr()) }
    }
}

impl Acl {
    /// Builds one of rules of one family, the first of which goes first. Errors, in words: no memory.
    pub fn build(_eal: &Eal, rules: &[FilterRule]) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("acl_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).unwrap_or_default();
        let is_v4 = rules.first().is_none_or(|rule| matches!(rule.source, IpNet::V4(_)));
        let key_len = if is_v4 { 16 } else { 40 };
        let count = u32::try_from(rules.len()).map_err(|error| error.to_string())?;
        let param = rte_acl_param {
            name: name.as_ptr(),
            socket_id: -1,
            rule_size: size_of::<Rule>() as u32,
            max_rule_num: count,
        };
        // SAFETY: the EAL runs (`_eal`), and DPDK copies the name.
        let context = unsafe { dpdk_sys::rte_acl_create(&raw const param) };
        // SAFETY: reads a number of the calling thread.
        let errno = || unsafe { dpdk_sys::lt_errno() };
        let context = NonNull::new(context).ok_or_else(|| words(errno()))?;
        let mut acl = Self { context, key_len, build_time: Duration::ZERO };
        acl.add(rules, count)?;
        let mut config = rte_acl_config { num_categories: 1, ..Default::default() };
        let definitions = definitions((key_len - 8) / 4);
        config.num_fields = definitions.len() as u32;
        config.defs[..definitions.len()].copy_from_slice(&definitions);
        let started = Instant::now();
        // SAFETY: a context whose rules have these fields, at least.
        let status = unsafe { dpdk_sys::rte_acl_build(context.as_ptr(), &raw const config) };
        acl.build_time = started.elapsed();
        if status == 0 { Ok(acl) } else { Err(words(status)) }
    }

    fn add(&mut self, rules: &[FilterRule], count: u32) -> Result<(), String> {
        let rules: Vec<Rule> =
            (0..).zip(rules).map(|(place, rule)| acl_rule(place, rule)).collect();
        // SAFETY: so many rules stand there, each as long as the context was told.
        let status = unsafe {
            dpdk_sys::rte_acl_add_rules(self.context.as_ptr(), rules.as_ptr().cast(), count)
        };
        if status == 0 { Ok(()) } else { Err(words(status)) }
    }

    /// How long `rte_acl_build` took.
    pub fn build_time(&self) -> Duration {
        self.build_time
    }

    /// The place of the first rule that matches each key, counted from 1, burst by burst; 0 where
    /// none does. Errors, in words: the processor can't do it so.
    ///
    /// # Panics
    /// When `found` is not as long as the keys.
    pub fn classify(
        &self,
        how: Algorithm,
        keys: &AclKeys,
        found: &mut [u32],
    ) -> Result<(), String> {
        assert_eq!((keys.bytes.len(), found.len()), (keys.len * self.key_len, keys.len), "keys");
        if !how.is_possible() {
            return Err(format!("this processor can't look up by {how:?}"));
        }
        let bursts = keys.bytes.chunks(BURST * self.key_len).zip(found.chunks_mut(BURST));
        for (keys, found) in bursts {
            let mut data = [core::ptr::null::<u8>(); BURST];
            for (data, key) in data.iter_mut().zip(keys.chunks(self.key_len)) {
                *data = key.as_ptr();
            }
            // SAFETY: as many keys as answers, each as long as the definitions say; the processor can.
            let status = unsafe {
                dpdk_sys::rte_acl_classify_alg(
                    self.context.as_ptr(),
                    data.as_mut_ptr(),
                    found.as_mut_ptr(),
                    found.len() as u32,
                    1,
                    how.number(),
                )
            };
            if status != 0 {
                return Err(words(status));
            }
        }
        Ok(())
    }
}

/// Lets DPDK use vectors of 512 bits, which it does not by itself.
pub fn allow_widest_vectors(_eal: &Eal) {
    // SAFETY: sets a number; the EAL runs (`_eal`). Refused where its arguments said otherwise.
    unsafe { dpdk_sys::rte_vect_set_max_simd_bitwidth(512) };
}

/// The protocol, so many words of addresses, both ports: each four bytes of input, the ports
/// together.
fn definitions(words: usize) -> Vec<rte_acl_field_def> {
    let field = |kind: u32, size, at: usize, input: usize, offset: usize| rte_acl_field_def {
        type_: kind as u8,
        size,
        field_index: at as u8,
        input_index: input as u8,
        offset: offset as u32,
    };
    let mut all = vec![field(RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, 0)];
    all.extend((1..=words).map(|at| field(RTE_ACL_FIELD_TYPE_MASK, 4, at, at, 4 * at)));
    let ports = words + 1;
    all.push(field(RTE_ACL_FIELD_TYPE_RANGE, 2, ports, ports, 4 * ports));
    all.push(field(RTE_ACL_FIELD_TYPE_RANGE, 2, ports + 1, ports, 4 * ports + 2));
    all
}

fn acl_rule(place: u32, rule: &FilterRule) -> Rule {
    let mut made = Rule {
        data: rte_acl_rule_data {
            category_mask: 1,
            // The greatest wins.
            priority: (RTE_ACL_MAX_PRIORITY - place).cast_signed(),
            userdata: place + 1,
        },
        ..Default::default()
    };
    let mut fields = made.fields.iter_mut();
    let mut set = |value: u64, mask_range: u64| {
        if let Some(field) = fields.next() {
            field.value.u64_ = value;
            field.mask_range.u64_ = mask_range;
        }
    };
    set(rule.protocol.unwrap_or(0).into(), if rule.protocol.is_some() { 0xff } else { 0 });
    for net in [rule.source, rule.destination] {
        match net {
            IpNet::V4(net) => set(u32::from(net.network()).into(), net.prefix_len().into()),
            IpNet::V6(net) => {
                let octets = net.network().octets();
                for (at, word) in (0..).zip(octets.as_chunks::<4>().0) {
                    let len = net.prefix_len().saturating_sub(32 * at).min(32);
                    set(u32::from_be_bytes(*word).into(), len.into());
                }
            }
        }
    }
    for range in [rule.source_ports, rule.destination_ports] {
        set(
            range.map_or(0, |range| range.from.into()),
            range.map_or(65535, |range| range.to.into()),
        );
    }
    made
}
