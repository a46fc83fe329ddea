/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash-sim: cuts the power of simulated volumes, many thousand times.
 *
 *     crash-sim [--states N] [--seed S] [--scenario NAME] [--tap] [--verbose]
 *
 * Every scenario is a function of its seed: what is printed on a failure runs it again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cut.h"

struct plot {
    const char *name;
    void (*run)(struct scenario *s);
};

/* ---- plots ---- */

static void at_random(struct scenario *s) VCK_CAN_WAIT
{
    if (random_below(&s->random, 8))
        scenario_start(s, random_below(&s->random, 4) ? VCK_ENCRYPTING : VCK_DECRYPTING);
    scenario_run(s, 300);
}

/* Encrypt, pause, decrypt a part, encrypt again, write into the part, cut: the first pass's record
 * of that part must not apply. */
static void old_record(struct scenario *s) VCK_CAN_WAIT
{
    struct vck_volume_status status;

    scenario_start(s, VCK_ENCRYPTING);
    scenario_sweep(s, 4);
    scenario_pause(s);
    scenario_start(s, VCK_DECRYPTING);
    scenario_sweep(s, 2);
    scenario_start(s, VCK_ENCRYPTING);
    scenario_sweep(s, 1);
    vck_volume_query(s->volume, &status);
    for (uint64_t back = 1; back <= 3 && back <= status.encrypted_sectors; back++)
        scenario_write(s, status.encrypted_sectors - back, 1);
    scenario_sweep(s, 1);
    scenario_flush(s);
    scenario_sweep(s, 2);
}

/* The shared flush: metadata of one batch and the record of the next land or not, in any mix. */
static void two_records(struct scenario *s) VCK_CAN_WAIT
{
    scenario_start(s, random_below(&s->random, 2) ? VCK_ENCRYPTING : VCK_DECRYPTING);
    scenario_sweep(s, 100);
    scenario_start(s, VCK_DECRYPTING);
    scenario_sweep(s, 100);
}

static void foreign_writer(struct scenario *s) VCK_CAN_WAIT
{
    scenario_start(s, VCK_ENCRYPTING);
    scenario_sweep(s, 1 + (unsigned)random_below(&s->random, 4));
    scenario_foreign(s, random_below(&s->random, 2));
    scenario_check_running(s);
    scenario_start(s, random_below(&s->random, 2) ? VCK_ENCRYPTING : VCK_DECRYPTING);
    scenario_run(s, 150);
}

/* Attachment after attachment, each ending in the middle. */
static void again_and_again(struct scenario *s) VCK_CAN_WAIT
{
    for (unsigned i = 0; i < 5; i++) {
        scenario_start(s, random_below(&s->random, 3) ? VCK_ENCRYPTING : VCK_DECRYPTING);
        scenario_run(s, 40);
        scenario_reattach(s);
    }
}

/* A volume that is all ciphertext gets a new key, and maybe its old one back, and a new one. */
static void new_key(struct scenario *s) VCK_CAN_WAIT
{
    scenario_start(s, VCK_ENCRYPTING);
    scenario_sweep(s, 1000);
    scenario_forget(s);
    for (unsigned i = 0; i < 2; i++) {
        scenario_rekey(s, false);
        scenario_run(s, 100);
        scenario_rekey(s, random_below(&s->random, 2));
        if (random_below(&s->random, 2))
            scenario_reattach(s);
        scenario_sweep(s, 1000);
        scenario_check_running(s);
    }
}

/* Only what is used, with writers in the gaps before and after the boundary comes there. */
static void used_only(struct scenario *s) VCK_CAN_WAIT
{
    if (random_below(&s->random, 2)) {
        scenario_start(s, VCK_ENCRYPTING);
        scenario_sweep(s, 1 + (unsigned)random_below(&s->random, 2));
    }
    for (unsigned i = 0; i < 3; i++) {
        scenario_start_used(s);
        scenario_run(s, 100);
        scenario_check_running(s);
        if (random_below(&s->random, 2))
            scenario_start(s, VCK_DECRYPTING);
        scenario_sweep(s, (unsigned)random_below(&s->random, 5));
    }
}

/* Without anything beside it but writes into gaps that the boundary passes, or has just passed. */
static void gaps(struct scenario *s) VCK_CAN_WAIT
{
    struct vck_volume_status status;

    scenario_start_used(s);
    for (unsigned i = 0; i < 6; i++) {
        scenario_sweep(s, 1);
        vck_volume_query(s->volume, &status);
        if (status.encrypted_sectors > 0)
            scenario_write(s, status.encrypted_sectors - 1, 1);
        if (random_below(&s->random, 2))
            scenario_flush(s);
        scenario_press(s, 20);
    }
    scenario_sweep(s, 1000);
    scenario_check_running(s);
}

/* Without anything beside it: every write of the beginning, of the batches and of the end. */
static void new_key_alone(struct scenario *s) VCK_CAN_WAIT
{
    scenario_start(s, VCK_ENCRYPTING);
    scenario_sweep(s, 1000);
    scenario_forget(s);
    scenario_rekey(s, false);
    if (random_below(&s->random, 2)) {
        scenario_sweep(s, 1 + (unsigned)random_below(&s->random, 3));
        scenario_rekey(s, true);
    }
    scenario_sweep(s, 1000);
    scenario_check_running(s);
}

