/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: a bar that is redrawn on a terminal, and now and then a line where there is none.
 */
#ifndef VCK_PRODUCTS_VCK_PROGRESS_H
#define VCK_PRODUCTS_VCK_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_terminal;
    bool has_drawn;
    uint64_t printed_ns;
    uint64_t sampled_ns;
    uint64_t sampled_bytes;
    double bytes_per_s; /* smoothed; 0 before there are two samples */
};

struct progress_sample {
    const char *what; /* "encrypting" */
    uint64_t done_bytes;
    uint64_t total_bytes;
};

void progress_init(struct progress *progress);
void progress_show(struct progress *progress, const struct progress_sample *sample);
/* Ends the line of the bar, so that other output may follow. */
void progress_end(struct progress *progress);

/* "1:23:45", "4:05". */
#define DURATION_BYTES 32
const char *duration_text(uint64_t seconds, char buffer[DURATION_BYTES]);

#endif
