/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os: what the command asks of the system beyond files of volumes (vck.h) and the way to the host
 * (carrier.h). One of os_posix.c and os_win.c is built, and holds the program's entry.
 *
 * An error is the system's own number, 0 when there is none.
 */
#ifndef VCK_PRODUCTS_VCK_OS_H
#define VCK_PRODUCTS_VCK_OS_H

#include "products/vck/vck.h"
#include "vck/key_slot.h"

/* ---- what the system's command is ---- */

struct os_words {
    const char *host;        /* who serves attached volumes */
    const char *more;        /* where the rest is said, ends the overview; may be "" */
    uint64_t absent_options; /* OPTION_BIT of those no verb has here */
    const char *option_help[OPTION_COUNT]; /* in place of the common words, unless NULL */
    const struct verb *verbs;              /* that exist only here */
    size_t verb_count;
};

extern const struct os_words os_words;

/* ---- errors ---- */

/* The system's words; they stay until the next call. */
const char *os_error_text(int error);
vck_status os_error_status(int error);

/* ---- the terminal ---- */

/* Whether stdout is a terminal on which a line can be drawn again with \r and ESC [ K; makes it one
 * where that takes a request. */
bool os_terminal_begin(void);
/* 0: not a terminal. */
unsigned os_terminal_columns(void);

/* Whether somebody can be asked: standard input is a terminal. */
bool os_can_ask(void);
/* Shows the question on the terminal and reads one line, without echo where is_secret; the line end
 * is not part of it. *ret_size stays below capacity; a longer line is cut. */
int os_ask(const char *question, bool is_secret, char *line, size_t capacity, size_t *ret_size);

/* ---- what it can do ---- */

/* Of processors that this program may use, and of the system's memory; at least 1. */
unsigned os_processors(void);
uint64_t os_memory_bytes(void);
/* Seconds since 1970, UTC. */
uint64_t os_time_s(void);
/* Who computes Argon2id fastest; NULL: the core. */
const struct vck_key_stretcher *os_stretcher(void);

/* ---- interrupts ---- */

/* From now on Ctrl-C and requests to end only make os_was_interrupted true. */
void os_catch_interrupts(void);
bool os_was_interrupted(void);
/* Sleeps, until an interrupt at the latest. */
void os_sleep_ms(uint32_t time_ms);

/* ---- small files ---- */

/* Opens for reading; NULL is standard input, which os_close leaves open. */
int os_open(const char *path, intptr_t *ret_file);
/* Up to capacity bytes, to the end of the file. */
int os_read(intptr_t file, void *buffer, size_t capacity, size_t *ret_size);
void os_close(intptr_t file);

/* Whether others than its owner can read a file; how, in words that follow its name. */
#define OS_EXPOSURE_BYTES 128
bool os_is_exposed(intptr_t file, char ret_how[OS_EXPOSURE_BYTES]);

/* Creates a file that only its owner can read, durably: its bytes and its name. A name that is
 * taken is VCK_ALREADY_EXISTS. Nothing is left on failure; *ret_is_created then tells how far it
 * came. */
int os_create_private(const char *path, const void *data, size_t size, bool *ret_is_created);
/* The size of what has the name, be it a link to nowhere; false: nothing has. */
bool os_find_file(const char *path, uint64_t *ret_size);
void os_remove_file(const char *path);

#endif