static const struct plot plots[] = {
    {"random", at_random},
    {"old-record", old_record},
    {"two-records", two_records},
    {"foreign-writer", foreign_writer},
    {"re-attach", again_and_again},
    {"new-key", new_key},
    {"new-key-alone", new_key_alone},
    {"used-only", used_only},
    {"gaps", gaps},
};

/* ---- geometries ---- */

static const struct geometry geometries[] = {
    {512, 512, 512, 0, 2, 48},    {512, 512, 512, 1, 1, 40},    {512, 512, 512, 0, 1, 40},
    {512, 512, 4096, 0, 2, 20},   {4096, 4096, 4096, 0, 2, 16}, {512, 512, 512, 1, 2, 64},
    {512, 512, 512, 0, 3, 32},    {512, 512, 4096, 1, 0, 12},   {512, 512, 512, 2, 0, 32},
    {4096, 4096, 4096, 1, 1, 12},
};

/* ---- running ---- */

struct arguments {
    uint64_t states, seed;
    const char *scenario;
    bool tap, verbose;
};

static bool run_one(const struct plot *plot, uint64_t seed, uint64_t states, bool flushes_lie,
                    struct cut_statistics *statistics) VCK_CAN_WAIT
{
    struct scenario s;
    struct cut_options options = {states, flushes_lie, statistics};
    bool ok;

    scenario_begin(&s, seed, &geometries[seed % VCK_ARRAY_COUNT(geometries)]);
    plot->run(&s);
    ok = !s.failure;
    if (s.failure)
        fprintf(stderr, "crash-sim: %s: %s\n", plot->name, s.failure);
    if (ok)
        ok = cut_everywhere(&s, plot->name, &options);
    if (!ok && !flushes_lie)
        fprintf(stderr, "again: crash-sim --scenario %s --seed %" PRIu64 " --states %" PRIu64 "\n",
                plot->name, seed, states);
    scenario_end(&s);
    return ok;
}

static bool run_all(const struct arguments *a, struct cut_statistics *statistics) VCK_CAN_WAIT
{
    uint64_t per_scenario = VCK_MIN(a->states, VCK_MAX(200, a->states / 200));
    uint64_t seed = a->seed;

    while (statistics->states < a->states) {
        const struct plot *plot =
            &plots[seed / VCK_ARRAY_COUNT(geometries) % VCK_ARRAY_COUNT(plots)];

        for (size_t i = 0; a->scenario && i < VCK_ARRAY_COUNT(plots); i++)
            if (strcmp(plots[i].name, a->scenario) == 0)
                plot = &plots[i];
        if (a->verbose)
            printf("# %s, seed %" PRIu64 "\n", plot->name, seed);
        if (!run_one(plot, seed, per_scenario, false, statistics))
            return false;
        seed++;
    }
    return true;
}

/* A disk whose flushes do nothing has to be found out, or the rest proves nothing. */
static bool a_lying_disk_is_noticed(void) VCK_CAN_WAIT
{
    struct cut_statistics statistics = {0};

    for (uint64_t seed = 1; seed < 40; seed++)
        if (!run_one(&plots[0], seed, 400, true, &statistics))
            return true;
    return false;
}

static void parse(int argc, char **argv, struct arguments *a)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--tap") == 0)
            a->tap = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            a->verbose = true;
        else if (strcmp(argv[i], "--states") == 0 && ++i)
            a->states = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && ++i)
            a->seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--scenario") == 0 && ++i)
            a->scenario = value;
        else {
            fprintf(stderr, "usage: crash-sim [--states N] [--seed S] [--scenario NAME] [--tap] "
                            "[--verbose]\n");
            exit(2);
        }
    }
}

static bool report(const struct arguments *a, int number, bool ok, const char *what)
{
    if (a->tap)
        printf("%sok %d - %s\n", ok ? "" : "not ", number, what);
    return ok;
}

/* Memory that cannot be locked is not filled in by the kernel either, which is most of the time
 * that a state takes. Root may always lock, so root does not stay root. */
static void do_without_locked_memory(void)
{
    static const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_MEMLOCK, &none);
    if (geteuid() == 0 && setuid(65534) != 0)
        fprintf(stderr, "crash-sim: still root, slower\n");
}

int main(int argc, char **argv) VCK_NO_ANALYSIS;

int main(int argc, char **argv)
{
    struct arguments a = {.states = 20000, .seed = 1};
    struct cut_statistics n = {0};
    struct timespec begin, end;
    bool ok;

    parse(argc, argv, &a);
    do_without_locked_memory();
    if (a.tap)
        printf("1..2\n");
    clock_gettime(CLOCK_MONOTONIC, &begin);
    ok = report(&a, 1, run_all(&a, &n), "every cut state attaches with nothing lost");
    ok &= report(&a, 2, a_lying_disk_is_noticed(), "a disk that ignores flushes is noticed");
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("# %" PRIu64 " cut states (%" PRIu64 " cut again in recovery, %" PRIu64
           " killed with the cache kept, %" PRIu64 " torn inside a unit, %" PRIu64
           " with a physical block lost), %" PRIu64 " sectors reported as damaged, %.0f s\n",
           n.states, n.nested, n.killed, n.inner_tears, n.garbled, n.damaged,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    return ok ? 0 : 1;
}
