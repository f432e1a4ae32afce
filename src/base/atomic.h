/* SPDX-License-Identifier: MIT */
/*
 * The only place that spells memory orders. The name of each operation carries its order, so that a
 * search shows every ordering in use. Operands are plain uint32_t / uint64_t words; strong CAS
 * only: *expected is overwritten with what was there when the exchange did not happen.
 */
#ifndef ZI_BASE_ATOMIC_H
#define ZI_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the segment format is little-endian; big-endian machines are not supported"
#endif

#define zi_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define zi_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define zi_load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)

#define zi_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define zi_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define zi_store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

#define zi_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define zi_exchange_seq_cst(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

#define zi_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define zi_add_seq_cst(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define zi_or_seq_cst(p, v)  __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define zi_and_seq_cst(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)

#define ZI_CAS_(p, e, v, ok, no) __atomic_compare_exchange_n((p), (e), (v), false, (ok), (no))
#define zi_cas_relaxed(p, e, v)	 ZI_CAS_(p, e, v, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define zi_cas_acquire(p, e, v)	 ZI_CAS_(p, e, v, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)
#define zi_cas_acq_rel(p, e, v)	 ZI_CAS_(p, e, v, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define zi_cas_seq_cst(p, e, v)	 ZI_CAS_(p, e, v, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* Keeps the compiler, not the processor, from moving memory accesses across. */
#define zi_compiler_barrier() __asm__ __volatile__("" ::: "memory")

/*
 * Store-load barrier. On x86 a locked instruction on the stack: four times cheaper than mfence.
 * ThreadSanitizer does not know fences; nothing below relies on one for data, only for the two
 * store-then-load races (gate, handle bits) whose words are atomics.
 */
static inline void zi_full_barrier(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lock; orl $0, -4(%%rsp)" ::: "memory", "cc");
#else
	__asm__ __volatile__("" ::: "memory");
	__sync_synchronize();
#endif
}

/*
 * Orders earlier relaxed loads before later loads: the re-check of a copy that was made word by
 * word (zi_copy_out). Such readers take no lock and write nothing, so no acquire load can do it for
 * them.
 */
static inline void zi_read_barrier(void)
{
#if defined(__x86_64__)
	zi_compiler_barrier(); /* x86 does not reorder loads */
#elif defined(__aarch64__)
	__asm__ __volatile__("dmb ishld" ::: "memory");
#else
	__sync_synchronize();
#endif
}

/* Tells the core that this is a spin loop. */
static inline void zi_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#else
	zi_compiler_barrier();
#endif
}

#define zi_likely(x)   __builtin_expect(!!(x), 1)
#define zi_unlikely(x) __builtin_expect(!!(x), 0)

#endif
