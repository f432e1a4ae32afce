/* SPDX-License-Identifier: MIT */
/*
 * libzeroipc: named data structures in shared memory that survive kill -9 of any of their users.
 * This header only gathers the others; each of them compiles alone as C99 and as C++11.
 */
#ifndef ZEROIPC_H
#define ZEROIPC_H

#include "zeroipc/array.h"
#include "zeroipc/barrier.h"
#include "zeroipc/common.h"
#include "zeroipc/event.h"
#include "zeroipc/latch.h"
#include "zeroipc/monitor.h"
#include "zeroipc/mutex.h"
#include "zeroipc/once.h"
#include "zeroipc/queue.h"
#include "zeroipc/rwlock.h"
#include "zeroipc/segment.h"
#include "zeroipc/semaphore.h"

#endif
