//! Finds libdpdk by pkg-config, compiles the shim and generates the bindings.
//!
//! Everything comes from `libdpdk.pc` of the installed version: no library names, no paths here.

use std::env;
use std::error::Error;
use std::path::PathBuf;

/// What Rust calls or names; everything else in DPDK's headers stays out of the bindings.
const FUNCTIONS: &[&str] = &[
    "lt_.*",
    "rte_acl_add_rules",
    "rte_acl_build",
    "rte_acl_classify_alg",
    "rte_acl_create",
    "rte_acl_free",
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_eal_init",
    "rte_eth_allmulticast_enable",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_default_mac_addr_set",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_info_get",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_disable",
    "rte_eth_promiscuous_enable",
    "rte_eth_promiscuous_get",
    "rte_eth_read_clock",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_done_cleanup",
    "rte_eth_tx_queue_setup",
    "rte_eth_xstats_get",
    "rte_eth_xstats_get_names",
    "rte_get_tsc_hz",
    "rte_mbuf_dyn_rx_timestamp_register",
    "rte_mbuf_dyn_tx_timestamp_register",
    "rte_mempool_avail_count",
    "rte_mempool_free",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_pool_create",
    "rte_strerror",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_vect_set_max_simd_bitwidth",
    "rte_version",
];

fn main() -> Result<(), Box<dyn Error>> {
    let dpdk = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .map_err(|error| format!("{error}\nOn Debian: apt-get install libdpdk-dev"))?;
    let flags = compiler_flags()?;

    let mut shim = cc::Build::new();
    shim.file("shim/shim.c").file("shim/packet_socket.c").include("shim");
    // DPDK's inline functions are not ours to clean of warnings.
    shim.flag("-Wno-unused-parameter").flag("-Wno-deprecated-declarations");
    for flag in &flags {
        shim.flag(flag);
    }
    shim.compile("linetap_shim");
    // After the shim, which refers to them: the linker's `--as-needed` looks at the order.
    for path in &dpdk.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for library in &dpdk.libs {
        println!("cargo:rustc-link-lib=dylib={library}");
    }

    let mut bindings = bindgen::Builder::default()
        .header("shim/shim.h")
        .clang_args(&flags)
        .blocklist_type("rte_mbuf")
        .raw_line("use crate::mbuf::rte_mbuf;")
        .allowlist_var("LT_.*")
        .allowlist_type("rte_eth_(conf|dev_info|rxconf|txconf|xstat|xstat_name)")
        .allowlist_type("rte_acl_(field|rule_data|classify_alg)")
        .allowlist_var("RTE_ACL_(FIELD_TYPE|CLASSIFY|MAX_PRIORITY).*")
        .prepend_enum_name(false)
        .derive_debug(false)
        .derive_default(true)
        .layout_tests(true)
        .generate_comments(false)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()));
    for function in FUNCTIONS {
        bindings = bindings.allowlist_function(function);
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("bindings.rs");
    bindings.generate()?.write_to_file(out)?;

    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    Ok(())
}

/// The compiler flags of `libdpdk.pc` as they stand: `-include rte_config.h` and `-march` among
/// them, which the pkg-config crate does not keep.
fn compiler_flags() -> Result<Vec<String>, Box<dyn Error>> {
    let pkg_config = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = std::process::Command::new(pkg_config).args(["--cflags", "libdpdk"]).output()?;
    let flags = String::from_utf8(output.stdout)?;
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}
