//! Hugepages or ordinary pages: decided before DPDK starts.

use std::fs;
use std::path::Path;

use engine::snapshot::MemorySpec;

/// What DPDK and its drivers take beside the pools: rings, queues, bookkeeping.
const SLACK_MIB: u32 = 96;

/// Where packet memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// From hugepages, as it is needed.
    Hugepages,
    /// From ordinary pages, so much and no more.
    Pages {
        /// The amount.
        mib: u32,
    },
}

impl Memory {
    /// Decides for pools of `pool_bytes`: hugepages when enough are free, else ordinary pages.
    pub fn choose(spec: MemorySpec, pool_bytes: u64) -> Self {
        Self::choose_from(spec, pool_bytes, free_hugepage_bytes(Path::new(HUGEPAGES)))
    }

    fn choose_from(spec: MemorySpec, pool_bytes: u64, free: u64) -> Self {
        let needed = u32::try_from(pool_bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let mib = match spec {
            MemorySpec::Auto => needed.saturating_add(SLACK_MIB),
            MemorySpec::MiB(mib) => mib,
        };
        if free >= u64::from(mib) << 20 { Self::Hugepages } else { Self::Pages { mib } }
    }
}

/// Where the kernel counts hugepages (Documentation/admin-guide/mm/hugetlbpage.rst).
const HUGEPAGES: &str = "/sys/kernel/mm/hugepages";

/// Hugepages of all sizes that nobody has and nobody has been promised, in bytes.
fn free_hugepage_bytes(counts: &Path) -> u64 {
    let Ok(sizes) = fs::read_dir(counts) else { return 0 };
    sizes
        .filter_map(|size| {
            let size = size.ok()?;
            let name = size.file_name();
            let kib: u64 =
                name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count = |name: &str| -> Option<u64> {
                fs::read_to_string(size.path().join(name)).ok()?.trim().parse().ok()
            };
            let promised = count("resv_hugepages").unwrap_or(0);
            count("free_hugepages")?.saturating_sub(promised).checked_mul(kib << 10)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugepages_are_taken_when_they_suffice() {
        let pools = 32 << 20;
        let enough = u64::from(32 + SLACK_MIB) << 20;
        assert_eq!(Memory::choose_from(MemorySpec::Auto, pools, enough), Memory::Hugepages);
        assert_eq!(
            Memory::choose_from(MemorySpec::Auto, pools, enough - 1),
            Memory::Pages { mib: 32 + SLACK_MIB }
        );
        assert_eq!(
            Memory::choose_from(MemorySpec::MiB(512), pools, enough),
            Memory::Pages { mib: 512 }
        );
    }

    #[test]
    fn free_pages_of_all_sizes_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        for (size, free) in [("hugepages-2048kB", "3\n"), ("hugepages-1048576kB", "1\n")] {
            let path = dir.path().join(size);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("free_hugepages"), free).unwrap();
        }
        assert_eq!(free_hugepage_bytes(dir.path()), (3 << 21) + (1 << 30));
        assert_eq!(free_hugepage_bytes(&dir.path().join("none")), 0);
    }
}
