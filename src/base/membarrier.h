/* SPDX-License-Identifier: MIT */
/*
 * Asymmetric barriers: the rare side (a sleeper) makes every core that runs a registered process
 * pass a full barrier, so that the frequent side (a waker) needs none. membarrier(2),
 * GLOBAL_EXPEDITED, Linux 4.16.
 */
#ifndef ZI_BASE_MEMBARRIER_H
#define ZI_BASE_MEMBARRIER_H

#include <linux/membarrier.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Registers this process to be interrupted; false where the kernel or a filter refuses. */
static inline bool zi_membarrier_register(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

/* Full barrier on all cores that run a registered process. */
static inline bool zi_membarrier(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

#endif
