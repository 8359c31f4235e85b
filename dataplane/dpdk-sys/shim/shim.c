#define _GNU_SOURCE /* fopencookie */
#include "shim.h"

#include <errno.h>
#include <stdio.h>

uint16_t lt_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t lt_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

int lt_rx_descriptor_status(uint16_t port, uint16_t queue, uint16_t offset)
{
	return rte_eth_rx_descriptor_status(port, queue, offset);
}

int lt_rx_queue_count(uint16_t port, uint16_t queue)
{
	return rte_eth_rx_queue_count(port, queue);
}

uint64_t lt_cycles(void)
{
	return rte_rdtsc();
}

/*
 * What rte_pktmbuf_reset() sets, but for what means nothing without offload flags, and the next
 * segment, of which a buffer in its pool has none (rte_mbuf_raw_free). So the second cache line is
 * not written.
 */
static inline void make_empty(struct rte_mbuf *m)
{
	m->data_off = RTE_PKTMBUF_HEADROOM;
	rte_mbuf_refcnt_set(m, 1);
	m->nb_segs = 1;
	m->port = RTE_MBUF_PORT_INVALID;
	m->ol_flags = 0;
	m->packet_type = 0;
	m->pkt_len = 0;
	m->data_len = 0;
	m->vlan_tci = 0;
}

int lt_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	int status = rte_mempool_get_bulk(pool, (void **)mbufs, count);

	if (status != 0)
		return status;
	for (unsigned int i = 0; i < count; i++)
		make_empty(mbufs[i]);
	return 0;
}

unsigned int lt_available(const struct rte_mempool *pool)
{
	unsigned int lcore = rte_lcore_id();
	unsigned int count = rte_mempool_get_ops(pool->ops_index)->get_count(pool);

	if (pool->cache_size != 0 && lcore < RTE_MAX_LCORE)
		count += pool->local_cache[lcore].len;
	return count;
}

int lt_errno(void)
{
	return rte_errno;
}

int lt_link(uint16_t port, int *up, uint32_t *speed_mbps)
{
	struct rte_eth_link link = { 0 };
	int status = rte_eth_link_get_nowait(port, &link);

	*up = link.link_status == RTE_ETH_LINK_UP;
	*speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	return status;
}

static lt_log_sink log_sink;

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	log_sink((uint32_t)rte_log_cur_msg_loglevel(), text, len);
	return (ssize_t)len;
}

int lt_log_to(lt_log_sink sink)
{
	cookie_io_functions_t functions = { .write = log_write };
	FILE *stream;

	log_sink = sink;
	stream = fopencookie(NULL, "w", functions);
	if (stream == NULL)
		return -errno;
	return rte_openlog_stream(stream);
}
