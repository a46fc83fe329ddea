/* SPDX-License-Identifier: Apache-2.0 */
/*
 * annotate: what a declaration promises about levels, locks, ownership and results.
 *
 * Under clang the macros are thread-safety capabilities and -Wthread-safety checks them; under gcc
 * they are plain attributes or nothing. "May wait" is a token that every waiting function requires
 * and "raised" one that a spin lock takes, so the compiler finds: waiting under a spin lock, a
 * second raising lock, a lock leaked on an early return, and a caller that waits without saying so.
 * It cannot see through function pointers; waiting functions therefore also assert the level when
 * they run (port/port.h).
 */
#ifndef VCK_ANNOTATE_H
#define VCK_ANNOTATE_H

#if defined(__clang__)
#define VCK_TSA(x) __attribute__((x))
#else
#define VCK_TSA(x)
#endif

/* A lock type, and how functions treat locks of that type. In C, GUARDED_BY reaches variables but
 * not the members of a struct. */
#define VCK_CAPABILITY(name) VCK_TSA(capability(name))
#define VCK_ACQUIRES(...)    VCK_TSA(acquire_capability(__VA_ARGS__))
#define VCK_RELEASES(...)    VCK_TSA(release_capability(__VA_ARGS__))
#define VCK_REQUIRES(...)    VCK_TSA(requires_capability(__VA_ARGS__))
#define VCK_EXCLUDES(...)    VCK_TSA(locks_excluded(__VA_ARGS__))
#define VCK_GUARDED_BY(x)    VCK_TSA(guarded_by(x))
#define VCK_NO_ANALYSIS      VCK_TSA(no_thread_safety_analysis)
/* The same for locks that several may hold at once, to read. */
#define VCK_ACQUIRES_SHARED(...) VCK_TSA(acquire_shared_capability(__VA_ARGS__))
#define VCK_RELEASES_SHARED(...) VCK_TSA(release_shared_capability(__VA_ARGS__))

/* The two tokens. They have no storage: only the compiler's analysis ever looks at them. */
struct VCK_CAPABILITY("wait") vck_wait_token {
    char unused;
};
extern struct vck_wait_token vck_may_wait;
extern struct vck_wait_token vck_raised;

/* The function may block: callable at APC level or below, with no spin lock held. */
#define VCK_CAN_WAIT VCK_TSA(requires_shared_capability(vck_may_wait)) VCK_EXCLUDES(vck_raised)
/* Callable up to DISPATCH level; never blocks. Says so to the reader; nothing to check. */
#define VCK_NO_WAIT
/* A thread's entry, a callback that runs at passive level: waiting is allowed from here on. */
#define VCK_ASSUME_CAN_WAIT VCK_TSA(assert_shared_capability(vck_may_wait))

/* The result must be looked at. */
#define VCK_CHECKED __attribute__((warn_unused_result))
/* The callee owns the argument from here on, whatever it returns. Read by people only. */
#define VCK_TAKES

/* Ours is C99's printf on every system; gcc for Windows takes "printf" for msvcrt's. */
#if defined(__clang__)
#define VCK_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define VCK_PRINTF(fmt, first) __attribute__((format(gnu_printf, fmt, first)))
#endif
#define VCK_COLD __attribute__((cold))
/* Its frame is not part of its callers', which call other things at other depths. */
#define VCK_NOINLINE __attribute__((noinline))
#define VCK_UNUSED   __attribute__((unused))

#if defined(__cplusplus)
#define VCK_BEGIN_DECLS extern "C" {
#define VCK_END_DECLS   }
#define VCK_ALIGNAS(n)  alignas(n)
#else
#define VCK_BEGIN_DECLS
#define VCK_END_DECLS
#define VCK_ALIGNAS(n) _Alignas(n)
#endif

#endif
