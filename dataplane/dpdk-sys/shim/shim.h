/* What Rust needs of DPDK that bindgen can't reach: static inline functions (wrapped once per
 * burst, never per packet), bit fields, macros with casts, and the offsets of the mbuf fields. */
#ifndef LINETAP_SHIM_H
#define LINETAP_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <rte_acl.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mempool.h>
#include <rte_vect.h>
#include <rte_version.h>

/* Offloads and flags are spelled as casts or shifts in the headers: values for bindgen. */
static const uint64_t LT_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t LT_TX_OFFLOAD_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
static const uint64_t LT_TX_OFFLOAD_SEND_ON_TIMESTAMP = RTE_ETH_TX_OFFLOAD_SEND_ON_TIMESTAMP;
static const uint64_t LT_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t LT_RX_OFFLOAD_TIMESTAMP = RTE_ETH_RX_OFFLOAD_TIMESTAMP;
static const uint64_t LT_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t LT_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t LT_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint32_t LT_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS;
static const uint32_t LT_ETHER_OVERHEAD = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
static const uint32_t LT_RX_DESC_DONE = RTE_ETH_RX_DESC_DONE;
static const uint16_t LT_PKTMBUF_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const uint32_t LT_MEMPOOL_CACHE_MAX = RTE_MEMPOOL_CACHE_MAX_SIZE;

/* The layout that src/mbuf.rs is checked against at compile time. */
static const size_t LT_MBUF_SIZE = sizeof(struct rte_mbuf);
static const size_t LT_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr);
static const size_t LT_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off);
static const size_t LT_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt);
static const size_t LT_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs);
static const size_t LT_MBUF_PORT = offsetof(struct rte_mbuf, port);
static const size_t LT_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags);
static const size_t LT_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len);
static const size_t LT_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len);
static const size_t LT_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len);
static const size_t LT_MBUF_POOL = offsetof(struct rte_mbuf, pool);
static const size_t LT_MBUF_NEXT = offsetof(struct rte_mbuf, next);

/* Receives into `mbufs`; returns how many. */
uint16_t lt_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
/* Gives `mbufs` to the device; returns how many it took, a prefix. */
uint16_t lt_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
/* What is in the receive queue at `offset` from the next frame (LT_RX_DESC_DONE: a frame), or a negative
 * errno; by the thread that polls it alone. */
int lt_rx_descriptor_status(uint16_t port, uint16_t queue, uint16_t offset);
/* Frames that wait in a receive queue, or a negative errno; by the thread that polls it alone. */
int lt_rx_queue_count(uint16_t port, uint16_t queue);
/* The time stamp counter. */
uint64_t lt_cycles(void);
/* All or none: 0, or a negative errno. */
int lt_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
/* Buffers that are in the pool or in the calling thread's cache of it, not in those of others. */
unsigned int lt_available(const struct rte_mempool *pool);
/* rte_errno of the calling thread. */
int lt_errno(void);
/* Link without waiting: 0 and whether it is up and its speed in Mb/s (0 unknown), or a negative errno. */
int lt_link(uint16_t port, int *up, uint32_t *speed_mbps);

/* Frames that the packet sockets of net_af_packet on an interface of the kernel did not take since the last
 * call, their rings being full; by one thread. */
uint64_t lt_packet_drops(unsigned int interface);

/* Called with each text that DPDK logs and its RTE_LOG level, on any thread. */
typedef void (*lt_log_sink)(uint32_t level, const char *text, size_t len);
/* Sends DPDK's log to `sink`; before rte_eal_init. 0, or a negative errno. */
int lt_log_to(lt_log_sink sink);

#endif
