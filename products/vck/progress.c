/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/progress.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/os.h"

#define LINE_INTERVAL_NS UINT64_C(2000000000)
#define BAR_CELLS        32
#define LINE_BYTES       192
#define MIB              (1024.0 * 1024.0)

const char *duration_text(uint64_t seconds, char buffer[DURATION_BYTES])
{
    if (seconds >= 3600)
        snprintf(buffer, DURATION_BYTES, "%" PRIu64 ":%02u:%02u", seconds / 3600,
                 (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
    else
        snprintf(buffer, DURATION_BYTES, "%u:%02u", (unsigned)(seconds / 60),
                 (unsigned)(seconds % 60));
    return buffer;
}

void progress_init(struct progress *progress)
{
    memset(progress, 0, sizeof(*progress));
    progress->is_terminal = os_terminal_begin();
}

static void sample_speed(struct progress *progress, uint64_t now_ns, uint64_t done_bytes)
{
    if (progress->sampled_ns == 0 || done_bytes < progress->sampled_bytes) {
        progress->sampled_ns = now_ns;
        progress->sampled_bytes = done_bytes;
        return;
    }
    double seconds = (double)(now_ns - progress->sampled_ns) / 1e9;
    if (seconds < 0.1)
        return;
    double speed = (double)(done_bytes - progress->sampled_bytes) / seconds;
    double weight = progress->bytes_per_s > 0 ? 0.2 : 1.0;
    progress->bytes_per_s += weight * (speed - progress->bytes_per_s);
    progress->sampled_ns = now_ns;
    progress->sampled_bytes = done_bytes;
}

static double percent_of(const struct progress_sample *sample)
{
    return sample->total_bytes == 0
               ? 100.0
               : 100.0 * (double)sample->done_bytes / (double)sample->total_bytes;
}

static const char *left_text(const struct progress *progress, const struct progress_sample *sample,
                             char buffer[DURATION_BYTES])
{
    uint64_t left_bytes = sample->total_bytes - sample->done_bytes;
    if (left_bytes != 0 && progress->bytes_per_s < 1)
        return "?";
    double seconds = left_bytes == 0 ? 0 : (double)left_bytes / progress->bytes_per_s;
    return seconds < 1e9 ? duration_text((uint64_t)(seconds + 0.5), buffer) : "?";
}

/* Where a line of the terminal is too short for all, the bar goes first, then what is last. */
static void draw_bar(const struct progress *progress, const struct progress_sample *sample)
{
    char cells[BAR_CELLS + 1];
    char left[DURATION_BYTES];
    char figures[LINE_BYTES / 2];
    char line[LINE_BYTES];
    unsigned columns = os_terminal_columns();
    double percent = percent_of(sample);
    memset(cells, '-', BAR_CELLS);
    memset(cells, '#', (size_t)(percent / 100.0 * BAR_CELLS));
    cells[BAR_CELLS] = 0;
    snprintf(figures, sizeof(figures), "%5.1f %%  %7.1f MiB/s  %s left", percent,
             progress->bytes_per_s / MIB, left_text(progress, sample, left));
    snprintf(line, sizeof(line), "%s [%s] %s", sample->what, cells, figures);
    if (columns != 0 && strlen(line) >= columns)
        snprintf(line, sizeof(line), "%s %s", sample->what, figures);
    printf("\r%.*s\033[K", columns != 0 ? (int)columns - 1 : LINE_BYTES, line);
}

static void print_line(const struct progress *progress, const struct progress_sample *sample)
{
    char left[DURATION_BYTES];
    printf("%s: %.1f %%", sample->what, percent_of(sample));
    if (progress->bytes_per_s >= 1)
        printf(", %.1f MiB/s, %s left", progress->bytes_per_s / MIB,
               left_text(progress, sample, left));
    printf("\n");
}

void progress_show(struct progress *progress, const struct progress_sample *sample)
{
    uint64_t now_ns = vck_clock_ns();
    sample_speed(progress, now_ns, sample->done_bytes);
    if (progress->is_terminal)
        draw_bar(progress, sample);
    else if (!progress->has_drawn || now_ns - progress->printed_ns >= LINE_INTERVAL_NS) {
        print_line(progress, sample);
        progress->printed_ns = now_ns;
    }
    progress->has_drawn = true;
    fflush(stdout);
}

void progress_end(struct progress *progress)
{
    if (progress->is_terminal && progress->has_drawn)
        putchar('\n');
    progress->has_drawn = false;
    fflush(stdout);
}
