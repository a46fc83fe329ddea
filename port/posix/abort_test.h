/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abort_test: expects that a function stops the program, and why, by running it in a child process.
 */
#ifndef VCK_PORT_POSIX_ABORT_TEST_H
#define VCK_PORT_POSIX_ABORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fails unless f() ends the process by SIGABRT after writing a text with `why` in it to stderr; the
 * text goes to `text`, cut to its capacity. */
static inline void expect_abort_text(void (*f)(void), const char *why, char *text,
                                     size_t capacity_bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const struct rlimit no_core;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        f();
        _exit(0);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    assert_non_null(output);
    size_t got = fread(text, 1, capacity_bytes - 1, output);
    text[got] = 0;
    fclose(output);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, why));
}

static inline void expect_abort(void (*f)(void), const char *why)
{
    char text[512];
    expect_abort_text(f, why, text, sizeof(text));
}

#endif
