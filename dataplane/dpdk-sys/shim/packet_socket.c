/* Three wishes of DPDK's net_af_packet that would harm an inline wire, and that it offers no
 * argument to change, are corrected where it utters them: at its call of setsockopt. The dynamic
 * linker finds this definition before libc's, also for the drivers that DPDK loads as plugins.
 * Every other call goes to the kernel as it is.
 *
 * 1. PACKET_FANOUT_FLAG_DEFRAG makes the kernel reassemble IPv4 fragments before the driver sees
 *    them: a fragmented datagram would never cross the wire, being larger than its MTU.
 * 2. A packet socket also sees what this host sends on the interface. On a wire that would count
 *    as received, and leave again by the other port.
 * 3. When the transmit ring is full the driver waits in poll(2) without a limit, until the socket
 *    is writable: until half of its send buffer is free. A tool whose interface stands still (flow
 *    control, a full queueing discipline) would stop the worker, and the wire with it. With a send
 *    buffer that the ring can't fill, the socket is always writable and poll returns at once.
 *
 * Besides, the sockets are remembered: the driver does not tell what the kernel dropped because its
 * receive ring was full.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdint.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING /* Linux 5.11 */
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

static int set(int fd, int level, int name, const void *value, socklen_t len)
{
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

static int join_fanout(int fd, int wish)
{
	unsigned int plain = (unsigned int)wish & ~((unsigned int)PACKET_FANOUT_FLAG_DEFRAG << 16);
	unsigned int deaf = plain | (unsigned int)PACKET_FANOUT_FLAG_IGNORE_OUTGOING << 16;

	if (set(fd, SOL_PACKET, PACKET_FANOUT, &deaf, sizeof(deaf)) == 0)
		return 0;
	return set(fd, SOL_PACKET, PACKET_FANOUT, &plain, sizeof(plain));
}

static void never_wait(int fd)
{
	int room = INT_MAX / 2; /* the kernel doubles it */

	/* Needs CAP_NET_ADMIN. Without it the limit of net.core.wmem_max holds. */
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) != 0)
		(void)set(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

/* Sockets with a receive ring, in the order of their making; ports are opened by one thread. */
static int sockets[1024];
static unsigned int sockets_count;

static void remember(int fd)
{
	if (sockets_count < sizeof(sockets) / sizeof(sockets[0]))
		sockets[sockets_count++] = fd;
}

/* Of a socket that is closed, or another one by now, the calls fail or tell another interface. */
uint64_t lt_packet_drops(unsigned int interface)
{
	uint64_t drops = 0;

	for (unsigned int at = 0; at < sockets_count; at++) {
		struct sockaddr_ll address = {0};
		socklen_t address_len = sizeof(address);
		struct tpacket_stats stats = {0};
		socklen_t stats_len = sizeof(stats);

		if (getsockname(sockets[at], (struct sockaddr *)&address, &address_len) != 0 ||
		    address.sll_family != AF_PACKET || address.sll_ifindex != (int)interface)
			continue;
		if (getsockopt(sockets[at], SOL_PACKET, PACKET_STATISTICS, &stats, &stats_len) == 0)
			drops += stats.tp_drops;
	}
	return drops;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == SOL_PACKET && name == PACKET_FANOUT && len == sizeof(int))
		return join_fanout(fd, *(const int *)value);
	if (level == SOL_PACKET && name == PACKET_RX_RING)
		remember(fd);
	if (level == SOL_PACKET && name == PACKET_TX_RING)
		never_wait(fd);
	return set(fd, level, name, value, len);
}
