#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""That the compiler finds what include/vck/annotate.h promises it finds."""
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent

BEGINNING = """
#include "port/port.h"
#include "vck/condition.h"
#include "vck/rwlock.h"
struct thing {
    struct vck_spinlock lock, other;
    struct vck_mutex mutex;
    struct vck_event event;
    struct vck_rwlock rwlock;
    struct vck_condition condition;
    int count;
};
extern struct vck_spinlock total_lock;
extern int total VCK_GUARDED_BY(total_lock);
int use(struct thing *thing);
void start(void) VCK_ASSUME_CAN_WAIT;
"""

RIGHT = {
    "locks and waits in their order": """
int use(struct thing *thing) VCK_CAN_WAIT
{
    int count;
    vck_mutex_acquire(&thing->mutex);
    vck_spinlock_acquire(&thing->lock);
    count = thing->count++;
    vck_spinlock_release(&thing->lock);
    (void)vck_event_wait(&thing->event, VCK_FOREVER);
    vck_mutex_release(&thing->mutex);
    vck_spinlock_acquire(&thing->other);
    vck_spinlock_release(&thing->other);
    return count;
}""",
    "reading, writing and waiting for a condition": """
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_rwlock_acquire_shared(&thing->rwlock);
    vck_rwlock_release_shared(&thing->rwlock);
    vck_rwlock_acquire_exclusive(&thing->rwlock);
    vck_mutex_acquire(&thing->mutex);
    vck_condition_wait(&thing->condition, &thing->mutex);
    vck_mutex_release(&thing->mutex);
    vck_rwlock_release_exclusive(&thing->rwlock);
    return 0;
}""",
    "an entry that may wait": """
int use(struct thing *thing)
{
    start();
    return vck_event_wait(&thing->event, VCK_FOREVER) == VCK_OK;
}""",
    "a function that is called with the lock held": """
static void add(struct thing *thing) VCK_REQUIRES(thing->lock)
{
    thing->count++;
}
int use(struct thing *thing)
{
    vck_spinlock_acquire(&thing->lock);
    add(thing);
    vck_spinlock_release(&thing->lock);
    vck_spinlock_acquire(&total_lock);
    total++;
    vck_spinlock_release(&total_lock);
    return 0;
}""",
}

WRONG = {
    "waiting under a spin lock": ("""
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_spinlock_acquire(&thing->lock);
    (void)vck_event_wait(&thing->event, VCK_FOREVER);
    vck_spinlock_release(&thing->lock);
    return 0;
}""", "vck_raised"),
    "taking a mutex under a spin lock": ("""
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_spinlock_acquire(&thing->lock);
    vck_mutex_acquire(&thing->mutex);
    vck_mutex_release(&thing->mutex);
    vck_spinlock_release(&thing->lock);
    return 0;
}""", "vck_raised"),
    "a second raising lock": ("""
int use(struct thing *thing)
{
    vck_spinlock_acquire(&thing->lock);
    vck_spinlock_acquire(&thing->other);
    vck_spinlock_release(&thing->other);
    vck_spinlock_release(&thing->lock);
    return 0;
}""", "vck_raised"),
    "the same lock twice": ("""
int use(struct thing *thing)
{
    vck_spinlock_acquire(&thing->lock);
    vck_spinlock_acquire(&thing->lock);
    vck_spinlock_release(&thing->lock);
    return 0;
}""", "lock"),
    "a lock kept on an early return": ("""
int use(struct thing *thing)
{
    vck_spinlock_acquire(&thing->lock);
    if (thing->count > 3)
        return 1;
    vck_spinlock_release(&thing->lock);
    return 0;
}""", "not held on every path"),
    "a mutex kept at the end": ("""
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_mutex_acquire(&thing->mutex);
    return 0;
}""", "still held at the end of function"),
    "a lock to read kept on an early return": ("""
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_rwlock_acquire_shared(&thing->rwlock);
    if (thing->count > 3)
        return 1;
    vck_rwlock_release_shared(&thing->rwlock);
    return 0;
}""", "not held on every path"),
    "writing under a spin lock": ("""
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_spinlock_acquire(&thing->lock);
    vck_rwlock_acquire_exclusive(&thing->rwlock);
    vck_rwlock_release_exclusive(&thing->rwlock);
    vck_spinlock_release(&thing->lock);
    return 0;
}""", "vck_raised"),
    "waiting for a condition without its mutex": ("""
int use(struct thing *thing) VCK_CAN_WAIT
{
    vck_condition_wait(&thing->condition, &thing->mutex);
    return 0;
}""", "requires holding"),
    "a wait in a function that does not say so": ("""
int use(struct thing *thing)
{
    return vck_event_wait(&thing->event, VCK_FOREVER) == VCK_OK;
}""", "vck_may_wait"),
    "a guarded variable without its lock": ("""
int use(struct thing *thing)
{
    return thing->count + total;
}""", "requires holding"),
    "a call without the lock it requires": ("""
static void add(struct thing *thing) VCK_REQUIRES(thing->lock)
{
    thing->count++;
}
int use(struct thing *thing)
{
    add(thing);
    return 0;
}""", "requires holding"),
}


def compile_with_clang(text):
    if not shutil.which("clang"):
        raise tap.Skip("no clang")
    Path("unit.c").write_text(BEGINNING + text + "\n")
    return subprocess.run(["clang", "-std=gnu17", "-Wall", "-Wextra", "-Wthread-safety", "-Werror",
                           "-fsyntax-only", f"-I{ROOT / 'include'}", f"-I{ROOT}", "unit.c"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def is_accepted(text):
    done = compile_with_clang(text)
    assert done.returncode == 0, done.stdout


def is_refused(text, says):
    done = compile_with_clang(text)
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert done.returncode != 0, "compiled without an error"
    assert all("[-Werror,-Wthread-safety" in line for line in errors), done.stdout
    assert any(says in line for line in errors), done.stdout


for name, unit in RIGHT.items():
    tap.add(f"accepted: {name}", is_accepted, unit)
for name, (unit, words) in WRONG.items():
    tap.add(f"refused: {name}", is_refused, unit, words)
tap.main()
